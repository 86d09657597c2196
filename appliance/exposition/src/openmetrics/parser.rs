//! The general parser of OpenMetrics text, as Prometheus's scrapes understand it.
//!
//! Path: body → **parser** → entries; `series` gives the labels of a series text.
//! Never: keeps anything of the body but, when asked for start timestamps, those of one family.
//!
//! As upstream: families may come in any order and repeat, values and labels need not fit the
//! type, a comma may stand behind the last label. What the specification forbids besides is
//! `strict`'s. Other than upstream: labels of exemplars are unescaped.

use std::collections::BTreeMap;
use std::hash::Hasher;

use model::time::TimestampMs;
use xxhash_rust::xxh3::Xxh3;

use crate::entry::{Entry, Exemplar, Sample};
use crate::error::TextError;
use crate::metric_type::MetricType;
use crate::number::milliseconds;
use crate::openmetrics::lexer::Lexer;
use crate::series::{
    ExemplarParts, LabelBytes, NoParts, excerpt, label_list, series_parts, unescape, unescape_name,
    unexpected, value,
};
use crate::token::{Token, Tokens};

/// Ending of the series whose value is a start timestamp.
const CREATED: &[u8] = b"_created";

/// Entries of a body in order. After an error it is at its end; without `# EOF` there is an error.
#[derive(Clone, Debug)]
pub struct OpenMetricsParser<'a> {
    lexer: Lexer<'a>,
    metric_type: MetricType,
    failed: bool,
    /// Start timestamps of the family at hand, when they are asked for.
    starts: Option<Starts>,
}

/// Start timestamps of a family by hash of name and labels.
#[derive(Clone, Debug, Default)]
struct Starts {
    by_series: BTreeMap<u64, TimestampMs>,
    /// Whether they are those of the family at hand.
    read: bool,
}

impl<'a> OpenMetricsParser<'a> {
    /// Entries of `body`; series that end in `_created` are samples like others.
    #[must_use]
    pub fn new(body: &'a [u8]) -> OpenMetricsParser<'a> {
        OpenMetricsParser::resume(body, 0, MetricType::Unknown)
    }

    /// Entries of `body`. Below a type that counts, series that end in `_created` are no samples:
    /// their values are the start timestamps of the family's other samples.
    #[must_use]
    pub fn with_start_timestamps(body: &'a [u8]) -> OpenMetricsParser<'a> {
        let starts = Some(Starts::default());
        OpenMetricsParser { starts, ..OpenMetricsParser::new(body) }
    }

    /// Entries of `body` from byte `at` on, where a line begins below a `# TYPE` of `metric_type`;
    /// series that end in `_created` are samples like others.
    #[must_use]
    pub fn resume(body: &'a [u8], at: usize, metric_type: MetricType) -> OpenMetricsParser<'a> {
        let lexer = Lexer::new(body, at.min(body.len()));
        OpenMetricsParser { lexer, metric_type, failed: false, starts: None }
    }

    /// Byte behind the last entry and its line end.
    #[must_use]
    pub fn position(&self) -> usize {
        self.lexer.at()
    }

    /// Type that the last `# TYPE` line declared.
    #[must_use]
    pub fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    fn entry(&mut self) -> Result<Option<Entry<'a>>, TextError> {
        loop {
            match self.lexer.next_token() {
                Token::EndWord if self.lexer.at() == self.lexer.text().len() => return Ok(None),
                Token::EndWord => {
                    return Err(self.refused(self.lexer.at(), "unexpected data after # EOF"));
                }
                Token::End => return Err(self.cut_short()),
                meta @ (Token::Help | Token::Type | Token::Unit) => {
                    return self.meta(meta).map(Some);
                }
                open @ (Token::BraceOpen | Token::MetricName) => {
                    if let Some(sample) = self.sample(open)? {
                        return Ok(Some(Entry::Sample(sample)));
                    }
                }
                other => {
                    return Err(unexpected(&self.lexer, "expected a valid start token", other));
                }
            }
        }
    }

    fn meta(&mut self, meta: Token) -> Result<Entry<'a>, TextError> {
        if let Some(starts) = &mut self.starts {
            starts.read = false;
        }
        let token = self.lexer.next_token();
        if token != Token::MetricName {
            let wanted = format!("expected metric name after {}", meta.word());
            return Err(unexpected(&self.lexer, &wanted, token));
        }
        let name = unescape_name(self.lexer.token_text());
        let token = self.lexer.next_token();
        if token != Token::Text {
            return Err(
                self.refused(self.lexer.start(), format!("expected text in {}", meta.word()))
            );
        }
        let start = self.lexer.start();
        let text = &self.lexer.token_text()[..self.lexer.at() - start - 1];
        if meta == Token::Type {
            let Some(metric_type) = MetricType::from_openmetrics(text) else {
                return Err(self.refused(start, format!("invalid metric type {}", excerpt(text))));
            };
            self.metric_type = metric_type;
            return Ok(Entry::Type { name, metric_type });
        }
        let what = if meta == Token::Help { "help" } else { "unit" };
        let Ok(text) = std::str::from_utf8(text) else {
            let reason = format!("{what} text {} is not a valid utf8 string", excerpt(text));
            return Err(self.refused(start, reason));
        };
        if meta == Token::Help {
            return Ok(Entry::Help { name, help: unescape(text, true) });
        }
        let stem = name.strip_suffix(text).unwrap_or("");
        if !text.is_empty() && !stem.ends_with('_') {
            let reason = format!("unit {text:?} not a suffix of metric {name:?}");
            return Err(self.refused(start, reason));
        }
        Ok(Entry::Unit { name, unit: text.into() })
    }

    /// The sample whose first token is `opening`; `None` where it is a start timestamp.
    fn sample(&mut self, opening: Token) -> Result<Option<Sample<'a>>, TextError> {
        let series_start = self.lexer.start();
        if self.starts.is_some() && self.metric_type.counts() {
            let start = self.start_of(series_start);
            return match start {
                Series::Created => self.rest(opening, series_start).map(|_| None),
                Series::Counted(start) => {
                    self.rest(opening, series_start).map(|sample| Some(Sample { start, ..sample }))
                }
            };
        }
        self.rest(opening, series_start).map(Some)
    }

