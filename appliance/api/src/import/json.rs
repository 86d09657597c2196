//! JSON lines as VictoriaMetrics exports them: a series and its samples a line.
//!
//! Source: VictoriaMetrics's `/api/v1/export`. `null` is a staleness marker, which VictoriaMetrics
//! exports so; `"NaN"`, `"Infinity"` and `"-Infinity"` are the floats that JSON has no number for.

use std::borrow::Cow;

use exposition::number;
use model::staleness::stale_nan;
use remote::builder::{Builder, LabelFault};

/// Levels of what is passed over.
const LEVELS_MAX: usize = 64;
/// Samples after which a series is named again, so that the builder may begin another batch.
const SAMPLES_MAX: usize = 8192;

/// Reads lines.
#[derive(Clone, Debug)]
pub struct JsonReader {
    extra: Vec<(String, String)>,
}

impl JsonReader {
    /// Reader that adds the labels `extra` to every series.
    #[must_use]
    pub fn new(extra: Vec<(String, String)>) -> JsonReader {
        JsonReader { extra }
    }

    /// Adds the series of a line.
    ///
    /// # Errors
    /// It is none; the column and why.
    pub fn take(&self, line: &[u8], builder: &mut Builder) -> Result<(), String> {
        let mut cursor = Cursor { text: line, at: 0 };
        let series = cursor.series().map_err(|reason| {
            let column = cursor.at + 1;
            format!("column {column}: {reason}")
        })?;
        let mut labels: Vec<(&str, &str)> =
            series.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        add_extra(&mut labels, &self.extra);
        let samples = series.timestamps_ms.iter().zip(&series.values);
        let mut of = None;
        for (at, (timestamp_ms, value)) in samples.enumerate() {
            if at % SAMPLES_MAX == 0 {
                of = Some(builder.series(&mut labels).map_err(|fault| fault_text(&fault))?);
            }
            if let Some(of) = of {
                builder.float(of, *timestamp_ms, *value, 0);
            }
        }
        Ok(())
    }
}

/// Puts labels over those of the same name.
pub(crate) fn add_extra<'a>(labels: &mut Vec<(&'a str, &'a str)>, extra: &'a [(String, String)]) {
    labels.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    labels.extend(extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
}

/// What is wrong with labels.
pub(crate) fn fault_text(fault: &LabelFault) -> String {
    match fault {
        LabelFault::Name => "there is no metric name, or an empty label name".to_owned(),
        LabelFault::Twice(name) => format!("label {name:?} is there twice"),
    }
}

#[derive(Debug, Default)]
struct Series<'a> {
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    values: Vec<f64>,
    timestamps_ms: Vec<i64>,
}

