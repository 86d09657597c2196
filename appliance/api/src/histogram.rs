//! Buckets of a native histogram with their bounds, in rising order, as answers list them.
//!
//! Source: `AllBucketIterator` and `getBound` of Prometheus's `model/histogram`.

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, Span};
use query::native::bucket::exponential_bound;

/// Which bounds belong to a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundaries {
    /// The upper only.
    LeftOpen,
    /// The lower only.
    RightOpen,
    /// Neither.
    Open,
    /// Both.
    Closed,
}

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Which bounds belong to it.
    pub boundaries: Boundaries,
    /// Observations in it.
    pub count: f64,
}

/// All buckets of `histogram`: negative from the largest magnitude down, zero, positive.
#[must_use]
pub fn buckets(histogram: &NativeHistogram) -> Vec<Bucket> {
    let mut list: Vec<Bucket> = indexed(&histogram.negative_spans, &histogram.negative_buckets)
        .map(|(index, count)| {
            let (upper, lower) = (-bound(histogram, index - 1), -bound(histogram, index));
            Bucket { lower, upper, boundaries: Boundaries::RightOpen, count }
        })
        .collect();
    list.reverse();
    if histogram.schema != CUSTOM_BUCKETS_SCHEMA && 0.0 < histogram.zero_count {
        list.push(Bucket {
            lower: -histogram.zero_threshold,
            upper: histogram.zero_threshold,
            boundaries: Boundaries::Closed,
            count: histogram.zero_count,
        });
    }
    let positive = indexed(&histogram.positive_spans, &histogram.positive_buckets);
    list.extend(positive.map(|(index, count)| {
        let custom_first = histogram.schema == CUSTOM_BUCKETS_SCHEMA && index == 0;
        Bucket {
            lower: bound(histogram, index - 1),
            upper: bound(histogram, index),
            boundaries: if custom_first { Boundaries::Closed } else { Boundaries::LeftOpen },
            count,
        }
    }));
    list
}

/// Bucket indexes and counts of a side.
fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let indexes = spans.iter().scan(0i64, |next, span| {
        let first = *next + i64::from(span.offset);
        *next = first + i64::from(span.length);
        Some(first..*next)
    });
    indexes.flatten().zip(counts.iter().copied())
}

/// Upper bound of the positive bucket `index`.
fn bound(histogram: &NativeHistogram, index: i64) -> f64 {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        return match usize::try_from(index) {
            Ok(index) => histogram.custom_values.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        };
    }
    exponential_bound(i32::try_from(index).unwrap_or(i32::MAX), histogram.schema)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn buckets_rise_from_negative_to_positive() {
        let span = vec![Span { offset: 0, length: 2 }];
        let histogram = NativeHistogram {
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive_spans: span.clone(),
            positive_buckets: vec![1.0, 3.0],
            negative_spans: span,
            negative_buckets: vec![4.0, 5.0],
            ..NativeHistogram::default()
        };
        let bounds: Vec<(f64, f64, f64)> =
            buckets(&histogram).iter().map(|b| (b.lower, b.upper, b.count)).collect();
        let expected = [
            (-2.0, -1.0, 5.0),
            (-1.0, -0.5, 4.0),
            (-0.001, 0.001, 2.0),
            (0.5, 1.0, 1.0),
            (1.0, 2.0, 3.0),
        ];
        assert_eq!(bounds, expected);
    }

    #[test]
    fn custom_buckets_have_their_own_bounds() {
        let histogram = NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            custom_values: Arc::from([5.0, 10.0]),
            ..NativeHistogram::default()
        };
        let list = buckets(&histogram);
        assert_eq!((list[0].lower, list[0].upper), (f64::NEG_INFINITY, 5.0));
        assert_eq!(list[0].boundaries, Boundaries::Closed);
        assert_eq!((list[2].lower, list[2].upper), (10.0, f64::INFINITY));
    }
}
