//! Suite `protobuf`: metric families in protocol buffers, written here from their text form.
//!
//! What a family must become is worked out from the text form by rules of its own, the plainest
//! reading of the message; the parser of the wire has no part in it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use exposition::body::{Format, ReadOptions, read};
use exposition::dialect::Dialect;
use exposition::entry::{Entry, Exemplar};
use exposition::metric_type::MetricType;
use exposition::number::format_label_float;
use exposition::protobuf::family::HistogramOptions;
use exposition::series::{parse_exemplar_labels, parse_series};
use model::label_set::{Builder, METRIC_NAME};
use model::native_histogram::{NativeHistogram, Span};
use serde::Deserialize;

use crate::cases;
use crate::report::Report;

/// The same page in both formats.
const PAGE: &str = "prometheus-common/expfmt";

#[derive(Deserialize)]
struct FamilyCase {
    id: u32,
    textproto: String,
}

/// Runs the suite.
///
/// # Errors
/// The cases cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let mut families = Report::new("protobuf/families");
    let cases: Vec<FamilyCase> = cases::read(directory, "prometheus/cases/protobuf_families.json")?;
    for case in &cases {
        families.count(format!("family {}", case.id), judge(&case.textproto)?);
    }
    let mut page = Report::new("protobuf/page");
    page.count("protobuf and text say the same", same_page(&directory.join(PAGE))?);
    Ok(vec![families, page])
}

fn judge(textproto: &str) -> Result<Result<(), String>> {
    let family = Text { rest: textproto }.message(None)?;
    let mut bytes = Vec::new();
    encode("MetricFamily", &family, &mut bytes)?;
    let mut body = Vec::new();
    varint(bytes.len() as u64, &mut body);
    body.extend_from_slice(&bytes);
    let histograms = HistogramOptions { native: true, classic: true, convert: false };
    let expected = expected(&family);
    Ok(match found(Format::Protobuf, histograms, &body) {
        Ok(found) if found == expected => Ok(()),
        other => Err(format!("expected {expected:?}, found {other:?}")),
    })
}

fn same_page(folder: &Path) -> Result<Result<(), String>> {
    let bytes = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).with_context(|| format!("read {}", path.display()))
    };
    let samples = |format, body: &[u8]| -> Result<Vec<String>, String> {
        let mut lines = found(format, HistogramOptions::default(), body)?;
        lines.retain(|line| line.starts_with('{'));
        lines.sort();
        Ok(lines)
    };
    let protobuf = samples(Format::Protobuf, &bytes("protobuf")?);
    let text = samples(Format::Text(Dialect::Text), &bytes("text")?);
    Ok(match (protobuf, text) {
        (Ok(protobuf), Ok(text)) if protobuf == text && !text.is_empty() => Ok(()),
        (protobuf, text) => Err(format!("{protobuf:?}\nis not\n{text:?}")),
    })
}

/// Entries of a body, a line each.
fn found(format: Format, histograms: HistogramOptions, body: &[u8]) -> Result<Vec<String>, String> {
    let options = ReadOptions { histograms, start_timestamps: false };
    let mut lines = Vec::new();
    let mut fault = None;
    let done = read(format, options, body, &mut |entry| match show(entry) {
        Ok(line) => lines.push(line),
        Err(error) => fault = Some(error),
    });
    match (done, fault) {
        (Ok(()), None) => Ok(lines),
        (Err(error), _) => Err(error.to_string()),
        (_, Some(error)) => Err(error),
    }
}

fn show(entry: &Entry<'_>) -> Result<String, String> {
    let series = |series: &[u8], metric_type: MetricType| {
        let mut labels = Builder::default();
        let parsed = parse_series(series, metric_type, &mut labels);
        parsed.map(|()| labels.build().to_string()).map_err(|error| error.to_string())
    };
    Ok(match entry {
        Entry::Help { name, help } => format!("help {name} {help}"),
        Entry::Type { name, metric_type } => format!("type {name} {}", metric_type.api_text()),
        Entry::Unit { name, unit } => format!("unit {name} {unit}"),
        Entry::Comment { text } => format!("comment {}", text.escape_ascii()),
        Entry::Sample(sample) => {
            let labels = series(sample.series, sample.metric_type)?;
            let timestamp = sample.timestamp.map(|at| at.0);
            let (value, start) = (sample.value, sample.start.map(|at| at.0));
            let exemplar = sample.exemplar.iter().map(exemplar).collect::<Result<Vec<_>, _>>()?;
            format!("{labels} {value} {timestamp:?} {start:?} {exemplar:?}")
        }
        Entry::Histogram(sample) => {
            let labels = series(sample.series, sample.metric_type)?;
            let timestamp = sample.timestamp.map(|at| at.0);
            let start = sample.start.map(|at| at.0);
            let of = histogram(&sample.histogram);
            let exemplars = sample.exemplars.iter().map(exemplar).collect::<Result<Vec<_>, _>>()?;
            format!("{labels} {of} {timestamp:?} {start:?} {exemplars:?}")
        }
    })
}

