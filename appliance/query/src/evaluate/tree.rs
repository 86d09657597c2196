//! Tree: walks a plan; series flow from the leaves through mappers into aggregations, and whole
//! vectors meet where an operation needs them whole.

use std::sync::Arc;

use model::bitmap::Bitmap;
use model::label_set::LabelSet;
use model::native_histogram::{CounterResetHint, NativeHistogram};

use crate::ast::{AggregateOp, Span};
use crate::evaluate::absent::{absent_column, absent_labels};
use crate::evaluate::aggregate::{Aggregator, count_values};
use crate::evaluate::classic::{Asked, Asking};
use crate::evaluate::column::{Column, StepSeries, StepVector};
use crate::evaluate::context::{Context, Sink, Streamed};
use crate::evaluate::date::date_part;
use crate::evaluate::element::Operator;
use crate::evaluate::elementwise::{go_max, go_min};
use crate::evaluate::enrich::Enriching;
use crate::evaluate::fault::Fault;
use crate::evaluate::flow::Flow;
use crate::evaluate::instant::{Pick, seconds};
use crate::evaluate::join::{add, join};
use crate::evaluate::labels::differ_without_metadata;
use crate::evaluate::leaf::Leaf;
use crate::evaluate::mapper::Mapper;
use crate::evaluate::merge::{has_same_labels, join_same_labels};
use crate::evaluate::operator::{between_scalars, trims};
use crate::evaluate::range::RangeCall;
use crate::evaluate::relabel::{JoinLabels, Replace};
use crate::evaluate::set::combine_sets;
use crate::evaluate::sort::{sort_by_labels, sort_by_value};
use crate::grid::Grid;
use crate::plan::node::{
    Aggregate, Binary, Call, CallKind, Extension, Moved, Node, NodeKind, RangeFunction,
    SpecialFunction, Subquery,
};

/// The vector of `node` at the times of `grid`.
///
/// # Errors
/// The data, a bound or the asker ends the query.
pub(crate) fn vector(
    context: &mut Context<'_>,
    node: &Node,
    grid: &Grid,
) -> Result<StepVector, Fault> {
    (context.check)()?;
    if grid.count == 0 {
        return Ok(Vec::new());
    }
    context.budget.admit_steps(grid.count)?;
    let held = context.budget.held();
    let vector = whole(context, node, grid)?;
    context.budget.release_to(held);
    context.budget.take_samples(vector.iter().map(|series| series.column.samples()).sum())?;
    context.budget.take_bytes(vector.iter().map(|series| series.column.heap_bytes()).sum())?;
    Ok(vector)
}

fn whole(context: &mut Context<'_>, node: &Node, grid: &Grid) -> Result<StepVector, Fault> {
    match &node.kind {
        NodeKind::Paren(inner) => vector(context, inner, grid),
        NodeKind::Invariant(inner) => invariant(context, inner, grid),
        NodeKind::Aggregate(aggregate) => aggregated(context, node.span, aggregate, grid),
        NodeKind::Binary(binary) if !binary.left_scalar && !binary.right_scalar => {
            joined(context, node.span, binary, grid)
        }
        NodeKind::Call(call) => match call.function {
            CallKind::Special(special) => called(context, node.span, special, call, grid),
            CallKind::Range(_) => ranged(context, call, grid),
            CallKind::Date(date) if call.args.is_empty() => {
                let value = |step| date_part(date, grid.time_ms(step).div_euclid(1000));
                let values = (0..grid.count).map(value).collect();
                Ok(vec![unlabelled(values)])
            }
            _ => mapped(context, node, grid),
        },
        NodeKind::Selector(_) => collected(context, node, grid),
        NodeKind::Negate(_) | NodeKind::Binary(_) => mapped(context, node, grid),
        NodeKind::Number(_) | NodeKind::String(_) | NodeKind::Matrix(_) | NodeKind::Subquery(_) => {
            unreachable!("the parser checked that this is a vector")
        }
    }
}

