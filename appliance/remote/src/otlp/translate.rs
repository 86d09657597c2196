//! Translates a request into series.
//!
//! Path: `request` → **translate** → `builder`.
//! Source: Prometheus's `storage/remote/otlptranslator/prometheusremotewrite`.
//! What makes no sense is refused by name, and the rest kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use exposition::metric_type::MetricType;
use exposition::native::{check_counts, finish};
use model::label_set::METRIC_NAME;
use model::native_histogram::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, SCHEMA_MAX, SCHEMA_MIN, Span,
};
use model::number::format_plain;
use model::staleness::stale_nan;
use storage::metadata::Family;

use crate::builder::{Builder, SeriesRef};
use crate::otlp::naming::Naming;
use crate::otlp::request::{
    Attribute, Buckets, ExponentialPoint, Head, HistogramPoint, Metric, NumberPoint, OtlpExemplar,
    Points, ResourceMetrics, ScopeMetrics, SummaryPoint, Temporality,
};
use crate::outcome::Cause;

/// Values within this are in the zero bucket of what was an exponential histogram: upstream's.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Most characters of an exemplar's labels, as OpenMetrics has it.
const EXEMPLAR_CHARS_MAX: usize = 128;
/// Attributes that say which target it is.
const NAMESPACE: &str = "service.namespace";
const NAME: &str = "service.name";
const INSTANCE: &str = "service.instance.id";
const NS_PER_MS: u64 = 1_000_000;
/// Samples of `target_info` of one resource and request, at most.
const TARGET_INFO_MAX: i64 = 10_000;

/// How series are made: the section `otlp` of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpSettings {
    /// `translation_strategy` and how labels are named.
    pub naming: Naming,
    /// `promote_all_resource_attributes`
    pub promotes_all: bool,
    /// `promote_resource_attributes`, or those of all that are not.
    pub promoted: BTreeSet<String>,
    /// `keep_identifying_resource_attributes`
    pub keeps_identifying: bool,
    /// `convert_histograms_to_nhcb`
    pub converts_histograms: bool,
    /// `promote_scope_metadata`
    pub promotes_scope: bool,
    /// `otlp-native-delta-ingestion`
    pub takes_deltas: bool,
    /// `type-and-unit-labels`
    pub has_type_labels: bool,
    /// How far selectors look back, milliseconds: `target_info` comes twice in it.
    pub lookback_ms: i64,
}

impl Default for OtlpSettings {
    fn default() -> OtlpSettings {
        let naming = Naming {
            escapes: true,
            has_suffixes: true,
            prefixes_underscore: true,
            keeps_underscores: true,
        };
        OtlpSettings {
            naming,
            promotes_all: false,
            promoted: BTreeSet::new(),
            keeps_identifying: false,
            converts_histograms: false,
            promotes_scope: false,
            takes_deltas: false,
            has_type_labels: false,
            lookback_ms: 300_000,
        }
    }
}

/// Adds the samples of a request.
pub fn translate(all: &[ResourceMetrics], settings: &OtlpSettings, builder: &mut Builder) {
    let mut translator = Translator {
        settings,
        builder,
        names: BTreeMap::new(),
        resource: Labels::new(),
        promoted: Labels::new(),
        scope: Labels::new(),
        told: BTreeSet::new(),
    };
    for resource in all {
        translator.resource(resource);
    }
}

type Labels = BTreeMap<String, String>;

/// What a metric is called, and what is said of it.
struct Described {
    name: String,
    family: Family,
}

struct Translator<'a> {
    settings: &'a OtlpSettings,
    builder: &'a mut Builder,
    /// Labels' names by attributes' names.
    names: BTreeMap<String, Result<String, String>>,
    /// `job` and `instance`.
    resource: Labels,
    promoted: Labels,
    scope: Labels,
    /// Labels and times of `target_info` that were added.
    told: BTreeSet<(Labels, i64)>,
}

