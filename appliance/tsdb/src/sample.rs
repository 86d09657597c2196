//! Sample: one value of a series at one time, as chunks and logs hold it.

use model::native_histogram::NativeHistogram;
use model::staleness::is_stale;
use model::time::TimestampMs;

/// One value at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When it was taken.
    pub timestamp: TimestampMs,
    /// Since when its counter counts; 0 where that is not known.
    pub start: TimestampMs,
    /// The value.
    pub value: Value,
}

/// A float or a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A float, the staleness marker too.
    Float(f64),
    /// A native histogram; where its sum is the staleness marker, nothing else of it counts.
    Histogram(Box<Histogram>),
}

/// A native histogram and the form its counts are stored in.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// How the counts are stored.
    pub counts: Counts,
    /// The histogram. Integer counts above 2^53 are rounded.
    pub native: NativeHistogram,
}

/// Form of a histogram's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counts {
    /// Unsigned integers.
    Integer,
    /// Floats.
    Float,
}

impl Sample {
    /// A float without a known start.
    #[must_use]
    pub fn float(timestamp_ms: i64, value: f64) -> Sample {
        let start = TimestampMs(0);
        Sample { timestamp: TimestampMs(timestamp_ms), start, value: Value::Float(value) }
    }

    /// A histogram without a known start.
    #[must_use]
    pub fn histogram(timestamp_ms: i64, counts: Counts, native: NativeHistogram) -> Sample {
        let value = Value::Histogram(Box::new(Histogram { counts, native }));
        Sample { timestamp: TimestampMs(timestamp_ms), start: TimestampMs(0), value }
    }

    /// Whether both are equal bit for bit: NaNs and their payloads too.
    #[must_use]
    pub fn same_bits(&self, other: &Sample) -> bool {
        self.timestamp == other.timestamp
            && self.start == other.start
            && self.value.same_bits(&other.value)
    }
}

impl Value {
    /// Whether this is the staleness marker, of floats or of histograms.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        match self {
            Value::Float(value) => is_stale(*value),
            Value::Histogram(histogram) => is_stale(histogram.native.sum),
        }
    }

    /// Whether both are equal bit for bit.
    #[must_use]
    pub fn same_bits(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Histogram(a), Value::Histogram(b)) => {
                a.counts == b.counts && same_histogram(&a.native, &b.native)
            }
            _ => false,
        }
    }
}

fn same_histogram(a: &NativeHistogram, b: &NativeHistogram) -> bool {
    let same = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    };
    a.counter_reset_hint == b.counter_reset_hint
        && a.schema == b.schema
        && same(
            &[a.zero_threshold, a.zero_count, a.count, a.sum],
            &[b.zero_threshold, b.zero_count, b.count, b.sum],
        )
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && same(&a.positive_buckets, &b.positive_buckets)
        && same(&a.negative_buckets, &b.negative_buckets)
        && same(&a.custom_values, &b.custom_values)
}
