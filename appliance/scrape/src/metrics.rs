//! Metrics: what one shard's scraper counts; shards are summed when read.
//!
//! Names that Prometheus has are Prometheus's, for its dashboards and alerts; ours begin with
//! `cresset_scrape_`.

use std::collections::BTreeMap;

use exposition::metrics::Collected;
use exposition::recorder::Recorder;
use model::duration::format_duration_ms;
use model::time::Tick;

use crate::error::ScrapeError;
use crate::fetch::FetchFault;
use crate::intervals::Intervals;
use crate::notice::LeftOut;

/// Upper bounds of the lateness buckets, seconds: 16 µs and its doublings, so that any quantile is
/// known to a factor of two from a tenth of a millisecond to half a minute.
const LATENESS_BOUNDS: [f64; 22] = {
    let mut bounds = [0.0; 22];
    let mut at = 0;
    let mut bound = 16e-6;
    while at < bounds.len() {
        bounds[at] = bound;
        bound *= 2.0;
        at += 1;
    }
    bounds
};
/// Upper bounds of scrape durations, seconds.
const DURATION_BOUNDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const NANOS_PER_SECOND: f64 = 1e9;

/// Observations in buckets of fixed bounds, and as a native histogram.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: Vec<f64>,
    counts: Vec<u64>,
    recorder: Recorder,
}

impl Histogram {
    fn new(bounds: impl IntoIterator<Item = f64>) -> Histogram {
        let bounds: Vec<f64> = bounds.into_iter().collect();
        Histogram { counts: vec![0; bounds.len()], bounds, recorder: Recorder::default() }
    }

    /// Counts one observation.
    pub fn observe(&mut self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.recorder.observe(value);
    }

    fn cumulative(&self) -> Vec<(f64, u64)> {
        let mut total = 0;
        let add = |(bound, count): (&f64, &u64)| {
            total += count;
            (*bound, total)
        };
        self.bounds.iter().zip(&self.counts).map(add).collect()
    }
}

/// Everything counted.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Scrapes that ended.
    pub scrapes: u64,
    /// Scrapes that failed.
    pub failures: u64,
    /// Bytes of bodies, inflated.
    pub body_bytes: u64,
    /// Bytes of bodies as they came over the wire.
    pub wire_bytes: u64,
    /// Samples that were stored, report series left out.
    pub samples: u64,
    /// Samples that the layout did not predict.
    pub unpredicted: u64,
    /// Layouts learned.
    pub layouts: u64,
    /// Slots that were skipped because the scrape before was not done or none could begin.
    pub skipped_slots: u64,
    /// Rows that storage had already.
    pub rows_duplicate: u64,
    /// Rows that storage refused.
    pub rows_refused: u64,
    /// Groups that targets outgrew.
    pub groups_left: u64,
    /// Fetches that ended for targets that are gone.
    pub fetches_orphaned: u64,
    /// Zeros stored where counting began.
    pub zeros: u64,
    /// Zeros that would have made rows too large.
    pub zeros_left_out: u64,
    /// Times that the wall clock was set.
    pub clock_jumps: u64,
    /// Samples with a series that the scrape had already.
    pub duplicates: u64,
    /// Samples older than the last of their series.
    pub out_of_order: u64,
    /// Samples too old for storage or too far in the future.
    pub out_of_bounds: u64,
    /// Exemplars older than the newest of their series, where all of a sample's were.
    pub exemplars_out_of_order: u64,
    /// Targets handed to another shard.
    pub handed_over: u64,
    /// Targets taken from another shard.
    pub adopted: u64,
    sample_limit: u64,
    label_limits: u64,
    bucket_limit: u64,
    body_limit: u64,
    /// Seconds from the slot to the beginning of its scrape.
    pub lateness: Histogram,
    /// Seconds that fetches took.
    pub duration: Histogram,
    /// How far apart scrapes begin, by interval in milliseconds.
    pub intervals: BTreeMap<u64, Intervals>,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            scrapes: 0,
            failures: 0,
            body_bytes: 0,
            wire_bytes: 0,
            samples: 0,
            unpredicted: 0,
            layouts: 0,
            skipped_slots: 0,
            rows_duplicate: 0,
            rows_refused: 0,
            groups_left: 0,
            fetches_orphaned: 0,
            zeros: 0,
            zeros_left_out: 0,
            clock_jumps: 0,
            duplicates: 0,
            out_of_order: 0,
            out_of_bounds: 0,
            exemplars_out_of_order: 0,
            handed_over: 0,
            adopted: 0,
            sample_limit: 0,
            label_limits: 0,
            bucket_limit: 0,
            body_limit: 0,
            lateness: Histogram::new(LATENESS_BOUNDS),
            duration: Histogram::new(DURATION_BOUNDS),
            intervals: BTreeMap::new(),
        }
    }
}

