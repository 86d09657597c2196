//! `anchored` and `smoothed`: ranges whose ends are samples outside or interpolated values.

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::fault::Fault;
use crate::evaluate::native::unsupported;
use crate::evaluate::rate::{RateKind, has_histograms};
use crate::evaluate::window::{Reach, Tracks, Windows};
use crate::evaluate::windowed::Windowed;
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
///
/// # Errors
/// A window holds histograms only.
pub(crate) fn fill_extended_rates(
    series: &Windowed<'_>,
    kind: RateKind,
    column: &mut Column,
    notes: &mut Annotations,
) -> Result<(), Fault> {
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        if has_histograms(series, step) {
            if from == to {
                return Err(unsupported("anchored and smoothed ranges"));
            }
            series.warn_mixed(notes);
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
    Ok(())
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

/// Fills `column` with the values of a smoothed instant selector: on the line between the samples
/// around each step.
///
/// # Errors
/// A step lies between histograms.
pub(crate) fn fill_smoothed_steps(
    tracks: &Tracks,
    grid: &Grid,
    moved: Moved,
    lookback_ms: i64,
    column: &mut Column,
) -> Result<(), Fault> {
    column.reset(grid.count);
    let reach = Reach { moved, back_ms: lookback_ms, ahead_ms: lookback_ms };
    let (mut windows, mut histogram_windows) = (Windows::default(), Windows::default());
    windows.slide(&tracks.floats.times, grid, &reach);
    histogram_windows.slide(&tracks.histograms.times, grid, &reach);
    if !histogram_windows.is_empty() {
        return Err(unsupported("smoothed selectors"));
    }
    for step in 0..grid.count {
        let (from, to) = windows.get(step);
        let (times, values) = (&tracks.floats.times[from..to], &tracks.floats.values[from..to]);
        let time = moved.reference_ms(grid.time_ms(step));
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
    Ok(())
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