impl Translator<'_> {
    fn resource(&mut self, all: &ResourceMetrics) {
        let find = |key: &str| all.attributes.iter().find(|attribute| attribute.key == key);
        self.resource.clear();
        if let Some(name) = find(NAME) {
            let job = match find(NAMESPACE) {
                Some(namespace) => format!("{}/{}", namespace.value, name.value),
                None => name.value.clone(),
            };
            self.resource.insert("job".to_owned(), job);
        }
        if let Some(instance) = find(INSTANCE) {
            self.resource.insert("instance".to_owned(), instance.value.clone());
        }
        if let Err(reason) = self.promote(&all.attributes) {
            self.refuse(&reason);
            return;
        }
        let mut times: Option<(u64, u64)> = None;
        for scope in &all.scopes {
            if let Err(reason) = self.enter(scope) {
                self.refuse(&reason);
                continue;
            }
            for metric in &scope.metrics {
                for time in times_of(metric) {
                    let (first, last) = times.unwrap_or((time, time));
                    times = Some((first.min(time), last.max(time)));
                }
                self.metric(metric);
            }
        }
        self.scope.clear();
        if let Some((first, last)) = times
            && let Err(reason) = self.target_info(&all.attributes, ms(first), ms(last))
        {
            self.refuse(&reason);
        }
    }

    fn promote(&mut self, attributes: &[Attribute]) -> Result<(), String> {
        self.promoted.clear();
        let settings = self.settings;
        for attribute in attributes {
            if settings.promoted.contains(&attribute.key) != settings.promotes_all {
                let name = self.label_name(&attribute.key)?;
                self.promoted.insert(name, attribute.value.clone());
            }
        }
        Ok(())
    }

    fn enter(&mut self, scope: &ScopeMetrics) -> Result<(), String> {
        self.scope.clear();
        if !self.settings.promotes_scope || scope.name.is_empty() {
            return Ok(());
        }
        for attribute in &scope.attributes {
            let name = self.label_name(&format!("otel_scope_{}", attribute.key))?;
            self.scope.insert(name, attribute.value.clone());
        }
        for (name, value) in [
            ("otel_scope_name", &scope.name),
            ("otel_scope_version", &scope.version),
            ("otel_scope_schema_url", &scope.schema_url),
        ] {
            self.scope.insert(name.to_owned(), value.clone());
        }
        Ok(())
    }

    fn label_name(&mut self, key: &str) -> Result<String, String> {
        if let Some(known) = self.names.get(key) {
            return known.clone();
        }
        let name = self.settings.naming.label(key);
        self.names.insert(key.to_owned(), name.clone());
        name
    }

    fn refuse(&mut self, reason: &str) {
        self.builder.refusals.add(Cause::Unreadable, format_args!(": {reason}"));
    }

    fn metric(&mut self, metric: &Metric) {
        if let Some(temporality) = temporality_of(metric) {
            let is_delta = self.settings.takes_deltas && temporality == Temporality::Delta;
            if temporality != Temporality::Cumulative && !is_delta {
                let what = "invalid temporality and type combination for metric";
                self.refuse(&format!("{what} {:?}", metric.name));
                return;
            }
        }
        let name = match self.settings.naming.metric(metric) {
            Ok(name) => name,
            Err(reason) => return self.refuse(&reason),
        };
        let family = Family {
            name: name.as_str().into(),
            metric_type: type_of(metric),
            help: metric.description.as_str().into(),
            unit: self.settings.naming.unit(&metric.unit).into(),
        };
        let described = Described { name, family };
        let added = match &metric.points {
            Points::None => Err("unsupported metric type".to_owned()),
            Points::Gauge(points) => self.numbers(points, &described, false),
            Points::Sum { points, .. } => self.numbers(points, &described, true),
            Points::Histogram(points, temporality) if self.settings.converts_histograms => {
                let convert = |point: &HistogramPoint| custom(point, *temporality);
                self.natives(points, &described, |point| &point.head, convert)
            }
            Points::Histogram(points, _) => self.histograms(points, &described),
            Points::Exponential(points, temporality) => {
                let convert = |point: &ExponentialPoint| exponential(point, *temporality);
                self.natives(points, &described, |point| &point.head, convert)
            }
            Points::Summary(points) => self.summaries(points, &described),
        };
        if let Err(reason) = added {
            self.refuse(&reason);
        }
    }

    fn numbers(
        &mut self,
        points: &[NumberPoint],
        of: &Described,
        has_exemplars: bool,
    ) -> Result<(), String> {
        for point in points {
            let labels = self.labels(&point.head.attributes, &of.family)?;
            let value = if point.head.is_absent { stale_nan() } else { point.value };
            let series = self.sample(&labels, &of.name, None, &point.head, value, &of.family);
            if has_exemplars && let Some(series) = series {
                self.exemplars(series, &point.head.exemplars);
            }
        }
        Ok(())
    }

    fn histograms(&mut self, points: &[HistogramPoint], of: &Described) -> Result<(), String> {
        for point in points {
            let labels = self.labels(&point.head.attributes, &of.family)?;
            let head = &point.head;
            let shown = |value: f64| if head.is_absent { stale_nan() } else { value };
            if let Some(sum) = point.sum {
                let name = format!("{}_sum", of.name);
                self.sample(&labels, &name, None, head, shown(sum), &of.family);
            }
            let count = shown(float(point.count));
            self.sample(&labels, &format!("{}_count", of.name), None, head, count, &of.family);
            let mut exemplars = head.exemplars.iter().peekable();
            let (name, mut below) = (format!("{}_bucket", of.name), 0u64);
            for (bound, count) in point.bounds.iter().zip(&point.counts) {
                below = below.saturating_add(*count);
                let le = Some(("le", format_plain(*bound)));
                let value = shown(float(below));
                let series = self.sample(&labels, &name, le, head, value, &of.family);
                let mut own = Vec::new();
                while let Some(exemplar) = exemplars.next_if(|exemplar| exemplar.value <= *bound) {
                    own.push(exemplar.clone());
                }
                if let Some(series) = series {
                    self.exemplars(series, &own);
                }
            }
            let le = Some(("le", "+Inf".to_owned()));
            let series = self.sample(&labels, &name, le, head, count, &of.family);
            if let Some(series) = series {
                let rest: Vec<OtlpExemplar> = exemplars.cloned().collect();
                self.exemplars(series, &rest);
            }
        }
        Ok(())
    }

    fn summaries(&mut self, points: &[SummaryPoint], of: &Described) -> Result<(), String> {
        for point in points {
            let labels = self.labels(&point.head.attributes, &of.family)?;
            let head = &point.head;
            let shown = |value: f64| if head.is_absent { stale_nan() } else { value };
            let sum = shown(point.sum);
            self.sample(&labels, &format!("{}_sum", of.name), None, head, sum, &of.family);
            let count = shown(float(point.count));
            self.sample(&labels, &format!("{}_count", of.name), None, head, count, &of.family);
            for (quantile, value) in &point.quantiles {
                let quantile = Some(("quantile", format_plain(*quantile)));
                self.sample(&labels, &of.name, quantile, head, shown(*value), &of.family);
            }
        }
        Ok(())
    }

    fn natives<P>(
        &mut self,
        points: &[P],
        of: &Described,
        head_of: fn(&P) -> &Head,
        convert: impl Fn(&P) -> Result<NativeHistogram, String>,
    ) -> Result<(), String> {
        for point in points {
            let head = head_of(point);
            let labels = self.labels(&head.attributes, &of.family)?;
            match convert(point) {
                Ok(histogram) => {
                    if let Some(series) = self.series(&labels, &of.name, None, &of.family) {
                        let (time, start) = (ms(head.time_ns), ms(head.start_ns));
                        self.builder.native(series, time, histogram, start);
                        self.exemplars(series, &head.exemplars);
                    }
                }
                Err(reason) => {
                    self.builder.refusals.add(Cause::Histogram, format_args!(": {reason}"));
                }
            }
        }
        Ok(())
    }

    /// The labels of a point, but for those of its series.
    fn labels(&mut self, attributes: &[Attribute], family: &Family) -> Result<Labels, String> {
        let mut labels = self.named(attributes, &[])?;
        for (name, value) in &self.promoted {
            let own = labels.entry(name.clone()).or_default();
            if own.is_empty() {
                own.clone_from(value);
            }
        }
        labels.extend(self.resource.iter().map(|(name, value)| (name.clone(), value.clone())));
        labels.extend(self.scope.iter().map(|(name, value)| (name.clone(), value.clone())));
        if self.settings.has_type_labels {
            if family.metric_type != MetricType::Unknown {
                labels.insert("__type__".to_owned(), family.metric_type.text().to_owned());
            }
            if !family.unit.is_empty() {
                labels.insert("__unit__".to_owned(), family.unit.to_string());
            }
        }
        Ok(labels)
    }

    /// Attributes as labels; the values of those that get one name are joined, in order of key.
    fn named(&mut self, attributes: &[Attribute], left_out: &[&str]) -> Result<Labels, String> {
        let mut sorted: Vec<&Attribute> = attributes
            .iter()
            .filter(|one| one.key != METRIC_NAME && !left_out.contains(&one.key.as_str()))
            .collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        let mut labels = Labels::new();
        for attribute in sorted {
            let name = self.label_name(&attribute.key)?;
            let value = labels.entry(name).or_default();
            if !value.is_empty() {
                value.push(';');
            }
            value.push_str(&attribute.value);
        }
        Ok(labels)
    }

    fn sample(
        &mut self,
        labels: &Labels,
        name: &str,
        more: Option<(&str, String)>,
        head: &Head,
        value: f64,
        family: &Family,
    ) -> Option<SeriesRef> {
        let series = self.series(labels, name, more, family)?;
        self.builder.float(series, ms(head.time_ns), value, ms(head.start_ns));
        Some(series)
    }

    fn series(
        &mut self,
        labels: &Labels,
        name: &str,
        more: Option<(&str, String)>,
        family: &Family,
    ) -> Option<SeriesRef> {
        let more = more.as_ref().map(|(name, value)| (*name, value.as_str()));
        let is_other =
            |label: &str| label != METRIC_NAME && more.is_none_or(|(own, _)| own != label);
        let mut all: Vec<(&str, &str)> = labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(label, _)| is_other(label))
            .collect();
        all.push((METRIC_NAME, name));
        all.extend(more);
        match self.builder.series(&mut all) {
            Ok(series) => {
                self.builder.family(series, family);
                Some(series)
            }
            Err(fault) => {
                self.builder.refuse_labels(&fault, &all, 1);
                None
            }
        }
    }

    fn exemplars(&mut self, series: SeriesRef, exemplars: &[OtlpExemplar]) {
        for exemplar in exemplars {
            let ids = [("trace_id", &exemplar.trace_id), ("span_id", &exemplar.span_id)];
            let ids = ids.into_iter().filter(|(_, id)| !id.is_empty());
            let mut labels: Vec<(&str, &str)> = ids.map(|(name, id)| (name, id.as_str())).collect();
            let own = exemplar.attributes.iter().map(|one| (one.key.as_str(), one.value.as_str()));
            let own: Vec<(&str, &str)> = own.collect();
            let chars = labels
                .iter()
                .chain(&own)
                .map(|(name, value)| name.chars().count() + value.chars().count());
            if chars.sum::<usize>() <= EXEMPLAR_CHARS_MAX {
                labels.extend(own);
            }
            self.builder.exemplar(series, &labels, exemplar.value, ms(exemplar.time_ns));
        }
    }

    /// A series that has what is known of the target, from its first point to its last.
    fn target_info(
        &mut self,
        attributes: &[Attribute],
        first_ms: i64,
        last_ms: i64,
    ) -> Result<(), String> {
        let identifying = [NAMESPACE, NAME, INSTANCE];
        if attributes.iter().all(|one| identifying.contains(&one.key.as_str())) {
            return Ok(());
        }
        let left_out = if self.settings.keeps_identifying { &[][..] } else { &identifying[..] };
        let mut labels = self.named(attributes, left_out)?;
        labels.extend(self.resource.iter().map(|(name, value)| (name.clone(), value.clone())));
        if !labels.contains_key("job") && !labels.contains_key("instance") {
            return Ok(());
        }
        let family = Family {
            name: "target_info".into(),
            metric_type: MetricType::Gauge,
            help: "Target metadata".into(),
            unit: "".into(),
        };
        let Some(series) = self.series(&labels, "target_info", None, &family) else {
            return Ok(());
        };
        let interval = (self.settings.lookback_ms / 2).max(1);
        let mut times: Vec<i64> = Vec::new();
        let mut time = first_ms;
        while time < last_ms && i64::try_from(times.len()).is_ok_and(|n| n < TARGET_INFO_MAX) {
            times.push(time);
            time = time.saturating_add(interval);
        }
        times.push(last_ms);
        for time in times {
            if self.told.insert((labels.clone(), time)) {
                self.builder.float(series, time, 1.0, 0);
            }
        }
        Ok(())
    }
}

