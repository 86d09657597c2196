//! `*_over_time` of floats and the functions that look at a window's last two samples.

use std::sync::Arc;

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::exact::{Multiples, Rounded, Running, Unit, Whole, sum_of, unit_of};
use crate::evaluate::histogram_fold::HistogramFold;
use crate::evaluate::instant::seconds;
use crate::evaluate::native::{info_reconciled, warn_collision, warn_layouts};
use crate::evaluate::quantile::quantile;
use crate::evaluate::rate::has_histograms;
use crate::evaluate::sorted::Sorted;
use crate::evaluate::windowed::{Windowed, count_of, fold_windows};
use crate::kahan::{Mean, Sum};

/// Which deviation of the floats in each window is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deviation {
    /// `stddev_over_time`
    Stddev,
    /// `stdvar_over_time`
    Stdvar,
    /// `mad_over_time`
    Mad,
}

/// Fills `column` with the sum or the mean of the floats in each window; passes over windows that
/// hold histograms.
pub(crate) fn fill_sums(series: &Windowed<'_>, is_mean: bool, column: &mut Column) {
    if is_mean && !series.tracks.floats.counts.is_empty() {
        return fill_means_of_sums(series, column);
    }
    let values = &series.tracks.floats.values;
    match unit_of(values) {
        Some(Unit::One) => slide(series, Whole::default(), is_mean, column),
        Some(Unit::Power(exponent)) => slide(series, Multiples::new(exponent), is_mean, column),
        None => {
            for step in series.steps() {
                let (from, to) = series.floats.get(step);
                if from < to && !has_histograms(series, step) {
                    column.set_float(step, sum_or_mean(&values[from..to], is_mean));
                }
            }
        }
    }
}

/// The same for means where the floats are sums of several samples.
fn fill_means_of_sums(series: &Windowed<'_>, column: &mut Column) {
    let floats = &series.tracks.floats;
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        if from < to && !has_histograms(series, step) {
            let count: f64 = floats.counts[from..to].iter().sum();
            column.set_float(step, sum_or_mean(&floats.values[from..to], false) / count);
        }
    }
}

/// Carries a sum from step to step.
fn slide(series: &Windowed<'_>, mut sum: impl Running, is_mean: bool, column: &mut Column) {
    let values = &series.tracks.floats.values;
    let (mut low, mut high) = (0, 0);
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        if from == to || has_histograms(series, step) {
            continue;
        }
        if high <= from {
            sum.clear();
            (low, high) = (from, from);
        }
        values[low..from].iter().for_each(|value| sum.leave(*value));
        values[high..to].iter().for_each(|value| sum.enter(*value));
        (low, high) = (from, to);
        column.set_float(step, of_rounded(sum.rounded(), is_mean, to - from));
    }
}

fn of_rounded(rounded: Rounded, is_mean: bool, count: usize) -> f64 {
    let Rounded { sum, rest } = rounded;
    if is_mean { sum / count_of(count) + rest / count_of(count) } else { sum }
}

/// The sum or mean of a window: exact where its floats have a unit, however those around it are.
fn sum_or_mean(window: &[f64], is_mean: bool) -> f64 {
    match sum_of(window) {
        Some(rounded) => of_rounded(rounded, is_mean, window.len()),
        None if is_mean => window.iter().fold(Mean::NOTHING, |mean, v| mean.add(*v)).mean(),
        None => window.iter().fold(Sum::default(), |sum, value| sum.add(*value)).total(),
    }
}

/// Fills `column` with the deviation of the floats in each window, which ignores histograms.
pub(crate) fn fill_deviations(
    series: &Windowed<'_>,
    deviation: Deviation,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let values = &series.tracks.floats.values;
    let mut scratch = Vec::new();
    let mut put = |step: usize, value: f64, column: &mut Column| {
        if has_histograms(series, step) {
            series.info_ignored(notes);
        }
        column.set_float(step, value);
    };
    if deviation != Deviation::Mad {
        let start = |_: usize| Variance::default();
        let variance = |state: Variance, at: usize| state.add(values[at]);
        fold_windows(series, start, variance, |step, _, state| {
            let variance = state.variance();
            let value = if deviation == Deviation::Stddev { variance.sqrt() } else { variance };
            put(step, value, column);
        });
        return;
    }
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        if from < to {
            put(step, median_deviation(&values[from..to], &mut scratch), column);
        }
    }
}

