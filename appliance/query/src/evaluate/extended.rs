//! `anchored` and `smoothed`: ranges whose ends are samples outside or interpolated values.

use std::sync::Arc;

use model::label_set::LabelSet;

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::evaluate::column::Column;
use crate::evaluate::histogram_extended::{Extended, smoothed_histogram};
use crate::evaluate::rate::{RateKind, has_histograms};
use crate::evaluate::window::{Reach, Tracks, Windows};
use crate::evaluate::windowed::{Windowed, warn_mixed};
use crate::grid::Grid;
use crate::plan::node::{Extension, Moved};

/// Value at `time` on the line between two samples; a fall of a counter starts from zero.
fn between(times: &[i64], values: &[f64], first: usize, time: i64, is_counter: bool) -> f64 {
    let (from, to) = (values[first], values[first + 1]);
    let from = if is_counter && to < from { 0.0 } else { from };
    from + (to - from) * milliseconds(time - times[first])
        / milliseconds(times[first + 1] - times[first])
}

fn milliseconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus rounds alike")]
    let ms = ms as f64;
    ms
}

/// Fills `column` with the rates of anchored or smoothed windows.
pub(crate) fn fill_extended_rates(
    series: &Windowed<'_>,
    kind: RateKind,
    column: &mut Column,
    notes: &mut Annotations,
) {
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        if has_histograms(series, step) {
            if from < to {
                series.warn_mixed(notes);
            } else {
                fill_histogram_step(series, step, kind, column, notes);
            }
            continue;
        }
        if from == to {
            continue;
        }
        let floats = &series.tracks.floats;
        let window = (&floats.times[from..to], &floats.values[from..to]);
        let smoothed = series.extension == Extension::Smoothed;
        if let Some(change) = extended_change(window, series.range(step), smoothed, kind) {
            let by = if kind.is_rate { series.range_seconds() } else { 1.0 };
            column.set_float(step, change / by);
        }
    }
}

fn fill_histogram_step(
    series: &Windowed<'_>,
    step: usize,
    kind: RateKind,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let (from, to) = series.histograms.get(step);
    let histograms = &series.tracks.histograms;
    let window = Extended {
        times: &histograms.times[from..to],
        values: &histograms.values[from..to],
        range: series.range(step),
        smoothed: series.extension == Extension::Smoothed,
    };
    if let Some(change) = window.change(series, kind, notes) {
        column.set_histogram(step, Arc::new(change));
    }
}

fn extended_change(
    (times, values): (&[i64], &[f64]),
    (start, end): (i64, i64),
    smoothed: bool,
    kind: RateKind,
) -> Option<f64> {
    let mut last = times.len() - 1;
    let mut first = times[..last].partition_point(|time| *time <= start).max(1) - 1;
    if smoothed {
        last = times[..last].partition_point(|time| *time < end);
    }
    if times[last] <= start || (smoothed && end < times[first]) {
        return None;
    }
    let left = if smoothed && times[first] < start {
        between(times, values, first, start, kind.is_counter)
    } else {
        values[first]
    };
    let right = if smoothed && 0 < last && end < times[last] {
        between(times, values, last - 1, end, kind.is_counter)
    } else {
        values[last]
    };
    let mut change = right - left;
    if kind.is_counter {
        first += usize::from(times[first] <= start);
        let until = if end <= times[last] { last } else { last + 1 };
        let mut prev = left;
        for value in values.get(first..until).unwrap_or_default().iter().chain([&right]) {
            if *value < prev {
                change += prev;
            }
            prev = *value;
        }
    }
    Some(change)
}

/// A smoothed instant selector: where it looks.
#[derive(Clone, Copy)]
pub(crate) struct Smoothed<'a> {
    /// Its steps.
    pub(crate) grid: &'a Grid,
    /// Its offset and `@`.
    pub(crate) moved: Moved,
    /// How far it looks to either side.
    pub(crate) lookback_ms: i64,
    /// Its place, and the series that is filled.
    pub(crate) place: (Span, &'a LabelSet),
}

/// Fills `column` with the values of a smoothed instant selector: on the line between the samples
/// around each step.
pub(crate) fn fill_smoothed_steps(
    tracks: &Tracks,
    selector: &Smoothed<'_>,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let Smoothed { grid, moved, lookback_ms, place } = *selector;
    column.reset(grid.count);
    let reach = Reach { moved, back_ms: lookback_ms, ahead_ms: lookback_ms };
    let (mut windows, mut histogram_windows) = (Windows::default(), Windows::default());
    windows.slide(&tracks.floats.times, grid, &reach);
    histogram_windows.slide(&tracks.histograms.times, grid, &reach);
    for step in 0..grid.count {
        let (from, to) = windows.get(step);
        let (h_from, h_to) = histogram_windows.get(step);
        let time = moved.reference_ms(grid.time_ms(step));
        if h_from < h_to {
            if from < to {
                warn_mixed(place, notes);
                continue;
            }
            let histograms = &tracks.histograms;
            let window = (&histograms.times[h_from..h_to], &histograms.values[h_from..h_to]);
            if let Some(value) = smoothed_histogram(window.0, window.1, time, place, notes) {
                column.set_histogram(step, value);
            }
            continue;
        }
        let (times, values) = (&tracks.floats.times[from..to], &tracks.floats.values[from..to]);
        let at = times.partition_point(|known| *known < time);
        if times.get(at) == Some(&time) {
            column.set_float(step, values[at]);
        } else if at == 0 {
            continue;
        } else if at < times.len() {
            column.set_float(step, between(times, values, at - 1, time, false));
        } else {
            column.set_float(step, values[at - 1]);
        }
    }
}

/// The samples of an extended range vector as the query's value: those inside, and one at each
/// end.
pub(crate) fn extended_samples(
    tracks: &Tracks,
    (start, end): (i64, i64),
    smoothed: bool,
) -> Vec<(i64, f64)> {
    let (times, values) = (&tracks.floats.times, &tracks.floats.values);
    let Some(last) = times.len().checked_sub(1) else { return Vec::new() };
    let first = times[..last].partition_point(|time| *time <= start).max(1) - 1;
    let last = if smoothed { times[..last].partition_point(|time| *time < end) } else { last };
    if times[last] <= start || (smoothed && end < times[first]) {
        return Vec::new();
    }
    let at_start = if smoothed && times[first] < start {
        between(times, values, first, start, false)
    } else {
        values[first]
    };
    let at_end = if smoothed && 0 < last && end < times[last] {
        between(times, values, last - 1, end, false)
    } else {
        values[last]
    };
    let inside = times.iter().copied().zip(values.iter().copied());
    let inside = inside.filter(|(time, _)| start < *time && *time < end);
    std::iter::once((start, at_start)).chain(inside).chain([(end, at_end)]).collect()
}
