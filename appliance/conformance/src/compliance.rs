//! Suite `compliance`: the PromQL compliance tester's queries over its demo data, compared with
//! the answers that a reference Prometheus gave, as the tester compares them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use model::label_set::LabelSet;
use model::time::TimestampMs;
use query::evaluate::{EngineOptions, LOOKBACK_MS_DEFAULT, Query, Unbounded, evaluate};
use query::value::{Point, Value};
use serde::Deserialize;

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
/// Relative difference that the tester takes for equal.
const TOLERANCE: f64 = 1e-5;
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
    range: Reply,
    instant: Reply,
}

#[derive(Deserialize)]
struct Reply {
    data: Option<ReplyData>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum ReplyData {
    Matrix(Vec<MatrixSeries>),
    Vector(Vec<VectorSample>),
    Scalar((f64, String)),
}

#[derive(Deserialize)]
struct MatrixSeries {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

#[derive(Deserialize)]
struct VectorSample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Points by label set; a scalar has the empty set and a type of its own.
#[derive(Debug, PartialEq)]
struct Series {
    kind: &'static str,
    points: BTreeMap<LabelSet, Vec<(i64, f64)>>,
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

fn judge(case: &Case, reply: &Reply, grid: (i64, i64), memory: &Memory) -> Result<(), String> {
    let found = answer(&case.query, grid, memory);
    if let Some((_, like)) = SINCE_THREE.iter().find(|(query, _)| *query == case.query) {
        let expected = found_series(answer(like, grid, memory)?)?;
        return compare(&expected, &found_series(found?)?);
    }
    match (found, case.should_fail, &reply.data) {
        (Err(_), true, _) => Ok(()),
        (Ok(_), true, _) => Err("expected an error, got an answer".to_owned()),
        (Err(error), false, _) => Err(format!("unexpected failure: {error}")),
        (Ok(_), false, None) => Err("the reference has no answer".to_owned()),
        (Ok(value), false, Some(data)) => {
            let expected = expected_series(data).map_err(|error| format!("{error:#}"))?;
            compare(&expected, &found_series(value)?)
        }
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

fn expected_series(data: &ReplyData) -> Result<Series> {
    let labels = |metric: &BTreeMap<String, String>| {
        LabelSet::new(metric.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    };
    let mut points = BTreeMap::new();
    let kind = match data {
        ReplyData::Matrix(series) => {
            for one in series {
                let values = one.values.iter().map(point).collect::<Result<Vec<_>>>()?;
                points.insert(labels(&one.metric), values);
            }
            "matrix"
        }
        ReplyData::Vector(samples) => {
            for one in samples {
                points.insert(labels(&one.metric), vec![point(&one.value)?]);
            }
            "vector"
        }
        ReplyData::Scalar(value) => {
            points.insert(LabelSet::empty(), vec![point(value)?]);
            "scalar"
        }
    };
    Ok(Series { kind, points })
}

fn point((seconds, value): &(f64, String)) -> Result<(i64, f64)> {
    let ms = (seconds * 1000.0).round();
    if !(0.0..1e15).contains(&ms) {
        bail!("{seconds} s is no time of a reference answer");
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded and rounded above")]
    let ms = ms as i64;
    Ok((ms, value.parse().with_context(|| format!("value {value:?}"))?))
}

fn found_series(value: Value) -> Result<Series, String> {
    let mut points = BTreeMap::new();
    let mut put = |labels: LabelSet, own: Vec<(i64, f64)>| match points.insert(labels, own) {
        None => Ok(()),
        Some(_) => Err("two series have the same labels".to_owned()),
    };
    let kind = match value {
        Value::Matrix(series) => {
            for one in series {
                let floats = one.points.floats.iter().map(|(time, value)| (time.0, *value));
                put(one.labels, floats.collect())?;
            }
            "matrix"
        }
        Value::Vector(samples) => {
            for sample in samples {
                let Point::Float(value) = sample.value else {
                    return Err("a histogram in an answer about floats".to_owned());
                };
                put(sample.labels, vec![(sample.timestamp.0, value)])?;
            }
            "vector"
        }
        Value::Scalar(time, value) => {
            put(LabelSet::empty(), vec![(time.0, value)])?;
            "scalar"
        }
        Value::String(..) => return Err("a text for an answer".to_owned()),
    };
    Ok(Series { kind, points })
}

fn compare(expected: &Series, found: &Series) -> Result<(), String> {
    if expected.kind != found.kind {
        return Err(format!("expected a {}, got a {}", expected.kind, found.kind));
    }
    if let Some(labels) = found.points.keys().find(|one| !expected.points.contains_key(*one)) {
        return Err(format!("unexpected series {labels}"));
    }
    for (labels, expected) in &expected.points {
        let Some(found) = found.points.get(labels) else {
            return Err(format!("series {labels} is missing"));
        };
        if expected.len() != found.len() {
            let (expected, found) = (expected.len(), found.len());
            return Err(format!("{labels}: expected {expected} points, got {found}"));
        }
        for (expected, found) in expected.iter().zip(found) {
            if expected.0 != found.0 || !is_close(expected.1, found.1) {
                return Err(format!("{labels}: expected {expected:?}, got {found:?}"));
            }
        }
    }
    Ok(())
}

/// Equal within the tester's tolerance; NaN equals NaN, infinities only themselves.
fn is_close(expected: f64, found: f64) -> bool {
    if expected == found || (expected.is_nan() && found.is_nan()) {
        return true;
    }
    let smaller = expected.abs().min(found.abs());
    expected.is_finite() && found.is_finite() && (expected - found).abs() <= TOLERANCE * smaller
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_close_values_are_equal() {
        assert!(is_close(f64::NAN, f64::NAN));
        assert!(is_close(100_000.0, 100_000.9));
        assert!(!is_close(100_000.0, 100_001.1));
        assert!(!is_close(0.0, 1e-300));
        assert!(is_close(f64::INFINITY, f64::INFINITY));
        assert!(!is_close(f64::INFINITY, f64::MAX));
        assert!(!is_close(f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn replies_are_read() {
        let reply = r#"{"data":{"resultType":"vector","result":[{"metric":{"a":"b"},
            "value":[1.137,"+Inf"]}]}}"#;
        let reply: Reply = serde_json::from_str(reply).expect("a reply");
        let series = expected_series(&reply.data.expect("data")).expect("series");
        let point = (LabelSet::new([("a", "b")]), vec![(1137, f64::INFINITY)]);
        assert_eq!(series, Series { kind: "vector", points: BTreeMap::from([point]) });
    }
}
