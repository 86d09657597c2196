//! The general parser of text format 0.0.4, as Prometheus's scrapes understand it.
//!
//! Path: body → **text** → entries; `parse_series` gives the labels of a series text.
//! Never: keeps anything of the body, guesses where upstream refuses.
//!
//! As upstream: a missing line end at the end of the body, a missing comma between labels and line
//! ends within label values are accepted; CRLF, values beyond the largest double, hexadecimal
//! floats, negative timestamps and text that is not UTF-8 in help and label values are refused.
//! Other than upstream: blanks before a series are no part of its name.

use std::borrow::Cow;
use std::ops::Range;

use model::label_set::{Builder, METRIC_NAME};
use model::time::TimestampMs;

use crate::error::TextError;
use crate::lexer::{Lexer, Token};
use crate::metric_type::MetricType;
use crate::number;

/// Bytes of the text that an error repeats.
const EXCERPT_BYTES_MAX: usize = 64;

/// One entry of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// `# HELP name help`, both unescaped.
    Help {
        /// Name of the family.
        name: Cow<'a, str>,
        /// What it says of itself.
        help: Cow<'a, str>,
    },
    /// `# TYPE name type`.
    Type {
        /// Name of the family.
        name: Cow<'a, str>,
        /// Its type.
        metric_type: MetricType,
    },
    /// Any other line that begins with `#`, without its end.
    Comment {
        /// From `#` on.
        text: &'a [u8],
    },
    /// A sample.
    Sample(Sample<'a>),
}

/// One sample line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Name and labels as they stand in the body: `name{labels}`; read by [`parse_series`].
    pub series: &'a [u8],
    /// Where `series` begins in the body.
    pub series_start: usize,
    /// Where the text of the value begins in the body.
    pub value_start: usize,
    /// The value; every `NaN` is the ordinary one.
    pub value: f64,
    /// Explicit timestamp.
    pub timestamp: Option<TimestampMs>,
    /// Type that the last `# TYPE` line above declared, whatever name it had; [`parse_series`]
    /// wants it.
    pub metric_type: MetricType,
}

/// Entries of a body in order. After an error it is at its end.
#[derive(Clone, Debug)]
pub struct TextParser<'a> {
    lexer: Lexer<'a>,
    metric_type: MetricType,
    failed: bool,
}

impl<'a> TextParser<'a> {
    /// Entries of `body`.
    #[must_use]
    pub fn new(body: &'a [u8]) -> TextParser<'a> {
        TextParser::resume(body, 0, MetricType::Unknown)
    }

    /// Entries of `body` from byte `at` on, where a line begins below a `# TYPE` of `metric_type`.
    #[must_use]
    pub fn resume(body: &'a [u8], at: usize, metric_type: MetricType) -> TextParser<'a> {
        TextParser { lexer: Lexer::new(body, at.min(body.len())), metric_type, failed: false }
    }

    /// Byte behind the last entry and its line end.
    #[must_use]
    pub fn position(&self) -> usize {
        self.lexer.at
    }

    /// Type that the last `# TYPE` line declared.
    #[must_use]
    pub fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    fn entry(&mut self) -> Result<Option<Entry<'a>>, TextError> {
        loop {
            match self.lexer.next_token() {
                Token::End => return Ok(None),
                Token::Linebreak => {}
                meta @ (Token::Help | Token::Type) => return self.meta(meta).map(Some),
                Token::Comment => return self.comment().map(Some),
                open @ (Token::BraceOpen | Token::MetricName) => {
                    return self.sample(open).map(Some);
                }
                other => {
                    return Err(unexpected(&self.lexer, "expected a valid start token", other));
                }
            }
        }
    }

    fn meta(&mut self, meta: Token) -> Result<Entry<'a>, TextError> {
        let token = self.lexer.next_token();
        if token != Token::MetricName {
            let wanted = format!("expected metric name after {}", meta.word());
            return Err(unexpected(&self.lexer, &wanted, token));
        }
        let name = unescape_name(self.lexer.token_text());
        let token = self.lexer.next_token();
        assert_eq!(token, Token::Text, "the rest of the line is text, whatever stands there");
        let start = self.lexer.start;
        let text = meta_text(self.lexer.token_text());
        let refused = |reason| Err(TextError::at(self.lexer.text, start, reason));
        let entry = if meta == Token::Type {
            let Some(metric_type) = MetricType::from_text(text) else {
                return refused(format!("invalid metric type {}", excerpt(text)));
            };
            self.metric_type = metric_type;
            Entry::Type { name, metric_type }
        } else {
            let Ok(help) = std::str::from_utf8(text) else {
                return refused(format!("help text {} is not a valid utf8 string", excerpt(text)));
            };
            Entry::Help { name, help: unescape(help, false) }
        };
        self.linebreak("linebreak expected after metadata")?;
        Ok(entry)
    }

