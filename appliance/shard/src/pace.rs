//! Pace: how fast background work may move bytes and how long commits gather rows, by what the
//! machine feels.
//!
//! Path: the machine's `pacer` reads a window → [`Reading`] → **pace** → [`Output`] → compaction's
//! [`Throttle`], event `Pace`.
//! Never: reads a clock, waits.
//!
//! The controller takes one step a window of 200 ms.
//!
//! - Each signal has its calm value, which follows readings by an eighth while nothing is moved,
//!   and strains above three times that, held between a floor and a ceiling (`Signal::range`).
//! - The rate is halved in a window in which any signal strains, and grows by 8 MiB/s in another.
//!   So it settles where the machine begins to be felt, and a quiet one is used whole within
//!   seconds.
//! - A commit gathers rows for twice the time that commits take (smoothed by a quarter), so that
//!   the log asks the device for a third of its time at most, whatever the device is.
//!
//! Invariants
//! - PA1: the rate stays between its bounds: background work never stops, and never runs away.
//! - PA2: the age of a commit stays between its bounds: so does what the power may take.

use model::time::{NANOS_PER_MS, Tick};

const MIB: u64 = 1 << 20;
/// Length of a window.
pub const WINDOW_NANOS: u64 = 200 * NANOS_PER_MS;
/// Parts of a whole, for signals that are shares.
pub const PARTS: u64 = 1_000_000;
const RATE_START: u64 = 32 * MIB;
/// Added after each window without strain.
const RATE_STEP: u64 = 8 * MIB;
/// Times its calm value at which a signal strains.
const STRAIN_FACTOR: u64 = 3;
/// Share of a new reading in the calm value: one of eight.
const CALM_SHIFT: u32 = 3;
/// Share of a new reading in the smoothed time of commits: one of four.
const COMMIT_SHIFT: u32 = 2;
/// Times the time of a commit for which the next one gathers.
const GATHER_FACTOR: u64 = 2;
/// Times its least at which the size of a commit ends to grow: buffers are bounded.
const COMMIT_BYTES_FACTOR_MAX: u64 = 4;
/// A pause is cut there, so that a stop is heard.
const PAUSE_NANOS_MAX: u64 = 500 * NANOS_PER_MS;

/// What is read of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The slowest commit, nanoseconds.
    Commit,
    /// Mean time of requests to the device, nanoseconds.
    Device,
    /// Time that tasks waited for our processors, millionths of the window, mean of processors.
    RunQueue,
    /// Time that our processors spent in interrupts, millionths of the window.
    Interrupts,
}

impl Signal {
    /// All, in order of [`Reading::values`].
    pub const ALL: [Signal; 4] =
        [Signal::Commit, Signal::Device, Signal::RunQueue, Signal::Interrupts];

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Signal::Commit => "commit",
            Signal::Device => "device",
            Signal::RunQueue => "run_queue",
            Signal::Interrupts => "interrupts",
        }
    }

    /// Below the first it never strains, above the second it always does, whatever calm is.
    fn range(self) -> (u64, u64) {
        match self {
            Signal::Commit | Signal::Device => (10 * NANOS_PER_MS, 100 * NANOS_PER_MS),
            Signal::RunQueue => (PARTS / 4, PARTS * 9 / 10),
            Signal::Interrupts => (PARTS / 5, PARTS / 2),
        }
    }
}

/// What one window was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// By [`Signal::ALL`]; `None` where nothing was seen.
    pub values: [Option<u64>; 4],
    /// Whether background work moves bytes.
    pub moving: bool,
}

/// Between which values the controller may choose. Where both ends of a range are equal there is
/// nothing to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes a second that background work may always move. Range 1 MiB..=16 GiB. Default 4 MiB:
    /// many times what a busy server scrapes, so that a store never fills for want of compaction.
    pub rate_min: u64,
    /// Bytes a second beyond which it never goes. Range `rate_min`..=16 GiB. Default 1 GiB.
    pub rate_max: u64,
    /// Age of a commit on a calm device: that of the store's options.
    pub commit_age_ms_min: u64,
    /// Age of a commit at most. Range `commit_age_ms_min`..=1000. Default 100.
    pub commit_age_ms_max: u64,
    /// Size of a commit on a calm device: that of the store's options.
    pub commit_bytes_min: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            rate_min: 4 * MIB,
            rate_max: 1024 * MIB,
            commit_age_ms_min: 10,
            commit_age_ms_max: 100,
            commit_bytes_min: 256 << 10,
        }
    }
}

