//! Series: name and labels of a sample, as text and as labels.
//!
//! Path: `text`, `openmetrics` → **series** ← whoever wants the labels of a series text.
//! Never: keeps anything of the text.

use std::borrow::Cow;
use std::ops::Range;

use model::label_set::{Builder, METRIC_NAME};

use crate::error::TextError;
use crate::lexer::Lexer;
use crate::metric_type::MetricType;
use crate::number;
use crate::token::{Token, Tokens};

/// Bytes of the text that an error repeats.
const EXCERPT_BYTES_MAX: usize = 64;

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
    for Label { name, value, .. } in parts.sorted()? {
        let float = metric_type.float_label() == Some(&name);
        match number::parse(value.as_bytes()) {
            Ok(value) if float => into.set(&name, &number::format_label_float(value)),
            _ => into.set(&name, &value),
        };
    }
    Ok(())
}

/// Puts the labels of an exemplar, unescaped, into `into`; `text` has their braces.
///
/// # Errors
/// A text that is not one list of labels in braces, a metric name among them, a name that is not
/// UTF-8 or empty, a label name that occurs twice; `into` is then as it was.
pub fn parse_exemplar_labels(text: &[u8], into: &mut Builder) -> Result<(), TextError> {
    let mut lexer = Lexer::new(text, 0);
    let opening = lexer.next_token();
    if opening != Token::BraceOpen {
        return Err(unexpected(&lexer, "expected exemplar labels", opening));
    }
    let mut parts = LabelParts { series: text, labels: Vec::new() };
    // A name that is set already makes the bare quoted string that would be one a fault.
    label_list(&mut lexer, &mut true, &mut parts)?;
    for Label { name, value, .. } in parts.sorted()? {
        into.set(&name, &value);
    }
    Ok(())
}

/// What is done with the parts of a series, given as places in the text.
pub(crate) trait Parts {
    fn metric_name(&mut self, name: Range<usize>) -> Result<(), TextError>;
    fn label(&mut self, name: Range<usize>, value: Range<usize>) -> Result<(), TextError>;
}

/// Only the extent of the series is wanted.
pub(crate) struct NoParts;

impl Parts for NoParts {
    fn metric_name(&mut self, _: Range<usize>) -> Result<(), TextError> {
        Ok(())
    }

    fn label(&mut self, _: Range<usize>, _: Range<usize>) -> Result<(), TextError> {
        Ok(())
    }
}

/// Only the extent of the labels is wanted, and a metric name is none of an exemplar's.
pub(crate) struct ExemplarParts<'a> {
    pub(crate) text: &'a [u8],
}

impl Parts for ExemplarParts<'_> {
    fn metric_name(&mut self, name: Range<usize>) -> Result<(), TextError> {
        let reason = format!("expected label name, got {}", excerpt(&self.text[name.clone()]));
        Err(TextError::at(self.text, name.start, reason))
    }

    fn label(&mut self, _: Range<usize>, _: Range<usize>) -> Result<(), TextError> {
        Ok(())
    }
}

/// Name and labels as they stand in the text.
pub(crate) struct LabelBytes<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) labels: Vec<(&'a [u8], &'a [u8])>,
}

impl Parts for LabelBytes<'_> {
    fn metric_name(&mut self, name: Range<usize>) -> Result<(), TextError> {
        self.name = &self.text[name];
        Ok(())
    }

    fn label(&mut self, name: Range<usize>, value: Range<usize>) -> Result<(), TextError> {
        self.labels.push((&self.text[name], &self.text[value]));
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

    /// The labels by name.
    fn sorted(mut self) -> Result<Vec<Label<'a>>, TextError> {
        // Sorted first, so that neither the search for duplicates nor the builder is quadratic in
        // the number of labels, which no limit has seen yet.
        self.labels.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some([_, again]) = self.labels.array_windows().find(|[a, b]| a.name == b.name) {
            let name = excerpt(again.name.as_bytes());
            let reason = format!("label name {name} is not unique: invalid sample");
            return Err(TextError::at(self.series, again.at, reason));
        }
        Ok(self.labels)
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
pub(crate) fn series_parts<'a>(
    lexer: &mut impl Tokens<'a>,
    opening: Token,
    parts: &mut impl Parts,
) -> Result<(usize, Token), TextError> {
    let start = lexer.start();
    let mut named = opening == Token::MetricName;
    let mut end = lexer.at();
    let mut braces = opening == Token::BraceOpen;
    let mut behind = Token::BraceOpen;
    if named {
        parts.metric_name(start..end)?;
        behind = lexer.next_token();
        braces = behind == Token::BraceOpen;
    }
    if braces {
        label_list(lexer, &mut named, parts)?;
        end = lexer.at();
        behind = lexer.next_token();
    }
    if named {
        return Ok((end, behind));
    }
    Err(TextError::at(lexer.text(), start, "metric name not set".to_owned()))
}