fn temporality_of(metric: &Metric) -> Option<Temporality> {
    match &metric.points {
        Points::Sum { temporality, .. }
        | Points::Histogram(_, temporality)
        | Points::Exponential(_, temporality) => Some(*temporality),
        Points::None | Points::Gauge(_) | Points::Summary(_) => None,
    }
}

fn type_of(metric: &Metric) -> MetricType {
    if temporality_of(metric) == Some(Temporality::Delta) {
        return MetricType::Unknown;
    }
    match &metric.points {
        Points::Gauge(_) | Points::Sum { is_monotonic: false, .. } => MetricType::Gauge,
        Points::Sum { .. } => MetricType::Counter,
        Points::Histogram(..) | Points::Exponential(..) => MetricType::Histogram,
        Points::Summary(_) => MetricType::Summary,
        Points::None => MetricType::Unknown,
    }
}

fn times_of(metric: &Metric) -> Vec<u64> {
    let numbers = |points: &[NumberPoint]| points.iter().map(|one| one.head.time_ns).collect();
    match &metric.points {
        Points::Gauge(points) | Points::Sum { points, .. } => numbers(points),
        Points::Histogram(points, _) => points.iter().map(|one| one.head.time_ns).collect(),
        Points::Exponential(points, _) => points.iter().map(|one| one.head.time_ns).collect(),
        Points::Summary(points) => points.iter().map(|one| one.head.time_ns).collect(),
        Points::None => Vec::new(),
    }
}

