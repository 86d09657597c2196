//! Buckets of a native histogram: their bounds, and all of them in order of value.

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, Span};

use crate::native::bound_table::{FINEST_SCHEMA, HALVES};

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether the lower bound is inside.
    pub lower_inclusive: bool,
    /// Whether the upper bound is inside.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
}

impl Bucket {
    /// The share of the bucket at or below `value`, which lies within its finite bounds.
    #[must_use]
    pub fn share_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let [lower, upper, value_log] =
            [self.lower, self.upper, value].map(|bound| bound.abs().log2());
        if 0.0 < value {
            return (value_log - lower) / (upper - lower);
        }
        1.0 - (value_log - upper) / (lower - upper)
    }
}

/// Whether the bounds are the histogram's own.
#[must_use]
pub fn is_custom(histogram: &NativeHistogram) -> bool {
    histogram.schema == CUSTOM_BUCKETS_SCHEMA
}

/// Index and count of the buckets in `spans`.
pub fn indexed(spans: &[Span], counts: &[f64]) -> impl Iterator<Item = (i32, f64)> {
    let mut next = 0i32;
    let indexes = spans.iter().flat_map(move |span| {
        let first = next.saturating_add(span.offset);
        let length = i32::try_from(span.length).unwrap_or(i32::MAX);
        next = first.saturating_add(length);
        first..next
    });
    indexes.zip(counts.iter().copied())
}

/// Upper bound of the positive bucket `index` of an exponential schema.
#[must_use]
pub fn exponential_bound(index: i32, schema: i32) -> f64 {
    // The last regular bucket ends at the largest float: the next one counts infinities.
    let bounded = |bound: f64, exponent: i64| if exponent == 1024 { f64::MAX } else { bound };
    if schema < 0 {
        let exponent = i64::from(index) << -schema;
        return bounded(power_of_two(exponent), exponent);
    }
    let schema = schema.unsigned_abs().min(FINEST_SCHEMA);
    let exponent = i64::from(index) >> schema;
    let part = index.cast_unsigned() & ((1 << schema) - 1);
    if part == 0 {
        return bounded(power_of_two(exponent), exponent);
    }
    2.0 * HALVES[(part << (FINEST_SCHEMA - schema)) as usize] * power_of_two(exponent)
}

fn power_of_two(exponent: i64) -> f64 {
    let exponent = exponent.clamp(-2000, 2000);
    f64::powi(2.0, i32::try_from(exponent).expect("held between -2000 and 2000"))
}

/// Upper bound of bucket `index` on the positive side of a histogram.
#[must_use]
pub fn upper_bound(histogram: &NativeHistogram, index: i32) -> f64 {
    if !is_custom(histogram) {
        return exponential_bound(index, histogram.schema);
    }
    match usize::try_from(index) {
        Err(_) => f64::NEG_INFINITY,
        Ok(index) => histogram.custom_values.get(index).copied().unwrap_or(f64::INFINITY),
    }
}

/// The positive bucket `index`.
#[must_use]
pub fn positive_bucket(histogram: &NativeHistogram, index: i32, count: f64) -> Bucket {
    let lower = upper_bound(histogram, index.saturating_sub(1));
    let upper = upper_bound(histogram, index);
    bounded(histogram, index, lower, upper, count)
}

/// The negative bucket `index`.
#[must_use]
pub fn negative_bucket(histogram: &NativeHistogram, index: i32, count: f64) -> Bucket {
    let lower = -upper_bound(histogram, index);
    let upper = -upper_bound(histogram, index.saturating_sub(1));
    bounded(histogram, index, lower, upper, count)
}

fn bounded(histogram: &NativeHistogram, index: i32, lower: f64, upper: f64, count: f64) -> Bucket {
    let custom = is_custom(histogram);
    Bucket {
        lower,
        upper,
        lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
        upper_inclusive: custom || 0.0 < upper,
        count,
    }
}

/// The bucket around zero.
#[must_use]
pub fn zero_bucket(histogram: &NativeHistogram) -> Bucket {
    Bucket {
        lower: -histogram.zero_threshold,
        upper: histogram.zero_threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count: histogram.zero_count,
    }
}

/// All buckets from the lowest to the highest; the zero bucket only where it counts anything.
/// Bounds within the zero bucket are moved to its edge.
#[must_use]
pub fn all_buckets(histogram: &NativeHistogram) -> Vec<Bucket> {
    let negative = indexed(&histogram.negative_spans, &histogram.negative_buckets);
    let mut buckets: Vec<_> =
        negative.map(|(index, count)| negative_bucket(histogram, index, count)).collect();
    buckets.reverse();
    if 0.0 < histogram.zero_count {
        buckets.push(zero_bucket(histogram));
    }
    let positive = indexed(&histogram.positive_spans, &histogram.positive_buckets);
    buckets.extend(positive.map(|(index, count)| positive_bucket(histogram, index, count)));
    let zero = histogram.zero_threshold;
    for bucket in &mut buckets {
        if bucket.upper < 0.0 && -zero < bucket.upper {
            bucket.upper = -zero;
        } else if 0.0 < bucket.lower && bucket.lower < zero {
            bucket.lower = zero;
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_by_the_schema() {
        assert_eq!(exponential_bound(0, 0), 1.0);
        assert_eq!(exponential_bound(3, 0), 8.0);
        assert_eq!(exponential_bound(-1, 0), 0.5);
        assert_eq!(exponential_bound(1, -1), 4.0);
        assert_eq!(exponential_bound(1, 1).to_string(), "1.414213562373095");
        assert_eq!(exponential_bound(-1, 2).to_string(), "0.8408964152537144");
        assert_eq!(exponential_bound(1024, 0), f64::MAX);
        assert_eq!(exponential_bound(1025, 0), f64::INFINITY);
    }

    #[test]
    fn spans_give_indexes() {
        let spans = [Span { offset: -1, length: 2 }, Span { offset: 2, length: 1 }];
        let found: Vec<_> = indexed(&spans, &[1.0, 2.0, 3.0]).collect();
        assert_eq!(found, [(-1, 1.0), (0, 2.0), (3, 3.0)]);
    }
}
