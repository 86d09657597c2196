//! Suite `exposition`: the text format 0.0.4, entry by entry, as pages, as what must be refused.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use exposition::dialect::Dialect;
use exposition::entry::Entry;
use exposition::layout::learn;
use exposition::metric_type::MetricType;
use exposition::scan::{Scan, scan};
use exposition::series::parse_series;
use exposition::text::TextParser;
use model::label_set::{Builder, LabelSet};
use serde::Deserialize;

use crate::cases::{self, CaseText};
use crate::report::{Known, Report};

/// Folders with whole pages.
const PAGES: [&str; 2] = ["node_exporter/exposition", "prometheus/exposition"];
/// Texts of another parser of the format; those named so must be refused.
const CORPUS: &str = "prometheus-common/expfmt/corpus";
const CORPUS_ERROR: &str = "from_test_parse_error_";

/// Prometheus's scrape parser, which ours follows, accepts what the corpus's own parser refuses.
pub const KNOWN: &[Known] = &[
    Known {
        report: "exposition/expfmt",
        case: "from_test_parse_error_2",
        reason: "a scrape accepts a line feed within a label value",
    },
    Known {
        report: "exposition/expfmt",
        case: "from_test_parse_error_7",
        reason: "a scrape accepts a quantile that is no number",
    },
    Known {
        report: "exposition/expfmt",
        case: "from_test_parse_error_12",
        reason: "a scrape accepts a second HELP line of a metric",
    },
    Known {
        report: "exposition/expfmt",
        case: "from_test_parse_error_13",
        reason: "a scrape accepts a second TYPE line of a metric",
    },
    Known {
        report: "exposition/expfmt",
        case: "from_test_parse_error_14",
        reason: "a scrape accepts a TYPE line after the samples",
    },
    Known {
        report: "exposition/expfmt",
        case: "from_test_parse_error_19",
        reason: "a scrape accepts a bucket bound that is no number",
    },
];

#[derive(Deserialize)]
struct EntriesCase {
    input: CaseText,
    expected_entries: Vec<ExpectedEntry>,
}

#[derive(Deserialize)]
struct ExpectedEntry {
    m: Option<String>,
    v: Option<f64>,
    t: Option<i64>,
    lset: Option<BTreeMap<String, String>>,
    help: Option<String>,
    typ: Option<String>,
    comment: Option<String>,
}

#[derive(Deserialize)]
struct ErrorCase {
    id: u32,
    input: CaseText,
    err: String,
}

/// Runs the suite.
///
/// # Errors
/// The cases cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    Ok(vec![entries(directory)?, errors(directory)?, corpus(directory)?, pages(directory)?])
}

fn entries(directory: &Path) -> Result<Report> {
    let mut report = Report::new("exposition/entries");
    let cases: Vec<EntriesCase> = cases::read(directory, "prometheus/cases/promtext_parse.json")?;
    for case in &cases {
        // Upstream's test ends every body with a line feed.
        let mut body = case.input.bytes();
        body.push(b'\n');
        let mut found = TextParser::new(&body).map(|entry| entry.map(|entry| show(&entry)));
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
        Entry::Unit { name, unit } => format!("unit {name:?} {unit:?}"),
        Entry::Histogram(sample) => format!("histogram {:?}", sample.histogram),
        Entry::Help { name, help } => format!("help {name:?} {help:?}"),
        Entry::Type { name, metric_type } => format!("type {name:?} {}", metric_type.text()),
        Entry::Comment { text } => format!("comment {:?}", String::from_utf8_lossy(text)),
        Entry::Sample(sample) => {
            let mut labels = Builder::default();
            let labels = match parse_series(sample.series, sample.metric_type, &mut labels) {
                Ok(()) => labels.build().to_string(),
                Err(error) => error.to_string(),
            };
            let series = String::from_utf8_lossy(sample.series);
            let timestamp = sample.timestamp.map(|timestamp| timestamp.0);
            format!("sample {series:?} {labels} {} {timestamp:?}", sample.value)
        }
    }
}