fn hint(temporality: Temporality) -> CounterResetHint {
    // What is a delta has no resets.
    if temporality == Temporality::Delta {
        CounterResetHint::Gauge
    } else {
        CounterResetHint::Unknown
    }
}

/// An exponential histogram as a native one.
fn exponential(
    point: &ExponentialPoint,
    temporality: Temporality,
) -> Result<NativeHistogram, String> {
    if point.scale < SCHEMA_MIN {
        return Err(format!(
            "cannot convert exponential to native histogram. Scale must be >= {SCHEMA_MIN}, was {}",
            point.scale
        ));
    }
    let mut histogram = NativeHistogram {
        counter_reset_hint: hint(temporality),
        schema: point.scale.min(SCHEMA_MAX),
        zero_threshold: ZERO_THRESHOLD,
        ..NativeHistogram::default()
    };
    if point.head.is_absent {
        histogram.sum = stale_nan();
        return Ok(histogram);
    }
    let down = (point.scale - histogram.schema).min(62);
    (histogram.positive_spans, histogram.positive_buckets) = merged(&point.positive, down)?;
    (histogram.negative_spans, histogram.negative_buckets) = merged(&point.negative, down)?;
    histogram.zero_count = float(point.zero_count);
    histogram.sum = point.sum.unwrap_or(0.0);
    histogram.count = float(point.count);
    checked(histogram)
}

