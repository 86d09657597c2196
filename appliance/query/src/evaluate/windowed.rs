//! Windowed series: what a range function is given, one series with the windows of all steps.

use model::label_set::LabelSet;

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::evaluate::window::{Tracks, Windows};
use crate::grid::Grid;
use crate::plan::node::{Extension, Moved};

/// One series and the windows of all steps in it.
#[derive(Clone, Copy)]
pub(crate) struct Windowed<'a> {
    /// Its samples.
    pub(crate) tracks: &'a Tracks,
    /// Windows among its floats.
    pub(crate) floats: &'a Windows,
    /// Windows among its histograms.
    pub(crate) histograms: &'a Windows,
    /// The grid of the windows.
    pub(crate) grid: &'a Grid,
    /// First of the steps to compute, and the one after the last.
    pub(crate) block: (usize, usize),
    /// Offset and `@` of the range.
    pub(crate) moved: Moved,
    /// Milliseconds of the range as written.
    pub(crate) range_ms: i64,
    /// `anchored`, `smoothed`.
    pub(crate) extension: Extension,
    /// Labels of the series.
    pub(crate) labels: &'a LabelSet,
    /// Place of the first argument, for annotations.
    pub(crate) span: Span,
    /// Start timestamps count.
    pub(crate) use_starts: bool,
}

impl Windowed<'_> {
    /// Where annotations point, and the series that they name.
    pub(crate) fn place(&self) -> (Span, &LabelSet) {
        (self.span, self.labels)
    }

    /// The steps to compute.
    pub(crate) fn steps(&self) -> std::ops::Range<usize> {
        self.block.0..self.block.1
    }

    /// Open and closed end of the range of a step.
    pub(crate) fn range(&self, step: usize) -> (i64, i64) {
        let end = self.moved.reference_ms(self.grid.time_ms(step));
        (end.saturating_sub(self.range_ms), end)
    }

    /// The range's length in seconds.
    pub(crate) fn range_seconds(&self) -> f64 {
        seconds_between(0, self.range_ms)
    }

    /// Start timestamps of the floats, empty where they do not count.
    pub(crate) fn float_starts(&self) -> &[i64] {
        if self.use_starts { &self.tracks.floats.starts } else { &[] }
    }

    /// Start timestamps of the histograms, empty where they do not count.
    pub(crate) fn histogram_starts(&self) -> &[i64] {
        if self.use_starts { &self.tracks.histograms.starts } else { &[] }
    }

    /// Warns that a window holds floats and histograms.
    pub(crate) fn warn_mixed(&self, notes: &mut Annotations) {
        warn_mixed(self.place(), notes);
    }

    /// Tells that the histograms of a window were passed over.
    pub(crate) fn info_ignored(&self, notes: &mut Annotations) {
        let name = model::label_name::quote(self.labels.metric_name());
        let text = format!(
            "ignored histograms in a range containing both floats and histograms for metric name \
             {name}"
        );
        notes.inform(self.span, text);
    }

    /// Warns that a start timestamp lies before the sample before.
    pub(crate) fn warn_overlap(&self, notes: &mut Annotations) {
        let name = model::label_name::quote(self.labels.metric_name());
        let text = format!(
            "sample has start time that overlaps with previous sample timestamp for metric {name}"
        );
        notes.warn_counted(self.span, text);
    }
}

/// Warns that floats and histograms meet where only one kind can be computed with.
pub(crate) fn warn_mixed((span, labels): (Span, &LabelSet), notes: &mut Annotations) {
    let name = model::label_name::quote(labels.metric_name());
    let text = format!("encountered a mix of histograms and floats for metric name {name}");
    notes.warn(span, text);
}

/// Windows that are folded side by side: the additions of one wait for each other, those of
/// several do not.
const SIDES: usize = 4;

/// Folds the floats of every window that holds any, from its first to its last: `start` is told
/// the step, `add` the index of a float, and `put` the step, the window and what came out.
pub(crate) fn fold_windows<S: Copy>(
    series: &Windowed<'_>,
    start: impl Fn(usize) -> S,
    add: impl Fn(S, usize) -> S,
    mut put: impl FnMut(usize, (usize, usize), S),
) {
    let steps = series.steps();
    let mut steps = steps.filter(|step| series.floats.get(*step).0 < series.floats.get(*step).1);
    while let Some(first) = steps.next() {
        let mut taken = [first; SIDES];
        let mut count = 1;
        for (slot, step) in taken[1..].iter_mut().zip(&mut steps) {
            *slot = step;
            count += 1;
        }
        let windows = taken.map(|step| series.floats.get(step));
        let mut states = taken.map(&start);
        let common = windows.iter().map(|(from, to)| to - from).min().unwrap_or(0);
        for at in 0..common {
            for (state, (from, _)) in states.iter_mut().zip(&windows) {
                *state = add(*state, from + at);
            }
        }
        let each = taken.into_iter().zip(windows).zip(states).take(count);
        for ((step, (from, to)), state) in each {
            put(step, (from, to), (from + common..to).fold(state, &add));
        }
    }
}

/// Seconds from one time in milliseconds to another.
pub(crate) fn seconds_between(from_ms: i64, to_ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus rounds alike")]
    let ms = to_ms.saturating_sub(from_ms) as f64;
    ms / 1000.0
}

/// A count as a float.
pub(crate) fn count_of(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of samples are far below 2^53")]
    let count = count as f64;
    count
}

/// Whether a sample's start timestamp says that the counter was reset after the sample before.
pub(crate) fn is_start_reset(prev_start: i64, prev_time: i64, start: i64, time: i64) -> bool {
    if start == 0 || time <= start || start < prev_time {
        return false;
    }
    if prev_time < start {
        return true;
    }
    // The start is the time of the sample before: a delta, unless that one's start is unknown.
    prev_start <= prev_time && prev_start != 0 && prev_start != prev_time
}

/// Whether a sample's start timestamp lies before the sample before without being that one's.
pub(crate) fn is_start_overlap(prev_start: i64, prev_time: i64, start: i64) -> bool {
    start != 0 && start < prev_time && start != prev_start
}