    fn rest(&mut self, opening: Token, series_start: usize) -> Result<Sample<'a>, TextError> {
        let (series_end, token) = series_parts(&mut self.lexer, opening, &mut NoParts)?;
        if token != Token::Value {
            return Err(unexpected(&self.lexer, "expected value after metric", token));
        }
        let value_start = self.lexer.start();
        let value = value(&self.lexer)?;
        let mut token = self.lexer.next_token();
        let mut timestamp = None;
        let mut wanted = "expected timestamp or new record";
        if token == Token::Timestamp {
            timestamp = Some(self.timestamp("timestamp")?);
            token = self.lexer.next_token();
            wanted = "expected next entry after timestamp";
        }
        let exemplar = match token {
            Token::Linebreak => None,
            Token::Comment => Some(self.exemplar()?),
            Token::End => return Err(self.cut_short()),
            other => return Err(unexpected(&self.lexer, wanted, other)),
        };
        Ok(Sample {
            series: &self.lexer.text()[series_start..series_end],
            series_start,
            value_start,
            value,
            timestamp,
            metric_type: self.metric_type,
            exemplar,
            start: None,
        })
    }

    /// The exemplar behind whose opening brace the lexer stands.
    fn exemplar(&mut self) -> Result<Exemplar<'a>, TextError> {
        let labels_start = self.lexer.at() - 1;
        let mut parts = ExemplarParts { text: self.lexer.text() };
        label_list(&mut self.lexer, &mut false, &mut parts)?;
        let labels = &self.lexer.text()[labels_start..self.lexer.at()];
        let token = self.lexer.next_token();
        if token != Token::Value {
            return Err(unexpected(&self.lexer, "expected value after exemplar labels", token));
        }
        let value = value(&self.lexer)?;
        let mut token = self.lexer.next_token();
        let mut timestamp = None;
        let mut wanted = "expected timestamp or comment";
        if token == Token::Timestamp {
            timestamp = Some(self.timestamp("exemplar timestamp")?);
            token = self.lexer.next_token();
            wanted = "expected next entry after exemplar timestamp";
        }
        match token {
            Token::Linebreak => Ok(Exemplar { labels, labels_start, value, timestamp }),
            Token::End => Err(self.cut_short()),
            other => Err(unexpected(&self.lexer, wanted, other)),
        }
    }

    /// The newest token as seconds.
    fn timestamp(&self, what: &str) -> Result<TimestampMs, TextError> {
        let seconds = value(&self.lexer)?;
        if !seconds.is_finite() {
            let reason = format!("invalid {what} {seconds}");
            return Err(self.refused(self.lexer.start(), reason));
        }
        Ok(TimestampMs(milliseconds(seconds)))
    }

    fn refused(&self, at: usize, reason: impl Into<String>) -> TextError {
        TextError::at(self.lexer.text(), at, reason.into())
    }

    fn cut_short(&self) -> TextError {
        self.refused(self.lexer.text().len(), "data does not end with # EOF")
    }

    /// What the series at `series_start` is to the start timestamps of its family, which are read
    /// ahead once a family.
    fn start_of(&mut self, series_start: usize) -> Series {
        let (text, metric_type) = (self.lexer.text(), self.metric_type);
        let Some(starts) = &mut self.starts else { return Series::Counted(None) };
        if !starts.read {
            starts.read = true;
            starts.by_series.clear();
            let ahead = OpenMetricsParser::resume(text, series_start, metric_type);
            let samples = ahead.map_while(|entry| match entry {
                Ok(Entry::Sample(sample)) => Some(sample),
                _ => None,
            });
            for sample in samples {
                if let Some((key, true)) = series_key(sample.series, metric_type) {
                    let start = TimestampMs(milliseconds(sample.value));
                    starts.by_series.entry(key).or_insert(start);
                }
            }
        }
        let mut lexer = Lexer::new(text, series_start);
        let opening = lexer.next_token();
        match series_parts(&mut lexer, opening, &mut NoParts) {
            Ok((end, _)) => match series_key(&text[series_start..end], metric_type) {
                Some((_, true)) => Series::Created,
                Some((key, false)) => Series::Counted(starts.by_series.get(&key).copied()),
                None => Series::Counted(None),
            },
            Err(_) => Series::Counted(None),
        }
    }
}

