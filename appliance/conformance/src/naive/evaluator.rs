//! The walk over the tree, a step at a time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use model::label_set::{Builder, LabelSet, METRIC_NAME};
use model::matcher::{MatchOp, Matcher};
use model::regex::GoRegex;
use model::staleness::is_stale;
use query::ast::{
    At, BinaryOp, Call, Duration, DurationExpr, DurationExprKind, Expr, ExprKind, LabelMatcher,
    Modifiers, SubqueryExpr, VectorSelector,
};
use query::parse::options::Options;
use query::parse::parse;
use query::value::Point;
use query::value_type::ValueType;

use crate::answers::Answer;
use crate::naive::fold::{Parameter, fold};
use crate::naive::histogram::Histogram;
use crate::naive::join;
use crate::naive::pointwise::{self, Wanted, histograms};
use crate::naive::value::{Fault, Ranged, Sample, Value, Vector, nameless, unique};
use crate::naive::window::{Window, extended, is_extended, over_time};
use crate::random::query::Asked;
use crate::random::world::{LOOKBACK_MS, Stored, World, WorldSample};

/// Step of a subquery that names none.
const SUBQUERY_STEP_MS: i64 = 60_000;
/// Most expressions that are evaluated for an answer: subqueries in subqueries multiply.
const EVALUATIONS_MAX: u64 = 20_000;

/// The answer to a query.
///
/// # Errors
/// There is none, or this evaluator does not say.
pub fn answer(asked: &Asked, world: &World) -> Result<Answer, Fault> {
    let (selected, left) = (RefCell::default(), Cell::new(EVALUATIONS_MAX));
    // What is asked is the text: printing brings matchers into an order.
    let expr = parse(&asked.expr.to_string(), &Options::ALL).map_err(|_| Fault::Unknown)?;
    let evaluator = Evaluator { world, asked, selected, left };
    let mut points: BTreeMap<LabelSet, Vec<(i64, Point)>> = BTreeMap::new();
    let is_instant = asked.step_ms == 0;
    let mut kind = "matrix";
    let mut text = String::new();
    let mut at_ms = asked.start_ms;
    while at_ms <= asked.end_ms {
        let vector = match evaluator.value(&expr, at_ms)? {
            Value::Scalar(value) => {
                kind = if is_instant { "scalar" } else { kind };
                vec![(LabelSet::empty(), Sample::Float(value))]
            }
            Value::Vector(vector) => {
                kind = if is_instant { "vector" } else { kind };
                vector
            }
            Value::Text(own) => {
                (kind, text) = ("string", own);
                Vec::new()
            }
            Value::Matrix(ranged) => {
                for one in ranged {
                    let own = one.samples.into_iter().map(|(time, sample)| (time, point(sample)));
                    points.insert(one.labels, own.collect());
                }
                Vec::new()
            }
        };
        for (labels, sample) in vector {
            points.entry(labels).or_default().push((at_ms, point(sample)));
        }
        if is_instant {
            break;
        }
        at_ms += asked.step_ms;
    }
    Ok(Answer { kind, text, points })
}