fn exemplar(exemplar: &Exemplar<'_>) -> Result<String, String> {
    let mut labels = Builder::default();
    parse_exemplar_labels(exemplar.labels, &mut labels).map_err(|error| error.to_string())?;
    let at = exemplar.timestamp.map(|at| at.0);
    Ok(format!("{} {} {at:?}", labels.build(), exemplar.value))
}

fn histogram(of: &NativeHistogram) -> String {
    let side = |spans: &[Span], buckets: &[f64]| {
        let mut indexed = Vec::new();
        let mut index = 0;
        let mut buckets = buckets.iter();
        for span in spans {
            index += span.offset;
            for count in buckets.by_ref().take(span.length as usize) {
                indexed.push((index, *count));
                index += 1;
            }
        }
        indexed.retain(|(_, count)| *count != 0.0);
        indexed
    };
    format!(
        "native {} {} {} {}/{} {:?} {:?}",
        of.count,
        of.sum,
        of.schema,
        of.zero_threshold,
        of.zero_count,
        side(&of.negative_spans, &of.negative_buckets),
        side(&of.positive_spans, &of.positive_buckets),
    )
}

/// A message in text form: names and values in order.
type Tree = Vec<(String, Node)>;

#[derive(Debug)]
enum Node {
    Word(String),
    Message(Tree),
}

/// The text form of protocol buffers, as far as the cases use it.
struct Text<'a> {
    rest: &'a str,
}

