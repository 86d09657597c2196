//! Series in test notation: `name{label="value"} 1+2x3 _ stale {{schema:1 ...}}x5`.
//!
//! Rule unit tests and PromQL test scripts are written in it.

use std::sync::Arc;

use model::label_set::{Builder, LabelSet, METRIC_NAME};
use model::native_histogram::NativeHistogram;

use crate::parse::cursor::{Cursor, Parsed, Stop, TEXT_BYTES_MAX};
use crate::parse::error::{ParseError, ParseErrors};
use crate::parse::histogram_sum::add_scaled;
use crate::parse::histogram_text::{HistogramLiteral, read_histogram};
use crate::parse::options::Options;
use crate::parse::scanner::{ScanFault, Scanned, Scanner};
use crate::parse::token::TokenKind;

/// Values that one series may unfold to.
pub const SEQUENCE_VALUES_MAX: usize = 1_000_000;

/// One step of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceValue {
    /// `_`: no sample.
    Omitted,
    /// A float; `stale` is the staleness marker's bits.
    Float(f64),
    /// A native histogram.
    Histogram {
        /// The histogram.
        histogram: Arc<NativeHistogram>,
        /// Whether the text states its counter reset hint.
        hint_given: bool,
    },
}

/// Labels and values of a series description.
///
/// # Errors
/// The faults of the text, at least one.
pub fn parse_series_description(text: &str) -> Result<(LabelSet, Vec<SequenceValue>), ParseErrors> {
    let (labels, end) = metric(text)?;
    let mut scanner = Scanner::new(text, end);
    let values = values(&mut scanner).map_err(|fault| errors(text, fault))?;
    Ok((labels, values))
}

/// Whether `line` gives the start timestamps of the next line's samples: `name{a="b"}@st -1m _`.
#[must_use]
pub fn is_start_timestamp_line(line: &str) -> bool {
    let head = line.trim().split([' ', '\t']).next().unwrap_or("");
    head.ends_with("@st") && head.len() < line.trim().len()
}

/// Labels and, one a step, the start timestamp in milliseconds relative to the sample's time.
///
/// # Errors
/// The faults of the text, at least one.
pub fn parse_start_timestamps(line: &str) -> Result<(LabelSet, Vec<Option<i64>>), ParseErrors> {
    let line = line.trim();
    let (labels, end) = metric(line)?;
    let mut scanner = Scanner::new(line, end);
    if !scanner.accept("@st") {
        return Err(errors(line, ScanFault { at: end, reason: "missing @st".to_owned() }));
    }
    let mut offsets = Vec::new();
    start_timestamps(&mut scanner, &mut offsets).map_err(|fault| errors(line, fault))?;
    Ok((labels, offsets))
}

fn errors(text: &str, fault: ScanFault) -> ParseErrors {
    ParseErrors(vec![ParseError::new(text.as_bytes(), fault.at..text.len(), fault.reason)])
}

/// The labels that the text begins with, and where they end.
fn metric(text: &str) -> Result<(LabelSet, usize), ParseErrors> {
    if TEXT_BYTES_MAX < text.len() {
        let reason = format!("series is longer than {TEXT_BYTES_MAX} bytes");
        return Err(errors("", ScanFault { at: 0, reason }));
    }
    // Only the head is PromQL; behind it the lexer would stumble over the values.
    let mut cursor = Cursor::new(text.as_bytes(), Options::ALL);
    match cursor.metric(text) {
        Ok(found) if cursor.is_sound() => Ok(found),
        Ok(_) | Err(Stop::Abort) => Err(cursor.into_errors()),
        Err(Stop::Unwind) => {
            cursor.unexpected("label set", "");
            Err(cursor.into_errors())
        }
    }
}

impl Cursor<'_> {
    fn metric(&mut self, text: &str) -> Parsed<(LabelSet, usize)> {
        let mut labels = Builder::default();
        let mut end = 0;
        if !text.trim_start().starts_with('{') && self.peek().is_metric_name() {
            let token = self.take();
            labels.set(METRIC_NAME, self.text(token));
            end = token.end;
        }
        let behind = text[end..].trim_start();
        if behind.starts_with('{') && !behind.starts_with("{{") {
            self.expect(TokenKind::LeftBrace)?;
            while self.peek() != TokenKind::RightBrace {
                self.label(&mut labels)?;
                if self.peek() == TokenKind::Comma {
                    self.take();
                } else if self.peek() != TokenKind::RightBrace {
                    return Err(Stop::Unwind);
                }
            }
            end = self.take().end;
        }
        Ok((labels.build(), end))
    }

    fn label(&mut self, labels: &mut Builder) -> Parsed<()> {
        let name = match self.peek() {
            TokenKind::Identifier => {
                let token = self.take();
                self.text(token).to_owned()
            }
            TokenKind::String => {
                let token = self.take();
                let name = self.string(token);
                if self.peek() != TokenKind::Assign {
                    labels.set(METRIC_NAME, &name);
                    return Ok(());
                }
                name
            }
            _ => return Err(Stop::Unwind),
        };
        self.expect(TokenKind::Assign)?;
        let token = self.expect(TokenKind::String)?;
        let value = self.string(token);
        labels.set(&name, &value);
        Ok(())
    }
}

