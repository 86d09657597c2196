//! Plan: a syntax tree made ready for evaluation.
//!
//! Path: `parse` → **plan** → `evaluate`.
//! Settled here: durations, `start()`, `end()`, `step()`, `range()`, `@` and offsets, the grid of
//! each subquery, what is the same at every step, matchers, and the time range of each selector.

pub mod frame;
pub mod node;

mod call;
mod duration;

mod build;

use crate::ast::Expr;
use crate::grid::Grid;
use crate::plan::build::{Builder, type_of};
use crate::plan::frame::{Frame, PlanError};
use crate::plan::node::{Node, Selected};
use crate::value_type::ValueType;

/// A planned query.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to evaluate.
    pub root: Node,
    /// When.
    pub grid: Grid,
    /// What to ask of the store, each once.
    pub selected: Vec<Selected>,
    /// Type of the value.
    pub value_type: ValueType,
}

/// Plans `expr` for the steps of `frame`.
///
/// # Errors
/// A duration expression has no value, or a regex is too large.
pub fn plan(expr: &Expr, frame: &Frame) -> Result<Plan, PlanError> {
    let grid = if frame.step_ms == 0 {
        Grid::instant(frame.start_ms)
    } else {
        Grid::new(frame.start_ms, frame.end_ms, frame.step_ms)
    };
    let mut builder = Builder::new(*frame);
    let built = builder.build(expr, &grid)?;
    let root = built.wrapped(&grid);
    Ok(Plan { root, grid, selected: builder.finish(), value_type: type_of(expr) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::options::Options;
    use crate::parse::parse;
    use crate::source::WindowValue;

    #[track_caller]
    fn check(text: &str, expected: &[WindowValue]) {
        let expr = parse(text, &Options::default()).expect("it parses");
        let frame = Frame {
            start_ms: 0,
            end_ms: 0,
            step_ms: 0,
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
        };
        let plan = plan(&expr, &frame).expect("it is planned");
        let found: Vec<WindowValue> = plan.selected.iter().map(|one| one.window_value).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_range_is_read_by_what_its_function_makes_of_it() {
        use WindowValue::{Average, Counter, Max, Min, Sum};
        check(
            "sum_over_time(x[5m]) + min_over_time(x[5m]) + max_over_time(x[5m])",
            &[Sum, Min, Max],
        );
        check("avg_over_time(x[5m]) + count_over_time(x[5m])", &[Sum]);
        check("rate(x[5m]) + irate(x[5m]) + resets(x[5m])", &[Counter]);
        check("stddev_over_time(x[5m]) + deriv(x[5m]) + x", &[Average]);
        check("min_over_time(x[5m:1m]) + increase((x)[5m:1m])", &[Min, Counter]);
        check("sum_over_time(x[5m:1m]) + rate((x + 1)[5m:1m])", &[Average]);
        check("max_over_time(sum_over_time(x[5m])[1h:1m])", &[Sum]);
    }
}
