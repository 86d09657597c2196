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
