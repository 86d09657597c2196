//! Reads runs of native histograms.
//!
//! Path: `read`, blocks → **read_histograms** → `read_values`.
//! Never: panics on what it reads; takes memory for more than the buckets that a histogram may
//! have, times the count that the caller asks for.
//! Format: docs/format/chunk.md, version 1.

use std::ops::Range;
use std::sync::Arc;

use model::native_histogram::{NativeHistogram, Span};

use crate::chunk::buckets::{
    BUCKETS_MAX, BY_COLUMNS, BY_ROWS, check_spans, hint_of, indexes, join, number_bits, total,
};
use crate::chunk::integers::COUNT_MAX;
use crate::chunk::read_values::{self, read_values, read_values_after};
use crate::varint::Cursor;

/// Why a run was refused.
const DAMAGED: &str = "histograms make no sense";

/// Memory that one run after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    values: read_values::Scratch,
    column: Vec<f64>,
    totals: Vec<f64>,
}

/// Spans of both sides that histograms share.
#[derive(Debug)]
struct Layout {
    positive: Vec<Span>,
    negative: Vec<Span>,
    positive_buckets: usize,
    negative_buckets: usize,
}

/// Histograms one after the other with one layout.
struct Run {
    rows: Range<usize>,
    /// Columns that they have on the side that is read.
    places: Vec<i64>,
    /// The next of them.
    next: usize,
}

/// Appends the `count` histograms that `cursor` begins with.
///
/// # Errors
/// They are damaged.
pub(crate) fn read_histograms(
    cursor: &mut Cursor<'_>,
    count: usize,
    scratch: &mut Scratch,
    out: &mut Vec<Arc<NativeHistogram>>,
) -> Result<(), &'static str> {
    if COUNT_MAX < count {
        return Err(DAMAGED);
    }
    let hints = read_runs(cursor, 2, count).ok_or(DAMAGED)?;
    let mut histograms = Vec::with_capacity(count);
    while histograms.len() < count {
        let left = count - histograms.len();
        let rows = match cursor.size().ok_or(DAMAGED)? {
            0 => left,
            rows if rows < left => rows,
            _ => return Err(DAMAGED),
        };
        read_stretch(cursor, rows, scratch, &mut histograms)?;
    }
    for (rows, hint) in hints {
        for histogram in &mut histograms[rows] {
            histogram.counter_reset_hint = hint_of(hint);
        }
    }
    out.extend(histograms.into_iter().map(Arc::new));
    Ok(())
}

/// Runs of numbers of `number_bits` that cover `count` places.
fn read_runs(
    cursor: &mut Cursor<'_>,
    number_bits: u32,
    count: usize,
) -> Option<Vec<(Range<usize>, u64)>> {
    let mut runs = Vec::new();
    let mut start = 0;
    while start < count {
        let both = cursor.unsigned()?;
        let length = usize::try_from(both >> number_bits).ok()?;
        let end = match length {
            0 => count,
            length => start.checked_add(length).filter(|end| *end < count)?,
        };
        runs.push((start..end, both & ((1 << number_bits) - 1)));
        start = end;
    }
    Some(runs)
}

fn read_stretch(
    cursor: &mut Cursor<'_>,
    rows: usize,
    scratch: &mut Scratch,
    out: &mut Vec<NativeHistogram>,
) -> Result<(), &'static str> {
    let start = out.len();
    let schema = cursor.signed().and_then(|schema| i32::try_from(schema).ok()).ok_or(DAMAGED)?;
    let custom_values = read_bounds(cursor, scratch)?;
    let (layouts, runs) = read_layouts(cursor, rows)?;
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    for layout in &layouts {
        join(&mut positive, &layout.positive);
        join(&mut negative, &layout.negative);
        if BUCKETS_MAX < positive.len() + negative.len() {
            return Err(DAMAGED);
        }
    }
    for (rows, number) in &runs {
        let layout = usize::try_from(*number).ok().and_then(|number| layouts.get(number));
        let layout = layout.ok_or(DAMAGED)?;
        out.extend(rows.clone().map(|_| NativeHistogram {
            schema,
            positive_spans: layout.positive.clone(),
            negative_spans: layout.negative.clone(),
            positive_buckets: vec![0.0; layout.positive_buckets],
            negative_buckets: vec![0.0; layout.negative_buckets],
            custom_values: Arc::clone(&custom_values),
            ..NativeHistogram::default()
        }));
    }
    read_columns(cursor, &positive, &negative, &runs, scratch, &mut out[start..])
}

