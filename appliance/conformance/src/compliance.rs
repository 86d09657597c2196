//! Suite `compliance`: the PromQL compliance tester's queries over its demo data, compared with
//! the answers that a reference Prometheus gave, as the tester compares them.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use model::time::TimestampMs;
use query::evaluate::{EngineOptions, LOOKBACK_MS_DEFAULT, Query, Unbounded, evaluate};
use query::value::Value;
use serde::Deserialize;

use crate::answers::{Answer, Reply, Tolerance};
use crate::memory::Memory;
use crate::report::Report;

/// Folder of the demo data and of the answers.
const FOLDER: &str = "prometheus-compliance/promql";
/// Steps that the range queries were asked at; the instant ones at the last.
const START_MS: i64 = 1_700_004_200_137;
/// The last step.
pub const END_MS: i64 = 1_700_004_800_137;
/// Milliseconds between the steps.
pub const STEP_MS: i64 = 10_000;
/// What the tester takes for equal.
const TOLERANCE: Tolerance = Tolerance { relative: 1e-5, absolute: 0.0 };
/// Most bytes of an inflated file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Queries that the tester's list says must fail, which is true of version 2 only, and the query
/// that each must answer like: the engine of version 3 takes any UTF-8 text for a label name,
/// whatever `metric_name_validation_scheme` says of scraped names ("true of 2.x and of legacy name
/// validation only: against a 3.x reference the tester aborts"). Here an empty label is set.
const SINCE_THREE: [(&str, &str); 1] =
    [(r#"label_replace(demo_num_cpus, "~invalid", "", "src", "(.*)")"#, "demo_num_cpus")];

#[derive(Deserialize)]
struct Case {
    query: String,
    should_fail: bool,
    range: Replied,
    instant: Replied,
}

#[derive(Deserialize)]
struct Replied {
    data: Option<Reply>,
}

/// Runs the suite.
///
/// # Errors
/// Data or answers cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let memory = demo(directory)?;
    let mut range = Report::new("compliance/range");
    let mut instant = Report::new("compliance/instant");
    for line in inflate(&directory.join(FOLDER).join("reference-answers.jsonl.gz"))?.lines() {
        let case: Case = serde_json::from_str(line).context("parse a reference answer")?;
        let ranged = judge(&case, &case.range, (START_MS, STEP_MS), &memory);
        range.count(case.query.clone(), ranged);
        let once = judge(&case, &case.instant, (END_MS, 0), &memory);
        instant.count(case.query.clone(), once);
    }
    Ok(vec![range, instant])
}

/// The tester's demo data.
///
/// # Errors
/// It cannot be read.
pub fn demo(directory: &Path) -> Result<Memory> {
    let path = directory.join(FOLDER).join("demo.om.gz");
    Memory::read(&inflate(&path)?).with_context(|| format!("read {}", path.display()))
}

fn inflate(path: &Path) -> Result<String> {
    let file = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let mut text = String::new();
    let read = GzDecoder::new(file.as_slice()).take(FILE_BYTES_MAX).read_to_string(&mut text);
    read.with_context(|| format!("inflate {}", path.display()))?;
    Ok(text)
}

fn judge(case: &Case, reply: &Replied, grid: (i64, i64), memory: &Memory) -> Result<(), String> {
    let found = answer(&case.query, grid, memory);
    if let Some((_, like)) = SINCE_THREE.iter().find(|(query, _)| *query == case.query) {
        let expected = Answer::of(answer(like, grid, memory)?)?;
        return expected.compare(&Answer::of(found?)?, TOLERANCE);
    }
    match (found, case.should_fail, &reply.data) {
        (Err(_), true, _) => Ok(()),
        (Ok(_), true, _) => Err("expected an error, got an answer".to_owned()),
        (Err(error), false, _) => Err(format!("unexpected failure: {error}")),
        (Ok(_), false, None) => Err("the reference has no answer".to_owned()),
        (Ok(value), false, Some(data)) => data.answer()?.compare(&Answer::of(value)?, TOLERANCE),
    }
}

fn answer(text: &str, (start_ms, step_ms): (i64, i64), memory: &Memory) -> Result<Value, String> {
    let query = Query {
        text: text.to_owned(),
        start: TimestampMs(start_ms),
        end: TimestampMs(END_MS),
        step_ms,
        lookback_ms: LOOKBACK_MS_DEFAULT,
        options: EngineOptions::default(),
    };
    let answer = evaluate(&query, memory, &Unbounded).map_err(|error| error.to_string())?;
    Ok(answer.value)
}