/// When a commit closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitPace {
    /// At this age of its first row.
    pub age_ms: u64,
    /// At this size.
    pub bytes: u64,
}

/// What became of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was halved, for this signal.
    Slower(Signal),
    /// It grew.
    Faster,
    /// Nothing is moved.
    Rest,
}

/// What the controller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Bytes a second that background work may move.
    pub rate: u64,
    /// When commits close.
    pub commit: CommitPace,
    /// Why the rate is what it is.
    pub decision: Decision,
}

/// The controller.
#[derive(Debug)]
pub struct Pace {
    bounds: Bounds,
    rate: u64,
    calm: [u64; 4],
    commit_nanos: u64,
}

impl Pace {
    /// A controller that has seen nothing.
    ///
    /// # Panics
    /// A range of `bounds` ends before it begins.
    #[must_use]
    pub fn new(bounds: Bounds) -> Pace {
        assert!(bounds.rate_min <= bounds.rate_max, "PA1: the bounds of the rate are a range");
        let ages = bounds.commit_age_ms_min <= bounds.commit_age_ms_max;
        assert!(ages, "PA2: the bounds of the age are a range");
        let rate = RATE_START.clamp(bounds.rate_min, bounds.rate_max);
        Pace { bounds, rate, calm: [0; 4], commit_nanos: 0 }
    }

    /// One window has passed.
    pub fn step(&mut self, reading: &Reading) -> Output {
        let decision = if reading.moving { self.adjust(reading) } else { self.rest(reading) };
        let bounds = &self.bounds;
        let within = (bounds.rate_min..=bounds.rate_max).contains(&self.rate);
        assert!(within, "PA1: the rate is bounded");
        Output { rate: self.rate, commit: self.gather(reading.values[0]), decision }
    }

    fn adjust(&mut self, reading: &Reading) -> Decision {
        let strains = |signal: &Signal| {
            let (value, bound) = (reading.values[*signal as usize], self.bound(*signal));
            value.is_some_and(|value| bound < value)
        };
        let strained = Signal::ALL.into_iter().find(strains);
        let (rate, decision) = match strained {
            Some(signal) => (self.rate / 2, Decision::Slower(signal)),
            None => (self.rate.saturating_add(RATE_STEP), Decision::Faster),
        };
        self.rate = rate.clamp(self.bounds.rate_min, self.bounds.rate_max);
        decision
    }

    /// While nothing is moved readings tell what others do to the machine.
    fn rest(&mut self, reading: &Reading) -> Decision {
        for (calm, value) in self.calm.iter_mut().zip(reading.values) {
            if let Some(value) = value {
                *calm = follow(*calm, value, CALM_SHIFT);
            }
        }
        Decision::Rest
    }

    /// Above it `signal` strains.
    fn bound(&self, signal: Signal) -> u64 {
        let (floor, ceiling) = signal.range();
        self.calm[signal as usize].saturating_mul(STRAIN_FACTOR).clamp(floor, ceiling)
    }

    fn gather(&mut self, commit_nanos: Option<u64>) -> CommitPace {
        if let Some(nanos) = commit_nanos {
            self.commit_nanos = follow(self.commit_nanos, nanos, COMMIT_SHIFT);
        }
        let (least, most) = (self.bounds.commit_age_ms_min, self.bounds.commit_age_ms_max);
        // In whole steps of the least, so that shards seldom hear of it.
        let step = least.max(1);
        let wanted = self.commit_nanos.saturating_mul(GATHER_FACTOR) / NANOS_PER_MS;
        let age_ms = (wanted / step * step).clamp(least, most);
        assert!((least..=most).contains(&age_ms), "PA2: the age is bounded");
        let factor = (age_ms / step).clamp(1, COMMIT_BYTES_FACTOR_MAX);
        CommitPace { age_ms, bytes: self.bounds.commit_bytes_min.saturating_mul(factor) }
    }
}

/// `old` moved towards `new` by one part of 2^`shift`; the first is taken whole.
fn follow(old: u64, new: u64, shift: u32) -> u64 {
    if old == 0 { new } else { old - (old >> shift) + (new >> shift) }
}

/// Makes bytes take the time that a rate wants for them.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When the bytes moved so far are paid for.
    paid: Tick,
}

