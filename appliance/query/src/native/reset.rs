//! Counter resets between native histograms, and equality.

use model::native_histogram::{CounterResetHint, NativeHistogram, Span};

use crate::native::bucket::{exponential_bound, indexed, is_custom};
use crate::native::wide::coarser;

/// Whether the counter was reset between `previous` and `histogram`: a hint says so, or a count
/// fell, or the layout changed as only a reset changes it.
#[must_use]
pub fn detect_reset(histogram: &NativeHistogram, previous: &NativeHistogram) -> bool {
    match histogram.counter_reset_hint {
        CounterResetHint::Reset => return true,
        CounterResetHint::NotReset => return false,
        CounterResetHint::Unknown | CounterResetHint::Gauge => {}
    }
    if histogram.count < previous.count {
        return true;
    }
    if is_custom(histogram) || is_custom(previous) {
        return !is_custom(previous) || !is_custom(histogram) || custom_fell(histogram, previous);
    }
    if previous.schema < histogram.schema || histogram.zero_threshold < previous.zero_threshold {
        return true;
    }
    let Some(previous_zero) = zero_count_within(previous, histogram.zero_threshold) else {
        return true;
    };
    histogram.zero_count < previous_zero
        || side_fell(histogram, previous, |h| (&h.positive_spans, &h.positive_buckets))
        || side_fell(histogram, previous, |h| (&h.negative_spans, &h.negative_buckets))
}

/// Count of a zero bucket widened to `threshold`; `None` when that would cut a bucket with
/// observations.
fn zero_count_within(histogram: &NativeHistogram, threshold: f64) -> Option<f64> {
    if threshold == histogram.zero_threshold {
        return Some(histogram.zero_count);
    }
    let mut count = histogram.zero_count;
    let positive = indexed(&histogram.positive_spans, &histogram.positive_buckets);
    let negative = indexed(&histogram.negative_spans, &histogram.negative_buckets);
    for (index, own) in positive.chain(negative) {
        if threshold <= exponential_bound(index - 1, histogram.schema) {
            continue;
        }
        if threshold < exponential_bound(index, histogram.schema) {
            if own != 0.0 {
                return None;
            }
            continue;
        }
        count += own;
    }
    Some(count)
}

/// Whether a bucket outside of the zero bucket counts less than before.
fn side_fell(
    histogram: &NativeHistogram,
    previous: &NativeHistogram,
    side: impl Fn(&NativeHistogram) -> (&Vec<Span>, &Vec<f64>),
) -> bool {
    let (spans, counts) = side(histogram);
    let (previous_spans, previous_counts) = side(previous);
    let by = previous.schema - histogram.schema;
    let mut before: Vec<(i32, f64)> = Vec::new();
    for (index, count) in indexed(previous_spans, previous_counts) {
        let index = coarser(index, by);
        match before.last_mut() {
            Some((known, sum)) if *known == index => *sum += count,
            _ => before.push((index, count)),
        }
    }
    let threshold = histogram.zero_threshold;
    let inside =
        |index: i32| 0.0 < threshold && exponential_bound(index, histogram.schema) <= threshold;
    let mut now = indexed(spans, counts).peekable();
    for (index, count) in before {
        if inside(index) || count == 0.0 {
            continue;
        }
        while now.next_if(|(known, _)| *known < index).is_some() {}
        let current = now.peek().filter(|(known, _)| *known == index).map_or(0.0, |(_, c)| *c);
        if current < count {
            return true;
        }
    }
    false
}

/// Whether fewer observations are between bounds that both histograms have.
fn custom_fell(histogram: &NativeHistogram, previous: &NativeHistogram) -> bool {
    let bounds = histogram.custom_values.iter().copied();
    let common: Vec<f64> = bounds
        .filter(|bound| previous.custom_values.contains(bound))
        .chain([f64::INFINITY])
        .collect();
    let now = between(histogram, &common);
    let before = between(previous, &common);
    now.iter().zip(&before).any(|(now, before)| now < before)
}

/// Observations up to each of `bounds` from the one before.
fn between(histogram: &NativeHistogram, bounds: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; bounds.len()];
    for (index, count) in indexed(&histogram.positive_spans, &histogram.positive_buckets) {
        let own = usize::try_from(index).ok().and_then(|at| histogram.custom_values.get(at));
        let bound = own.copied().unwrap_or(f64::INFINITY);
        let at = bounds.partition_point(|known| *known < bound).min(bounds.len() - 1);
        counts[at] += count;
    }
    counts
}

/// Whether two histograms are the same, bit by bit, their hints apart.
#[must_use]
pub fn same(left: &NativeHistogram, right: &NativeHistogram) -> bool {
    let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
    let all =
        |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| bits(*a, *b));
    let spans = |a: &[Span], b: &[Span]| indexed_spans(a).eq(indexed_spans(b));
    left.schema == right.schema
        && bits(left.count, right.count)
        && bits(left.sum, right.sum)
        && (!is_custom(left) || left.custom_values == right.custom_values)
        && left.zero_threshold == right.zero_threshold
        && bits(left.zero_count, right.zero_count)
        && spans(&left.negative_spans, &right.negative_spans)
        && all(&left.negative_buckets, &right.negative_buckets)
        && spans(&left.positive_spans, &right.positive_spans)
        && all(&left.positive_buckets, &right.positive_buckets)
}

fn indexed_spans(spans: &[Span]) -> impl Iterator<Item = i32> {
    let count = spans.iter().map(|span| span.length as usize).sum();
    let counts = vec![0.0; count];
    indexed(spans, &counts).map(|(index, _)| index).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(count: f64, counts: &[f64]) -> NativeHistogram {
        NativeHistogram {
            count,
            positive_spans: vec![Span {
                offset: 0,
                length: u32::try_from(counts.len()).expect("few"),
            }],
            positive_buckets: counts.to_vec(),
            ..NativeHistogram::default()
        }
    }

    #[track_caller]
    fn check(before: &NativeHistogram, after: &NativeHistogram, reset: bool) {
        assert_eq!(detect_reset(after, before), reset);
    }

    #[test]
    fn falling_counts_are_resets() {
        let before = histogram(3.0, &[1.0, 2.0]);
        check(&before, &histogram(4.0, &[1.0, 3.0]), false);
        check(&before, &histogram(2.0, &[1.0, 1.0]), true);
        check(&before, &histogram(4.0, &[3.0, 1.0]), true);
        check(&before, &histogram(4.0, &[4.0]), true);
        let hinted = NativeHistogram {
            counter_reset_hint: CounterResetHint::NotReset,
            ..histogram(1.0, &[1.0])
        };
        check(&before, &hinted, false);
    }

    #[test]
    fn finer_buckets_than_before_are_a_reset() {
        let before = histogram(3.0, &[1.0, 2.0]);
        let finer = NativeHistogram { schema: 1, ..histogram(4.0, &[1.0, 3.0]) };
        check(&before, &finer, true);
        check(&finer, &NativeHistogram { count: 9.0, ..histogram(9.0, &[5.0, 5.0]) }, false);
    }
}