/// Sends the series of `node` to `sink`, one by one where they can be computed so.
fn stream<'c>(
    context: &mut Context<'c>,
    node: &Node,
    grid: &Grid,
    sink: &mut Sink<'_, 'c>,
) -> Result<(), Fault> {
    if grid.count == 0 {
        return Ok(());
    }
    context.budget.admit_steps(grid.count)?;
    if !flows(context, node) {
        for series in &mut vector(context, node, grid)? {
            let StepSeries { labels, drop_name, column } = series;
            // The vector's labels are without what immediate removal dropped.
            let drop_name = *drop_name && context.settings.delayed;
            sink(context, Streamed { labels, drop_name, column })?;
        }
        return Ok(());
    }
    let mut mappers = Vec::new();
    let mut inner = node;
    let leaf = loop {
        inner = match &inner.kind {
            NodeKind::Paren(inner) => inner,
            NodeKind::Selector(selector) => {
                break Leaf::selector(context, selector, Pick::Value, grid);
            }
            NodeKind::Call(call @ Call { function: CallKind::Range(function), .. }) => {
                break called_leaf(context, call, *function, grid)?.0;
            }
            _ => {
                let Some((inner, mapper)) = mapper_of(context, inner, grid)? else {
                    unreachable!("only mappers flow otherwise");
                };
                mappers.push(mapper);
                inner
            }
        };
    };
    mappers.reverse();
    Flow { leaf, mappers }.run(context, sink)
}

/// Whether the series of a node can be used one by one: no two of them can have the same labels.
fn flows(context: &Context<'_>, node: &Node) -> bool {
    let delayed = context.settings.delayed;
    match &node.kind {
        NodeKind::Paren(inner) => flows(context, inner),
        NodeKind::Selector(_) => true,
        NodeKind::Call(call) => match call.function {
            CallKind::Range(RangeFunction::AbsentOverTime) => false,
            CallKind::Range(_) => delayed || names_differ(context, node),
            CallKind::Map(_) | CallKind::Histogram(_) => {
                names_differ(context, &call.args[0]) || delayed && flows(context, &call.args[0])
            }
            CallKind::Date(_) => call
                .args
                .first()
                .is_some_and(|arg| names_differ(context, arg) || delayed && flows(context, arg)),
            CallKind::Special(_) => false,
        },
        NodeKind::Negate(inner) => names_differ(context, inner) || delayed && flows(context, inner),
        NodeKind::Binary(binary) => {
            let inner = match (binary.left_scalar, binary.right_scalar) {
                (false, true) => &binary.left,
                (true, false) => &binary.right,
                _ => return false,
            };
            names_differ(context, inner) || delayed && flows(context, inner)
        }
        _ => false,
    }
}

/// Whether the series of a node still differ when name, type and unit are dropped.
fn names_differ(context: &Context<'_>, node: &Node) -> bool {
    match &node.kind {
        NodeKind::Paren(inner) | NodeKind::Negate(inner) => names_differ(context, inner),
        NodeKind::Selector(selector) => context.found[selector.selected].differ,
        NodeKind::Call(call) => match call.function {
            CallKind::Range(RangeFunction::AbsentOverTime) => false,
            CallKind::Range(_) => call.args.iter().any(|arg| match &arg.kind {
                NodeKind::Matrix(matrix) => context.found[matrix.selector.selected].differ,
                _ => false,
            }),
            CallKind::Map(_) | CallKind::Histogram(_) | CallKind::Date(_) => {
                call.args.first().is_some_and(|arg| names_differ(context, arg))
            }
            CallKind::Special(_) => false,
        },
        NodeKind::Binary(binary) => match (binary.left_scalar, binary.right_scalar) {
            (false, true) => names_differ(context, &binary.left),
            (true, false) => names_differ(context, &binary.right),
            _ => false,
        },
        _ => false,
    }
}

/// The vector and the operation of a node that maps series by series.
fn mapper_of<'n>(
    context: &mut Context<'_>,
    node: &'n Node,
    grid: &Grid,
) -> Result<Option<(&'n Node, Mapper)>, Fault> {
    Ok(match &node.kind {
        NodeKind::Negate(inner) => Some((inner, Mapper::Negate)),
        NodeKind::Binary(binary) => {
            let operator =
                Operator { op: binary.op, return_bool: binary.return_bool, span: node.span };
            let (inner, scalar_node) = if binary.left_scalar {
                (&binary.right, &binary.left)
            } else {
                (&binary.left, &binary.right)
            };
            let values = scalar(context, scalar_node, grid)?;
            Some((inner, Mapper::Scalar(operator, values, binary.left_scalar)))
        }
        NodeKind::Call(call) => {
            let mapper = match call.function {
                CallKind::Map(function) => {
                    let rest = call.args.iter().skip(1);
                    let scalars = rest.map(|arg| scalar(context, arg, grid));
                    Mapper::Map(function, scalars.collect::<Result<_, _>>()?)
                }
                CallKind::Date(function) => Mapper::Date(function),
                CallKind::Histogram(function) => Mapper::Histogram(function),
                _ => return Ok(None),
            };
            Some((&call.args[0], mapper))
        }
        _ => None,
    })
}