/// Mean and squares of distances to it, after Welford, compensated.
#[derive(Clone, Copy, Debug, Default)]
struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Variance {
    #[inline]
    fn add(self, value: f64) -> Variance {
        let count = self.count + 1.0;
        let delta = value - (self.mean.sum + self.mean.compensation);
        let mean = self.mean.add(delta / count);
        let square = delta * (value - (mean.sum + mean.compensation));
        Variance { count, mean, squares: self.squares.add(square) }
    }

    fn variance(self) -> f64 {
        (self.squares.sum + self.squares.compensation) / self.count
    }
}

fn median_deviation(window: &[f64], scratch: &mut Vec<f64>) -> f64 {
    if window.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    scratch.clear();
    scratch.extend_from_slice(window);
    let median = quantile(0.5, scratch);
    for value in scratch.iter_mut() {
        *value = (*value - median).abs();
    }
    quantile(0.5, scratch)
}

/// Fills `column` with the sums or means of windows that hold only histograms; warns of those that
/// hold floats too.
pub(crate) fn fill_histogram_folds(
    series: &Windowed<'_>,
    is_mean: bool,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let histograms = &series.tracks.histograms.values;
    if histograms.is_empty() {
        return;
    }
    for step in series.steps() {
        let (from, to) = series.histograms.get(step);
        let (float_from, float_to) = series.floats.get(step);
        if from == to {
            continue;
        }
        if float_from < float_to {
            series.warn_mixed(notes);
            continue;
        }
        let mut fold = HistogramFold::new(&histograms[from], is_mean);
        for histogram in &histograms[from + 1..to] {
            fold.add(histogram);
        }
        if fold.incompatible {
            warn_layouts(series.span, series.labels, notes);
            continue;
        }
        if fold.collided() {
            warn_collision(series.span, "aggregation", notes);
        }
        if fold.reconciled {
            info_reconciled(series.span, "aggregation", notes);
        }
        column.set_histogram(step, Arc::new(fold.finish(false)));
    }
}

/// Fills `column` with the quantile, given by step, of the floats in each window.
pub(crate) fn fill_quantiles(
    series: &Windowed<'_>,
    quantiles: &[f64],
    column: &mut Column,
    notes: &mut Annotations,
) {
    let values = &series.tracks.floats.values;
    let mut sorted = Sorted::new(series);
    for step in series.steps() {
        let q = &quantiles[step];
        let (from, to) = series.floats.get(step);
        if from == to {
            continue;
        }
        if !(0.0..=1.0).contains(q) {
            crate::evaluate::quantile::warn_quantile(*q, series.span, notes);
        }
        if has_histograms(series, step) {
            series.info_ignored(notes);
        }
        column.set_float(step, sorted.quantile(*q, values, (from, to)));
    }
}

/// Which extreme of a window is meant, and whether its value or its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extreme {
    /// The largest instead of the smallest.
    pub(crate) max: bool,
    /// The time of its last occurrence instead of its value.
    pub(crate) time: bool,
}

/// Fills `column` with an extreme of the floats in each window: a queue holds the candidates of
/// the window in falling order of merit, so that each sample enters and leaves once.
pub(crate) fn fill_extremes(
    series: &Windowed<'_>,
    extreme: Extreme,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let floats = &series.tracks.floats;
    let mut queue = std::collections::VecDeque::new();
    let mut entered = 0;
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        while entered < to {
            enter(&mut queue, &floats.values, entered, extreme);
            entered += 1;
        }
        while queue.front().is_some_and(|at| *at < from) {
            queue.pop_front();
        }
        if from == to {
            continue;
        }
        if has_histograms(series, step) {
            series.info_ignored(notes);
        }
        // Only NaNs: the last of them.
        let at = queue.front().copied().unwrap_or(to - 1);
        let value = if extreme.time { seconds(floats.times[at]) } else { floats.values[at] };
        column.set_float(step, value);
    }
}

