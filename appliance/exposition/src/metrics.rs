//! How every crate reports its counters, and the encoder of `/metrics`.
//!
//! Path: `collect` of each shard and of the server → **metrics** → body of `/metrics`.
//! Never: knows what a metric means; a name, a type and labels come from who counts.
//!
//! Invariants
//! - M1: a family has one type.
//! - M2: the samples of a histogram have the same buckets, those of a summary the same quantiles.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use model::label_name::{is_legacy_label_name, is_legacy_metric_name};
use model::native_histogram::NativeHistogram;

use crate::metric_type::MetricType;
use crate::number::format_shortest;
use crate::recorder;

/// Label pairs in order of name.
pub type Labels = Vec<(String, String)>;

/// Families by name, samples by labels. Adding a sample that is there sums, so that the counts of
/// shards become one; of extremes the least or largest stays.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    families: BTreeMap<&'static str, Family>,
    foreign: String,
}

/// Samples of one name.
#[derive(Clone, Debug)]
pub struct Family {
    /// What they are.
    pub metric_type: MetricType,
    /// What they mean.
    pub help: &'static str,
    /// By labels.
    pub samples: BTreeMap<Labels, Value>,
}

/// A sample.
#[derive(Clone, Debug)]
pub enum Value {
    /// Of a counter, a gauge, or nobody says what.
    Number(f64),
    /// The least that anybody told.
    Least(f64),
    /// The largest that anybody told.
    Largest(f64),
    /// Of a histogram.
    Histogram {
        /// Cumulative, by finite upper bound.
        buckets: Vec<(f64, u64)>,
        /// Of all observations.
        sum: f64,
        /// Of all observations.
        count: u64,
        /// The same in buckets of its own, where who counted has them.
        native: Option<Box<NativeHistogram>>,
    },
    /// Of a summary.
    Summary {
        /// Values by quantile.
        quantiles: Vec<(f64, f64)>,
        /// Of all observations.
        sum: f64,
        /// Of all observations.
        count: u64,
    },
}

/// One sample of a family, for those who write another format than text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading<'a> {
    /// Of a counter, a gauge, or what nobody said what it is.
    Number(f64),
    /// Of a histogram.
    Histogram {
        /// Counts up to each finite bound.
        buckets: &'a [(f64, u64)],
        /// Of all observations.
        sum: f64,
        /// Observations.
        count: u64,
        /// The same in buckets of its own.
        native: Option<&'a NativeHistogram>,
    },
    /// Of a summary.
    Summary {
        /// Values by quantile.
        quantiles: &'a [(f64, f64)],
        /// Of all observations.
        sum: f64,
        /// Observations.
        count: u64,
    },
}

