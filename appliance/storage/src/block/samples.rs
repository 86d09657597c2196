//! Samples: one chunk of a block, some samples of one series.
//!
//! Path: `block::writer` → **samples** → page of values → **samples** → `block::reader`.
//! Never: panics on what it reads.
//! Format: docs/format/block.md, version 1.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;
use model::staleness::{is_stale, stale_nan};

use crate::block::gather::Gathered;
use crate::block::layout::CHUNK_SAMPLES_MAX;
use crate::block::series::{TAG_HISTOGRAMS, TAG_ORIGINS, TAG_STALE, TAG_STARTS};
use crate::chunk::integers;
use crate::chunk::read_histograms::{self, read_histograms};
use crate::chunk::read_values::{self, read_values};
use crate::chunk::write_histograms::{self, write_histograms};
use crate::chunk::write_values::{self, write_values};
use crate::varint::{Cursor, put, put_signed};

/// Least stretch of time that a chunk is cut at, milliseconds: chunks of all series then begin
/// together, so that those of one target share their time columns.
const CUT_MS: i64 = 7_200_000;
/// Stretches, each three times the one before it.
const CUTS: u32 = 5;

/// Memory that one chunk after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteScratch {
    values: Vec<f64>,
    floats: write_values::Scratch,
    histograms: write_histograms::Scratch,
    pub(crate) integers: integers::Scratch,
}

/// Memory that one chunk after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadScratch {
    stale: Vec<u32>,
    values: Vec<f64>,
    floats: read_values::Scratch,
    histogram_values: Vec<Arc<NativeHistogram>>,
    histograms: read_histograms::Scratch,
    pub(crate) offsets: Vec<u64>,
}

/// Samples of one chunk, without their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Decoded {
    /// One a sample; of a histogram 0.
    pub(crate) values: Vec<f64>,
    /// Index and value of the histograms.
    pub(crate) histograms: Vec<(u32, Arc<NativeHistogram>)>,
    /// One a sample; empty when all are the time column's.
    pub(crate) origins: Vec<u64>,
    /// One a sample; empty when none is known.
    pub(crate) starts_ms: Vec<i64>,
}

/// Where settled samples are cut into chunks: the end of each.
pub(crate) fn cuts(gathered: &Gathered, ends: &mut Vec<usize>) {
    ends.clear();
    let times = &gathered.timestamps_ms;
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return };
    let stretch_ms = stretch_ms(times.len(), last.saturating_sub(*first));
    let mut start = 0;
    let mut is_histogram: Option<bool> = None;
    let mut histograms = gathered.histograms.iter().map(|(at, _)| *at as usize).peekable();
    for (at, time) in times.iter().enumerate() {
        let histogram = histograms.next_if_eq(&at).is_some();
        let marker = !histogram && is_stale(gathered.values[at]);
        let kind_changes = !marker && is_histogram.is_some_and(|is| is != histogram);
        let stretch_changes =
            start < at && times[at - 1].div_euclid(stretch_ms) != time.div_euclid(stretch_ms);
        if kind_changes || stretch_changes || at - start == CHUNK_SAMPLES_MAX {
            ends.push(at);
            start = at;
            is_histogram = None;
        }
        if !marker {
            is_histogram = Some(histogram);
        }
    }
    ends.push(times.len());
}

/// The longest stretch that a chunk reaches over at the density of these samples.
fn stretch_ms(samples: usize, span_ms: i64) -> i64 {
    let samples = i64::try_from(samples).unwrap_or(i64::MAX);
    let full = i64::try_from(CHUNK_SAMPLES_MAX).unwrap_or(i64::MAX);
    let stretches = (0..CUTS).map(|power| CUT_MS * 3i64.pow(power)).rev();
    let fits = |stretch: &i64| {
        let expected = i128::from(*stretch) * i128::from(samples - 1);
        expected <= i128::from(span_ms) * i128::from(full)
    };
    stretches.clone().find(fits).unwrap_or(CUT_MS)
}

/// Appends the chunk of the samples from `start` to `end`; its tag, and the origin of them all, or
/// of the first where they differ.
pub(crate) fn write(
    gathered: &Gathered,
    (start, end): (usize, usize),
    scratch: &mut WriteScratch,
    out: &mut Vec<u8>,
) -> (u8, u64) {
    assert!(start < end && end - start <= CHUNK_SAMPLES_MAX, "a chunk has 1 to 480 samples");
    let place = |at: &(u32, Arc<NativeHistogram>)| at.0 as usize;
    let from = gathered.histograms.partition_point(|at| place(at) < start);
    let to = gathered.histograms.partition_point(|at| place(at) < end);
    let histograms = &gathered.histograms[from..to];
    let mut tag = if histograms.is_empty() { 0 } else { TAG_HISTOGRAMS };
    let values = &gathered.values[start..end];
    let stale: Vec<usize> = (0..values.len()).filter(|at| is_stale(values[*at])).collect();
    if !stale.is_empty() {
        tag |= TAG_STALE;
        put(out, stale.len() as u64);
        let mut next = 0;
        for at in &stale {
            put(out, (at - next) as u64);
            next = at + 1;
        }
    }
    let origins = &gathered.origins[start..end];
    if origins.iter().any(|origin| *origin != origins[0]) {
        tag |= TAG_ORIGINS;
        write_origins(origins, out);
    }
    let starts = gathered.starts_ms.get(start..end).unwrap_or(&[]);
    if starts.iter().any(|start| *start != 0) {
        tag |= TAG_STARTS;
        integers::write(starts, &mut scratch.integers, out);
    }
    if !histograms.is_empty() {
        let values: Vec<&NativeHistogram> = histograms.iter().map(|(_, value)| &**value).collect();
        write_histograms(&values, &mut scratch.histograms, out);
    } else if stale.is_empty() {
        write_values(values, &mut scratch.floats, out);
    } else {
        scratch.values.clear();
        scratch.values.extend(values.iter().copied().filter(|value| !is_stale(*value)));
        write_values(&scratch.values, &mut scratch.floats, out);
    }
    (tag, origins[0])
}