/// All series that a node streams.
fn collected(context: &mut Context<'_>, node: &Node, grid: &Grid) -> Result<StepVector, Fault> {
    let mut kept = Vec::new();
    stream(context, node, grid, &mut |context, streamed| {
        kept.push(context.keep(streamed)?);
        Ok(())
    })?;
    Ok(kept)
}

fn mapped(context: &mut Context<'_>, node: &Node, grid: &Grid) -> Result<StepVector, Fault> {
    if flows(context, node) {
        return collected(context, node, grid);
    }
    let Some((inner, mapper)) = mapper_of(context, node, grid)? else {
        unreachable!("the caller saw a mapper");
    };
    let inner = vector(context, inner, grid)?;
    let mut kept = Vec::with_capacity(inner.len());
    for mut series in inner {
        mapper.apply(&mut series.column, &mut context.notes)?;
        if !series.column.is_empty() {
            series.drop_name |= mapper.drops_name();
            kept.push(series);
        }
    }
    context.unique(kept, grid)
}

fn invariant(context: &mut Context<'_>, inner: &Node, grid: &Grid) -> Result<StepVector, Fault> {
    let (total_before, ..) = context.budget.counts();
    let mut once = vector(context, inner, &Grid::instant(grid.start_ms))?;
    context.budget.repeat_total(total_before, grid.count as u64 - 1);
    for series in &mut once {
        context.budget.take_bytes(series.column.broadcast_bytes(grid.count))?;
        series.column = series.column.broadcast(grid.count);
    }
    Ok(once)
}

/// A range function whose series may have the same labels, or `absent_over_time`.
fn ranged(context: &mut Context<'_>, call: &Call, grid: &Grid) -> Result<StepVector, Fault> {
    let CallKind::Range(function) = call.function else {
        unreachable!("the caller saw a range function");
    };
    let mut kept = Vec::new();
    let mut found = Bitmap::new(grid.count);
    let absent = function == RangeFunction::AbsentOverTime;
    let (leaf, differ) = called_leaf(context, call, function, grid)?;
    Flow { leaf, mappers: Vec::new() }.run(context, &mut |context, streamed| {
        if absent {
            add(&mut found, &streamed.column.present);
        } else {
            kept.push(context.keep(streamed)?);
        }
        Ok(())
    })?;
    if absent {
        let column = absent_column(&found);
        let labels = call.args.first().map_or_else(LabelSet::empty, absent_labels);
        let series = StepSeries { labels, drop_name: true, column };
        return Ok(if series.column.is_empty() { Vec::new() } else { vec![series] });
    }
    if !differ && !context.settings.delayed && has_same_labels(&kept) {
        return Err(Fault::same_labels());
    }
    Ok(kept)
}

/// The leaf of a range function, and whether its series are known to differ without their names.
fn called_leaf(
    context: &mut Context<'_>,
    call: &Call,
    function: RangeFunction,
    grid: &Grid,
) -> Result<(Leaf, bool), Fault> {
    let is_range = |arg: &&Node| matches!(arg.kind, NodeKind::Matrix(_) | NodeKind::Subquery(_));
    let Some(range) = call.args.iter().find(is_range) else {
        return Err(Fault::execution(format!("{} needs a range vector", call.name)));
    };
    let others = call.args.iter().filter(|arg| !is_range(arg));
    let scalars = others.map(|arg| scalar(context, arg, grid)).collect::<Result<Vec<_>, _>>()?;
    let ranged = |range_ms: i64, moved: Moved, extension: Extension| RangeCall {
        function,
        name: call.name,
        scalars,
        range_ms,
        moved,
        extension,
        span: call.args[0].span,
        lookback_ms: context.settings.lookback_ms,
        use_starts: context.settings.use_starts,
    };
    match &range.kind {
        NodeKind::Matrix(matrix) => {
            let selector = &matrix.selector;
            let ranged = ranged(matrix.range_ms, selector.moved, selector.extension);
            let differ = context.found[selector.selected].differ;
            Ok((Leaf::range(context, matrix, ranged, grid)?, differ))
        }
        NodeKind::Subquery(subquery) => {
            let ranged = ranged(subquery.range_ms, subquery.moved, Extension::None);
            let (total_before, ..) = context.budget.counts();
            let inside = context.budget.enter();
            let inner = subquery_vector(context, subquery)?;
            context.budget.leave(inside);
            context.budget.forget_total(total_before);
            let differ = differ_without_metadata(inner.iter().map(|series| &series.labels));
            Ok((Leaf::steps(context, inner, subquery.grid, ranged, grid), differ))
        }
        _ => unreachable!("only range vectors were looked for"),
    }
}

