//! Downsample: five aggregates a window of raw samples, or of finer aggregates, as Thanos makes
//! them, so that blocks that are exported agree with its own.
//!
//! Path: `merge` → **downsample** → `sink`.
//! Source: Thanos, package downsample: window ends, chunk sizes, counters with the true first and
//! last value of a chunk.

use model::staleness::is_stale;
use thiserror::Error;

use crate::block::counter;
use crate::block::gather::Gathered;
use crate::block::layout::CHUNK_SAMPLES_MAX;
use crate::block::series::{TAG_AGGREGATE, TAG_AGGREGATE_SHIFT};

/// Aggregates, in the order of their numbers, which are 1 to 5 on disk.
pub const AGGREGATES: usize = 5;
/// Place of each among them.
pub const COUNT: usize = 0;
/// Sum of the raw samples.
pub const SUM: usize = 1;
/// Least raw sample.
pub const MIN: usize = 2;
/// Largest raw sample.
pub const MAX: usize = 3;
/// Counter with resets folded in: true first value, running value, true last value.
pub const COUNTER: usize = 4;

/// Samples that a chunk of aggregates has on average, at most.
const CHUNK_SAMPLES: usize = 140;
/// Windows of a chunk at most, however unevenly samples lie: it stays one chunk of a block.
const CHUNK_WINDOWS_MAX: usize = 400;
const _: () = assert!(CHUNK_WINDOWS_MAX + 2 <= CHUNK_SAMPLES_MAX, "a counter has two more");
/// Distance of raw samples that the size of chunks is reckoned with.
const RAW_RESOLUTION_MS: i64 = 60_000;

/// Aggregates of a stretch of one series; each is a list of time and value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AggregateChunk {
    /// One list an aggregate, by [`COUNT`] to [`COUNTER`].
    pub aggregates: [Vec<(i64, f64)>; AGGREGATES],
}

/// Times do not rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("sample at {time_ms} is not after the one before it")]
pub struct OutOfOrder {
    /// Time of the sample.
    pub time_ms: i64,
}

/// Running aggregates of one window; the counter runs on from window to window.
#[derive(Clone, Copy, Debug)]
struct Running {
    total: u64,
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
    counter: f64,
    last: f64,
}

impl Default for Running {
    fn default() -> Running {
        let (min, max) = (f64::MAX, f64::MIN);
        Running { total: 0, count: 0.0, sum: 0.0, min, max, counter: 0.0, last: 0.0 }
    }
}

impl Running {
    fn next_window(&mut self) {
        let Running { total, counter, last, .. } = *self;
        *self = Running { total, counter, last, ..Running::default() };
    }

    fn add(&mut self, value: f64) {
        if self.total == 0 {
            self.counter = value;
        } else if value < self.last {
            self.counter += value;
        } else {
            self.counter += value - self.last;
        }
        self.last = value;
        self.sum += value;
        self.count += 1.0;
        self.total += 1;
        self.min = if value < self.min { value } else { self.min };
        self.max = if self.max < value { value } else { self.max };
    }
}

/// What an aggregate takes of a window of the finer one.
type Pick = fn(&Running) -> f64;

/// Last millisecond of the window of `time_ms`.
fn window_end(time_ms: i64, resolution_ms: i64) -> i64 {
    time_ms - time_ms % resolution_ms + resolution_ms - 1
}

/// Chunks that `samples` of this span and distance make.
fn chunk_count(span_ms: i64, from_ms: i64, to_ms: i64, samples: usize) -> usize {
    let expected = (span_ms / from_ms).max(1);
    let fullness = (float(samples as u64) / float(expected.unsigned_abs())).min(1.0);
    let windows = float((span_ms / to_ms).unsigned_abs()) * fullness;
    let windows = whole(windows) + 1;
    (1..).find(|chunks| windows / chunks <= CHUNK_SAMPLES).unwrap_or(1)
}

/// Gives each window with a sample to `each`; the end of the last one.
fn windows(samples: &[(i64, f64)], resolution_ms: i64, mut each: impl FnMut(i64, &Running)) -> i64 {
    let mut running = Running::default();
    let last_ms = samples.last().map_or(0, |(time, _)| *time);
    let mut end: Option<i64> = None;
    for (time, value) in samples {
        if end.is_none_or(|end| end < *time) {
            if let Some(end) = end {
                each(end, &running);
            }
            running.next_window();
            // Not past the chunk: the next one may begin within the window.
            end = Some(window_end(*time, resolution_ms).min(last_ms));
        }
        running.add(*value);
    }
    let end = end.unwrap_or(last_ms);
    each(end, &running);
    end
}

