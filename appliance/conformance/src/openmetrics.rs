//! Suite `openmetrics`: OpenMetrics text as scrapes and as the public suite read it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use exposition::entry::{Entry, Exemplar};
use exposition::metric_type::MetricType;
use exposition::openmetrics::parser::OpenMetricsParser;
use exposition::openmetrics::strict;
use exposition::series::{parse_exemplar_labels, parse_series};
use model::label_set::{Builder, LabelSet};
use serde::Deserialize;
use serde_json::Value;

use crate::cases::{self, CaseText};
use crate::report::Report;

/// Where the public suite's cases are.
const PARSERS: &str = "openmetrics/parsers";

/// Runs the suite.
///
/// # Errors
/// The cases cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    Ok(vec![strict_cases(directory)?, errors(directory)?, entries(directory)?])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ParserCase {
    file: String,
    should_parse: bool,
}

fn strict_cases(directory: &Path) -> Result<Report> {
    let mut report = Report::new("openmetrics/strict");
    let folder = directory.join(PARSERS);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
        names.push(entry?.file_name());
    }
    names.sort();
    for name in names {
        let read = |file: &str| {
            let path = folder.join(&name).join(file);
            std::fs::read(&path).with_context(|| format!("read {}", path.display()))
        };
        let case: ParserCase = serde_json::from_slice(&read("test.json")?).context("parse case")?;
        let verdict = match (strict::check(&read(&case.file)?), case.should_parse) {
            (Ok(()), true) | (Err(_), false) => Ok(()),
            (Ok(()), false) => Err("accepted".to_owned()),
            (Err(error), true) => Err(format!("refused: {error}")),
        };
        report.count(name.to_string_lossy(), verdict);
    }
    Ok(report)
}

#[derive(Deserialize)]
struct ErrorCase {
    id: u32,
    input: CaseText,
    err: String,
}

fn errors(directory: &Path) -> Result<Report> {
    let mut report = Report::new("openmetrics/errors");
    let cases: Vec<ErrorCase> = cases::read(directory, "prometheus/cases/openmetrics_errors.json")?;
    for case in &cases {
        let body = case.input.bytes();
        let read = OpenMetricsParser::new(&body).find_map(Result::err);
        let verdict = match (read, case.err.as_str()) {
            (None, "EOF") => Ok(()),
            (Some(error), "EOF") => Err(format!("refused: {error}")),
            (Some(_), _) => Ok(()),
            (None, wanted) => Err(format!("accepted, not refused: {wanted}")),
        };
        report.count(format!("error {}", case.id), verdict);
    }
    Ok(report)
}

#[derive(Deserialize)]
struct EntriesCase {
    input: String,
    expected_entries: Vec<ExpectedEntry>,
}

#[derive(Deserialize)]
struct ExpectedEntry {
    m: String,
    v: Option<Value>,
    t: Option<i64>,
    st: Option<i64>,
    lset: Option<BTreeMap<String, String>>,
    #[serde(default)]
    es: Vec<ExpectedExemplar>,
    help: Option<String>,
    typ: Option<String>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExpectedExemplar {
    labels: BTreeMap<String, String>,
    value: f64,
    ts: Option<i64>,
}

fn entries(directory: &Path) -> Result<Report> {
    let mut report = Report::new("openmetrics/entries");
    let cases: Vec<EntriesCase> =
        cases::read(directory, "prometheus/cases/openmetrics_parse.json")?;
    for case in &cases {
        let parser = OpenMetricsParser::with_start_timestamps(case.input.as_bytes());
        let mut found = parser.map(|entry| entry.map(|entry| show(&entry)));
        for (at, expected) in case.expected_entries.iter().enumerate() {
            let expected = show_expected(expected);
            let verdict = match found.next() {
                Some(Ok(shown)) if shown == expected => Ok(()),
                other => Err(format!("expected {expected}, found {other:?}")),
            };
            report.count(format!("entry {at}"), verdict);
        }
        let rest = found.next();
        let verdict = if rest.is_none() { Ok(()) } else { Err(format!("then {rest:?}")) };
        report.count("end", verdict);
    }
    Ok(report)
}

fn show(entry: &Entry<'_>) -> String {
    match entry {
        Entry::Help { name, help } => format!("help {name:?} {help:?}"),
        Entry::Type { name, metric_type } => format!("type {name:?} {}", metric_type.api_text()),
        Entry::Unit { name, unit } => format!("unit {name:?} {unit:?}"),
        Entry::Sample(sample) => {
            let series = String::from_utf8_lossy(sample.series);
            let labels = labels(|into| parse_series(sample.series, sample.metric_type, into));
            let timestamp = sample.timestamp.map(|timestamp| timestamp.0);
            let start = sample.start.map(|start| start.0);
            let exemplar: Vec<String> = sample.exemplar.iter().map(show_exemplar).collect();
            let value = sample.value;
            format!("sample {series:?} {labels} {value} {timestamp:?} {start:?} {exemplar:?}")
        }
        other => format!("{other:?}"),
    }
}

fn show_exemplar(exemplar: &Exemplar<'_>) -> String {
    let labels = labels(|into| parse_exemplar_labels(exemplar.labels, into));
    format!("{labels} {} {:?}", exemplar.value, exemplar.timestamp.map(|timestamp| timestamp.0))
}

fn labels(read: impl FnOnce(&mut Builder) -> Result<(), exposition::error::TextError>) -> String {
    let mut labels = Builder::default();
    match read(&mut labels) {
        Ok(()) => labels.build().to_string(),
        Err(error) => error.to_string(),
    }
}

fn show_expected(entry: &ExpectedEntry) -> String {
    let name = &entry.m;
    if let Some(help) = &entry.help {
        return format!("help {name:?} {help:?}");
    }
    if let Some(typ) = &entry.typ {
        let word = typ.trim_start_matches("model.MetricType").to_lowercase();
        let known = MetricType::from_openmetrics(word.as_bytes());
        return format!("type {name:?} {}", known.unwrap_or_default().api_text());
    }
    if let Some(unit) = &entry.unit {
        return format!("unit {name:?} {unit:?}");
    }
    let exemplars: Vec<String> = entry
        .es
        .iter()
        .map(|es| format!("{} {} {:?}", label_set(&es.labels), es.value, es.ts))
        .collect();
    let labels = label_set(entry.lset.as_ref().unwrap_or(&BTreeMap::new()));
    // A value that is left out is 0, one that is no number NaN.
    let value = entry.v.as_ref().map_or(0.0, |value| value.as_f64().unwrap_or(f64::NAN));
    let (timestamp, start) = (entry.t, entry.st);
    format!("sample {name:?} {labels} {value} {timestamp:?} {start:?} {exemplars:?}")
}

fn label_set(labels: &BTreeMap<String, String>) -> LabelSet {
    LabelSet::new(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}