    fn comment(&mut self) -> Result<Entry<'a>, TextError> {
        let text = self.lexer.token_text();
        self.linebreak("linebreak expected after comment")?;
        Ok(Entry::Comment { text })
    }

    fn linebreak(&mut self, wanted: &str) -> Result<(), TextError> {
        match self.lexer.next_token() {
            Token::Linebreak => Ok(()),
            other => Err(unexpected(&self.lexer, wanted, other)),
        }
    }

    fn sample(&mut self, opening: Token) -> Result<Entry<'a>, TextError> {
        let series_start = self.lexer.start;
        let (series_end, token) = series_parts(&mut self.lexer, opening, &mut NoParts)?;
        if token != Token::Value {
            return Err(unexpected(&self.lexer, "expected value after metric", token));
        }
        let value_start = self.lexer.start;
        let value = value(&self.lexer)?;
        let timestamp = match self.lexer.next_token() {
            Token::Linebreak => None,
            Token::Timestamp => {
                let timestamp = timestamp(&self.lexer)?;
                self.linebreak("expected next entry after timestamp")?;
                Some(timestamp)
            }
            other => {
                return Err(unexpected(&self.lexer, "expected timestamp or new record", other));
            }
        };
        Ok(Entry::Sample(Sample {
            series: &self.lexer.text[series_start..series_end],
            series_start,
            value_start,
            value,
            timestamp,
            metric_type: self.metric_type,
        }))
    }
}

impl<'a> Iterator for TextParser<'a> {
    type Item = Result<Entry<'a>, TextError>;

    fn next(&mut self) -> Option<Result<Entry<'a>, TextError>> {
        if self.failed {
            return None;
        }
        let entry = self.entry().transpose();
        self.failed = matches!(entry, Some(Err(_)));
        entry
    }
}

/// Puts name and labels of a series text, unescaped, into `into`. `metric_type` is the sample's:
/// the `le` of histograms and the `quantile` of summaries get float form (`1` becomes `1.0`).
///
/// # Errors
/// A text that is not one series, a name that is not UTF-8 or empty, a label name that occurs
/// twice; `into` is then as it was.
pub fn parse_series(
    series: &[u8],
    metric_type: MetricType,
    into: &mut Builder,
) -> Result<(), TextError> {
    let mut lexer = Lexer::new(series, 0);
    let opening = lexer.next_token();
    if !matches!(opening, Token::MetricName | Token::BraceOpen) {
        return Err(unexpected(&lexer, "expected a valid start token", opening));
    }
    let mut parts = LabelParts { series, labels: Vec::new() };
    let (end, _) = series_parts(&mut lexer, opening, &mut parts)?;
    if end != series.len() {
        let behind = excerpt(&series[end..]);
        return Err(TextError::at(series, end, format!("expected end of series, got {behind}")));
    }
    // Sorted first, so that neither the search for duplicates nor the builder is quadratic in the
    // number of labels, which no limit has seen yet.
    let mut labels = parts.labels;
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some([_, again]) = labels.array_windows().find(|[a, b]| a.name == b.name) {
        let name = excerpt(again.name.as_bytes());
        let reason = format!("label name {name} is not unique: invalid sample");
        return Err(TextError::at(series, again.at, reason));
    }
    for Label { name, value, .. } in &labels {
        let float = metric_type.float_label() == Some(name);
        match number::parse(value.as_bytes()) {
            Ok(value) if float => into.set(name, &number::format_label_float(value)),
            _ => into.set(name, value),
        };
    }
    Ok(())
}

/// What is done with the parts of a series, given as places in the text.
trait Parts {
    fn metric_name(&mut self, name: Range<usize>) -> Result<(), TextError>;
    fn label(&mut self, name: Range<usize>, value: Range<usize>) -> Result<(), TextError>;
}

/// Only the extent of the series is wanted.
struct NoParts;

impl Parts for NoParts {
    fn metric_name(&mut self, _: Range<usize>) -> Result<(), TextError> {
        Ok(())
    }

