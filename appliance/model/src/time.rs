//! Times: wall-clock milliseconds of samples, monotonic ticks of deadlines, and both together.

use std::fmt;
use std::ops::{Add, Sub};

/// Milliseconds since the Unix epoch; the time of a sample. Any `i64` is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampMs(pub i64);

impl TimestampMs {
    /// Before every sample.
    pub const MIN: TimestampMs = TimestampMs(i64::MIN);
    /// After every sample.
    pub const MAX: TimestampMs = TimestampMs(i64::MAX);

    /// This time moved by `ms`, held at the ends of the range.
    #[must_use]
    pub fn saturating_add(self, ms: i64) -> TimestampMs {
        TimestampMs(self.0.saturating_add(ms))
    }
}

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Nanoseconds of the monotonic clock since an arbitrary start; the time of deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

/// Nanoseconds in a millisecond.
pub const NANOS_PER_MS: u64 = 1_000_000;

impl Tick {
    /// This tick moved `ms` milliseconds ahead, held at the end of the range.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms.saturating_mul(NANOS_PER_MS)))
    }

    /// Nanoseconds from `earlier` to this tick; 0 when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Tick {
    type Output = Tick;

    fn add(self, nanos: u64) -> Tick {
        Tick(self.0.saturating_add(nanos))
    }
}

impl Sub<Tick> for Tick {
    type Output = u64;

    fn sub(self, earlier: Tick) -> u64 {
        self.since(earlier)
    }
}

/// One reading of both clocks. Core crates take it as an argument and read no clock themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: deadlines are compared with it.
    pub tick: Tick,
    /// The wall clock: slots and samples are stamped with it.
    pub wall: TimestampMs,
}
