//! CSV: a column a metric, a label or the time, as `format` says.
//!
//! Source: VictoriaMetrics's `/api/v1/import/csv`:
//! `format=2:metric:ask,1:label:ticker,3:time:unix_s`.

use std::borrow::Cow;

use exposition::number;
use model::label_set::METRIC_NAME;
use remote::builder::Builder;

use crate::import::json::{add_extra, fault_text};
use crate::timestamp::parse_time;

/// Most columns of a line.
const COLUMNS_MAX: usize = 1024;

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Passed,
    Metric(String),
    Label(String),
    Time(TimeForm),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeForm {
    Seconds,
    Milliseconds,
    Nanoseconds,
    Rfc3339,
}

/// Reads lines.
#[derive(Clone, Debug)]
pub struct CsvReader {
    columns: Vec<Column>,
    extra: Vec<(String, String)>,
    now_ms: i64,
}

impl CsvReader {
    /// Reader of lines of this format; those without a time are of `now_ms`.
    ///
    /// # Errors
    /// The format makes no sense; why.
    pub fn new(
        format: &str,
        extra: Vec<(String, String)>,
        now_ms: i64,
    ) -> Result<CsvReader, String> {
        if format.is_empty() {
            return Err("no format parameter provided".to_owned());
        }
        let mut columns = Vec::new();
        for part in format.split(',') {
            let (position, column) =
                column(part).map_err(|why| format!("format {part:?}: {why}"))?;
            if columns.len() < position {
                columns.resize(position, Column::Passed);
            }
            columns[position - 1] = column;
        }
        if !columns.iter().any(|column| matches!(column, Column::Metric(_))) {
            return Err("format: no column is a metric".to_owned());
        }
        Ok(CsvReader { columns, extra, now_ms })
    }

    /// Adds the samples of a line: one a metric whose column is not empty.
    ///
    /// # Errors
    /// A column cannot be read; which, and why.
    pub fn take(&self, line: &[u8], builder: &mut Builder) -> Result<(), String> {
        let line = std::str::from_utf8(line).map_err(|_| "text that is not UTF-8".to_owned())?;
        let fields = fields(line)?;
        if fields.len() < self.columns.len() {
            return Err(format!("{} columns of {}", fields.len(), self.columns.len()));
        }
        let mut timestamp_ms = self.now_ms;
        let mut labels: Vec<(&str, &str)> = Vec::new();
        let mut metrics: Vec<(&str, f64)> = Vec::new();
        for (at, (column, field)) in self.columns.iter().zip(&fields).enumerate() {
            let wrong = |why: String| format!("column {}: {why}", at + 1);
            match column {
                Column::Passed => {}
                Column::Label(name) => labels.push((name, field)),
                Column::Time(form) => timestamp_ms = form.read(field).map_err(wrong)?,
                Column::Metric(_) if field.is_empty() => {}
                Column::Metric(name) => {
                    let value = number::parse(field.as_bytes());
                    metrics.push((name, value.map_err(|error| wrong(error.to_string()))?));
                }
            }
        }
        add_extra(&mut labels, &self.extra);
        for (name, value) in metrics {
            let mut labels = labels.clone();
            labels.push((METRIC_NAME, name));
            let series = builder.series(&mut labels).map_err(|fault| fault_text(&fault))?;
            builder.float(series, timestamp_ms, value, 0);
        }
        Ok(())
    }
}

impl TimeForm {
    fn read(self, text: &str) -> Result<i64, String> {
        let wrong = || format!("{text:?} is no time");
        let scaled = |divisor: i64| {
            let whole = text.parse::<i64>().map_err(|_| wrong())?;
            Ok(whole.div_euclid(divisor))
        };
        match self {
            // Seconds may have a fraction.
            TimeForm::Seconds => {
                text.parse::<f64>().map_err(|_| wrong())?;
                parse_time(text).map(|time| time.0)
            }
            TimeForm::Milliseconds => scaled(1),
            TimeForm::Nanoseconds => scaled(1_000_000),
            TimeForm::Rfc3339 if text.parse::<f64>().is_ok() => Err(wrong()),
            TimeForm::Rfc3339 => parse_time(text).map(|time| time.0),
        }
    }
}

