//! Leaves: selectors and range functions, computed series by series from the store.
//!
//! Each series is computed from its own samples alone, so that batches of series can be computed
//! on several threads, each with its own [`Bench`].

use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::{CounterResetHint, NativeHistogram};
use model::samples::Samples;
use model::staleness::is_stale;
use model::time::TimestampMs;

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::evaluate::budget::Work;
use crate::evaluate::column::{Column, StepVector, histogram_samples};
use crate::evaluate::context::{Context, Settings};
use crate::evaluate::extended::{Smoothed, fill_smoothed_steps};
use crate::evaluate::fault::Fault;
use crate::evaluate::instant::{Pick, fill_steps};
use crate::evaluate::range::{RangeCall, RangeScratch};
use crate::evaluate::window::Tracks;
use crate::grid::Grid;
use crate::native::reset::detect_reset;
use crate::plan::node::{Extension, Matrix, Moved, RangeFunction, Selector};
use crate::source::Series;

/// Where the series of a flow come from. It owns what it needs, so that it can go to other threads.
pub(crate) struct Leaf {
    kind: LeafKind,
    grid: Grid,
    settings: Settings,
    counts_steps: bool,
}

enum LeafKind {
    /// An instant selector.
    Selector(Instant),
    /// A range function of a selector.
    Range { selected: Selected, call: RangeCall },
    /// A range function of a subquery's vector on its own grid.
    Steps { vector: StepVector, inner: Grid, call: RangeCall },
}

/// Series of the store and what is looked at of each.
struct Selected {
    series: Arc<Vec<Series>>,
    /// Open and closed end of the time range.
    range: (i64, i64),
    stats_only: bool,
}

struct Instant {
    selected: Selected,
    span: Span,
    moved: Moved,
    smoothed: bool,
    pick: Pick,
}

/// Memory that is used again for every series.
#[derive(Default)]
pub(crate) struct Bench {
    samples: Samples,
    tracks: Tracks,
    scratch: RangeScratch,
    /// The column that was computed last.
    pub(crate) column: Column,
    /// Metric that was last told not to look like a counter.
    told: String,
}

impl Selected {
    fn new(context: &Context<'_>, selector: &Selector, range: (i64, i64)) -> Selected {
        let series = Arc::clone(&context.found[selector.selected].series);
        Selected { series, range, stats_only: selector.stats_only }
    }

    fn decode(&self, at: usize, samples: &mut Samples, work: &mut Work<'_>) -> Result<(), Fault> {
        decode(&self.series[at], self.range, self.stats_only, samples)?;
        let histograms = samples.histograms.iter().map(|(_, histogram)| bytes_of(histogram));
        work.cost.decoded_bytes = samples.heap_bytes() + histograms.sum::<u64>();
        if work.room < work.cost.decoded_bytes { Err(Fault::Memory) } else { Ok(()) }
    }
}

impl Leaf {
    /// The steps of an instant selector.
    pub(crate) fn selector(
        context: &Context<'_>,
        selector: &Selector,
        pick: Pick,
        grid: &Grid,
    ) -> Leaf {
        let lookback_ms = context.settings.lookback_ms;
        // `timestamp` asks for the sample itself, as if nothing were smoothed.
        let smoothed = selector.extension == Extension::Smoothed && pick == Pick::Value;
        let ahead_ms = if smoothed { lookback_ms } else { 0 };
        let after = selector.moved.reference_ms(grid.start_ms).saturating_sub(lookback_ms);
        let until = selector.moved.reference_ms(grid.last_ms()).saturating_add(ahead_ms);
        let selected = Selected::new(context, selector, (after, until));
        let (span, moved) = (selector.span, selector.moved);
        let instant = Instant { selected, span, moved, smoothed, pick };
        Leaf::new(context, LeafKind::Selector(instant), grid)
    }

    /// A range function of a selector.
    ///
    /// # Errors
    /// The function does not know the selector's modifiers.
    pub(crate) fn range(
        context: &Context<'_>,
        matrix: &Matrix,
        call: RangeCall,
        grid: &Grid,
    ) -> Result<Leaf, Fault> {
        call.check_extension()?;
        let selected = Selected::new(context, &matrix.selector, reach_of(context, matrix, grid));
        Ok(Leaf::new(context, LeafKind::Range { selected, call }, grid))
    }

    /// A range function of the vector of a subquery.
    pub(crate) fn steps(
        context: &Context<'_>,
        vector: StepVector,
        inner: Grid,
        call: RangeCall,
        grid: &Grid,
    ) -> Leaf {
        Leaf::new(context, LeafKind::Steps { vector, inner, call }, grid)
    }

    fn new(context: &Context<'_>, kind: LeafKind, grid: &Grid) -> Leaf {
        let counts_steps = context.budget.counts_steps();
        Leaf { kind, grid: *grid, settings: context.settings, counts_steps }
    }

    /// The times of the columns.
    pub(crate) fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Number of series.
    pub(crate) fn series(&self) -> usize {
        match &self.kind {
            LeafKind::Selector(instant) => instant.selected.series.len(),
            LeafKind::Range { selected, .. } => selected.series.len(),
            LeafKind::Steps { vector, .. } => vector.len(),
        }
    }