/// Nanoseconds as seconds.
#[must_use]
pub fn seconds(nanos: u64) -> f64 {
    number(nanos) / NANOS_PER_SECOND
}

/// A count as a sample value; counts beyond 2^53 lose their last digits.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn number(count: u64) -> f64 {
    count as f64
}

impl Counters {
    /// Samples left out so far.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        LeftOut {
            out_of_order: self.out_of_order,
            duplicates: self.duplicates,
            out_of_bounds: self.out_of_bounds,
            exemplars_out_of_order: self.exemplars_out_of_order,
        }
    }

    /// Counts why a scrape failed.
    pub fn count_failure(&mut self, error: &ScrapeError) {
        self.failures += 1;
        match error {
            ScrapeError::SampleLimit => self.sample_limit += 1,
            ScrapeError::BucketLimit => self.bucket_limit += 1,
            ScrapeError::LabelLimit { .. }
            | ScrapeError::NameLength { .. }
            | ScrapeError::ValueLength { .. } => self.label_limits += 1,
            ScrapeError::Fetch { fault: FetchFault::BodyTooLarge { .. }, .. } => {
                self.body_limit += 1;
            }
            _ => {}
        }
    }

    /// Counts the distance of two scrapes of a target with this interval.
    pub fn observe_interval(&mut self, now: Tick, interval_ms: u64, nanos: u64) {
        self.intervals.entry(interval_ms).or_default().observe(now, nanos);
    }

    /// Reports everything that `shard` has counted until `now`.
    pub fn collect(&self, now: Tick, shard: u32, into: &mut Collected) {
        for (name, help, value) in self.upstream_counters() {
            into.counter(name, help, &[], number(value));
        }
        for (name, help, value) in self.own_counters() {
            into.counter(name, help, &[], number(value));
        }
        let shard = shard.to_string();
        let help = "Time from the slot to the beginning of its scrape.";
        let name = "cresset_scrape_slot_lateness_seconds";
        let lateness = &self.lateness;
        let labels = [("shard", shard.as_str())];
        native(into, name, help, &labels, &lateness.cumulative(), &lateness.recorder);
        let help = "Time that fetches took, failed ones included.";
        let (name, duration) = ("cresset_scrape_fetch_duration_seconds", &self.duration);
        native(into, name, help, &[], &duration.cumulative(), &duration.recorder);
        let name = "prometheus_target_scrape_duration_seconds";
        let help = "Total duration of the scrape from start to commit completion in seconds.";
        native(into, name, help, &[], &[], &duration.recorder);
        for (interval_ms, intervals) in &self.intervals {
            let interval = format_duration_ms(i64::try_from(*interval_ms).unwrap_or(i64::MAX));
            let labels = [("interval", interval.as_str())];
            let (help, quantiles) = ("Actual intervals between scrapes.", intervals.quantiles(now));
            let recorder = &intervals.recorder;
            let name = "prometheus_target_interval_length_seconds";
            into.summary(name, help, &labels, &quantiles, recorder.sum(), recorder.count());
            let name = "prometheus_target_interval_length_histogram_seconds";
            native(into, name, help, &labels, &intervals.buckets(), recorder);
        }
    }

    fn upstream_counters(&self) -> [(&'static str, &'static str, u64); 9] {
        [
            (
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Total number of scrapes that hit the sample limit and were rejected.",
                self.sample_limit,
            ),
            (
                "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                "Total number of scrapes that hit the native histogram bucket limit and were \
                 rejected.",
                self.bucket_limit,
            ),
            (
                "prometheus_target_scrapes_exceeded_body_size_limit_total",
                "Total number of scrapes that hit the body size limit",
                self.body_limit,
            ),
            (
                "prometheus_target_scrape_pool_exceeded_label_limits_total",
                "Total number of times scrape pools hit the label limits, during sync or config \
                 reload.",
                self.label_limits,
            ),
            (
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "Total number of samples rejected due to duplicate timestamps but different \
                 values.",
                self.duplicates,
            ),
            (
                "prometheus_target_scrapes_sample_out_of_order_total",
                "Total number of samples rejected due to not being out of the expected order.",
                self.out_of_order,
            ),
            (
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                "Total number of samples rejected due to timestamp falling outside of the time \
                 bounds.",
                self.out_of_bounds,
            ),
            (
                "prometheus_target_scrapes_exemplar_out_of_order_total",
                "Total number of exemplar rejected due to not being out of the expected order.",
                self.exemplars_out_of_order,
            ),
            (
                "prometheus_target_scrapes_cache_flush_forced_total",
                "How many times a scrape cache was flushed due to getting big while scrapes are \
                 failing.",
                // What a target is remembered by is bounded otherwise.
                0,
            ),
        ]
    }

    fn own_counters(&self) -> [(&'static str, &'static str, u64); 17] {
        [
            ("cresset_scrape_scrapes_total", "Scrapes that ended.", self.scrapes),
            ("cresset_scrape_failures_total", "Scrapes that failed.", self.failures),
            ("cresset_scrape_bytes_total", "Body bytes received, inflated.", self.body_bytes),
            (
                "cresset_scrape_wire_bytes_total",
                "Body bytes received, as they came over the wire.",
                self.wire_bytes,
            ),
            ("cresset_scrape_samples_total", "Scraped samples stored.", self.samples),
            (
                "cresset_scrape_samples_unpredicted_total",
                "Samples that were not where the last body had them.",
                self.unpredicted,
            ),
            ("cresset_scrape_layouts_learned_total", "Layouts learned.", self.layouts),
            (
                "cresset_scrape_slots_skipped_total",
                "Slots skipped: the scrape before was not done, or none could begin.",
                self.skipped_slots,
            ),
            (
                "cresset_scrape_rows_duplicate_total",
                "Rows whose slot storage had already.",
                self.rows_duplicate,
            ),
            (
                "cresset_scrape_rows_refused_total",
                "Rows that storage refused: too old, or its log waits for the disk.",
                self.rows_refused,
            ),
            (
                "cresset_scrape_groups_left_total",
                "Groups left because most of their series were gone.",
                self.groups_left,
            ),
            (
                "cresset_scrape_fetches_orphaned_total",
                "Fetches that ended for targets that are gone.",
                self.fetches_orphaned,
            ),
            (
                "cresset_scrape_targets_handed_over_total",
                "Targets handed to another shard.",
                self.handed_over,
            ),
            (
                "cresset_scrape_targets_adopted_total",
                "Targets taken from another shard.",
                self.adopted,
            ),
            (
                "cresset_scrape_start_zeros_total",
                "Zeros stored where the counting of a series began.",
                self.zeros,
            ),
            (
                "cresset_scrape_start_zeros_left_out_total",
                "Zeros left out because their rows would have been too large.",
                self.zeros_left_out,
            ),
            ("cresset_scrape_clock_jumps_total", "Times the wall clock was set.", self.clock_jumps),
        ]
    }
}

