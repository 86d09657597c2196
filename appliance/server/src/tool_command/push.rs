//! `cresset push metrics`: text exposition by remote write.
//!
//! Source: Prometheus's `cmd/promtool/metrics.go` and `util/fmtutil/format.go`.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use client::http::Ask;
use exposition::entry::Entry;
use exposition::metric_type::MetricType;
use exposition::series::parse_series;
use exposition::text::TextParser;
use model::label_set::{Builder, LabelSet};
use remote::protobuf_write::Writer;
use remote::snappy::deflate;

use crate::tool_arguments::PushOptions;
use crate::tool_command::connection::Connection;
use crate::tool_command::ended::Ended;
use crate::tsdb_command::print::{Progress, output};

const DEFAULT_PATH: &str = "/api/v1/write";

/// What is sent of one text.
#[derive(Debug, Default)]
struct Parsed {
    samples: Vec<(LabelSet, f64, i64)>,
    /// Name, type, help.
    families: Vec<(String, MetricType, String)>,
}

/// Sends what each file has.
///
/// # Errors
/// Standard input cannot be read, or the output refuses. What is wrong with a file is told.
pub fn run(options: &PushOptions) -> Result<Ended> {
    let mut connection = Connection::new(&options.server)?;
    let mut out = output();
    let mut ended = Ended::Well;
    if options.files.is_empty() {
        let mut text = Vec::new();
        std::io::stdin().lock().read_to_end(&mut text).context("read standard input")?;
        writeln!(out, "Parsing standard input")?;
        out.flush()?;
        match send(&mut connection, options, &text) {
            Ok(()) => writeln!(out, "  SUCCESS: metrics pushed to remote write.")?,
            Err(error) => {
                eprintln!("  FAILED: {error:#}");
                ended = Ended::Failed;
            }
        }
    }
    let mut progress = Progress::new("pushing");
    for (at, file) in options.files.iter().enumerate() {
        let shown = file.display();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        progress.show(count(at), count(options.files.len()), &shown.to_string());
        let read = std::fs::read(file).with_context(|| format!("open {shown}"));
        writeln!(out, "Parsing metrics file {shown}")?;
        out.flush()?;
        match read.and_then(|text| send(&mut connection, options, &text)) {
            Ok(()) => {
                writeln!(out, "  SUCCESS: metrics file {shown} pushed to remote write.")?;
            }
            Err(error) => {
                eprintln!("  FAILED: {error:#}");
                ended = Ended::Failed;
            }
        }
    }
    progress.clear();
    out.flush()?;
    Ok(ended)
}

fn send(connection: &mut Connection, options: &PushOptions, text: &[u8]) -> Result<()> {
    let parsed = read(text, &options.labels, machine::clock::now().wall.0)?;
    let (message, version, kind) = if options.is_second {
        (second(&parsed), "2.0.0", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
    } else {
        (first(&parsed), "0.1.0", "application/x-protobuf")
    };
    let base = connection.base();
    let has_path = base.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    let path = match &options.path {
        Some(path) => format!("/{}", path.trim_start_matches('/')),
        // The whole address of the receiver, as promtool of Prometheus 2 wants it.
        None if has_path => String::new(),
        None => DEFAULT_PATH.to_owned(),
    };
    let within = Duration::from_millis(options.timeout_ms);
    let ask = Ask::post(&format!("{base}{path}"), kind, deflate(&message).into(), within)
        .with_header("Content-Encoding", "snappy")
        .with_header("X-Prometheus-Remote-Write-Version", version);
    let response = connection.send(ask)?;
    if response.status / 100 == 2 {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&response.body);
    Err(anyhow!("server returned HTTP status {}: {}", response.status, text.trim()))
}

/// The samples of a text; those without a time get `now_ms`.
fn read(text: &[u8], labels: &[(String, String)], now_ms: i64) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    for entry in TextParser::new(text) {
        let entry = entry.map_err(|error| anyhow!("{error}"))?;
        let name = match &entry {
            Entry::Help { name, .. } | Entry::Type { name, .. } => name.to_string(),
            Entry::Sample(sample) => {
                let mut builder = Builder::default();
                parse_series(sample.series, sample.metric_type, &mut builder)
                    .map_err(|error| anyhow!("{error}"))?;
                for (name, value) in labels {
                    builder.set(name, value);
                }
                let time = sample.timestamp.map_or(now_ms, |time| time.0);
                parsed.samples.push((builder.build(), sample.value, time));
                continue;
            }
            _ => continue,
        };
        let place = *places.entry(name.clone()).or_insert(parsed.families.len());
        if place == parsed.families.len() {
            parsed.families.push((name, MetricType::Unknown, String::new()));
        }
        match entry {
            Entry::Help { help, .. } => parsed.families[place].2 = help.into_owned(),
            Entry::Type { metric_type, .. } => parsed.families[place].1 = metric_type,
            _ => {}
        }
    }
    Ok(parsed)
}

