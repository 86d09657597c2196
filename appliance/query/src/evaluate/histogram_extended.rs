//! `anchored` and `smoothed` ranges of native histograms.
//!
//! Never: looks at floats; a window that mixes both is its caller's.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::{CounterResetHint, NativeHistogram};

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::evaluate::native::{add_told, warn_kind, warn_layouts};
use crate::evaluate::rate::RateKind;
use crate::evaluate::windowed::Windowed;
use crate::native::bucket::is_custom;
use crate::native::reset::detect_reset;
use crate::native::wide::{Adding, Wide};

/// Two neighbouring histograms and the time between them that is asked for.
struct Between<'a> {
    before: (i64, &'a NativeHistogram),
    after: (i64, &'a NativeHistogram),
    time: i64,
}

impl Between<'_> {
    /// The histogram on the line between both; a counter that was reset between them starts from
    /// zero. `None` when the layouts are incompatible, which a warning says.
    fn histogram(
        &self,
        is_counter: bool,
        place: (Span, &LabelSet),
        notes: &mut Annotations,
    ) -> Option<NativeHistogram> {
        let ((from, before), (to, after)) = (self.before, self.after);
        if self.time == from {
            return Some(before.clone());
        }
        if self.time == to {
            return Some(after.clone());
        }
        let fraction = milliseconds(self.time - from) / milliseconds(to - from);
        let mut wide = Wide::from(after);
        if is_counter && detect_reset(after, before) {
            wide.multiply(fraction);
            return Some(wide.finish(false));
        }
        add_told(place, &mut wide, before, Adding::Negative, notes)?;
        wide.multiply(fraction);
        add_told(place, &mut wide, before, Adding::Plain, notes)?;
        Some(wide.finish(false))
    }
}

fn milliseconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus rounds alike")]
    let ms = ms as f64;
    ms
}

/// Histograms of a window that reaches further than its range.
pub(crate) struct Extended<'a> {
    /// Their times.
    pub(crate) times: &'a [i64],
    /// The histograms; at least one.
    pub(crate) values: &'a [Arc<NativeHistogram>],
    /// Open and closed end of the range.
    pub(crate) range: (i64, i64),
    /// The ends are interpolated.
    pub(crate) smoothed: bool,
}

impl Extended<'_> {
    /// The change over the range, by second for a rate; `None` when the range holds nothing or
    /// the layouts are incompatible.
    pub(crate) fn change(
        &self,
        series: &Windowed<'_>,
        kind: RateKind,
        notes: &mut Annotations,
    ) -> Option<NativeHistogram> {
        let (start, end) = self.range;
        let mut last = self.times.len() - 1;
        let first = self.times[..last].partition_point(|time| *time <= start).max(1) - 1;
        if self.smoothed {
            last = self.times[..last].partition_point(|time| *time < end);
        }
        if self.times[last] <= start || (self.smoothed && end < self.times[first]) {
            return None;
        }
        self.check(first, last, series, kind, notes)?;
        let left = if self.smoothed && self.times[first] < start {
            self.between(first, start, series, kind, notes)?
        } else {
            NativeHistogram::clone(&self.values[first])
        };
        let right = if self.smoothed && 0 < last && end < self.times[last] {
            self.between(last - 1, end, series, kind, notes)?
        } else {
            NativeHistogram::clone(&self.values[last])
        };
        let is_gauge = |h: &NativeHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
        let are_gauges = is_gauge(&left) && is_gauge(&right);
        if !kind.is_counter && !are_gauges {
            warn_kind(series.span, series.labels, "gauge", notes);
        }
        let mut change = Wide::from(&right);
        add_told(series.place(), &mut change, &left, Adding::Negative, notes)?;
        if kind.is_counter {
            let lost = self.lost_to_resets((first, last), (&left, &right), series, notes)?;
            if let Some(lost) = lost {
                let lost = lost.finish(false);
                add_told(series.place(), &mut change, &lost, Adding::Plain, notes)?;
            }
        }
        if kind.is_rate {
            change.divide(series.range_seconds());
        }
        change.set_hint(CounterResetHint::Gauge);
        Some(change.finish(true))
    }

    fn between(
        &self,
        at: usize,
        time: i64,
        series: &Windowed<'_>,
        kind: RateKind,
        notes: &mut Annotations,
    ) -> Option<NativeHistogram> {
        let between = Between {
            before: (self.times[at], &self.values[at]),
            after: (self.times[at + 1], &self.values[at + 1]),
            time,
        };
        between.histogram(kind.is_counter, series.place(), notes)
    }

    /// Warns of gauges among counters; `None` when exponential and custom buckets meet.
    fn check(
        &self,
        first: usize,
        last: usize,
        series: &Windowed<'_>,
        kind: RateKind,
        notes: &mut Annotations,
    ) -> Option<()> {
        let custom = is_custom(&self.values[first]);
        for value in &self.values[first..=last] {
            if is_custom(value) != custom {
                warn_layouts(series.span, series.labels, notes);
                return None;
            }
            if kind.is_counter && value.counter_reset_hint == CounterResetHint::Gauge {
                warn_kind(series.span, series.labels, "counter", notes);
            }
        }
        Some(())
    }

    /// What the resets between the ends took, if there were any; the outer `None` when the
    /// layouts are incompatible.
    fn lost_to_resets(
        &self,
        (first, last): (usize, usize),
        (left, right): (&NativeHistogram, &NativeHistogram),
        series: &Windowed<'_>,
        notes: &mut Annotations,
    ) -> Option<Option<Wide>> {
        let values = self.values;
        let mut next = first + 1;
        let mut prev = left;
        let starts_between = self.smoothed && self.times[first] < self.range.0;
        if starts_between && detect_reset(&values[first + 1], &values[first]) {
            // The left end was interpolated over this reset, which is counted with it.
            prev = &values[first + 1];
            next += 1;
        }
        let mut lost: Option<Wide> = None;
        // The last histogram stands in the right end, whose hint is its own.
        if last < next {
            return Some(None);
        }
        let inside = values[next..last].iter().map(Arc::as_ref);
        for current in inside.chain([right]) {
            if detect_reset(current, prev) {
                match &mut lost {
                    None => lost = Some(Wide::from(prev)),
                    Some(lost) => add_told(series.place(), lost, prev, Adding::Plain, notes)?,
                }
            }
            prev = current;
        }
        Some(lost)
    }
}

/// A smoothed selector's histogram at `time`: on the line between those around it, or the last
/// where none follows. A pair of which not both are gauges is taken for a counter's.
pub(crate) fn smoothed_histogram(
    times: &[i64],
    values: &[Arc<NativeHistogram>],
    time: i64,
    place: (Span, &LabelSet),
    notes: &mut Annotations,
) -> Option<Arc<NativeHistogram>> {
    let at = times.partition_point(|known| *known < time);
    if times.get(at) == Some(&time) {
        return Some(Arc::clone(&values[at]));
    }
    let before = &values[at.checked_sub(1)?];
    let Some(after) = values.get(at) else {
        // The hint tells of two neighbours, not of the value.
        let counter_reset_hint = CounterResetHint::Unknown;
        return Some(Arc::new(NativeHistogram {
            counter_reset_hint,
            ..NativeHistogram::clone(before)
        }));
    };
    if is_custom(before) != is_custom(after) {
        warn_layouts(place.0, place.1, notes);
        return None;
    }
    let is_gauge = |h: &NativeHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let is_counter = !(is_gauge(before) && is_gauge(after));
    let between = Between { before: (times[at - 1], before), after: (times[at], after), time };
    between.histogram(is_counter, place, notes).map(Arc::new)
}
