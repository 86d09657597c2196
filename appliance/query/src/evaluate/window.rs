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
    /// How many samples each stands for, one a time, or none at all: each for itself.
    pub(crate) counts: Vec<f64>,
}

impl<T> Default for Track<T> {
    fn default() -> Track<T> {
        Track { times: Vec::new(), values: Vec::new(), starts: Vec::new(), counts: Vec::new() }
    }
}

impl<T> Track<T> {
    fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.counts.clear();
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
        if samples.histograms.is_empty() && !has_stale(&samples.values) {
            std::mem::swap(&mut self.floats.times, &mut samples.timestamps_ms);
            std::mem::swap(&mut self.floats.values, &mut samples.values);
            std::mem::swap(&mut self.floats.starts, &mut samples.start_timestamps_ms);
            std::mem::swap(&mut self.floats.counts, &mut samples.counts);
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
                None => {
                    self.floats.push(*time, *value, start);
                    self.floats.counts.extend(samples.counts.get(at));
                }
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

/// Whether any value is a staleness marker. Looks at a few at a time, so that the loop needs no
/// branch a value.
fn has_stale(values: &[f64]) -> bool {
    let any = |some: &[f64]| some.iter().fold(false, |any, value| any | is_stale(*value));
    values.chunks(64).any(any)
}

/// Ranges of indexes into a track, one a step; none where the track is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows {
    /// Index of the first sample of each step's window.
    from: Vec<u32>,
    /// Index after the last.
    to: Vec<u32>,
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

impl Reach {
    /// Open and closed end of a window whose step is at `time_ms`.
    fn window(&self, time_ms: i64) -> (i64, i64) {
        let reference = self.moved.reference_ms(time_ms);
        (reference.saturating_sub(self.back_ms), reference.saturating_add(self.ahead_ms))
    }
}

impl Windows {
    /// Finds the windows of all steps in `times`.
    pub(crate) fn slide(&mut self, times: &[i64], grid: &Grid, reach: &Reach) {
        self.from.clear();
        self.to.clear();
        if times.is_empty() {
            return;
        }
        assert!(u32::try_from(times.len()).is_ok(), "a series has less than 2^32 samples");
        let (after, until) = reach.window(grid.start_ms);
        let last = reach.window(grid.last_ms());
        let count = grid.count;
        let span = i128::from(grid.step_ms) * (count as i128 - 1);
        let moves = |first: i64, last: i64| i128::from(last) - i128::from(first) == span;
        if !(moves(after, last.0) && moves(until, last.1)) {
            return self.search(times, grid, reach);
        }
        put_edges(times, (until, grid.step_ms), count, &mut self.to);
        // Where a window is a whole number of steps long, it begins where an earlier one ends.
        let length = until.saturating_sub(after);
        let steps = usize::try_from(length / grid.step_ms).unwrap_or(usize::MAX).min(count);
        let found = if length % grid.step_ms == 0 { steps } else { count };
        put_edges(times, (after, grid.step_ms), found, &mut self.from);
        self.from.extend_from_slice(&self.to[..count - found]);
        self.check();
    }

    /// Finds windows that do not move on by a step each: those of `@`, and those that are held at
    /// the ends of 64 bits.
    fn search(&mut self, times: &[i64], grid: &Grid, reach: &Reach) {
        for step in 0..grid.count {
            let (after, until) = reach.window(grid.time_ms(step));
            let to = times.partition_point(|time| *time <= until);
            let from = times[..to].partition_point(|time| *time <= after);
            self.from.push(short(from));
            self.to.push(short(to));
        }
        self.check();
    }

    fn check(&self) {
        let rises = |edges: &[u32]| edges.windows(2).all(|pair| pair[0] <= pair[1]);
        debug_assert!(rises(&self.from) && rises(&self.to), "E2: a window moved back");
        debug_assert!(self.from.iter().zip(&self.to).all(|(from, to)| from <= to));
    }

    /// The window of a step: first index, and the index after the last.
    #[inline]
    pub(crate) fn get(&self, step: usize) -> (usize, usize) {
        match (self.from.get(step), self.to.get(step)) {
            (Some(from), Some(to)) => (*from as usize, *to as usize),
            _ => (0, 0),
        }
    }

    /// First indexes, and the indexes after the last, of all steps; empty where the track is.
    pub(crate) fn edges(&self) -> (&[u32], &[u32]) {
        (&self.from, &self.to)
    }
}

/// Appends, for `count` limits of which the first and the distance are given, how many of `times`
/// are not after it.
fn put_edges(times: &[i64], (first, step): (i64, i64), count: usize, edges: &mut Vec<u32>) {
    let mut at = times.partition_point(|time| *time <= first);
    let mut limit = first;
    // Samples between the limits before: mostly as many as between the next.
    let mut usual = 0;
    edges.extend((0..count).map(|_| {
        let guess = at + usual;
        let fits = guess < times.len()
            && limit < times[guess]
            && (usual == 0 || times[guess - 1] <= limit);
        if fits {
            at = guess;
        } else {
            let before = at;
            while at < times.len() && times[at] <= limit {
                at += 1;
            }
            usual = at - before;
        }
        limit = limit.wrapping_add(step);
        short(at)
    }));
}

/// An index into a track, of which the length was checked.
#[inline]
fn short(index: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a track has less than 2^32 samples")]
    let short = index as u32;
    short
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

/// Counts what the windows of a series look at on a grid of `steps` steps, and adds it to
/// `by_step` unless that is empty; `fixed` windows are read once.
pub(crate) fn count_looked(
    tracks: &Tracks,
    (floats, histograms): (&Windows, &Windows),
    steps: usize,
    fixed: bool,
    by_step: &mut [u64],
) -> Looked {
    if tracks.histograms.times.is_empty() && by_step.is_empty() {
        return count_floats(floats, fixed);
    }
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
        if let Some(known) = by_step.get_mut(step) {
            *known += size;
        }
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

/// The same where there are only floats, in loops without branches.
fn count_floats(windows: &Windows, fixed: bool) -> Looked {
    let (from, to) = windows.edges();
    let sizes = || from.iter().zip(to).map(|(from, to)| to - from);
    let first = sizes().next().map_or(0, u64::from);
    let mut looked = Looked {
        total: sizes().map(u64::from).sum(),
        read: first,
        largest: u64::from(sizes().fold(0, u32::max)),
    };
    if !fixed && 1 < from.len() {
        let fresh = from[1..].iter().zip(&to[1..]).zip(to);
        looked.read += fresh.map(|((from, to), end)| u64::from(to - from.max(end))).sum::<u64>();
    }
    looked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn windows_hold_what_lies_in_them(
            gaps in prop::collection::vec(1..30i64, 0..60),
            start in -100..900i64,
            step in 1..60i64,
            count in 0..40usize,
            (back, ahead) in (0..200i64, 0..50i64),
            fixed in prop::option::of(0..500i64),
        ) {
            let mut time = 0;
            let times: Vec<i64> = gaps.iter().map(|gap| { time += gap; time }).collect();
            let grid = Grid { start_ms: start, step_ms: step, count };
            let moved = Moved { at_ms: fixed, offset_ms: 7 };
            let reach = Reach { moved, back_ms: back, ahead_ms: ahead };
            let mut windows = Windows::default();
            windows.slide(&times, &grid, &reach);
            for at in 0..count {
                let (after, until) = reach.window(grid.time_ms(at));
                let inside = |time: &&i64| after < **time && **time <= until;
                let held: Vec<&i64> = times.iter().filter(inside).collect();
                let (from, to) = windows.get(at);
                prop_assert_eq!(times[from..to].iter().collect::<Vec<_>>(), held);
            }
        }
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
        let mut by_step = [0; 3];
        let both = (&windows, &Windows::default());
        let expected = Looked { total: 5, read: 3, largest: 2 };
        assert_eq!(count_looked(&tracks, both, 3, false, &mut by_step), expected);
        assert_eq!(count_looked(&tracks, both, 3, false, &mut []), expected);
        assert_eq!(by_step, [1, 2, 2]);
    }
}