impl Text<'_> {
    fn message(&mut self, close: Option<char>) -> Result<Tree> {
        let mut fields = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with(['>', '}']) {
                if close.is_some_and(|close| !self.rest.starts_with(close)) {
                    bail!("the message does not end: {:?}", self.rest);
                }
                self.rest = self.rest.get(1..).unwrap_or("");
                return Ok(fields);
            }
            let end = self.rest.find([':', '<', '{', ' ']).context("a field has a value")?;
            let name = self.rest[..end].to_owned();
            self.rest = self.rest[end..].trim_start_matches(':').trim_start();
            let node = match self.rest.chars().next() {
                Some('<') => self.nested('>')?,
                Some('{') => self.nested('}')?,
                Some('"') => self.quoted()?,
                _ => {
                    let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
                    let word = self.rest[..end].to_owned();
                    self.rest = &self.rest[end..];
                    Node::Word(word)
                }
            };
            fields.push((name, node));
        }
    }

    fn nested(&mut self, close: char) -> Result<Node> {
        self.rest = &self.rest[1..];
        Ok(Node::Message(self.message(Some(close))?))
    }

    fn quoted(&mut self) -> Result<Node> {
        let end = self.rest[1..].find('"').context("a text ends")? + 1;
        let word = self.rest[1..end].to_owned();
        self.rest = &self.rest[end + 1..];
        Ok(Node::Word(word))
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Unsigned,
    Signed,
    Double,
    Type,
    Of(&'static str),
}

/// Number and kind of a field, from metrics.proto.
fn field_of(message: &str, name: &str) -> Option<(u64, Kind)> {
    use Kind::{Double, Of, Signed, Text, Type, Unsigned};
    Some(match (message, name) {
        ("MetricFamily" | "LabelPair", "name") => (1, Text),
        ("MetricFamily", "help") => (2, Text),
        ("MetricFamily", "type") => (3, Type),
        ("MetricFamily", "metric") => (4, Of("Metric")),
        ("MetricFamily", "unit") => (5, Text),
        ("LabelPair", "value") => (2, Text),
        ("Metric" | "Exemplar", "label") => (1, Of("LabelPair")),
        ("Metric", "gauge") => (2, Of("Simple")),
        ("Metric", "counter") => (3, Of("Simple")),
        ("Metric", "summary") => (4, Of("Summary")),
        ("Metric", "untyped") => (5, Of("Simple")),
        ("Metric", "timestamp_ms") => (6, Unsigned),
        ("Metric", "histogram") => (7, Of("Histogram")),
        ("Simple", "value") => (1, Double),
        ("Simple", "exemplar") => (2, Of("Exemplar")),
        ("Simple", "start_timestamp") => (3, Of("Timestamp")),
        ("Summary" | "Histogram", "sample_count") => (1, Unsigned),
        ("Summary" | "Histogram", "sample_sum") => (2, Double),
        ("Summary", "quantile") => (3, Of("Quantile")),
        ("Summary", "start_timestamp") => (4, Of("Timestamp")),
        ("Quantile", "quantile") => (1, Double),
        ("Quantile" | "Exemplar", "value") => (2, Double),
        ("Histogram", "bucket") => (3, Of("Bucket")),
        ("Histogram", "sample_count_float") => (4, Double),
        ("Histogram", "schema") => (5, Signed),
        ("Histogram", "zero_threshold") => (6, Double),
        ("Histogram", "zero_count") => (7, Unsigned),
        ("Histogram", "zero_count_float") => (8, Double),
        ("Histogram", "negative_span") => (9, Of("BucketSpan")),
        ("Histogram", "negative_delta") => (10, Signed),
        ("Histogram", "negative_count") => (11, Double),
        ("Histogram", "positive_span") => (12, Of("BucketSpan")),
        ("Histogram", "positive_delta") => (13, Signed),
        ("Histogram", "positive_count") => (14, Double),
        ("Histogram", "start_timestamp") => (15, Of("Timestamp")),
        ("Histogram", "exemplars") => (16, Of("Exemplar")),
        ("Bucket", "cumulative_count") => (1, Unsigned),
        ("Bucket", "upper_bound") => (2, Double),
        ("Bucket", "exemplar") => (3, Of("Exemplar")),
        ("BucketSpan", "offset") => (1, Signed),
        ("BucketSpan", "length") => (2, Unsigned),
        ("Exemplar", "timestamp") => (3, Of("Timestamp")),
        ("Timestamp", "seconds") => (1, Unsigned),
        ("Timestamp", "nanos") => (2, Unsigned),
        _ => return None,
    })
}

fn varint(mut value: u64, into: &mut Vec<u8>) {
    while 0x80 <= value {
        into.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    into.push(value.to_le_bytes()[0]);
}

fn encode(message: &str, fields: &Tree, into: &mut Vec<u8>) -> Result<()> {
    for (name, node) in fields {
        let (number, kind) =
            field_of(message, name).with_context(|| format!("no field {name} of {message}"))?;
        let mut delimited = |bytes: &[u8]| {
            varint(number << 3 | 2, into);
            varint(bytes.len() as u64, into);
            into.extend_from_slice(bytes);
        };
        match (kind, node) {
            (Kind::Text, Node::Word(word)) => delimited(word.as_bytes()),
            (Kind::Of(message), Node::Message(fields)) => {
                let mut bytes = Vec::new();
                encode(message, fields, &mut bytes)?;
                delimited(&bytes);
            }
            (Kind::Unsigned, Node::Word(word)) => {
                varint(number << 3, into);
                varint(word.parse()?, into);
            }
            (Kind::Signed, Node::Word(word)) => {
                let value: i64 = word.parse()?;
                varint(number << 3, into);
                varint(((value << 1) ^ (value >> 63)).cast_unsigned(), into);
            }
            (Kind::Double, Node::Word(word)) => {
                varint(number << 3 | 1, into);
                into.extend_from_slice(&word.parse::<f64>()?.to_le_bytes());
            }
            (Kind::Type, Node::Word(word)) => {
                let types =
                    ["COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM"];
                let at = types.iter().position(|known| known == word).context("a known type")?;
                varint(number << 3, into);
                varint(at as u64, into);
            }
            _ => bail!("field {name} of {message} has another form"),
        }
    }
    Ok(())
}

fn words<'a>(tree: &'a Tree, wanted: &str) -> Vec<&'a str> {
    let found = tree.iter().filter(|(name, _)| name == wanted);
    found
        .filter_map(
            |(_, node)| if let Node::Word(word) = node { Some(word.as_str()) } else { None },
        )
        .collect()
}

fn word<'a>(tree: &'a Tree, wanted: &str) -> &'a str {
    words(tree, wanted).last().copied().unwrap_or("")
}

fn number(tree: &Tree, wanted: &str) -> f64 {
    word(tree, wanted).parse().unwrap_or(0.0)
}

fn trees<'a>(tree: &'a Tree, wanted: &str) -> Vec<&'a Tree> {
    let found = tree.iter().filter(|(name, _)| name == wanted);
    found
        .filter_map(|(_, node)| if let Node::Message(tree) = node { Some(tree) } else { None })
        .collect()
}

fn time(tree: &Tree, wanted: &str) -> Option<i64> {
    let time = trees(tree, wanted).last().copied()?;
    let part = |name| word(time, name).parse::<i64>().unwrap_or(0);
    Some(part("seconds") * 1000 + part("nanos") / 1_000_000)
}

fn labels_of(tree: &Tree, more: &[(&str, &str)]) -> String {
    let mut labels = Builder::default();
    for label in trees(tree, "label") {
        labels.set(word(label, "name"), word(label, "value"));
    }
    for (name, value) in more {
        labels.set(name, value);
    }
    labels.build().to_string()
}

fn exemplar_of(tree: &Tree) -> String {
    format!("{} {} {:?}", labels_of(tree, &[]), number(tree, "value"), time(tree, "timestamp"))
}

