//! Exemplars: the newest observations that targets showed beside their samples.
//!
//! Path: `ingest` → **exemplars** → `/api/v1/query_exemplars`.
//! Owns: a ring of one shard; the oldest goes for the newest, as in Prometheus. Memory only.
//! Never: keeps a series without exemplars.

use std::collections::VecDeque;

use exposition::metrics::Collected;
use exposition::series::parse_exemplar_labels;
use hashbrown::HashMap;
use model::label_set::{Builder, LabelSet};
use model::matcher::Matcher;
use model::time::TimestampMs;

use crate::metrics::number;

/// Characters that the names and values of an exemplar's labels may have together (OpenMetrics
/// 1.0, "Exemplars").
const LABEL_CHARS_MAX: usize = 128;

/// An exemplar.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its labels.
    pub labels: LabelSet,
    /// What was observed.
    pub value: f64,
    /// When.
    pub timestamp: TimestampMs,
}

/// The exemplars of one series, in order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplars {
    /// Its labels.
    pub labels: LabelSet,
    /// What it has.
    pub exemplars: Vec<Exemplar>,
}

/// Which exemplars are asked for.
#[derive(Clone, Debug)]
pub struct ExemplarRequest {
    /// The series fits every matcher of one of these.
    pub matcher_sets: Vec<Vec<Matcher>>,
    /// First time.
    pub from: TimestampMs,
    /// Last time.
    pub to: TimestampMs,
}

/// What became of exemplars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExemplarCounts {
    /// Kept.
    pub appended: u64,
    /// Older than the newest of their series.
    pub out_of_order: u64,
    /// With more or other labels than they may have.
    pub refused: u64,
}

/// The ring of a shard.
#[derive(Debug)]
pub struct Exemplars {
    ring: VecDeque<(u128, Exemplar)>,
    exemplars_max: usize,
    series: HashMap<u128, Series, foldhash::fast::FixedState>,
    /// What became of them.
    pub counts: ExemplarCounts,
}

#[derive(Debug)]
struct Series {
    labels: LabelSet,
    newest: Exemplar,
    /// Whether the newest has a time of its own.
    timed: bool,
    count: usize,
}

impl Exemplars {
    /// An empty ring of at most `exemplars_max`; 0 keeps none.
    #[must_use]
    pub fn new(exemplars_max: usize) -> Exemplars {
        Exemplars {
            ring: VecDeque::new(),
            exemplars_max,
            series: HashMap::default(),
            counts: ExemplarCounts::default(),
        }
    }

    /// Whether any are kept.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.exemplars_max != 0
    }

    /// Whether series `key` has exemplars, so that its labels are known.
    #[must_use]
    pub fn knows(&self, key: u128) -> bool {
        self.series.contains_key(&key)
    }

    /// Adds an exemplar of series `key`, whose labels are `labels` where it is not known yet;
    /// `text` has the exemplar's own with their braces. Without a time of its own it has that of
    /// the scrape. One that equals the newest of its series is that, shown again.
    pub fn add(
        &mut self,
        key: u128,
        labels: Option<LabelSet>,
        text: &[u8],
        value: f64,
        (own_time, now): (Option<TimestampMs>, TimestampMs),
    ) {
        let mut own = Builder::default();
        let read = parse_exemplar_labels(text, &mut own);
        let chars = |text: &str| text.chars().count();
        let all: usize = own.iter().map(|(name, value)| chars(name) + chars(value)).sum();
        if read.is_err() || LABEL_CHARS_MAX < all || !self.is_enabled() {
            self.counts.refused += 1;
            return;
        }
        let timestamp = own_time.unwrap_or(now);
        let exemplar = Exemplar { labels: own.build(), value, timestamp };
        let timed = own_time.is_some();
        if let Some(series) = self.series.get_mut(&key) {
            let untimed = !timed && !series.timed;
            let again = untimed || series.newest.timestamp == timestamp;
            if again && series.newest.labels == exemplar.labels && series.newest.value == value {
                return;
            }
            let newest = &series.newest;
            let order = (exemplar.timestamp.cmp(&newest.timestamp))
                .then(exemplar.value.total_cmp(&newest.value));
            if order.is_lt() {
                self.counts.out_of_order += 1;
                return;
            }
            series.newest = exemplar.clone();
            series.timed = timed;
            series.count += 1;
        } else {
            let Some(labels) = labels else { return };
            let newest = exemplar.clone();
            self.series.insert(key, Series { labels, newest, timed, count: 1 });
        }
        self.ring.push_back((key, exemplar));
        self.counts.appended += 1;
        while self.exemplars_max < self.ring.len() {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((key, _)) = self.ring.pop_front() else { return };
        if let Some(series) = self.series.get_mut(&key) {
            series.count -= 1;
            if series.count == 0 {
                self.series.remove(&key);
            }
        }
    }

    /// The exemplars asked for, in order of labels.
    #[must_use]
    pub fn select(&self, wanted: &ExemplarRequest) -> Vec<SeriesExemplars> {
        let mut found: HashMap<u128, Option<SeriesExemplars>> = HashMap::new();
        for (key, exemplar) in &self.ring {
            if exemplar.timestamp < wanted.from || wanted.to < exemplar.timestamp {
                continue;
            }
            let series = found.entry(*key).or_insert_with(|| {
                let labels = &self.series.get(key)?.labels;
                let fits = |set: &Vec<Matcher>| {
                    set.iter().all(|matcher| matcher.matches(labels.value(&matcher.name)))
                };
                let labels = labels.clone();
                let fits = wanted.matcher_sets.iter().any(fits);
                fits.then_some(SeriesExemplars { labels, exemplars: Vec::new() })
            });
            if let Some(series) = series {
                series.exemplars.push(exemplar.clone());
            }
        }
        let mut found: Vec<SeriesExemplars> = found.into_values().flatten().collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    /// Reports the counts, under Prometheus's names.
    pub fn collect(&self, into: &mut Collected) {
        let counts = &self.counts;
        for (name, help, value) in [
            (
                "prometheus_tsdb_exemplar_exemplars_appended_total",
                "Exemplars that were kept.",
                counts.appended,
            ),
            (
                "prometheus_tsdb_exemplar_out_of_order_exemplars_total",
                "Exemplars older than the newest of their series.",
                counts.out_of_order,
            ),
            (
                "cresset_scrape_exemplars_refused_total",
                "Exemplars with labels that they may not have.",
                counts.refused,
            ),
        ] {
            into.counter(name, help, &[], number(value));
        }
        let (exemplars, series) = self.sizes();
        for (name, help, value) in [
            ("prometheus_tsdb_exemplar_exemplars_in_storage", "Exemplars kept.", exemplars),
            (
                "prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
                "Series that have exemplars.",
                series,
            ),
            (
                "prometheus_tsdb_exemplar_max_exemplars",
                "Most exemplars that are kept.",
                self.exemplars_max,
            ),
        ] {
            into.gauge(name, help, &[], number(value as u64));
        }
    }

    /// Exemplars kept, and series that they belong to.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.ring.len(), self.series.len())
    }
}