fn enter(
    queue: &mut std::collections::VecDeque<usize>,
    values: &[f64],
    at: usize,
    extreme: Extreme,
) {
    let value = values[at];
    if value.is_nan() {
        return;
    }
    let beaten = |known: f64| {
        let equal = known == value && extreme.time;
        equal || if extreme.max { known < value } else { value < known }
    };
    while queue.back().is_some_and(|known| beaten(values[*known])) {
        queue.pop_back();
    }
    queue.push_back(at);
}

/// Fills `column` with the double exponential smoothing of each window; the factors are by step.
///
/// # Errors
/// A factor is not between 0 and 1.
pub(crate) fn fill_smoothed(
    series: &Windowed<'_>,
    factors: (&[f64], &[f64]),
    column: &mut Column,
    notes: &mut Annotations,
) -> Result<(), crate::evaluate::fault::Fault> {
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        let mixed = has_histograms(series, step);
        if from == to && !mixed {
            continue;
        }
        let smoothing = checked_factor(factors.0[step], "smoothing")?;
        let trend = checked_factor(factors.1[step], "trend")?;
        if mixed && from < to {
            series.info_ignored(notes);
        }
        if 2 <= to - from {
            let window = &series.tracks.floats.values[from..to];
            column.set_float(step, smoothed(window, smoothing, trend));
        }
    }
    Ok(())
}

fn checked_factor(factor: f64, name: &str) -> Result<f64, crate::evaluate::fault::Fault> {
    if factor <= 0.0 || 1.0 <= factor {
        let short = if name == "smoothing" { "sf" } else { "tf" };
        return Err(crate::evaluate::fault::Fault::execution(format!(
            "invalid {name} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
        )));
    }
    Ok(factor)
}

fn smoothed(window: &[f64], smoothing: f64, trend_factor: f64) -> f64 {
    let (mut before, mut level) = (0.0, window[0]);
    let mut trend = window[1] - window[0];
    for (at, value) in window.iter().enumerate().skip(1) {
        let scaled = smoothing * value;
        if 1 < at {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let rest = (1.0 - smoothing) * (level + trend);
        (before, level) = (level, scaled + rest);
    }
    level
}

#[cfg(test)]
mod tests {
    use model::label_set::LabelSet;

    use super::*;
    use crate::ast::Span;
    use crate::evaluate::counting::fill_presence;
    use crate::evaluate::window::{Reach, Tracks, Windows};
    use crate::grid::Grid;
    use crate::plan::node::{Extension, Moved};

    #[test]
    fn downsampled_samples_count_as_many_as_they_are() {
        let mut tracks = Tracks::default();
        // Two windows of twenty and ten samples, then two samples as they came.
        tracks.floats.times = vec![299, 599, 610, 620];
        tracks.floats.values = vec![100.5, 20.0, 3.0, 5.0];
        tracks.floats.counts = vec![20.0, 10.0, 1.0, 1.0];
        let grid = Grid::new(600, 1200, 300);
        let moved = Moved::default();
        let mut windows = Windows::default();
        let reach = Reach { moved, back_ms: 600, ahead_ms: 0 };
        windows.slide(&tracks.floats.times, &grid, &reach);
        let series = Windowed {
            tracks: &tracks,
            floats: &windows,
            histograms: &Windows::default(),
            grid: &grid,
            block: (0, grid.count),
            moved,
            range_ms: 600,
            extension: Extension::None,
            labels: &LabelSet::empty(),
            span: Span::default(),
            use_starts: false,
        };
        let (mut counts, mut means) = (Column::new(grid.count), Column::new(grid.count));
        fill_presence(&series, true, &mut counts);
        fill_sums(&series, true, &mut means);
        assert_eq!(counts.values[..3], [30.0, 12.0, 2.0]);
        assert_eq!(means.values[..3], [120.5 / 30.0, 28.0 / 12.0, 4.0]);
    }
}