impl Collected {
    /// Adds `value` to the counter `name` with `labels`.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        self.add(name, MetricType::Counter, help, owned(labels), Value::Number(value));
    }

    /// Adds `value` to the gauge `name` with `labels`.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        self.add(name, MetricType::Gauge, help, owned(labels), Value::Number(value));
    }

    /// Adds to the bytes of memory held for `purpose`. Everything that holds more than a little
    /// memory tells it here, so that the sum is what the process is resident with.
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory are below 2^53")]
    pub fn memory(&mut self, purpose: &str, bytes: u64) {
        let help = "Bytes of memory by purpose.";
        self.gauge("cresset_memory_bytes", help, &[("purpose", purpose)], bytes as f64);
    }

    /// Lowers the gauge `name` to `value`.
    pub fn least(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.add(name, MetricType::Gauge, help, Labels::new(), Value::Least(value));
    }

    /// Raises the gauge `name` to `value`.
    pub fn largest(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.add(name, MetricType::Gauge, help, Labels::new(), Value::Largest(value));
    }

    /// Adds `value` to `name`, of which nobody said what it is, with `labels`.
    pub fn untyped(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        self.add(name, MetricType::Unknown, help, owned(labels), Value::Number(value));
    }

    /// Adds to the histogram `name` with `labels`: cumulative `buckets` by upper bound (`+Inf`
    /// may be left out: it is `count`), and `sum` and `count` of all observations.
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        buckets: &[(f64, u64)],
        sum: f64,
        count: u64,
    ) {
        let finite = buckets.iter().copied().filter(|(le, _)| le.is_finite());
        let value = Value::Histogram { buckets: finite.collect(), sum, count, native: None };
        self.add(name, MetricType::Histogram, help, owned(labels), value);
    }

    /// As [`Collected::histogram`], with the buckets of `native` for formats that have a place for
    /// them; sum and count are its own.
    pub fn native_histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        buckets: &[(f64, u64)],
        native: NativeHistogram,
        count: u64,
    ) {
        let finite = buckets.iter().copied().filter(|(le, _)| le.is_finite());
        let sum = native.sum;
        let native = Some(Box::new(native));
        let value = Value::Histogram { buckets: finite.collect(), sum, count, native };
        self.add(name, MetricType::Histogram, help, owned(labels), value);
    }

    /// Adds to the summary `name` with `labels`: values by quantile (NaN where nothing was
    /// observed lately), and `sum` and `count` of all observations. Quantiles do not add up: of
    /// two the larger stays.
    pub fn summary(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        quantiles: &[(f64, f64)],
        sum: f64,
        count: u64,
    ) {
        let value = Value::Summary { quantiles: quantiles.to_vec(), sum, count };
        self.add(name, MetricType::Summary, help, owned(labels), value);
    }

    /// Whether there is a family `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.families.contains_key(name)
    }

    /// Has `text`, whole families that others wrote in text format, stand behind all families;
    /// they must be others than those.
    pub fn append(&mut self, text: &str) {
        self.foreign.push_str(text);
    }

    /// Calls `visit` with each sample: name, type and help of its family, labels, value.
    pub fn visit(
        &self,
        mut visit: impl FnMut(&str, MetricType, &str, &[(String, String)], Reading<'_>),
    ) {
        for (name, family) in &self.families {
            for (labels, value) in &family.samples {
                visit(name, family.metric_type, family.help, labels, value.reading());
            }
        }
    }

    /// What [`Collected::append`] was given.
    #[must_use]
    pub fn foreign(&self) -> &str {
        &self.foreign
    }

    /// Adds all samples of `other`.
    pub fn merge(&mut self, other: &Collected) {
        self.append(&other.foreign);
        for (name, family) in &other.families {
            for (labels, value) in &family.samples {
                self.add(name, family.metric_type, family.help, labels.clone(), value.clone());
            }
        }
    }

    /// The families in order of name.
    pub fn families(&self) -> impl Iterator<Item = (&'static str, &Family)> {
        self.families.iter().map(|(name, family)| (*name, family))
    }

    /// Everything in text format 0.0.4, families in order of name, samples in order of labels.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            text.push_str(&format!("# HELP {name} {}\n", escaped(family.help, false)));
            text.push_str(&format!("# TYPE {name} {}\n", family.metric_type.text()));
            for (labels, value) in &family.samples {
                value.write(&mut text, name, labels);
            }
        }
        text.push_str(&self.foreign);
        text
    }

    fn add(
        &mut self,
        name: &'static str,
        metric_type: MetricType,
        help: &'static str,
        labels: Labels,
        value: Value,
    ) {
        assert!(is_legacy_metric_name(name), "{name:?} is no metric name");
        let new = || Family { metric_type, help, samples: BTreeMap::new() };
        let family = self.families.entry(name).or_insert_with(new);
        assert_eq!(family.metric_type, metric_type, "M1: {name} has one type");
        match family.samples.entry(labels) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(mut entry) => entry.get_mut().add(name, &value),
        }
    }
}

