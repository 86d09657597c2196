//! Leaves: selectors and range functions, computed series by series from the store.
//!
//! Each series is computed from its own samples alone, so that ranges of series can be computed
//! on several threads, each with its own [`Bench`].

use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::{CounterResetHint, NativeHistogram};
use model::staleness::is_stale;
use model::time::TimestampMs;

use crate::evaluate::column::{Column, histogram_samples};
use crate::evaluate::context::{Context, Streamed};
use crate::evaluate::extended::{Smoothed, fill_smoothed_steps};
use crate::evaluate::fault::Fault;
use crate::evaluate::instant::{Pick, fill_steps};
use crate::evaluate::range::{RangeCall, RangeScratch};
use crate::evaluate::window::Tracks;
use crate::grid::Grid;
use crate::native::reset::detect_reset;
use crate::plan::node::{Extension, Matrix, RangeFunction, Selector};
use crate::source::Series;
use model::samples::Samples;

/// Where a computed series goes.
pub(crate) type Sink<'s, 'c> = dyn FnMut(&mut Context<'c>, Streamed<'_>) -> Result<(), Fault> + 's;

/// Memory that is used again for every series.
#[derive(Default)]
pub(crate) struct Bench {
    samples: Samples,
    tracks: Tracks,
    scratch: RangeScratch,
    column: Column,
}

/// Series between two looks at the deadline.
const SERIES_PER_CHECK: usize = 64;

/// Decodes what a leaf looks at: a time range, open and closed end.
fn decode(
    series: &Series,
    range: (i64, i64),
    stats_only: bool,
    samples: &mut Samples,
) -> Result<(), Fault> {
    samples.clear();
    series.column.decode(TimestampMs(range.0), TimestampMs(range.1), samples)?;
    if stats_only && !samples.histograms.is_empty() {
        find_resets(samples);
    }
    Ok(())
}

/// Says of each histogram whether the counter was reset before it.
fn find_resets(samples: &mut Samples) {
    let mut before: Option<Arc<NativeHistogram>> = None;
    for (_, histogram) in &mut samples.histograms {
        if is_stale(histogram.sum) {
            continue;
        }
        let plain = Arc::clone(histogram);
        if let (Some(before), CounterResetHint::Unknown) = (&before, plain.counter_reset_hint) {
            let reset = detect_reset(&plain, before);
            Arc::make_mut(histogram).counter_reset_hint =
                if reset { CounterResetHint::Reset } else { CounterResetHint::NotReset };
        }
        before = Some(plain);
    }
}

/// Streams the steps of an instant selector.
///
/// # Errors
/// The store fails, a bound is passed, or the query is to end.
pub(crate) fn stream_selector<'c>(
    context: &mut Context<'c>,
    selector: &Selector,
    pick: Pick,
    grid: &Grid,
    sink: &mut Sink<'_, 'c>,
) -> Result<(), Fault> {
    let lookback_ms = context.settings.lookback_ms;
    let smoothed = selector.extension == Extension::Smoothed;
    let ahead_ms = if smoothed { lookback_ms } else { 0 };
    let after = selector.moved.reference_ms(grid.start_ms).saturating_sub(lookback_ms);
    let until = selector.moved.reference_ms(grid.last_ms()).saturating_add(ahead_ms);
    let series = std::mem::take(&mut context.found[selector.selected].series);
    let mut bench = Bench::default();
    for (at, one) in series.iter().enumerate() {
        if at % SERIES_PER_CHECK == 0 {
            (context.check)()?;
        }
        decode(one, (after, until), selector.stats_only, &mut bench.samples)?;
        context.budget.pass_bytes(bench.samples.heap_bytes())?;
        if smoothed {
            bench.tracks.take(&mut bench.samples);
            let place = (selector.span, &one.labels);
            let smoothed = Smoothed { grid, moved: selector.moved, lookback_ms, place };
            let column = &mut bench.column;
            fill_smoothed_steps(&bench.tracks, &smoothed, column, &mut context.notes);
        } else {
            let column = &mut bench.column;
            fill_steps(&bench.samples, grid, selector.moved, lookback_ms, pick, column);
        }
        let samples = bench.column.samples();
        if samples == 0 {
            continue;
        }
        context.budget.take_samples(samples)?;
        context.budget.touch(samples, samples);
        if context.budget.counts_steps() {
            touch_steps(context, &bench.column);
        }
        let drop_name = pick != Pick::Value;
        let column = &mut bench.column;
        sink(context, Streamed { labels: &one.labels, drop_name, column })?;
    }
    context.found[selector.selected].series = series;
    Ok(())
}

/// Counts the samples of a column step by step.
fn touch_steps(context: &mut Context<'_>, column: &Column) {
    for step in column.present.iter_ones() {
        context.budget.touch_step(step, 1);
    }
    for (step, histogram) in column.iter_histograms() {
        context.budget.touch_step(step, histogram_samples(histogram));
    }
}