    fn label(&mut self, _: Range<usize>, _: Range<usize>) -> Result<(), TextError> {
        Ok(())
    }
}

/// The labels of a series, the metric name among them, unescaped.
struct LabelParts<'a> {
    series: &'a [u8],
    labels: Vec<Label<'a>>,
}

struct Label<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    /// Where in the series text the name stands.
    at: usize,
}

impl<'a> LabelParts<'a> {
    fn text(&self, range: Range<usize>) -> Result<Cow<'a, str>, TextError> {
        let at = range.start;
        match std::str::from_utf8(&self.series[range]) {
            Ok(text) => Ok(unescape(text, true)),
            Err(_) => Err(self.invalid(at)),
        }
    }

    fn invalid(&self, at: usize) -> TextError {
        let series = excerpt(self.series);
        TextError::at(self.series, at, format!("invalid metric name or label names: {series}"))
    }
}

impl Parts for LabelParts<'_> {
    fn metric_name(&mut self, name: Range<usize>) -> Result<(), TextError> {
        let at = name.start;
        let value = self.text(name)?;
        if value.is_empty() {
            return Err(self.invalid(at));
        }
        self.labels.push(Label { name: METRIC_NAME.into(), value, at });
        Ok(())
    }

    fn label(&mut self, name: Range<usize>, value: Range<usize>) -> Result<(), TextError> {
        let at = name.start;
        let name = self.text(name)?;
        if name.is_empty() {
            return Err(self.invalid(at));
        }
        let value = self.text(value)?;
        self.labels.push(Label { name, value, at });
        Ok(())
    }
}

/// Reads a series whose first token is `opening`. Gives where it ends and the token behind it.
fn series_parts(
    lexer: &mut Lexer<'_>,
    opening: Token,
    parts: &mut impl Parts,
) -> Result<(usize, Token), TextError> {
    let start = lexer.start;
    let mut named = opening == Token::MetricName;
    let mut end = lexer.at;
    let mut braces = opening == Token::BraceOpen;
    let mut behind = Token::BraceOpen;
    if named {
        parts.metric_name(start..end)?;
        behind = lexer.next_token();
        braces = behind == Token::BraceOpen;
    }
    if braces {
        label_list(lexer, &mut named, parts)?;
        end = lexer.at;
        behind = lexer.next_token();
    }
    if named {
        return Ok((end, behind));
    }
    Err(TextError::at(lexer.text, start, "metric name not set".to_owned()))
}

/// Reads labels up to the closing brace, behind the opening one.
fn label_list(
    lexer: &mut Lexer<'_>,
    named: &mut bool,
    parts: &mut impl Parts,
) -> Result<(), TextError> {
    let mut token = lexer.next_token();
    loop {
        let name = match token {
            Token::BraceClose => return Ok(()),
            Token::LabelName => lexer.start..lexer.at,
            Token::QuotedString => lexer.start + 1..lexer.at - 1,
            other => return Err(unexpected(lexer, "expected label name", other)),
        };
        let quoted = token == Token::QuotedString;
        token = lexer.next_token();
        if quoted && matches!(token, Token::Comma | Token::BraceClose) {
            if *named {
                let reason = "metric name already set".to_owned();
                return Err(TextError::at(lexer.text, name.start, reason));
            }
            *named = true;
            parts.metric_name(name)?;
            if token == Token::BraceClose {
                return Ok(());
            }
            token = lexer.next_token();
            continue;
        }
        if token != Token::Equal {
            return Err(unexpected(lexer, "expected equal", token));
        }
        parts.label(name, label_value(lexer)?)?;
        token = lexer.next_token();
        // The comma may stand behind the last label, and may be missing, as upstream has it.
        if token == Token::Comma {
            token = lexer.next_token();
        }
    }
}

fn label_value(lexer: &mut Lexer<'_>) -> Result<Range<usize>, TextError> {
    match lexer.next_token() {
        Token::LabelValue if std::str::from_utf8(lexer.token_text()).is_err() => {
            let reason = format!("invalid UTF-8 label value: {}", excerpt(lexer.token_text()));
            Err(TextError::at(lexer.text, lexer.start, reason))
        }
        Token::LabelValue => Ok(lexer.start + 1..lexer.at - 1),
        other => Err(unexpected(lexer, "expected label value", other)),
    }
}