/// What a family must become.
fn expected(family: &Tree) -> Vec<String> {
    let name = word(family, "name");
    let metric_type = word(family, "type").to_lowercase();
    let api_type = metric_type.replace("untyped", "unknown").replace('_', "");
    let mut lines = vec![format!("help {name} {}", word(family, "help"))];
    if !word(family, "unit").is_empty() {
        lines.push(format!("unit {name} {}", word(family, "unit")));
    }
    lines.push(format!("type {name} {api_type}"));
    for metric in trees(family, "metric") {
        let at = word(metric, "timestamp_ms").parse::<i64>().ok();
        let field = if metric_type.ends_with("histogram") { "histogram" } else { &metric_type };
        let value = trees(metric, field)[0];
        let start = time(value, "start_timestamp");
        let line = |suffix: &str, label: &[(&str, &str)], value: f64, own: &[String]| {
            let name = format!("{name}{suffix}");
            let labels = labels_of(metric, &[label, &[(METRIC_NAME, &name)]].concat());
            format!("{labels} {value} {at:?} {start:?} {own:?}")
        };
        let exemplars = |tree: &Tree| -> Vec<String> {
            trees(tree, "exemplar").into_iter().map(exemplar_of).collect()
        };
        match field {
            "summary" => {
                lines.push(line("_count", &[], number(value, "sample_count"), &[]));
                lines.push(line("_sum", &[], number(value, "sample_sum"), &[]));
                for quantile in trees(value, "quantile") {
                    let text = format_label_float(number(quantile, "quantile"));
                    lines.push(line("", &[("quantile", &text)], number(quantile, "value"), &[]));
                }
            }
            "histogram" => {
                let native = is_native(value);
                if native {
                    let labels = labels_of(metric, &[(METRIC_NAME, name)]);
                    let (of, own) = native_of(value);
                    lines.push(format!("{labels} {of} {at:?} {start:?} {own:?}"));
                }
                if !native || !trees(value, "bucket").is_empty() {
                    let count = number(value, "sample_count");
                    lines.push(line("_count", &[], count, &[]));
                    lines.push(line("_sum", &[], number(value, "sample_sum"), &[]));
                    for bucket in trees(value, "bucket") {
                        let le = format_label_float(number(bucket, "upper_bound"));
                        let upto = number(bucket, "cumulative_count");
                        lines.push(line("_bucket", &[("le", &le)], upto, &exemplars(bucket)));
                    }
                    lines.push(line("_bucket", &[("le", "+Inf")], count, &[]));
                }
            }
            _ => lines.push(line("", &[], number(value, "value"), &exemplars(value))),
        }
    }
    lines
}

fn is_native(histogram: &Tree) -> bool {
    let spans = trees(histogram, "positive_span").len() + trees(histogram, "negative_span").len();
    0 < spans || 0.0 < number(histogram, "zero_threshold") || 0.0 < number(histogram, "zero_count")
}

fn native_of(value: &Tree) -> (String, Vec<String>) {
    let floats = 0.0 < number(value, "sample_count_float");
    let side = |sign: &str| {
        let spans: Vec<Span> = trees(value, &format!("{sign}_span"))
            .into_iter()
            .map(|span| Span {
                offset: word(span, "offset").parse().unwrap_or(0),
                length: word(span, "length").parse().unwrap_or(0),
            })
            .collect();
        let of = |kind: &str| -> Vec<f64> {
            let name = format!("{sign}_{kind}");
            words(value, &name).iter().map(|word| word.parse().unwrap_or(0.0)).collect()
        };
        let summed = of("delta").into_iter().scan(0.0, |sum, delta| {
            *sum += delta;
            Some(*sum)
        });
        (spans, if floats { of("count") } else { summed.collect() })
    };
    let (positive_spans, positive_buckets) = side("positive");
    let (negative_spans, negative_buckets) = side("negative");
    let named = if floats { "_float" } else { "" };
    let of = NativeHistogram {
        schema: word(value, "schema").parse().unwrap_or(0),
        count: number(value, &format!("sample_count{named}")),
        sum: number(value, "sample_sum"),
        zero_threshold: number(value, "zero_threshold"),
        zero_count: number(value, &format!("zero_count{named}")),
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..NativeHistogram::default()
    };
    let mut own = trees(value, "exemplars");
    if own.is_empty() {
        let buckets = trees(value, "bucket");
        own = buckets.into_iter().flat_map(|bucket| trees(bucket, "exemplar")).collect();
    }
    own.retain(|exemplar| time(exemplar, "timestamp").is_some());
    own.sort_by_key(|exemplar| time(exemplar, "timestamp"));
    (histogram(&of), own.into_iter().map(exemplar_of).collect())
}
