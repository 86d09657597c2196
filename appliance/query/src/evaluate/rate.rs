//! `rate`, `increase`, `delta` of floats: the change over each window, extrapolated to its ends.
//!
//! Counter resets are found once a series; each window only adds those that it holds.

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::windowed::{
    Windowed, count_of, is_start_overlap, is_start_reset, seconds_between,
};

/// What is computed of a window's change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateKind {
    /// Falls are resets.
    pub(crate) is_counter: bool,
    /// By second.
    pub(crate) is_rate: bool,
}

/// Most resets that are added one by one, in upstream's order; beyond that windows take the
/// difference of sums of twice the precision, which is as exact but may differ in the last digit.
const RESETS_ADDED_MAX: usize = 64;

/// Fills `column` with the rates of the windows that hold only floats.
pub(crate) fn fill_rates(
    series: &Windowed<'_>,
    kind: RateKind,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let starts = if kind.is_counter { series.float_starts() } else { &[] };
    if starts.is_empty() && series.tracks.histograms.times.is_empty() {
        fill_plain_rates(series, kind, column);
    } else {
        fill_any_rates(series, kind, column, notes);
    }
}

/// The rates of any windows, one by one.
fn fill_any_rates(
    series: &Windowed<'_>,
    kind: RateKind,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let floats = &series.tracks.floats;
    let starts = if kind.is_counter { series.float_starts() } else { &[] };
    let mut resets = Resets::default();
    if kind.is_counter {
        resets = Resets::find(&floats.times, &floats.values, starts);
    }
    let (mut reset_from, mut reset_to) = (0, 0);
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        if from == to || has_histograms(series, step) {
            continue;
        }
        while reset_from < resets.at.len() && resets.at[reset_from] <= from {
            reset_from += 1;
        }
        reset_to = reset_to.max(reset_from);
        while reset_to < resets.at.len() && resets.at[reset_to] < to {
            reset_to += 1;
        }
        if resets.overlaps.iter().any(|at| from < *at && *at < to) {
            series.warn_overlap(notes);
        }
        let change = resets.added(
            floats.values[to - 1] - floats.values[from],
            &floats.values,
            reset_from..reset_to,
        );
        let window = Window {
            first_time: floats.times[from],
            last_time: floats.times[to - 1],
            pairs: to - from - 1,
            first: floats.values[from],
            first_start: starts.get(from).copied().unwrap_or(0),
        };
        let (range_start, range_end) = series.range(step);
        let scaled = window.scale(kind, change, range_start, range_end);
        if let Some((change, factor)) = scaled {
            let factor = if kind.is_rate { factor / series.range_seconds() } else { factor };
            column.set_float(step, change * factor);
        }
    }
}

/// The rates of windows of floats without start timestamps, 64 steps at a time: their samples are
/// gathered first, so that the arithmetic runs without a branch.
fn fill_plain_rates(series: &Windowed<'_>, kind: RateKind, column: &mut Column) {
    let mut resets = Resets::default();
    if kind.is_counter {
        let floats = &series.tracks.floats;
        resets = Resets::find(&floats.times, &floats.values, &[]);
    }
    let mut gather = Gather { series, resets: &resets, cursors: (0, 0) };
    let mut lanes = Lanes::new();
    let mut rates = [0.0; LANES];
    let std::ops::Range { mut start, end } = series.steps();
    while start < end {
        let word = start / LANES;
        let until = end.min((word + 1) * LANES);
        lanes.present = 0;
        gather.fill(start..until, &mut lanes);
        lanes.rates(kind, series.range_seconds(), &mut rates);
        let from = start - word * LANES;
        column.values[start..until].copy_from_slice(&rates[from..from + until - start]);
        column.present.words_mut()[word] |= lanes.present;
        start = until;
    }
}

/// Steps whose rates are computed side by side: those of one word of a bitmap.
const LANES: usize = 64;