/// Number of a type in the messages of remote write.
fn type_number(of: MetricType) -> u64 {
    match of {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

/// `prometheus.WriteRequest`
fn first(parsed: &Parsed) -> Vec<u8> {
    let mut request = Writer::default();
    for (labels, value, time) in &parsed.samples {
        request.message(1, |series| {
            for (name, value) in labels {
                series.message(1, |label| {
                    label.text(1, name);
                    label.text(2, value);
                });
            }
            series.message(2, |sample| {
                sample.double(1, *value);
                sample.int64(2, *time);
            });
        });
    }
    for (name, metric_type, help) in &parsed.families {
        request.message(3, |family| {
            family.uint64(1, type_number(*metric_type));
            family.text(2, name);
            family.text(4, help);
        });
    }
    request.into_bytes()
}

/// `io.prometheus.write.v2.Request`, whose texts are numbers of symbols, the first one empty.
fn second(parsed: &Parsed) -> Vec<u8> {
    let mut symbols = vec![""];
    let mut numbers: HashMap<&str, u64> = HashMap::from([("", 0)]);
    let mut number = |text| -> u64 {
        *numbers.entry(text).or_insert_with(|| {
            symbols.push(text);
            u64::try_from(symbols.len() - 1).unwrap_or(0)
        })
    };
    let families: HashMap<&str, (u64, u64)> = parsed
        .families
        .iter()
        .map(|(name, metric_type, help)| (name.as_str(), (type_number(*metric_type), number(help))))
        .collect();
    let mut all = Writer::default();
    for (labels, value, time) in &parsed.samples {
        let references: Vec<u64> =
            labels.iter().flat_map(|(name, value)| [name, value]).map(&mut number).collect();
        let (metric_type, help) = family_of(labels.metric_name(), &families);
        all.message(5, |series| {
            series.uint64s(1, references.iter().copied());
            series.message(2, |sample| {
                sample.double(1, *value);
                sample.int64(2, *time);
            });
            series.message(5, |metadata| {
                metadata.uint64(1, metric_type);
                metadata.uint64(3, help);
            });
        });
    }
    let mut request = Writer::default();
    symbols.iter().for_each(|symbol| request.put(4, symbol.as_bytes()));
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(all.bytes());
    bytes
}

/// Type and help of the family that a series is of.
fn family_of(name: &str, families: &HashMap<&str, (u64, u64)>) -> (u64, u64) {
    let stem = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let found = families.get(name).or_else(|| stem.and_then(|stem| families.get(stem)));
    found.copied().unwrap_or((0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_get_labels_and_times() {
        let text = b"# HELP a Some.\n# TYPE a counter\na{x=\"y\"} 1\nb 2 5\n";
        let labels = [("job".to_owned(), "p".to_owned())];
        let parsed = read(text, &labels, 7).expect("text");
        let shown: Vec<String> = parsed
            .samples
            .iter()
            .map(|(labels, value, time)| format!("{labels} {value} {time}"))
            .collect();
        assert_eq!(
            shown,
            ["{__name__=\"a\", job=\"p\", x=\"y\"} 1 7", "{__name__=\"b\", job=\"p\"} 2 5"]
        );
        assert_eq!(parsed.families, [("a".to_owned(), MetricType::Counter, "Some.".to_owned())]);
        assert!(read(b"a b c", &[], 0).is_err());
    }
}
