//! Native histograms as maps from bucket to count.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};

/// Counts by bucket index.
type Counts = BTreeMap<i32, f64>;

/// A native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// -4..=8 exponential, -53 custom bounds.
    pub schema: i32,
    /// Values within ± this are in the zero bucket.
    pub zero_threshold: f64,
    /// Count of the zero bucket.
    pub zero: f64,
    /// Count of all observations.
    pub count: f64,
    /// Sum of all observations.
    pub sum: f64,
    /// Buckets above zero; of custom bounds, all.
    pub positive: Counts,
    /// Buckets below zero.
    pub negative: Counts,
    /// Custom bounds, without +Inf.
    pub bounds: Vec<f64>,
}

/// A bucket with its bounds, lowest first.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Observations between.
    pub count: f64,
}

impl Histogram {
    /// Of the product's form.
    #[must_use]
    pub fn of(histogram: &NativeHistogram) -> Histogram {
        Histogram {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero: histogram.zero_count,
            count: histogram.count,
            sum: histogram.sum,
            positive: counts(&histogram.positive_spans, &histogram.positive_buckets),
            negative: counts(&histogram.negative_spans, &histogram.negative_buckets),
            bounds: histogram.custom_values.to_vec(),
        }
    }

    /// In the product's form, a span a bucket.
    #[must_use]
    pub fn native(&self) -> NativeHistogram {
        let (positive_spans, positive_buckets) = spans(&self.positive);
        let (negative_spans, negative_buckets) = spans(&self.negative);
        NativeHistogram {
            counter_reset_hint: CounterResetHint::Unknown,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero,
            count: self.count,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: Arc::from(self.bounds.as_slice()),
        }
    }

    /// Whether the bounds are custom.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// All numbers mapped.
    #[must_use]
    pub fn map(&self, map: impl Fn(f64) -> f64) -> Histogram {
        let each = |counts: &Counts| counts.iter().map(|(at, n)| (*at, map(*n))).collect();
        Histogram {
            zero: map(self.zero),
            count: map(self.count),
            sum: map(self.sum),
            positive: each(&self.positive),
            negative: each(&self.negative),
            ..self.clone()
        }
    }

    /// Divided; by zero, no bucket is left.
    #[must_use]
    pub fn divided(&self, by: f64) -> Histogram {
        let mut divided = self.map(|n| n / by);
        if by == 0.0 {
            divided.positive.clear();
            divided.negative.clear();
        }
        divided
    }

    /// The sum of two, `sign` 1, or their difference, `sign` -1; `None` of bounds that do not mix.
    #[must_use]
    pub fn plus(&self, other: &Histogram, sign: f64) -> Option<Histogram> {
        if self.is_custom() != other.is_custom() {
            return None;
        }
        let (mut left, mut right) = (self.clone(), other.clone());
        if self.is_custom() && self.bounds != other.bounds {
            let bounds: Vec<f64> =
                self.bounds.iter().copied().filter(|bound| other.bounds.contains(bound)).collect();
            left = left.with_bounds(&bounds);
            right = right.with_bounds(&bounds);
        }
        let schema = left.schema.min(right.schema);
        left = left.coarser(schema);
        right = right.coarser(schema);
        for (at, count) in right.positive {
            *left.positive.entry(at).or_default() += sign * count;
        }
        for (at, count) in right.negative {
            *left.negative.entry(at).or_default() += sign * count;
        }
        // Random data keep their buckets outside of every zero threshold.
        left.zero_threshold = left.zero_threshold.max(right.zero_threshold);
        left.zero += sign * right.zero;
        left.count += sign * right.count;
        left.sum += sign * right.sum;
        // Sums keep no empty buckets.
        left.positive.retain(|_, count| *count != 0.0);
        left.negative.retain(|_, count| *count != 0.0);
        Some(left)
    }

    /// Counts moved to fewer bounds.
    fn with_bounds(&self, bounds: &[f64]) -> Histogram {
        let mut moved = Counts::new();
        for (at, count) in &self.positive {
            let own = usize::try_from(*at).ok().and_then(|at| self.bounds.get(at));
            let own = own.copied().unwrap_or(f64::INFINITY);
            let to = bounds.iter().position(|bound| own <= *bound).unwrap_or(bounds.len());
            *moved.entry(i32::try_from(to).unwrap_or(i32::MAX)).or_default() += count;
        }
        Histogram { positive: moved, bounds: bounds.to_vec(), ..self.clone() }
    }

