//! Sums of native histograms for repetitions such as `{{...}}+{{...}}x5`.

use std::collections::BTreeMap;

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};

/// Counts by bucket index.
type Buckets = BTreeMap<i32, f64>;

/// `base` with `step` times `factor` added, in the schema of `base`.
///
/// # Errors
/// The two have no common buckets; the text is Prometheus's.
pub(crate) fn add_scaled(
    base: &NativeHistogram,
    step: &NativeHistogram,
    factor: f64,
) -> Result<NativeHistogram, String> {
    if base.schema > step.schema {
        let (from, to) = (step.schema, base.schema);
        return Err(format!("error combining histograms: cannot merge from schema {from} to {to}"));
    }
    let custom = base.schema == CUSTOM_BUCKETS_SCHEMA;
    if custom != (step.schema == CUSTOM_BUCKETS_SCHEMA) {
        return Err("cannot apply this operation on histograms with a mix of exponential and \
                    custom bucket schemas"
            .to_owned());
    }
    if custom && base.custom_values != step.custom_values {
        return Err("histograms of one repetition need the same custom bounds".to_owned());
    }
    let mut sum = base.clone();
    let shift = if custom { 0 } else { step.schema.abs_diff(base.schema) };
    let mut positive = buckets(&base.positive_spans, &base.positive_buckets, 0);
    let mut negative = buckets(&base.negative_spans, &base.negative_buckets, 0);
    let mut step_positive = buckets(&step.positive_spans, &step.positive_buckets, shift);
    let mut step_negative = buckets(&step.negative_spans, &step.negative_buckets, shift);
    let mut step_zero = step.zero_count;
    if base.zero_threshold != step.zero_threshold {
        sum.zero_threshold = base.zero_threshold.max(step.zero_threshold);
        let bound = |index: i32| (f64::from(index) * f64::from(-base.schema).exp2()).exp2();
        for side in [&positive, &negative, &step_positive, &step_negative] {
            for index in side.iter().filter(|(_, count)| **count != 0.0).map(|(index, _)| *index) {
                if bound(index - 1) < sum.zero_threshold && sum.zero_threshold < bound(index) {
                    sum.zero_threshold = bound(index);
                }
            }
        }
        let in_zero = |index: i32| bound(index) <= sum.zero_threshold;
        sum.zero_count += take(&mut positive, in_zero) + take(&mut negative, in_zero);
        step_zero += take(&mut step_positive, in_zero) + take(&mut step_negative, in_zero);
    }
    sum.count += factor * step.count;
    sum.sum += factor * step.sum;
    sum.zero_count += factor * step_zero;
    for (side, of_step) in [(&mut positive, step_positive), (&mut negative, step_negative)] {
        for (index, count) in of_step {
            *side.entry(index).or_default() += factor * count;
        }
    }
    (sum.positive_spans, sum.positive_buckets) = packed(&positive);
    (sum.negative_spans, sum.negative_buckets) = packed(&negative);
    sum.counter_reset_hint = combined_hint(base.counter_reset_hint, step.counter_reset_hint);
    Ok(sum)
}

/// Counts by index, in a schema coarser by `shift`.
fn buckets(spans: &[Span], counts: &[f64], shift: u32) -> Buckets {
    let mut counts = counts.iter();
    let mut buckets = Buckets::new();
    let mut index: i32 = 0;
    for span in spans {
        index = index.saturating_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            let coarse = ((index.saturating_sub(1)) >> shift.min(31)) + 1;
            *buckets.entry(if shift == 0 { index } else { coarse }).or_default() += count;
            index = index.saturating_add(1);
        }
    }
    buckets
}

/// Removes the buckets for which `wanted` holds; gives their counts' sum.
fn take(buckets: &mut Buckets, wanted: impl Fn(i32) -> bool) -> f64 {
    let mut taken = 0.0;
    buckets.retain(|index, count| {
        let remove = wanted(*index);
        taken += if remove { *count } else { 0.0 };
        !remove
    });
    taken
}

fn packed(buckets: &Buckets) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next: Option<i32> = None;
    for index in buckets.keys() {
        match spans.last_mut() {
            Some(span) if next == Some(*index) => span.length += 1,
            _ => spans.push(Span { offset: index - next.unwrap_or(0), length: 1 }),
        }
        next = Some(index.saturating_add(1));
    }
    (spans, buckets.values().copied().collect())
}

fn combined_hint(base: CounterResetHint, step: CounterResetHint) -> CounterResetHint {
    use CounterResetHint::{Gauge, Unknown};
    match (base, step) {
        (base, step) if base == step => base,
        (Gauge, _) | (_, Gauge) => Gauge,
        _ => Unknown,
    }
}
