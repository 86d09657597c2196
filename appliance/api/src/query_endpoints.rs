//! Endpoints of expressions: `query`, `query_range`, `format_query`, `parse_query`.
//!
//! Path: `router` → **query endpoints** → `query::evaluate` → `answer`; the backend hears of the
//! beginning and the end of each query.
//!
//! Source: `query` and `queryRange` of Prometheus's `web/api/v1/api.go`, whose order of checks
//! decides which of two faults is reported.

use model::time::TimestampMs;
use query::ast::Expr;
use query::evaluate::{Answer as QueryAnswer, Query, QueryError, Stats, evaluate};
use query::parse::parse;
use query::print::pretty::pretty;
use query::source::SourceError;
use query::value::Value;

use crate::answer::{Answer, Content, Success};
use crate::backend::Finished;
use crate::call::{Call, Context, Watch};
use crate::failure::{Failure, Kind};
use crate::query_stats::stats_json;
use crate::tree::tree;

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
    Answer::json(&pretty(&expression(context, call)?, PRETTY_BYTES_MAX))
}

/// `/api/v1/parse_query`
pub fn parse_query(context: &Context, call: &Call) -> Result<Answer, Failure> {
    Answer::json(&tree(&expression(context, call)?))
}

fn expression(context: &Context, call: &Call) -> Result<Expr, Failure> {
    let options = context.backend.engine().parse;
    parse(call.parameters.first("query"), &options)
        .map_err(|errors| Failure::parameter("query", errors))
}

struct Range {
    start: TimestampMs,
    end: TimestampMs,
    step_ms: i64,
}

fn run(context: &Context, call: &Call, range: Range, limit: usize) -> Result<Answer, Failure> {
    let timeout_ms = timeout_ms(context, call)?;
    let lookback_ms = lookback_ms(context, call)?;
    let stats_wanted = call.parameters.first("stats");
    let mut options = context.backend.engine();
    options.per_step_stats &= stats_wanted == "all";
    let query = Query {
        text: call.parameters.first("query").to_owned(),
        start: range.start,
        end: range.end,
        step_ms: range.step_ms,
        lookback_ms,
        options,
    };
    let watch = Watch::new(context, call, timeout_ms);
    let (result, stats) = evaluated(context, call, &query, (&watch, timeout_ms));
    let timings = watch.timings();
    let error = result.as_ref().err();
    // What is no query is its asker's business alone.
    if !error.is_some_and(|failure| failure.kind == Kind::BadData) {
        let error = error.map(|failure| failure.text.as_str());
        let is_sorted = matches!(result, Ok(QueryAnswer { value: Value::Matrix(_), .. }));
        let finished = Finished {
            query: &query,
            active: &call.active,
            error,
            stats: &stats,
            timings,
            is_sorted,
        };
        context.backend.finished(&finished);
    }
    let QueryAnswer { mut value, mut warnings, infos, .. } = result?;
    if truncate(&mut value, limit) {
        warnings.push("results truncated due to limit".to_owned());
    }
    warnings.extend(stats_warning(stats_wanted));
    let stats = (!stats_wanted.is_empty()).then(|| stats_json(&stats, &timings));
    Ok(Answer::Success(Success { data: Content::Query { value, stats }, warnings, infos }))
}

/// The answer, unless the query's time was over or it was killed while it waited; and what it
/// cost, as far as a failed one tells.
fn evaluated(
    context: &Context,
    call: &Call,
    query: &Query,
    (watch, timeout_ms): (&Watch<'_>, u64),
) -> (Result<QueryAnswer, Failure>, Stats) {
    let waited = |kind, text: &str| (Err(Failure::new(kind, text)), Stats::default());
    if call.active.is_killed() {
        return waited(Kind::Canceled, "query was canceled in query queue");
    }
    if watch.is_late() {
        return waited(Kind::Timeout, "query timed out in query queue");
    }
    let source = context.backend.source(call.alive(context, timeout_ms));
    let _noted = context.backend.began(&query.text);
    let result = evaluate(query, &*source, watch).map_err(failure);
    let stats = match &result {
        Ok(answer) => answer.stats.clone(),
        Err(_) => Stats { samples_read: call.active.meter.samples_read(), ..Stats::default() },
    };
    (result, stats)
}

/// Any value asks for stats; upstream will refuse all but two.
fn stats_warning(stats: &str) -> Option<String> {
    (!matches!(stats, "" | "true" | "all")).then(|| {
        let stats = model::label_name::quote(stats);
        format!(
            "value {stats} for parameter \"stats\" is deprecated and will be rejected in the next \
             major release, use \"true\" or \"all\""
        )
    })
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
        QueryError::Execution(_)
        | QueryError::TooManySamples
        | QueryError::Memory { .. }
        | QueryError::SharedMemory { .. } => Failure::new(Kind::Execution, text),
        QueryError::Source(SourceError::TooManySeries { .. } | SourceError::Memory { .. }) => {
            Failure::new(Kind::Execution, text)
        }
        QueryError::Source(_) => Failure::new(Kind::Internal, text),
    }
}

/// The failure of a source that was asked directly.
pub fn source_failure(error: &SourceError) -> Failure {
    let kind = match error {
        SourceError::TooManySeries { .. } | SourceError::Memory { .. } => Kind::Execution,
        SourceError::Ended => Kind::Timeout,
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
