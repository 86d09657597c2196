//! Endpoints that evaluate: `query`, `query_range`, `format_query`.
//!
//! Source: `query` and `queryRange` of Prometheus's `web/api/v1/api.go`, whose order of checks
//! decides which of two faults is reported.

use model::time::TimestampMs;
use query::evaluate::{Answer as QueryAnswer, Query, QueryError, Stats, evaluate};
use query::parse::parse;
use query::print::pretty::pretty;
use query::source::SourceError;
use query::value::Value;

use crate::answer::{Answer, Content, Success};
use crate::call::{Call, Context, Watch};
use crate::failure::{Failure, Kind};
use crate::json::Writer;

/// Most steps of a range query, upstream's: an hour at a minute's resolution for a week, and no
/// screen shows more.
const STEPS_MAX: i128 = 11_000;

/// Bytes of a line of `format_query`, upstream's.
const PRETTY_BYTES_MAX: usize = 100;

const NANOS_PER_MS: i64 = 1_000_000;

/// `/api/v1/query`
pub fn query(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let limit = call.parameters.limit("limit")?;
    let time = call.parameters.time("time", call.received.wall)?;
    run(context, call, Range { start: time, end: time, step_ms: 0 }, limit)
}

/// `/api/v1/query_range`
pub fn query_range(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let limit = call.parameters.limit("limit")?;
    let start = call.parameters.required_time("start")?;
    let end = call.parameters.required_time("end")?;
    if end < start {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    let step_nanos = crate::timestamp::parse_duration_nanos(call.parameters.first("step"))
        .map_err(|error| Failure::parameter("step", error))?;
    if step_nanos <= 0 {
        let reason = "zero or negative query resolution step widths are not accepted. Try a \
                      positive integer";
        return Err(Failure::parameter("step", reason));
    }
    let span_nanos = (i128::from(end.0) - i128::from(start.0)) * i128::from(NANOS_PER_MS);
    if STEPS_MAX < span_nanos / i128::from(step_nanos) {
        return Err(Failure::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
             query resolution (?step=XX)",
        ));
    }
    let step_ms = (step_nanos / NANOS_PER_MS).max(1);
    run(context, call, Range { start, end, step_ms }, limit)
}

/// `/api/v1/format_query`
pub fn format_query(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let options = context.backend.engine().parse;
    let expression = parse(call.parameters.first("query"), &options)
        .map_err(|errors| Failure::parameter("query", errors))?;
    Answer::json(&pretty(&expression, PRETTY_BYTES_MAX))
}

struct Range {
    start: TimestampMs,
    end: TimestampMs,
    step_ms: i64,
}

fn run(context: &Context, call: &Call, range: Range, limit: usize) -> Result<Answer, Failure> {
    let timeout_ms = timeout_ms(context, call)?;
    let lookback_ms = lookback_ms(context, call)?;
    let mut warnings = Vec::new();
    let stats_wanted = match call.parameters.first("stats") {
        "" => false,
        "true" | "all" => true,
        other => {
            let other = model::label_name::quote(other);
            warnings.push(format!("unknown value {other} of stats: use \"true\" or \"all\""));
            true
        }
    };
    let watch = Watch::new(context, call, timeout_ms);
    let began = context.backend.now().tick;
    let queued_nanos = began.since(call.received.tick);
    context.backend.observe_query("queue_time", queued_nanos);
    if call.received.tick.after_ms(timeout_ms) <= began {
        return Err(Failure::new(Kind::Timeout, "query timed out in query queue"));
    }
    let mut options = context.backend.engine();
    options.per_step_stats |= call.parameters.first("stats") == "all";
    let text = call.parameters.first("query").to_owned();
    let query = Query {
        text,
        start: range.start,
        end: range.end,
        step_ms: range.step_ms,
        lookback_ms,
        options,
    };
    let source = context.backend.source();
    let QueryAnswer { mut value, warnings: found, infos, stats } =
        evaluate(&query, &*source, &watch).map_err(failure)?;
    let eval_nanos = context.backend.now().tick.since(began);
    context.backend.observe_query("inner_eval", eval_nanos);
    warnings.extend(found);
    if truncate(&mut value, limit) {
        warnings.push("results truncated due to limit".to_owned());
    }
    let stats = stats_wanted.then(|| stats_json(&stats, queued_nanos, eval_nanos));
    Ok(Answer::Success(Success { data: Content::Query { value, stats }, warnings, infos }))
}