/// The vector inside a subquery. What its histograms say of resets is forgotten: samples may be
/// missing from it or in it several times.
pub(crate) fn subquery_vector(
    context: &mut Context<'_>,
    subquery: &Subquery,
) -> Result<StepVector, Fault> {
    let mut inner = vector(context, &subquery.expr, &subquery.grid)?;
    for series in &mut inner {
        for histogram in series.column.histograms.iter_mut().flatten() {
            if histogram.counter_reset_hint != CounterResetHint::Gauge {
                let unknown = NativeHistogram {
                    counter_reset_hint: CounterResetHint::Unknown,
                    ..NativeHistogram::clone(histogram)
                };
                *histogram = Arc::new(unknown);
            }
        }
    }
    Ok(inner)
}

fn aggregated(
    context: &mut Context<'_>,
    span: Span,
    node: &Aggregate,
    grid: &Grid,
) -> Result<StepVector, Fault> {
    if let (AggregateOp::CountValues, Some(parameter)) = (node.op, &node.parameter) {
        let inner = vector(context, &node.expr, grid)?;
        let counted =
            count_values(node, text_of(parameter), inner, grid.count, &mut context.budget)?;
        return context.unique(counted, grid);
    }
    let parameter = match &node.parameter {
        Some(parameter) => scalar(context, parameter, grid)?,
        None => Vec::new(),
    };
    let notes = &mut context.notes;
    let Some(mut aggregator) = Aggregator::new(node, span, parameter, grid.count, notes)? else {
        // The annotations of what is aggregated count all the same.
        vector(context, &node.expr, grid)?;
        return Ok(Vec::new());
    };
    stream(context, &node.expr, grid, &mut |context, streamed| aggregator.add(context, streamed))?;
    aggregator.finish(context)
}

fn joined(
    context: &mut Context<'_>,
    span: Span,
    binary: &Binary,
    grid: &Grid,
) -> Result<StepVector, Fault> {
    let left = vector(context, &binary.left, grid)?;
    let right = vector(context, &binary.right, grid)?;
    let result = if binary.op.is_set() {
        combine_sets(binary.op, &binary.matching, left, right, grid.count)
    } else {
        let operator = Operator { op: binary.op, return_bool: binary.return_bool, span };
        join(context, operator, &binary.matching, (&left, &right), grid.count)?
    };
    if !grid.is_instant() {
        return join_same_labels(result);
    }
    if !context.settings.delayed && has_same_labels(&result) {
        return Err(Fault::same_labels());
    }
    Ok(result)
}