impl Throttle {
    /// `bytes` were moved; gives how long to pause, in nanoseconds, at most half a second.
    pub fn moved(&mut self, now: Tick, bytes: u64, rate: u64) -> u64 {
        // What was not used before is not saved up.
        let from = self.paid.max(now);
        let cost = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        self.paid = Tick(from.0.saturating_add(cost));
        self.paid.since(now).min(PAUSE_NANOS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(ms: u64, moving: bool) -> Reading {
        Reading { values: [Some(ms * NANOS_PER_MS), None, None, None], moving }
    }

    fn rested(ms: u64) -> Pace {
        let mut pace = Pace::new(Bounds::default());
        for _ in 0..100 {
            pace.step(&commit(ms, false));
        }
        pace
    }

    #[test]
    fn the_rate_settles_where_the_disk_begins_to_be_felt() {
        let mut pace = rested(2);
        // Commits take 2 ms, and 20 ms more for every 32 MiB/s beyond 128 MiB/s.
        let mut rate = 32 * MIB;
        let mut rates = Vec::new();
        for _ in 0..300 {
            let over = rate.saturating_sub(128 * MIB);
            rate = pace.step(&commit(2 + 20 * over / (32 * MIB), true)).rate;
            rates.push(rate);
        }
        let settled = rates[100..].iter().sum::<u64>() / 200;
        assert!((80 * MIB..=170 * MIB).contains(&settled), "{} MiB/s", settled / MIB);
    }

    #[test]
    fn pa1_a_disk_that_always_stalls_slows_to_the_least_and_no_further() {
        let mut pace = Pace::new(Bounds::default());
        let output = (0..50).map(|_| pace.step(&commit(1_000, true))).last().unwrap();
        assert_eq!(output.rate, 4 * MIB);
        assert_eq!(output.decision, Decision::Slower(Signal::Commit));
        let output = (0..500).map(|_| pace.step(&Reading { moving: true, ..Reading::default() }));
        assert_eq!(output.last().unwrap().rate, 1024 * MIB);
    }

    #[test]
    fn pa2_commits_gather_by_what_they_take_and_within_their_bounds() {
        let ages = |ms: u64| rested(ms).step(&commit(ms, false)).commit;
        assert_eq!(ages(2), CommitPace { age_ms: 10, bytes: 256 << 10 });
        assert_eq!(ages(16), CommitPace { age_ms: 30, bytes: 768 << 10 });
        assert_eq!(ages(900), CommitPace { age_ms: 100, bytes: 1 << 20 });
        let mut pace = rested(900);
        let calm = (0..30).map(|_| pace.step(&commit(1, false)).commit.age_ms).last();
        assert_eq!(calm, Some(10), "a device that is calm again is used as before");
    }

    #[test]
    fn each_signal_strains_by_itself() {
        let over = [101 * NANOS_PER_MS, 101 * NANOS_PER_MS, PARTS * 95 / 100, PARTS * 6 / 10];
        for (at, signal) in Signal::ALL.into_iter().enumerate() {
            let mut reading = Reading { moving: true, ..Reading::default() };
            reading.values[at] = Some(over[at]);
            let decision = Pace::new(Bounds::default()).step(&reading).decision;
            assert_eq!(decision, Decision::Slower(signal));
        }
    }

    #[test]
    fn a_slow_disk_is_not_taken_for_a_strained_one() {
        assert_eq!(rested(30).step(&commit(60, true)).decision, Decision::Faster);
        // Beyond the ceiling nothing is calm.
        let strained = Decision::Slower(Signal::Commit);
        assert_eq!(rested(90).step(&commit(110, true)).decision, strained);
    }

    #[test]
    fn without_a_range_nothing_is_chosen() {
        let bounds = Bounds {
            rate_min: 64 * MIB,
            rate_max: 64 * MIB,
            commit_age_ms_max: 10,
            ..Bounds::default()
        };
        let mut pace = Pace::new(bounds);
        let output = (0..50).map(|_| pace.step(&commit(1_000, true))).last().unwrap();
        assert_eq!((output.rate, output.commit.age_ms), (64 * MIB, 10));
    }

    #[test]
    fn bytes_are_paid_for_with_time() {
        let mut throttle = Throttle::default();
        let now = Tick(1);
        assert_eq!(throttle.moved(now, 4 * MIB, 32 * MIB) / NANOS_PER_MS, 125);
        let more = throttle.moved(now, 32 * MIB, 32 * MIB);
        assert_eq!(more, PAUSE_NANOS_MAX, "a pause is bounded");
    }
}