fn value(lexer: &Lexer<'_>) -> Result<f64, TextError> {
    let text = lexer.token_text();
    number::parse(text).map_err(|error| {
        let reason = match error {
            number::NumberError::Unsupported => error.to_string(),
            _ => format!("strconv.ParseFloat: parsing {}: {error}", excerpt(text)),
        };
        TextError::at(lexer.text, lexer.start, reason)
    })
}

fn timestamp(lexer: &Lexer<'_>) -> Result<TimestampMs, TextError> {
    let text = lexer.token_text();
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    parsed.map(TimestampMs).ok_or_else(|| {
        let reason = format!("strconv.ParseInt: parsing {}: value out of range", excerpt(text));
        TextError::at(lexer.text, lexer.start, reason)
    })
}

fn unexpected(lexer: &Lexer<'_>, wanted: &str, got: Token) -> TextError {
    let end = (lexer.at + 1).min(lexer.text.len()).min(lexer.start + EXCERPT_BYTES_MAX + 1);
    let mut text = lexer.text[lexer.start..end].to_vec();
    if lexer.text.len() <= lexer.at {
        text.push(b'\n');
    }
    let reason = format!("{wanted}, got {} (\"{}\")", excerpt(&text), got.word());
    TextError::at(lexer.text, lexer.start, reason)
}

/// The start of `text` in double quotes, other than printable ASCII as escapes.
fn excerpt(text: &[u8]) -> String {
    let cut = &text[..text.len().min(EXCERPT_BYTES_MAX)];
    let more = if cut.len() < text.len() { "..." } else { "" };
    format!("\"{}\"{more}", cut.escape_ascii().to_string().replace("\\'", "'"))
}

/// The text of a metadata line: what stands behind the one byte that ends the name.
fn meta_text(text: &[u8]) -> &[u8] {
    let blank = text.iter().all(|byte| matches!(byte, b' ' | b'\t'));
    if blank { &[] } else { &text[1..] }
}

fn unescape_name(token: &[u8]) -> Cow<'_, str> {
    let inner = match token {
        [b'"', inner @ .., b'"'] => inner,
        _ => token,
    };
    match String::from_utf8_lossy(inner) {
        Cow::Borrowed(text) => unescape(text, true),
        Cow::Owned(text) => Cow::Owned(unescape(&text, true).into_owned()),
    }
}