#[cfg(test)]
mod tests {
    use model::matcher::MatchOp;

    use super::*;

    fn add(ring: &mut Exemplars, key: u128, text: &str, value: f64, ms: i64) {
        let name = format!("s{key}");
        let labels = LabelSet::new([("__name__", name.as_str())]);
        let labels = (!ring.knows(key)).then_some(labels);
        ring.add(key, labels, text.as_bytes(), value, (Some(TimestampMs(ms)), TimestampMs(0)));
    }

    fn shown(ring: &Exemplars, pattern: &str, from: i64, to: i64) -> String {
        let matcher = Matcher::new("__name__", MatchOp::Regex, pattern).expect("a pattern");
        let (from, to) = (TimestampMs(from), TimestampMs(to));
        let wanted = ExemplarRequest { matcher_sets: vec![vec![matcher]], from, to };
        let lines = ring.select(&wanted).into_iter().map(|series| {
            let values: Vec<f64> = series.exemplars.iter().map(|e| e.value).collect();
            format!("{} {values:?}", series.labels.metric_name())
        });
        lines.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_oldest_goes_for_the_newest() {
        let mut ring = Exemplars::new(3);
        for (key, value, ms) in [(1, 1.0, 10), (2, 2.0, 10), (1, 3.0, 20), (1, 4.0, 30)] {
            add(&mut ring, key, "{a=\"b\"}", value, ms);
        }
        assert_eq!(shown(&ring, ".*", 0, 99), "s1 [3.0, 4.0], s2 [2.0]");
        assert_eq!(shown(&ring, ".*", 15, 25), "s1 [3.0]");
        assert_eq!(shown(&ring, "s2", 0, 99), "s2 [2.0]");
        add(&mut ring, 1, "{}", 5.0, 40);
        assert_eq!(
            (shown(&ring, ".*", 0, 99), ring.knows(2)),
            ("s1 [3.0, 4.0, 5.0]".into(), false)
        );
    }

    #[test]
    fn repeated_late_and_long_ones_are_left_out() {
        let mut ring = Exemplars::new(9);
        add(&mut ring, 1, "{a=\"b\"}", 1.0, 10);
        add(&mut ring, 1, "{a=\"b\"}", 1.0, 10);
        add(&mut ring, 1, "{a=\"b\"}", 1.0, 9);
        add(&mut ring, 1, &format!("{{a=\"{}\"}}", "x".repeat(128)), 1.0, 11);
        add(&mut ring, 1, "{a", 1.0, 12);
        let counts = ExemplarCounts { appended: 1, out_of_order: 1, refused: 2 };
        assert_eq!((ring.counts, ring.sizes()), (counts, (1, 1)));
        // Without a time, the same again is the same, whenever it is shown.
        for ms in [20, 30] {
            ring.add(1, None, b"{}", 2.0, (None, TimestampMs(ms)));
        }
        assert_eq!(shown(&ring, ".*", 0, 99), "s1 [1.0, 2.0]");
        let mut none = Exemplars::new(0);
        add(&mut none, 1, "{}", 1.0, 1);
        assert_eq!(none.sizes(), (0, 0));
    }
}
