//! Aggregations of vectors.

use std::collections::BTreeMap;

use model::label_set::{Builder, LabelSet, METRIC_NAME};
use model::number::format_sample_value;
use query::ast::{AggregateExpr, AggregateOp};

use crate::naive::histogram::sum_of;
use crate::naive::value::{Fault, Sample, Vector, unique};
use crate::naive::window::{deviation, extreme, quantile};

/// The parameter of an aggregation.
#[derive(Clone, Debug)]
pub(crate) enum Parameter {
    None,
    Number(f64),
    Text(String),
}

/// The aggregation of a vector.
pub(crate) fn fold(
    aggregate: &AggregateExpr,
    parameter: &Parameter,
    vector: Vector,
) -> Result<Vector, Fault> {
    if let (AggregateOp::CountValues, Parameter::Text(name)) = (aggregate.op, parameter) {
        return count_values(aggregate, name, &vector);
    }
    let mut groups: BTreeMap<LabelSet, Vector> = BTreeMap::new();
    for (labels, sample) in vector {
        groups.entry(group_of(aggregate, &labels)).or_default().push((labels, sample));
    }
    let mut result = Vector::new();
    for (labels, members) in groups {
        match (aggregate.op, parameter) {
            (AggregateOp::Topk | AggregateOp::Bottomk, Parameter::Number(k)) => {
                result.extend(best(&members, *k, aggregate.op == AggregateOp::Topk)?);
            }
            (AggregateOp::Limitk, Parameter::Number(k)) => {
                if 1.0 <= *k && *k < count(members.len()) {
                    // Which ones is the engine's choice.
                    return Err(Fault::Unknown);
                }
                result.extend(members.into_iter().filter(|_| 1.0 <= *k));
            }
            (AggregateOp::LimitRatio, _) => return Err(Fault::Unknown),
            (op, parameter) => {
                let folded = one(op, parameter, members.into_iter().map(|(_, sample)| sample));
                result.extend(folded.map(|sample| (labels, sample)));
            }
        }
    }
    unique(result)
}

#[expect(clippy::cast_precision_loss, reason = "worlds are small")]
fn count(len: usize) -> f64 {
    len as f64
}

fn group_of(aggregate: &AggregateExpr, labels: &LabelSet) -> LabelSet {
    let mut builder = Builder::from(labels);
    builder.retain(|name| {
        let named = aggregate.grouping.iter().any(|label| label == name);
        if aggregate.without { !named && name != METRIC_NAME } else { named }
    });
    builder.build()
}

/// The one sample of a group, if there is one.
fn one(
    op: AggregateOp,
    parameter: &Parameter,
    members: impl Iterator<Item = Sample>,
) -> Option<Sample> {
    let mut floats = Vec::new();
    let mut histograms = Vec::new();
    for member in members {
        match member {
            Sample::Float(value) => floats.push(value),
            Sample::Histogram(histogram) => histograms.push(histogram),
        }
    }
    let all = count(floats.len() + histograms.len());
    match op {
        AggregateOp::Count => return Some(Sample::Float(all)),
        AggregateOp::Group => return Some(Sample::Float(1.0)),
        AggregateOp::Sum | AggregateOp::Avg if !histograms.is_empty() => {
            if !floats.is_empty() {
                return None;
            }
            let sum = sum_of(&histograms)?;
            let sum = if op == AggregateOp::Avg { sum.divided(all) } else { sum };
            return Some(Sample::Histogram(sum));
        }
        _ if floats.is_empty() => return None,
        _ => {}
    }
    let sum: f64 = floats.iter().sum();
    Some(Sample::Float(match (op, parameter) {
        (AggregateOp::Sum, _) => sum,
        (AggregateOp::Avg, _) => sum / all,
        (AggregateOp::Min, _) => extreme(&floats, false),
        (AggregateOp::Max, _) => extreme(&floats, true),
        (AggregateOp::Stdvar, _) => deviation(&floats),
        (AggregateOp::Stddev, _) => deviation(&floats).sqrt(),
        (AggregateOp::Quantile, Parameter::Number(at)) => quantile(*at, &floats),
        _ => return None,
    }))
}

fn best(members: &Vector, k: f64, top: bool) -> Result<Vector, Fault> {
    let mut floats: Vec<(&LabelSet, f64)> = Vec::new();
    for (labels, sample) in members {
        if let Sample::Float(value) = sample {
            floats.push((labels, *value));
        }
    }
    if k.is_nan() || k < 1.0 {
        return Ok(Vector::new());
    }
    // NaN is worst.
    floats.sort_by(|a, b| match (a.1.is_nan(), b.1.is_nan()) {
        (false, false) if top => b.1.total_cmp(&a.1),
        (false, false) => a.1.total_cmp(&b.1),
        (left, right) => left.cmp(&right),
    });
    let kept = floats.iter().zip(1_u32..).take_while(|(_, at)| f64::from(*at) <= k.floor());
    let kept = kept.count();
    if kept < floats.len() {
        let (last, next) = (floats[kept - 1].1, floats[kept].1);
        if last == next || (last.is_nan() && next.is_nan()) {
            // Which of equal values stay is the engine's choice.
            return Err(Fault::Unknown);
        }
    }
    let kept = floats[..kept].iter();
    Ok(kept.map(|(labels, value)| ((*labels).clone(), Sample::Float(*value))).collect())
}

/// The value is a label like others when groups are made.
fn count_values(aggregate: &AggregateExpr, name: &str, members: &Vector) -> Result<Vector, Fault> {
    let mut counts: BTreeMap<LabelSet, f64> = BTreeMap::new();
    for (labels, sample) in members {
        let Sample::Float(value) = sample else { return Err(Fault::Unknown) };
        let value = format_sample_value(*value);
        let mut builder = Builder::from(labels);
        builder.set(name, &value);
        let mut builder = Builder::from(&group_of(aggregate, &builder.build()));
        if !aggregate.without {
            builder.set(name, &value);
        }
        *counts.entry(builder.build()).or_default() += 1.0;
    }
    Ok(counts.into_iter().map(|(labels, count)| (labels, Sample::Float(count))).collect())
}
