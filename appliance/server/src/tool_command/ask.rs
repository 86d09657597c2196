//! `cresset query` and `cresset check healthy` and `ready`.
//!
//! Source: Prometheus's `cmd/promtool/query.go`.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Result, anyhow};
use api::timestamp::parse_time;
use model::time::TimestampMs;
use serde_json::Value;

use crate::tool_arguments::{Form, QueryOptions, Question, ServerOptions};
use crate::tool_command::chart::{draw, write_table};
use crate::tool_command::connection::Connection;
use crate::tool_command::ended::Ended;
use crate::tool_command::value_text::{label_set_text, result_text};
use crate::tsdb_command::print::output;

/// How long a query may take: promtool's.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(120);
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);
/// Default range of `query range`.
const RANGE_MS: i64 = 300_000;
/// Steps of a range whose step is not given, at most.
const STEPS: i64 = 250;
/// How far series and labels are looked for where no time is given: promtool's.
const FAR_MS: i64 = 9_999 * 3_600_000;

/// Asks for `path`, which is the health or readiness of a server.
///
/// # Errors
/// It does not answer, or says that it is not.
pub fn status(server: &ServerOptions, path: &str) -> Result<Ended> {
    let mut connection = Connection::new(server)?;
    let response = connection.get(path, STATUS_TIMEOUT)?;
    if response.status != 200 {
        let url = connection.base();
        return Err(anyhow!("check failed: URL={url}, status={}", response.status));
    }
    eprintln!("  SUCCESS:  {}", String::from_utf8_lossy(&response.body));
    Ok(Ended::Well)
}

/// Asks and writes the answer.
///
/// # Errors
/// A time is none, the server does not answer, or with an error.
pub fn run(options: &QueryOptions) -> Result<Ended> {
    let mut connection = Connection::new(&options.server)?;
    let now = machine::clock::now().wall;
    let mut range = (0.0, 0.0);
    let asked = match &options.question {
        Question::Instant(expr) => {
            let time = time_or(options.start.as_deref(), "evaluation", now)?;
            let form = [("query", expr.as_str()), ("time", &seconds(time))];
            connection.ask("/api/v1/query", &form, QUERY_TIMEOUT)
        }
        Question::Range(expr, step_ms) => {
            let end = time_or(options.end.as_deref(), "end", now)?;
            let before = TimestampMs(end.0.saturating_sub(RANGE_MS));
            let start = time_or(options.start.as_deref(), "start", before)?;
            if end <= start {
                return Err(anyhow!("start time is not before end time"));
            }
            range = (float_seconds(start), float_seconds(end));
            let step = step_seconds(*step_ms, start, end);
            let (start, end) = (seconds(start), seconds(end));
            let form =
                [("query", expr.as_str()), ("start", &start), ("end", &end), ("step", &step)];
            connection.ask("/api/v1/query_range", &form, QUERY_TIMEOUT)
        }
        Question::Series(selectors) => {
            let (start, end) = wide_range(options, now)?;
            let mut form = vec![("start", start.as_str()), ("end", end.as_str())];
            form.extend(selectors.iter().map(|selector| ("match[]", selector.as_str())));
            connection.ask("/api/v1/series", &form, QUERY_TIMEOUT)
        }
        Question::Labels(name, selectors) => {
            let (start, end) = wide_range(options, now)?;
            let mut form = vec![("start", start.as_str()), ("end", end.as_str())];
            form.extend(selectors.iter().map(|selector| ("match[]", selector.as_str())));
            // This endpoint has no POST.
            let path = format!("/api/v1/label/{}/values", label_in_path(name));
            let path = format!("{path}?{}", crate::tool_command::connection::encode(&form));
            connection.get_answer(&path, QUERY_TIMEOUT)
        }
    };
    let answer = asked.map_err(|error| anyhow!("query error: {error:#}"))?;
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        eprintln!("query warning: {}", warning.as_str().unwrap_or(""));
    }
    write(options, &answer["data"], range)?;
    Ok(Ended::Well)
}

fn write(options: &QueryOptions, data: &Value, (start, end): (f64, f64)) -> Result<()> {
    let is_range = matches!(options.question, Question::Range(..));
    let form = match options.form {
        Form::Auto if !std::io::stdout().is_terminal() => Form::Promql,
        Form::Auto if is_range => Form::Chart,
        Form::Auto => Form::Table,
        form => form,
    };
    let mut out = output();
    match form {
        Form::Chart if is_range => draw(&mut out, data, start, end)?,
        Form::Chart | Form::Table => write_table(&mut out, data)?,
        Form::Json => match &data["result"] {
            Value::Null => writeln!(out, "{data}")?,
            result => writeln!(out, "{result}")?,
        },
        Form::Auto | Form::Promql => match data.as_array() {
            None => writeln!(out, "{}", result_text(data))?,
            Some(items) => {
                for item in items {
                    match item {
                        Value::String(text) => writeln!(out, "{text}")?,
                        labels => writeln!(out, "{}", label_set_text(labels))?,
                    }
                }
            }
        },
    }
    out.flush()?;
    Ok(())
}

fn time_or(text: Option<&str>, what: &str, default: TimestampMs) -> Result<TimestampMs> {
    match text {
        None => Ok(default),
        Some(text) => {
            parse_time(text).map_err(|error| anyhow!("error parsing {what} time: {error}"))
        }
    }
}

fn wide_range(options: &QueryOptions, now: TimestampMs) -> Result<(String, String)> {
    let start = time_or(options.start.as_deref(), "start", TimestampMs(now.0 - FAR_MS))?;
    let end = time_or(options.end.as_deref(), "end", TimestampMs(now.0 + FAR_MS))?;
    Ok((seconds(start), seconds(end)))
}

/// A time as the API takes it.
#[must_use]
pub fn seconds(time: TimestampMs) -> String {
    let mut text = String::new();
    model::number::write_timestamp_ms(&mut text, time.0);
    text
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a chart")]
fn float_seconds(time: TimestampMs) -> f64 {
    time.0 as f64 / 1000.0
}

fn step_seconds(step_ms: Option<u64>, start: TimestampMs, end: TimestampMs) -> String {
    let step = step_ms.and_then(|ms| i64::try_from(ms).ok());
    let whole = (end.0.saturating_sub(start.0) / 1000 / STEPS).max(1).saturating_mul(1000);
    seconds(TimestampMs(step.unwrap_or(whole)))
}

/// A label's name as a part of a path: escaped where it is none of the old form.
fn label_in_path(name: &str) -> String {
    if model::label_name::is_legacy_label_name(name) {
        name.to_owned()
    } else {
        model::label_name::escape_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_a_250th_of_the_range() {
        let step = |step, end| step_seconds(step, TimestampMs(0), TimestampMs(end));
        assert_eq!(step(None, 300_000), "1");
        assert_eq!(step(None, 3_600_000), "14");
        assert_eq!(step(Some(500), 1), "0.500");
    }
}
