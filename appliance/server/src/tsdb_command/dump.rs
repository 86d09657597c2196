//! `cresset tsdb dump` and `dump-openmetrics`: samples as text.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use exposition::openmetrics::write::series_text;
use model::label_set::LabelSet;
use model::number::{write_general, write_sample_value};
use query::native::describe::text_of;
use serde_json::{Map, Value as Json, json};
use tsdb::sample::{Sample, Value};

use crate::tsdb_arguments::{DumpForm, DumpOptions};
use crate::tsdb_command::opened::{open, selectors_of};
use crate::tsdb_command::print::{Ended, output};

/// Writes the samples.
///
/// # Errors
/// The directory cannot be read, or standard output refuses.
pub fn run(options: &DumpOptions) -> Result<Ended> {
    let selectors = selectors_of(&options.selectors)?;
    let opened = open(&options.directory)?;
    let mut stream = opened.series(&selectors, options.range)?;
    let mut out = output();
    let (mut samples, mut text) = (Vec::new(), String::new());
    while let Some(labels) = stream.read(&mut samples)? {
        text.clear();
        match options.form {
            DumpForm::Lines => lines(&labels, &samples, &mut text),
            DumpForm::OpenMetrics => openmetrics(&labels, &samples, &mut text),
            DumpForm::Json => json_line(&labels, &samples, &mut text),
            DumpForm::SeriesJson => {
                writeln!(text, "{}", labels_json(&labels)).expect("a String takes it");
            }
        }
        out.write_all(text.as_bytes())?;
    }
    if options.form == DumpForm::OpenMetrics {
        out.write_all(b"# EOF\n")?;
    }
    out.flush()?;
    Ok(Ended::Well)
}

/// `{labels} value milliseconds`, as promtool.
fn lines(labels: &LabelSet, samples: &[Sample], text: &mut String) {
    let labels = labels.to_string();
    for sample in samples {
        text.push_str(&labels);
        text.push(' ');
        match &sample.value {
            Value::Float(value) => write_general(text, *value),
            Value::Histogram(histogram) => text.push_str(&text_of(&histogram.native)),
        }
        writeln!(text, " {}", sample.timestamp).expect("a String takes it");
    }
}

/// Floats as OpenMetrics, as promtool; histograms have no such text and are left out.
fn openmetrics(labels: &LabelSet, samples: &[Sample], text: &mut String) {
    let series = series_text(labels);
    for sample in samples {
        let Value::Float(value) = sample.value else { continue };
        text.push_str(&series);
        text.push(' ');
        write_general(text, value);
        let ms = sample.timestamp.0;
        let sign = if ms < 0 { "-" } else { "" };
        let ms = ms.unsigned_abs();
        writeln!(text, " {sign}{}.{:03}", ms / 1000, ms % 1000).expect("a String takes it");
    }
}

fn labels_json(labels: &LabelSet) -> Json {
    let pairs = labels.iter().map(|(name, value)| (name.to_owned(), Json::from(value)));
    Json::Object(pairs.collect::<Map<String, Json>>())
}

/// A series with its samples; values are texts, since JSON has no NaN and no infinity.
fn json_line(labels: &LabelSet, samples: &[Sample], text: &mut String) {
    let value = |sample: &Sample| {
        let mut text = String::new();
        match &sample.value {
            Value::Float(value) => write_sample_value(&mut text, *value),
            Value::Histogram(histogram) => text.push_str(&text_of(&histogram.native)),
        }
        Json::from(text)
    };
    let times: Vec<i64> = samples.iter().map(|sample| sample.timestamp.0).collect();
    let values: Vec<Json> = samples.iter().map(value).collect();
    let mut line = json!({"metric": labels_json(labels), "timestamps_ms": times, "values": values});
    if samples.iter().any(|sample| sample.start.0 != 0) {
        let starts: Vec<i64> = samples.iter().map(|sample| sample.start.0).collect();
        line["start_timestamps_ms"] = starts.into();
    }
    writeln!(text, "{line}").expect("a String takes it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_promtools() {
        let labels = LabelSet::new([("__name__", "m"), ("a", "b")]);
        let samples = [Sample::float(-1500, 1e6), Sample::float(2, f64::NAN)];
        let mut text = String::new();
        lines(&labels, &samples, &mut text);
        let line = "{__name__=\"m\", a=\"b\"}";
        assert_eq!(text, format!("{line} 1e+06 -1500\n{line} NaN 2\n"));
        text.clear();
        openmetrics(&labels, &samples, &mut text);
        assert_eq!(text, "m{a=\"b\"} 1e+06 -1.500\nm{a=\"b\"} NaN 0.002\n");
    }
}
