//! Histogram: what the programs counted in slots, as native and as classic histogram.
//!
//! Slots are the native histogram's own buckets (`programs/histogram.h`), so nothing is estimated.
//! Source: the native histogram specification, "standard exponential schemas".

use exposition::metrics::Collected;
use model::native_histogram::{NativeHistogram, Span};

use crate::abi::{HISTOGRAM_WORDS, SLOTS};

/// What the slots mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Seconds, schema 2: slot s ends at 2^((32 + s) / 4 - 30) s; sums are nanoseconds.
    Duration,
    /// Bytes, schema 0: slot s ends at 2^s bytes.
    Size,
}

const SECONDS_PER_NANO: f64 = 1e-9;

impl Scale {
    fn schema(self) -> i32 {
        match self {
            Scale::Duration => 2,
            Scale::Size => 0,
        }
    }

    /// Native index of slot 1.
    fn first_index(self) -> i32 {
        match self {
            Scale::Duration => 1 - 88,
            Scale::Size => 1,
        }
    }

    /// Upper bound of slot 0, which is the zero bucket.
    fn zero_threshold(self) -> f64 {
        self.bound(0)
    }

    fn bound(self, slot: usize) -> f64 {
        let slot = slot as f64;
        match self {
            Scale::Duration => ((32.0 + slot) / 4.0 - 30.0).exp2(),
            Scale::Size => slot.exp2(),
        }
    }

    /// Slots that end at a power of four, which classic buckets show.
    fn classic_slots(self) -> impl Iterator<Item = usize> {
        let (first, step, last) = match self {
            // From 0.95 us to 64 s.
            Scale::Duration => (8, 8, 112),
            // From 512 bytes to 16 MiB.
            Scale::Size => (9, 2, 25),
        };
        (first..=last).step_by(step)
    }

    fn sum(self, sum: u64) -> f64 {
        match self {
            Scale::Duration => sum as f64 * SECONDS_PER_NANO,
            Scale::Size => sum as f64,
        }
    }
}

/// A histogram of all CPUs, or of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    slots: [u64; SLOTS],
    sum: u64,
    /// Observations.
    pub count: u64,
}

impl Histogram {
    /// Reads the words of a map's value.
    ///
    /// # Panics
    /// There are [`HISTOGRAM_WORDS`] of them.
    #[must_use]
    pub fn new(words: &[u64]) -> Histogram {
        assert_eq!(words.len(), HISTOGRAM_WORDS, "a histogram has slots, sum and count");
        let mut slots = [0; SLOTS];
        slots.copy_from_slice(&words[..SLOTS]);
        // The CPU may have been between its three additions: count what the slots say.
        let count = slots.iter().sum();
        Histogram { slots, sum: words[SLOTS], count }
    }

    /// Sum of all observations in the scale's base unit.
    #[must_use]
    pub fn sum(&self, scale: Scale) -> f64 {
        scale.sum(self.sum)
    }

    /// Adds it to `into`.
    pub(crate) fn show(
        &self,
        scale: Scale,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        into: &mut Collected,
    ) {
        let (classic, native) = (self.to_classic(scale), self.to_native(scale));
        into.native_histogram(name, help, labels, &classic, native, self.count);
    }

    /// As a native histogram.
    #[must_use]
    pub fn to_native(&self, scale: Scale) -> NativeHistogram {
        let mut spans: Vec<Span> = Vec::new();
        let mut counts = Vec::new();
        let mut gap = scale.first_index();
        for count in &self.slots[1..] {
            if *count == 0 {
                gap += 1;
                continue;
            }
            match spans.last_mut() {
                Some(span) if gap == 0 => span.length += 1,
                _ => spans.push(Span { offset: gap, length: 1 }),
            }
            gap = 0;
            counts.push(*count as f64);
        }
        NativeHistogram {
            schema: scale.schema(),
            zero_threshold: scale.zero_threshold(),
            zero_count: self.slots[0] as f64,
            count: self.count as f64,
            sum: self.sum(scale),
            positive_spans: spans,
            positive_buckets: counts,
            ..NativeHistogram::default()
        }
    }

    /// Cumulative counts by upper bound, at powers of four; exact.
    #[must_use]
    pub fn to_classic(&self, scale: Scale) -> Vec<(f64, u64)> {
        let mut below = 0;
        let mut from = 0;
        let mut buckets = Vec::new();
        for slot in scale.classic_slots() {
            below += self.slots[from..=slot].iter().sum::<u64>();
            from = slot + 1;
            buckets.push((scale.bound(slot), below));
        }
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(counts: &[(usize, u64)], sum: u64) -> Histogram {
        let mut words = [0; HISTOGRAM_WORDS];
        for (slot, count) in counts {
            words[*slot] = *count;
        }
        words[SLOTS] = sum;
        Histogram::new(&words)
    }

    #[test]
    fn slots_become_native_buckets_of_the_same_bounds() {
        let histogram = words(&[(0, 1), (1, 2), (2, 3), (88, 4)], 5_000_000_000);
        let native = histogram.to_native(Scale::Duration);
        assert_eq!((native.schema, native.count, native.sum), (2, 10.0, 5.0));
        assert_eq!(native.zero_threshold, 2f64.powi(-22));
        // Index 0 ends at 1 s, as slot 88 does: 2^((32 + 88) / 4 - 30).
        let spans = [Span { offset: -87, length: 2 }, Span { offset: 85, length: 1 }];
        assert_eq!(native.positive_spans, spans);
        assert_eq!(native.positive_buckets, [2.0, 3.0, 4.0]);
    }

    #[test]
    fn classic_buckets_are_exact_at_powers_of_four() {
        let histogram = words(&[(0, 1), (88, 4), (89, 1)], 0);
        let classic = histogram.to_classic(Scale::Duration);
        let at = |le: f64| classic.iter().find(|(bound, _)| *bound == le).unwrap().1;
        assert_eq!((at(0.25), at(1.0), at(4.0)), (1, 5, 6));
        let sizes = words(&[(12, 2), (13, 1), (14, 1)], 0).to_classic(Scale::Size);
        assert_eq!(sizes.iter().find(|(bound, _)| *bound == 8192.0).unwrap().1, 3);
    }
}
