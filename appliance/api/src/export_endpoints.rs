//! Endpoints of export: every sample of selected series, as JSON lines, CSV or OpenMetrics.
//!
//! Path: `routes` → **export endpoints** → the connection, series by series.
//! Never: holds the samples of more than one series.
//! Source: VictoriaMetrics's `/api/v1/export` and `/api/v1/export/csv`, whose lines `import` reads.

use exposition::openmetrics::write::series_text;
use model::label_set::{LabelSet, METRIC_NAME};
use model::number::{write_general, write_sample_value};
use model::samples::Samples;
use model::staleness::is_stale;
use model::time::TimestampMs;
use query::source::{HANDLES_BYTES_MAX, Selection, Series, WindowValue};

use crate::answer::{Answer, Streamed};
use crate::call::{Call, Context};
use crate::failure::Failure;
use crate::json::{CHUNK_BYTES, Gone, Sink, Writer};
use crate::query_endpoints::source_failure;
use crate::timestamp::format_rfc3339;

const JSON_LINES: &str = "application/stream+json";
const CSV: &str = "text/csv; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Samples of a line of JSON unless `max_rows_per_line` says otherwise: a few hundred kilobytes,
/// which any reader takes.
const ROWS_MAX: usize = 10_000;
/// Columns of a line of CSV.
const COLUMNS_MAX: usize = 1024;

/// `/api/v1/export`
pub fn json(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let rows_max = match call.parameters.limit("max_rows_per_line")? {
        0 => ROWS_MAX,
        rows => rows,
    };
    export(context, call, JSON_LINES, move |labels, samples, out| {
        put_json(labels, samples, rows_max, out);
    })
}

/// `/api/v1/export/csv`
pub fn csv(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let format = call.parameters.first("format");
    if format.is_empty() {
        return Err(Failure::bad_data("no format parameter provided"));
    }
    let fields: Vec<&str> = format.split(',').collect();
    if COLUMNS_MAX < fields.len() {
        let text = format!("{} columns, at most {COLUMNS_MAX} are written", fields.len());
        return Err(Failure::parameter("format", text));
    }
    let fields = fields.into_iter().map(Field::read).collect::<Result<Vec<_>, _>>();
    let fields = fields.map_err(|error| Failure::parameter("format", error))?;
    export(context, call, CSV, move |labels, samples, out| put_csv(labels, samples, &fields, out))
}

/// `/api/v1/export/openmetrics`
pub fn openmetrics(context: &Context, call: &Call) -> Result<Answer, Failure> {
    export(context, call, OPENMETRICS, put_openmetrics)
}

/// Streams the selected series through `put`. A store that fails in between ends the answer before
/// its end, so that no reader takes it for whole.
fn export(
    context: &Context,
    call: &Call,
    content_type: &'static str,
    put: impl Fn(&LabelSet, &Samples, &mut String) + Send + 'static,
) -> Result<Answer, Failure> {
    if call.parameters.all("match[]").next().is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let (from, to) = call.range()?;
    let series = select(context, call, (from, to))?;
    let write = move |sink: &mut dyn Sink| {
        let (mut samples, mut out) = (Samples::default(), String::new());
        for one in series {
            samples.clear();
            let after = from.saturating_add(-1);
            one.column.decode(after, to, &mut samples).map_err(|_| Gone)?;
            put(&one.labels, &samples, &mut out);
            if CHUNK_BYTES <= out.len() {
                sink.take(out.as_bytes())?;
                out.clear();
            }
        }
        if content_type == OPENMETRICS {
            out.push_str("# EOF\n");
        }
        sink.take(out.as_bytes())
    };
    Ok(Answer::Streamed(Streamed { content_type, coding: None, write: Box::new(write) }))
}

/// The series of all matcher sets, by labels, each once.
fn select(
    context: &Context,
    call: &Call,
    (from, to): (TimestampMs, TimestampMs),
) -> Result<Vec<Series>, Failure> {
    let sets = call.matcher_sets().map_err(|error| Failure::parameter("match[]", error))?;
    let source = call.streamed_source(context);
    let series_max = context.backend.engine().series_max;
    let mut found = Vec::new();
    for matchers in sets {
        call.check_alive()?;
        let selection = Selection {
            matchers,
            window_value: WindowValue::Average,
            after: from.saturating_add(-1),
            until: to,
            series_max,
            bytes_max: HANDLES_BYTES_MAX,
        };
        found.extend(source.select(&selection).map_err(|error| source_failure(&error))?);
    }
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found.dedup_by(|a, b| a.labels == b.labels);
    Ok(found)
}

/// Times and values of the samples that are numbers.
fn floats(samples: &Samples) -> impl Iterator<Item = (i64, f64)> {
    let mut natives = samples.histograms.iter().map(|(index, _)| *index as usize).peekable();
    let all = samples.timestamps_ms.iter().zip(&samples.values).enumerate();
    all.filter(move |(at, _)| natives.next_if_eq(at).is_none())
        .map(|(_, (time, value))| (*time, *value))
}

fn put_json(labels: &LabelSet, samples: &Samples, rows_max: usize, out: &mut String) {
    let floats: Vec<(i64, f64)> = floats(samples).collect();
    let mut text = Text(String::new());
    for rows in floats.chunks(rows_max) {
        let mut writer = Writer::new(&mut text);
        writer.raw("{\"metric\":");
        writer.labels(labels);
        writer.raw(",\"values\":");
        for (at, (_, value)) in rows.iter().enumerate() {
            writer.raw(if at == 0 { "[" } else { "," });
            put_value(*value, &mut writer);
        }
        writer.raw("],\"timestamps\":");
        for (at, (time, _)) in rows.iter().enumerate() {
            writer.raw(if at == 0 { "[" } else { "," });
            writer.integer(*time);
        }
        writer.raw("]}\n");
        // A text never leaves.
        let _ = writer.finish();
    }
    out.push_str(&text.0);
}