/// Reads labels up to the closing brace, behind the opening one.
pub(crate) fn label_list<'a, L: Tokens<'a>>(
    lexer: &mut L,
    named: &mut bool,
    parts: &mut impl Parts,
) -> Result<(), TextError> {
    let mut token = lexer.next_token();
    loop {
        let name = match token {
            Token::BraceClose => return Ok(()),
            Token::LabelName => lexer.start()..lexer.at(),
            Token::QuotedString => lexer.start() + 1..lexer.at() - 1,
            other => return Err(unexpected(lexer, "expected label name", other)),
        };
        let quoted = token == Token::QuotedString;
        token = lexer.next_token();
        if quoted && matches!(token, Token::Comma | Token::BraceClose) {
            if *named {
                let reason = "metric name already set".to_owned();
                return Err(TextError::at(lexer.text(), name.start, reason));
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
        // The comma may stand behind the last label, as upstream has it.
        if token == Token::Comma {
            token = lexer.next_token();
        } else if L::COMMA_NEEDED && token != Token::BraceClose {
            return Err(unexpected(lexer, "expected comma or brace close", token));
        }
    }
}

fn label_value<'a>(lexer: &mut impl Tokens<'a>) -> Result<Range<usize>, TextError> {
    match lexer.next_token() {
        Token::LabelValue if std::str::from_utf8(lexer.token_text()).is_err() => {
            let reason = format!("invalid UTF-8 label value: {}", excerpt(lexer.token_text()));
            Err(TextError::at(lexer.text(), lexer.start(), reason))
        }
        Token::LabelValue => Ok(lexer.start() + 1..lexer.at() - 1),
        other => Err(unexpected(lexer, "expected label value", other)),
    }
}

pub(crate) fn value<'a>(lexer: &impl Tokens<'a>) -> Result<f64, TextError> {
    let text = lexer.token_text();
    number::parse(text).map_err(|error| {
        let reason = match error {
            number::NumberError::Unsupported => error.to_string(),
            _ => format!("strconv.ParseFloat: parsing {}: {error}", excerpt(text)),
        };
        TextError::at(lexer.text(), lexer.start(), reason)
    })
}

pub(crate) fn unexpected<'a>(lexer: &impl Tokens<'a>, wanted: &str, got: Token) -> TextError {
    let end = (lexer.at() + 1).min(lexer.text().len()).min(lexer.start() + EXCERPT_BYTES_MAX + 1);
    let mut text = lexer.text()[lexer.start()..end].to_vec();
    if lexer.text().len() <= lexer.at() {
        text.push(b'\n');
    }
    let reason = format!("{wanted}, got {} (\"{}\")", excerpt(&text), got.word());
    TextError::at(lexer.text(), lexer.start(), reason)
}

/// The start of `text` in double quotes, other than printable ASCII as escapes.
pub(crate) fn excerpt(text: &[u8]) -> String {
    let cut = &text[..text.len().min(EXCERPT_BYTES_MAX)];
    let more = if cut.len() < text.len() { "..." } else { "" };
    format!("\"{}\"{more}", cut.escape_ascii().to_string().replace("\\'", "'"))
}

pub(crate) fn unescape_name(token: &[u8]) -> Cow<'_, str> {
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
pub(crate) fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
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