impl Value {
    fn reading(&self) -> Reading<'_> {
        match self {
            Value::Number(value) | Value::Least(value) | Value::Largest(value) => {
                Reading::Number(*value)
            }
            Value::Histogram { buckets, sum, count, native } => {
                Reading::Histogram { buckets, sum: *sum, count: *count, native: native.as_deref() }
            }
            Value::Summary { quantiles, sum, count } => {
                Reading::Summary { quantiles, sum: *sum, count: *count }
            }
        }
    }

    fn add(&mut self, name: &str, other: &Value) {
        match (self, other) {
            (Value::Number(number), Value::Number(more)) => *number += more,
            (Value::Least(least), Value::Least(other)) => *least = least.min(*other),
            (Value::Largest(largest), Value::Largest(other)) => *largest = largest.max(*other),
            (
                Value::Histogram { buckets, sum, count, native },
                Value::Histogram {
                    buckets: more,
                    sum: more_sum,
                    count: more_count,
                    native: more_native,
                },
            ) => {
                assert_eq!(keys(buckets), keys(more), "M2: {name} has one set of buckets");
                for ((_, number), (_, more)) in buckets.iter_mut().zip(more) {
                    *number += more;
                }
                if let Some((native, more)) = native.as_mut().zip(more_native.as_ref()) {
                    recorder::add(name, native, more);
                }
                *sum += more_sum;
                *count += more_count;
            }
            (
                Value::Summary { quantiles, sum, count },
                Value::Summary { quantiles: more, sum: more_sum, count: more_count },
            ) => {
                assert_eq!(keys(quantiles), keys(more), "M2: {name} has one set of quantiles");
                for ((_, value), (_, more)) in quantiles.iter_mut().zip(more) {
                    *value = value.max(*more);
                }
                *sum += more_sum;
                *count += more_count;
            }
            _ => unreachable!("M1: {name} has one type"),
        }
    }

    fn write(&self, text: &mut String, name: &str, labels: &Labels) {
        match self {
            Value::Number(value) | Value::Least(value) | Value::Largest(value) => {
                write_sample(text, name, "", labels, None, *value);
            }
            Value::Summary { quantiles, sum, count } => {
                for (quantile, value) in quantiles {
                    write_sample(text, name, "", labels, Some(("quantile", *quantile)), *value);
                }
                write_sample(text, name, "_sum", labels, None, *sum);
                write_sample(text, name, "_count", labels, None, count_value(*count));
            }
            Value::Histogram { buckets, sum, count, .. } => {
                let count = count_value(*count);
                let finite = buckets.iter().map(|(le, count)| (*le, count_value(*count)));
                for (le, count) in finite.chain([(f64::INFINITY, count)]) {
                    write_sample(text, name, "_bucket", labels, Some(("le", le)), count);
                }
                write_sample(text, name, "_sum", labels, None, *sum);
                write_sample(text, name, "_count", labels, None, count);
            }
        }
    }
}

/// Bounds of buckets, or quantiles.
fn keys<T>(values: &[(f64, T)]) -> Vec<u64> {
    values.iter().map(|(key, _)| key.to_bits()).collect()
}

/// Counts beyond 2^53 lose their last digits, as every sample value does.
fn count_value(count: u64) -> f64 {
    count as f64
}

fn write_sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &Labels,
    own: Option<(&str, f64)>,
    value: f64,
) {
    let mut pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true))).collect();
    pairs.extend(own.map(|(label, at)| format!("{label}=\"{}\"", format_shortest(at))));
    text.push_str(name);
    text.push_str(suffix);
    if !pairs.is_empty() {
        text.push_str(&format!("{{{}}}", pairs.join(",")));
    }
    text.push_str(&format!(" {}\n", format_shortest(value)));
}

