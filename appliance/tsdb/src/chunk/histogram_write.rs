//! Histogram chunks, written: integer and float counts.
//!
//! One layout a chunk: a histogram with other spans opens the next chunk, where upstream would
//! write the chunk anew with the spans of both.
//!
//! Invariants
//! - H1: behind the first histogram of a chunk no counter is reset.

use model::native_histogram::{CounterResetHint, NativeHistogram};
use model::staleness::is_stale;

use super::histogram::signed_float;
use super::layout::{bucket_count, check_schema};
use super::layout_write::{integer_of, write_layout};
use crate::bits::{BitWriter, Window};
use crate::fault::Fault;
use crate::sample::{Counts, Histogram};

const HEADER_BYTES: usize = 3;
const FLAGS_BYTE: usize = 2;
const FLAG_GAUGE: u8 = 0b1100_0000;
const FLAG_RESET: u8 = 0b1000_0000;
/// Integer counts go to 2^63: the differences between them are signed.
const INTEGER_MAX: f64 = 9_223_372_036_854_775_808.0;

/// Appends histograms to a chunk.
#[derive(Clone, Debug)]
pub(crate) struct HistogramWriter {
    bits: BitWriter,
    samples: u16,
    counts: Counts,
    last: NativeHistogram,
    timestamp: i64,
    delta: i64,
    sum: Window,
    integers: Vec<Integer>,
    floats: Vec<Window>,
}

/// What an integer is told from.
#[derive(Clone, Copy, Debug, Default)]
struct Integer {
    value: i64,
    delta: i64,
}

/// The counts in which `histogram` can be written: integers only where all of them are.
///
/// # Errors
/// Spans and buckets contradict each other, or the schema is not known.
pub(crate) fn checked_counts(histogram: &Histogram) -> Result<Counts, Fault> {
    let native = &histogram.native;
    if is_stale(native.sum) {
        return Ok(histogram.counts);
    }
    check_schema(native.schema)?;
    let sides = [
        (&native.positive_spans, &native.positive_buckets),
        (&native.negative_spans, &native.negative_buckets),
    ];
    for (spans, buckets) in sides {
        let expected = bucket_count(spans)?;
        if expected != buckets.len() {
            let text = format!("spans of {expected} buckets, but {} counts", buckets.len());
            return Err(Fault::wrong(format!("a histogram has {text}")));
        }
    }
    let is_whole = |count: &f64| (0.0..INTEGER_MAX).contains(count) && count.fract() == 0.0;
    let own = [native.count, native.zero_count];
    let mut all = own.iter().chain(&native.positive_buckets).chain(&native.negative_buckets);
    let integer = histogram.counts == Counts::Integer && all.all(is_whole);
    Ok(if integer { Counts::Integer } else { Counts::Float })
}

impl HistogramWriter {
    /// A chunk for histograms with these counts.
    pub(crate) fn new(counts: Counts) -> HistogramWriter {
        HistogramWriter {
            bits: BitWriter::after(vec![0; HEADER_BYTES]),
            samples: 0,
            counts,
            last: NativeHistogram::default(),
            timestamp: 0,
            delta: 0,
            sum: Window::default(),
            integers: Vec::new(),
            floats: Vec::new(),
        }
    }

    /// Whether `native` may stand behind what the chunk holds.
    pub(crate) fn fits(&self, native: &NativeHistogram, counts: Counts) -> bool {
        if counts != self.counts {
            return false;
        }
        if is_stale(native.sum) {
            return true;
        }
        let last = &self.last;
        let is_gauge = native.counter_reset_hint == CounterResetHint::Gauge;
        let was_gauge = last.counter_reset_hint == CounterResetHint::Gauge;
        !is_stale(last.sum)
            && is_gauge == was_gauge
            && last.schema == native.schema
            && last.zero_threshold.to_bits() == native.zero_threshold.to_bits()
            && last.positive_spans == native.positive_spans
            && last.negative_spans == native.negative_spans
            && last.custom_values == native.custom_values
            && (is_gauge || !is_reset(last, native))
    }

    pub(crate) fn push(&mut self, timestamp: i64, native: &NativeHistogram) {
        if self.samples == 0 {
            self.push_first(timestamp, native);
        } else {
            let counter = native.counter_reset_hint != CounterResetHint::Gauge;
            let compared = counter && !is_stale(native.sum) && !is_stale(self.last.sum);
            debug_assert!(
                !compared || !is_reset(&self.last, native),
                "H1: a histogram after a reset opens a chunk"
            );
            self.push_later(timestamp, native);
        }
        self.timestamp = timestamp;
        self.last = native.clone();
        self.samples += 1;
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bits.bytes_mut()[..2].copy_from_slice(&self.samples.to_be_bytes());
        self.bits.into_bytes()
    }