/// What the rates of neighbouring steps are computed from.
struct Lanes {
    /// Steps whose windows hold two samples or more; the others have numbers that do no harm.
    present: u64,
    /// Milliseconds from the range's start to the first sample.
    to_start_ms: [f64; LANES],
    /// Milliseconds from the last sample to the range's end.
    to_end_ms: [f64; LANES],
    /// Milliseconds from the first sample to the last.
    sampled_ms: [f64; LANES],
    /// Samples but one.
    pairs: [f64; LANES],
    first: [f64; LANES],
    change: [f64; LANES],
}

/// Gathers the samples of windows, step by step.
struct Gather<'a> {
    series: &'a Windowed<'a>,
    resets: &'a Resets,
    /// Resets before the window, and those before its end.
    cursors: (usize, usize),
}

impl Gather<'_> {
    fn fill(&mut self, steps: std::ops::Range<usize>, lanes: &mut Lanes) {
        let floats = &self.series.tracks.floats;
        let (times, values) = (&floats.times[..], &floats.values[..]);
        assert_eq!(times.len(), values.len(), "every value has its time");
        for step in steps {
            let (from, to) = self.series.floats.get(step);
            if to - from < 2 {
                continue;
            }
            let lane = step % LANES;
            let (first_time, last_time) = (times[from], times[to - 1]);
            let (range_start, range_end) = self.series.range(step);
            let mut change = values[to - 1] - values[from];
            if !self.resets.at.is_empty() {
                change = self.with_resets(change, values, (from, to));
            }
            lanes.present |= 1 << lane;
            lanes.to_start_ms[lane] = milliseconds(range_start, first_time);
            lanes.to_end_ms[lane] = milliseconds(last_time, range_end);
            lanes.sampled_ms[lane] = milliseconds(first_time, last_time);
            lanes.pairs[lane] = count_of(to - from - 1);
            lanes.first[lane] = values[from];
            lanes.change[lane] = change;
        }
    }

    fn with_resets(&mut self, change: f64, values: &[f64], (from, to): (usize, usize)) -> f64 {
        let at = &self.resets.at;
        let (start, end) = &mut self.cursors;
        while *start < at.len() && at[*start] <= from {
            *start += 1;
        }
        *end = (*end).max(*start);
        while *end < at.len() && at[*end] < to {
            *end += 1;
        }
        self.resets.added(change, values, *start..*end)
    }
}

impl Lanes {
    fn new() -> Lanes {
        let ones = [1.0; LANES];
        Lanes {
            present: 0,
            to_start_ms: ones,
            to_end_ms: ones,
            sampled_ms: ones,
            pairs: ones,
            first: ones,
            change: ones,
        }
    }

    /// The same arithmetic as [`Window::scale`], operation by operation, so that the bits agree.
    fn rates(&self, kind: RateKind, range_seconds: f64, rates: &mut [f64; LANES]) {
        let (is_counter, divisor) =
            (kind.is_counter, if kind.is_rate { range_seconds } else { 1.0 });
        for (lane, rate) in rates.iter_mut().enumerate() {
            let to_start = self.to_start_ms[lane] / 1000.0;
            let to_end = self.to_end_ms[lane] / 1000.0;
            let sampled = self.sampled_ms[lane] / 1000.0;
            let (first, change) = (self.first[lane], self.change[lane]);
            let average = sampled / self.pairs[lane];
            let threshold = average * 1.1;
            let to_start = if threshold <= to_start { average / 2.0 } else { to_start };
            let to_zero = sampled * (first / change);
            let begins = is_counter & (0.0 < change) & (0.0 <= first) & (to_zero < to_start);
            let to_start = if begins { to_zero } else { to_start };
            let to_end = if threshold <= to_end { average / 2.0 } else { to_end };
            let factor = (sampled + to_start + to_end) / sampled;
            let factor = if sampled == 0.0 { 1.0 } else { factor };
            *rate = change * (factor / divisor);
        }
    }
}

/// Milliseconds from one time to another.
fn milliseconds(from_ms: i64, to_ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus rounds alike")]
    let ms = to_ms.saturating_sub(from_ms) as f64;
    ms
}

/// Whether the window of a step holds histograms.
pub(crate) fn has_histograms(series: &Windowed<'_>, step: usize) -> bool {
    if series.tracks.histograms.times.is_empty() {
        return false;
    }
    let (from, to) = series.histograms.get(step);
    from < to
}

