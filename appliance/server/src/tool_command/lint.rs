//! Lint: what may be better about the names, types and help of metrics.
//!
//! Source: package `promlint` of Prometheus's client_golang, whose words these are.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use exposition::entry::Entry;
use exposition::metric_type::MetricType;
use exposition::series::parse_series;
use exposition::text::TextParser;
use model::label_set::{Builder, LabelSet, METRIC_NAME};

/// Units and the base unit of each.
const UNITS: [(&str, &str); 24] = [
    ("amperes", "amperes"),
    ("bits", "bytes"),
    ("bytes", "bytes"),
    ("calories", "joules"),
    ("celsius", "celsius"),
    ("days", "seconds"),
    ("fahrenheit", "celsius"),
    ("grams", "grams"),
    ("hours", "seconds"),
    ("inches", "meters"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("kelvins", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("miles", "meters"),
    ("minutes", "seconds"),
    ("ounces", "grams"),
    ("pounds", "grams"),
    ("rankine", "celsius"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("weeks", "seconds"),
    ("yards", "meters"),
];
const PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega",
    "mibi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
];
const ABBREVIATIONS: [&str; 14] =
    ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];
/// Types that names should not tell.
const TYPES: [&str; 5] = ["counter", "gauge", "gauge_histogram", "histogram", "summary"];

/// One metric family of a text.
#[derive(Debug, Default)]
pub struct Family {
    help: Option<String>,
    kind: MetricType,
    /// Labels without `le` and `quantile`, and how many series each has.
    pub metrics: BTreeMap<LabelSet, usize>,
    duplicates: usize,
}

/// The families of a text by name.
///
/// # Errors
/// Where and why it is no text exposition.
pub fn families(text: &[u8]) -> Result<BTreeMap<String, Family>> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for entry in TextParser::new(text) {
        match entry.map_err(|error| anyhow!("{error}"))? {
            Entry::Help { name, help } => {
                families.entry(name.into_owned()).or_default().help = Some(help.into_owned());
            }
            Entry::Type { name, metric_type } => {
                families.entry(name.into_owned()).or_default().kind = metric_type;
            }
            Entry::Sample(sample) => {
                let mut labels = Builder::default();
                parse_series(sample.series, sample.metric_type, &mut labels)
                    .map_err(|error| anyhow!("{error}"))?;
                let is_new = seen.insert(labels.build());
                let name = family_name(labels.value(METRIC_NAME), &families);
                let family = families.entry(name).or_default();
                labels.remove(METRIC_NAME);
                if let Some(own) = family.kind.float_label() {
                    labels.remove(own);
                }
                *family.metrics.entry(labels.build()).or_default() += 1;
                family.duplicates += usize::from(!is_new);
            }
            _ => {}
        }
    }
    // What is described but has no series is nothing to judge.
    families.retain(|_, family| !family.metrics.is_empty());
    Ok(families)
}

fn family_name(series: &str, families: &BTreeMap<String, Family>) -> String {
    let mut stems = ["_bucket", "_count", "_sum"].iter().filter_map(|end| series.strip_suffix(end));
    let suffixed = |stem: &&str| {
        families.get(*stem).is_some_and(|family| {
            let kind = family.kind;
            kind == MetricType::Histogram
                || (kind == MetricType::Summary && !series.ends_with("_bucket"))
        })
    };
    stems.find(suffixed).unwrap_or(series).to_owned()
}

/// What may be better, in order of name and text.
#[must_use]
pub fn problems(families: &BTreeMap<String, Family>) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for (name, family) in families {
        let mut texts = Vec::new();
        if family.help.is_none() {
            texts.push("no help text".to_owned());
        }
        name_problems(name, &mut texts);
        type_problems(name, family, &mut texts);
        if family.duplicates != 0 {
            texts.push("metric not unique".to_owned());
        }
        texts.sort();
        problems.extend(texts.into_iter().map(|text| (name.clone(), text)));
    }
    problems
}