fn values(scanner: &mut Scanner<'_>) -> Scanned<Vec<SequenceValue>> {
    let mut values = Vec::new();
    while !scanner.is_at_end() {
        if !scanner.skip_spaces() {
            return scanner.fault("series values", "");
        }
        if !scanner.is_at_end() {
            item(scanner, &mut values)?;
        }
    }
    Ok(values)
}

fn item(scanner: &mut Scanner<'_>, values: &mut Vec<SequenceValue>) -> Scanned<()> {
    if scanner.accept("_") {
        let count = scanner.repetition()?.unwrap_or(1);
        return push(scanner, values, count, |_| SequenceValue::Omitted);
    }
    if scanner.accept("{{") {
        return histogram_item(scanner, values);
    }
    if scanner.accept("stale") {
        let stale = f64::from_bits(model::staleness::STALE_NAN_BITS);
        let count = scanner.repetition()?.map_or(1, |count| count.saturating_add(1));
        return push(scanner, values, count, |_| SequenceValue::Float(stale));
    }
    let first = scanner.signed_number("series values")?;
    let sign = scanner.sign();
    let step = match sign {
        Some(sign) => sign * scanner.number("series values")?,
        None => 0.0,
    };
    let count = match scanner.repetition()? {
        Some(count) => count.saturating_add(1),
        None if sign.is_some() => return scanner.fault("series values", "\"x\""),
        None => 1,
    };
    let mut value = first;
    push(scanner, values, count, |_| {
        let this = value;
        value += step;
        SequenceValue::Float(this)
    })
}

/// Appends `count` values, as far as the bound allows.
fn push(
    scanner: &Scanner<'_>,
    values: &mut Vec<SequenceValue>,
    count: usize,
    value: impl FnMut(usize) -> SequenceValue,
) -> Scanned<()> {
    if SEQUENCE_VALUES_MAX.saturating_sub(values.len()) < count {
        return scanner.fail(format!("series has more than {SEQUENCE_VALUES_MAX} values"));
    }
    values.extend((0..count).map(value));
    Ok(())
}

fn histogram_item(scanner: &mut Scanner<'_>, values: &mut Vec<SequenceValue>) -> Scanned<()> {
    let HistogramLiteral { histogram, hint_given } = read_histogram(scanner)?;
    let first = Arc::new(histogram);
    let Some(sign) = scanner.sign() else {
        let count = scanner.repetition()?.map_or(1, |count| count.saturating_add(1));
        return push(scanner, values, count, |_| SequenceValue::Histogram {
            histogram: first.clone(),
            hint_given,
        });
    };
    if !scanner.accept("{{") {
        return scanner.fault("series values", "histogram");
    }
    // Whether the step states a hint decides for all, as in Prometheus.
    let step = read_histogram(scanner)?;
    let hint_given = step.hint_given;
    let Some(count) = scanner.repetition()? else {
        return scanner.fault("series values", "\"x\"");
    };
    let mut current = first;
    push(scanner, values, 1, |_| SequenceValue::Histogram {
        histogram: current.clone(),
        hint_given,
    })?;
    for _ in 0..count {
        match add_scaled(&current, &step.histogram, sign) {
            Ok(next) => current = Arc::new(next),
            Err(reason) => return scanner.fail(reason),
        }
        let histogram = current.clone();
        push(scanner, values, 1, |_| SequenceValue::Histogram {
            histogram: histogram.clone(),
            hint_given,
        })?;
    }
    Ok(())
}