/// Buckets of which 2^`down` become one. OpenTelemetry's bucket 0 is our bucket 1.
fn merged(buckets: &Buckets, down: i32) -> Result<(Vec<Span>, Vec<f64>), String> {
    if buckets.counts.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let offset = i64::from(buckets.offset);
    let first = (offset >> down) + 1;
    let mut counts: Vec<f64> = Vec::new();
    for (index, count) in (offset..).zip(&buckets.counts) {
        let place = usize::try_from((index >> down) + 1 - first).unwrap_or(0);
        if counts.len() <= place {
            counts.resize(place + 1, 0.0);
        }
        counts[place] += float(*count);
    }
    let invalid = |_| "bucket index out of range".to_owned();
    let offset = i32::try_from(first).map_err(invalid)?;
    let length = u32::try_from(counts.len()).map_err(|_| "too many buckets".to_owned())?;
    i32::try_from(first.saturating_add(length.into())).map_err(invalid)?;
    Ok((vec![Span { offset, length }], counts))
}

/// A histogram with explicit bounds as a native one with custom buckets.
fn custom(point: &HistogramPoint, temporality: Temporality) -> Result<NativeHistogram, String> {
    let mut histogram = NativeHistogram {
        counter_reset_hint: hint(temporality),
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: Arc::from(point.bounds.as_slice()),
        ..NativeHistogram::default()
    };
    if point.head.is_absent {
        histogram.sum = stale_nan();
        return Ok(histogram);
    }
    let length = u32::try_from(point.counts.len()).map_err(|_| "too many buckets".to_owned())?;
    if length != 0 {
        histogram.positive_spans = vec![Span { offset: 0, length }];
        histogram.positive_buckets = point.counts.iter().map(|count| float(*count)).collect();
    }
    histogram.sum = point.sum.unwrap_or(0.0);
    histogram.count = float(point.count);
    checked(histogram)
}

