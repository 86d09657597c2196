//! `changes`, `resets`, and the functions that look at a window's ends: its count, its first and
//! last sample, its last two.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::histogram_rate::{LastTwo, last_change};
use crate::evaluate::instant::seconds;
use crate::evaluate::rate::{Resets, has_histograms};
use crate::evaluate::windowed::{Windowed, count_of, is_start_reset, seconds_between};
use crate::native::reset::{detect_reset, same};
use crate::plan::node::Extension;

/// What is counted between neighbouring samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Values that differ.
    Changes,
    /// Counters that were reset.
    Resets,
}

/// Fills `column` with the number of changes or resets in each window.
pub(crate) fn fill_counts(series: &Windowed<'_>, counted: Counted, column: &mut Column) {
    let floats = &series.tracks.floats;
    let marks = match counted {
        Counted::Changes => changes_after(&floats.values),
        Counted::Resets => Resets::find(&floats.times, &floats.values, series.float_starts()).at,
    };
    let (mut mark_from, mut mark_to) = (0, 0);
    for step in series.steps() {
        let (from, to) = match series.extension {
            Extension::Anchored => match anchored(series, step) {
                Some(window) => window,
                None => continue,
            },
            _ => series.floats.get(step),
        };
        if has_histograms(series, step) {
            if let Some(count) = count_mixed(series, step, counted) {
                column.set_float(step, count);
            }
            continue;
        }
        if from == to {
            continue;
        }
        while mark_from < marks.len() && marks[mark_from] <= from {
            mark_from += 1;
        }
        mark_to = mark_to.max(mark_from);
        while mark_to < marks.len() && marks[mark_to] < to {
            mark_to += 1;
        }
        column.set_float(step, count_of(mark_to - mark_from));
    }
}

/// The window from the last sample at or before the range's open end; `None` when nothing is
/// after it.
fn anchored(series: &Windowed<'_>, step: usize) -> Option<(usize, usize)> {
    let times = &series.tracks.floats.times;
    let (from, to) = series.floats.get(step);
    let (range_start, _) = series.range(step);
    let inside = from + times[from..to].partition_point(|time| *time <= range_start);
    (inside < to || has_histograms(series, step)).then(|| (inside.max(from + 1) - 1, to))
}

/// Index of each sample that differs from the one before.
fn changes_after(values: &[f64]) -> Vec<usize> {
    let differs = |pair: &[f64]| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan());
    let pairs = values.windows(2).enumerate();
    pairs.filter(|(_, pair)| differs(pair)).map(|(at, _)| at + 1).collect()
}

/// A sample of either kind.
#[derive(Clone, Copy)]
enum Either<'a> {
    Float(f64),
    Histogram(&'a Arc<NativeHistogram>),
}

/// The count where a window holds histograms; `None` when none of an anchored window's samples
/// is inside its range.
fn count_mixed(series: &Windowed<'_>, step: usize, counted: Counted) -> Option<f64> {
    let samples = in_order(series, step);
    let (range_start, _) = series.range(step);
    let is_inside = samples.last().is_some_and(|(time, _, _)| range_start < *time);
    if series.extension == Extension::Anchored && !is_inside {
        return None;
    }
    let mut count = 0;
    for pair in samples.windows(2) {
        let ((prev_time, prev_start, prev), (time, start, sample)) = (pair[0], pair[1]);
        let reset =
            counted == Counted::Resets && is_start_reset(prev_start, prev_time, start, time);
        let differs = match (prev, sample, counted) {
            (Either::Float(a), Either::Float(b), Counted::Changes) => {
                a != b && !(a.is_nan() && b.is_nan())
            }
            (Either::Float(a), Either::Float(b), Counted::Resets) => b < a || reset,
            (Either::Histogram(a), Either::Histogram(b), Counted::Changes) => !same(a, b),
            (Either::Histogram(a), Either::Histogram(b), Counted::Resets) => {
                reset || detect_reset(b, a)
            }
            (Either::Float(_), Either::Histogram(_), _)
            | (Either::Histogram(_), Either::Float(_), _) => true,
        };
        count += usize::from(differs);
    }
    Some(count_of(count))
}

/// Time, start timestamp (0 where it does not count) and value of the samples in a window.
fn in_order<'a>(series: &Windowed<'a>, step: usize) -> Vec<(i64, i64, Either<'a>)> {
    let (floats, histograms) = (&series.tracks.floats, &series.tracks.histograms);
    let (from, to) = series.floats.get(step);
    let (h_from, h_to) = series.histograms.get(step);
    let (starts, h_starts) = (series.float_starts(), series.histogram_starts());
    let start_of = |starts: &[i64], at: usize| starts.get(at).copied().unwrap_or(0);
    let mut samples: Vec<_> = (from..to)
        .map(|at| (floats.times[at], start_of(starts, at), Either::Float(floats.values[at])))
        .chain((h_from..h_to).map(|at| {
            let value = Either::Histogram(&histograms.values[at]);
            (histograms.times[at], start_of(h_starts, at), value)
        }))
        .collect();
    samples.sort_by_key(|(time, _, _)| *time);
    if series.extension == Extension::Anchored {
        let (range_start, _) = series.range(step);
        let inside = samples.partition_point(|(time, _, _)| *time <= range_start);
        samples.drain(..inside.max(1) - 1);
    }
    samples
}