/// Ends of a window, for extrapolation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Time of the first sample.
    pub(crate) first_time: i64,
    /// Time of the last sample.
    pub(crate) last_time: i64,
    /// Number of samples but one.
    pub(crate) pairs: usize,
    /// Value, or count of observations, of the first sample.
    pub(crate) first: f64,
    /// Start timestamp of the first sample, 0 where it does not count.
    pub(crate) first_start: i64,
}

impl Window {
    /// Whether the first sample's counter began inside the range.
    pub(crate) fn begins_inside(&self, kind: RateKind, range_start: i64) -> bool {
        kind.is_counter
            && self.first_start != 0
            && range_start < self.first_start
            && self.first_start < self.first_time
    }

    /// The change (the first value added when the counter began inside the range) and the factor
    /// that extrapolates it; `None` when one sample does not suffice.
    pub(crate) fn scale(
        &self,
        kind: RateKind,
        change: f64,
        range_start: i64,
        range_end: i64,
    ) -> Option<(f64, f64)> {
        let mut change = change;
        let mut to_start = seconds_between(range_start, self.first_time);
        let mut to_end = seconds_between(self.last_time, range_end);
        let mut sampled = seconds_between(self.first_time, self.last_time);
        let average = if 0 < self.pairs { sampled / count_of(self.pairs) } else { 0.0 };
        let threshold = average * 1.1;
        if self.begins_inside(kind, range_start) {
            to_start = 0.0;
            sampled = seconds_between(self.first_start, self.last_time);
            change += self.first;
        } else if self.pairs == 0 {
            return None;
        } else {
            if threshold <= to_start {
                to_start = average / 2.0;
            }
            if kind.is_counter && 0.0 < change && 0.0 <= self.first {
                // A counter began at zero at the earliest.
                let to_zero = sampled * (self.first / change);
                if to_zero < to_start {
                    to_start = to_zero;
                }
            }
        }
        if threshold <= to_end {
            to_end = average / 2.0;
        }
        let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
        Some((change, factor))
    }
}

/// Where a counter was reset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resets {
    /// Index of the sample after each reset.
    pub(crate) at: Vec<usize>,
    /// Sum of the values before the resets so far, as an unevaluated sum of two floats.
    running: Vec<(f64, f64)>,
    /// Index of each sample whose start timestamp lies before the sample before.
    overlaps: Vec<usize>,
}

impl Resets {
    /// Finds the resets in `values`; `starts` may be empty.
    pub(crate) fn find(times: &[i64], values: &[f64], starts: &[i64]) -> Resets {
        assert_eq!(times.len(), values.len(), "every value has its time");
        let mut resets = Resets::default();
        if starts.is_empty() && !falls(values) {
            return resets;
        }
        let mut sum = (0.0, 0.0);
        for (at, pair) in values.windows(2).enumerate() {
            let mut reset = pair[1] < pair[0];
            if let Some(starts) = starts.get(at..at + 2) {
                reset |= is_start_reset(starts[0], times[at], starts[1], times[at + 1]);
                if is_start_overlap(starts[0], times[at], starts[1]) {
                    resets.overlaps.push(at + 1);
                }
            }
            if reset {
                sum = add_exactly(sum, pair[0]);
                resets.at.push(at + 1);
                resets.running.push(sum);
            }
        }
        resets
    }

    /// `change` plus the values before the resets of `range`.
    fn added(&self, change: f64, values: &[f64], range: std::ops::Range<usize>) -> f64 {
        if range.len() <= RESETS_ADDED_MAX {
            return self.at[range].iter().fold(change, |sum, at| sum + values[at - 1]);
        }
        let before = if range.start == 0 { (0.0, 0.0) } else { self.running[range.start - 1] };
        let until = self.running[range.end - 1];
        let total = change + ((until.0 - before.0) + (until.1 - before.1));
        if total.is_finite() {
            return total;
        }
        self.at[range].iter().fold(change, |sum, at| sum + values[at - 1])
    }
}

