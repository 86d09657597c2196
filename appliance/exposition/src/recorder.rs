//! Recorder: observations as a native histogram.
//!
//! Path: whoever measures → **recorder** → `metrics`, which adds up histograms of the same labels.
//! Buckets grow by 2^(1/8), as those of upstream's own histograms do at least: a value is known to
//! 9 %. Their number is bounded: what is below the least or above the greatest counts with it.

use std::collections::BTreeMap;

use model::native_histogram::{NativeHistogram, Span};

/// Resolution: eight buckets an octave.
const SCHEMA: i32 = 3;
/// Least and greatest index of a bucket: a microsecond and twelve days, where seconds are counted.
const INDEX_MIN: i32 = -20 * 8;
const INDEX_MAX: i32 = 20 * 8;
/// Values within ± this have no bucket: upstream's default.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// Counted observations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorder {
    buckets: BTreeMap<i32, u64>,
    zeros: u64,
    sum: f64,
    count: u64,
}

impl Recorder {
    /// Counts one observation; a negative one counts as 0.
    pub fn observe(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        if value <= ZERO_THRESHOLD {
            self.zeros += 1;
            return;
        }
        *self.buckets.entry(index_of(value)).or_insert(0) += 1;
    }

    /// Observations so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of all of them.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The histogram.
    #[must_use]
    pub fn histogram(&self) -> NativeHistogram {
        let buckets = self.buckets.iter().map(|(index, count)| (*index, *count as f64));
        let (positive_spans, positive_buckets) = spans(buckets);
        NativeHistogram {
            schema: SCHEMA,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: self.zeros as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            ..NativeHistogram::default()
        }
    }
}

/// Adds `other`, another sample of the metric `name`, to `into`.
///
/// # Panics
/// When they differ in resolution: who counts one metric counts it alike.
pub(crate) fn add(name: &str, into: &mut NativeHistogram, other: &NativeHistogram) {
    assert_eq!(into.schema, other.schema, "M2: {name} has one resolution");
    assert_eq!(into.custom_values, other.custom_values, "M2: {name} has one set of bounds");
    (into.negative_spans, into.negative_buckets) = spans(sum(
        (&into.negative_spans, &into.negative_buckets),
        (&other.negative_spans, &other.negative_buckets),
    ));
    (into.positive_spans, into.positive_buckets) = spans(sum(
        (&into.positive_spans, &into.positive_buckets),
        (&other.positive_spans, &other.positive_buckets),
    ));
    into.zero_threshold = into.zero_threshold.max(other.zero_threshold);
    into.zero_count += other.zero_count;
    into.count += other.count;
    into.sum += other.sum;
}

/// The buckets of two sides by index.
fn sum(side: (&[Span], &[f64]), other: (&[Span], &[f64])) -> BTreeMap<i32, f64> {
    let mut buckets = BTreeMap::new();
    for (spans, counts) in [side, other] {
        let mut next = 0;
        let mut counts = counts.iter();
        for span in spans {
            next += span.offset;
            for count in counts.by_ref().take(span.length as usize) {
                *buckets.entry(next).or_insert(0.0) += count;
                next += 1;
            }
        }
    }
    buckets
}

/// `buckets`, by rising index, as spans and counts.
fn spans(buckets: impl IntoIterator<Item = (i32, f64)>) -> (Vec<Span>, Vec<f64>) {
    let (mut spans, mut counts): (Vec<Span>, _) = (Vec::new(), Vec::new());
    let mut next = 0;
    for (index, count) in buckets {
        match spans.last_mut().filter(|_| index == next) {
            Some(span) => span.length += 1,
            None => spans.push(Span { offset: index - next, length: 1 }),
        }
        next = index + 1;
        counts.push(count);
    }
    (spans, counts)
}

/// The bucket whose upper bound, 2^(index/8), is the least that is not below `value`.
fn index_of(value: f64) -> i32 {
    let index = (value.log2() * 8.0).ceil();
    #[expect(clippy::cast_possible_truncation, reason = "held within the bounds before")]
    let index = index.clamp(f64::from(INDEX_MIN), f64::from(INDEX_MAX)) as i32;
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_have_buckets_and_bounds() {
        let mut recorder = Recorder::default();
        for value in [0.0, 1.0, 1.05, 2.0, 1e-30, 1e300] {
            recorder.observe(value);
        }
        let histogram = recorder.histogram();
        let spans = [(INDEX_MIN, 1), (159, 2), (6, 1), (151, 1)];
        let found: Vec<(i32, u32)> =
            histogram.positive_spans.iter().map(|span| (span.offset, span.length)).collect();
        // 1e-30 counts with the least bucket, although it is far below.
        assert_eq!(found, spans);
        assert_eq!(histogram.positive_buckets, [1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!((histogram.zero_count, histogram.count), (1.0, 6.0));
        let mut more = Recorder::default();
        [1.0, 4.0].into_iter().for_each(|value| more.observe(value));
        let mut both = histogram;
        add("h", &mut both, &more.histogram());
        [1.0, 4.0].into_iter().for_each(|value| recorder.observe(value));
        assert_eq!(both, recorder.histogram());
    }
}