/// Adds what `recorder` counted to `into`, with classic `buckets` beside it.
fn native(
    into: &mut Collected,
    name: &'static str,
    help: &'static str,
    labels: &[(&str, &str)],
    buckets: &[(f64, u64)],
    recorder: &Recorder,
) {
    into.native_histogram(name, help, labels, buckets, recorder.histogram(), recorder.count());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_is_below_it() {
        let mut histogram = Histogram::new([1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 3.0] {
            histogram.observe(value);
        }
        assert_eq!(histogram.cumulative(), [(1.0, 2), (2.0, 3)]);
        assert_eq!((histogram.recorder.sum(), histogram.recorder.count()), (6.0, 4));
    }

    #[test]
    fn names_that_dashboards_expect_are_there() {
        let mut counters = Counters::default();
        counters.observe_interval(Tick(0), 15_000, 15_000_000_000);
        counters.count_failure(&ScrapeError::SampleLimit);
        let mut collected = Collected::default();
        counters.collect(Tick(0), 3, &mut collected);
        let text = collected.to_text();
        for line in [
            "prometheus_target_scrapes_exceeded_sample_limit_total 1",
            "prometheus_target_interval_length_seconds_count{interval=\"15s\"} 1",
            "cresset_scrape_bytes_total 0",
            "cresset_scrape_slot_lateness_seconds_count{shard=\"3\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