fn write_origins(origins: &[u64], out: &mut Vec<u8>) {
    let runs = origins.chunk_by(|a, b| a == b);
    put(out, runs.clone().count() as u64);
    let mut last = 0u64;
    for run in runs {
        put_signed(out, run[0].wrapping_sub(last).cast_signed());
        put(out, run.len() as u64);
        last = run[0];
    }
}

/// Reads a chunk of `count` samples.
///
/// # Errors
/// What does not check.
pub(crate) fn read(
    tag: u8,
    count: usize,
    bytes: &[u8],
    scratch: &mut ReadScratch,
    out: &mut Decoded,
) -> Result<(), &'static str> {
    const DAMAGED: &str = "chunk makes no sense";
    if count == 0 || CHUNK_SAMPLES_MAX < count {
        return Err(DAMAGED);
    }
    let mut cursor = Cursor::new(bytes);
    out.values.clear();
    out.histograms.clear();
    out.origins.clear();
    out.starts_ms.clear();
    scratch.stale.clear();
    if tag & TAG_STALE != 0 {
        read_stale(&mut cursor, count, &mut scratch.stale).ok_or(DAMAGED)?;
    }
    if tag & TAG_ORIGINS != 0 {
        read_origins(&mut cursor, count, &mut out.origins).ok_or(DAMAGED)?;
    }
    if tag & TAG_STARTS != 0 {
        integers::read(&mut cursor, count, &mut scratch.offsets, &mut out.starts_ms)
            .ok_or(DAMAGED)?;
    }
    let present = count - scratch.stale.len();
    if tag & TAG_HISTOGRAMS != 0 {
        let values = &mut scratch.histogram_values;
        values.clear();
        read_histograms(&mut cursor, present, &mut scratch.histograms, values)?;
    } else if scratch.stale.is_empty() {
        read_values(&mut cursor, present, &mut scratch.floats, &mut out.values)?;
    } else {
        scratch.values.clear();
        read_values(&mut cursor, present, &mut scratch.floats, &mut scratch.values)?;
    }
    if !cursor.is_empty() {
        return Err("chunk has bytes left over");
    }
    if tag & TAG_HISTOGRAMS != 0 || !scratch.stale.is_empty() {
        spread(tag, count, scratch, out);
    }
    Ok(())
}

/// Adds the samples of a chunk to `gathered`; `origin` is that of its time column.
pub(crate) fn add(times: &[i64], chunk: &Decoded, origin: u64, gathered: &mut Gathered) {
    let mut histograms = chunk.histograms.iter().peekable();
    for (at, (time, value)) in times.iter().zip(&chunk.values).enumerate() {
        let origin = chunk.origins.get(at).copied().unwrap_or(origin);
        match histograms.next_if(|(place, _)| *place as usize == at) {
            Some((_, histogram)) => gathered.push_histogram(*time, histogram, origin),
            None => gathered.push(*time, *value, origin),
        }
        if let Some(start) = chunk.starts_ms.get(at) {
            gathered.push_start(*time, *start, origin);
        }
    }
}

/// Puts values and staleness markers at their places.
fn spread(tag: u8, count: usize, scratch: &mut ReadScratch, out: &mut Decoded) {
    let mut stale = scratch.stale.iter().copied().peekable();
    let mut floats = scratch.values.iter().copied();
    let mut histograms = scratch.histogram_values.drain(..);
    for at in 0..u32::try_from(count).unwrap_or(0) {
        if stale.next_if_eq(&at).is_some() {
            out.values.push(stale_nan());
        } else if tag & TAG_HISTOGRAMS != 0 {
            out.values.push(0.0);
            out.histograms.extend(histograms.next().map(|value| (at, value)));
        } else {
            out.values.push(floats.next().unwrap_or(0.0));
        }
    }
}

fn read_stale(cursor: &mut Cursor<'_>, count: usize, stale: &mut Vec<u32>) -> Option<()> {
    let places = cursor.size()?;
    let mut next = 0u32;
    for _ in 0..(places <= count).then_some(places)? {
        let at = next.checked_add(cursor.unsigned32()?)?;
        stale.push((at as usize).lt(&count).then_some(at)?);
        next = at + 1;
    }
    Some(())
}

fn read_origins(cursor: &mut Cursor<'_>, count: usize, origins: &mut Vec<u64>) -> Option<()> {
    let runs = cursor.size()?;
    let mut last = 0u64;
    for _ in 0..(runs <= count).then_some(runs)? {
        last = last.wrapping_add(cursor.signed()?.cast_unsigned());
        let length = cursor.size()?;
        let total = origins.len().checked_add(length).filter(|total| *total <= count)?;
        origins.resize(total, last);
    }
    (origins.len() == count).then_some(())
}