/// A number, or the word for one that JSON has none for; a staleness marker is `null`, as
/// VictoriaMetrics exports it.
fn put_value(value: f64, writer: &mut Writer<'_>) {
    if is_stale(value) {
        writer.raw("null");
    } else if value.is_finite() {
        writer.float(value);
    } else {
        writer.raw(if value.is_nan() {
            "\"NaN\""
        } else if 0.0 < value {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    }
}

struct Text(String);

impl Sink for Text {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Gone> {
        self.0.push_str(&String::from_utf8_lossy(chunk));
        Ok(())
    }
}

/// A column of CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Value,
    Seconds,
    Milliseconds,
    Nanoseconds,
    Rfc3339,
    Label(String),
}

impl Field {
    fn read(text: &str) -> Result<Field, String> {
        Ok(match text.trim() {
            "__value__" => Field::Value,
            "__timestamp__" | "__timestamp__:unix_ms" => Field::Milliseconds,
            "__timestamp__:unix_s" => Field::Seconds,
            "__timestamp__:unix_ns" => Field::Nanoseconds,
            "__timestamp__:rfc3339" => Field::Rfc3339,
            other if other.is_empty() || other.starts_with("__timestamp__:") => {
                return Err(format!("{other:?} is no column"));
            }
            label => Field::Label(label.to_owned()),
        })
    }
}

/// Staleness markers have no place in columns.
fn put_csv(labels: &LabelSet, samples: &Samples, fields: &[Field], out: &mut String) {
    for (time, value) in floats(samples).filter(|(_, value)| !is_stale(*value)) {
        for (at, field) in fields.iter().enumerate() {
            if at != 0 {
                out.push(',');
            }
            match field {
                Field::Value => write_sample_value(out, value),
                Field::Seconds => out.push_str(&time.div_euclid(1000).to_string()),
                Field::Milliseconds => out.push_str(&time.to_string()),
                Field::Nanoseconds => {
                    out.push_str(&(i128::from(time) * 1_000_000).to_string());
                }
                Field::Rfc3339 => out.push_str(&format_rfc3339(TimestampMs(time))),
                Field::Label(name) => put_field(labels.value(name), out),
            }
        }
        out.push('\n');
    }
}

fn put_field(text: &str, out: &mut String) {
    if text.contains([',', '"', '\n', '\r']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

/// Staleness markers have no place in OpenMetrics, nor have series without a name.
fn put_openmetrics(labels: &LabelSet, samples: &Samples, out: &mut String) {
    if labels.value(METRIC_NAME).is_empty() {
        return;
    }
    let series = series_text(labels);
    for (time, value) in floats(samples).filter(|(_, value)| !is_stale(*value)) {
        out.push_str(&series);
        out.push(' ');
        write_general(out, value);
        let sign = if time < 0 { "-" } else { "" };
        let ms = time.unsigned_abs();
        out.push_str(&format!(" {sign}{}.{:03}\n", ms / 1000, ms % 1000));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::native_histogram::NativeHistogram;
    use model::staleness::stale_nan;

    use super::*;

    fn samples() -> Samples {
        let mut samples = Samples::default();
        for (time, value) in
            [(1000, 1.5), (1001, f64::NAN), (1002, stale_nan()), (1003, f64::NEG_INFINITY)]
        {
            samples.push(TimestampMs(time), value);
        }
        samples.histograms.push((4, Arc::new(NativeHistogram::default())));
        samples.push(TimestampMs(1004), 0.0);
        samples
    }

    fn labels() -> LabelSet {
        LabelSet::new([("__name__", "a"), ("b", "c,\"d\"")])
    }

    #[test]
    fn json_lines_are_cut_and_have_words_for_what_is_no_number() {
        let mut out = String::new();
        put_json(&labels(), &samples(), 3, &mut out);
        let metric = r#"{"metric":{"__name__":"a","b":"c,\"d\""},"values":"#;
        let first = r#"[1.5,"NaN",null],"timestamps":[1000,1001,1002]}"#;
        let second = r#"["-Infinity"],"timestamps":[1003]}"#;
        assert_eq!(out, format!("{metric}{first}\n{metric}{second}\n"));
    }

    #[test]
    fn columns_are_as_the_format_says() {
        let names = ["__name__", "b", "none", "__value__", "__timestamp__:unix_s", "__timestamp__"];
        let fields: Vec<Field> =
            names.into_iter().map(|name| Field::read(name).expect("a column")).collect();
        let mut out = String::new();
        put_csv(&labels(), &samples(), &fields, &mut out);
        let line = |value: &str, time: &str| format!("a,\"c,\"\"d\"\"\",,{value},1,{time}\n");
        let expected = [line("1.5", "1000"), line("NaN", "1001"), line("-Inf", "1003")].concat();
        assert_eq!(out, expected);
        assert!(Field::read("__timestamp__:x").is_err());
    }

    #[test]
    fn openmetrics_has_seconds() {
        let mut out = String::new();
        put_openmetrics(&labels(), &samples(), &mut out);
        let series = "a{b=\"c,\\\"d\\\"\"}";
        let expected = format!("{series} 1.5 1.000\n{series} NaN 1.001\n{series} -Inf 1.003\n");
        assert_eq!(out, expected);
    }
}
