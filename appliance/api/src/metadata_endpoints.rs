//! Endpoints about what targets say beside samples: `metadata`, `targets/metadata`,
//! `query_exemplars`.

use std::collections::{BTreeMap, BTreeSet};

use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::number::format_sample_value;
use model::time::TimestampMs;
use query::ast::{Expr, ExprKind, LabelMatcher};
use query::parse::parse;
use serde::Serialize;

use crate::answer::Answer;
use crate::backend::FamilyMetadata;
use crate::call::{Call, Context};
use crate::failure::{Failure, Kind};
use crate::selector::parse_selector;

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct MetadataJson {
    #[serde(rename = "type")]
    metric_type: &'static str,
    unit: String,
    help: String,
}

#[derive(Serialize)]
struct TargetMetadataJson {
    target: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    metric: String,
    #[serde(rename = "type")]
    metric_type: &'static str,
    help: String,
    unit: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeriesJson {
    series_labels: BTreeMap<String, String>,
    exemplars: Vec<ExemplarJson>,
}

#[derive(Serialize)]
struct ExemplarJson {
    labels: BTreeMap<String, String>,
    value: String,
    timestamp: Seconds,
}

/// Seconds as Go writes them: without fraction where there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Seconds {
    Whole(i64),
    Fraction(f64),
}

/// `/api/v1/metadata`
pub fn metadata(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let limit = limit(call, "limit")?;
    let per_metric = limit_above_zero(call, "limit_per_metric")?;
    let metric = call.parameters.first("metric");
    let mut found: BTreeMap<String, BTreeSet<MetadataJson>> = BTreeMap::new();
    let mut add = |families: &[FamilyMetadata]| {
        for family in families.iter().filter(|family| metric.is_empty() || family.name == metric) {
            let known = found.entry(family.name.clone()).or_default();
            if known.len() < per_metric {
                known.insert(MetadataJson {
                    metric_type: family.metric_type,
                    unit: family.unit.clone(),
                    help: family.help.clone(),
                });
            }
        }
    };
    let visited = context.backend.metadata(&mut |_, families| {
        add(families);
        true
    });
    visited.map_err(unavailable)?;
    add(&context.backend.pushed_metadata().map_err(unavailable)?);
    while limit < found.len() {
        found.pop_last();
    }
    Answer::json(&found)
}

/// `/api/v1/targets/metadata`
pub fn targets_metadata(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let limit = limit(call, "limit")?;
    let metric = call.parameters.first("metric");
    let matchers = match call.parameters.first("match_target") {
        "" => Vec::new(),
        text => parse_selector(text).map_err(|e| Failure::parameter("match_target", e))?,
    };
    let mut found: Vec<TargetMetadataJson> = Vec::new();
    let visited = context.backend.metadata(&mut |labels, families| {
        if limit <= found.len() {
            return false;
        }
        if matchers.iter().all(|matcher| matcher.matches(labels.value(&matcher.name))) {
            let wanted = |family: &&FamilyMetadata| metric.is_empty() || family.name == metric;
            found.extend(families.iter().filter(wanted).map(|family| TargetMetadataJson {
                target: map(labels),
                metric: if metric.is_empty() { family.name.clone() } else { String::new() },
                metric_type: family.metric_type,
                help: family.help.clone(),
                unit: family.unit.clone(),
            }));
        }
        true
    });
    visited.map_err(unavailable)?;
    Answer::json(&found)
}

/// `/api/v1/query_exemplars`
pub fn query_exemplars(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let (from, to) = call.range()?;
    if to < from {
        return Err(Failure::bad_data("end timestamp must not be before start timestamp"));
    }
    let options = context.backend.engine().parse;
    let expr = parse(call.parameters.first("query"), &options)
        .map_err(|errors| Failure::bad_data(errors.to_string()))?;
    let mut sets = Vec::new();
    selectors(&expr, &mut sets);
    let compiled: Result<Vec<Vec<Matcher>>, String> = sets.into_iter().map(compile).collect();
    let compiled = compiled.map_err(Failure::bad_data)?;
    if compiled.is_empty() {
        // Upstream answers what has no data with no content.
        return Ok(Answer::status_text(204, ""));
    }
    let found = context.backend.exemplars(compiled, from, to).map_err(unavailable)?;
    let found: Vec<SeriesJson> = found
        .into_iter()
        .map(|series| SeriesJson {
            series_labels: map(&series.labels),
            exemplars: series
                .exemplars
                .into_iter()
                .map(|exemplar| ExemplarJson {
                    labels: map(&exemplar.labels),
                    value: format_sample_value(exemplar.value),
                    timestamp: seconds(exemplar.timestamp),
                })
                .collect(),
        })
        .collect();
    Answer::json(&found)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of any date that is met are exact")]
fn seconds(timestamp: TimestampMs) -> Seconds {
    match timestamp.0 % 1000 {
        0 => Seconds::Whole(timestamp.0 / 1000),
        _ => Seconds::Fraction(timestamp.0 as f64 / 1e3),
    }
}

/// The matchers of every selector in `expr`; the parser bounds how deep it is.
fn selectors<'a>(expr: &'a Expr, into: &mut Vec<&'a [LabelMatcher]>) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) => selectors(inner, into),
        ExprKind::Unary(unary) => selectors(&unary.expr, into),
        ExprKind::Binary(binary) => {
            selectors(&binary.left, into);
            selectors(&binary.right, into);
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(parameter) = &aggregate.parameter {
                selectors(parameter, into);
            }
            selectors(&aggregate.expr, into);
        }
        ExprKind::Call(call) => call.args.iter().for_each(|arg| selectors(arg, into)),
        ExprKind::Vector(selector) => into.push(&selector.matchers),
        ExprKind::Matrix(matrix) => into.push(&matrix.selector.matchers),
        ExprKind::Subquery(subquery) => selectors(&subquery.expr, into),
    }
}

fn compile(written: &[LabelMatcher]) -> Result<Vec<Matcher>, String> {
    let compile = |matcher: &LabelMatcher| {
        Matcher::new(&matcher.name, matcher.op, &matcher.value).map_err(|error| error.to_string())
    };
    written.iter().map(compile).collect()
}

fn map(labels: &LabelSet) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A limit; absent or negative it is none.
fn limit(call: &Call, name: &str) -> Result<usize, Failure> {
    let text = call.parameters.first(name);
    if text.is_empty() {
        return Ok(usize::MAX);
    }
    let number = text.parse::<i64>();
    let number = number.map_err(|_| Failure::bad_data(format!("{name} must be a number")))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

/// A limit of which 0 is none too.
fn limit_above_zero(call: &Call, name: &str) -> Result<usize, Failure> {
    limit(call, name).map(|limit| if limit == 0 { usize::MAX } else { limit })
}

fn unavailable(reason: String) -> Failure {
    Failure::new(Kind::Unavailable, reason)
}
