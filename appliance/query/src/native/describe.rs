//! Numbers that describe a native histogram: quantile, fraction, variance; and its text.

use model::native_histogram::NativeHistogram;

use crate::annotation::general;
use crate::kahan::Sum;
use crate::native::bucket::{
    Bucket, all_buckets, indexed, is_custom, negative_bucket, positive_bucket, zero_bucket,
};

/// What is to be told about observations of NaN, which are in no bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanNote {
    /// The quantile is NaN for them.
    Result,
    /// The quantile is higher for them.
    Skew,
    /// The fraction leaves them out.
    Excluded,
}

/// The quantile `q`, interpolated within its bucket: exponentially, or linearly in the zero bucket
/// and between custom bounds.
#[must_use]
pub fn quantile_of(q: f64, histogram: &NativeHistogram) -> (f64, Option<NanNote>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if 1.0 < q {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    let has_nan = histogram.sum.is_nan();
    let forward = has_nan || q < 0.5;
    let mut buckets = all_buckets(histogram);
    let mut rank = if forward { q * histogram.count } else { (1.0 - q) * histogram.count };
    if !forward {
        buckets.reverse();
    }
    let mut bucket = Bucket {
        lower: 0.0,
        upper: 0.0,
        lower_inclusive: false,
        upper_inclusive: false,
        count: 0.0,
    };
    let mut count = 0.0;
    let mut at = 0;
    while at < buckets.len() {
        bucket = buckets[at];
        at += 1;
        if bucket.count != 0.0 {
            count += bucket.count;
            if rank <= count {
                break;
            }
        }
    }
    if let Some(value) = narrow(histogram, &mut bucket) {
        return (value, None);
    }
    count = count.min(histogram.count);
    if count < rank {
        let note = has_nan.then_some(NanNote::Result);
        return (if has_nan { f64::NAN } else { bucket.upper }, note);
    }
    rank = if forward { rank - (count - bucket.count) } else { count - rank };
    let seen = count + buckets[at..].iter().map(|bucket| bucket.count).sum::<f64>();
    let note = (has_nan && seen < histogram.count).then_some(NanNote::Skew);
    if let (true, [.., last]) = (has_nan, &buckets[at..]) {
        // Upstream looks for NaN in the buckets that follow, and goes on with the last of them.
        bucket = *last;
    }
    (interpolated(histogram, &bucket, rank / bucket.count), note)
}

/// Moves a bound of the bucket to zero where all observations are on one side of it; gives the
/// quantile where the bucket has no other end.
fn narrow(histogram: &NativeHistogram, bucket: &mut Bucket) -> Option<f64> {
    if is_custom(histogram) {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return Some(bucket.upper);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return Some(bucket.lower);
        }
    } else if bucket.lower < 0.0 && 0.0 < bucket.upper {
        one_sided(histogram, bucket);
    }
    None
}

fn one_sided(histogram: &NativeHistogram, bucket: &mut Bucket) {
    let (negative, positive) =
        (histogram.negative_buckets.is_empty(), histogram.positive_buckets.is_empty());
    if negative && !positive {
        bucket.lower = 0.0;
    } else if positive && !negative {
        bucket.upper = 0.0;
    }
}

fn interpolated(histogram: &NativeHistogram, bucket: &Bucket, fraction: f64) -> f64 {
    let (lower, upper) = (bucket.lower, bucket.upper);
    if is_custom(histogram) || (lower <= 0.0 && 0.0 <= upper) {
        return lower + (upper - lower) * fraction;
    }
    let (lower_log, upper_log) = (lower.abs().log2(), upper.abs().log2());
    if 0.0 < lower {
        return (lower_log + (upper_log - lower_log) * fraction).exp2();
    }
    -(upper_log + (lower_log - upper_log) * (1.0 - fraction)).exp2()
}

