//! Clock: the only reading of time in the process.
//!
//! Path: `shard_loop` and the other threads ask here → [`Now`] goes into the core as an argument.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use model::time::{Now, Tick, TimestampMs};

/// Where ticks count from: the first reading in this process, moved one hour back so that a
/// deadline computed backwards never meets zero.
static START: LazyLock<Instant> = LazyLock::new(instant);
const START_NANOS: u64 = 3_600_000_000_000;

#[expect(clippy::disallowed_methods, reason = "the machine reads the clock for everyone")]
fn instant() -> Instant {
    Instant::now()
}

/// The monotonic clock.
#[must_use]
pub fn tick() -> Tick {
    let start = *START;
    let nanos = instant().saturating_duration_since(start).as_nanos();
    Tick(START_NANOS.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// Both clocks.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the machine reads the clock for everyone")]
pub fn now() -> Now {
    let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Now { tick: tick(), wall: TimestampMs(wall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_rise_and_the_wall_is_after_2020() {
        let first = now();
        let second = now();
        assert!(first.tick <= second.tick);
        assert!(1_577_836_800_000 < second.wall.0);
    }
}