    pub(crate) fn len(&self) -> usize {
        self.bits.len()
    }

    fn push_first(&mut self, timestamp: i64, native: &NativeHistogram) {
        let empty = NativeHistogram { sum: native.sum, ..NativeHistogram::default() };
        let native = if is_stale(native.sum) { &empty } else { native };
        self.bits.bytes_mut()[FLAGS_BYTE] = match native.counter_reset_hint {
            CounterResetHint::Gauge => FLAG_GAUGE,
            CounterResetHint::Reset => FLAG_RESET,
            CounterResetHint::Unknown | CounterResetHint::NotReset => 0,
        };
        let bits = &mut self.bits;
        write_layout(bits, native);
        bits.put_small(timestamp);
        match self.counts {
            Counts::Integer => {
                let integers = integers_of(native);
                for own in &integers[..2] {
                    bits.put_small_unsigned(own.cast_unsigned());
                }
                bits.put_float(native.sum);
                for bucket in &integers[2..] {
                    bits.put_small(*bucket);
                }
                let state = integers.iter().map(|value| Integer { value: *value, delta: 0 });
                self.integers = state.collect();
            }
            Counts::Float => {
                bits.put_float(native.count);
                bits.put_float(native.zero_count);
                bits.put_float(native.sum);
                let buckets = native.positive_buckets.iter().chain(&native.negative_buckets);
                for bucket in buckets {
                    bits.put_float(*bucket);
                }
                let buckets = native.positive_buckets.len() + native.negative_buckets.len();
                self.floats = vec![Window::default(); 2 + buckets];
            }
        }
    }

    fn push_later(&mut self, timestamp: i64, native: &NativeHistogram) {
        let delta = timestamp.wrapping_sub(self.timestamp);
        let bits = &mut self.bits;
        bits.put_small(delta.wrapping_sub(self.delta));
        self.delta = delta;
        if is_stale(native.sum) {
            // Count and zero count are not looked at: two times "as before".
            bits.put(0, 2);
            self.sum.write(bits, native.sum, self.last.sum);
            return;
        }
        match self.counts {
            Counts::Integer => {
                let integers = integers_of(native);
                for (at, (state, value)) in self.integers.iter_mut().zip(integers).enumerate() {
                    if at == 2 {
                        self.sum.write(bits, native.sum, self.last.sum);
                    }
                    let delta = value.wrapping_sub(state.value);
                    bits.put_small(delta.wrapping_sub(state.delta));
                    *state = Integer { value, delta };
                }
                if self.integers.len() == 2 {
                    self.sum.write(bits, native.sum, self.last.sum);
                }
            }
            Counts::Float => {
                let (own, buckets) = self.floats.split_at_mut(2);
                own[0].write(bits, native.count, self.last.count);
                own[1].write(bits, native.zero_count, self.last.zero_count);
                self.sum.write(bits, native.sum, self.last.sum);
                let now = native.positive_buckets.iter().chain(&native.negative_buckets);
                let last = &self.last;
                let before = last.positive_buckets.iter().chain(&last.negative_buckets);
                for (window, (now, before)) in buckets.iter_mut().zip(now.zip(before)) {
                    window.write(bits, *now, *before);
                }
            }
        }
    }
}

/// Whether a counter went back between two histograms of one layout.
fn is_reset(last: &NativeHistogram, native: &NativeHistogram) -> bool {
    let fell = |(now, before): (&f64, &f64)| now < before;
    native.counter_reset_hint == CounterResetHint::Reset
        || native.count < last.count
        || native.zero_count < last.zero_count
        || native.positive_buckets.iter().zip(&last.positive_buckets).any(fell)
        || native.negative_buckets.iter().zip(&last.negative_buckets).any(fell)
}

/// Count, zero count, then the buckets of each side as differences to the bucket before.
fn integers_of(native: &NativeHistogram) -> Vec<i64> {
    let mut integers = Vec::with_capacity(2 + native.positive_buckets.len());
    integers.extend([native.count, native.zero_count].map(|own| integer_of(own).cast_signed()));
    for side in [&native.positive_buckets, &native.negative_buckets] {
        let mut before = 0i64;
        for bucket in side {
            let value = integer_of(*bucket).cast_signed();
            debug_assert!(signed_float(value) == *bucket, "checked_counts found whole numbers");
            integers.push(value.wrapping_sub(before));
            before = value;
        }
    }
    integers
}