/// Functions with a shape of their own.
fn called(
    context: &mut Context<'_>,
    span: Span,
    function: SpecialFunction,
    call: &Call,
    grid: &Grid,
) -> Result<StepVector, Fault> {
    use SpecialFunction as F;
    let args = &call.args;
    match function {
        F::Vector => Ok(vec![unlabelled(scalar(context, &args[0], grid)?)]),
        F::Absent => {
            let inner = vector(context, &args[0], grid)?;
            let mut found = Bitmap::new(grid.count);
            for series in &inner {
                add(&mut found, &series.column.occupied());
            }
            let column = absent_column(&found);
            let series = StepSeries { labels: absent_labels(&args[0]), drop_name: false, column };
            Ok(if series.column.is_empty() { Vec::new() } else { vec![series] })
        }
        F::LabelReplace => {
            let texts: Vec<_> = args.iter().skip(1).map(text_of).collect();
            let replace = Replace::new(texts[0], texts[1], texts[2], texts[3])?;
            context.budget.take_bytes(replace.pattern_bytes())?;
            let inner = vector(context, &args[0], grid)?;
            replace.apply(inner, &mut context.budget)
        }
        F::LabelJoin => {
            let texts: Vec<_> = args.iter().skip(1).map(text_of).collect();
            let sources = texts[2..].iter().map(|text| (*text).to_owned()).collect();
            let labels = JoinLabels::new(texts[0], texts[1], sources)?;
            let inner = vector(context, &args[0], grid)?;
            labels.apply(inner, &mut context.budget)
        }
        F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => {
            sorted(context, span, function, args, grid)
        }
        F::Timestamp | F::StartTimestamp => timed(context, function, &args[0], grid),
        F::HistogramQuantile | F::HistogramQuantiles | F::HistogramFraction => {
            asked(context, function, args, grid)
        }
        F::Info => {
            let selector = match args.get(1).map(|arg| &arg.kind) {
                Some(NodeKind::Selector(selector)) => Some(selector.matchers.as_slice()),
                _ => None,
            };
            let enriching = Enriching::new(&args[0], selector)?;
            let base = vector(context, &args[0], grid)?;
            enriching.enrich(context, base, grid)
        }
        F::Scalar | F::Time | F::MaxOf | F::MinOf => {
            unreachable!("the parser checked that {} is used as a scalar", call.name)
        }
    }
}

fn sorted(
    context: &mut Context<'_>,
    span: Span,
    function: SpecialFunction,
    args: &[Node],
    grid: &Grid,
) -> Result<StepVector, Fault> {
    use SpecialFunction as F;
    let mut vector = vector(context, &args[0], grid)?;
    if !grid.is_instant() {
        let text = "sort is ineffective for range queries since results are always ordered by \
                    labels";
        context.notes.warn(span, text.to_owned());
    }
    if matches!(function, F::Sort | F::SortDesc) {
        sort_by_value(&mut vector, function == F::SortDesc);
    } else if grid.is_instant() {
        let names: Vec<_> = args[1..].iter().map(|arg| text_of(arg).to_owned()).collect();
        sort_by_labels(&mut vector, &names, function == F::SortByLabelDesc);
    }
    Ok(vector)
}

/// `timestamp` and `start_timestamp`: of a selector the samples' own times.
fn timed(
    context: &mut Context<'_>,
    function: SpecialFunction,
    arg: &Node,
    grid: &Grid,
) -> Result<StepVector, Fault> {
    let starts = function == SpecialFunction::StartTimestamp;
    let NodeKind::Selector(selector) = &arg.kind else {
        let mut inner = vector(context, arg, grid)?;
        if starts {
            return Ok(Vec::new());
        }
        for series in &mut inner {
            Mapper::Time(*grid).apply(&mut series.column, &mut context.notes)?;
            series.drop_name = true;
        }
        return context.unique(inner, grid);
    };
    if starts && !context.settings.use_starts {
        return Ok(Vec::new());
    }
    let pick = if starts { Pick::Start } else { Pick::Time };
    let mut kept = Vec::new();
    let leaf = Leaf::selector(context, selector, pick, grid);
    Flow { leaf, mappers: Vec::new() }.run(context, &mut |context, streamed| {
        kept.push(context.keep(streamed)?);
        Ok(())
    })?;
    context.unique(kept, grid)
}

fn asked(
    context: &mut Context<'_>,
    function: SpecialFunction,
    args: &[Node],
    grid: &Grid,
) -> Result<StepVector, Fault> {
    let delayed = context.settings.delayed;
    let (asked, source) = match function {
        SpecialFunction::HistogramFraction => {
            let (lower, upper) =
                (scalar(context, &args[0], grid)?, scalar(context, &args[1], grid)?);
            (Asked::Fraction(lower, upper), &args[2])
        }
        SpecialFunction::HistogramQuantile => {
            let quantiles = vec![(scalar(context, &args[0], grid)?, args[0].span)];
            (Asked::Quantiles { quantiles, label: None }, &args[1])
        }
        _ => {
            let rest = args[2..].iter();
            let quantiles = rest
                .map(|arg| Ok((scalar(context, arg, grid)?, arg.span)))
                .collect::<Result<_, Fault>>()?;
            let label = Some(text_of(&args[1]).to_owned());
            (Asked::Quantiles { quantiles, label }, &args[0])
        }
    };
    let inner = vector(context, source, grid)?;
    let asking = Asking { asked, span: source.span, delayed };
    let answers = asking.answer(context, &inner, grid)?;
    context.unique(answers, grid)
}