    /// Counts moved to the buckets of a coarser schema.
    fn coarser(&self, schema: i32) -> Histogram {
        if self.is_custom() || self.schema == schema {
            return self.clone();
        }
        let width = 1 << (self.schema - schema);
        let moved = |counts: &Counts| {
            let mut moved = Counts::new();
            for (at, count) in counts {
                // Bucket i ends at base^i: it is inside the bucket that ends next.
                *moved.entry((at - 1).div_euclid(width) + 1).or_default() += count;
            }
            moved
        };
        let (positive, negative) = (moved(&self.positive), moved(&self.negative));
        Histogram { schema, positive, negative, ..self.clone() }
    }

    /// Whether a counter was reset between `before` and this; `None` where this is not said.
    #[must_use]
    pub fn is_reset_after(&self, before: &Histogram) -> Option<bool> {
        if self.count < before.count {
            return Some(true);
        }
        if self.is_custom() != before.is_custom() {
            return if self.is_custom() { Some(true) } else { None };
        }
        if self.is_custom() && self.bounds != before.bounds {
            return None;
        }
        if before.schema < self.schema || self.zero_threshold < before.zero_threshold {
            return Some(true);
        }
        let before = before.coarser(self.schema);
        let falls = |own: &Counts, before: &Counts| {
            before.iter().any(|(at, count)| {
                let own = own.get(at).copied();
                own.map_or(*count != 0.0, |own| own < *count)
            })
        };
        let falls = self.zero < before.zero
            || falls(&self.positive, &before.positive)
            || falls(&self.negative, &before.negative);
        Some(falls)
    }

    /// Buckets that hold something, lowest first, the zero bucket among them.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut buckets = Vec::new();
        if self.is_custom() {
            for (at, count) in &self.positive {
                let bound = |at: i32| usize::try_from(at).ok().and_then(|at| self.bounds.get(at));
                let lower = if *at == 0 { None } else { bound(at - 1) };
                let lower = lower.copied().unwrap_or(f64::NEG_INFINITY);
                let upper = bound(*at).copied().unwrap_or(f64::INFINITY);
                buckets.push(Bucket { lower, upper, count: *count });
            }
            return buckets;
        }
        let bound = |at: i32| (f64::from(at) * (-f64::from(self.schema)).exp2()).exp2();
        for (at, count) in self.negative.iter().rev() {
            buckets.push(Bucket { lower: -bound(*at), upper: -bound(at - 1), count: *count });
        }
        if self.zero != 0.0 {
            let (lower, upper) = (-self.zero_threshold, self.zero_threshold);
            buckets.push(Bucket { lower, upper, count: self.zero });
        }
        for (at, count) in &self.positive {
            buckets.push(Bucket { lower: bound(at - 1), upper: bound(*at), count: *count });
        }
        buckets.retain(|bucket| bucket.count != 0.0);
        buckets
    }
}

/// The sum of histograms; `None` of bounds that do not mix.
#[must_use]
pub fn sum_of(histograms: &[Histogram]) -> Option<Histogram> {
    let mut sum = histograms.first()?.clone();
    for histogram in &histograms[1..] {
        sum = sum.plus(histogram, 1.0)?;
    }
    Some(sum)
}

fn counts(spans: &[Span], buckets: &[f64]) -> Counts {
    let mut next = 0;
    let mut indexes = Vec::new();
    for span in spans {
        next += span.offset;
        let length = i32::try_from(span.length).unwrap_or(i32::MAX);
        indexes.extend(next..next + length);
        next += length;
    }
    indexes.into_iter().zip(buckets.iter().copied()).collect()
}

fn spans(counts: &Counts) -> (Vec<Span>, Vec<f64>) {
    let mut next = 0;
    let spans = counts.keys().map(|at| {
        let span = Span { offset: at - next, length: 1 };
        next = at + 1;
        span
    });
    (spans.collect(), counts.values().copied().collect())
}
