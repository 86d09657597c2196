//! Native histograms on their way in: checked, compact, at most so fine.
//!
//! Path: `protobuf`, `nhcb` → **native** → entries; `scrape` reduces what a job wants coarser.
//! Never: gives a histogram that is not compact: no empty bucket, no span that touches the next.

use model::native_histogram::{
    CUSTOM_BUCKETS_SCHEMA, NativeHistogram, SCHEMA_MAX, SCHEMA_MIN, Span,
};

/// Finest schema that a future format may have (upstream's reserved range); finer than
/// [`SCHEMA_MAX`] is reduced to that.
const SCHEMA_RESERVED_MAX: i32 = 52;

/// Why buckets are no native histogram; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NativeError {
    /// The schema is none.
    #[error(
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, \
         or -53 for custom buckets, got schema {0}"
    )]
    Schema(i32),
    /// A span begins before the end of the one before it.
    #[error(
        "span number {number} with offset {offset}: histogram has a span whose offset is negative"
    )]
    SpanOffset {
        /// Which span, from 1.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// Spans and buckets do not fit together.
    #[error("{side} side: spans require {wanted} buckets, have {found}")]
    Spans {
        /// Sign of the observations.
        side: &'static str,
        /// Buckets that the spans have.
        wanted: u64,
        /// Buckets that there are.
        found: usize,
    },
    /// An index beyond 32 bits.
    #[error("histogram has a bucket whose index is out of range")]
    Index,
    /// A bucket with less than nothing in it.
    #[error(
        "bucket number {number} has observation count of {count}: histogram has a bucket whose \
         observation count is negative"
    )]
    Negative {
        /// Which bucket, from 1.
        number: usize,
        /// Its count.
        count: f64,
    },
    /// The buckets do not add up.
    #[error(
        "{in_buckets} observations found in buckets, but the Count field is {count}: histogram's \
         observation count does not equal the number of observations found in the buckets"
    )]
    Count {
        /// Observations in buckets.
        in_buckets: f64,
        /// Observations in all.
        count: f64,
    },
    /// A bound that is not above the one before it, or is infinite or NaN.
    #[error("histogram custom bounds must be finite and in strictly increasing order")]
    Bounds,
    /// Custom buckets with something that they cannot have.
    #[error("custom buckets: must have no zero bucket and no negative buckets")]
    Custom,
}

/// Makes a histogram of buckets as they came compact, and checks that it is one.
///
/// # Errors
/// See [`NativeError`]; whether the buckets add up is [`check_counts`]'s.
pub fn finish(histogram: &mut NativeHistogram) -> Result<(), NativeError> {
    let schema = histogram.schema;
    if schema == CUSTOM_BUCKETS_SCHEMA {
        check_custom(histogram)?;
    } else if !(SCHEMA_MIN..=SCHEMA_RESERVED_MAX).contains(&schema) {
        return Err(NativeError::Schema(schema));
    }
    let positive = indexed("positive", &histogram.positive_spans, &histogram.positive_buckets)?;
    let negative = indexed("negative", &histogram.negative_spans, &histogram.negative_buckets)?;
    if schema == CUSTOM_BUCKETS_SCHEMA {
        let bounds = histogram.custom_values.len();
        let inside = |(index, _): &(i32, f64)| usize::try_from(*index).is_ok_and(|i| i <= bounds);
        if !positive.iter().all(inside) {
            return Err(NativeError::Index);
        }
    }
    set_buckets(histogram, &positive, &negative);
    if SCHEMA_MAX < schema {
        reduce(histogram, SCHEMA_MAX);
    }
    Ok(())
}

/// Whether the buckets of a histogram of whole counts add up; sums of fractions are not exact, and
/// are not looked at.
///
/// # Errors
/// [`NativeError::Count`].
pub fn check_counts(histogram: &NativeHistogram) -> Result<(), NativeError> {
    let buckets = || histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
    let count = histogram.count;
    let mut counts = buckets().chain([&count, &histogram.zero_count]);
    if !counts.all(|count| count.fract() == 0.0) {
        return Ok(());
    }
    let in_buckets = buckets().sum::<f64>() + histogram.zero_count;
    // An observation of NaN is in no bucket.
    let adds_up = if histogram.sum.is_nan() { in_buckets <= count } else { in_buckets == count };
    if adds_up { Ok(()) } else { Err(NativeError::Count { in_buckets, count }) }
}

fn check_custom(histogram: &NativeHistogram) -> Result<(), NativeError> {
    let bounds = &histogram.custom_values;
    let rising = bounds.windows(2).all(|two| two[0] < two[1]);
    if !rising || !bounds.iter().all(|bound| bound.is_finite()) {
        return Err(NativeError::Bounds);
    }
    let none = histogram.negative_spans.is_empty() && histogram.negative_buckets.is_empty();
    if histogram.zero_count != 0.0 || histogram.zero_threshold != 0.0 || !none {
        return Err(NativeError::Custom);
    }
    Ok(())
}