fn read_bounds(cursor: &mut Cursor<'_>, scratch: &mut Scratch) -> Result<Arc<[f64]>, &'static str> {
    let count = cursor.size().filter(|count| *count <= BUCKETS_MAX).ok_or(DAMAGED)?;
    scratch.column.clear();
    if 0 < count {
        read_values(cursor, count, &mut scratch.values, &mut scratch.column)?;
    }
    Ok(scratch.column.as_slice().into())
}

type Runs = Vec<(Range<usize>, u64)>;

fn read_layouts(cursor: &mut Cursor<'_>, rows: usize) -> Result<(Vec<Layout>, Runs), &'static str> {
    let count = cursor.size().filter(|count| 1 <= *count && *count <= rows).ok_or(DAMAGED)?;
    let mut layouts = Vec::new();
    for _ in 0..count {
        let positive = read_spans(cursor).ok_or(DAMAGED)?;
        let negative = read_spans(cursor).ok_or(DAMAGED)?;
        let positive_buckets = check_spans(&positive)?;
        let negative_buckets = check_spans(&negative)?;
        layouts.push(Layout { positive, negative, positive_buckets, negative_buckets });
    }
    if count == 1 {
        return Ok((layouts, vec![(0..rows, 0)]));
    }
    let runs = read_runs(cursor, number_bits(count), rows).ok_or(DAMAGED)?;
    Ok((layouts, runs))
}

fn read_spans(cursor: &mut Cursor<'_>) -> Option<Vec<Span>> {
    // A span takes two bytes.
    let count = cursor.size().filter(|count| *count <= cursor.left() / 2)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = i32::try_from(cursor.signed()?).ok()?;
        spans.push(Span { offset, length: cursor.unsigned32()? });
    }
    Some(spans)
}

fn read_columns(
    cursor: &mut Cursor<'_>,
    positive: &[i64],
    negative: &[i64],
    runs: &Runs,
    scratch: &mut Scratch,
    out: &mut [NativeHistogram],
) -> Result<(), &'static str> {
    let (rows, column) = (out.len(), &mut scratch.column);
    column.clear();
    read_values(cursor, rows, &mut scratch.values, column)?;
    out.iter_mut().zip(&*column).for_each(|(to, value)| to.zero_threshold = *value);
    column.clear();
    read_values(cursor, rows, &mut scratch.values, column)?;
    out.iter_mut().zip(&*column).for_each(|(to, value)| to.zero_count = *value);
    match cursor.byte() {
        Some(BY_COLUMNS) => {
            let side: Side = (|h| &h.positive_spans, |h| &mut h.positive_buckets);
            read_buckets(cursor, positive, runs, side, scratch, out)?;
            let side: Side = (|h| &h.negative_spans, |h| &mut h.negative_buckets);
            read_buckets(cursor, negative, runs, side, scratch, out)?;
        }
        Some(BY_ROWS) => read_rows(cursor, scratch, out)?,
        _ => return Err(DAMAGED),
    }
    scratch.totals.clear();
    scratch.totals.extend(out.iter().map(total));
    let column = &mut scratch.column;
    column.clear();
    read_values_after(cursor, &scratch.totals, &mut scratch.values, column)?;
    out.iter_mut().zip(&*column).for_each(|(to, value)| to.count = *value);
    column.clear();
    read_values(cursor, rows, &mut scratch.values, column)?;
    out.iter_mut().zip(&*column).for_each(|(to, value)| to.sum = *value);
    Ok(())
}

/// Spans and counts of one side of a histogram.
type Side = (fn(&NativeHistogram) -> &[Span], fn(&mut NativeHistogram) -> &mut [f64]);

fn read_buckets(
    cursor: &mut Cursor<'_>,
    columns: &[i64],
    runs: &Runs,
    (spans, counts): Side,
    scratch: &mut Scratch,
    out: &mut [NativeHistogram],
) -> Result<(), &'static str> {
    let mut runs: Vec<Run> = runs
        .iter()
        .map(|(rows, _)| {
            let places = indexes(spans(&out[rows.start])).collect();
            Run { rows: rows.clone(), places, next: 0 }
        })
        .collect();
    for column in columns {
        scratch.column.clear();
        read_values(cursor, out.len(), &mut scratch.values, &mut scratch.column)?;
        for run in runs.iter_mut() {
            if run.places.get(run.next) != Some(column) {
                continue;
            }
            let read = &scratch.column[run.rows.clone()];
            for (histogram, count) in out[run.rows.clone()].iter_mut().zip(read) {
                counts(histogram)[run.next] = *count;
            }
            run.next += 1;
        }
    }
    Ok(())
}

fn read_rows(
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    out: &mut [NativeHistogram],
) -> Result<(), &'static str> {
    for histogram in out {
        let positive = histogram.positive_buckets.len();
        let buckets = positive + histogram.negative_buckets.len();
        scratch.column.clear();
        read_values(cursor, buckets, &mut scratch.values, &mut scratch.column)?;
        let (positive, negative) = scratch.column.split_at(positive);
        histogram.positive_buckets.copy_from_slice(positive);
        histogram.negative_buckets.copy_from_slice(negative);
    }
    Ok(())
}
