//! Slots: the schedule of a target as a pure function of its identity and interval.
//!
//! Slot k is due at `offset + k × interval` milliseconds after the Unix epoch. Every node computes
//! the same slots without talking.
//!
//! Invariants
//! - SL1: the offset is less than the interval.

use model::time::{NANOS_PER_MS, Now, Tick, TimestampMs};
use storage::row::{GroupKey, Slot};

/// Farthest from its slot that a scrape may begin and still be stamped with the slot's time, in
/// milliseconds, as upstream's `ScrapeTimestampTolerance`.
pub const SNAP_TOLERANCE_MS_MAX: i64 = 2;
/// A wall clock that moved more than this against the monotonic clock has been set: nanoseconds.
const CLOCK_JUMP_NANOS: i128 = 1_000_000_000;

/// The rhythm of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    interval_ms: i64,
    offset_ms: i64,
}

impl Schedule {
    /// Schedule of the target that `identity` names, scraped every `interval_ms`.
    ///
    /// # Panics
    /// `interval_ms` is at least 1 and fits `i64`: job specifications are checked before.
    #[must_use]
    pub fn new(identity: GroupKey, interval_ms: u64) -> Schedule {
        let interval = u128::from(interval_ms.max(1));
        let offset = i64::try_from(identity.0 % interval).expect("an interval fits i64");
        let interval_ms = i64::try_from(interval).expect("an interval fits i64");
        assert!(offset < interval_ms, "SL1: offset {offset} of interval {interval_ms}");
        Schedule { interval_ms, offset_ms: offset }
    }

    /// Place of the slots within the interval, milliseconds.
    #[must_use]
    pub fn offset_ms(self) -> i64 {
        self.offset_ms
    }

    /// Milliseconds between slots.
    #[must_use]
    pub fn interval_ms(self) -> i64 {
        self.interval_ms
    }

    /// The first slot due at or after `wall`.
    #[must_use]
    pub fn at_or_after(self, wall: TimestampMs) -> Slot {
        let at_or_before = self.at_or_before(wall);
        if at_or_before.0 == wall.0 { at_or_before } else { self.next(at_or_before) }
    }

    /// The last slot due at or before `wall`.
    #[must_use]
    pub fn at_or_before(self, wall: TimestampMs) -> Slot {
        let into = wall.0.saturating_sub(self.offset_ms).rem_euclid(self.interval_ms);
        Slot(wall.0.saturating_sub(into))
    }

    /// The slot after `slot`.
    #[must_use]
    pub fn next(self, slot: Slot) -> Slot {
        Slot(slot.0.saturating_add(self.interval_ms))
    }

    /// The slot after `done`, which may lie in the past; when the wall clock was set back
    /// meanwhile, the first after `wall`.
    #[must_use]
    pub fn after(self, done: Slot, wall: TimestampMs) -> Slot {
        let next = self.at_or_after(TimestampMs(done.0.saturating_add(1)));
        let first = self.at_or_after(wall.saturating_add(1));
        if self.next(first) < next { first } else { next }
    }

    /// The slot to fill at `wall` when `due` waited until then: the last that has come; `due`
    /// itself when none has come since, also if it is a moment early.
    #[must_use]
    pub fn latest(self, due: Slot, wall: TimestampMs) -> Slot {
        let come = self.at_or_before(wall);
        let set_back = self.next(come) < due;
        if set_back || due < come { come } else { due }
    }

    /// Slots from `from` (inclusive) up to `to` (exclusive).
    #[must_use]
    pub fn between(self, from: Slot, to: Slot) -> u64 {
        u64::try_from(to.0.saturating_sub(from.0) / self.interval_ms).unwrap_or(0)
    }

    /// Time of a row of `slot` whose scrape began at `began`: the slot's own within the tolerance.
    #[must_use]
    pub fn stamp(self, slot: Slot, began: TimestampMs) -> TimestampMs {
        let tolerance = (self.interval_ms / 100).min(SNAP_TOLERANCE_MS_MAX);
        let off = began.0.saturating_sub(slot.0).saturating_abs();
        if off <= tolerance { TimestampMs(slot.0) } else { began }
    }
}

/// Places wall-clock slots on the monotonic clock to the microsecond, although the wall clock is
/// read in whole milliseconds: each reading bounds the distance of the clocks to one millisecond,
/// and the bounds are kept together.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotClock {
    /// Wall nanoseconds minus ticks; `None` before the first reading.
    distance_nanos: Option<i128>,
}

