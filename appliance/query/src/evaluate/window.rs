//! Windows: the samples of one series that each step of a range function looks at.
//!
//! A series is decoded once; two cursors move over it once, whatever the number of steps.
//!
//! Invariants
//! - E2: a window's edges never move back from one step to the next.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;
use model::staleness::is_stale;

use crate::evaluate::column::{Column, histogram_samples};
use crate::grid::Grid;
use crate::plan::node::Moved;
use model::samples::Samples;

/// Samples of one kind in order of time, without staleness markers.
#[derive(Clone, Debug)]
pub(crate) struct Track<T> {
    /// Milliseconds.
    pub(crate) times: Vec<i64>,
    /// Values, one a time.
    pub(crate) values: Vec<T>,
    /// Start timestamps, one a time, or none at all.
    pub(crate) starts: Vec<i64>,
}

impl<T> Default for Track<T> {
    fn default() -> Track<T> {
        Track { times: Vec::new(), values: Vec::new(), starts: Vec::new() }
    }
}

impl<T> Track<T> {
    fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
    }

    fn push(&mut self, time: i64, value: T, start: Option<i64>) {
        self.times.push(time);
        self.values.push(value);
        self.starts.extend(start);
    }
}

/// A series' floats and native histograms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracks {
    /// Floats.
    pub(crate) floats: Track<f64>,
    /// Native histograms.
    pub(crate) histograms: Track<Arc<NativeHistogram>>,
}

impl Tracks {
    /// Takes decoded samples apart, passing over staleness markers.
    pub(crate) fn take(&mut self, samples: &mut Samples) {
        self.floats.clear();
        self.histograms.clear();
        if samples.histograms.is_empty() && !samples.values.iter().any(|value| is_stale(*value)) {
            std::mem::swap(&mut self.floats.times, &mut samples.timestamps_ms);
            std::mem::swap(&mut self.floats.values, &mut samples.values);
            std::mem::swap(&mut self.floats.starts, &mut samples.start_timestamps_ms);
            return;
        }
        let mut histograms = samples.histograms.iter().peekable();
        for (at, (time, value)) in samples.timestamps_ms.iter().zip(&samples.values).enumerate() {
            let start = samples.start_timestamps_ms.get(at).copied();
            let found = histograms.next_if(|(index, _)| usize::try_from(*index) == Ok(at));
            match found {
                Some((_, histogram)) if is_stale(histogram.sum) => {}
                Some((_, histogram)) => {
                    self.histograms.push(*time, Arc::clone(histogram), start);
                }
                None if is_stale(*value) => {}
                None => self.floats.push(*time, *value, start),
            }
        }
    }

    /// Takes the steps of a subquery's column for samples.
    pub(crate) fn take_steps(&mut self, column: &Column, grid: &Grid) {
        self.floats.clear();
        self.histograms.clear();
        for step in column.present.iter_ones() {
            self.floats.push(grid.time_ms(step), column.values[step], None);
        }
        for (step, histogram) in column.iter_histograms() {
            self.histograms.push(grid.time_ms(step), Arc::clone(histogram), None);
        }
    }

    /// Whether there is no sample.
    pub(crate) fn is_empty(&self) -> bool {
        self.floats.times.is_empty() && self.histograms.times.is_empty()
    }
}

/// Ranges of indexes into a track, one a step; none where the track is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows {
    edges: Vec<(usize, usize)>,
}

/// How a window lies about the time of its step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Offset and `@`.
    pub(crate) moved: Moved,
    /// Milliseconds before the reference time; the edge itself is outside.
    pub(crate) back_ms: i64,
    /// Milliseconds after the reference time; the edge itself is inside.
    pub(crate) ahead_ms: i64,
}

