//! Duration expressions, settled when the query's step and range are known.

use crate::ast::{BinaryOp, Duration, DurationExpr, DurationExprKind};

/// What `step()` and `range()` stand for, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// `step()`
    pub(crate) step_seconds: f64,
    /// `range()`
    pub(crate) range_seconds: f64,
}

/// Seconds that 64 bits of nanoseconds hold, the bound of Go's `time.Duration`.
const SECONDS_MAX: f64 = 9_223_372_036.854_776;

/// Milliseconds of `duration`; only an offset may be negative or nothing.
///
/// # Errors
/// It has no value, or none that is allowed; the text is Prometheus's.
pub(crate) fn settle(duration: &Duration, known: Known, negative: bool) -> Result<i64, String> {
    let expr = match duration {
        Duration::Ms(ms) => return Ok(*ms),
        Duration::Expr(expr) => expr,
    };
    let seconds = value_of(expr, known)?;
    let refused = |what: &str| Err(format!("{}:{}: {what}", expr.span.start, expr.span.end));
    if !seconds.is_finite() {
        return refused("duration is NaN or infinite");
    }
    if seconds <= 0.0 && !negative {
        return refused("duration must be greater than 0");
    }
    if SECONDS_MAX < seconds.abs() {
        return refused("duration is out of range");
    }
    Ok(truncated(seconds * 1000.0))
}

#[expect(clippy::cast_possible_truncation, reason = "the bound was checked; Go truncates too")]
fn truncated(value: f64) -> i64 {
    value as i64
}

fn value_of(expr: &DurationExpr, known: Known) -> Result<f64, String> {
    let zero = |what: &str| Err(format!("{}:{}: {what}", expr.span.start, expr.span.end));
    Ok(match &expr.kind {
        DurationExprKind::Number(number) => number.value,
        DurationExprKind::Paren(inner) => value_of(inner, known)?,
        DurationExprKind::Unary { negative, expr } => {
            let value = value_of(expr, known)?;
            if *negative { -value } else { value }
        }
        DurationExprKind::Step => known.step_seconds,
        DurationExprKind::Range => known.range_seconds,
        DurationExprKind::Min(left, right) => value_of(left, known)?.min(value_of(right, known)?),
        DurationExprKind::Max(left, right) => value_of(left, known)?.max(value_of(right, known)?),
        DurationExprKind::Binary { op, left, right } => {
            let (left, right) = (value_of(left, known)?, value_of(right, known)?);
            match op {
                BinaryOp::Add => left + right,
                BinaryOp::Sub => left - right,
                BinaryOp::Mul => left * right,
                BinaryOp::Div if right == 0.0 => return zero("division by zero"),
                BinaryOp::Div => left / right,
                BinaryOp::Mod if right == 0.0 => return zero("modulo by zero"),
                BinaryOp::Mod => left % right,
                BinaryOp::Pow => left.powf(right),
                other => {
                    return Err(format!(
                        "unexpected duration expression operator {:?}",
                        other.text()
                    ));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::{NumberLiteral, Span};

    fn number(value: f64) -> Box<DurationExpr> {
        let literal = NumberLiteral { value, is_duration: false };
        Box::new(DurationExpr { span: Span::default(), kind: DurationExprKind::Number(literal) })
    }

    #[track_caller]
    fn check(op: BinaryOp, left: f64, right: f64, expected: Result<i64, &str>) {
        let kind = DurationExprKind::Binary { op, left: number(left), right: number(right) };
        let expr = Duration::Expr(DurationExpr { span: Span { start: 1, end: 4 }, kind });
        let known = Known { step_seconds: 15.0, range_seconds: 60.0 };
        let settled = settle(&expr, known, false);
        assert_eq!(settled, expected.map_err(str::to_owned));
    }

    #[test]
    fn arithmetic_settles_to_milliseconds() {
        check(BinaryOp::Add, 1.5, 2.0, Ok(3500));
        check(BinaryOp::Pow, 2.0, 3.0, Ok(8000));
        check(BinaryOp::Sub, 1.0, 2.0, Err("1:4: duration must be greater than 0"));
        check(BinaryOp::Div, 1.0, 0.0, Err("1:4: division by zero"));
        check(BinaryOp::Mul, 1e9, 1e9, Err("1:4: duration is out of range"));
    }
}