/// `text` with `\\` and `\n` replaced, and `\"` if `quotes`; other backslashes stay.
fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut unescaped = String::with_capacity(text.len());
    unescaped.push_str(&text[..first]);
    let mut chars = text[first..].chars().peekable();
    while let Some(c) = chars.next() {
        let replaced = match (c, chars.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('"')) if quotes => Some('"'),
            _ => None,
        };
        unescaped.push(replaced.unwrap_or(c));
        if replaced.is_some() {
            chars.next();
        }
    }
    Cow::Owned(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of `body`, a line each; the error as the last.
    fn rendered(body: &str) -> String {
        let lines = TextParser::new(body.as_bytes()).map(|entry| match entry {
            Ok(Entry::Help { name, help }) => format!("help {name} {help:?}"),
            Ok(Entry::Type { name, metric_type }) => format!("type {name} {}", metric_type.text()),
            Ok(Entry::Comment { text }) => format!("comment {}", text.escape_ascii()),
            Ok(Entry::Sample(sample)) => {
                let mut labels = Builder::default();
                let at = sample.timestamp.map_or(String::new(), |at| format!(" @{at}"));
                let parsed = parse_series(sample.series, sample.metric_type, &mut labels);
                let labels = parsed.map_or_else(|e| e.to_string(), |()| labels.build().to_string());
                format!("{} {labels} {}{at}", sample.series.escape_ascii(), sample.value)
            }
            Err(error) => format!("error {error}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn check(body: &str, expected: &str) {
        assert_eq!(rendered(body), expected, "{body:?}");
    }

    #[test]
    fn samples_in_all_their_spellings() {
        check("up 1", r#"up {__name__="up"} 1"#);
        check(" \t up\t1 \t2000 \n\n", r#"up {__name__="up"} 1 @2000"#);
        check("a{}0", r#"a{} {__name__="a"} 0"#);
        check(
            "a { b = \"c\" d=\"\" , } -Inf",
            r#"a { b = \"c\" d=\"\" , } {__name__="a", b="c"} -inf"#,
        );
        check(
            r#"{"my.m", a="b", "x.y"="z"} 1"#,
            r#"{\"my.m\", a=\"b\", \"x.y\"=\"z\"} {__name__="my.m", a="b", "x.y"="z"} 1"#,
        );
        check(r#"{a="b","m"} 1"#, r#"{a=\"b\",\"m\"} {__name__="m", a="b"} 1"#);
        check(r#"a{b="\\\"\n\x"} 1"#, r#"a{b=\"\\\\\\\"\\n\\x\"} {__name__="a", b="\\\"\n\\x"} 1"#);
    }

    #[test]
    fn comments_help_and_type() {
        check("# HELP a  two\\n\\\\ \n", "help a \" two\\n\\\\ \"");
        check(
            "# HELP a\n#\tTYPE a counter\n#HELP\n# HELP",
            "help a \"\"\ntype a counter\ncomment #HELP\ncomment # HELP",
        );
        check("# HELP \"a.b\" c", "help a.b \"c\"");
        check("# TYPE a gouge", "error 1:9: invalid metric type \"gouge\"");
        check("\n# TYPE a counter\r\n", "error 2:9: invalid metric type \"counter\\r\"");
        check("# HELP #", "error 1:8: expected metric name after HELP, got \"#\" (\"INVALID\")");
    }

    #[test]
    fn bounds_get_float_form_below_their_type() {
        let body = concat!(
            "# TYPE h histogram\nh_bucket{le=\"1\",quantile=\"1\"} 1\n",
            "# TYPE s summary\ns{quantile=\"0\"} 1",
        );
        check(
            body,
            concat!(
                "type h histogram\n",
                "h_bucket{le=\\\"1\\\",quantile=\\\"1\\\"} ",
                "{__name__=\"h_bucket\", le=\"1.0\", quantile=\"1\"} 1\n",
                "type s summary\ns{quantile=\\\"0\\\"} {__name__=\"s\", quantile=\"0.0\"} 1",
            ),
        );
    }

    #[test]
    fn faults_have_upstream_s_words_and_their_place() {
        for (body, error) in [
            ("a", "1:2: expected value after metric, got \"\\n\" (\"INVALID\")"),
            ("a{b='c'} 1", "1:5: expected label value, got \"'\" (\"INVALID\")"),
            ("{\"a\", \"b = \"c\"}", "1:13: expected equal, got \"c\\\"\" (\"LNAME\")"),
            ("a{\"b\"} 1", "1:4: metric name already set"),
            ("{a=\"ok\"} 1", "1:1: metric name not set"),
            ("\n\na true", "3:3: strconv.ParseFloat: parsing \"true\": invalid syntax"),
            ("a 0x1p-3", "1:3: unsupported character in float"),
            ("a 1\r\n", "1:3: strconv.ParseFloat: parsing \"1\\r\": invalid syntax"),
            ("a 1 -2", "1:5: expected timestamp or new record, got \"-\" (\"INVALID\")"),
            ("a 0 1_2", "1:6: expected next entry after timestamp, got \"_\" (\"INVALID\")"),
            (
                "a 0 99999999999999999999",
                "1:5: strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
            ),
            ("a{b\0=\"c\"} 1", "1:4: expected equal, got \"\\x00\" (\"INVALID\")"),
            ("\0", "1:1: expected a valid start token, got \"\\x00\" (\"INVALID\")"),
        ] {
            check(body, &format!("error {error}"));
        }
        let mut parser = TextParser::new(b"a{b=\"\xff\"} 1\nb 1");
        let error = parser.next().expect("one entry").expect_err("no UTF-8");
        assert_eq!(error.to_string(), "1:5: invalid UTF-8 label value: \"\\\"\\xff\\\"\"");
        assert_eq!(parser.next(), None);
    }

    #[test]
    fn series_that_are_no_label_set_are_refused() {
        for (series, error) in [
            ("a{b=\"1\",b=\"\"}", "1:9: label name \"b\" is not unique: invalid sample"),
            ("a{__name__=\"b\"}", "1:3: label name \"__name__\" is not unique: invalid sample"),
            ("{\"\"}", "1:3: invalid metric name or label names: \"{\\\"\\\"}\""),
            ("a{\"\"=\"b\"}", "1:4: invalid metric name or label names: \"a{\\\"\\\"=\\\"b\\\"}\""),
            ("a{} 1", "1:4: expected end of series, got \" 1\""),
        ] {
            let parsed =
                parse_series(series.as_bytes(), MetricType::Unknown, &mut Builder::default());
            assert_eq!(parsed.expect_err("refused").to_string(), error);
        }
    }
}
