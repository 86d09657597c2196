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

/// Adds to a sum of two floats, keeping what rounding takes (Knuth's two-sum).
fn add_exactly((high, low): (f64, f64), value: f64) -> (f64, f64) {
    let sum = high + value;
    let part = sum - high;
    let lost = (high - (sum - part)) + (value - part);
    (sum, low + lost)
}

#[cfg(test)]
mod tests {
    use super::*;

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
