//! Chart: results on a terminal: a table, and a line of blocks for each series of a range.

use std::io::{self, Write};

use model::number::format_general;
use serde_json::Value;

use crate::tool_command::value_text::{label_set_text, metric_text, number, time_text};
use crate::tsdb_command::print::table;

/// Eighths of a block, the least first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Width of a chart.
const CHARS: usize = 60;
/// Series that are drawn.
const SERIES_MAX: usize = 50;

/// Writes instant results, series and values as a table.
///
/// # Errors
/// The output refuses.
pub fn write_table(out: &mut impl Write, data: &Value) -> io::Result<()> {
    let mut rows = Vec::new();
    match data["resultType"].as_str() {
        Some("vector") => {
            rows.push(vec!["SERIES".to_owned(), "VALUE".to_owned()]);
            for series in data["result"].as_array().into_iter().flatten() {
                let value = match &series["value"] {
                    Value::Null => {
                        let histogram = &series["histogram"][1];
                        let part = |name: &str| histogram[name].as_str().unwrap_or("").to_owned();
                        format!("histogram: count {}, sum {}", part("count"), part("sum"))
                    }
                    value => format_general(number(&value[1])),
                };
                rows.push(vec![metric_text(&series["metric"]), value]);
            }
        }
        Some("matrix") => {
            rows.push(["SERIES", "TIME", "VALUE"].map(str::to_owned).to_vec());
            for series in data["result"].as_array().into_iter().flatten() {
                for pair in series["values"].as_array().into_iter().flatten() {
                    let value = format_general(number(&pair[1]));
                    rows.push(vec![metric_text(&series["metric"]), time_text(&pair[0]), value]);
                }
            }
        }
        Some(_) => {
            return writeln!(out, "{}", data["result"][1].as_str().unwrap_or(""));
        }
        None => {
            for item in data.as_array().into_iter().flatten() {
                match item {
                    Value::String(text) => writeln!(out, "{text}")?,
                    labels => writeln!(out, "{}", label_set_text(labels))?,
                }
            }
            return Ok(());
        }
    }
    if rows.len() == 1 {
        return writeln!(out, "(no series)");
    }
    table(out, &rows)
}

/// Draws the series of a range from `start` to `end`, seconds.
///
/// # Errors
/// The output refuses.
pub fn draw(out: &mut impl Write, data: &Value, start: f64, end: f64) -> io::Result<()> {
    let series: Vec<&Value> = data["result"].as_array().into_iter().flatten().collect();
    if series.is_empty() {
        return writeln!(out, "(no series)");
    }
    for one in series.iter().take(SERIES_MAX) {
        writeln!(out, "{}", metric_text(&one["metric"]))?;
        let samples = one["values"].as_array().into_iter().flatten();
        let points: Vec<(f64, f64)> = samples
            .map(|pair| (pair[0].as_f64().unwrap_or(0.0), number(&pair[1])))
            .filter(|(_, value)| value.is_finite())
            .collect();
        let Some(last) = points.last() else {
            writeln!(out, "  (no finite values)")?;
            continue;
        };
        let low = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
        let line = line_of(&points, (start, end), (low, high));
        let (low, high, last) = (format_general(low), format_general(high), format_general(last.1));
        writeln!(out, "  {line}  min {low}  max {high}  last {last}")?;
    }
    if SERIES_MAX < series.len() {
        writeln!(out, "and {} more series", series.len() - SERIES_MAX)?;
    }
    Ok(())
}

/// A block a part of the range: the last value in it, a space where there is none.
fn line_of(points: &[(f64, f64)], (start, end): (f64, f64), (low, high): (f64, f64)) -> String {
    let mut line = [' '; CHARS];
    for (time, value) in points {
        let column = part(*time, start, end, CHARS);
        line[column] = BLOCKS[part(*value, low, high, BLOCKS.len())];
    }
    line.iter().collect()
}

/// In which of `count` equal parts of a range a number is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the float is within 0 and the count, which is small"
)]
fn part(number: f64, low: f64, high: f64, count: usize) -> usize {
    let share = if low < high { ((number - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
    ((share * count as f64) as usize).min(count - 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_range_is_a_line_a_series() {
        let values: Vec<Value> = (0..=8).map(|at| json!([at, at.to_string()])).collect();
        let data = json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "up"}, "values": values}]});
        let mut out = Vec::new();
        draw(&mut out, &data, 0.0, 8.0).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        assert!(text.starts_with("up\n  ▁      ▂"), "{text}");
        assert!(text.contains("█  min 0  max 8  last 8"), "{text}");
    }

    #[test]
    fn a_vector_is_a_table() {
        let data = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a"}, "value": [1, "1"]}]});
        let mut out = Vec::new();
        write_table(&mut out, &data).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "SERIES       VALUE\nup{job=\"a\"}  1\n");
    }
}
