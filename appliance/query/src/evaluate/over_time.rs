//! `*_over_time` of floats and the functions that look at a window's last two samples.

use std::sync::Arc;

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::histogram_fold::HistogramFold;
use crate::evaluate::instant::seconds;
use crate::evaluate::native::{info_reconciled, warn_collision, warn_layouts};
use crate::evaluate::quantile::quantile;
use crate::evaluate::rate::has_histograms;
use crate::evaluate::windowed::Windowed;
use crate::kahan::{Mean, Sum, add};

/// What is computed of the floats of each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    /// `sum_over_time`
    Sum,
    /// `avg_over_time`
    Avg,
    /// `stddev_over_time`
    Stddev,
    /// `stdvar_over_time`
    Stdvar,
    /// `mad_over_time`
    Mad,
}

/// Fills `column` with `fold` of the floats in each window.
///
/// Sums and means pass over windows that hold histograms; the others ignore those histograms.
pub(crate) fn fill_folds(
    series: &Windowed<'_>,
    fold: Fold,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let values = &series.tracks.floats.values;
    let mut scratch = Vec::new();
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        if from == to {
            continue;
        }
        let window = &values[from..to];
        let mixed = has_histograms(series, step);
        let value = match fold {
            Fold::Sum | Fold::Avg if mixed => continue,
            Fold::Sum => window.iter().fold(Sum::default(), |sum, value| sum.add(*value)).total(),
            Fold::Avg => window.iter().fold(Mean::NOTHING, |mean, v| mean.add(*v)).mean(),
            Fold::Stdvar => variance(window),
            Fold::Stddev => variance(window).sqrt(),
            Fold::Mad => median_deviation(window, &mut scratch),
        };
        if mixed {
            series.info_ignored(notes);
        }
        column.set_float(step, value);
    }
}

fn variance(window: &[f64]) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut mean_lost) = (0.0, 0.0);
    let (mut squares, mut squares_lost) = (0.0, 0.0);
    for value in window {
        count += 1.0;
        let delta = value - (mean + mean_lost);
        (mean, mean_lost) = add(delta / count, mean, mean_lost);
        let square = delta * (value - (mean + mean_lost));
        (squares, squares_lost) = add(square, squares, squares_lost);
    }
    (squares + squares_lost) / count
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
    let mut scratch = Vec::new();
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
        scratch.clear();
        scratch.extend_from_slice(&series.tracks.floats.values[from..to]);
        column.set_float(step, quantile(*q, &mut scratch));
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