/// What a series is to the start timestamps of its family.
enum Series {
    /// It is one.
    Created,
    /// It has this one.
    Counted(Option<TimestampMs>),
}

/// A hash that the series of one histogram, summary or counter share, and whether the series is
/// their start timestamp.
fn series_key(series: &[u8], metric_type: MetricType) -> Option<(u64, bool)> {
    let mut parts = LabelBytes { text: series, name: &[], labels: Vec::new() };
    let mut lexer = Lexer::new(series, 0);
    let opening = lexer.next_token();
    series_parts(&mut lexer, opening, &mut parts).ok()?;
    let stem = parts.name.strip_suffix(CREATED);
    let name = stem.unwrap_or_else(|| metric_type.stem(parts.name));
    parts.labels.retain(|(label, _)| metric_type.float_label().map(str::as_bytes) != Some(*label));
    parts.labels.sort_unstable();
    let mut hasher = Xxh3::new();
    for text in std::iter::once(name).chain(parts.labels.iter().flat_map(|(n, v)| [*n, *v])) {
        hasher.write_usize(text.len());
        hasher.update(text);
    }
    Some((hasher.digest(), stem.is_some()))
}

impl<'a> Iterator for OpenMetricsParser<'a> {
    type Item = Result<Entry<'a>, TextError>;

    fn next(&mut self) -> Option<Result<Entry<'a>, TextError>> {
        if self.failed {
            return None;
        }
        let entry = self.entry().transpose();
        self.failed = !matches!(entry, Some(Ok(_)));
        entry
    }
}

#[cfg(test)]
mod tests {
    use model::label_set::Builder;

    use super::*;
    use crate::series::{parse_exemplar_labels, parse_series};

    fn exemplar(exemplar: &Exemplar<'_>) -> String {
        let mut labels = Builder::default();
        parse_exemplar_labels(exemplar.labels, &mut labels).expect("labels");
        let at = exemplar.timestamp.map_or(String::new(), |at| format!(" @{at}"));
        format!(" # {} {}{at}", labels.build(), exemplar.value)
    }