/// A place in a line.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn series(&mut self) -> Result<Series<'a>, String> {
        let mut series = Series::default();
        self.object(|cursor, key| match &*key {
            "metric" => {
                series.labels.clear();
                let labels = &mut series.labels;
                cursor.object(|cursor, name| {
                    labels.push((name, cursor.string()?));
                    Ok(())
                })
            }
            "values" => {
                series.values.clear();
                cursor.array(|cursor| {
                    series.values.push(cursor.value()?);
                    Ok(())
                })
            }
            "timestamps" => {
                series.timestamps_ms.clear();
                cursor.array(|cursor| {
                    series.timestamps_ms.push(cursor.timestamp()?);
                    Ok(())
                })
            }
            _ => cursor.pass(LEVELS_MAX),
        })?;
        self.blanks();
        if self.at != self.text.len() {
            return Err("expected the end of the line".to_owned());
        }
        let (values, timestamps) = (series.values.len(), series.timestamps_ms.len());
        if values != timestamps {
            return Err(format!("{values} values and {timestamps} timestamps"));
        }
        if values == 0 {
            return Err("no values".to_owned());
        }
        Ok(series)
    }

    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether `byte` comes next; then it is behind.
    fn next_is(&mut self, byte: u8) -> bool {
        self.blanks();
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.next_is(byte) { Ok(()) } else { Err(format!("expected {:?}", char::from(byte))) }
    }

    fn object(
        &mut self,
        mut entry: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), String>,
    ) -> Result<(), String> {
        self.expect(b'{')?;
        if self.next_is(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            entry(self, key)?;
            if !self.next_is(b',') {
                return self.expect(b'}');
            }
        }
    }

    fn array(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.expect(b'[')?;
        if self.next_is(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.next_is(b',') {
                return self.expect(b']');
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        let length = length.ok_or("a string without an end")?;
        let plain = utf8(&rest[..length])?;
        self.at += length;
        if self.next_byte_is(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while !self.next_byte_is(b'"') {
            let rest = &self.text[self.at..];
            if rest.first() == Some(&b'\\') {
                text.push(self.escape()?);
                continue;
            }
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            let length = length.ok_or("a string without an end")?;
            text.push_str(utf8(&rest[..length])?);
            self.at += length;
        }
        Ok(Cow::Owned(text))
    }

    fn next_byte_is(&mut self, byte: u8) -> bool {
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn escape(&mut self) -> Result<char, String> {
        let word = self.text.get(self.at + 1).copied();
        self.at = (self.at + 2).min(self.text.len());
        Ok(match word {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err("an escape that JSON does not have".to_owned()),
        })
    }

    /// The rest of `\uXXXX`, and the other half of a pair; a half alone is U+FFFD.
    fn unicode(&mut self) -> Result<char, String> {
        let high = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&high) || !self.text[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let back = self.at;
        self.at += 2;
        let low = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&low) {
            self.at = back;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at..self.at + 4).ok_or("an escape cut short")?;
        let mut code = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16);
            code = code << 4 | digit.ok_or("an escape without four digits")?;
        }
        self.at += 4;
        Ok(code)
    }

    /// The characters of a number.
    fn number(&mut self) -> Result<&'a [u8], String> {
        self.blanks();
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        if length == 0 {
            return Err("expected a number".to_owned());
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn value(&mut self) -> Result<f64, String> {
        self.blanks();
        if self.text[self.at..].starts_with(b"null") {
            self.at += 4;
            return Ok(stale_nan());
        }
        if self.text.get(self.at) == Some(&b'"') {
            let text = self.string()?;
            let word: &[u8] = match &*text {
                "NaN" | "nan" => b"NaN",
                "Infinity" | "infinity" | "Inf" | "inf" => b"+Inf",
                "-Infinity" | "-infinity" | "-Inf" | "-inf" => b"-Inf",
                other => return Err(format!("{other:?} is no value")),
            };
            return number::parse(word).map_err(|error| error.to_string());
        }
        let text = self.number()?;
        number::parse(text).map_err(|error| error.to_string())
    }

    fn timestamp(&mut self) -> Result<i64, String> {
        let text = utf8(self.number()?)?;
        text.parse().map_err(|_| format!("{text:?} is no count of milliseconds"))
    }

    /// Passes over any value.
    fn pass(&mut self, levels: usize) -> Result<(), String> {
        let Some(levels) = levels.checked_sub(1) else {
            return Err("too many levels".to_owned());
        };
        self.blanks();
        match self.text.get(self.at) {
            Some(b'{') => self.object(|cursor, _| cursor.pass(levels)),
            Some(b'[') => self.array(|cursor| cursor.pass(levels)),
            Some(b'"') => self.string().map(drop),
            _ => {
                let rest = &self.text[self.at..];
                let words: [&[u8]; 3] = [b"null", b"true", b"false"];
                match words.into_iter().find(|word| rest.starts_with(word)) {
                    Some(word) => self.at += word.len(),
                    None => drop(self.number()?),
                }
                Ok(())
            }
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "text that is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels and samples of a line, or why not.
    fn shown(line: &str) -> String {
        let mut builder = Builder::new(1, "");
        let extra = vec![("x".to_owned(), "y".to_owned())];
        if let Err(reason) = JsonReader::new(extra).take(line.as_bytes(), &mut builder) {
            return reason;
        }
        let (batches, _) = builder.finish();
        let lines = batches.iter().flat_map(|(_, batch)| {
            batch.floats.iter().map(|float| {
                let labels = batch.labels(float.series);
                let stale = model::staleness::is_stale(float.value);
                let value = if stale { "stale".to_owned() } else { float.value.to_string() };
                format!("{labels} {value} {}", float.timestamp_ms)
            })
        });
        lines.collect::<Vec<_>>().join(", ")
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(shown(line), expected, "{line}");
    }

    #[test]
    fn a_line_is_a_series() {
        check(
            r#"{"metric":{"__name__":"a","b":"\u00e9\ud83c\udf0d\n\"é"},"values":[1.5,-2e3],
            "timestamps":[1,2]}"#
                .replace('\n', "")
                .as_str(),
            "{__name__=\"a\", b=\"é🌍\\n\\\"é\", x=\"y\"} 1.5 1, \
             {__name__=\"a\", b=\"é🌍\\n\\\"é\", x=\"y\"} -2000 2",
        );
        check(
            r#" { "timestamps" : [ 7 ] , "z": {"q":[true,null,{}]}, "values" : [ null ] ,
            "metric" : { "__name__" : "a", "x": "z" } } "#
                .replace('\n', "")
                .as_str(),
            "{__name__=\"a\", x=\"y\"} stale 7",
        );
        check(
            r#"{"metric":{"__name__":"a"},"values":["NaN","-Infinity",0.1],"timestamps":[1,2,3]}"#,
            "{__name__=\"a\", x=\"y\"} NaN 1, {__name__=\"a\", x=\"y\"} -inf 2, \
             {__name__=\"a\", x=\"y\"} 0.1 3",
        );
    }

    #[test]
    fn what_is_no_series_is_refused_with_its_column() {
        check("", "column 1: expected '{'");
        check(r#"{"metric":{"a"}}"#, "column 15: expected ':'");
        check(
            r#"{"metric":{"__name__":"a"},"values":[1],"timestamps":[1,2]}"#,
            "column 60: 1 values and 2 timestamps",
        );
        check(
            r#"{"metric":{"b":"a"},"values":[1],"timestamps":[1]}"#,
            "there is no metric name, or an empty label name",
        );
        check(
            r#"{"metric":{"__name__":"a"},"values":["x"],"timestamps":[1]}"#,
            "column 41: \"x\" is no value",
        );
        check(
            r#"{"metric":{"__name__":"a"},"values":[1],"timestamps":[1.5]}"#,
            "column 58: \"1.5\" is no count of milliseconds",
        );
        check(r#"{"metric":{"__name__":"a"},"values":[],"timestamps":[]}"#, "column 56: no values");
        check(r#"{"metric":{"__name__":"a"#, "column 24: a string without an end");
        let deep = format!("{{\"z\":{}", "[".repeat(100));
        check(&deep, "column 70: too many levels");
    }
}
