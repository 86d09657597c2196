//! Histogram chunks, read: integer and float counts, with or without start timestamps.
//!
//! A chunk never holds a counter reset behind its first histogram, so all others are told so.

use std::sync::Arc;

use model::native_histogram::{CounterResetHint, NativeHistogram, SCHEMA_MAX, Span};
use model::staleness::is_stale;
use model::time::TimestampMs;

use super::layout::{Layout, bucket_count, float_of};
use super::start::StartReader;
use super::xor::sample_count;
use crate::bits::{BitReader, Window};
use crate::fault::Fault;
use crate::sample::{Counts, Sample};

const HEADER_BYTES: usize = 3;
const FLAGS_BYTE: usize = 2;
const RESET_MASK: u8 = 0b1100_0000;
const GAUGE: u8 = 0b1100_0000;
/// With start timestamps the count of samples leaves its two high bits to the reset flags.
const COUNT_MASK: u16 = 0x3fff;

/// Reads the histograms of a chunk.
#[derive(Clone, Debug)]
pub(crate) struct HistogramReader {
    bits: BitReader,
    samples: u16,
    index: u16,
    is_gauge: bool,
    start: Option<StartReader>,
    layout: Layout,
    timestamp: i64,
    delta: i64,
    sum: Float,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Integer { count: Integer, zero_count: Integer, positive: Vec<Integer>, negative: Vec<Integer> },
    Float { count: Float, zero_count: Float, positive: Vec<Float>, negative: Vec<Float> },
}

/// An integer that is told as a difference of differences.
#[derive(Clone, Copy, Debug, Default)]
struct Integer {
    value: i64,
    delta: i64,
}

impl Integer {
    fn first(bits: &mut BitReader) -> Result<Integer, Fault> {
        Ok(Integer { value: bits.small()?, delta: 0 })
    }

    fn first_unsigned(bits: &mut BitReader) -> Result<Integer, Fault> {
        Ok(Integer { value: bits.small_unsigned()?.cast_signed(), delta: 0 })
    }

    fn advance(&mut self, bits: &mut BitReader) -> Result<(), Fault> {
        self.delta = self.delta.wrapping_add(bits.small()?);
        self.value = self.value.wrapping_add(self.delta);
        Ok(())
    }
}

/// A float that is told by exclusive or.
#[derive(Clone, Copy, Debug, Default)]
struct Float {
    value: f64,
    window: Window,
}

impl Float {
    fn first(bits: &mut BitReader) -> Result<Float, Fault> {
        Ok(Float { value: bits.float()?, window: Window::default() })
    }

    fn advance(&mut self, bits: &mut BitReader) -> Result<(), Fault> {
        self.value = self.window.read(bits, self.value)?;
        Ok(())
    }
}