fn checked(mut histogram: NativeHistogram) -> Result<NativeHistogram, String> {
    finish(&mut histogram).map_err(|error| error.to_string())?;
    check_counts(&histogram).map_err(|error| error.to_string())?;
    Ok(histogram)
}

fn ms(ns: u64) -> i64 {
    i64::try_from(ns / NS_PER_MS).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(key: &str, value: &str) -> Attribute {
        Attribute { key: key.to_owned(), value: value.to_owned() }
    }

    fn head(time_ms: u64) -> Head {
        let attributes = vec![attribute("http.method", "GET")];
        Head { attributes, time_ns: time_ms * NS_PER_MS, ..Head::default() }
    }

    fn request(metric: Metric) -> Vec<ResourceMetrics> {
        let attributes = vec![
            attribute("service.name", "shop"),
            attribute("service.namespace", "eu"),
            attribute("service.instance.id", "a:1"),
            attribute("host.name", "h"),
        ];
        let scope = ScopeMetrics {
            name: "lib".to_owned(),
            version: "1".to_owned(),
            attributes: vec![attribute("x", "y")],
            metrics: vec![metric],
            ..ScopeMetrics::default()
        };
        vec![ResourceMetrics { attributes, scopes: vec![scope] }]
    }

    fn metric(name: &str, unit: &str, points: Points) -> Metric {
        let description = "d".to_owned();
        Metric { name: name.to_owned(), description, unit: unit.to_owned(), points }
    }

    /// What becomes of a request: a line a sample, then what was refused.
    fn shown(request: &[ResourceMetrics], settings: &OtlpSettings) -> String {
        let mut builder = Builder::new(1, "");
        translate(request, settings, &mut builder);
        let (batches, refusals) = builder.finish();
        let mut lines = Vec::new();
        for (_, batch) in &batches {
            for sample in &batch.floats {
                let labels = batch.labels(sample.series);
                lines.push(format!("{labels} {} {}", sample.value, sample.timestamp_ms));
            }
            for native in &batch.natives {
                let (labels, histogram) = (batch.labels(native.series), &native.value);
                lines.push(format!(
                    "{labels} schema {} spans {:?} buckets {:?} zero {} count {} sum {}",
                    histogram.schema,
                    histogram.positive_spans,
                    histogram.positive_buckets,
                    histogram.zero_count,
                    histogram.count,
                    histogram.sum
                ));
            }
        }
        lines.extend((refusals.total() != 0).then(|| refusals.text()));
        lines.join("\n")
    }

    fn sum(temporality: Temporality) -> Points {
        let points = vec![NumberPoint { head: head(5), value: 3.0 }];
        Points::Sum { points, temporality, is_monotonic: true }
    }

    #[test]
    fn a_counter_and_its_target() {
        let request = request(metric("requests.served", "1", sum(Temporality::Cumulative)));
        assert_eq!(
            shown(&request, &OtlpSettings::default()),
            "{__name__=\"requests_served_total\", http_method=\"GET\", instance=\"a:1\", \
             job=\"eu/shop\"} 3 5\n{__name__=\"target_info\", host_name=\"h\", instance=\"a:1\", \
             job=\"eu/shop\"} 1 5"
        );
        let settings = OtlpSettings {
            promoted: BTreeSet::from(["host.name".to_owned()]),
            promotes_scope: true,
            keeps_identifying: true,
            naming: Naming { escapes: false, ..OtlpSettings::default().naming },
            ..OtlpSettings::default()
        };
        assert_eq!(
            shown(&request, &settings),
            "{__name__=\"requests.served_total\", \"host.name\"=\"h\", \"http.method\"=\"GET\", \
             instance=\"a:1\", job=\"eu/shop\", otel_scope_name=\"lib\", otel_scope_version=\"1\", \
             otel_scope_x=\"y\"} 3 5\n{__name__=\"target_info\", \"host.name\"=\"h\", \
             instance=\"a:1\", job=\"eu/shop\", \"service.instance.id\"=\"a:1\", \
             \"service.name\"=\"shop\", \"service.namespace\"=\"eu\"} 1 5"
        );
    }

    #[test]
    fn deltas_are_refused_unless_wanted() {
        let request = request(metric("a", "", sum(Temporality::Delta)));
        let refused = shown(&request, &OtlpSettings::default());
        assert!(refused.contains("invalid temporality and type combination"), "{refused}");
        let settings = OtlpSettings { takes_deltas: true, ..OtlpSettings::default() };
        assert!(!shown(&request, &settings).contains("invalid"));
    }

    #[test]
    fn histograms_become_buckets_or_native() {
        let point = HistogramPoint {
            head: Head { attributes: Vec::new(), ..head(5) },
            count: 6,
            sum: Some(7.5),
            counts: vec![1, 2, 3],
            bounds: vec![0.5, 1.0],
        };
        let points = Points::Histogram(vec![point], Temporality::Cumulative);
        let mut request = request(metric("d", "s", points));
        request[0].attributes.truncate(2);
        let own = "job=\"eu/shop\"";
        assert_eq!(
            shown(&request, &OtlpSettings::default()),
            format!(
                "{{__name__=\"d_seconds_sum\", {own}}} 7.5 5\n{{__name__=\"d_seconds_count\", \
                 {own}}} 6 5\n{{__name__=\"d_seconds_bucket\", {own}, le=\"0.5\"}} 1 \
                 5\n{{__name__=\"d_seconds_bucket\", {own}, le=\"1\"}} 3 \
                 5\n{{__name__=\"d_seconds_bucket\", {own}, le=\"+Inf\"}} 6 5"
            )
        );
        let settings = OtlpSettings { converts_histograms: true, ..OtlpSettings::default() };
        let native = shown(&request, &settings);
        assert!(native.contains("schema -53") && native.contains("[1.0, 2.0, 3.0]"), "{native}");
    }

    #[test]
    fn exponential_histograms_are_scaled_down() {
        let point = ExponentialPoint {
            head: head(5),
            count: 11,
            sum: Some(2.0),
            scale: 9,
            zero_count: 1,
            positive: Buckets { offset: -1, counts: vec![1, 2, 3, 4] },
            negative: Buckets::default(),
        };
        let (spans, counts) = merged(&point.positive, 1).expect("in range");
        assert_eq!(spans, [Span { offset: 0, length: 3 }]);
        assert_eq!(counts, [1.0, 5.0, 4.0]);
        let native = exponential(&point, Temporality::Cumulative).expect("converts");
        assert_eq!((native.schema, native.count, native.zero_count), (8, 11.0, 1.0));
        let coarse = ExponentialPoint { scale: -5, ..point.clone() };
        assert!(exponential(&coarse, Temporality::Cumulative).is_err());
        let wide = Buckets { offset: i32::MAX, counts: vec![1, 1, 1] };
        assert!(merged(&wide, 0).is_err());
    }

    #[test]
    fn attributes_of_one_name_are_joined() {
        let mut point = NumberPoint { head: head(1), value: 1.0 };
        point.head.attributes = vec![attribute("a_b", "2"), attribute("a.b", "1")];
        let request = request(metric("m", "", Points::Gauge(vec![point])));
        assert!(shown(&request, &OtlpSettings::default()).contains("a_b=\"1;2\""));
    }
}
