//! Durations: how long something took, as a summary over the last ten minutes and a histogram.
//!
//! Never: a lock. Quantiles come from counts by size, each at most an eighth above its lower
//! bound, so a value is right to 6 %; an observation that meets the turn of a window may be lost.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use model::time::Tick;

/// Windows that quantiles look at, and the length of each: upstream's five of two minutes.
const WINDOWS: usize = 5;
const WINDOW_NANOS: u64 = 120_000_000_000;
/// Eight sizes an octave of nanoseconds.
const SIZES: usize = 62 * 8;
/// Quantiles of most of upstream's summaries.
pub const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
/// Upper bounds of the histogram in seconds: upstream's.
const BOUNDS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];
const NANOS_PER_SECOND: f64 = 1e9;

#[derive(Debug)]
struct Window {
    /// Number of the two minutes that it counts, and 1; 0 is none.
    turn: AtomicU64,
    sizes: [AtomicU32; SIZES],
}

impl Default for Window {
    fn default() -> Window {
        Window { turn: AtomicU64::new(0), sizes: std::array::from_fn(|_| AtomicU32::new(0)) }
    }
}

/// Durations of one kind.
#[derive(Debug, Default)]
pub struct Durations {
    windows: [Window; WINDOWS],
    below: [AtomicU64; BOUNDS.len()],
    nanos: AtomicU64,
    count: AtomicU64,
}

impl Durations {
    /// Counts one that ended at `now`.
    pub fn observe(&self, now: Tick, nanos: u64) {
        let turn = now.0 / WINDOW_NANOS + 1;
        let window = &self.windows[place(turn)];
        let found = window.turn.load(Ordering::Relaxed);
        let order = Ordering::Relaxed;
        if found < turn && window.turn.compare_exchange(found, turn, order, order).is_ok() {
            window.sizes.iter().for_each(|size| size.store(0, order));
        }
        window.sizes[size_of(nanos)].fetch_add(1, order);
        self.nanos.fetch_add(nanos, order);
        self.count.fetch_add(1, order);
        let seconds = float(nanos) / NANOS_PER_SECOND;
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.below[at].fetch_add(1, order);
        }
    }

    /// Seconds by each of `wanted` of what ended in the ten minutes before `now`; NaN when nothing
    /// did.
    #[must_use]
    pub fn quantiles<const N: usize>(&self, now: Tick, wanted: [f64; N]) -> [(f64, f64); N] {
        let turn = now.0 / WINDOW_NANOS + 1;
        let oldest = turn.saturating_sub(window_count() - 1);
        let recent = |window: &&Window| {
            (oldest.max(1)..=turn).contains(&window.turn.load(Ordering::Relaxed))
        };
        let mut counts = [0u64; SIZES];
        for window in self.windows.iter().filter(recent) {
            for (count, size) in counts.iter_mut().zip(&window.sizes) {
                *count += u64::from(size.load(Ordering::Relaxed));
            }
        }
        let total = float(counts.iter().sum());
        wanted.map(|quantile| {
            let mut before = 0;
            let found = counts.iter().position(|count| {
                before += count;
                *count != 0 && quantile * total <= float(before)
            });
            (quantile, found.map_or(f64::NAN, |size| middle_of(size) / NANOS_PER_SECOND))
        })
    }

    /// Counts below each bound, in seconds.
    #[must_use]
    pub fn buckets(&self) -> [(f64, u64); BOUNDS.len()] {
        let mut total = 0;
        std::array::from_fn(|at| {
            total += self.below[at].load(Ordering::Relaxed);
            (BOUNDS[at], total)
        })
    }

    /// Seconds of all, and how many there were.
    #[must_use]
    pub fn totals(&self) -> (f64, u64) {
        let seconds = float(self.nanos.load(Ordering::Relaxed)) / NANOS_PER_SECOND;
        (seconds, self.count.load(Ordering::Relaxed))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds stay below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

const fn window_count() -> u64 {
    WINDOWS as u64
}

/// The window of a turn.
fn place(turn: u64) -> usize {
    usize::try_from(turn % window_count()).unwrap_or(0)
}

/// The size that counts `nanos`: below 8 each number, above its octave and the next three bits.
fn size_of(nanos: u64) -> usize {
    let octave = u64::from(nanos.max(8).ilog2());
    let part = (nanos >> (octave - 3)) & 7;
    let size = if nanos < 8 { nanos } else { (octave - 2) * 8 + part };
    usize::try_from(size).unwrap_or(usize::MAX).min(SIZES - 1)
}

/// Nanoseconds in the middle of what a size counts.
fn middle_of(size: usize) -> f64 {
    let size = u64::try_from(size).unwrap_or(0);
    if size < 8 {
        return float(size);
    }
    let octave = size / 8 + 2;
    let step = float(1 << (octave - 3));
    (float(8 + size % 8) + 0.5) * step
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    #[test]
    fn quantiles_are_right_to_six_percent() {
        let durations = Durations::default();
        for ms in 1..=1000 {
            durations.observe(Tick(MINUTE), ms * 1_000_000);
        }
        for (quantile, seconds) in durations.quantiles(Tick(MINUTE), QUANTILES) {
            assert!((seconds / quantile - 1.0).abs() < 0.07, "{quantile}: {seconds}");
        }
        assert_eq!(durations.buckets(), [(0.01, 10), (0.1, 100), (1.0, 1000), (10.0, 1000)]);
        let (sum, count) = durations.totals();
        assert_eq!(count, 1000);
        assert!((sum - 500.5).abs() < 1e-6);
    }

    #[test]
    fn what_is_older_than_ten_minutes_is_forgotten() {
        let durations = Durations::default();
        let is_nan = |at: u64| durations.quantiles(Tick(at * MINUTE), QUANTILES)[0].1.is_nan();
        assert!(is_nan(0));
        durations.observe(Tick(MINUTE), 1_000_000);
        assert!(!is_nan(1) && !is_nan(9));
        assert!(is_nan(10));
        durations.observe(Tick(11 * MINUTE), 4_000_000_000);
        let (_, seconds) = durations.quantiles(Tick(11 * MINUTE), QUANTILES)[0];
        assert!((seconds / 4.0 - 1.0).abs() < 0.07, "{seconds}");
        assert_eq!(durations.totals().1, 2);
    }

    proptest! {
        #[test]
        fn sizes_hold_what_they_count(nanos in any::<u64>()) {
            let middle = middle_of(size_of(nanos));
            prop_assert!((middle / float(nanos.max(1)) - 1.0).abs() < 0.0626 || nanos < 8);
        }
    }
}