/// Aggregates of raw samples; staleness markers are passed over.
///
/// # Errors
/// [`OutOfOrder`].
///
/// # Panics
/// `0 < resolution_ms` is the caller's part.
pub fn raw(samples: &[(i64, f64)], resolution_ms: i64) -> Result<Vec<AggregateChunk>, OutOfOrder> {
    assert!(0 < resolution_ms, "a window has a length");
    if let Some(pair) = samples.windows(2).find(|pair| pair[1].0 <= pair[0].0) {
        return Err(OutOfOrder { time_ms: pair[1].0 });
    }
    let samples: Vec<(i64, f64)> =
        samples.iter().copied().filter(|(_, value)| !is_stale(*value)).collect();
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Ok(Vec::new());
    };
    let chunks = chunk_count(last.0 - first.0, RAW_RESOLUTION_MS, resolution_ms, samples.len());
    let batch = samples.len() / chunks + 1;
    let mut made = Vec::new();
    let mut rest = &samples[..];
    while !rest.is_empty() {
        let (part, after) = rest.split_at(batch_end(rest, batch, resolution_ms));
        made.push(raw_chunk(part, resolution_ms));
        rest = after;
    }
    Ok(made)
}

/// Where a batch ends: about `batch` samples on, at the end of a window.
fn batch_end(samples: &[(i64, f64)], batch: usize, resolution_ms: i64) -> usize {
    let mut end = batch.min(samples.len());
    let window = window_end(samples[end - 1].0, resolution_ms);
    while end < samples.len() && samples[end].0 <= window {
        end += 1;
    }
    let mut windows = 0;
    let mut window: Option<i64> = None;
    for (at, (time, _)) in samples[..end].iter().enumerate() {
        if window.is_none_or(|window| window < *time) {
            if windows == CHUNK_WINDOWS_MAX {
                return at;
            }
            windows += 1;
            window = Some(window_end(*time, resolution_ms));
        }
    }
    end
}

fn raw_chunk(samples: &[(i64, f64)], resolution_ms: i64) -> AggregateChunk {
    let mut chunk = AggregateChunk::default();
    let [count, sum, min, max, counter] = &mut chunk.aggregates;
    counter.push(samples[0]);
    let end = windows(samples, resolution_ms, |end, running| {
        count.push((end, running.count));
        sum.push((end, running.sum));
        min.push((end, running.min));
        max.push((end, running.max));
        counter.push((end, running.counter));
    });
    counter.push((end, samples[samples.len() - 1].1));
    chunk
}

/// Aggregates of finer aggregates, from windows of `from_ms` to windows of `to_ms`.
///
/// # Panics
/// Both are above 0.
#[must_use]
pub fn again(chunks: &[AggregateChunk], from_ms: i64, to_ms: i64) -> Vec<AggregateChunk> {
    assert!(0 < from_ms && 0 < to_ms, "a window has a length");
    let times = chunks.iter().flat_map(|chunk| chunk.aggregates.iter().flatten());
    let times = times.map(|(time, _)| *time);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
        return Vec::new();
    };
    let samples = chunks.iter().map(|chunk| chunk.aggregates[COUNT].len()).sum();
    let count = chunk_count(last - first, from_ms, to_ms, samples);
    // Only whole chunks meet: the first and last counter of each are true values.
    let batch = (chunks.len() / count).max(1);
    chunks.chunks(batch).map(|part| chunk_again(part, to_ms)).collect()
}

fn chunk_again(chunks: &[AggregateChunk], resolution_ms: i64) -> AggregateChunk {
    let mut made = AggregateChunk::default();
    let picks: [(usize, Pick); 4] = [
        (COUNT, |running| running.sum),
        (SUM, |running| running.sum),
        (MIN, |running| running.min),
        (MAX, |running| running.max),
    ];
    for (aggregate, pick) in picks {
        let samples: Vec<(i64, f64)> =
            chunks.iter().flat_map(|chunk| chunk.aggregates[aggregate].iter().copied()).collect();
        if !samples.is_empty() {
            windows(&samples, resolution_ms, |end, running| {
                made.aggregates[aggregate].push((end, pick(running)));
            });
        }
    }
    let joined = counter::join(chunks.iter().map(|chunk| &chunk.aggregates[COUNTER][..]));
    let samples: Vec<(i64, f64)> =
        joined.iter().map(|joined| (joined.time_ms, joined.total)).collect();
    if let (Some(first), Some(last)) = (samples.first(), joined.last()) {
        let counter = &mut made.aggregates[COUNTER];
        counter.push(*first);
        let end = windows(&samples, resolution_ms, |end, running| {
            counter.push((end, running.counter));
        });
        counter.push((end, last.truth));
    }
    made
}

