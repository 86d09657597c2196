//! Random native histograms of one series: counters with resets, gauges, custom bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};
use sim::prng::Prng;

/// What a series of histograms is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Grows, and now and then begins anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Grows, with bounds of its own.
    Custom,
}

/// Metric names and what they are; `mixed` has floats among its histograms.
pub(crate) const KINDS: &[(&str, Kind)] = &[
    ("n", Kind::Counter),
    ("n_gauge", Kind::Gauge),
    ("custom", Kind::Custom),
    ("mixed", Kind::Counter),
];

const BOUNDS: [&[f64]; 3] = [&[0.5, 1.0, 5.0], &[0.5, 1.0, 5.0, 10.0], &[-1.0, 1.0, 2.0, 5.0]];

/// Makes one histogram after the other.
pub(crate) struct Maker {
    kind: Kind,
    schema: i32,
    zero_threshold: f64,
    bounds: Arc<[f64]>,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
    zero: f64,
    sum: f64,
    has_negative: bool,
}

impl Maker {
    /// The maker of one series.
    pub(crate) fn new(chance: &mut Prng, kind: Kind) -> Maker {
        let mut maker = Maker {
            kind,
            schema: 0,
            zero_threshold: 0.0,
            bounds: Arc::from([]),
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            zero: 0.0,
            sum: 0.0,
            has_negative: chance.below(2) == 0,
        };
        maker.begin(chance);
        maker
    }

    /// Layout anew, all counts gone.
    fn begin(&mut self, chance: &mut Prng) {
        self.positive.clear();
        self.negative.clear();
        (self.zero, self.sum) = (0.0, 0.0);
        match self.kind {
            Kind::Custom => {
                self.schema = CUSTOM_BUCKETS_SCHEMA;
                self.bounds =
                    Arc::from(chance.one_of(&[BOUNDS[0], BOUNDS[0], BOUNDS[1], BOUNDS[2]]));
            }
            Kind::Counter | Kind::Gauge => {
                self.schema = chance.one_of(&[-1, 0, 0, 1, 2]);
                self.zero_threshold = chance.one_of(&[0.0, 0.0, 0.125, 0.5, 1e-128]);
            }
        }
    }

    /// The histogram of the next sample.
    pub(crate) fn next(&mut self, chance: &mut Prng) -> NativeHistogram {
        if chance.below(100) < 4 || self.kind == Kind::Gauge && chance.below(100) < 10 {
            self.begin(chance);
        }
        for _ in 0..chance.below(6) {
            self.observe(chance);
        }
        let (positive_spans, positive_buckets) = spans(&self.positive, chance);
        let (negative_spans, negative_buckets) = spans(&self.negative, chance);
        let counts = self.positive.values().chain(self.negative.values());
        NativeHistogram {
            counter_reset_hint: match self.kind {
                Kind::Gauge => CounterResetHint::Gauge,
                Kind::Counter | Kind::Custom => CounterResetHint::Unknown,
            },
            schema: self.schema,
            zero_threshold: if self.kind == Kind::Custom { 0.0 } else { self.zero_threshold },
            zero_count: self.zero,
            count: counts.sum::<f64>() + self.zero,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: Arc::clone(&self.bounds),
        }
    }

    fn observe(&mut self, chance: &mut Prng) {
        let index = i32::try_from(chance.below(7)).unwrap_or(0);
        let weight = 1.0 + f64::from(u32::try_from(chance.below(3)).unwrap_or(0));
        if self.kind == Kind::Custom {
            // One bucket more than bounds: the last ends at +Inf.
            let last = i32::try_from(self.bounds.len()).unwrap_or(0);
            *self.positive.entry(index.min(last)).or_default() += weight;
            self.sum += weight * f64::from(index);
            return;
        }
        // The bucket that holds the zero threshold stays empty, as of an honest observer.
        match chance.below(10) {
            0 | 1 => self.zero += weight,
            2..=4 if self.has_negative => {
                *self.negative.entry(index + 1).or_default() += weight;
                self.sum -= weight * f64::from(index + 1);
            }
            _ => {
                *self.positive.entry(index + 1).or_default() += weight;
                self.sum += weight * f64::from(index + 1);
            }
        }
    }
}

/// Buckets as spans; small holes are sometimes filled with empty buckets.
fn spans(buckets: &BTreeMap<i32, f64>, chance: &mut Prng) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut counts = Vec::new();
    let mut next = 0;
    for (index, count) in buckets {
        let gap = index - next;
        let fills = gap <= 2 && chance.below(2) == 0;
        match spans.last_mut() {
            Some(span) if gap == 0 || fills => {
                let gap = u32::try_from(gap).unwrap_or(0);
                span.length += gap + 1;
                counts.extend((0..gap).map(|_| 0.0));
            }
            _ => spans.push(Span { offset: gap, length: 1 }),
        }
        counts.push(*count);
        next = index + 1;
    }
    (spans, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_name_every_bucket() {
        let mut chance = Prng::new(1, "test");
        for seed in 0..200 {
            let mut maker = Maker::new(&mut Prng::new(seed, "test"), Kind::Counter);
            for _ in 0..20 {
                let made = maker.next(&mut chance);
                let lengths = made.positive_spans.iter().map(|span| span.length as usize);
                assert_eq!(lengths.sum::<usize>(), made.positive_buckets.len());
                let all: f64 = made.positive_buckets.iter().chain(&made.negative_buckets).sum();
                assert_eq!(all + made.zero_count, made.count);
            }
        }
    }
}
