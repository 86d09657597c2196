//! Smaller queries and worlds that still show what a random pair showed.

use std::sync::Arc;

use model::label_set::LabelSet;
use query::ast::{Cardinality, Duration, Expr, ExprKind, Modifiers, VectorMatching};
use query::value_type::ValueType;

use crate::random::generator::{node, number};
use crate::random::query::Asked;
use crate::random::world::{Stored, World};

/// Most candidates that are tried.
const TRIES_MAX: usize = 2_000;
/// Runs of samples are not left out that are as short: each try may start a server.
const RUN_MIN: usize = 4;

/// The smallest query found that still fails by `fails`.
pub fn shrink_query(asked: &Asked, mut fails: impl FnMut(&Asked) -> bool) -> Asked {
    let mut smallest = asked.clone();
    let mut tries = 0;
    'again: loop {
        for candidate in candidates(&smallest) {
            tries += 1;
            if TRIES_MAX < tries {
                return smallest;
            }
            if fails(&candidate) {
                smallest = candidate;
                continue 'again;
            }
        }
        return smallest;
    }
}

/// The smallest world found that still fails by `fails`: series are left out, then samples.
pub fn shrink_world(world: &World, mut fails: impl FnMut(&World) -> bool) -> World {
    let mut smallest = world.clone();
    let mut step = smallest.series.len().div_ceil(2);
    while 0 < step {
        let labels: Vec<_> = smallest.series.keys().cloned().collect();
        for chunk in labels.chunks(step) {
            let less = chunk.iter().fold(smallest.clone(), |world, labels| world.without(labels));
            if fails(&less) {
                smallest = less;
            }
        }
        step /= 2;
    }
    for labels in smallest.series.keys().cloned().collect::<Vec<_>>() {
        shrink_series(&mut smallest, &labels, &mut fails);
    }
    smallest
}

/// Leaves out runs of samples, halving the runs.
fn shrink_series(smallest: &mut World, labels: &LabelSet, fails: &mut impl FnMut(&World) -> bool) {
    let mut step = smallest.series[labels].0.len().div_ceil(2);
    while RUN_MIN < step {
        let mut from = 0;
        while from < smallest.series[labels].0.len() {
            let mut samples = smallest.series[labels].0.clone();
            samples.drain(from..(from + step).min(samples.len()));
            let mut less = smallest.clone();
            less.series.insert(labels.clone(), Arc::new(Stored(samples)));
            if fails(&less) {
                *smallest = less;
            } else {
                from += step;
            }
        }
        step /= 2;
    }
}

fn candidates(asked: &Asked) -> Vec<Asked> {
    let mut candidates = Vec::new();
    if asked.step_ms != 0 && asked.start_ms < asked.end_ms {
        let steps = (asked.end_ms - asked.start_ms) / asked.step_ms;
        let middle = asked.start_ms + steps / 2 * asked.step_ms;
        candidates.push(Asked { end_ms: middle, ..asked.clone() });
        candidates.push(Asked { start_ms: middle + asked.step_ms, ..asked.clone() });
        candidates.push(Asked { start_ms: asked.start_ms + asked.step_ms, ..asked.clone() });
        candidates.push(Asked { end_ms: asked.end_ms - asked.step_ms, ..asked.clone() });
    }
    candidates.retain(|candidate| candidate.start_ms <= candidate.end_ms);
    let exprs = smaller(&asked.expr).into_iter();
    candidates.extend(exprs.map(|expr| Asked { expr, ..asked.clone() }));
    candidates
}

/// Expressions of the same type with less in them.
fn smaller(expr: &Expr) -> Vec<Expr> {
    let own = type_of(expr);
    let parts = children(expr);
    let mut found: Vec<Expr> = Vec::new();
    found.extend(parts.iter().filter(|part| type_of(part) == own).map(|part| (*part).clone()));
    found.extend(plainer(expr));
    for (at, part) in parts.iter().enumerate() {
        found.extend(smaller(part).into_iter().map(|part| with_child(expr, at, part)));
    }
    found
}

/// The same expression with a part of its own left out.
fn plainer(expr: &Expr) -> Vec<Expr> {
    match &expr.kind {
        ExprKind::Number(literal) if literal.value != 1.0 => vec![number(1.0)],
        ExprKind::Vector(selector) => {
            let mut found = Vec::new();
            if selector.modifiers != Modifiers::default() {
                let mut plain = selector.clone();
                plain.modifiers = Modifiers::default();
                found.push(node(ExprKind::Vector(plain)));
            }
            if selector.name.is_some() {
                for at in 0..selector.matchers.len() - 1 {
                    let mut plain = selector.clone();
                    plain.matchers.remove(at);
                    found.push(node(ExprKind::Vector(plain)));
                }
            }
            found
        }
        ExprKind::Matrix(matrix) => {
            let selector = node(ExprKind::Vector(matrix.selector.clone()));
            let plain = plainer(&selector).into_iter().filter_map(|plain| match plain.kind {
                ExprKind::Vector(selector) => {
                    let mut matrix = matrix.clone();
                    matrix.selector = selector;
                    Some(node(ExprKind::Matrix(matrix)))
                }
                _ => None,
            });
            plain.collect()
        }
        ExprKind::Subquery(subquery) if subquery.modifiers != Modifiers::default() => {
            let mut plain = subquery.clone();
            plain.modifiers = Modifiers::default();
            vec![node(ExprKind::Subquery(plain))]
        }
        ExprKind::Subquery(subquery) if subquery.step != Some(Duration::Ms(10_000)) => {
            let mut plain = subquery.clone();
            plain.step = Some(Duration::Ms(10_000));
            vec![node(ExprKind::Subquery(plain))]
        }
        ExprKind::Aggregate(aggregate) if !aggregate.grouping.is_empty() => {
            let mut plain = aggregate.clone();
            plain.grouping.pop();
            vec![node(ExprKind::Aggregate(plain))]
        }
        ExprKind::Binary(binary) => plainer_matching(binary),
        _ => Vec::new(),
    }
}

