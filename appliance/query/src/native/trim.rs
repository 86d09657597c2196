//! Trimming: a native histogram without the observations above or below a value.

use model::native_histogram::NativeHistogram;

use crate::native::bucket::{
    Bucket, indexed, is_custom, negative_bucket, positive_bucket, zero_bucket,
};
use crate::native::wide::Wide;

/// What stays of a bucket: observations, and the value that each is taken for.
type Kept = (f64, f64);

/// The histogram without what is above `bound` (`upper`) or below it.
#[must_use]
pub fn trimmed(histogram: &NativeHistogram, bound: f64, upper: bool) -> NativeHistogram {
    let mut result = histogram.clone();
    let (mut count, mut sum) = (0.0, 0.0);
    let mut changed = false;
    let mut take = |own: f64, (kept, middle): Kept| {
        count += kept;
        sum += middle * kept;
        changed |= own != kept;
        kept
    };
    let custom = is_custom(histogram);
    let keep = |bucket: &Bucket, positive: bool| keep(bucket, bound, upper, positive, custom);
    let positive: Vec<_> =
        indexed(&histogram.positive_spans, &histogram.positive_buckets).collect();
    for (at, (index, own)) in positive.iter().enumerate().filter(|(_, (_, own))| *own != 0.0) {
        let bucket = positive_bucket(histogram, *index, *own);
        result.positive_buckets[at] = take(*own, keep(&bucket, true));
    }
    let negative: Vec<_> =
        indexed(&histogram.negative_spans, &histogram.negative_buckets).collect();
    for (at, (index, own)) in negative.iter().enumerate().filter(|(_, (_, own))| *own != 0.0) {
        let bucket = negative_bucket(histogram, *index, *own);
        result.negative_buckets[at] = take(*own, keep(&bucket, false));
    }
    if 0.0 < histogram.zero_count {
        let counts = |cells: &[(i32, f64)]| cells.iter().any(|(_, own)| *own != 0.0);
        let sides = (counts(&negative), counts(&positive));
        let kept = keep_zero(&zero_bucket(histogram), bound, upper, sides);
        result.zero_count = take(histogram.zero_count, kept);
    }
    if !changed {
        return result;
    }
    result.count = count;
    result.sum = sum;
    Wide::from(&result).finish(true)
}

fn keep(bucket: &Bucket, bound: f64, upper: bool, positive: bool, custom: bool) -> Kept {
    let whole = if upper { bucket.upper <= bound } else { bound <= bucket.lower };
    if whole {
        return (bucket.count, middle_of(bucket.lower, bucket.upper, positive, custom));
    }
    let cut = if upper { bucket.lower < bound } else { bound < bucket.upper };
    if !cut {
        return (0.0, 0.0);
    }
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return keep_endless(bucket, bound, upper);
    }
    let below = if bound <= bucket.lower {
        0.0
    } else if bucket.upper <= bound {
        bucket.count
    } else {
        bucket.count * bucket.share_below(bound, custom)
    };
    if upper {
        return (below, middle_of(bucket.lower, bound, positive, custom));
    }
    (bucket.count - below, middle_of(bound, bucket.upper, positive, custom))
}

/// A bucket that reaches infinity is kept or dropped whole, for the most part.
fn keep_endless(bucket: &Bucket, bound: f64, upper: bool) -> Kept {
    let finite = |value: f64| if value.is_infinite() { 0.0 } else { value };
    if bucket.lower == f64::NEG_INFINITY {
        if upper {
            if 0.0 < bound && 0.0 < bucket.upper && bucket.upper.is_finite() {
                return (bucket.count * bound / bucket.upper, bound / 2.0);
            }
            if bucket.upper <= 0.0 {
                return (bucket.count, bound);
            }
            return (0.0, finite(bucket.upper));
        }
        if 0.0 <= bound && bound < bucket.upper && bucket.upper.is_finite() {
            let share = 1.0 - bound / bucket.upper;
            return (bucket.count * share, f64::midpoint(bound, bucket.upper));
        }
        return (0.0, finite(bucket.upper));
    }
    if !upper && bucket.lower <= bound {
        return (bucket.count, bound);
    }
    (0.0, finite(bucket.lower))
}

fn keep_zero(bucket: &Bucket, bound: f64, upper: bool, (negative, positive): (bool, bool)) -> Kept {
    let low = if positive && !negative { 0.0 } else { bucket.lower };
    let high = if negative && !positive { 0.0 } else { bucket.upper };
    let middle = f64::midpoint(low, high);
    let (below, above) = (bound <= low, high <= bound);
    if upper {
        if below {
            return (0.0, 0.0);
        }
        if above {
            return (bucket.count, middle);
        }
        let share = (bound - low) / (high - low);
        return (bucket.count * share, f64::midpoint(low, bound));
    }
    if below {
        return (bucket.count, middle);
    }
    if above {
        return (0.0, 0.0);
    }
    let share = (high - bound) / (high - low);
    (bucket.count * share, f64::midpoint(bound, high))
}

/// The value that observations between two bounds are taken for.
fn middle_of(lower: f64, upper: f64, positive: bool, linear: bool) -> f64 {
    if lower.is_infinite() {
        if upper.is_infinite() {
            return 0.0;
        }
        return if 0.0 < upper { upper / 2.0 } else { upper };
    }
    if upper.is_infinite() {
        return lower;
    }
    if linear {
        return f64::midpoint(lower, upper);
    }
    let middle = (lower * upper).abs().sqrt();
    if positive { middle } else { -middle }
}

#[cfg(test)]
mod tests {
    use model::native_histogram::Span;

    use super::*;

    #[test]
    fn whole_buckets_stay_or_go() {
        let histogram = NativeHistogram {
            count: 6.0,
            sum: 10.0,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..NativeHistogram::default()
        };
        let low = trimmed(&histogram, 2.0, true);
        assert_eq!((low.count, low.positive_buckets), (3.0, vec![1.0, 2.0]));
        let high = trimmed(&histogram, 2.0, false);
        assert_eq!((high.count, high.positive_buckets), (3.0, vec![3.0]));
        assert_eq!(trimmed(&histogram, 4.0, true), histogram);
    }
}