/// Whether any value is below the one before. Looks at a few at a time, so that the loop needs no
/// branch a value.
fn falls(values: &[f64]) -> bool {
    let Some((_, after)) = values.split_first() else { return false };
    let pairs = values.chunks(64).zip(after.chunks(64));
    let mut any = pairs.map(|(before, after)| {
        before.iter().zip(after).fold(false, |any, (before, after)| any | (after < before))
    });
    any.any(|falls| falls)
}

/// Adds to a sum of two floats, keeping what rounding takes (Knuth's two-sum).
fn add_exactly((high, low): (f64, f64), value: f64) -> (f64, f64) {
    let sum = high + value;
    let part = sum - high;
    let lost = (high - (sum - part)) + (value - part);
    (sum, low + lost)
}

#[cfg(test)]
mod tests {
    use model::label_set::LabelSet;
    use proptest::prelude::*;

    use super::*;
    use crate::ast::Span;
    use crate::evaluate::window::{Reach, Tracks, Windows};
    use crate::grid::Grid;
    use crate::plan::node::{Extension, Moved};

    proptest! {
        #[test]
        fn lanes_compute_what_windows_do_one_by_one(
            samples in prop::collection::vec((1..40_000i64, value()), 0..150),
            start in -100_000..2_000_000i64,
            step in prop_oneof![Just(15_000i64), 1..90_000i64],
            range in prop_oneof![Just(60_000i64), 1..400_000i64],
            block in 1..150usize,
            (is_counter, is_rate) in any::<(bool, bool)>(),
        ) {
            let mut tracks = Tracks::default();
            for (gap, value) in samples {
                let time = tracks.floats.times.last().copied().unwrap_or(0) + gap;
                tracks.floats.times.push(time);
                tracks.floats.values.push(value);
            }
            let grid = Grid { start_ms: start, step_ms: step, count: 150 };
            let reach = Reach { moved: Moved::default(), back_ms: range, ahead_ms: 0 };
            let mut windows = Windows::default();
            windows.slide(&tracks.floats.times, &grid, &reach);
            let mut series = Windowed {
                tracks: &tracks,
                floats: &windows,
                histograms: &Windows::default(),
                grid: &grid,
                block: (0, 0),
                moved: Moved::default(),
                range_ms: range,
                extension: Extension::None,
                labels: &LabelSet::empty(),
                span: Span::default(),
                use_starts: false,
            };
            let kind = RateKind { is_counter, is_rate };
            let (mut plain, mut any) = (Column::new(150), Column::new(150));
            for from in (0..150).step_by(block) {
                series.block = (from, 150.min(from + block));
                fill_plain_rates(&series, kind, &mut plain);
                fill_any_rates(&series, kind, &mut any, &mut Annotations::default());
            }
            prop_assert_eq!(&plain.present, &any.present);
            for step in any.present.iter_ones() {
                let (plain, any) = (plain.values[step], any.values[step]);
                let same = plain.to_bits() == any.to_bits() || plain.is_nan() && any.is_nan();
                prop_assert!(same, "{} instead of {}", plain, any);
            }
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            20 => 0.0..1e6f64,
            2 => Just(0.0),
            1 => -1e3..0.0f64,
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
        ]
    }

    #[test]
    fn resets_are_found_and_added() {
        let values = [0.0, 5.0, 1.0, 3.0, 2.0];
        let resets = Resets::find(&[0, 1, 2, 3, 4], &values, &[]);
        assert_eq!(resets.at, [2, 4]);
        assert_eq!(resets.added(2.0, &values, 0..2), 10.0);
        assert_eq!(resets.added(2.0, &values, 1..2), 5.0);
    }

    #[test]
    fn many_resets_add_up_alike() {
        let values: Vec<f64> = (0..1000).map(|at| f64::from(at % 3) * 0.1 + 0.1).collect();
        let times: Vec<i64> = (0..1000).collect();
        let resets = Resets::find(&times, &values, &[]);
        let all = 3..resets.at.len();
        let plain = resets.at[all.clone()].iter().fold(0.5, |sum, at| sum + values[at - 1]);
        assert!((resets.added(0.5, &values, all) - plain).abs() < 1e-9);
    }
}