impl Windows {
    /// Finds the windows of all steps in `times`.
    pub(crate) fn slide(&mut self, times: &[i64], grid: &Grid, reach: &Reach) {
        self.edges.clear();
        if times.is_empty() {
            return;
        }
        let (mut from, mut to) = (0, 0);
        for step in 0..grid.count {
            let reference = reach.moved.reference_ms(grid.time_ms(step));
            let after = reference.saturating_sub(reach.back_ms);
            let until = reference.saturating_add(reach.ahead_ms);
            while to < times.len() && times[to] <= until {
                to += 1;
            }
            while from < to && times[from] <= after {
                from += 1;
            }
            let last = self.edges.last().copied().unwrap_or_default();
            debug_assert!(
                last.0 <= from && last.1 <= to,
                "E2: the window of step {step} moved back"
            );
            self.edges.push((from, to));
        }
    }

    /// The window of a step: first index, and the index after the last.
    pub(crate) fn get(&self, step: usize) -> (usize, usize) {
        self.edges.get(step).copied().unwrap_or_default()
    }
}

/// Samples that windows look at: by all steps, each once, and most in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Summed over all windows.
    pub(crate) total: u64,
    /// Those that the step before did not look at.
    pub(crate) read: u64,
    /// Most in one window.
    pub(crate) largest: u64,
}

/// Counts what the windows of a series look at on a grid of `steps` steps, and tells `each` of
/// every step; `fixed` windows are read once.
pub(crate) fn count_looked(
    tracks: &Tracks,
    (floats, histograms): (&Windows, &Windows),
    steps: usize,
    fixed: bool,
    mut each: impl FnMut(usize, u64),
) -> Looked {
    let mut looked = Looked::default();
    let mut sum = 0;
    let sums: Vec<u64> = std::iter::once(0)
        .chain(tracks.histograms.values.iter().map(|value| {
            sum += histogram_samples(value);
            sum
        }))
        .collect();
    let size_of = |from: usize, to: usize| sums[to] - sums[from];
    let (mut float_end, mut histogram_end) = (0, 0);
    for step in 0..steps {
        let ((from, to), (h_from, h_to)) = (floats.get(step), histograms.get(step));
        let size = (to - from) as u64 + size_of(h_from, h_to);
        each(step, size);
        looked.total += size;
        looked.largest = looked.largest.max(size);
        if step == 0 || !fixed {
            let fresh = to - from.max(float_end).min(to);
            looked.read += fresh as u64 + size_of(h_from.max(histogram_end).min(h_to), h_to);
        }
        (float_end, histogram_end) = (to, h_to);
    }
    looked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(times: &[i64], grid: Grid, back_ms: i64, at_ms: Option<i64>) -> Vec<(usize, usize)> {
        let mut windows = Windows::default();
        let moved = Moved { at_ms, offset_ms: 0 };
        windows.slide(times, &grid, &Reach { moved, back_ms, ahead_ms: 0 });
        (0..grid.count).map(|step| windows.get(step)).collect()
    }

    #[test]
    fn e2_windows_are_open_to_the_left_and_move_on() {
        let times = [0, 10, 20, 30];
        assert_eq!(
            edges(&times, Grid::new(0, 40, 10), 20, None),
            [(0, 1), (0, 2), (1, 3), (2, 4), (3, 4)]
        );
        assert_eq!(edges(&times, Grid::new(0, 20, 10), 10, Some(20)), [(2, 3); 3]);
    }

    #[test]
    fn looked_counts_windows_and_fresh_samples() {
        let mut tracks = Tracks::default();
        let mut samples = Samples::default();
        for time in [10, 20, 30] {
            samples.push(model::time::TimestampMs(time), 1.0);
        }
        tracks.take(&mut samples);
        let mut windows = Windows::default();
        let reach = Reach { moved: Moved::default(), back_ms: 20, ahead_ms: 0 };
        windows.slide(&tracks.floats.times, &Grid::new(10, 30, 10), &reach);
        let mut by_step = Vec::new();
        let both = (&windows, &Windows::default());
        let looked = count_looked(&tracks, both, 3, false, |_, size| by_step.push(size));
        assert_eq!(looked, Looked { total: 5, read: 3, largest: 2 });
        assert_eq!(by_step, [1, 2, 2]);
    }
}
