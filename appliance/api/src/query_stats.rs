//! Query stats: what a query cost, timed and counted, in upstream's shape.
//!
//! Source: `util/stats/query_stats.go` of Prometheus 3.14.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use model::time::{Tick, TimestampMs};
use query::evaluate::{Part, Stats};

use crate::json::{Gone, Sink, Writer};

/// Nanoseconds of the parts of a query's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a thread.
    pub queue_nanos: u64,
    /// Parsing, planning and asking the store.
    pub prepare_nanos: u64,
    /// Computing.
    pub eval_nanos: u64,
    /// Bringing series in order.
    pub sort_nanos: u64,
}

impl Timings {
    /// All but the waiting.
    #[must_use]
    pub fn eval_total_nanos(&self) -> u64 {
        self.prepare_nanos.saturating_add(self.eval_nanos).saturating_add(self.sort_nanos)
    }
}

/// Times the parts of a query's work; told of each by the evaluation.
#[derive(Debug)]
pub struct PartClock {
    since: AtomicU64,
    part: AtomicU8,
    nanos: [AtomicU64; 3],
}

impl PartClock {
    /// A clock whose first part begins at `now`.
    #[must_use]
    pub fn new(now: Tick) -> PartClock {
        PartClock {
            since: AtomicU64::new(now.0),
            part: AtomicU8::new(0),
            nanos: Default::default(),
        }
    }

    /// The next part begins at `now`.
    pub fn enter(&self, part: Part, now: Tick) {
        let number = match part {
            Part::Prepare => 0,
            Part::Evaluate => 1,
            Part::Sort => 2,
            Part::Done => 3,
        };
        let before = self.part.swap(number, Ordering::Relaxed);
        let since = Tick(self.since.swap(now.0, Ordering::Relaxed));
        if let Some(nanos) = self.nanos.get(usize::from(before)) {
            nanos.fetch_add(now.since(since), Ordering::Relaxed);
        }
    }

    /// What the parts took after `queue_nanos` in the queue; the part under way ends at `now`.
    #[must_use]
    pub fn timings(&self, queue_nanos: u64, now: Tick) -> Timings {
        self.enter(Part::Done, now);
        let [prepare_nanos, eval_nanos, sort_nanos] =
            [0, 1, 2].map(|part: usize| self.nanos[part].load(Ordering::Relaxed));
        Timings { queue_nanos, prepare_nanos, eval_nanos, sort_nanos }
    }
}

/// JSON of `data.stats`, and of `stats` in the query log.
#[must_use]
pub fn stats_json(stats: &Stats, timings: &Timings) -> String {
    let mut json = Text::default();
    let mut writer = Writer::new(&mut json);
    let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
    let eval_nanos = timings.eval_total_nanos();
    let fields = [
        ("{\"timings\":{\"evalTotalTime\":", eval_nanos),
        (",\"resultSortTime\":", timings.sort_nanos),
        (",\"queryPreparationTime\":", timings.prepare_nanos),
        (",\"innerEvalTime\":", timings.eval_nanos),
        (",\"execQueueTime\":", timings.queue_nanos),
        (",\"execTotalTime\":", timings.queue_nanos.saturating_add(eval_nanos)),
    ];
    for (key, nanos) in fields {
        writer.raw(key);
        writer.float(seconds(nanos));
    }
    writer.raw("},\"samples\":{");
    write_steps(&mut writer, "totalQueryableSamplesPerStep", &stats.samples_per_step);
    writer.raw("\"totalQueryableSamples\":");
    writer.integer(stats.samples_total);
    writer.raw(",\"samplesRead\":");
    writer.integer(stats.samples_read);
    writer.raw(",\"peakSamples\":");
    writer.integer(stats.samples_peak);
    writer.raw("}}");
    // A text never leaves.
    let _ = writer.finish();
    json.0
}

/// Counts by step and a comma, where they were counted.
fn write_steps(writer: &mut Writer<'_>, key: &str, steps: &[(TimestampMs, u64)]) {
    if steps.is_empty() {
        return;
    }
    writer.string(key);
    writer.raw(":[");
    for (at, (time, samples)) in steps.iter().enumerate() {
        writer.raw(if at == 0 { "[" } else { ",[" });
        writer.time(*time);
        writer.raw(",");
        writer.integer(*samples);
        writer.raw("]");
    }
    writer.raw("],");
}

/// Collects what is written into one text.
#[derive(Default)]
struct Text(String);

impl Sink for Text {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Gone> {
        self.0.push_str(&String::from_utf8_lossy(chunk));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_timed_until_the_next_begins() {
        let clock = PartClock::new(Tick(100));
        clock.enter(Part::Prepare, Tick(110));
        clock.enter(Part::Evaluate, Tick(130));
        clock.enter(Part::Sort, Tick(170));
        let timings = clock.timings(5, Tick(250));
        let expected =
            Timings { queue_nanos: 5, prepare_nanos: 30, eval_nanos: 40, sort_nanos: 80 };
        assert_eq!(timings, expected);
        assert_eq!(timings.eval_total_nanos(), 150);
    }

    #[test]
    fn stats_have_upstreams_keys() {
        let timings = Timings {
            queue_nanos: 500_000_000,
            prepare_nanos: 250_000_000,
            eval_nanos: 1_000_000_000,
            sort_nanos: 0,
        };
        let stats = Stats {
            samples_total: 7,
            samples_read: 5,
            samples_peak: 3,
            samples_per_step: vec![(TimestampMs(1500), 7)],
        };
        let expected = concat!(
            r#"{"timings":{"evalTotalTime":1.25,"resultSortTime":0,"queryPreparationTime":0.25,"#,
            r#""innerEvalTime":1,"execQueueTime":0.5,"execTotalTime":1.75},"samples":{"#,
            r#""totalQueryableSamplesPerStep":[[1.500,7]],"totalQueryableSamples":7,"#,
            r#""samplesRead":5,"peakSamples":3}}"#
        );
        assert_eq!(stats_json(&stats, &timings), expected);
    }
}