fn name_problems(name: &str, texts: &mut Vec<String>) {
    if let Some((unit, base)) = unit_of(name)
        && unit != base
    {
        texts.push(format!("use base unit {base:?} instead of {unit:?}"));
    }
    let lower = name.to_lowercase();
    let has =
        |part: &str| lower.contains(&format!("_{part}_")) || lower.ends_with(&format!("_{part}"));
    for kind in TYPES.into_iter().filter(|kind| has(kind)) {
        texts.push(format!("metric name should not include type '{kind}'"));
    }
    if name.contains(':') {
        texts.push("metric names should not contain ':'".to_owned());
    }
    if is_camel_case(name) {
        let text = "metric names should be written in 'snake_case' not 'camelCase'";
        texts.push(text.to_owned());
    }
    for _ in ABBREVIATIONS.into_iter().filter(|unit| has(unit)) {
        texts.push("metric names should not contain abbreviated units".to_owned());
    }
}

fn type_problems(name: &str, family: &Family, texts: &mut Vec<String>) {
    let kind = family.kind;
    let is = |wanted: MetricType| kind == wanted;
    let is_typed = !is(MetricType::Unknown);
    let is_total = name.ends_with("_total");
    let histogram = is(MetricType::Histogram);
    let summary = is(MetricType::Summary);
    let mut tell = |condition: bool, text: &str| {
        if condition {
            texts.push(text.to_owned());
        }
    };
    tell(is(MetricType::Counter) && !is_total, "counter metrics should have \"_total\" suffix");
    tell(
        is_typed && !is(MetricType::Counter) && is_total,
        "non-counter metrics should not have \"_total\" suffix",
    );
    tell(
        is_typed && !is(MetricType::Gauge) && name.ends_with("_timestamp_seconds"),
        "non-gauge metrics should not have \"_timestamp_seconds\" suffix",
    );
    tell(
        is_typed && !histogram && name.ends_with("_bucket"),
        "non-histogram metrics should not have \"_bucket\" suffix",
    );
    for suffix in ["_count", "_sum"] {
        let text = "non-histogram and non-summary metrics should not have";
        let is_reserved = is_typed && !histogram && !summary && name.ends_with(suffix);
        tell(is_reserved, &format!("{text} \"{suffix}\" suffix"));
    }
    for label in family.metrics.keys().flat_map(|labels| labels.iter().map(|(label, _)| label)) {
        tell(
            is_typed && !histogram && label == "le",
            "non-histogram metrics should not have \"le\" label",
        );
        tell(
            is_typed && !summary && label == "quantile",
            "non-summary metrics should not have \"quantile\" label",
        );
        tell(is_camel_case(label), "label names should be written in 'snake_case' not 'camelCase'");
    }
}

/// The first part of a name that is a unit, and its base.
fn unit_of(name: &str) -> Option<(&str, &'static str)> {
    let base_of = |part: &str| UNITS.iter().find(|(unit, _)| *unit == part).map(|(_, base)| *base);
    name.split('_').find_map(|part| {
        let bare = PREFIXES.iter().filter_map(|prefix| part.strip_prefix(prefix));
        std::iter::once(part).chain(bare).find_map(base_of).map(|base| (part, base))
    })
}

fn is_camel_case(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = problems(&families(text.as_bytes()).expect("text"));
        let shown: Vec<String> =
            found.into_iter().map(|(name, text)| format!("{name} {text}")).collect();
        assert_eq!(shown.join("\n"), expected);
    }

    #[test]
    fn names_types_and_labels_are_judged() {
        check("# HELP a_total x\n# TYPE a_total counter\na_total 1\n", "");
        check("a 1\n", "a no help text");
        check(
            "# HELP x_ms y\n# TYPE x_ms counter\nx_ms{aB=\"1\"} 1\n",
            "x_ms counter metrics should have \"_total\" suffix\nx_ms label names should be \
             written in 'snake_case' not 'camelCase'\nx_ms metric names should not contain \
             abbreviated units",
        );
        check(
            "# HELP a_milliseconds y\n# TYPE a_milliseconds gauge\na_milliseconds{le=\"1\"} 1\n",
            "a_milliseconds non-histogram metrics should not have \"le\" label\na_milliseconds use \
             base unit \"seconds\" instead of \"milliseconds\"",
        );
        check(
            "# HELP h y\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum \
             1\nh_count 1\n",
            "",
        );
        check("# HELP a y\na 1\na 2\n", "a metric not unique");
    }
}