fn escaped(text: &str, quotes: bool) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { escaped.replace('"', "\\\"") } else { escaped }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    for (name, _) in labels {
        assert!(is_legacy_label_name(name), "{name:?} is no label name");
    }
    let pairs = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut owned: Labels = pairs.collect();
    owned.sort_unstable();
    owned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TextParser;

    #[test]
    fn families_are_sorted_summed_and_escaped() {
        let mut shard = Collected::default();
        shard.gauge("b", "Two\nlines \\.", &[("path", "a\"b\\\n")], 1.5);
        shard.counter("a_total", "Ones.", &[("y", "2"), ("x", "1")], 1.0);
        shard.counter("a_total", "Ones.", &[("x", "1"), ("y", "2")], 2.0);
        let mut all = shard.clone();
        all.merge(&shard);
        all.gauge("c", "Three.", &[], f64::INFINITY);
        for value in [2.0, 1.0, 3.0] {
            all.least("d", "Four.", value);
            all.largest("e", "Five.", value);
        }
        let expected = concat!(
            "# HELP a_total Ones.\n# TYPE a_total counter\na_total{x=\"1\",y=\"2\"} 6\n",
            "# HELP b Two\\nlines \\\\.\n# TYPE b gauge\nb{path=\"a\\\"b\\\\\\n\"} 3\n",
            "# HELP c Three.\n# TYPE c gauge\nc +Inf\n",
            "# HELP d Four.\n# TYPE d gauge\nd 1\n",
            "# HELP e Five.\n# TYPE e gauge\ne 3\n",
        );
        assert_eq!(all.to_text(), expected);
    }

    #[test]
    fn histograms_have_buckets_sum_and_count() {
        let mut all = Collected::default();
        let buckets = [(0.005, 1), (1.0, 2), (f64::INFINITY, 3)];
        all.histogram("h_seconds", "H.", &[("a", "b")], &buckets, 7.25, 3);
        let mut twice = all.clone();
        twice.merge(&all);
        let expected = concat!(
            "# HELP h_seconds H.\n# TYPE h_seconds histogram\n",
            "h_seconds_bucket{a=\"b\",le=\"0.005\"} 2\n",
            "h_seconds_bucket{a=\"b\",le=\"1\"} 4\n",
            "h_seconds_bucket{a=\"b\",le=\"+Inf\"} 6\n",
            "h_seconds_sum{a=\"b\"} 14.5\nh_seconds_count{a=\"b\"} 6\n",
        );
        assert_eq!(twice.to_text(), expected);
        assert_eq!(TextParser::new(expected.as_bytes()).filter_map(Result::ok).count(), 7);
    }

    #[test]
    fn summaries_have_quantiles_sum_and_count() {
        let mut all = Collected::default();
        all.summary("s_seconds", "S.", &[("a", "b")], &[(0.5, 0.25), (0.9, f64::NAN)], 2.5, 3);
        let mut twice = all.clone();
        twice.summary("s_seconds", "S.", &[("a", "b")], &[(0.5, 0.5), (0.9, 1.0)], 1.0, 1);
        let expected = concat!(
            "# HELP s_seconds S.\n# TYPE s_seconds summary\n",
            "s_seconds{a=\"b\",quantile=\"0.5\"} 0.5\n",
            "s_seconds{a=\"b\",quantile=\"0.9\"} 1\n",
            "s_seconds_sum{a=\"b\"} 3.5\ns_seconds_count{a=\"b\"} 4\n",
        );
        assert_eq!(twice.to_text(), expected);
        assert!(all.to_text().contains("quantile=\"0.9\"} NaN\n"));
    }

    #[test]
    #[should_panic(expected = "M2: s has one set of quantiles")]
    fn m2_a_summary_has_one_set_of_quantiles() {
        let mut all = Collected::default();
        all.summary("s", "", &[], &[(0.5, 1.0)], 1.0, 1);
        all.summary("s", "", &[], &[(0.9, 1.0)], 1.0, 1);
    }

    #[test]
    #[should_panic(expected = "M1: a has one type")]
    fn m1_a_family_has_one_type() {
        let mut all = Collected::default();
        all.counter("a", "", &[], 1.0);
        all.gauge("a", "", &[], 1.0);
    }

    #[test]
    #[should_panic(expected = "M2: a has one set of buckets")]
    fn m2_a_family_has_one_set_of_buckets() {
        let mut all = Collected::default();
        all.histogram("a", "", &[], &[(1.0, 1)], 1.0, 1);
        all.histogram("a", "", &[], &[(2.0, 1)], 1.0, 1);
    }
}