fn show_expected(entry: &ExpectedEntry) -> String {
    let name = entry.m.as_deref().unwrap_or("");
    let type_word = |text: &str| text.trim_start_matches("model.MetricType").to_lowercase();
    if let Some(comment) = &entry.comment {
        return format!("comment {comment:?}");
    }
    if let Some(help) = &entry.help {
        return format!("help {name:?} {help:?}");
    }
    if let Some(typ) = &entry.typ {
        return format!("type {name:?} {}", type_word(typ));
    }
    let given = entry.lset.iter().flatten();
    let labels: Vec<(String, String)> = given
        .map(|(label, value)| {
            // The case file keeps a constant's name where upstream's table had one.
            let constant = value.starts_with("model.MetricType");
            (label.clone(), if constant { type_word(value) } else { value.clone() })
        })
        .collect();
    let labels = LabelSet::new(labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    let value = entry.v.unwrap_or(f64::NAN);
    format!("sample {name:?} {labels} {value} {:?}", entry.t)
}

fn errors(directory: &Path) -> Result<Report> {
    let mut report = Report::new("exposition/errors");
    let cases: Vec<ErrorCase> = cases::read(directory, "prometheus/cases/promtext_errors.json")?;
    for case in &cases {
        let verdict = match read_all(&case.input.bytes()) {
            Err(_) => Ok(()),
            Ok(count) => Err(format!("accepted with {count} samples, not refused: {}", case.err)),
        };
        report.count(format!("error {}", case.id), verdict);
    }
    Ok(report)
}

/// Number of samples of a body, read to its end with every series' labels.
fn read_all(body: &[u8]) -> Result<usize, String> {
    let mut count = 0;
    for entry in TextParser::new(body) {
        if let Entry::Sample(sample) = entry.map_err(|error| error.to_string())? {
            parse_series(sample.series, sample.metric_type, &mut Builder::default())
                .map_err(|error| error.to_string())?;
            count += 1;
        }
    }
    Ok(count)
}

fn corpus(directory: &Path) -> Result<Report> {
    let mut report = Report::new("exposition/expfmt");
    for (name, body) in files(directory, CORPUS)? {
        let verdict = match (read_all(&body), name.starts_with(CORPUS_ERROR)) {
            (Ok(_), false) | (Err(_), true) => Ok(()),
            (Ok(count), true) => Err(format!("accepted with {count} samples")),
            (Err(error), false) => Err(format!("refused: {error}")),
        };
        report.count(name, verdict);
    }
    Ok(report)
}

fn pages(directory: &Path) -> Result<Report> {
    let mut report = Report::new("exposition/pages");
    for folder in PAGES {
        for (name, body) in files(directory, folder)? {
            let text_format = name.ends_with(".txt") && !name.ends_with(".om.txt");
            if text_format || name.ends_with(".prom") {
                report.count(name, judge_page(&body));
            }
        }
    }
    Ok(report)
}

/// A page must read to its end, and by its own layout give the same values.
fn judge_page(body: &[u8]) -> Result<(), String> {
    let mut expected: Vec<u64> = Vec::new();
    let mut metric_type = MetricType::Unknown;
    for entry in TextParser::new(body) {
        match entry.map_err(|error| error.to_string())? {
            Entry::Type { metric_type: declared, .. } => metric_type = declared,
            Entry::Sample(sample) if sample.metric_type != metric_type => {
                return Err("a sample has another type than declared above it".to_owned());
            }
            Entry::Sample(sample) if sample.timestamp.is_none() => {
                expected.push(sample.value.to_bits());
            }
            _ => {}
        }
    }
    let layout = learn(Dialect::Text, body).map_err(|error| error.to_string())?;
    let mut found = Scan::default();
    scan(Dialect::Text, body, &layout, &mut found).map_err(|error| error.to_string())?;
    let unseen = layout.samples() - found.seen.count_ones();
    if unseen != 0 {
        return Err(format!("{unseen} series of the layout not seen in its own page"));
    }
    let values: Vec<u64> = found.values.iter().map(|value| value.to_bits()).collect();
    if values == expected {
        Ok(())
    } else {
        Err("values differ between scan and parser".to_owned())
    }
}

/// Names and contents of the files in a folder, in order of name.
fn files(directory: &Path, folder: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = directory.join(folder);
    let mut files = Vec::new();
    let entries =
        std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let read = std::fs::read(&path);
            files.push((name, read.with_context(|| format!("read {}", path.display()))?));
        }
    }
    files.sort();
    Ok(files)
}