impl SlotClock {
    /// Takes a reading; true when the wall clock was set since the last one.
    pub fn observe(&mut self, now: Now) -> bool {
        let low = i128::from(now.wall.0) * i128::from(NANOS_PER_MS) - i128::from(now.tick.0);
        let high = low + i128::from(NANOS_PER_MS) - 1;
        let Some(known) = self.distance_nanos else {
            self.distance_nanos = Some(low);
            return false;
        };
        let distance = known.clamp(low, high);
        self.distance_nanos = Some(distance);
        CLOCK_JUMP_NANOS < (distance - known).abs()
    }

    /// The tick at which the wall clock shows `slot`; the start of the clock when before it.
    #[must_use]
    pub fn tick_of(&self, slot: Slot) -> Tick {
        let wall_nanos = i128::from(slot.0) * i128::from(NANOS_PER_MS);
        let nanos = wall_nanos - self.distance_nanos.unwrap_or(0);
        Tick(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sl1_slots_are_offset_plus_multiples() {
        for identity in [0, 1, 14_999, 15_000, u128::MAX] {
            let schedule = Schedule::new(GroupKey(identity), 15_000);
            assert!(schedule.offset_ms() < 15_000);
            for wall in [-1, 0, 1, 14_999, 1_700_000_000_000, 1_700_000_000_001] {
                let slot = schedule.at_or_after(TimestampMs(wall));
                assert_eq!((slot.0 - schedule.offset_ms()).rem_euclid(15_000), 0);
                assert!(wall <= slot.0 && slot.0 < wall + 15_000);
                let before = schedule.at_or_before(TimestampMs(wall));
                assert!(before.0 <= wall && wall < before.0 + 15_000);
            }
        }
    }

    #[test]
    fn stamp_snaps_within_the_tolerance_only() {
        let schedule = Schedule::new(GroupKey(0), 15_000);
        for (began, stamped) in
            [(30_000, 30_000), (30_002, 30_000), (29_998, 30_000), (30_003, 30_003)]
        {
            assert_eq!(schedule.stamp(Slot(30_000), TimestampMs(began)), TimestampMs(stamped));
        }
        let fast = Schedule::new(GroupKey(0), 100);
        assert_eq!(fast.stamp(Slot(300), TimestampMs(301)), TimestampMs(300));
        assert_eq!(fast.stamp(Slot(300), TimestampMs(302)), TimestampMs(302));
    }

    #[test]
    fn slots_between_count_what_was_skipped() {
        let schedule = Schedule::new(GroupKey(0), 1_000);
        assert_eq!(schedule.between(Slot(1_000), Slot(1_000)), 0);
        assert_eq!(schedule.between(Slot(1_000), Slot(5_000)), 4);
    }

    #[test]
    fn a_late_slot_gives_way_to_the_last_that_came() {
        let schedule = Schedule::new(GroupKey(7), 1_000);
        let latest = |wall| schedule.latest(Slot(1_007), TimestampMs(wall)).0;
        assert_eq!(
            [1_006, 1_007, 2_006, 2_007, 5_100].map(latest),
            [1_007, 1_007, 1_007, 2_007, 5_007]
        );
        assert_eq!(schedule.latest(Slot(100_007), TimestampMs(5_100)).0, 5_007);
    }

    #[test]
    fn slots_go_on_after_the_clock_was_set_back() {
        let schedule = Schedule::new(GroupKey(7), 1_000);
        let after = |wall| schedule.after(Slot(9_007), TimestampMs(wall)).0;
        assert_eq!([9_006, 9_007, 9_500, 20_000].map(after), [10_007; 4]);
        assert_eq!(after(3_000), 3_007);
    }

    #[test]
    fn clock_learns_the_fraction_of_a_millisecond() {
        let mut clock = SlotClock::default();
        // The clocks are 0.9 ms apart beyond the whole millisecond.
        let wall_at = |tick: u64| TimestampMs(i64::try_from((tick + 900_000) / 1_000_000).unwrap());
        for tick in (0..20_000_000).step_by(300_000) {
            assert!(!clock.observe(Now { tick: Tick(tick), wall: wall_at(tick) }));
        }
        let due = clock.tick_of(Slot(50)).0;
        assert!((49_100_000..49_400_000).contains(&due), "{due}");
        assert!(clock.observe(Now { tick: Tick(21_000_000), wall: TimestampMs(100_000) }));
        assert!(clock.observe(Now { tick: Tick(22_000_000), wall: TimestampMs(21) }));
    }
}
