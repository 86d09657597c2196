//! Samples for tests: every pattern of a float, and histograms that hang together.

use std::sync::Arc;

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};
use model::staleness::{STALE_NAN_BITS, stale_nan};
use proptest::prelude::*;

use crate::sample::{Counts, Sample, Value};

/// Any float, staleness markers and likely values more often.
pub(crate) fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => any::<u64>().prop_map(f64::from_bits),
        3 => (0i64..1000).prop_map(|value| value as f64 / 8.0),
        1 => Just(f64::from_bits(STALE_NAN_BITS)),
        1 => Just(f64::NAN),
    ]
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let span = (0i32..5, 0u32..4).prop_map(|(offset, length)| Span { offset, length });
    prop::collection::vec(span, 0..4)
}

fn buckets_of(spans: &[Span], counts: Counts, seeds: &[u64]) -> Vec<f64> {
    let count: u32 = spans.iter().map(|span| span.length).sum();
    (0..count as usize).map(|at| count_of(counts, seeds[at % seeds.len()])).collect()
}

fn count_of(counts: Counts, seed: u64) -> f64 {
    match counts {
        Counts::Integer => (seed >> 13) as f64,
        Counts::Float => f64::from_bits(seed),
    }
}

fn hint() -> impl Strategy<Value = CounterResetHint> {
    prop_oneof![
        Just(CounterResetHint::Unknown),
        Just(CounterResetHint::Reset),
        Just(CounterResetHint::Gauge),
    ]
}

fn any_histogram() -> impl Strategy<Value = Value> {
    let counts = prop_oneof![Just(Counts::Integer), Just(Counts::Float)];
    let schema = prop_oneof![Just(0), Just(-4), Just(8), Just(CUSTOM_BUCKETS_SCHEMA)];
    let seeds = prop::collection::vec(any::<u64>(), 1..8);
    let bounds = prop::collection::vec(any_float(), 0..4);
    let parts = (counts, schema, spans(), spans(), seeds, bounds, any_float(), hint());
    parts.prop_map(|(counts, schema, positive, negative, seeds, bounds, sum, hint)| {
        let custom = schema == CUSTOM_BUCKETS_SCHEMA;
        let native = NativeHistogram {
            counter_reset_hint: hint,
            schema,
            zero_threshold: f64::from_bits(seeds[0]),
            zero_count: count_of(counts, seeds[seeds.len() / 2]),
            count: count_of(counts, seeds[0]),
            sum,
            positive_buckets: buckets_of(&positive, counts, &seeds),
            negative_buckets: buckets_of(&negative, counts, &seeds),
            positive_spans: positive,
            negative_spans: negative,
            custom_values: if custom { Arc::from(bounds) } else { Arc::from([]) },
        };
        let Value::Histogram(histogram) = Sample::histogram(0, counts, native).value else {
            unreachable!("a histogram was made")
        };
        Value::Histogram(histogram)
    })
}

/// A series: samples at rising times, floats and histograms mixed, some repeated.
pub(crate) fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let float = any_float().prop_map(Value::Float);
    let value = prop_oneof![3 => float, 2 => any_histogram()];
    let gap = prop_oneof![4 => Just(15_000i64), 2 => 1i64..100_000, 1 => 1i64..1 << 50];
    let run = (value, prop::collection::vec(gap, 1..90));
    (-(1i64 << 52)..1 << 52, prop::collection::vec(run, 1..8)).prop_map(|(mut at, runs)| {
        let mut samples = Vec::new();
        for (value, gaps) in runs {
            for gap in gaps {
                at += gap;
                let sample = Sample { value: value.clone(), ..Sample::float(at, 0.0) };
                samples.push(sample);
            }
        }
        samples
    })
}

/// What is read back of `written`: stale histograms are nothing but their sum, and the hints are
/// what a chunk can tell.
pub(crate) fn check_read_back(written: &[Sample], read: &[Sample]) -> Result<(), String> {
    if written.len() != read.len() {
        return Err(format!("{} written, {} read", written.len(), read.len()));
    }
    for (wrote, read) in written.iter().zip(read) {
        let expected = expected(wrote, read);
        if !expected.same_bits(read) {
            return Err(format!("wrote {wrote:?}, read {read:?}"));
        }
    }
    Ok(())
}

fn expected(wrote: &Sample, read: &Sample) -> Sample {
    let mut expected = wrote.clone();
    let (Value::Histogram(histogram), Value::Histogram(found)) = (&mut expected.value, &read.value)
    else {
        return expected;
    };
    if model::staleness::is_stale(histogram.native.sum) {
        histogram.native = NativeHistogram { sum: stale_nan(), ..NativeHistogram::default() };
        return expected;
    }
    let gauge = histogram.native.counter_reset_hint == CounterResetHint::Gauge;
    let reset = histogram.native.counter_reset_hint == CounterResetHint::Reset;
    let told = found.native.counter_reset_hint;
    // A counter's first histogram in a chunk says nothing, the others that there was no reset.
    let allowed = match (gauge, reset) {
        (true, _) => told == CounterResetHint::Gauge,
        (false, true) => told == CounterResetHint::Unknown,
        (false, false) => told != CounterResetHint::Gauge && told != CounterResetHint::Reset,
    };
    if allowed {
        histogram.native.counter_reset_hint = told;
    }
    expected
}
