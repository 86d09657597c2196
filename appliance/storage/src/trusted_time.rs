//! Trusted time: the wall time by which samples are judged old, however the wall clock jumps.
//!
//! Path: `store` observes every event → **trusted_time** → retention.
//! What is deleted does not come back, so the wall clock is doubted when it runs ahead of the
//! monotonic one: a jump counts when it has stood for an hour. A jump back counts at once: it
//! only keeps samples longer. After a start the newest sample stands for the time before it, but
//! for samples alone ahead of a gap, of less than an hour: a clock that was wrong made them.

use model::time::{NANOS_PER_MS, Now, Tick};

/// A step ahead that an adjusted clock may take at once.
const SLACK_MS: i64 = 60_000;
/// How long a larger one must stand.
const DOUBT_MS: u64 = 3_600_000;

/// Tiles and blocks of more are taken for their ends: within a tile the clock may have jumped.
const SPAN_MS_MAX: i64 = 86_400_000;

/// Wall time at tick 0, milliseconds.
type Offset = i64;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TrustedTime {
    believed: Option<Offset>,
    /// What the wall clock says instead, and since when.
    doubted: Option<(Offset, Tick)>,
}

fn tick_ms(now: Now) -> i64 {
    i64::try_from(now.tick.0 / NANOS_PER_MS).unwrap_or(i64::MAX)
}

impl TrustedTime {
    /// The first time after a start: no samples are newer than `newest_ms`.
    pub(crate) fn begin(&mut self, now: Now, newest_ms: Option<i64>) {
        let at = newest_ms.map_or(now.wall.0, |newest| newest.min(now.wall.0));
        self.believed = Some(at.saturating_sub(tick_ms(now)));
        self.doubted = None;
        self.observe(now);
    }

    /// Takes in what the clocks say.
    pub(crate) fn observe(&mut self, now: Now) {
        let Some(believed) = self.believed else { return };
        let offset = now.wall.0.saturating_sub(tick_ms(now));
        if offset <= believed.saturating_add(SLACK_MS) {
            self.believed = Some(offset);
            self.doubted = None;
            return;
        }
        let stands = self.doubted.filter(|(other, _)| offset.abs_diff(*other) <= 60_000);
        let (_, since) = *self.doubted.insert(stands.unwrap_or((offset, now.tick)));
        if DOUBT_MS * NANOS_PER_MS <= now.tick.since(since) {
            self.believed = Some(offset);
            self.doubted = None;
        }
    }

    /// Wall time that may be acted on.
    pub(crate) fn now_ms(&self, now: Now) -> i64 {
        let believed = self.believed.map(|offset| offset.saturating_add(tick_ms(now)));
        believed.map_or(now.wall.0, |believed| believed.min(now.wall.0))
    }
}

/// The time up to which samples stood for at least an hour: of the spans of a store (first and last
/// time) the end of the last run without a gap of an hour that is as long, or of the first run.
pub(crate) fn newest_trusted(spans: impl Iterator<Item = (i64, i64)>) -> Option<i64> {
    let doubt_ms = i64::try_from(DOUBT_MS).unwrap_or(i64::MAX);
    let mut spans: Vec<(i64, i64)> = spans
        .flat_map(|(first, last)| {
            let is_whole = last.saturating_sub(first) <= SPAN_MS_MAX;
            if is_whole { [(first, last); 2] } else { [(first, first), (last, last)] }
        })
        .collect();
    spans.sort_unstable();
    let mut runs = Vec::new();
    for (first, last) in spans {
        match runs.last_mut() {
            Some((_, end)) if first <= i64::saturating_add(*end, doubt_ms) => *end = last.max(*end),
            _ => runs.push((first, last)),
        }
    }
    let is_long = |(first, last): &&(i64, i64)| doubt_ms <= last.saturating_sub(*first);
    runs.iter().rev().find(is_long).or(runs.first()).map(|(_, last)| *last)
}

#[cfg(test)]
mod tests {
    use model::time::TimestampMs;

    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn at(tick_ms: i64, wall_ms: i64) -> Now {
        let tick = Tick(0).after_ms(u64::try_from(tick_ms).unwrap());
        Now { tick, wall: TimestampMs(wall_ms) }
    }

    #[test]
    fn a_jump_ahead_counts_after_it_stood_for_an_hour() {
        let mut time = TrustedTime::default();
        time.begin(at(0, 1_000_000), None);
        let ahead = 1_000_000 + 48 * HOUR_MS;
        for minute in 0..59 {
            let now = at(minute * 60_000, ahead + minute * 60_000);
            time.observe(now);
            assert_eq!(time.now_ms(now), 1_000_000 + minute * 60_000);
        }
        let now = at(HOUR_MS, ahead + HOUR_MS);
        time.observe(now);
        assert_eq!(time.now_ms(now), ahead + HOUR_MS);
    }

    #[test]
    fn a_clock_that_comes_back_leaves_nothing_behind() {
        let mut time = TrustedTime::default();
        time.begin(at(0, 1_000_000), None);
        time.observe(at(1000, 1_001_000 + 48 * HOUR_MS));
        let now = at(2000, 1_002_000);
        time.observe(now);
        assert_eq!(time.now_ms(now), 1_002_000);
        // Back counts at once, and a small step ahead too.
        for wall in [500_000, 540_000] {
            let now = at(3000, wall);
            time.observe(now);
            assert_eq!(time.now_ms(now), wall);
        }
    }

    #[test]
    fn a_start_takes_the_newest_sample_for_the_time_until_the_clock_has_stood() {
        let mut time = TrustedTime::default();
        time.begin(at(0, 1_000_000 + 900 * HOUR_MS), Some(1_000_000));
        let now = at(1000, 1_001_000 + 900 * HOUR_MS);
        time.observe(now);
        assert_eq!(time.now_ms(now), 1_001_000);
        let now = at(HOUR_MS, 1_000_000 + 901 * HOUR_MS);
        time.observe(now);
        assert_eq!(time.now_ms(now), now.wall.0);
    }

    #[test]
    fn samples_of_a_wrong_clock_do_not_stand_for_the_time() {
        let year = 365 * 24 * HOUR_MS;
        let check = |spans: &[(i64, i64)], expected: Option<i64>| {
            assert_eq!(newest_trusted(spans.iter().copied()), expected, "{spans:?}");
        };
        check(&[], None);
        check(&[(5, 7)], Some(7));
        check(&[(0, 3 * HOUR_MS)], Some(3 * HOUR_MS));
        let ahead = year + 600_000;
        check(&[(year, ahead), (0, 3 * HOUR_MS)], Some(3 * HOUR_MS));
        check(&[(0, 3 * HOUR_MS), (2 * HOUR_MS, ahead)], Some(3 * HOUR_MS));
        check(&[(0, HOUR_MS), (year, year + HOUR_MS)], Some(year + HOUR_MS));
        check(&[(0, 10), (year, year + 10), (2 * year, 2 * year + 10)], Some(10));
    }
}
