//! Metrics: what one shard's scraper counts; shards are summed when read.
//!
//! Names that Prometheus has are Prometheus's, for its dashboards and alerts; ours begin with
//! `cresset_scrape_`.

use std::collections::BTreeMap;

use exposition::metrics::Collected;
use model::duration::format_duration_ms;

use crate::error::ScrapeError;
use crate::fetch::FetchFault;
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
/// Upper bounds of the distance of two scrapes, as parts of the interval.
const INTERVAL_PARTS: [f64; 9] = [0.5, 0.9, 0.99, 0.999, 1.001, 1.01, 1.1, 2.0, 10.0];

const NANOS_PER_SECOND: f64 = 1e9;

/// Observations in buckets of fixed bounds.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: Vec<f64>,
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    fn new(bounds: impl IntoIterator<Item = f64>) -> Histogram {
        let bounds: Vec<f64> = bounds.into_iter().collect();
        Histogram { counts: vec![0; bounds.len()], bounds, sum: 0.0, count: 0 }
    }

    /// Counts one observation.
    pub fn observe(&mut self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum += value;
        self.count += 1;
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
    /// Times that the wall clock was set.
    pub clock_jumps: u64,
    /// Samples with a series that the scrape had already.
    pub duplicates: u64,
    /// Samples older than the last of their series.
    pub out_of_order: u64,
    /// Samples too old for storage or too far in the future.
    pub out_of_bounds: u64,
    sample_limit: u64,
    label_limits: u64,
    bucket_limit: u64,
    body_limit: u64,
    /// Seconds from the slot to the beginning of its scrape.
    pub lateness: Histogram,
    /// Seconds that fetches took.
    pub duration: Histogram,
    /// Distances of scrapes.
    pub intervals: Intervals,
}

/// Seconds between the beginnings of scrapes, by interval in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Intervals {
    histograms: BTreeMap<u64, Histogram>,
}

impl Intervals {
    /// Counts the distance of two scrapes of a target with this interval.
    pub fn observe(&mut self, interval_ms: u64, nanos: u64) {
        let interval_seconds = number(interval_ms) / 1e3;
        let bounds = INTERVAL_PARTS.map(|part| part * interval_seconds);
        let histogram = self.histograms.entry(interval_ms);
        histogram.or_insert_with(|| Histogram::new(bounds)).observe(seconds(nanos));
    }
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
            clock_jumps: 0,
            duplicates: 0,
            out_of_order: 0,
            out_of_bounds: 0,
            sample_limit: 0,
            label_limits: 0,
            bucket_limit: 0,
            body_limit: 0,
            lateness: Histogram::new(LATENESS_BOUNDS),
            duration: Histogram::new(DURATION_BOUNDS),
            intervals: Intervals::default(),
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

    /// Reports everything.
    pub fn collect(&self, into: &mut Collected) {
        for (name, help, value) in self.upstream_counters() {
            into.counter(name, help, &[], number(value));
        }
        for (name, help, value) in self.own_counters() {
            into.counter(name, help, &[], number(value));
        }
        report(
            into,
            "cresset_scrape_slot_lateness_seconds",
            "Time from the slot to the beginning of its scrape.",
            &[],
            &self.lateness,
        );
        report(
            into,
            "cresset_scrape_fetch_duration_seconds",
            "Time that fetches took, failed ones included.",
            &[],
            &self.duration,
        );
        for (interval_ms, histogram) in &self.intervals.histograms {
            let interval = format_duration_ms(i64::try_from(*interval_ms).unwrap_or(i64::MAX));
            let labels = [("interval", interval.as_str())];
            for name in [
                "prometheus_target_interval_length_seconds",
                "prometheus_target_interval_length_histogram_seconds",
            ] {
                report(into, name, "Actual intervals between scrapes.", &labels, histogram);
            }
        }
    }

    fn upstream_counters(&self) -> [(&'static str, &'static str, u64); 7] {
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
        ]
    }

    fn own_counters(&self) -> [(&'static str, &'static str, u64); 13] {
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
            ("cresset_scrape_clock_jumps_total", "Times the wall clock was set.", self.clock_jumps),
        ]
    }
}

fn report(
    into: &mut Collected,
    name: &'static str,
    help: &'static str,
    labels: &[(&str, &str)],
    histogram: &Histogram,
) {
    into.histogram(name, help, labels, &histogram.cumulative(), histogram.sum, histogram.count);
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
        assert_eq!((histogram.sum, histogram.count), (6.0, 4));
    }

    #[test]
    fn names_that_dashboards_expect_are_there() {
        let mut counters = Counters::default();
        counters.intervals.observe(15_000, 15_000_000_000);
        counters.count_failure(&ScrapeError::SampleLimit);
        let mut collected = Collected::default();
        counters.collect(&mut collected);
        let text = collected.to_text();
        for line in [
            "prometheus_target_scrapes_exceeded_sample_limit_total 1",
            "prometheus_target_interval_length_seconds_count{interval=\"15s\"} 1",
            "cresset_scrape_bytes_total 0",
            "cresset_scrape_slot_lateness_seconds_count 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
