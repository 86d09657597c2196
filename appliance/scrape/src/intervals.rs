//! Intervals: how far apart scrapes begin, as a summary over the last ten minutes and a histogram.
//!
//! Path: `active` observes → **intervals** → `metrics`.
//! Quantiles come from counts by size, 128 sizes an octave, so that a value is right to 0.3 %.
//! Distances crowd around the interval: few sizes are ever counted.

use std::collections::BTreeMap;

use exposition::recorder::Recorder;
use model::time::Tick;

/// Windows that quantiles look at, and the length of each: upstream's five of two minutes.
const WINDOWS: u64 = 5;
const WINDOW_NANOS: u64 = 120_000_000_000;
/// Sizes an octave, as a power of two.
const PART_BITS: u32 = 7;
/// Sizes of one window that are counted; further ones are left out of quantiles.
const SIZES_MAX: usize = 1_024;
/// Quantiles that are given: upstream's.
pub const QUANTILES: [f64; 5] = [0.01, 0.05, 0.5, 0.9, 0.99];
/// Upper bounds of the classic buckets, seconds: upstream's.
const BOUNDS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];
const NANOS_PER_SECOND: f64 = 1e9;

/// Distances of the scrapes with one interval.
#[derive(Clone, Debug, Default)]
pub struct Intervals {
    /// By number of two minutes: observations by size.
    windows: BTreeMap<u64, BTreeMap<u64, u64>>,
    below: [u64; BOUNDS.len()],
    /// All of them.
    pub recorder: Recorder,
}

impl Intervals {
    /// Counts a distance that ended at `now`.
    pub fn observe(&mut self, now: Tick, nanos: u64) {
        let turn = now.0 / WINDOW_NANOS;
        if !self.windows.contains_key(&turn) {
            self.windows.retain(|other, _| turn < other.saturating_add(WINDOWS));
        }
        let sizes = self.windows.entry(turn).or_default();
        let size = size_of(nanos);
        if sizes.len() < SIZES_MAX || sizes.contains_key(&size) {
            *sizes.entry(size).or_insert(0) += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds below 2^53 are 104 days")]
        let seconds = nanos as f64 / NANOS_PER_SECOND;
        self.recorder.observe(seconds);
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.below[at] += 1;
        }
    }

    /// Seconds by quantile of what ended in the ten minutes before `now`; NaN when nothing did.
    #[must_use]
    pub fn quantiles(&self, now: Tick) -> [(f64, f64); QUANTILES.len()] {
        let turn = now.0 / WINDOW_NANOS;
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        let recent = self.windows.iter().filter(|(other, _)| turn < **other + WINDOWS);
        for (size, count) in recent.flat_map(|(_, sizes)| sizes) {
            *counts.entry(*size).or_insert(0) += count;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
        let float = |count: u64| count as f64;
        let total = float(counts.values().sum());
        QUANTILES.map(|quantile| {
            let mut before = 0;
            let found = counts.iter().find(|(_, count)| {
                before += **count;
                quantile * total <= float(before)
            });
            (quantile, found.map_or(f64::NAN, |(size, _)| middle_of(*size) / NANOS_PER_SECOND))
        })
    }

    /// Counts below each bound, in seconds.
    #[must_use]
    pub fn buckets(&self) -> [(f64, u64); BOUNDS.len()] {
        let mut total = 0;
        std::array::from_fn(|at| {
            total += self.below[at];
            (BOUNDS[at], total)
        })
    }
}

/// The size that counts `nanos`: its octave and the next bits.
fn size_of(nanos: u64) -> u64 {
    let octave = nanos.max(1 << PART_BITS).ilog2();
    let part = (nanos >> (octave - PART_BITS)) & ((1 << PART_BITS) - 1);
    u64::from(octave) << PART_BITS | part
}

/// Nanoseconds in the middle of what a size counts.
fn middle_of(size: u64) -> f64 {
    let (octave, part) = (size >> PART_BITS, size & ((1 << PART_BITS) - 1));
    let step = 2f64.powi(i32::try_from(octave).unwrap_or(63) - PART_BITS.cast_signed());
    #[expect(clippy::cast_precision_loss, reason = "a part is below 2^8")]
    let parts = ((1u64 << PART_BITS) + part) as f64;
    (parts + 0.5) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    #[test]
    fn quantiles_are_of_the_last_ten_minutes_and_right_to_a_percent() {
        let mut intervals = Intervals::default();
        for ms in 1..=1_000 {
            intervals.observe(Tick(MINUTE), 15_000_000_000 + ms * 1_000_000);
        }
        for (quantile, seconds) in intervals.quantiles(Tick(MINUTE)) {
            let expected = 15.0 + quantile;
            assert!((seconds / expected - 1.0).abs() < 0.005, "{quantile}: {seconds}");
        }
        assert!(intervals.quantiles(Tick(13 * MINUTE)).iter().all(|(_, value)| value.is_nan()));
        assert_eq!(intervals.recorder.count(), 1_000);
        assert_eq!(intervals.buckets().map(|(_, count)| count), [0, 0, 0, 0]);
        intervals.observe(Tick(MINUTE), 500_000_000);
        assert_eq!(intervals.buckets().map(|(_, count)| count), [0, 0, 1, 1]);
    }
}