/// Streams a range function over a selector.
///
/// # Errors
/// As [`stream_selector`], and an argument out of bounds.
pub(crate) fn stream_range<'c>(
    context: &mut Context<'c>,
    matrix: &Matrix,
    call: &RangeCall,
    grid: &Grid,
    sink: &mut Sink<'_, 'c>,
) -> Result<(), Fault> {
    call.check_extension()?;
    let (after, until) = reach_of(context, matrix, grid);
    let selected = matrix.selector.selected;
    let series = std::mem::take(&mut context.found[selected].series);
    let mut bench = Bench::default();
    for (at, one) in series.iter().enumerate() {
        if at % SERIES_PER_CHECK == 0 {
            (context.check)()?;
        }
        decode(one, (after, until), matrix.selector.stats_only, &mut bench.samples)?;
        context.budget.pass_bytes(bench.samples.heap_bytes())?;
        bench.tracks.take(&mut bench.samples);
        stream_tracks(context, call, (&one.labels, false), grid, &mut bench, sink)?;
    }
    context.found[selected].series = series;
    Ok(())
}

/// Streams a range function over the columns of a subquery.
///
/// # Errors
/// As [`stream_range`].
pub(crate) fn stream_subquery<'c>(
    context: &mut Context<'c>,
    vector: &[crate::evaluate::column::StepSeries],
    inner: &Grid,
    call: &RangeCall,
    grid: &Grid,
    sink: &mut Sink<'_, 'c>,
) -> Result<(), Fault> {
    let mut bench = Bench::default();
    for (at, one) in vector.iter().enumerate() {
        if at % SERIES_PER_CHECK == 0 {
            (context.check)()?;
        }
        bench.tracks.take_steps(&one.column, inner);
        stream_tracks(context, call, (&one.labels, one.drop_name), grid, &mut bench, sink)?;
    }
    Ok(())
}

fn reach_of(context: &Context<'_>, matrix: &Matrix, grid: &Grid) -> (i64, i64) {
    let selector = &matrix.selector;
    let lookback_ms = context.settings.lookback_ms;
    let further = if selector.extension == Extension::None { 0 } else { lookback_ms };
    let ahead = if selector.extension == Extension::Smoothed { lookback_ms } else { 0 };
    let back = matrix.range_ms.saturating_add(further);
    (
        selector.moved.reference_ms(grid.start_ms).saturating_sub(back),
        selector.moved.reference_ms(grid.last_ms()).saturating_add(ahead),
    )
}

fn stream_tracks<'c>(
    context: &mut Context<'c>,
    call: &RangeCall,
    (labels, drops): (&LabelSet, bool),
    grid: &Grid,
    bench: &mut Bench,
    sink: &mut Sink<'_, 'c>,
) -> Result<(), Fault> {
    if bench.tracks.is_empty() {
        return Ok(());
    }
    let Bench { tracks, scratch, column, .. } = bench;
    call.fill(context, (tracks, labels), grid, scratch, column)?;
    let samples = column.samples();
    if samples == 0 {
        return Ok(());
    }
    context.budget.take_samples(samples)?;
    note_counter(context, call, labels, column);
    let drop_name = call.drops_name() || drops;
    sink(context, Streamed { labels, drop_name, column })
}

/// Tells that a metric whose rate is taken does not look like a counter.
fn note_counter(context: &mut Context<'_>, call: &RangeCall, labels: &LabelSet, column: &Column) {
    let name = labels.metric_name();
    let asks = matches!(call.function, RangeFunction::Rate | RangeFunction::Increase);
    if !asks || name.is_empty() || column.present.count_ones() == 0 {
        return;
    }
    let quote = model::label_name::quote;
    if context.settings.type_and_unit {
        let kind = labels.value("__type__");
        if kind != "counter" && kind != "histogram" {
            let text = format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \
                 \"histogram\", got {}: {}",
                quote(kind),
                quote(name)
            );
            context.notes.inform(call.span, text);
        }
        return;
    }
    let counts = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end));
    if !counts {
        let text = format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            quote(name)
        );
        context.notes.inform(call.span, text);
    }
}

/// The samples of a range vector selector at one time: the value of an instant query.
///
/// # Errors
/// As [`stream_selector`].
pub(crate) fn collect_matrix(
    context: &mut Context<'_>,
    matrix: &Matrix,
    time_ms: i64,
    mut each: impl FnMut(&mut Context<'_>, &LabelSet, &Tracks, (i64, i64)) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let grid = Grid::instant(time_ms);
    let (after, until) = reach_of(context, matrix, &grid);
    let end = matrix.selector.moved.reference_ms(time_ms);
    let selected = matrix.selector.selected;
    let series = std::mem::take(&mut context.found[selected].series);
    let mut bench = Bench::default();
    for (at, one) in series.iter().enumerate() {
        if at % SERIES_PER_CHECK == 0 {
            (context.check)()?;
        }
        decode(one, (after, until), matrix.selector.stats_only, &mut bench.samples)?;
        context.budget.pass_bytes(bench.samples.heap_bytes())?;
        bench.tracks.take(&mut bench.samples);
        let start = end.saturating_sub(matrix.range_ms);
        each(context, &one.labels, &bench.tracks, (start, end))?;
    }
    context.found[selected].series = series;
    Ok(())
}