/// Index and count of the buckets that are not empty.
fn indexed(
    side: &'static str,
    spans: &[Span],
    buckets: &[f64],
) -> Result<Vec<(i32, f64)>, NativeError> {
    let wanted = spans.iter().map(|span| u64::from(span.length)).sum::<u64>();
    let found = buckets.len();
    if wanted != found as u64 {
        return Err(NativeError::Spans { side, wanted, found });
    }
    let mut indexed = Vec::with_capacity(found);
    let mut next = 0_i32;
    let mut counts = buckets.iter().zip(1..);
    for (span, number) in spans.iter().zip(1..) {
        let offset = span.offset;
        if 1 < number && offset < 0 {
            return Err(NativeError::SpanOffset { number, offset });
        }
        next = next.checked_add(offset).ok_or(NativeError::Index)?;
        for (count, number) in counts.by_ref().take(span.length as usize) {
            if *count < 0.0 {
                return Err(NativeError::Negative { number, count: *count });
            }
            if *count != 0.0 {
                indexed.push((next, *count));
            }
            next = next.checked_add(1).ok_or(NativeError::Index)?;
        }
    }
    Ok(indexed)
}

fn set_buckets(histogram: &mut NativeHistogram, positive: &[(i32, f64)], negative: &[(i32, f64)]) {
    (histogram.positive_spans, histogram.positive_buckets) = spanned(positive);
    (histogram.negative_spans, histogram.negative_buckets) = spanned(negative);
}

/// Spans and counts of buckets whose indices rise.
fn spanned(buckets: &[(i32, f64)]) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for (index, _) in buckets {
        match spans.last_mut() {
            Some(span) if next == *index => span.length += 1,
            _ => spans.push(Span { offset: index - next, length: 1 }),
        }
        next = index + 1;
    }
    (spans, buckets.iter().map(|(_, count)| *count).collect())
}

/// Makes an exponential histogram as coarse as `schema`; one that is as coarse, or has custom
/// buckets, stays.
///
/// # Panics
/// `histogram` came through [`finish`].
pub fn reduce(histogram: &mut NativeHistogram, schema: i32) {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA || histogram.schema <= schema {
        return;
    }
    let steps = u32::try_from(histogram.schema - schema).unwrap_or(u32::MAX).min(31);
    let coarse = |spans: &[Span], buckets: &[f64]| {
        let fine = indexed("", spans, buckets).expect("the histogram was checked");
        let mut coarse: Vec<(i32, f64)> = Vec::with_capacity(fine.len());
        for (index, count) in fine {
            // Bucket i ends at the bound i: the coarser bucket is the one that ends at or above it.
            let index = (index.wrapping_sub(1) >> steps) + 1;
            match coarse.last_mut() {
                Some((last, sum)) if *last == index => *sum += count,
                _ => coarse.push((index, count)),
            }
        }
        coarse
    };
    let positive = coarse(&histogram.positive_spans, &histogram.positive_buckets);
    let negative = coarse(&histogram.negative_spans, &histogram.negative_buckets);
    set_buckets(histogram, &positive, &negative);
    histogram.schema = schema;
}

/// Makes a histogram coarse enough for `buckets_max` buckets; false when it cannot be.
#[must_use]
pub fn limit(histogram: &mut NativeHistogram, buckets_max: usize) -> bool {
    let buckets = |histogram: &NativeHistogram| {
        histogram.positive_buckets.len() + histogram.negative_buckets.len()
    };
    while buckets_max < buckets(histogram) {
        if histogram.schema == CUSTOM_BUCKETS_SCHEMA || histogram.schema <= SCHEMA_MIN {
            return false;
        }
        reduce(histogram, histogram.schema - 1);
    }
    true
}

