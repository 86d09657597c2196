//! The same query asked at other times: `@` put on every selector.

use query::ast::{At, Expr, ExprKind, Modifiers};
use query::parse::options::Options;

/// Functions whose value changes with the time of evaluation all the same.
const TIMED: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "end",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
];

/// Queries that must answer the same as `text` at `time_ms`, with their times.
///
/// # Errors
/// The query cannot be read.
pub fn with_at(text: &str, time_ms: i64) -> Result<Vec<(String, i64)>, String> {
    let Ok(mut expr) = query::parse::parse(text, &Options::ALL) else {
        // What cannot be read is judged by the query itself.
        return Ok(Vec::new());
    };
    let mut timed = false;
    pin(&mut expr, time_ms, &mut timed);
    if timed {
        return Ok(Vec::new());
    }
    let text = expr.to_string();
    let times = if time_ms == 0 {
        vec![-1000, 0, 1000]
    } else {
        vec![-10 * time_ms, 0, time_ms / 5, time_ms, 10 * time_ms]
    };
    Ok(times.into_iter().map(|time| (text.clone(), time)).collect())
}

fn pin(expr: &mut Expr, time_ms: i64, timed: &mut bool) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) => pin(inner, time_ms, timed),
        ExprKind::Unary(unary) => pin(&mut unary.expr, time_ms, timed),
        ExprKind::Binary(binary) => {
            pin(&mut binary.left, time_ms, timed);
            pin(&mut binary.right, time_ms, timed);
        }
        ExprKind::Aggregate(aggregate) => {
            pin(&mut aggregate.expr, time_ms, timed);
            if let Some(parameter) = &mut aggregate.parameter {
                pin(parameter, time_ms, timed);
            }
        }
        ExprKind::Call(call) => {
            *timed |= TIMED.contains(&call.function.name);
            for arg in &mut call.args {
                pin(arg, time_ms, timed);
            }
        }
        ExprKind::Vector(selector) => pin_modifiers(&mut selector.modifiers, time_ms),
        ExprKind::Matrix(matrix) => pin_modifiers(&mut matrix.selector.modifiers, time_ms),
        ExprKind::Subquery(subquery) => pin_modifiers(&mut subquery.modifiers, time_ms),
    }
}

fn pin_modifiers(modifiers: &mut Modifiers, time_ms: i64) {
    if !matches!(modifiers.at, Some(At::Time(_))) {
        modifiers.at = Some(At::Time(time_ms));
    }
}