/// Fills `column` with the number of samples in each window, or with 1 where there is any.
pub(crate) fn fill_presence(series: &Windowed<'_>, count: bool, column: &mut Column) {
    let counts = &series.tracks.floats.counts;
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        let (h_from, h_to) = histogram_window(series, step);
        let samples = to - from + h_to - h_from;
        let value = match counts.get(from..to) {
            _ if !count => 1.0,
            Some(counts) => counts.iter().sum::<f64>() + count_of(h_to - h_from),
            None => count_of(samples),
        };
        if 0 < samples {
            column.set_float(step, value);
        }
    }
}

fn histogram_window(series: &Windowed<'_>, step: usize) -> (usize, usize) {
    if series.tracks.histograms.times.is_empty() { (0, 0) } else { series.histograms.get(step) }
}

/// Which end of a window is meant, and whether its sample or its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// The newest sample instead of the oldest.
    pub(crate) last: bool,
    /// Its time instead of its value.
    pub(crate) time: bool,
}

/// Fills `column` with the first or last sample of each window, or its time.
pub(crate) fn fill_ends(series: &Windowed<'_>, end: End, column: &mut Column) {
    let (floats, histograms) = (&series.tracks.floats, &series.tracks.histograms);
    for step in series.steps() {
        let pick =
            |(from, to): (usize, usize)| (from < to).then(|| if end.last { to - 1 } else { from });
        let float = pick(series.floats.get(step));
        let histogram = pick(histogram_window(series, step));
        let float = float.map(|at| (floats.times[at], floats.values[at]));
        let histogram = histogram.map(|at| (histograms.times[at], &histograms.values[at]));
        let float_wins = match (float, histogram) {
            (None, None) => continue,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((time, _)), Some((h_time, _))) => (time < h_time) != end.last,
        };
        match (float, histogram) {
            (Some((time, value)), _) if float_wins => {
                column.set_float(step, if end.time { seconds(time) } else { value });
            }
            (_, Some((time, _))) if end.time => column.set_float(step, seconds(time)),
            (_, Some((_, value))) => column.set_histogram(step, Arc::clone(value)),
            _ => {}
        }
    }
}

/// Fills `column` with the change between the last two samples of each window, by second for
/// `irate`.
pub(crate) fn fill_last_changes(
    series: &Windowed<'_>,
    is_rate: bool,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let floats = &series.tracks.floats;
    let starts = series.float_starts();
    for step in series.steps() {
        if has_histograms(series, step) {
            fill_mixed_change(series, step, is_rate, column, notes);
            continue;
        }
        let (from, to) = series.floats.get(step);
        if to - from < 2 {
            continue;
        }
        let start_of = |at: usize| starts.get(at).copied().unwrap_or(0);
        let before = (floats.times[to - 2], start_of(to - 2), floats.values[to - 2]);
        let last = (floats.times[to - 1], start_of(to - 1), floats.values[to - 1]);
        column.set_float(step, float_change(before, last, is_rate));
    }
}

/// The change between two floats, each with its time and start timestamp.
fn float_change(before: (i64, i64, f64), last: (i64, i64, f64), is_rate: bool) -> f64 {
    let restarted = is_start_reset(before.1, before.0, last.1, last.0);
    let reset = is_rate && (last.2 < before.2 || restarted);
    let change = if reset { last.2 } else { last.2 - before.2 };
    if is_rate { change / seconds_between(before.0, last.0) } else { change }
}

/// The change where a window holds histograms.
fn fill_mixed_change(
    series: &Windowed<'_>,
    step: usize,
    is_rate: bool,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let samples = in_order(series, step);
    let [.., before, last] = samples.as_slice() else { return };
    match (before.2, last.2) {
        (Either::Float(a), Either::Float(b)) => {
            let change = float_change((before.0, before.1, a), (last.0, last.1, b), is_rate);
            column.set_float(step, change);
        }
        (Either::Histogram(a), Either::Histogram(b)) => {
            let two =
                LastTwo { times: [before.0, last.0], starts: [before.1, last.1], values: [a, b] };
            if let Some(change) = last_change(series, &two, is_rate, notes) {
                column.set_histogram(step, Arc::new(change));
            }
        }
        _ => series.warn_mixed(notes),
    }
}