fn plainer_matching(binary: &query::ast::BinaryExpr) -> Vec<Expr> {
    let Some(matching) = &binary.matching else { return Vec::new() };
    let with = |change: fn(&mut VectorMatching)| {
        let mut plain = matching.clone();
        change(&mut plain);
        let changed = plain != *matching;
        changed.then(|| {
            let mut binary = binary.clone();
            binary.matching = Some(plain);
            node(ExprKind::Binary(Box::new(binary)))
        })
    };
    let plain = [
        with(|matching| {
            matching.include.pop();
        }),
        with(|matching| {
            if matching.cardinality != Cardinality::ManyToMany {
                matching.cardinality = Cardinality::OneToOne;
                matching.include.clear();
            }
        }),
        with(|matching| {
            matching.labels.pop();
        }),
        with(|matching| (matching.fill_left, matching.fill_right) = (None, None)),
    ];
    plain.into_iter().flatten().collect()
}

/// Type of an expression's value.
fn type_of(expr: &Expr) -> ValueType {
    match &expr.kind {
        ExprKind::Number(_) => ValueType::Scalar,
        ExprKind::String(_) => ValueType::String,
        ExprKind::Paren(inner) => type_of(inner),
        ExprKind::Unary(unary) => type_of(&unary.expr),
        ExprKind::Binary(binary) => match (type_of(&binary.left), type_of(&binary.right)) {
            (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
            _ => ValueType::Vector,
        },
        ExprKind::Aggregate(_) | ExprKind::Vector(_) => ValueType::Vector,
        ExprKind::Call(call) => call.function.return_type,
        ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
    }
}

/// Expressions directly inside.
fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {
            Vec::new()
        }
        ExprKind::Paren(inner) => vec![inner],
        ExprKind::Unary(unary) => vec![&unary.expr],
        ExprKind::Binary(binary) => vec![&binary.left, &binary.right],
        ExprKind::Aggregate(aggregate) => {
            std::iter::once(&aggregate.expr).chain(&aggregate.parameter).collect()
        }
        ExprKind::Call(call) => call.args.iter().collect(),
        ExprKind::Subquery(subquery) => vec![&subquery.expr],
    }
}

/// `expr` with its child `at` replaced; in parentheses where the text would mean another tree.
fn with_child(expr: &Expr, at: usize, child: Expr) -> Expr {
    let mut changed = expr.clone();
    let grouped = || crate::random::generator::grouped(child.clone());
    match &mut changed.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {}
        ExprKind::Paren(inner) => **inner = child,
        ExprKind::Unary(unary) => *unary.expr = grouped(),
        ExprKind::Binary(binary) if at == 0 => binary.left = grouped(),
        ExprKind::Binary(binary) => binary.right = grouped(),
        ExprKind::Aggregate(aggregate) if at == 0 => aggregate.expr = child,
        ExprKind::Aggregate(aggregate) => aggregate.parameter = Some(child),
        ExprKind::Call(call) => call.args[at] = child,
        ExprKind::Subquery(subquery) => subquery.expr = grouped(),
    }
    changed
}

#[cfg(test)]
mod tests {
    use query::parse::options::Options;

    use super::*;
    use crate::random::world::Dialect;

    #[test]
    fn queries_shrink_to_what_matters() {
        let expr = query::parse::parse(
            "sum by (job) (abs(rate(c_total{i=\"0\"}[1m] offset 5s)) + on (job) g) > 3",
            &Options::ALL,
        );
        let expr = expr.expect("the text parses");
        let asked = Asked { expr, start_ms: 0, end_ms: 80_000, step_ms: 10_000 };
        let small = shrink_query(&asked, |asked| asked.expr.to_string().contains("rate("));
        assert_eq!(small.expr.to_string(), "rate(c_total[1m])");
        assert_eq!(small.start_ms, small.end_ms);
    }

    #[test]
    fn worlds_shrink_to_what_matters() {
        let world = World::new(1, Dialect::Shared);
        let metric = |world: &World| {
            world.series.keys().filter(|labels| labels.metric_name() == "rare").count()
        };
        assert_eq!(metric(&world), 1);
        let small = shrink_world(&world, |world| metric(world) == 1);
        assert_eq!(small.series.len(), 1);
    }
}
