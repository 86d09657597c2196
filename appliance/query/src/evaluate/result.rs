//! Result: the value of a whole query, as callers see it.

use std::sync::Arc;

use model::time::TimestampMs;

use crate::evaluate::column::{StepSeries, StepVector, histogram_samples};
use crate::evaluate::context::Context;
use crate::evaluate::extended::extended_samples;
use crate::evaluate::fault::Fault;
use crate::evaluate::labels::without_metadata;
use crate::evaluate::leaf::collect_matrix;
use crate::evaluate::merge::{has_same_labels, join_same_labels};
use crate::evaluate::tree::{scalar, subquery_vector, vector};
use crate::grid::Grid;
use crate::plan::Plan;
use crate::plan::node::{Extension, Matrix, Node, NodeKind};
use crate::value::{Point, Points, Sample, SeriesPoints, Value};
use crate::value_type::ValueType;

/// Bytes of a point of a matrix: its time and its value.
const POINT_BYTES: u64 = 16;

/// Evaluates a plan; the series of a matrix are in no order.
///
/// # Errors
/// The data, a bound or the asker ends the query.
pub(crate) fn value_of(
    context: &mut Context<'_>,
    plan: &Plan,
    instant: bool,
) -> Result<Value, Fault> {
    let grid = &plan.grid;
    let time = TimestampMs(grid.start_ms);
    match plan.value_type {
        ValueType::String => Ok(Value::String(time, text_of(&plan.root).to_owned())),
        ValueType::Scalar => {
            let values = scalar(context, &plan.root, grid)?;
            context.budget.take_samples(values.len() as u64)?;
            if instant {
                return Ok(Value::Scalar(time, values.first().copied().unwrap_or(f64::NAN)));
            }
            let timed = values.into_iter().enumerate();
            let floats = timed.map(|(at, value)| (TimestampMs(grid.time_ms(at)), value)).collect();
            let points = Points { floats, histograms: Vec::new() };
            let labels = model::label_set::LabelSet::empty();
            Ok(Value::Matrix(vec![SeriesPoints { labels, points }]))
        }
        ValueType::Vector => {
            let series = vector(context, &plan.root, grid)?;
            let series = cleaned(context, series)?;
            if instant {
                return Ok(Value::Vector(samples_of(series, time)));
            }
            Ok(Value::Matrix(matrix_of(context, series, grid)?))
        }
        ValueType::Matrix => Ok(Value::Matrix(range_vector(context, &plan.root, time)?)),
    }
}

/// Removes the names that were to go at the end.
fn cleaned(context: &Context<'_>, mut series: StepVector) -> Result<StepVector, Fault> {
    if !context.settings.delayed {
        return Ok(series);
    }
    for one in series.iter_mut().filter(|one| one.drop_name) {
        one.labels = without_metadata(&one.labels);
    }
    if has_same_labels(&series) { join_same_labels(series) } else { Ok(series) }
}

fn samples_of(series: StepVector, timestamp: TimestampMs) -> Vec<Sample> {
    let samples = series.into_iter().filter_map(|one| {
        let value = match one.column.float(0) {
            Some(value) => Point::Float(value),
            None => Point::Histogram(Arc::clone(one.column.histogram(0)?)),
        };
        Some(Sample { labels: one.labels, timestamp, value })
    });
    samples.collect()
}

fn matrix_of(
    context: &mut Context<'_>,
    series: StepVector,
    grid: &Grid,
) -> Result<Vec<SeriesPoints>, Fault> {
    let points: u64 = series.iter().map(|one| one.column.samples()).sum();
    context.budget.take_bytes(points.saturating_mul(POINT_BYTES))?;
    Ok(series.into_iter().map(|one| points_of(one, grid)).filter(has_points).collect())
}

fn has_points(series: &SeriesPoints) -> bool {
    !series.points.floats.is_empty() || !series.points.histograms.is_empty()
}

fn points_of(one: StepSeries, grid: &Grid) -> SeriesPoints {
    let time = |step: usize| TimestampMs(grid.time_ms(step));
    let column = &one.column;
    let floats = column.present.iter_ones().map(|step| (time(step), column.values[step]));
    let histograms = column.iter_histograms().map(|(step, h)| (time(step), Arc::clone(h)));
    let points = Points { floats: floats.collect(), histograms: histograms.collect() };
    SeriesPoints { labels: one.labels, points }
}

fn range_vector(
    context: &mut Context<'_>,
    node: &Node,
    time: TimestampMs,
) -> Result<Vec<SeriesPoints>, Fault> {
    match &node.kind {
        NodeKind::Paren(inner) | NodeKind::Invariant(inner) => range_vector(context, inner, time),
        NodeKind::Matrix(matrix) => selected_range(context, matrix, time.0),
        NodeKind::Subquery(subquery) => {
            let (total_before, ..) = context.budget.counts();
            let inside = context.budget.enter();
            let series = subquery_vector(context, subquery)?;
            context.budget.leave(inside);
            let (total, ..) = context.budget.counts();
            context.budget.touch_step(0, total - total_before);
            let series = cleaned(context, series)?;
            matrix_of(context, series, &subquery.grid)
        }
        _ => unreachable!("the parser checked that this is a range vector"),
    }
}

fn selected_range(
    context: &mut Context<'_>,
    matrix: &Matrix,
    time_ms: i64,
) -> Result<Vec<SeriesPoints>, Fault> {
    let extension = matrix.selector.extension;
    let mut series = Vec::new();
    collect_matrix(context, matrix, time_ms, |context, labels, tracks, range| {
        let held = tracks.floats.times.len() + tracks.histograms.times.len();
        context.budget.take_bytes(held as u64 * POINT_BYTES)?;
        let histograms = tracks.histograms.times.iter().zip(&tracks.histograms.values);
        let histograms: Vec<_> =
            histograms.map(|(time, value)| (TimestampMs(*time), Arc::clone(value))).collect();
        let floats: Vec<(i64, f64)> = if extension == Extension::None {
            let floats = tracks.floats.times.iter().zip(&tracks.floats.values);
            floats.map(|(time, value)| (*time, *value)).collect()
        } else if histograms.is_empty() {
            extended_samples(tracks, range, extension == Extension::Smoothed)
        } else {
            let name = if extension == Extension::Smoothed { "smoothed" } else { "anchored" };
            let text = format!("{name} modifier is not supported with histograms");
            return Err(Fault::execution(text));
        };
        let sizes = histograms.iter().map(|(_, histogram)| histogram_samples(histogram));
        let count = floats.len() as u64 + sizes.sum::<u64>();
        context.budget.take_samples(count)?;
        context.budget.touch(count, count);
        context.budget.touch_step(0, count);
        let floats = floats.into_iter().map(|(time, value)| (TimestampMs(time), value)).collect();
        let points = Points { floats, histograms };
        series.push(SeriesPoints { labels: labels.clone(), points });
        Ok(())
    })?;
    series.retain(has_points);
    Ok(series)
}

fn text_of(node: &Node) -> &str {
    match &node.kind {
        NodeKind::String(text) => text,
        NodeKind::Paren(inner) | NodeKind::Invariant(inner) => text_of(inner),
        _ => unreachable!("the parser checked that this is a text"),
    }
}
