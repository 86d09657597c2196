//! Pace: how fast background work may move bytes while commits wait for the same disk.
//!
//! Path: `shard_loop` measures commits → `Strain` → **pace** → `compactor` pauses.
//! Never: reads a clock, waits.
//!
//! The controller looks at the slowest commit of each window of 100 ms. Beyond three times what a
//! commit takes while nothing is compacted (at least 10 ms) it halves the rate; else it adds
//! 8 MiB/s. So the rate settles where the disk begins to be felt, and a quiet disk is used whole
//! within seconds.
//!
//! Invariants
//! - PA1: the rate stays between its bounds: background work never stops, and never runs away.

use std::sync::atomic::{AtomicU64, Ordering};

use model::time::{NANOS_PER_MS, Tick};

const MIB: u64 = 1 << 20;
/// Compaction goes on at this rate whatever the disk says: a store that never compacts fills it.
const RATE_MIN: u64 = 4 * MIB;
const RATE_MAX: u64 = 1024 * MIB;
const RATE_START: u64 = 32 * MIB;
/// Added after each window without strain.
const RATE_STEP: u64 = 8 * MIB;
const WINDOW_NANOS: u64 = 100 * NANOS_PER_MS;
/// A commit below it never counts as slow.
const SLOW_NANOS_MIN: u64 = 10 * NANOS_PER_MS;
/// Times that of a calm disk at which a commit is slow.
const SLOW_FACTOR: u64 = 3;
/// Share of a new reading in the calm value: one of eight.
const CALM_SHIFT: u32 = 3;
/// A pause is cut there, so that a stop is heard.
const PAUSE_NANOS_MAX: u64 = 500 * NANOS_PER_MS;

/// The slowest commit since somebody looked.
#[derive(Debug, Default)]
pub struct Strain {
    commit_nanos: AtomicU64,
}

impl Strain {
    /// A commit took this long.
    pub fn commit(&self, nanos: u64) {
        self.commit_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// The slowest since the last call; 0 when there was none.
    pub fn take(&self) -> u64 {
        self.commit_nanos.swap(0, Ordering::Relaxed)
    }
}

/// The controller.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: u64,
    calm_nanos: u64,
    window: Tick,
    /// When the bytes moved so far are paid for.
    paid: Tick,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace { rate: RATE_START, calm_nanos: 0, window: Tick(0), paid: Tick(0) }
    }

    /// Bytes a second that may be moved.
    pub(crate) fn rate(&self) -> u64 {
        self.rate
    }

    /// Nothing is moved: a commit that takes this long tells what a calm disk gives.
    pub(crate) fn rest(&mut self, commit_nanos: u64) {
        if commit_nanos == 0 {
            return;
        }
        self.calm_nanos = if self.calm_nanos == 0 {
            commit_nanos
        } else {
            let old = self.calm_nanos - (self.calm_nanos >> CALM_SHIFT);
            old + (commit_nanos >> CALM_SHIFT)
        };
    }

    /// `bytes` were moved; gives how long to pause, in nanoseconds.
    pub(crate) fn moved(&mut self, now: Tick, bytes: u64, strain: &Strain) -> u64 {
        if WINDOW_NANOS <= now.since(self.window) {
            self.window = now;
            self.adjust(strain.take());
        }
        // What was not used before is not saved up.
        let from = self.paid.max(now);
        let cost = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        self.paid = Tick(from.0.saturating_add(cost));
        self.paid.since(now).min(PAUSE_NANOS_MAX)
    }

    fn adjust(&mut self, commit_nanos: u64) {
        let slow = self.calm_nanos.saturating_mul(SLOW_FACTOR).max(SLOW_NANOS_MIN);
        self.rate = if slow < commit_nanos { self.rate / 2 } else { self.rate + RATE_STEP };
        self.rate = self.rate.clamp(RATE_MIN, RATE_MAX);
        assert!((RATE_MIN..=RATE_MAX).contains(&self.rate), "PA1: the rate is bounded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk on which commits take 2 ms, and 2 ms more for every 32 MiB/s beyond its limit.
    fn run(pace: &mut Pace, limit: u64, windows: u64) -> u64 {
        let strain = Strain::default();
        let mut now = Tick(1_000_000_000);
        let mut moved = 0;
        for _ in 0..windows * 100 {
            let over = pace.rate().saturating_sub(limit);
            strain.commit((2 + 20 * over / (32 * MIB)) * NANOS_PER_MS);
            moved += 256 << 10;
            let pause = pace.moved(now, 256 << 10, &strain);
            now = Tick(now.0 + pause.max(NANOS_PER_MS));
        }
        moved / now.0.max(1)
    }

    #[test]
    fn the_rate_settles_where_the_disk_begins_to_be_felt() {
        let mut pace = Pace::new();
        pace.rest(2 * NANOS_PER_MS);
        run(&mut pace, 128 * MIB, 300);
        let settled = pace.rate();
        assert!((60 * MIB..=170 * MIB).contains(&settled), "{} MiB/s", settled / MIB);
    }

    #[test]
    fn pa1_a_disk_that_always_stalls_slows_to_the_least_and_no_further() {
        let mut pace = Pace::new();
        let strain = Strain::default();
        for window in 1..50u64 {
            strain.commit(1_000 * NANOS_PER_MS);
            pace.moved(Tick(window * WINDOW_NANOS), 1, &strain);
        }
        assert_eq!(pace.rate(), RATE_MIN);
        for window in 50..500u64 {
            pace.moved(Tick(window * WINDOW_NANOS), 1, &strain);
        }
        assert_eq!(pace.rate(), RATE_MAX);
    }

    #[test]
    fn a_slow_disk_is_not_taken_for_a_strained_one() {
        let mut pace = Pace::new();
        (0..100).for_each(|_| pace.rest(30 * NANOS_PER_MS));
        let strain = Strain::default();
        strain.commit(60 * NANOS_PER_MS);
        pace.moved(Tick(WINDOW_NANOS), 1, &strain);
        assert!(RATE_START < pace.rate());
    }

    #[test]
    fn bytes_are_paid_for_with_time() {
        let mut pace = Pace::new();
        let strain = Strain::default();
        let now = Tick(1);
        let pause = pace.moved(now, RATE_START / 8, &strain);
        assert_eq!(pause / NANOS_PER_MS, 125);
        let more = pace.moved(now, RATE_START, &strain);
        assert_eq!(more, PAUSE_NANOS_MAX, "a pause is bounded");
    }
}
