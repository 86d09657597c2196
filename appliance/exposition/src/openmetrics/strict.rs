//! What OpenMetrics 1.0 forbids and a scrape accepts: the second reading of a body.
//!
//! Path: `parser` → **strict** → a verdict.
//! Never: runs on the path of a scrape; there upstream's leniency is what targets rely on.
//!
//! Rules: the specification's sections on MetricFamily, on types and on ordering, as far as the
//! public parser suite asks for them. Timestamps are compared by milliseconds.

use std::collections::BTreeSet;

use model::label_set::{Builder, LabelSet, METRIC_NAME};
use model::time::TimestampMs;

use crate::entry::{Entry, Sample};
use crate::error::TextError;
use crate::metric_type::MetricType;
use crate::number;
use crate::openmetrics::parser::OpenMetricsParser;
use crate::series::{parse_exemplar_labels, parse_series};

/// Most characters of the names and values of an exemplar's labels together.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Whether `body` is OpenMetrics 1.0 text in every respect.
///
/// # Errors
/// The first place where it is not, and why.
pub fn check(body: &[u8]) -> Result<(), TextError> {
    let mut parser = OpenMetricsParser::new(body);
    let mut names = BTreeSet::new();
    let mut family: Option<Family> = None;
    let mut at = 0;
    while let Some(entry) = parser.next() {
        let refused = |reason: String| TextError::at(body, at, reason);
        match entry? {
            Entry::Help { name, .. } => {
                let family = described(&mut family, &name, &mut names).map_err(refused)?;
                once(&mut family.help, "HELP").map_err(refused)?;
            }
            Entry::Type { name, metric_type } => {
                let family = described(&mut family, &name, &mut names).map_err(refused)?;
                if family.metric_type.replace(metric_type).is_some() {
                    return Err(refused("more than one TYPE for a metric".to_owned()));
                }
            }
            Entry::Unit { name, unit } => {
                let family = described(&mut family, &name, &mut names).map_err(refused)?;
                once(&mut family.unit, "UNIT").map_err(refused)?;
                family.has_unit = !unit.is_empty();
            }
            Entry::Sample(sample) => {
                let read = read(&sample).map_err(|error| refused(error.reason))?;
                let family = family_of(&mut family, &read, &mut names).map_err(refused)?;
                family.take(&read).map_err(refused)?;
            }
            Entry::Comment { .. } | Entry::Histogram(_) => {}
        }
        at = parser.position();
    }
    let end = |reason: String| TextError::at(body, at, reason);
    family.map_or(Ok(()), |family| family.end(&mut names)).map_err(end)
}

fn once(seen: &mut bool, what: &str) -> Result<(), String> {
    if std::mem::replace(seen, true) {
        return Err(format!("more than one {what} for a metric"));
    }
    Ok(())
}

/// The family that metadata of `name` belongs to.
fn described<'a>(
    family: &'a mut Option<Family>,
    name: &str,
    names: &mut BTreeSet<String>,
) -> Result<&'a mut Family, String> {
    let same = family.as_ref().is_some_and(|family| family.name == name);
    if same && family.as_ref().is_some_and(|family| family.sampled) {
        return Err("metadata after samples".to_owned());
    }
    if !same && let Some(ended) = family.replace(Family::new(name)) {
        ended.end(names)?;
    }
    Ok(family.get_or_insert_with(|| Family::new(name)))
}

/// The family that a sample belongs to: the one at hand, else one of its own.
fn family_of<'a>(
    family: &'a mut Option<Family>,
    sample: &ReadSample,
    names: &mut BTreeSet<String>,
) -> Result<&'a mut Family, String> {
    let name = sample.name();
    let same = family.as_ref().is_some_and(|family| family.suffix_of(name).is_some());
    if !same && let Some(ended) = family.replace(Family::new(name)) {
        ended.end(names)?;
    }
    Ok(family.get_or_insert_with(|| Family::new(name)))
}

/// A sample with its labels.
struct ReadSample {
    labels: LabelSet,
    value: f64,
    timestamp: Option<TimestampMs>,
    has_exemplar: bool,
}

impl ReadSample {
    fn name(&self) -> &str {
        self.labels.metric_name()
    }
}

fn read(sample: &Sample<'_>) -> Result<ReadSample, TextError> {
    let fault = |reason: &str| TextError { line: 1, column: 1, reason: reason.to_owned() };
    let mut labels = Builder::default();
    parse_series(sample.series, MetricType::Unknown, &mut labels)?;
    if let Some(exemplar) = &sample.exemplar {
        let mut labels = Builder::default();
        parse_exemplar_labels(exemplar.labels, &mut labels)?;
        let chars = |text: &str| text.chars().count();
        let all: usize = labels.iter().map(|(name, value)| chars(name) + chars(value)).sum();
        if EXEMPLAR_CHARS_MAX < all {
            return Err(fault("exemplar labels are too long"));
        }
    }
    let comma = |text: &[u8]| text.ends_with(b",}");
    if comma(sample.series) || sample.exemplar.is_some_and(|exemplar| comma(exemplar.labels)) {
        return Err(fault("a comma behind the last label"));
    }
    Ok(ReadSample {
        labels: labels.build(),
        value: sample.value,
        timestamp: sample.timestamp,
        has_exemplar: sample.exemplar.is_some(),
    })
}