impl HistogramReader {
    /// Over a chunk with these counts, with or without start timestamps.
    pub(crate) fn new(
        bytes: Vec<u8>,
        counts: Counts,
        with_starts: bool,
    ) -> Result<HistogramReader, Fault> {
        let count = sample_count(&bytes)?;
        let byte = *bytes.get(FLAGS_BYTE).ok_or(Fault::Short("the chunk's header"))?;
        let flags = if with_starts { bytes[0] } else { byte };
        let zero = Vec::new;
        let state = match counts {
            Counts::Integer => State::Integer {
                count: Integer::default(),
                zero_count: Integer::default(),
                positive: zero(),
                negative: Vec::new(),
            },
            Counts::Float => State::Float {
                count: Float::default(),
                zero_count: Float::default(),
                positive: Vec::new(),
                negative: Vec::new(),
            },
        };
        Ok(HistogramReader {
            bits: BitReader::new(bytes, HEADER_BYTES),
            samples: if with_starts { count & COUNT_MASK } else { count },
            index: 0,
            is_gauge: flags & RESET_MASK == GAUGE,
            start: with_starts.then(|| StartReader::new(byte)),
            layout: Layout::default(),
            timestamp: 0,
            delta: 0,
            sum: Float::default(),
            state,
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Sample>, Fault> {
        if self.index == self.samples {
            return Ok(None);
        }
        let before = self.timestamp;
        if self.index == 0 {
            self.first()?;
        } else {
            self.later()?;
        }
        let start = match &mut self.start {
            Some(start) => start.read(&mut self.bits, self.index, self.timestamp, before)?,
            None => 0,
        };
        self.index += 1;
        let counts = match self.state {
            State::Integer { .. } => Counts::Integer,
            State::Float { .. } => Counts::Float,
        };
        let sample = Sample::histogram(self.timestamp, counts, self.native());
        Ok(Some(Sample { start: TimestampMs(start), ..sample }))
    }

    fn first(&mut self) -> Result<(), Fault> {
        let bits = &mut self.bits;
        self.layout = Layout::read(bits)?;
        let positives = bucket_count(&self.layout.positive)?;
        let negatives = bucket_count(&self.layout.negative)?;
        // Each bucket takes a bit at least: no more are believed than there is room for.
        if bits.left() < positives.saturating_add(negatives) {
            return Err(Fault::Short("the buckets of a histogram"));
        }
        self.timestamp = bits.small()?;
        match &mut self.state {
            State::Integer { count, zero_count, positive, negative } => {
                *count = Integer::first_unsigned(bits)?;
                *zero_count = Integer::first_unsigned(bits)?;
                self.sum = Float::first(bits)?;
                *positive = read_all(bits, positives, Integer::first)?;
                *negative = read_all(bits, negatives, Integer::first)?;
            }
            State::Float { count, zero_count, positive, negative } => {
                *count = Float::first(bits)?;
                *zero_count = Float::first(bits)?;
                self.sum = Float::first(bits)?;
                *positive = read_all(bits, positives, Float::first)?;
                *negative = read_all(bits, negatives, Float::first)?;
            }
        }
        Ok(())
    }

    fn later(&mut self) -> Result<(), Fault> {
        let bits = &mut self.bits;
        self.delta = self.delta.wrapping_add(bits.small()?);
        self.timestamp = self.timestamp.wrapping_add(self.delta);
        match &mut self.state {
            State::Integer { count, zero_count, positive, negative } => {
                count.advance(bits)?;
                zero_count.advance(bits)?;
                self.sum.advance(bits)?;
                if !is_stale(self.sum.value) {
                    for bucket in positive.iter_mut().chain(negative) {
                        bucket.advance(bits)?;
                    }
                }
            }
            State::Float { count, zero_count, positive, negative } => {
                count.advance(bits)?;
                zero_count.advance(bits)?;
                self.sum.advance(bits)?;
                if !is_stale(self.sum.value) {
                    for bucket in positive.iter_mut().chain(negative) {
                        bucket.advance(bits)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The histogram as it stands; a stale one is nothing but its sum.
    fn native(&self) -> NativeHistogram {
        if is_stale(self.sum.value) {
            return NativeHistogram { sum: self.sum.value, ..NativeHistogram::default() };
        }
        let (count, zero_count, positive_buckets, negative_buckets) = match &self.state {
            State::Integer { count, zero_count, positive, negative } => (
                float_of(count.value.cast_unsigned()),
                float_of(zero_count.value.cast_unsigned()),
                absolute(positive),
                absolute(negative),
            ),
            State::Float { count, zero_count, positive, negative } => {
                (count.value, zero_count.value, floats(positive), floats(negative))
            }
        };
        let layout = &self.layout;
        let native = NativeHistogram {
            counter_reset_hint: self.hint(),
            schema: layout.schema,
            zero_threshold: layout.zero_threshold,
            zero_count,
            count,
            sum: self.sum.value,
            positive_spans: layout.positive.clone(),
            positive_buckets,
            negative_spans: layout.negative.clone(),
            negative_buckets,
            custom_values: Arc::clone(&layout.custom_values),
        };
        coarsened(native)
    }

    fn hint(&self) -> CounterResetHint {
        match (self.is_gauge, self.index) {
            (true, _) => CounterResetHint::Gauge,
            // The chunk before this one may be gone, so nothing is known of the first.
            (false, 1) => CounterResetHint::Unknown,
            (false, _) => CounterResetHint::NotReset,
        }
    }
}

fn read_all<T>(
    bits: &mut BitReader,
    count: usize,
    read: impl Fn(&mut BitReader) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    (0..count).map(|_| read(bits)).collect()
}

/// Integer buckets are differences to the bucket before.
fn absolute(buckets: &[Integer]) -> Vec<f64> {
    let mut current = 0i64;
    let running = buckets.iter().map(|bucket| {
        current = current.wrapping_add(bucket.value);
        signed_float(current)
    });
    running.collect()
}

fn floats(buckets: &[Float]) -> Vec<f64> {
    buckets.iter().map(|bucket| bucket.value).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts above 2^53 are rounded, as upstream does")]
pub(crate) fn signed_float(count: i64) -> f64 {
    count as f64
}

/// The histogram with a schema that is computed with: finer buckets are put together.
pub(crate) fn coarsened(mut native: NativeHistogram) -> NativeHistogram {
    let Ok(shift) = u32::try_from(native.schema - SCHEMA_MAX) else { return native };
    if shift == 0 {
        return native;
    }
    let shift = shift.min(31);
    let merge = |spans: &[Span], buckets: &[f64]| merged(spans, buckets, shift);
    let (positive_spans, positive_buckets) =
        merge(&native.positive_spans, &native.positive_buckets);
    let (negative_spans, negative_buckets) =
        merge(&native.negative_spans, &native.negative_buckets);
    native.schema = SCHEMA_MAX;
    NativeHistogram { positive_spans, positive_buckets, negative_spans, negative_buckets, ..native }
}

/// Bucket `index` of a schema lies in bucket `((index - 1) >> shift) + 1` of one coarser by it.
fn merged(spans: &[Span], buckets: &[f64], shift: u32) -> (Vec<Span>, Vec<f64>) {
    let (mut merged_spans, mut merged_buckets) = (Vec::<Span>::new(), Vec::<f64>::new());
    let (mut index, mut end) = (0i32, 0i32);
    let mut counts = buckets.iter();
    for span in spans {
        index = index.saturating_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            let target = (index.wrapping_sub(1) >> shift) + 1;
            index = index.saturating_add(1);
            match (merged_buckets.last_mut(), merged_spans.last_mut()) {
                (Some(last), Some(_)) if target == end - 1 => *last += count,
                (Some(_), Some(span)) if target == end => {
                    span.length += 1;
                    end += 1;
                    merged_buckets.push(*count);
                }
                _ => {
                    merged_spans.push(Span { offset: target - end, length: 1 });
                    end = target + 1;
                    merged_buckets.push(*count);
                }
            }
        }
    }
    (merged_spans, merged_buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_schemas_are_made_coarser() {
        let spans = vec![Span { offset: -1, length: 4 }, Span { offset: 5, length: 1 }];
        let native = NativeHistogram {
            schema: SCHEMA_MAX + 1,
            positive_spans: spans,
            positive_buckets: vec![1.0, 2.0, 3.0, 4.0, 5.0],
            ..NativeHistogram::default()
        };
        // Indices -1, 0, 1, 2 and 8 become 0, 0, 1, 1 and 4.
        let coarse = coarsened(native);
        assert_eq!(coarse.schema, SCHEMA_MAX);
        let expected = [Span { offset: 0, length: 2 }, Span { offset: 2, length: 1 }];
        assert_eq!(coarse.positive_spans, expected);
        assert_eq!(coarse.positive_buckets, [3.0, 7.0, 5.0]);
    }
}