/// The fraction of observations between two values.
#[must_use]
pub fn fraction_of(lower: f64, upper: f64, histogram: &NativeHistogram) -> (f64, Option<NanNote>) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if upper <= lower {
        return (0.0, None);
    }
    let buckets = all_buckets(histogram);
    let mut count = histogram.count;
    let mut note = None;
    if histogram.sum.is_nan() {
        count = buckets.iter().map(|bucket| bucket.count).sum();
        note = (count < histogram.count).then_some(NanNote::Excluded);
    }
    let rank =
        |value: f64| rank_of(value, histogram, &buckets).map_or(count, |rank| rank.min(count));
    ((rank(upper) - rank(lower)) / histogram.count, note)
}

/// Observations below `value`; `None` beyond the last bucket.
fn rank_of(value: f64, histogram: &NativeHistogram, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    for bucket in buckets {
        let mut bucket = *bucket;
        let zero = bucket.lower <= 0.0 && 0.0 <= bucket.upper;
        if zero {
            one_sided(histogram, &mut bucket);
        }
        if value <= bucket.lower {
            return Some(rank);
        }
        if value < bucket.upper {
            let linear = is_custom(histogram) || zero;
            if linear && bucket.lower == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + bucket.count * bucket.share_below(value, linear));
        }
        rank += bucket.count;
    }
    None
}

/// The variance of the observations, each taken for the middle of its bucket.
#[must_use]
pub fn variance_of(histogram: &NativeHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut sum = Sum::default();
    for bucket in all_buckets(histogram).iter().filter(|bucket| bucket.count != 0.0) {
        let middle = if is_custom(histogram) {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && 0.0 <= bucket.upper {
            0.0
        } else {
            let middle = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -middle } else { middle }
        };
        let delta = middle - mean;
        sum = sum.add(bucket.count * delta * delta);
    }
    (sum.sum + sum.compensation) / histogram.count
}

/// The histogram as Prometheus prints it: `{count:3, sum:5, (1,2]:3}`.
#[must_use]
pub fn text_of(histogram: &NativeHistogram) -> String {
    let negative = indexed(&histogram.negative_spans, &histogram.negative_buckets);
    let mut buckets: Vec<_> =
        negative.map(|(index, count)| negative_bucket(histogram, index, count)).collect();
    buckets.reverse();
    buckets.push(zero_bucket(histogram));
    let positive = indexed(&histogram.positive_spans, &histogram.positive_buckets);
    buckets.extend(positive.map(|(index, count)| positive_bucket(histogram, index, count)));
    let number = |value: f64| general(value, None);
    let mut text = format!("{{count:{}, sum:{}", number(histogram.count), number(histogram.sum));
    for bucket in buckets.iter().filter(|bucket| bucket.count != 0.0) {
        text.push_str(&format!(
            ", {}{},{}{}:{}",
            if bucket.lower_inclusive { '[' } else { '(' },
            number(bucket.lower),
            number(bucket.upper),
            if bucket.upper_inclusive { ']' } else { ')' },
            number(bucket.count)
        ));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use model::native_histogram::Span;

    use super::*;

    fn histogram() -> NativeHistogram {
        NativeHistogram {
            count: 12.0,
            sum: 100.0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive_spans: vec![Span { offset: 0, length: 4 }],
            positive_buckets: vec![2.0, 3.0, 0.0, 5.0],
            ..NativeHistogram::default()
        }
    }

    #[test]
    fn quantiles_lie_in_their_bucket() {
        let (value, _) = quantile_of(1.0, &histogram());
        assert_eq!(value, 8.0);
        let (value, _) = quantile_of(0.0, &histogram());
        assert_eq!(value, 0.0);
        let (median, _) = quantile_of(0.5, &histogram());
        assert!((median - 1.587_401_051_968_199_4).abs() < 1e-12, "{median}");
    }

    #[test]
    fn fractions_add_up() {
        let (all, _) = fraction_of(f64::NEG_INFINITY, f64::INFINITY, &histogram());
        assert_eq!(all, 1.0);
        let (part, _) = fraction_of(1.0, 2.0, &histogram());
        assert_eq!(part, 0.25);
    }

    #[test]
    fn a_histogram_prints_its_buckets() {
        let text = "{count:12, sum:100, [-0.001,0.001]:2, (0.5,1]:2, (1,2]:3, (4,8]:5}";
        assert_eq!(text_of(&histogram()), text);
    }
}
