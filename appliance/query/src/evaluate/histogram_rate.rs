//! `rate`, `increase`, `delta`, `irate`, `idelta` of native histograms.

use std::sync::Arc;

use model::native_histogram::{CounterResetHint, NativeHistogram};

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::native::{add_told, warn_kind, warn_layouts};
use crate::evaluate::rate::{RateKind, Window};
use crate::evaluate::windowed::{Windowed, is_start_overlap, is_start_reset, seconds_between};
use crate::native::bucket::is_custom;
use crate::native::reset::detect_reset;
use crate::native::wide::{Adding, Wide};

type Histograms = [Arc<NativeHistogram>];

/// Fills `column` with the rates of windows that hold only histograms; warns of those that hold
/// floats too.
pub(crate) fn fill_histogram_rates(
    series: &Windowed<'_>,
    kind: RateKind,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let histograms = &series.tracks.histograms;
    if histograms.times.is_empty() {
        return;
    }
    for step in series.steps() {
        let (from, to) = series.histograms.get(step);
        if from == to {
            continue;
        }
        let (float_from, float_to) = series.floats.get(step);
        if float_from < float_to {
            series.warn_mixed(notes);
            continue;
        }
        let starts = if kind.is_counter { series.histogram_starts() } else { &[] };
        let points = Points {
            times: &histograms.times[from..to],
            values: &histograms.values[from..to],
            starts: starts.get(from..to).unwrap_or_default(),
        };
        if let Some(rate) = rate(series, &points, kind, series.range(step), notes) {
            column.set_histogram(step, Arc::new(rate));
        }
    }
}

/// Histograms of a window.
struct Points<'a> {
    times: &'a [i64],
    values: &'a Histograms,
    starts: &'a [i64],
}

impl Points<'_> {
    /// Whether start timestamps tell of a reset between histogram `at` and the next.
    fn restarts_after(&self, at: usize) -> bool {
        let (Some(starts), Some(times)) = (self.starts.get(at..at + 2), self.times.get(at..at + 2))
        else {
            return false;
        };
        is_start_reset(starts[0], times[0], starts[1], times[1])
    }
}

fn rate(
    series: &Windowed<'_>,
    points: &Points<'_>,
    kind: RateKind,
    (range_start, range_end): (i64, i64),
    notes: &mut Annotations,
) -> Option<NativeHistogram> {
    let last = points.values.len() - 1;
    let first = &points.values[0];
    let mut change = None;
    if 0 < last {
        change = Some(change_of(series, points, kind, notes)?);
    }
    let window = Window {
        first_time: points.times[0],
        last_time: points.times[last],
        pairs: last,
        first: first.count,
        first_start: points.starts.first().copied().unwrap_or(0),
    };
    let counted = change.as_ref().map_or(0.0, Wide::count);
    let (_, factor) = window.scale(kind, counted, range_start, range_end)?;
    if window.begins_inside(kind, range_start) {
        match &mut change {
            None => change = Some(Wide::from(first.as_ref())),
            Some(change) => add_told(series.place(), change, first, Adding::Plain, notes)?,
        }
    }
    let mut change = change?;
    change.multiply(if kind.is_rate { factor / series.range_seconds() } else { factor });
    Some(change.finish(true))
}

/// The change from the first histogram to the last, resets added.
fn change_of(
    series: &Windowed<'_>,
    points: &Points<'_>,
    kind: RateKind,
    notes: &mut Annotations,
) -> Option<Wide> {
    let values = points.values;
    let (first, second, last) = (&values[0], &values[1], &values[values.len() - 1]);
    let gauge = |h: &NativeHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    if kind.is_counter && values.iter().any(|value| gauge(value)) {
        warn_kind(series.span, series.labels, "counter", notes);
    }
    let mut base = NativeHistogram::clone(first);
    if kind.is_counter && (points.restarts_after(0) || detect_reset(second, first)) {
        // What was before the reset does not count, whatever its layout.
        base = Wide::empty_like(second).finish(true);
    }
    let custom = is_custom(&base);
    let between = if kind.is_counter { &values[1..] } else { &values[values.len() - 1..] };
    if between.iter().any(|value| is_custom(value) != custom) {
        warn_layouts(series.span, series.labels, notes);
        return None;
    }
    let mut change = Wide::from(last.as_ref());
    if !custom {
        let schemas = between.iter().map(|value| value.schema);
        change.reduce(schemas.fold(base.schema, i32::min));
    }
    add_told(series.place(), &mut change, &base, Adding::Negative, notes)?;
    if kind.is_counter {
        let mut overlap = false;
        let mut prev: &NativeHistogram = &base;
        for (at, current) in values.iter().enumerate().skip(1) {
            let starts = points.starts.get(at - 1..=at);
            overlap |= starts
                .is_some_and(|starts| is_start_overlap(starts[0], points.times[at - 1], starts[1]));
            if points.restarts_after(at - 1) || detect_reset(current, prev) {
                add_told(series.place(), &mut change, prev, Adding::Plain, notes)?;
            }
            prev = current;
        }
        if overlap {
            series.warn_overlap(notes);
        }
    } else if !gauge(first) || !gauge(last) {
        warn_kind(series.span, series.labels, "gauge", notes);
    }
    change.set_hint(CounterResetHint::Gauge);
    Some(change)
}

/// Two histograms at the end of a window.
pub(crate) struct LastTwo<'a> {
    /// Times of both.
    pub(crate) times: [i64; 2],
    /// Start timestamps of both, 0 where they do not count.
    pub(crate) starts: [i64; 2],
    /// Both.
    pub(crate) values: [&'a NativeHistogram; 2],
}

/// The change between two histograms, by second for `irate`.
pub(crate) fn last_change(
    series: &Windowed<'_>,
    two: &LastTwo<'_>,
    is_rate: bool,
    notes: &mut Annotations,
) -> Option<NativeHistogram> {
    let [prev, last] = two.values;
    let gauge = |h: &NativeHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    if is_rate && (gauge(last) || gauge(prev)) {
        warn_kind(series.span, series.labels, "counter", notes);
    }
    let gauges = gauge(last) && gauge(prev);
    if !is_rate && !gauges {
        warn_kind(series.span, series.labels, "gauge", notes);
    }
    let restarts = is_start_reset(two.starts[0], two.times[0], two.starts[1], two.times[1]);
    let mut change = Wide::from(last);
    if !is_rate || !(restarts || detect_reset(last, prev)) {
        add_told(series.place(), &mut change, prev, Adding::Negative, notes)?;
    }
    change.set_hint(CounterResetHint::Gauge);
    if is_rate {
        change.divide(seconds_between(two.times[0], two.times[1]));
    }
    Some(change.finish(true))
}