fn start_timestamps(scanner: &mut Scanner<'_>, offsets: &mut Vec<Option<i64>>) -> Scanned<()> {
    while !scanner.is_at_end() {
        if !scanner.skip_spaces() {
            return scanner.fault("start timestamps", "");
        }
        let (first, step, count) = if scanner.accept("_") {
            (None, 0, scanner.repetition()?.unwrap_or(1))
        } else {
            let first = signed_duration(scanner)?;
            let stepped = scanner.rest().starts_with(['+', '-']);
            let step = if stepped { signed_duration(scanner)? } else { 0 };
            let count = scanner.repetition()?;
            if stepped && count.is_none() {
                return scanner.fault("start timestamps", "\"x\"");
            }
            (Some(first), step, count.map_or(1, |count| count.saturating_add(1)))
        };
        if SEQUENCE_VALUES_MAX.saturating_sub(offsets.len()) < count {
            return scanner.fail(format!("series has more than {SEQUENCE_VALUES_MAX} values"));
        }
        let mut offset = first;
        for _ in 0..count {
            offsets.push(offset);
            offset = offset.map(|offset| offset.saturating_add(step));
        }
    }
    Ok(())
}

fn signed_duration(scanner: &mut Scanner<'_>) -> Scanned<i64> {
    let negative = scanner.sign() == Some(-1.0);
    let text = scanner.take_while(|c| c.is_ascii_alphanumeric() && c != 'x');
    match model::duration::parse_duration_ms(text) {
        Ok(ms) => Ok(if negative { -ms } else { ms }),
        Err(error) => scanner.fail(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match parse_series_description(text) {
            Ok((labels, values)) => {
                let values: Vec<String> = values.iter().map(show).collect();
                format!("{labels} {}", values.join(" "))
            }
            Err(errors) => errors.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    fn show(value: &SequenceValue) -> String {
        match value {
            SequenceValue::Omitted => "_".to_owned(),
            SequenceValue::Float(value) if value.to_bits() == model::staleness::STALE_NAN_BITS => {
                "stale".to_owned()
            }
            SequenceValue::Float(value) => value.to_string(),
            SequenceValue::Histogram { histogram: of, hint_given } => format!(
                "{}/{}/{:?}/{:?}{}",
                of.count,
                of.sum,
                of.positive_spans.iter().map(|span| (span.offset, span.length)).collect::<Vec<_>>(),
                of.positive_buckets,
                if *hint_given { "!" } else { "" }
            ),
        }
    }

    #[test]
    fn series_unfold() {
        check("a{b=\"c\"} 1+2x3 _ stale -1", r#"{__name__="a", b="c"} 1 3 5 7 _ stale -1"#);
        check("a _x2 2x1 1.5-1x1", r#"{__name__="a"} _ _ 2 2 1.5 0.5"#);
        check("{} Inf -Inf NaN 1e3", "{} inf -inf NaN 1000");
        check(
            "sum{\"x.y\"=\"z\"}",
            "{__name__=\"sum\", x.y=\"z\"} ".replace("x.y", "\"x.y\"").as_str(),
        );
        check("{\"a b\"} 1", "{__name__=\"a b\"} 1");
    }

    #[test]
    fn histograms_unfold() {
        check("a {{}}", r#"{__name__="a"} 0/0/[]/[]"#);
        check(
            "a {{sum:4 count:4 buckets:[1 2 1]}}+{{sum:2 count:1 buckets:[1] offset:4}}x1",
            "{__name__=\"a\"} 4/4/[(0, 3)]/[1.0, 2.0, 1.0] \
             5/6/[(0, 3), (1, 1)]/[1.0, 2.0, 1.0, 1.0]",
        );
        check(
            "a {{count:1 buckets:[1]}}-{{schema:1 count:1 buckets:[1 1] offset:1}}x1",
            r#"{__name__="a"} 1/0/[(0, 1)]/[1.0] 0/0/[(0, 2)]/[1.0, -2.0]"#,
        );
        check(
            "a {{counter_reset_hint:gauge n_buckets:[1] }}x1",
            r#"{__name__="a"} 0/0/[]/[]! 0/0/[]/[]!"#,
        );
    }

    #[test]
    fn faults_have_their_place() {
        check("a 1x", "1:5: parse error: invalid repetition in series values: \"\"");
        check(
            "a foo",
            "1:3: parse error: unexpected 'f' in series values, expected number or \"stale\"",
        );
        check("a{b} 1", "1:4: parse error: unexpected \"}\" in label set");
        check("a 1x99999999999", "1:16: parse error: series has more than 1000000 values");
        check("a {{sum:1 sum:2}}", "1:14: parse error: duplicate key \"sum\" in histogram");
    }

    #[test]
    fn start_timestamps_unfold() {
        assert!(is_start_timestamp_line("  a{b=\"c\"}@st _ -1m"));
        assert!(!is_start_timestamp_line("a{b=\"c\"} 1"));
        let (labels, offsets) = parse_start_timestamps(" a@st _ -1m-30sx2 -1ms").unwrap();
        assert_eq!(labels.metric_name(), "a");
        assert_eq!(offsets, [None, Some(-60_000), Some(-90_000), Some(-120_000), Some(-1)]);
    }
}