fn column(part: &str) -> Result<(usize, Column), String> {
    let mut words = part.splitn(3, ':');
    let position = words.next().and_then(|word| word.trim().parse::<usize>().ok());
    let position = position.filter(|position| (1..=COLUMNS_MAX).contains(position));
    let position = position.ok_or("it begins with no number of a column")?;
    let kind = words.next().unwrap_or("").trim();
    let name = words.next().unwrap_or("").trim();
    let column = match (kind, name) {
        ("metric" | "label", "") => return Err("a name is missing".to_owned()),
        ("metric", name) => Column::Metric(name.to_owned()),
        ("label", name) => Column::Label(name.to_owned()),
        ("time", "unix_s") => Column::Time(TimeForm::Seconds),
        ("time", "unix_ms") => Column::Time(TimeForm::Milliseconds),
        ("time", "unix_ns") => Column::Time(TimeForm::Nanoseconds),
        ("time", "rfc3339") => Column::Time(TimeForm::Rfc3339),
        ("time", other) => {
            return Err(format!("{other:?} is none of unix_s, unix_ms, unix_ns and rfc3339"));
        }
        (other, _) => return Err(format!("{other:?} is none of metric, label and time")),
    };
    Ok((position, column))
}

/// The columns of a line; in quotes two quotes are one, commas are text.
fn fields(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        if COLUMNS_MAX < fields.len() {
            return Err(format!("more than {COLUMNS_MAX} columns"));
        }
        let after = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) = unquoted(quoted)?;
                fields.push(Cow::Owned(field));
                after
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                fields.push(Cow::Borrowed(&rest[..end]));
                &rest[end..]
            }
        };
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("text behind a quoted column".to_owned()),
        }
    }
}

fn unquoted(quoted: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"').ok_or("a quoted column without an end")?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, line: &str, expected: &str) {
        let mut builder = Builder::new(1, "");
        let reader = CsvReader::new(format, Vec::new(), 9);
        let taken = reader.and_then(|reader| reader.take(line.as_bytes(), &mut builder));
        let (batches, _) = builder.finish();
        let lines = batches.iter().flat_map(|(_, batch)| {
            batch.floats.iter().map(|float| {
                format!("{} {} {}", batch.labels(float.series), float.value, float.timestamp_ms)
            })
        });
        let shown = lines.collect::<Vec<_>>().join(", ");
        let found = taken.map_or_else(|reason| reason, |()| shown);
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn a_line_has_samples_of_one_time() {
        let format = "2:metric:ask,3:metric:bid,1:label:ticker,4:time:unix_s";
        check(
            format,
            "GOOG,1.23,4.5,1583865146.5",
            "{__name__=\"ask\", ticker=\"GOOG\"} 1.23 1583865146500, \
             {__name__=\"bid\", ticker=\"GOOG\"} 4.5 1583865146500",
        );
        check(format, "\"a,\"\"b\",,2,1", "{__name__=\"bid\", ticker=\"a,\\\"b\"} 2 1000");
        check("1:metric:a", "5,x", "{__name__=\"a\"} 5 9");
        check("1:metric:a,2:time:rfc3339", "5,1970-01-01T00:00:01Z", "{__name__=\"a\"} 5 1000");
        check("1:metric:a,2:time:unix_ns", "5,7000000", "{__name__=\"a\"} 5 7");
        check("1:metric:a,2:time:unix_ms", "NaN,7", "{__name__=\"a\"} NaN 7");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        check("", "1", "no format parameter provided");
        check("0:metric:a", "1", "format \"0:metric:a\": it begins with no number of a column");
        check(
            "1:time:x",
            "1",
            "format \"1:time:x\": \"x\" is none of unix_s, unix_ms, unix_ns and rfc3339",
        );
        check("1:label:a", "1", "format: no column is a metric");
        check("2:metric:a", "1", "1 columns of 2");
        check("1:metric:a,2:time:unix_ms", "1,x", "column 2: \"x\" is no time");
        check("1:metric:a", "\"1", "a quoted column without an end");
        check("1:metric:a", "\"1\"2", "text behind a quoted column");
    }
}