    /// Labels of a series, and whether its metric name is to go.
    pub(crate) fn labels(&self, at: usize) -> (&LabelSet, bool) {
        match &self.kind {
            LeafKind::Selector(Instant { selected, pick, .. }) => {
                (&selected.series[at].labels, *pick != Pick::Value)
            }
            LeafKind::Range { selected, call } => (&selected.series[at].labels, call.drops_name()),
            LeafKind::Steps { vector, call, .. } => {
                (&vector[at].labels, call.drops_name() || vector[at].drop_name)
            }
        }
    }

    /// Computes the column of a series; `false` where it is empty.
    ///
    /// # Errors
    /// The store fails, a bound is passed, an argument is none, or the work is to end.
    pub(crate) fn compute(
        &self,
        at: usize,
        bench: &mut Bench,
        work: &mut Work<'_>,
    ) -> Result<bool, Fault> {
        match &self.kind {
            LeafKind::Selector(instant) => self.pick(instant, at, bench, work),
            LeafKind::Range { selected, call } => {
                selected.decode(at, &mut bench.samples, work)?;
                bench.tracks.take(&mut bench.samples);
                self.call(call, at, bench, work)
            }
            LeafKind::Steps { vector, inner, call } => {
                bench.tracks.take_steps(&vector[at].column, inner);
                let holds = self.call(call, at, bench, work);
                // The subquery counted what it read of the store.
                work.cost.read = 0;
                holds
            }
        }
    }

    fn pick(
        &self,
        instant: &Instant,
        at: usize,
        bench: &mut Bench,
        work: &mut Work<'_>,
    ) -> Result<bool, Fault> {
        instant.selected.decode(at, &mut bench.samples, work)?;
        let (grid, lookback_ms) = (&self.grid, self.settings.lookback_ms);
        let column = &mut bench.column;
        if instant.smoothed {
            bench.tracks.take(&mut bench.samples);
            let place = (instant.span, &instant.selected.series[at].labels);
            let smoothed = Smoothed { grid, moved: instant.moved, lookback_ms, place };
            fill_smoothed_steps(&bench.tracks, &smoothed, column, work.notes);
        } else {
            fill_steps(&bench.samples, grid, instant.moved, lookback_ms, instant.pick, column);
        }
        let samples = column.samples();
        (work.cost.total, work.cost.read, work.cost.results) = (samples, samples, samples);
        if self.counts_steps {
            work.cost.by_step = samples_by_step(column);
        }
        Ok(samples != 0)
    }

    fn call(
        &self,
        call: &RangeCall,
        at: usize,
        bench: &mut Bench,
        work: &mut Work<'_>,
    ) -> Result<bool, Fault> {
        if bench.tracks.is_empty() {
            return Ok(false);
        }
        let Bench { tracks, scratch, column, told, .. } = bench;
        let (labels, _) = self.labels(at);
        if self.counts_steps {
            work.cost.by_step.resize(self.grid.count, 0);
        }
        call.fill(work, (tracks, labels), &self.grid, scratch, column)?;
        let samples = column.samples();
        work.cost.results = samples;
        let histograms = column.iter_histograms().map(|(_, histogram)| bytes_of(histogram));
        work.cost.decoded_bytes += histograms.sum::<u64>();
        if work.room < work.cost.decoded_bytes {
            return Err(Fault::Memory);
        }
        if samples == 0 {
            return Ok(false);
        }
        if column.present.words().iter().any(|word| *word != 0) {
            self.note_counter(call, labels, told, work.notes);
        }
        Ok(true)
    }

    /// Tells that a metric whose rate is taken does not look like a counter.
    fn note_counter(
        &self,
        call: &RangeCall,
        labels: &LabelSet,
        told: &mut String,
        notes: &mut Annotations,
    ) {
        let name = labels.metric_name();
        let asks = matches!(call.function, RangeFunction::Rate | RangeFunction::Increase);
        if !asks || name.is_empty() {
            return;
        }
        let quote = model::label_name::quote;
        if self.settings.type_and_unit {
            let kind = labels.value("__type__");
            if kind != "counter" && kind != "histogram" {
                let text = format!(
                    "metric might not be a counter, __type__ label is not set to \"counter\" or \
                     \"histogram\", got {}: {}",
                    quote(kind),
                    quote(name)
                );
                notes.inform(call.span, text);
            }
            return;
        }
        let counts = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end));
        // Neighbours are mostly of one metric.
        if counts || told == name {
            return;
        }
        name.clone_into(told);
        let text = format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            quote(name)
        );
        notes.inform(call.span, text);
    }
}

/// Bytes behind a histogram.
fn bytes_of(histogram: &NativeHistogram) -> u64 {
    histogram_samples(histogram) * 16
}

/// Samples of a column step by step.
fn samples_by_step(column: &Column) -> Vec<u64> {
    let mut by_step = vec![0; column.steps()];
    for step in column.present.iter_ones() {
        by_step[step] = 1;
    }
    for (step, histogram) in column.iter_histograms() {
        by_step[step] = histogram_samples(histogram);
    }
    by_step
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
    let series = Arc::clone(&context.found[selected].series);
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
    Ok(())
}