    fn line(entry: Result<Entry<'_>, TextError>) -> String {
        match entry {
            Ok(Entry::Help { name, help }) => format!("help {name} {help:?}"),
            Ok(Entry::Type { name, metric_type }) => format!("type {name} {metric_type:?}"),
            Ok(Entry::Unit { name, unit }) => format!("unit {name} {unit}"),
            Ok(Entry::Sample(sample)) => {
                let mut labels = Builder::default();
                parse_series(sample.series, sample.metric_type, &mut labels).expect("a series");
                let at = sample.timestamp.map_or(String::new(), |at| format!(" @{at}"));
                let since = sample.start.map_or(String::new(), |at| format!(" since {at}"));
                let exemplar = sample.exemplar.as_ref().map_or(String::new(), exemplar);
                format!("{} {}{at}{since}{exemplar}", labels.build(), sample.value)
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => format!("error {error}"),
        }
    }

    #[track_caller]
    fn check(body: &str, expected: &[&str]) {
        let body = format!("{body}\n# EOF\n");
        let lines: Vec<String> = OpenMetricsParser::new(body.as_bytes()).map(line).collect();
        assert_eq!(lines, expected, "{body:?}");
    }

    #[track_caller]
    fn check_starts(body: &str, expected: &[&str]) {
        let body = format!("{body}\n# EOF");
        let parser = OpenMetricsParser::with_start_timestamps(body.as_bytes());
        let lines: Vec<String> = parser.map(line).collect();
        assert_eq!(lines, expected, "{body:?}");
    }

    #[test]
    fn samples_with_timestamps_and_exemplars() {
        check("a{} 1", &[r#"{__name__="a"} 1"#]);
        check(r#"{"a.b",c="\"",} -1.5 2.5"#, &[r#"{__name__="a.b", c="\""} -1.5 @2500"#]);
        check(
            r#"a 1 2 # {b="\\",c="d"} 0.5 1520879607.789"#,
            &[r#"{__name__="a"} 1 @2000 # {b="\\", c="d"} 0.5 @1520879607789"#],
        );
        check("a 1 # {} 2", &[r#"{__name__="a"} 1 # {} 2"#]);
    }

    #[test]
    fn metadata_has_the_types_and_units_of_the_format() {
        check(
            "# TYPE a_s gaugehistogram\n# UNIT a_s s\n# HELP \"b.c\" x\\\"\\n",
            &["type a_s GaugeHistogram", "unit a_s s", "help b.c \"x\\\"\\n\""],
        );
        check("# TYPE a untyped", &["error 1:10: invalid metric type \"untyped\""]);
        check("# UNIT as s", &["error 1:11: unit \"s\" not a suffix of metric \"as\""]);
        check("# UNIT s s", &["error 1:10: unit \"s\" not a suffix of metric \"s\""]);
    }

    #[test]
    fn start_timestamps_come_with_the_samples_that_they_belong_to() {
        check_starts(
            "# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 1\nh_created{a=\"1\"} 2\n\
             h_count{a=\"1\"} 3\nh_count{a=\"2\"} 4",
            &[
                "type h Histogram",
                r#"{__name__="h_bucket", a="1", le="1.0"} 1 since 2000"#,
                r#"{__name__="h_count", a="1"} 3 since 2000"#,
                r#"{__name__="h_count", a="2"} 4"#,
            ],
        );
        check_starts(
            "# TYPE g gauge\ng_created 1",
            &["type g Gauge", r#"{__name__="g_created"} 1"#],
        );
        check("# TYPE c counter\nc_created 1", &["type c Counter", r#"{__name__="c_created"} 1"#]);
    }

    #[test]
    fn faults_name_their_place() {
        check("a  1", &["error 1:2: expected value after metric, got \" \" (\"INVALID\")"]);
        check("a 1 NaN", &["error 1:5: invalid timestamp NaN"]);
        check(
            "a 1\n\nb 2",
            &[
                r#"{__name__="a"} 1"#,
                "error 2:1: expected a valid start token, got \"\\n\" (\"INVALID\")",
            ],
        );
        let parser = OpenMetricsParser::new(b"a 1\n");
        let lines: Vec<String> = parser.map(line).collect();
        assert_eq!(lines, [r#"{__name__="a"} 1"#, "error 2:1: data does not end with # EOF"]);
        let mut parser = OpenMetricsParser::new(b"# EOF\na 1\n");
        assert_eq!(
            parser.next().map(line).as_deref(),
            Some("error 2:1: unexpected data after # EOF")
        );
        assert_eq!(parser.next(), None);
    }
}