/// One list of chunks an aggregate.
pub(crate) fn gathered_of(chunks: &[AggregateChunk]) -> [Vec<Gathered>; AGGREGATES] {
    let mut lists: [Vec<Gathered>; AGGREGATES] = Default::default();
    for chunk in chunks {
        for (list, samples) in lists.iter_mut().zip(&chunk.aggregates) {
            let mut gathered = Gathered::default();
            for (time_ms, value) in samples {
                gathered.push(*time_ms, *value, 0);
            }
            list.push(gathered);
        }
    }
    lists
}

/// A chunk in parts that each fit a block. The counter runs on from part to part.
pub(crate) fn parts(chunk: &AggregateChunk) -> Vec<AggregateChunk> {
    let mut made = Vec::new();
    let mut rest = chunk.clone();
    while let Some((end, _)) = rest.aggregates[COUNT].get(CHUNK_WINDOWS_MAX - 1).copied() {
        let mut part = AggregateChunk::default();
        for (list, from) in part.aggregates.iter_mut().zip(&mut rest.aggregates) {
            let behind = from.split_off(from.partition_point(|(time, _)| *time <= end));
            *list = std::mem::replace(from, behind);
        }
        made.push(part);
    }
    made.push(rest);
    made
}

#[expect(clippy::cast_precision_loss, reason = "a count of samples is far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a count of windows")]
#[expect(clippy::cast_sign_loss, reason = "a count of windows")]
fn whole(windows: f64) -> usize {
    windows as usize
}

/// Aggregates of one series as they were gathered from the chunks of blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aggregates {
    lists: [Vec<Vec<(i64, f64)>>; AGGREGATES],
}

impl Aggregates {
    pub(crate) fn clear(&mut self) {
        self.lists.iter_mut().for_each(Vec::clear);
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.lists.iter().flatten().map(Vec::len).sum()
    }

    /// Adds a chunk of the aggregate that its tag names.
    pub(crate) fn add(&mut self, tag: u8, gathered: &Gathered) {
        let number = usize::from((tag & TAG_AGGREGATE) >> TAG_AGGREGATE_SHIFT);
        let list = number.checked_sub(1).and_then(|at| self.lists.get_mut(at));
        if let Some(list) = list {
            let times = gathered.timestamps_ms.iter().copied();
            list.push(times.zip(gathered.values.iter().copied()).collect());
        }
    }

    /// The chunks in order of time, without the samples that `dropped` names.
    pub(crate) fn chunks(&self, dropped: impl Fn(i64) -> bool) -> Vec<AggregateChunk> {
        let count = self.lists.iter().map(Vec::len).max().unwrap_or(0);
        let mut chunks = Vec::with_capacity(count);
        for at in 0..count {
            let mut chunk = AggregateChunk::default();
            for (aggregate, list) in chunk.aggregates.iter_mut().zip(&self.lists) {
                let samples = list.get(at).map_or(&[][..], Vec::as_slice);
                aggregate.extend(samples.iter().copied().filter(|(time, _)| !dropped(*time)));
            }
            chunks.push(chunk);
        }
        let first = |chunk: &AggregateChunk| chunk.aggregates[COUNT].first().map(|(time, _)| *time);
        chunks.retain(|chunk| first(chunk).is_some());
        chunks.sort_by_key(first);
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_chunk_is_cut_between_windows_and_its_counter_runs_on() {
        let samples: Vec<(i64, f64)> = (0..2000).map(|at| (at * 50, at as f64)).collect();
        let whole = raw_chunk(&samples, 100);
        let made = parts(&whole);
        assert_eq!(made.len(), 3);
        for aggregate in 0..AGGREGATES {
            let joined = made.iter().flat_map(|part| part.aggregates[aggregate].iter().copied());
            assert_eq!(joined.collect::<Vec<_>>(), whole.aggregates[aggregate]);
            assert!(made.iter().all(|part| part.aggregates[aggregate].len() <= CHUNK_SAMPLES_MAX));
        }
        let of = |chunks: &[AggregateChunk]| {
            counter::join(chunks.iter().map(|chunk| &chunk.aggregates[COUNTER][..]))
        };
        assert_eq!(of(&made), of(&[whole]));
    }
}
