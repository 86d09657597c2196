//! Builder: walks the syntax tree and makes the plan's nodes.

use model::matcher::Matcher;

use crate::ast::{
    AggregateExpr, At, BinaryExpr, BinaryOp, Call as CallExpr, Expr, ExprKind, LabelMatcher,
    MatrixSelector, Modifiers, Span, SubqueryExpr, VectorSelector,
};
use crate::grid::Grid;
use crate::plan::call::{depends_on_time, kind_of};
use crate::plan::duration::{Known, settle};
use crate::plan::frame::{Frame, PlanError};
use crate::plan::node::{
    Aggregate, Binary, Call, CallKind, Extension, HistogramFunction, Matrix, Moved, Node, NodeKind,
    RangeFunction, Selected, Selector, SpecialFunction, Subquery,
};
use crate::source::WindowValue;
use crate::value_type::ValueType;

/// Type of the value of `expr`, as the parser checked it.
pub(crate) fn type_of(expr: &Expr) -> ValueType {
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

/// A node, and whether it is the same at every step.
pub(crate) struct Built {
    node: Node,
    invariant: bool,
    /// Range vectors and texts are invariant without being evaluated by themselves.
    wrap: bool,
}

impl Built {
    fn varying(span: Span, kind: NodeKind) -> Built {
        Built { node: Node { span, kind }, invariant: false, wrap: false }
    }

    /// The node, evaluated once where that suffices.
    pub(crate) fn wrapped(self, grid: &Grid) -> Node {
        if !self.wrap || grid.is_instant() || matches!(self.node.kind, NodeKind::Number(_)) {
            return self.node;
        }
        Node { span: self.node.span, kind: NodeKind::Invariant(Box::new(self.node)) }
    }
}

/// What is known while a tree is walked.
pub(crate) struct Builder {
    frame: Frame,
    selected: Vec<Selected>,
    above: Above,
}

/// What stands above the expression that is being built.
#[derive(Clone, Copy, Default)]
struct Above {
    /// A function of sums and counts.
    stats: bool,
    /// Something that needs the buckets all the same.
    buckets: bool,
    /// What the function right above wants of a range's samples.
    window_value: WindowValue,
}

impl Above {
    fn under(self, function: CallKind) -> Above {
        use HistogramFunction::{Avg, Count, Sum};
        use SpecialFunction::{HistogramFraction, HistogramQuantile, HistogramQuantiles};
        let stats = matches!(function, CallKind::Histogram(Avg | Count | Sum));
        let buckets = matches!(
            function,
            CallKind::Special(HistogramFraction | HistogramQuantile | HistogramQuantiles)
        );
        let window_value = match function {
            CallKind::Range(function) => window_value(function),
            _ => WindowValue::Average,
        };
        let (stats, buckets) = (self.stats || stats, self.buckets || buckets);
        Above { stats, buckets, window_value }
    }
}

impl Builder {
    /// A builder for the steps of `frame`.
    pub(crate) fn new(frame: Frame) -> Builder {
        Builder { frame, selected: Vec::new(), above: Above::default() }
    }

    /// What the store is to be asked.
    pub(crate) fn finish(self) -> Vec<Selected> {
        self.selected
    }

    /// The node of `expr`, evaluated at the times of `grid`.
    pub(crate) fn build(&mut self, expr: &Expr, grid: &Grid) -> Result<Built, PlanError> {
        let span = expr.span;
        Ok(match &expr.kind {
            ExprKind::Number(number) => constant(span, number.value),
            ExprKind::String(text) => Built {
                node: Node { span, kind: NodeKind::String(text.clone()) },
                invariant: true,
                wrap: false,
            },
            ExprKind::Paren(inner) => {
                let built = self.build(inner, grid)?;
                let kind = NodeKind::Paren(Box::new(built.node));
                Built { node: Node { span, kind }, ..built }
            }
            ExprKind::Unary(unary) => {
                let built = self.build(&unary.expr, grid)?;
                let kind = match built.node.kind {
                    NodeKind::Number(value) if unary.negative => NodeKind::Number(-value),
                    _ if unary.negative => NodeKind::Negate(Box::new(built.node)),
                    _ => NodeKind::Paren(Box::new(built.node)),
                };
                Built { node: Node { span, kind }, invariant: built.invariant, wrap: built.wrap }
            }
            ExprKind::Binary(binary) => self.binary(span, binary, grid)?,
            ExprKind::Aggregate(aggregate) => self.aggregate(span, aggregate, grid)?,
            ExprKind::Call(call) => self.call(span, call, grid)?,
            ExprKind::Vector(selector) => {
                let selector = self.selector((expr.span, selector), None, grid)?;
                let invariant = selector.moved.at_ms.is_some();
                let node = Node { span, kind: NodeKind::Selector(selector) };
                Built { node, invariant, wrap: invariant }
            }
            ExprKind::Matrix(matrix) => self.matrix(span, matrix, grid)?,
            ExprKind::Subquery(subquery) => self.subquery(span, subquery, grid)?,
        })
    }

    fn binary(&mut self, span: Span, expr: &BinaryExpr, grid: &Grid) -> Result<Built, PlanError> {
        let above = self.above;
        self.above.buckets |= matches!(expr.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        let left = self.build(&expr.left, grid)?;
        let right = self.build(&expr.right, grid)?;
        self.above = above;
        let invariant = left.invariant && right.invariant;
        let (left, right) = if invariant {
            (left.node, right.node)
        } else {
            (left.wrapped(grid), right.wrapped(grid))
        };
        let binary = Binary {
            op: expr.op,
            return_bool: expr.return_bool,
            left,
            left_scalar: type_of(&expr.left) == ValueType::Scalar,
            right,
            right_scalar: type_of(&expr.right) == ValueType::Scalar,
            matching: expr.matching.clone().unwrap_or_default(),
        };
        let node = Node { span, kind: NodeKind::Binary(Box::new(binary)) };
        Ok(Built { node, invariant, wrap: invariant })
    }

    fn aggregate(
        &mut self,
        span: Span,
        expr: &AggregateExpr,
        grid: &Grid,
    ) -> Result<Built, PlanError> {
        let inner = self.build(unwrap_parens(&expr.expr), grid)?;
        let parameter = match &expr.parameter {
            Some(parameter) => Some(self.build(unwrap_parens(parameter), grid)?.wrapped(grid)),
            None => None,
        };
        let mut grouping = expr.grouping.clone();
        grouping.sort_unstable();
        grouping.dedup();
        let aggregate =
            Aggregate { op: expr.op, parameter, expr: inner.node, grouping, without: expr.without };
        let node = Node { span, kind: NodeKind::Aggregate(Box::new(aggregate)) };
        // Like upstream, the parameter does not count: it is evaluated where the vector is.
        Ok(Built { node, invariant: inner.invariant, wrap: inner.wrap })
    }

    fn call(&mut self, span: Span, expr: &CallExpr, grid: &Grid) -> Result<Built, PlanError> {
        if let Some(value) = self.query_context(expr.function.name) {
            return Ok(constant(span, value));
        }
        let Some(function) = kind_of(expr.function.name) else {
            let name = expr.function.name;
            return Err(PlanError { text: format!("function {name} cannot be evaluated") });
        };
        let above = self.above;
        self.above = above.under(function);
        let mut args = Vec::with_capacity(expr.args.len());
        let mut invariant = !depends_on_time(function);
        let info = function == CallKind::Special(SpecialFunction::Info);
        for (at, arg) in expr.args.iter().enumerate() {
            if let (true, 1, ExprKind::Vector(selector)) = (info, at, &arg.kind) {
                args.push(self.described(arg.span, selector));
                continue;
            }
            let mut arg = self.build(unwrap_parens(arg), grid)?;
            if matches!(arg.node.kind, NodeKind::Subquery(_)) {
                // Upstream puts a selector without a place where the subquery stood, so that
                // annotations about it point at the query's beginning.
                arg.node.span = Span::default();
            }
            invariant &= arg.invariant;
            args.push(arg);
        }
        self.above = above;
        invariant |= function == CallKind::Special(SpecialFunction::Timestamp)
            && args
                .iter()
                .all(|arg| arg.invariant && matches!(arg.node.kind, NodeKind::Selector(_)));
        let unwrapped = invariant || keeps_selector(function);
        let args = args.into_iter().enumerate().map(|(at, arg)| {
            if unwrapped && (invariant || at == 0) { arg.node } else { arg.wrapped(grid) }
        });
        let call = Call { function, name: expr.function.name, args: args.collect() };
        let node = Node { span, kind: NodeKind::Call(call) };
        Ok(Built { node, invariant, wrap: invariant })
    }

    /// The value of functions that say when the query runs.
    fn query_context(&self, name: &str) -> Option<f64> {
        let frame = &self.frame;
        match name {
            "start" => Some(seconds(frame.start_ms)),
            "end" => Some(seconds(frame.end_ms)),
            "range" => Some(seconds(frame.end_ms.saturating_sub(frame.start_ms))),
            "pi" => Some(std::f64::consts::PI),
            "step" if frame.start_ms == frame.end_ms => Some(0.0),
            "step" => Some(seconds(frame.step_ms)),
            _ => None,
        }
    }

    fn matrix(
        &mut self,
        span: Span,
        expr: &MatrixSelector,
        grid: &Grid,
    ) -> Result<Built, PlanError> {
        let range_ms = self.settle(&expr.range, false)?;
        let selector = self.selector((expr.selector_span, &expr.selector), Some(range_ms), grid)?;
        let invariant = selector.moved.at_ms.is_some();
        let kind = NodeKind::Matrix(Matrix { selector, range_ms });
        Ok(Built { node: Node { span, kind }, invariant, wrap: false })
    }

    fn subquery(
        &mut self,
        span: Span,
        expr: &SubqueryExpr,
        grid: &Grid,
    ) -> Result<Built, PlanError> {
        let range_ms = self.settle(&expr.range, false)?;
        let step_ms = match &expr.step {
            Some(step) => self.settle(step, false)?,
            None => self.frame.subquery_step_ms,
        };
        let step_ms = if step_ms <= 0 { self.frame.subquery_step_ms } else { step_ms };
        let moved = self.moved(&expr.modifiers)?;
        let after_ms = moved.reference_ms(grid.start_ms).saturating_sub(range_ms);
        // The first multiple of the step after the range's open end.
        let first_ms = after_ms.div_euclid(step_ms).saturating_add(1).saturating_mul(step_ms);
        let inner_grid = Grid::new(first_ms, moved.reference_ms(grid.last_ms()), step_ms);
        let above = self.above;
        self.above.buckets = true;
        // The steps of a selector are its samples again, but one may be there many times.
        let is_selector = matches!(unwrap_parens(&expr.expr).kind, ExprKind::Vector(_));
        if !is_selector || above.window_value == WindowValue::Sum {
            self.above.window_value = WindowValue::Average;
        }
        let inner = self.build(&expr.expr, &inner_grid)?.wrapped(&inner_grid);
        self.above = above;
        let invariant = moved.at_ms.is_some();
        let subquery = Subquery { expr: inner, grid: inner_grid, range_ms, moved };
        let built = Built::varying(span, NodeKind::Subquery(Box::new(subquery)));
        Ok(Built { invariant, ..built })
    }

    fn selector(
        &mut self,
        (span, expr): (Span, &VectorSelector),
        range_ms: Option<i64>,
        grid: &Grid,
    ) -> Result<Selector, PlanError> {
        let moved = self.moved(&expr.modifiers)?;
        let extension = match (expr.modifiers.anchored, expr.modifiers.smoothed) {
            (true, _) => Extension::Anchored,
            (_, true) => Extension::Smoothed,
            _ => Extension::None,
        };
        let lookback_ms = self.frame.lookback_ms;
        let back_ms = match (range_ms, extension) {
            (None, _) => lookback_ms,
            (Some(range_ms), Extension::None) => range_ms,
            (Some(range_ms), _) => range_ms.saturating_add(lookback_ms),
        };
        let ahead_ms = if extension == Extension::Smoothed { lookback_ms } else { 0 };
        let after_ms = moved.reference_ms(grid.start_ms).saturating_sub(back_ms);
        let until_ms = moved.reference_ms(grid.last_ms()).saturating_add(ahead_ms);
        let selected =
            self.select(&expr.matchers, self.above.window_value, (after_ms, until_ms))?;
        let stats_only = self.above.stats && !self.above.buckets;
        let matchers = expr.matchers.clone();
        Ok(Selector { span, selected, moved, extension, stats_only, matchers })
    }

    /// A selector that only describes labels and is asked of no store: that of `info`.
    fn described(&self, span: Span, selector: &VectorSelector) -> Built {
        let selector = Selector {
            span,
            selected: usize::MAX,
            moved: Moved::default(),
            extension: Extension::None,
            stats_only: false,
            matchers: selector.matchers.clone(),
        };
        Built {
            node: Node { span, kind: NodeKind::Selector(selector) },
            invariant: true,
            wrap: false,
        }
    }

    /// Finds or adds what the store is asked; equal matchers on meeting ranges are asked once.
    fn select(
        &mut self,
        matchers: &[LabelMatcher],
        window_value: WindowValue,
        (after_ms, until_ms): (i64, i64),
    ) -> Result<usize, PlanError> {
        let matchers = matchers
            .iter()
            .map(|matcher| Matcher::new(&matcher.name, matcher.op, &matcher.value))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PlanError { text: error.to_string() })?;
        let known = self.selected.iter().position(|known| {
            known.matchers == matchers
                && known.window_value == window_value
                && after_ms <= known.until_ms
                && known.after_ms <= until_ms
        });
        if let Some(index) = known {
            let known = &mut self.selected[index];
            known.after_ms = known.after_ms.min(after_ms);
            known.until_ms = known.until_ms.max(until_ms);
            return Ok(index);
        }
        self.selected.push(Selected { matchers, window_value, after_ms, until_ms });
        Ok(self.selected.len() - 1)
    }

    fn moved(&self, modifiers: &Modifiers) -> Result<Moved, PlanError> {
        let offset_ms = match &modifiers.offset {
            Some(offset) => self.settle(offset, true)?,
            None => 0,
        };
        let at_ms = modifiers.at.map(|at| match at {
            At::Time(ms) => ms,
            At::Start => self.frame.start_ms,
            At::End => self.frame.end_ms,
        });
        Ok(Moved { at_ms, offset_ms })
    }

    fn settle(&self, duration: &crate::ast::Duration, negative: bool) -> Result<i64, PlanError> {
        let frame = &self.frame;
        let known = Known {
            step_seconds: seconds(frame.step_ms),
            range_seconds: seconds(frame.end_ms.saturating_sub(frame.start_ms)),
        };
        settle(duration, known, negative).map_err(|text| PlanError { text })
    }
}

/// What a function wants of samples that were downsampled: what Thanos gives it.
fn window_value(function: RangeFunction) -> WindowValue {
    use RangeFunction as F;
    match function {
        F::SumOverTime | F::AvgOverTime | F::CountOverTime => WindowValue::Sum,
        F::MinOverTime => WindowValue::Min,
        F::MaxOverTime => WindowValue::Max,
        F::Rate | F::Increase | F::Irate | F::Resets => WindowValue::Counter,
        _ => WindowValue::Average,
    }
}

/// Functions that look at their first argument's samples themselves.
fn keeps_selector(function: CallKind) -> bool {
    matches!(
        function,
        CallKind::Special(SpecialFunction::Timestamp | SpecialFunction::StartTimestamp)
    )
}

fn constant(span: Span, value: f64) -> Built {
    Built { node: Node { span, kind: NodeKind::Number(value) }, invariant: true, wrap: true }
}

fn unwrap_parens(mut expr: &Expr) -> &Expr {
    while let ExprKind::Paren(inner) = &expr.kind {
        expr = inner;
    }
    expr
}

/// Seconds of milliseconds, as Prometheus converts them.
fn seconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus rounds alike")]
    let ms = ms as f64;
    ms / 1000.0
}