fn point(sample: Sample) -> Point {
    match sample {
        Sample::Float(value) => Point::Float(value),
        Sample::Histogram(histogram) => Point::Histogram(Arc::new(histogram.native())),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Prometheus has times")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

struct Evaluator<'a> {
    world: &'a World,
    asked: &'a Asked,
    /// Series by selector (its place in memory), found once.
    selected: RefCell<BTreeMap<usize, Rc<Vec<Selected>>>>,
    /// Expressions that may still be evaluated.
    left: Cell<u64>,
}

/// A series that a selector matches.
type Selected = (LabelSet, Arc<Stored>);

impl Evaluator<'_> {
    fn value(&self, expr: &Expr, at_ms: i64) -> Result<Value, Fault> {
        self.left.set(self.left.get().checked_sub(1).ok_or(Fault::Unknown)?);
        match &expr.kind {
            ExprKind::Number(number) => Ok(Value::Scalar(number.value)),
            ExprKind::String(text) => Ok(Value::Text(text.clone())),
            ExprKind::Paren(inner) => self.value(inner, at_ms),
            ExprKind::Unary(unary) => match self.value(&unary.expr, at_ms)? {
                value if !unary.negative => Ok(value),
                Value::Scalar(value) => Ok(Value::Scalar(-value)),
                value => {
                    let negative = self.vector_of(value)?.into_iter().map(|(labels, sample)| {
                        let sample = match sample {
                            Sample::Float(value) => Sample::Float(-value),
                            Sample::Histogram(one) => Sample::Histogram(one.map(|n| -n)),
                        };
                        (nameless(&labels), sample)
                    });
                    unique(negative.collect()).map(Value::Vector)
                }
            },
            ExprKind::Binary(binary) => {
                let sides = (self.value(&binary.left, at_ms)?, self.value(&binary.right, at_ms)?);
                match sides {
                    (Value::Scalar(_), Value::Scalar(_))
                        if matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) =>
                    {
                        Err(Fault::Execution)
                    }
                    (Value::Scalar(left), Value::Scalar(right)) => {
                        Ok(Value::Scalar(join::numbers(binary.op, left, right)))
                    }
                    (Value::Vector(vector), Value::Scalar(scalar)) => {
                        join::with_scalar(binary, vector, scalar, false).map(Value::Vector)
                    }
                    (Value::Scalar(scalar), Value::Vector(vector)) => {
                        join::with_scalar(binary, vector, scalar, true).map(Value::Vector)
                    }
                    (left, right) => {
                        let (left, right) = (self.vector_of(left)?, self.vector_of(right)?);
                        join::vectors(binary, left, right).map(Value::Vector)
                    }
                }
            }
            ExprKind::Aggregate(aggregate) => {
                let parameter = match &aggregate.parameter {
                    None => Parameter::None,
                    Some(parameter) => match self.value(parameter, at_ms)? {
                        Value::Scalar(value) => Parameter::Number(value),
                        Value::Text(text) => Parameter::Text(text),
                        _ => return Err(Fault::Unknown),
                    },
                };
                let vector = self.vector(&aggregate.expr, at_ms)?;
                fold(aggregate, &parameter, vector).map(Value::Vector)
            }
            ExprKind::Call(call) => self.call(call, at_ms),
            ExprKind::Vector(selector) => {
                let found = self.instant(selector, at_ms)?.into_iter();
                Ok(Value::Vector(found.map(|(labels, _, sample)| (labels, sample)).collect()))
            }
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => {
                self.ranged(expr, at_ms).map(|(ranged, _)| Value::Matrix(ranged))
            }
        }
    }

    fn vector_of(&self, value: Value) -> Result<Vector, Fault> {
        match value {
            Value::Vector(vector) => Ok(vector),
            Value::Scalar(_) | Value::Text(_) | Value::Matrix(_) => Err(Fault::Unknown),
        }
    }

    fn vector(&self, expr: &Expr, at_ms: i64) -> Result<Vector, Fault> {
        self.value(expr, at_ms).and_then(|value| self.vector_of(value))
    }

    fn scalar(&self, expr: &Expr, at_ms: i64) -> Result<f64, Fault> {
        match self.value(expr, at_ms)? {
            Value::Scalar(value) => Ok(value),
            _ => Err(Fault::Unknown),
        }
    }

    fn text(&self, expr: &Expr) -> Result<String, Fault> {
        match self.value(expr, 0)? {
            Value::Text(text) => Ok(text),
            _ => Err(Fault::Unknown),
        }
    }

    fn duration_ms(&self, duration: &Duration) -> i64 {
        match duration {
            Duration::Ms(ms) => *ms,
            Duration::Expr(expr) => {
                #[expect(clippy::cast_possible_truncation, reason = "durations drawn are short")]
                let ms = (self.duration_seconds(expr) * 1000.0).round() as i64;
                ms
            }
        }
    }

    fn duration_seconds(&self, expr: &DurationExpr) -> f64 {
        let of = |expr: &DurationExpr| self.duration_seconds(expr);
        match &expr.kind {
            DurationExprKind::Number(number) => number.value,
            DurationExprKind::Paren(inner) => of(inner),
            DurationExprKind::Unary { negative, expr } => {
                if *negative {
                    -of(expr)
                } else {
                    of(expr)
                }
            }
            DurationExprKind::Binary { op, left, right } => join::numbers(*op, of(left), of(right)),
            DurationExprKind::Step => seconds(self.asked.step_ms),
            DurationExprKind::Range => seconds(self.asked.end_ms - self.asked.start_ms),
            DurationExprKind::Min(left, right) => of(left).min(of(right)),
            DurationExprKind::Max(left, right) => of(left).max(of(right)),
        }
    }

    /// The time that modifiers make of a step.
    fn moved(&self, modifiers: &Modifiers, at_ms: i64) -> i64 {
        let at_ms = match modifiers.at {
            None => at_ms,
            Some(At::Time(ms)) => ms,
            Some(At::Start) => self.asked.start_ms,
            Some(At::End) => self.asked.end_ms,
        };
        at_ms - modifiers.offset.as_ref().map_or(0, |offset| self.duration_ms(offset))
    }

    /// The series that a selector matches.
    fn series(&self, selector: &VectorSelector) -> Result<Rc<Vec<Selected>>, Fault> {
        let key = std::ptr::from_ref(selector).addr();
        if let Some(known) = self.selected.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let compiled = selector.matchers.iter().map(|matcher| {
            Matcher::new(&matcher.name, matcher.op, &matcher.value).map_err(|_| Fault::Unknown)
        });
        let matchers: Vec<Matcher> = compiled.collect::<Result<_, _>>()?;
        let matching =
            self.world.series.iter().filter(|(labels, _)| {
                matchers.iter().all(|matcher| matcher.matches_labels(labels))
            });
        let matching = matching.map(|(labels, stored)| (labels.clone(), Arc::clone(stored)));
        let found = Rc::new(matching.collect::<Vec<_>>());
        self.selected.borrow_mut().insert(key, Rc::clone(&found));
        Ok(found)
    }

    /// Samples of the series of a selector: after one time, up to another.
    fn select(
        &self,
        selector: &VectorSelector,
        after_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<Ranged>, Fault> {
        let series = self.series(selector)?;
        let ranged = series.iter().map(|(labels, stored)| {
            let samples = between(&stored.0, after_ms, until_ms).iter();
            let samples = samples.map(|sample| (sample.time_ms, own(sample)));
            Ranged { labels: labels.clone(), samples: samples.collect() }
        });
        Ok(ranged.collect())
    }

    /// The last sample of each series within the lookback, with its time.
    fn instant(
        &self,
        selector: &VectorSelector,
        at_ms: i64,
    ) -> Result<Vec<(LabelSet, i64, Sample)>, Fault> {
        if selector.modifiers.smoothed || selector.modifiers.anchored {
            return Err(Fault::Unknown);
        }
        let at_ms = self.moved(&selector.modifiers, at_ms);
        let mut found = Vec::new();
        for (labels, stored) in self.series(selector)?.iter() {
            match between(&stored.0, at_ms - LOOKBACK_MS, at_ms).last() {
                Some(last) if last.histogram.is_some() || !is_stale(last.value) => {
                    found.push((labels.clone(), last.time_ms, own(last)));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The samples of a range or of a subquery, and the window they are in.
    fn ranged(&self, expr: &Expr, at_ms: i64) -> Result<(Vec<Ranged>, Window), Fault> {
        match &expr.kind {
            ExprKind::Paren(inner) => self.ranged(inner, at_ms),
            ExprKind::Matrix(matrix) => {
                let until_ms = self.moved(&matrix.selector.modifiers, at_ms);
                let window =
                    Window { from_ms: until_ms - self.duration_ms(&matrix.range), until_ms };
                // Extended ranges reach for a sample outside on either side.
                let reach = if is_extended(matrix) { LOOKBACK_MS } else { 0 };
                let ahead = if matrix.selector.modifiers.smoothed { LOOKBACK_MS } else { 0 };
                let mut ranged =
                    self.select(&matrix.selector, window.from_ms - reach, until_ms + ahead)?;
                for one in &mut ranged {
                    one.samples.retain(
                        |(_, sample)| !matches!(sample, Sample::Float(value) if is_stale(*value)),
                    );
                }
                ranged.retain(|one| !one.samples.is_empty());
                Ok((ranged, window))
            }
            ExprKind::Subquery(subquery) => self.subquery(subquery, at_ms),
            _ => Err(Fault::Unknown),
        }
    }

    fn subquery(
        &self,
        subquery: &SubqueryExpr,
        at_ms: i64,
    ) -> Result<(Vec<Ranged>, Window), Fault> {
        let until_ms = self.moved(&subquery.modifiers, at_ms);
        let window = Window { from_ms: until_ms - self.duration_ms(&subquery.range), until_ms };
        let step = subquery.step.as_ref().map_or(SUBQUERY_STEP_MS, |step| self.duration_ms(step));
        let mut series: BTreeMap<LabelSet, Vec<(i64, Sample)>> = BTreeMap::new();
        if step < 1 {
            return Err(Fault::Unknown);
        }
        let mut time = (window.from_ms.div_euclid(step) + 1) * step;
        while time <= until_ms {
            for (labels, sample) in self.vector(&subquery.expr, time)? {
                series.entry(labels).or_default().push((time, sample));
            }
            time += step;
        }
        let ranged = series.into_iter().map(|(labels, samples)| Ranged { labels, samples });
        Ok((ranged.collect(), window))
    }

    fn call(&self, call: &Call, at_ms: i64) -> Result<Value, Fault> {
        let scalar = |at: usize| self.scalar(&call.args[at], at_ms);
        let asked = self.asked;
        let value = match call.function.name {
            "time" => seconds(at_ms),
            "pi" => std::f64::consts::PI,
            "start" => seconds(asked.start_ms),
            "end" => seconds(asked.end_ms),
            "step" => seconds(asked.step_ms),
            "range" => seconds(asked.end_ms - asked.start_ms),
            "min_of" | "max_of" => {
                let (left, right) = (scalar(0)?, scalar(1)?);
                if left.is_nan() || right.is_nan() {
                    return Err(Fault::Unknown);
                }
                if call.function.name == "min_of" { left.min(right) } else { left.max(right) }
            }
            "scalar" => match &self.vector(&call.args[0], at_ms)?[..] {
                [(_, Sample::Float(value))] => *value,
                [_, _, ..] | [] => {
                    let vector = self.vector(&call.args[0], at_ms)?;
                    let is_float =
                        |sample: &&(LabelSet, Sample)| matches!(sample.1, Sample::Float(_));
                    let mut floats = vector.iter().filter(is_float);
                    match (floats.next(), floats.next()) {
                        (Some((_, Sample::Float(value))), None) => *value,
                        _ => f64::NAN,
                    }
                }
                [_] => f64::NAN,
            },
            "vector" => {
                let sample = Sample::Float(scalar(0)?);
                return Ok(Value::Vector(vec![(LabelSet::empty(), sample)]));
            }
            _ => return self.vector_call(call, at_ms).and_then(unique).map(Value::Vector),
        };
        Ok(Value::Scalar(value))
    }

    fn vector_call(&self, call: &Call, at_ms: i64) -> Result<Vector, Fault> {
        let name = call.function.name;
        let is_range = call.function.arg_types.contains(&ValueType::Matrix);
        match name {
            "absent" | "absent_over_time" => self.absent(call, at_ms),
            _ if is_range => self.range_call(call, at_ms),
            "timestamp" => self.timestamp(&call.args[0], at_ms),
            "sort" | "sort_desc" => {
                let mut vector = self.vector(&call.args[0], at_ms)?;
                vector.retain(|(_, sample)| matches!(sample, Sample::Float(_)));
                Ok(vector)
            }
            "sort_by_label" | "sort_by_label_desc" => self.vector(&call.args[0], at_ms),
            "label_replace" => self.label_replace(call, at_ms),
            "label_join" => self.label_join(call, at_ms),
            "histogram_quantile" => {
                let wanted = Wanted::Quantile(self.scalar(&call.args[0], at_ms)?);
                histograms(wanted, &self.vector(&call.args[1], at_ms)?)
            }
            "histogram_fraction" => {
                let lower = self.scalar(&call.args[0], at_ms)?;
                let upper = self.scalar(&call.args[1], at_ms)?;
                histograms(Wanted::Fraction(lower, upper), &self.vector(&call.args[2], at_ms)?)
            }
            "info" | "histogram_quantiles" | "start_timestamp" => Err(Fault::Unknown),
            _ => self.map(call, at_ms),
        }
    }

    /// Functions of each sample by itself.
    fn map(&self, call: &Call, at_ms: i64) -> Result<Vector, Fault> {
        let name = call.function.name;
        let now;
        let vector = match call.args.first() {
            Some(arg) => self.vector(arg, at_ms)?,
            // The date functions are of the present by default.
            None => {
                now = Sample::Float(seconds(at_ms));
                vec![(LabelSet::empty(), now)]
            }
        };
        let rest = call.args.iter().skip(1).map(|arg| self.scalar(arg, at_ms));
        let rest: Vec<f64> = rest.collect::<Result<_, _>>()?;
        let mut result = Vector::new();
        for (labels, sample) in vector {
            let value = match &sample {
                Sample::Histogram(histogram) => pointwise::of_histogram(name, histogram),
                Sample::Float(_) if name.starts_with("histogram_") => None,
                Sample::Float(value) => match name {
                    "clamp" => clamped(*value, rest[0], rest[1]),
                    "clamp_min" => clamped(*value, rest[0], f64::INFINITY),
                    "clamp_max" => clamped(*value, f64::NEG_INFINITY, rest[0]),
                    "round" => {
                        let by = 1.0 / rest.first().copied().unwrap_or(1.0);
                        Some((value * by + 0.5).floor() / by)
                    }
                    _ => Some(pointwise::number(name, *value).ok_or(Fault::Unknown)?),
                },
            };
            result.extend(value.map(|value| (nameless(&labels), Sample::Float(value))));
        }
        Ok(result)
    }

    fn timestamp(&self, arg: &Expr, at_ms: i64) -> Result<Vector, Fault> {
        let mut plain = arg;
        while let ExprKind::Paren(inner) = &plain.kind {
            plain = inner;
        }
        if let ExprKind::Vector(selector) = &plain.kind {
            let found = self.instant(selector, at_ms)?.into_iter();
            let times =
                found.map(|(labels, time, _)| (nameless(&labels), Sample::Float(seconds(time))));
            return Ok(times.collect());
        }
        let vector = self.vector(arg, at_ms)?.into_iter();
        let now = Sample::Float(seconds(at_ms));
        Ok(vector.map(|(labels, _)| (nameless(&labels), now.clone())).collect())
    }

    fn range_call(&self, call: &Call, at_ms: i64) -> Result<Vector, Fault> {
        let name = call.function.name;
        let mut numbers = Vec::new();
        let mut range = None;
        for (arg, arg_type) in call.args.iter().zip(call.function.arg_types) {
            match arg_type {
                ValueType::Matrix => range = Some(arg),
                _ => numbers.push(self.scalar(arg, at_ms)?),
            }
        }
        let range = range.ok_or(Fault::Unknown)?;
        let (ranged, window) = self.ranged(range, at_ms)?;
        let mut result = Vector::new();
        for one in ranged {
            let sample = match &range.kind {
                ExprKind::Matrix(matrix) if is_extended(matrix) => {
                    extended(name, &one.samples, window, &matrix.selector.modifiers)?
                }
                _ => over_time(name, &one.samples, window, &numbers, at_ms)?,
            };
            let keeps = matches!(name, "last_over_time" | "first_over_time");
            let labels = if keeps { one.labels } else { nameless(&one.labels) };
            result.extend(sample.map(|sample| (labels, sample)));
        }
        Ok(result)
    }

    fn absent(&self, call: &Call, at_ms: i64) -> Result<Vector, Fault> {
        let arg = &call.args[0];
        let is_there = if call.function.name == "absent" {
            !self.vector(arg, at_ms)?.is_empty()
        } else {
            self.ranged(arg, at_ms)?.0.iter().any(|one| !one.samples.is_empty())
        };
        if is_there {
            return Ok(Vector::new());
        }
        let matchers = match &arg.kind {
            ExprKind::Vector(selector) => &selector.matchers[..],
            ExprKind::Matrix(matrix) => &matrix.selector.matchers[..],
            ExprKind::Paren(_) => return Err(Fault::Unknown),
            _ => &[],
        };
        Ok(vec![(labels_of(matchers), Sample::Float(1.0))])
    }

    fn label_replace(&self, call: &Call, at_ms: i64) -> Result<Vector, Fault> {
        let texts = call.args[1..].iter().map(|arg| self.text(arg));
        let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
        let [to, replacement, from, pattern] = &texts[..] else { return Err(Fault::Unknown) };
        let regex = GoRegex::anchored(pattern).map_err(|_| Fault::Unknown)?;
        let relabelled = self.vector(&call.args[0], at_ms)?.into_iter().map(|(labels, sample)| {
            let Some(value) = regex.expand(labels.value(from), replacement) else {
                return (labels, sample);
            };
            let mut builder = Builder::from(&labels);
            builder.set(to, &value);
            (builder.build(), sample)
        });
        Ok(relabelled.collect())
    }

    fn label_join(&self, call: &Call, at_ms: i64) -> Result<Vector, Fault> {
        let texts = call.args[1..].iter().map(|arg| self.text(arg));
        let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
        let [to, separator, from @ ..] = &texts[..] else { return Err(Fault::Unknown) };
        let joined = self.vector(&call.args[0], at_ms)?.into_iter().map(|(labels, sample)| {
            let values: Vec<&str> = from.iter().map(|name| labels.value(name)).collect();
            let mut builder = Builder::from(&labels);
            builder.set(to, &values.join(separator));
            (builder.build(), sample)
        });
        Ok(joined.collect())
    }
}

/// The samples after one time and up to another.
fn between(samples: &[WorldSample], after_ms: i64, until_ms: i64) -> &[WorldSample] {
    let from = samples.partition_point(|sample| sample.time_ms <= after_ms);
    let to = samples.partition_point(|sample| sample.time_ms <= until_ms);
    &samples[from..to.max(from)]
}

fn own(sample: &WorldSample) -> Sample {
    match &sample.histogram {
        Some(histogram) => Sample::Histogram(Histogram::of(histogram)),
        None => Sample::Float(sample.value),
    }
}

fn clamped(value: f64, low: f64, high: f64) -> Option<f64> {
    if high < low {
        return None;
    }
    // As Go has it, NaN is between an infinity and its end of the line.
    let pick = |a: f64, b: f64, end: f64, pick: fn(f64, f64) -> f64| {
        let is_end = a == end || b == end;
        if is_end || !(a.is_nan() || b.is_nan()) { pick(a, b) } else { f64::NAN }
    };
    let below = pick(high, value, f64::NEG_INFINITY, f64::min);
    Some(pick(low, below, f64::INFINITY, f64::max))
}

/// The labels that a selector asks for once.
fn labels_of(matchers: &[LabelMatcher]) -> LabelSet {
    let mut builder = Builder::default();
    let mut named: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !named.contains(&matcher.name.as_str()) {
            builder.set(&matcher.name, &matcher.value);
            named.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}