/// The finest schema whose buckets grow by at least `factor`; the finest of all up to 1.
#[must_use]
pub fn schema_for(factor: f64) -> i32 {
    let schemas = (SCHEMA_MIN..=SCHEMA_MAX).rev();
    // Upstream rounds down -log2(log2(factor)): the growth 2^(2^-schema) is then at least factor.
    let growth = |schema: i32| 2_f64.powf(2_f64.powi(-schema));
    schemas.into_iter().find(|schema| factor <= growth(*schema)).unwrap_or(SCHEMA_MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(schema: i32, spans: &[(i32, u32)], buckets: &[f64]) -> NativeHistogram {
        NativeHistogram {
            schema,
            count: buckets.iter().sum(),
            positive_spans: spans
                .iter()
                .map(|(offset, length)| Span { offset: *offset, length: *length })
                .collect(),
            positive_buckets: buckets.to_vec(),
            ..NativeHistogram::default()
        }
    }

    fn shown(histogram: &NativeHistogram) -> String {
        let spans: Vec<_> = histogram.positive_spans.iter().map(|s| (s.offset, s.length)).collect();
        format!("{} {spans:?} {:?}", histogram.schema, histogram.positive_buckets)
    }

    #[track_caller]
    fn check(mut histogram: NativeHistogram, expected: &str) {
        let finished = finish(&mut histogram);
        assert_eq!(finished.map_or_else(|e| e.to_string(), |()| shown(&histogram)), expected);
    }

    #[test]
    fn empty_buckets_and_touching_spans_go() {
        check(
            histogram(0, &[(0, 2), (0, 2)], &[1.0, 0.0, 0.0, 2.0]),
            "0 [(0, 1), (2, 1)] [1.0, 2.0]",
        );
        check(histogram(0, &[(-3, 1), (0, 1)], &[1.0, 2.0]), "0 [(-3, 2)] [1.0, 2.0]");
        check(histogram(0, &[(0, 0)], &[]), "0 [] []");
        check(histogram(9, &[(1, 2)], &[1.0, 2.0]), "8 [(1, 1)] [3.0]");
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        check(histogram(0, &[(0, 2)], &[1.0]), "positive side: spans require 2 buckets, have 1");
        check(
            histogram(0, &[(0, 1), (-1, 1)], &[1.0, 1.0]),
            "span number 2 with offset -1: histogram has a span whose offset is negative",
        );
        check(
            histogram(0, &[(i32::MAX, 1)], &[1.0]),
            "histogram has a bucket whose index is out of range",
        );
        check(
            histogram(-9, &[], &[]),
            "histogram has an invalid schema, which must be between -4 and 8 for exponential \
             buckets, or -53 for custom buckets, got schema -9",
        );
        let mut wrong = histogram(0, &[(0, 1)], &[1.0]);
        wrong.count = 2.0;
        assert!(matches!(check_counts(&wrong), Err(NativeError::Count { .. })));
        wrong.zero_count = 0.5;
        assert_eq!(check_counts(&wrong), Ok(()));
        let mut custom = histogram(CUSTOM_BUCKETS_SCHEMA, &[(0, 2)], &[1.0, 1.0]);
        assert_eq!(finish(&mut custom), Err(NativeError::Index));
        custom.custom_values = [2.0, 1.0].into();
        assert_eq!(finish(&mut custom), Err(NativeError::Bounds));
    }

    #[test]
    fn resolution_is_reduced_to_fit() {
        // Upper bounds at schema 1: index 2 is 2, 3 is 2.83, 4 is 4: at schema 0 1, 2 and 2.
        let mut fine = histogram(1, &[(2, 3)], &[1.0, 2.0, 4.0]);
        reduce(&mut fine, 0);
        assert_eq!(shown(&fine), "0 [(1, 2)] [1.0, 6.0]");
        assert!(limit(&mut fine, 1));
        assert_eq!(shown(&fine), "-1 [(1, 1)] [7.0]");
        assert!(!limit(&mut fine, 0));
        let mut negative = histogram(1, &[(-3, 1), (1, 1)], &[1.0, 2.0]);
        reduce(&mut negative, 0);
        assert_eq!(shown(&negative), "0 [(-1, 2)] [1.0, 2.0]");
    }

    #[test]
    fn a_factor_picks_the_schema_that_upstream_picks() {
        // Values of upstream's table of pickSchema.
        for (factor, schema) in [
            (65536.0, -4),
            (256.0, -3),
            (16.0, -2),
            (4.0, -1),
            (2.0, 0),
            (1.4, 1),
            (1.1, 2),
            (1.09, 3),
            (1.04, 4),
            (1.02, 5),
            (1.01, 6),
            (1.005, 7),
            (1.002, 8),
            (0.0, 8),
        ] {
            assert_eq!(schema_for(factor), schema, "{factor}");
        }
    }

    proptest! {
        #[test]
        fn reducing_keeps_every_observation(
            buckets in prop::collection::vec((0_i32..5, 0_u32..9), 1..40),
            schema in -4_i32..=8,
            to in -4_i32..=8,
        ) {
            let spans: Vec<(i32, u32)> = buckets.iter().map(|(offset, _)| (*offset, 1)).collect();
            let counts: Vec<f64> = buckets.iter().map(|(_, count)| f64::from(*count)).collect();
            let mut histogram = histogram(schema, &spans, &counts);
            finish(&mut histogram).expect("a histogram");
            let before = histogram.clone();
            reduce(&mut histogram, to);
            prop_assert_eq!(histogram.schema, schema.min(to));
            prop_assert_eq!(histogram.positive_buckets.iter().sum::<f64>(), before.count);
            prop_assert_eq!(finish(&mut histogram.clone()), Ok(()));
        }
    }
}
