//! Frame: when a query is evaluated, and why it may have no plan.

/// When a query is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// First step, milliseconds.
    pub start_ms: i64,
    /// End as asked, milliseconds.
    pub end_ms: i64,
    /// Milliseconds between steps; 0 for an instant query.
    pub step_ms: i64,
    /// How far an instant selector looks back (exclusive).
    pub lookback_ms: i64,
    /// Step of a subquery that names none.
    pub subquery_step_ms: i64,
}

/// Why a tree cannot be planned: a bound of durations or a matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// Text for the user.
    pub text: String,
}
