//! Suite `promqltest`: PromQL test scripts, evaluated over an in-memory store.
//!
//! Every instant query runs again with `@` put on its selectors at other times, and as the middle
//! step of a range query: the answer must not change.

pub mod script;

pub mod compare;
pub mod store;

pub mod rewrite;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use model::time::TimestampMs;
use query::evaluate::{Answer, EngineOptions, LOOKBACK_MS_DEFAULT, Query, Unbounded, evaluate};
use query::parse::options::Options;
use query::value::{Point, Sample, Value};

use crate::promqltest::compare::{compare_value, compare_vector};
use crate::promqltest::script::{Command, Eval, Notes, parse_script};
use crate::promqltest::store::Store;
use crate::report::Report;

const MINUTE_MS: i64 = 60_000;

/// Runs the suite.
///
/// # Errors
/// The scripts cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let directory = directory.join("prometheus/promqltest");
    let mut paths = Vec::new();
    let entries =
        std::fs::read_dir(&directory).with_context(|| format!("read {}", directory.display()))?;
    for entry in entries {
        let path = entry.context("read directory entry")?.path();
        if path.extension().is_some_and(|extension| extension == "test") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut reports = Vec::new();
    for path in paths {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        reports.push(run_script(&stem, &text));
    }
    Ok(reports)
}

/// Runs one script.
#[must_use]
pub fn run_script(name: &str, text: &str) -> Report {
    let mut report = Report::new(format!("promqltest/{name}"));
    let mut store = Store::default();
    for command in parse_script(text) {
        match command {
            Command::Clear => store = Store::default(),
            Command::Load(load) => {
                if let Err(reason) = store.load(&load) {
                    report.count(format!("line {}", load.line), Err(reason));
                }
            }
            Command::Eval(eval) => {
                let source = Arc::new(store.clone());
                let verdict =
                    judge(&eval, &source).map_err(|reason| format!("{}: {reason}", eval.expr));
                report.count(format!("line {}", eval.line), verdict);
            }
            Command::Invalid { line, reason } => {
                report.count(format!("line {line}"), Err(reason));
            }
        }
    }
    report
}

fn options() -> EngineOptions {
    EngineOptions {
        samples_max: 10_000,
        delayed_name_removal: true,
        use_start_timestamps: true,
        parse: Options::ALL,
        ..EngineOptions::default()
    }
}

fn ask(
    text: &str,
    start: i64,
    end: i64,
    step_ms: i64,
    store: &Arc<Store>,
) -> Result<Answer, String> {
    let query = Query {
        text: text.to_owned(),
        start: TimestampMs(start),
        end: TimestampMs(end),
        step_ms,
        lookback_ms: LOOKBACK_MS_DEFAULT,
        options: options(),
    };
    evaluate(&query, store.as_ref(), &Unbounded).map_err(|error| error.to_string())
}

fn judge(eval: &Eval, store: &Arc<Store>) -> Result<(), String> {
    if eval.is_range {
        let answer = ask(&eval.expr, eval.start_ms, eval.end_ms, eval.step_ms, store);
        let Some(answer) = expected_answer(eval, answer)? else { return Ok(()) };
        eval.notes.check(&answer)?;
        return compare_value(eval, &answer.value);
    }
    judge_instant(eval, &eval.expr, eval.eval_ms, store)?;
    for (expr, time_ms) in rewrite::with_at(&eval.expr, eval.eval_ms)? {
        judge_instant(eval, &expr, time_ms, store)
            .map_err(|reason| format!("{expr} at {time_ms} ms: {reason}"))?;
    }
    Ok(())
}

/// The answer, or nothing where a failure was expected and came.
fn expected_answer(eval: &Eval, answer: Result<Answer, String>) -> Result<Option<Answer>, String> {
    match (answer, eval.notes.fails()) {
        (Ok(answer), false) => Ok(Some(answer)),
        (Ok(_), true) => Err("expected an error, got an answer".to_owned()),
        (Err(error), false) => Err(format!("failed: {error}")),
        (Err(error), true) => eval.notes.check_failure(&error).map(|()| None),
    }
}

fn judge_instant(eval: &Eval, expr: &str, time_ms: i64, store: &Arc<Store>) -> Result<(), String> {
    let answer = ask(expr, time_ms, time_ms, 0, store);
    let Some(answer) = expected_answer(eval, answer)? else { return Ok(()) };
    eval.notes.check(&answer)?;
    compare_value(eval, &answer.value)?;
    let of_query = ["start()", "end()", "range()", "step()"];
    if eval.instant_only || of_query.iter().any(|function| expr.contains(function)) {
        return Ok(());
    }
    let (start, end) = (time_ms - MINUTE_MS, time_ms + MINUTE_MS);
    let ranged = ask(expr, start, end, MINUTE_MS, store)
        .map_err(|error| format!("in range mode: failed: {error}"))?;
    if eval.notes.ordered() {
        return Ok(());
    }
    let Value::Matrix(matrix) = ranged.value else {
        return Err("in range mode: no matrix".to_owned());
    };
    let samples: Vec<Sample> = matrix
        .into_iter()
        .filter_map(|series| {
            let at = |time: &TimestampMs| time.0 == time_ms;
            let float = series.points.floats.iter().find(|(time, _)| at(time));
            let histogram = series.points.histograms.iter().find(|(time, _)| at(time));
            let value = match (float, histogram) {
                (_, Some((_, histogram))) => Point::Histogram(Arc::clone(histogram)),
                (Some((_, value)), None) => Point::Float(*value),
                (None, None) => return None,
            };
            Some(Sample { labels: series.labels, timestamp: TimestampMs(time_ms), value })
        })
        .collect();
    let compared = match (&answer.value, samples.first()) {
        (Value::Scalar(time, _), Some(Sample { value: Point::Float(value), .. })) => {
            compare_value(eval, &Value::Scalar(*time, *value))
        }
        (Value::Scalar(..), _) => Err("no scalar".to_owned()),
        _ => compare_vector(eval, &samples),
    };
    compared.map_err(|reason| format!("in range mode: {reason}"))
}

impl Notes {
    fn check(&self, answer: &Answer) -> Result<(), String> {
        self.check_kind("warn", &answer.warnings)?;
        self.check_kind("info", &answer.infos)
    }
}
