//! The general parser of text format 0.0.4, as Prometheus's scrapes understand it.
//!
//! Path: body → **text** → entries; `parse_series` gives the labels of a series text.
//! Never: keeps anything of the body, guesses where upstream refuses.

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
/// twice; `into` then holds some of the labels.
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
    let mut parts = LabelParts { series, metric_type, into, names: Vec::new() };
    let (end, _) = series_parts(&mut lexer, opening, &mut parts)?;
    if end != series.len() {
        let behind = excerpt(&series[end..]);
        return Err(TextError::at(series, end, format!("expected end of series, got {behind}")));
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

struct LabelParts<'a, 'b> {
    series: &'a [u8],
    metric_type: MetricType,
    into: &'b mut Builder,
    /// Names so far: the builder forgets labels without a value, whose names still count.
    names: Vec<Cow<'a, str>>,
}

impl LabelParts<'_, '_> {
    fn refuse(&self, at: usize, reason: String) -> Result<(), TextError> {
        Err(TextError::at(self.series, at, reason))
    }
}

impl Parts for LabelParts<'_, '_> {
    fn metric_name(&mut self, name: Range<usize>) -> Result<(), TextError> {
        self.label_of(METRIC_NAME.into(), name.start, name)
    }

    fn label(&mut self, name: Range<usize>, value: Range<usize>) -> Result<(), TextError> {
        let at = name.start;
        let Ok(text) = std::str::from_utf8(&self.series[name.clone()]) else {
            let reason = format!("invalid label name {}", excerpt(&self.series[name]));
            return self.refuse(at, reason);
        };
        self.label_of(unescape(text, true), at, value)
    }
}

impl<'a> LabelParts<'a, '_> {
    fn label_of(
        &mut self,
        name: Cow<'a, str>,
        at: usize,
        value: Range<usize>,
    ) -> Result<(), TextError> {
        let series = self.series;
        let text = std::str::from_utf8(&series[value.clone()]).ok();
        let usable = text.filter(|text| name != METRIC_NAME || !text.is_empty());
        let Some(text) = usable.filter(|_| !name.is_empty()) else {
            let reason = "invalid metric name or label names";
            return self.refuse(at, format!("{reason}: {}", excerpt(series)));
        };
        if self.names.contains(&name) {
            return self.refuse(at, format!("label name \"{name}\" is not unique: invalid sample"));
        }
        let unescaped = unescape(text, true);
        let float = self.metric_type.float_label() == Some(&*name);
        match number::parse(unescaped.as_bytes()) {
            Ok(value) if float => self.into.set(&name, &number::format_label_float(value)),
            _ => self.into.set(&name, &unescaped),
        };
        self.names.push(name);
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
    let mut text = lexer.text[lexer.start..(lexer.at + 1).min(lexer.text.len())].to_vec();
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