/// The scalar of `node` at each step.
///
/// # Errors
/// As [`vector`].
pub(crate) fn scalar(
    context: &mut Context<'_>,
    node: &Node,
    grid: &Grid,
) -> Result<Vec<f64>, Fault> {
    (context.check)()?;
    context.budget.admit_steps(grid.count)?;
    let held = context.budget.held();
    let values = scalar_values(context, node, grid)?;
    context.budget.release_to(held);
    context.budget.take_bytes(values.len() as u64 * 8)?;
    Ok(values)
}

fn scalar_values(context: &mut Context<'_>, node: &Node, grid: &Grid) -> Result<Vec<f64>, Fault> {
    use SpecialFunction as F;
    let steps = grid.count;
    Ok(match &node.kind {
        NodeKind::Number(value) => vec![*value; steps],
        NodeKind::Paren(inner) => scalar(context, inner, grid)?,
        NodeKind::Invariant(inner) => {
            let (total_before, ..) = context.budget.counts();
            let once = scalar(context, inner, &Grid::instant(grid.start_ms))?;
            context.budget.repeat_total(total_before, steps.saturating_sub(1) as u64);
            vec![once.first().copied().unwrap_or(f64::NAN); steps]
        }
        NodeKind::Negate(inner) => {
            scalar(context, inner, grid)?.into_iter().map(|value| -value).collect()
        }
        NodeKind::Binary(binary) => {
            let left = scalar(context, &binary.left, grid)?;
            let right = scalar(context, &binary.right, grid)?;
            if trims(binary.op) {
                let op = binary.op.text();
                let text = format!("operator \"{op}\" not allowed for Scalar operations");
                return Err(Fault::Execution(text));
            }
            let pairs = left.into_iter().zip(right);
            pairs.map(|(left, right)| between_scalars(binary.op, left, right)).collect()
        }
        NodeKind::Call(call) => match call.function {
            CallKind::Special(F::Time) => {
                (0..steps).map(|step| seconds(grid.time_ms(step))).collect()
            }
            CallKind::Special(F::Scalar) => only_float(context, &call.args[0], grid)?,
            CallKind::Special(function @ (F::MaxOf | F::MinOf)) => {
                let left = scalar(context, &call.args[0], grid)?;
                let right = scalar(context, &call.args[1], grid)?;
                let pick = if function == F::MaxOf { go_max } else { go_min };
                left.into_iter().zip(right).map(|(a, b)| pick(a, b)).collect()
            }
            _ => unreachable!("the parser checked that {} is no scalar", call.name),
        },
        _ => unreachable!("the parser checked that this is a scalar"),
    })
}

/// `scalar(vector)`: the only float of each step, NaN where there is none or several.
fn only_float(context: &mut Context<'_>, node: &Node, grid: &Grid) -> Result<Vec<f64>, Fault> {
    let mut values = vec![f64::NAN; grid.count];
    let mut seen = Bitmap::new(grid.count);
    let held = context.budget.held();
    stream(context, node, grid, &mut |_, streamed| {
        for step in streamed.column.present.iter_ones() {
            values[step] = if seen.get(step) { f64::NAN } else { streamed.column.values[step] };
            seen.set(step);
        }
        Ok(())
    })?;
    context.budget.release_to(held);
    Ok(values)
}

fn unlabelled(values: Vec<f64>) -> StepSeries {
    let mut column = Column::constant(values.len(), 0.0);
    column.values = values;
    StepSeries { labels: LabelSet::empty(), drop_name: false, column }
}

fn text_of(node: &Node) -> &str {
    match &node.kind {
        NodeKind::String(text) => text,
        NodeKind::Paren(inner) | NodeKind::Invariant(inner) => text_of(inner),
        _ => unreachable!("the parser checked that this is a text"),
    }
}