/// What is known of a metric family while it lasts.
struct Family {
    name: String,
    metric_type: Option<MetricType>,
    help: bool,
    unit: bool,
    has_unit: bool,
    sampled: bool,
    /// Labels of the metric at hand, and those of the ones before.
    group: Option<LabelSet>,
    groups: BTreeSet<LabelSet>,
    group_timestamp: Option<TimestampMs>,
    /// Series of the metric at hand at its timestamp.
    series: BTreeSet<LabelSet>,
    histogram: Option<Histogram>,
}

impl Family {
    fn new(name: &str) -> Family {
        Family {
            name: name.to_owned(),
            metric_type: None,
            help: false,
            unit: false,
            has_unit: false,
            sampled: false,
            group: None,
            groups: BTreeSet::new(),
            group_timestamp: None,
            series: BTreeSet::new(),
            histogram: None,
        }
    }

    fn kind(&self) -> MetricType {
        self.metric_type.unwrap_or_default()
    }

    /// What stands behind the family's name in that of one of its samples.
    fn suffix_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let suffix = name.strip_prefix(self.name.as_str())?;
        self.kind().suffixes().contains(&suffix).then_some(suffix)
    }

    fn take(&mut self, sample: &ReadSample) -> Result<(), String> {
        self.sampled = true;
        let suffix = sample.name().strip_prefix(self.name.as_str()).unwrap_or("");
        self.check_labels(suffix, sample)?;
        let fresh = self.check_order(suffix, sample)?;
        self.check_value(suffix, sample.value)?;
        self.check_exemplar(suffix, sample)?;
        let histogram = matches!(self.kind(), MetricType::Histogram | MetricType::GaugeHistogram);
        if histogram && fresh {
            self.check_buckets(suffix, sample)?;
        }
        Ok(())
    }

    fn check_labels(&self, suffix: &str, sample: &ReadSample) -> Result<(), String> {
        match (self.kind(), suffix) {
            (MetricType::StateSet, _) if sample.labels.get(&self.name).is_none() => {
                Err("a stateset without the label of its state".to_owned())
            }
            (_, "_bucket") if bound(&sample.labels, "le").is_none() => {
                Err("a bucket without a bound in canonical form".to_owned())
            }
            (MetricType::Summary, "") => match bound(&sample.labels, "quantile") {
                Some(quantile) if (0.0..=1.0).contains(&quantile) => Ok(()),
                _ => Err("a quantile that is not between 0 and 1".to_owned()),
            },
            _ => Ok(()),
        }
    }

    /// Metrics stay together and their timestamps rise; whether the sample is not a repetition.
    fn check_order(&mut self, suffix: &str, sample: &ReadSample) -> Result<bool, String> {
        let group = self.group_of(suffix, &sample.labels);
        let same = self.group.as_ref() == Some(&group);
        if !same && self.groups.contains(&group) {
            return Err("the samples of a metric do not stand together".to_owned());
        }
        if same {
            if sample.timestamp.is_some() != self.group_timestamp.is_some() {
                return Err("timestamps on some samples of a metric only".to_owned());
            }
            let backwards = sample.timestamp < self.group_timestamp;
            if backwards && self.kind() != MetricType::Info {
                return Err("timestamps of a metric went backwards".to_owned());
            }
        } else {
            self.series.clear();
            self.groups.insert(group.clone());
            self.group = Some(group);
        }
        let later = sample.timestamp != self.group_timestamp;
        self.group_timestamp = sample.timestamp;
        Ok(self.series.insert(sample.labels.clone()) || later)
    }

    /// The labels that the series of one metric share.
    fn group_of(&self, suffix: &str, labels: &LabelSet) -> LabelSet {
        let own = match (self.kind(), suffix) {
            (MetricType::Info, _) => return LabelSet::empty(),
            (MetricType::Summary, "") => "quantile",
            (MetricType::StateSet, _) => self.name.as_str(),
            (MetricType::Histogram | MetricType::GaugeHistogram, "_bucket") => "le",
            _ => "",
        };
        let mut group = Builder::from(labels);
        group.retain(|name| name != own && name != METRIC_NAME);
        group.build()
    }

    fn check_value(&self, suffix: &str, value: f64) -> Result<(), String> {
        let kind = self.kind();
        let fault = match (kind, suffix) {
            (MetricType::StateSet, _) if value != 0.0 && value != 1.0 => "a state is 0 or 1",
            (MetricType::Info, _) if value != 1.0 => "an info is 1",
            (MetricType::Summary, "") if value < 0.0 => "a quantile cannot be negative",
            (_, "_total" | "_sum" | "_count" | "_bucket" | "_gcount" | "_gsum")
                if value.is_nan() =>
            {
                "a counter cannot be NaN"
            }
            (_, "_total" | "_sum" | "_count" | "_bucket" | "_gcount") if value < 0.0 => {
                "a counter cannot be negative"
            }
            (_, "_bucket" | "_count" | "_gcount") if value.fract() != 0.0 => {
                "a count is a whole number"
            }
            _ => return Ok(()),
        };
        Err(format!("{fault}: {value}"))
    }

    fn check_exemplar(&self, suffix: &str, sample: &ReadSample) -> Result<(), String> {
        let allowed = matches!(
            (self.kind(), suffix),
            (MetricType::Histogram | MetricType::GaugeHistogram, "_bucket")
                | (MetricType::Counter, "_total")
        );
        if sample.has_exemplar && !allowed {
            return Err("only buckets and counters can have exemplars".to_owned());
        }
        Ok(())
    }

    fn check_buckets(&mut self, suffix: &str, sample: &ReadSample) -> Result<(), String> {
        let group = self.group_of(suffix, &sample.labels);
        let same = |at: &Histogram| at.group == group && at.timestamp == sample.timestamp;
        if !self.histogram.as_ref().is_some_and(same)
            && let Some(ended) = self.histogram.replace(Histogram::new(group, sample.timestamp))
        {
            ended.end()?;
        }
        let group = LabelSet::empty();
        let histogram = self.histogram.get_or_insert_with(|| Histogram::new(group, None));
        match suffix {
            "_bucket" => {
                let le = bound(&sample.labels, "le").unwrap_or(f64::NAN);
                histogram.bucket(le, sample.value)?;
            }
            "_count" | "_gcount" => histogram.count = Some(sample.value),
            "_sum" => histogram.has_sum = true,
            "_gsum" => {
                histogram.has_gauge_sum = true;
                histogram.has_negative_gauge_sum |= sample.value < 0.0;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(self, names: &mut BTreeSet<String>) -> Result<(), String> {
        let kind = self.kind();
        for suffix in kind.suffixes().iter().chain([""].iter().filter(|_| kind.is_suffixed())) {
            let name = format!("{}{suffix}", self.name);
            if !names.insert(name.clone()) {
                return Err(format!("clashing name {name:?}"));
            }
        }
        if self.has_unit && matches!(kind, MetricType::Info | MetricType::StateSet) {
            return Err(format!("metric {:?} can have no unit", self.name));
        }
        self.histogram.map_or(Ok(()), Histogram::end)
    }
}

/// The value of a label that is a number, in canonical form where it is infinite.
fn bound(labels: &LabelSet, name: &str) -> Option<f64> {
    let text = labels.get(name)?;
    let value = number::parse(text.as_bytes()).ok().filter(|value| !value.is_nan())?;
    (value != f64::INFINITY || text == "+Inf").then_some(value)
}

/// The buckets, count and sum of one histogram at one time.
struct Histogram {
    group: LabelSet,
    timestamp: Option<TimestampMs>,
    bound: Option<f64>,
    value: f64,
    count: Option<f64>,
    has_sum: bool,
    has_gauge_sum: bool,
    has_negative_gauge_sum: bool,
    has_negative_bound: bool,
}

impl Histogram {
    fn new(group: LabelSet, timestamp: Option<TimestampMs>) -> Histogram {
        Histogram {
            group,
            timestamp,
            bound: None,
            value: 0.0,
            count: None,
            has_sum: false,
            has_gauge_sum: false,
            has_negative_gauge_sum: false,
            has_negative_bound: false,
        }
    }

    fn bucket(&mut self, bound: f64, value: f64) -> Result<(), String> {
        if self.bound.is_some_and(|before| bound <= before) {
            return Err("buckets out of order".to_owned());
        }
        if value < self.value {
            return Err("bucket values out of order".to_owned());
        }
        self.has_negative_bound |= bound < 0.0;
        self.bound = Some(bound);
        self.value = value;
        Ok(())
    }

    fn end(self) -> Result<(), String> {
        let summed = self.has_sum || self.has_gauge_sum;
        let fault = if self.bound != Some(f64::INFINITY) {
            "no bucket of +Inf"
        } else if self.count.is_some_and(|count| count != self.value) {
            "the count is not the bucket of +Inf"
        } else if summed && self.count.is_none() {
            "a sum without a count"
        } else if !summed && self.count.is_some() {
            "a count without a sum"
        } else if self.has_negative_bound && self.has_sum {
            "a sum with buckets of negative observations"
        } else if !self.has_negative_bound && self.has_negative_gauge_sum {
            "a negative sum without buckets of negative observations"
        } else {
            return Ok(());
        };
        Err(format!("{fault}: {}", self.group))
    }
}