/// `timeout` can only shorten what the flag allows.
fn timeout_ms(context: &Context, call: &Call) -> Result<u64, Failure> {
    let allowed_ms = context.backend.settings().query_timeout_ms;
    let asked = call.parameters.duration_nanos("timeout");
    match asked.map_err(|error| Failure::parameter("timeout", error))? {
        None => Ok(allowed_ms),
        Some(nanos) => Ok(u64::try_from(nanos / NANOS_PER_MS).unwrap_or(0).min(allowed_ms)),
    }
}

fn lookback_ms(context: &Context, call: &Call) -> Result<i64, Failure> {
    let asked = call.parameters.duration_nanos("lookback_delta").map_err(|error| {
        Failure::bad_data(format!("error parsing lookback delta duration: {error}"))
    })?;
    let asked_ms = asked.map_or(0, |nanos| nanos / NANOS_PER_MS);
    Ok(if 0 < asked_ms { asked_ms } else { context.backend.settings().lookback_ms })
}

fn failure(error: QueryError) -> Failure {
    let text = error.to_string();
    match error {
        QueryError::Parse(_) => Failure::parameter("query", text),
        QueryError::Timeout => Failure::new(Kind::Timeout, text),
        QueryError::Canceled => Failure::new(Kind::Canceled, text),
        QueryError::Execution(_) | QueryError::TooManySamples | QueryError::Memory { .. } => {
            Failure::new(Kind::Execution, text)
        }
        QueryError::Source(SourceError::TooManySeries { .. }) => {
            Failure::new(Kind::Execution, text)
        }
        QueryError::Source(_) => Failure::new(Kind::Internal, text),
    }
}

/// The failure of a source that was asked directly.
pub fn source_failure(error: &SourceError) -> Failure {
    let kind = match error {
        SourceError::TooManySeries { .. } => Kind::Execution,
        SourceError::Unavailable(_) => Kind::Unavailable,
        SourceError::Damaged(_) => Kind::Internal,
    };
    Failure::new(kind, error.to_string())
}

/// Cuts the list of series to `limit`, unless that is 0; whether anything went.
fn truncate(value: &mut Value, limit: usize) -> bool {
    if limit == 0 {
        return false;
    }
    match value {
        Value::Vector(samples) if limit < samples.len() => samples.truncate(limit),
        Value::Matrix(series) if limit < series.len() => series.truncate(limit),
        _ => return false,
    }
    true
}

/// JSON of `data.stats`. The parts of the work that upstream tells apart run interleaved here:
/// they are given as one.
fn stats_json(stats: &Stats, queued_nanos: u64, eval_nanos: u64) -> String {
    let mut json = Text::default();
    let mut writer = Writer::new(&mut json);
    let seconds = |nanos: u64| std::time::Duration::from_nanos(nanos).as_secs_f64();
    let timings = [
        ("{\"timings\":{\"evalTotalTime\":", seconds(eval_nanos)),
        (",\"resultSortTime\":", 0.0),
        (",\"queryPreparationTime\":", 0.0),
        (",\"innerEvalTime\":", seconds(eval_nanos)),
        (",\"execQueueTime\":", seconds(queued_nanos)),
        (",\"execTotalTime\":", seconds(queued_nanos.saturating_add(eval_nanos))),
    ];
    for (key, value) in timings {
        writer.raw(key);
        writer.float(value);
    }
    writer.raw("},\"samples\":{");
    if !stats.samples_per_step.is_empty() {
        writer.raw("\"totalQueryableSamplesPerStep\":[");
        for (at, (time, samples)) in stats.samples_per_step.iter().enumerate() {
            writer.raw(if at == 0 { "[" } else { ",[" });
            writer.time(*time);
            writer.raw(",");
            writer.integer(*samples);
            writer.raw("]");
        }
        writer.raw("],");
    }
    writer.raw("\"totalQueryableSamples\":");
    writer.integer(stats.samples_total);
    writer.raw(",\"samplesRead\":");
    writer.integer(stats.samples_read);
    writer.raw(",\"peakSamples\":");
    writer.integer(stats.samples_peak);
    writer.raw("}}");
    // A text never leaves.
    let _ = writer.finish();
    json.0
}

/// Collects what is written into one text.
#[derive(Default)]
struct Text(String);

impl crate::json::Sink for Text {
    fn take(&mut self, chunk: &[u8]) -> Result<(), crate::json::Gone> {
        self.0.push_str(&String::from_utf8_lossy(chunk));
        Ok(())
    }
}
