//! Counter: joins the counters of downsampled chunks, and those of several resolutions, into one.
//!
//! Path: chunks of aggregates → **counter** → `selection`, `compact::downsample`.
//! Source: Thanos, ApplyCounterResetsSeriesIterator, for chunks of one resolution.

use crate::tombstones::{Intervals, is_deleted};

/// A sample of a counter that never falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Joined {
    pub(crate) time_ms: i64,
    /// What the counter would be without the resets between the first sample and this one.
    pub(crate) total: f64,
    /// What the sample after it is compared with: at the end of a chunk the true last value.
    pub(crate) truth: f64,
}

/// What one resolution has of a series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    /// Counters of its chunks; of raw samples they are one.
    pub(crate) chunks: Vec<Vec<(i64, f64)>>,
    /// Times at which it is not to speak: finer levels do, or it is deleted.
    pub(crate) hidden: Intervals,
}

/// One counter that never falls, of the counters of chunks in order of time.
pub(crate) fn join<'a>(chunks: impl Iterator<Item = &'a [(i64, f64)]>) -> Vec<Joined> {
    let mut made: Vec<Joined> = Vec::new();
    for chunk in chunks {
        let begun = made.last().map(|last| last.time_ms);
        // What lies before the end of the chunk before it is passed over.
        let inside = |(time, _): &&(i64, f64)| begun.is_none_or(|begun| begun < *time);
        for (time, value) in chunk.iter().filter(inside).filter(|(_, value)| !value.is_nan()) {
            let total = match made.last_mut() {
                None => *value,
                Some(last) if *time == last.time_ms => {
                    // The true last value of the chunk.
                    last.truth = *value;
                    continue;
                }
                Some(last) if *time < last.time_ms => continue,
                Some(last) if *value < last.truth => last.total + value,
                Some(last) => last.total + (value - last.truth),
            };
            made.push(Joined { time_ms: *time, total, truth: *value });
        }
    }
    made
}

/// The counter of a level, and when it does not speak.
struct Track {
    samples: Vec<Joined>,
    hidden: Intervals,
}

/// Samples of one counter that is made of levels, finest first, up to the last sample of a level
/// that is not the first: what the first has behind it is not to change. Between them the counter
/// rises as much as the raw one did as far as any level knows, and its last value is true, so that
/// what comes next goes on from there.
pub(crate) fn seamless(levels: &mut [Level]) -> Vec<(i64, f64)> {
    let mut tracks = Vec::with_capacity(levels.len());
    let mut points = Vec::new();
    for (number, level) in levels.iter_mut().enumerate() {
        level.chunks.sort_by_key(|chunk| chunk.first().map(|(time, _)| *time));
        let samples = join(level.chunks.iter().map(Vec::as_slice));
        let shown = samples.iter().filter(|sample| !is_deleted(&level.hidden, sample.time_ms));
        points.extend(shown.map(|sample| (number, *sample)));
        tracks.push(Track { samples, hidden: std::mem::take(&mut level.hidden) });
    }
    points.sort_by_key(|(number, sample)| (sample.time_ms, *number));
    points.dedup_by_key(|(_, sample)| sample.time_ms);
    let Some(end) = points.iter().rposition(|(number, _)| *number != 0) else {
        return Vec::new();
    };
    let mut made: Vec<(i64, f64)> = Vec::with_capacity(end + 1);
    // What the totals of the level under way are moved by.
    let mut moved = 0.0;
    for (at, (number, sample)) in points[..=end].iter().enumerate() {
        if let Some(before) = at.checked_sub(1).map(|at| &points[at])
            && before.0 != *number
        {
            moved = made[at - 1].1 + increase(&tracks, before, &(*number, *sample)) - sample.total;
        }
        made.push((sample.time_ms, sample.total + moved));
    }
    let last = points[end];
    let ends_at = match points.get(end + 1) {
        Some(next) => next.1.truth - increase(&tracks, &last, next),
        None => last.1.truth,
    };
    let shift = ends_at - made[end].1;
    made.iter_mut().for_each(|(_, value)| *value += shift);
    made
}

/// How much the counter rose from a sample of one level to the next, of another.
fn increase(tracks: &[Track], from: &(usize, Joined), to: &(usize, Joined)) -> f64 {
    let ((from_level, from), (to_level, to)) = (from, to);
    let (from_track, to_track) = (&tracks[*from_level], &tracks[*to_level]);
    // Where the coarse level has a time at which the fine one speaks, the two tell there how far
    // apart they count.
    let shared = if to_level < from_level {
        from_track.first_from(to.time_ms).filter(|coarse| from_track.hides(coarse)).and_then(
            |coarse| {
                let fine = to_track.last_until(coarse.time_ms)?;
                Some((coarse.total - from.total) - (fine.total - to.total))
            },
        )
    } else {
        to_track.last_until(from.time_ms).filter(|coarse| to_track.hides(coarse)).and_then(
            |coarse| {
                let fine = from_track.last_until(coarse.time_ms)?;
                Some((to.total - coarse.total) - (from.total - fine.total))
            },
        )
    };
    let reset = if to.truth < from.truth { to.truth } else { to.truth - from.truth };
    shared.unwrap_or(reset).max(0.0)
}

impl Track {
    fn hides(&self, sample: &Joined) -> bool {
        is_deleted(&self.hidden, sample.time_ms)
    }

    fn first_from(&self, time_ms: i64) -> Option<Joined> {
        let at = self.samples.partition_point(|sample| sample.time_ms < time_ms);
        self.samples.get(at).copied()
    }

    fn last_until(&self, time_ms: i64) -> Option<Joined> {
        let at = self.samples.partition_point(|sample| sample.time_ms <= time_ms);
        self.samples.get(at.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compact::downsample::{AggregateChunk, COUNTER, again, raw};

    const MINUTE_MS: i64 = 60_000;

    /// How much a counter rose over these samples.
    fn rise(samples: &[(i64, f64)]) -> f64 {
        let pairs = samples.windows(2);
        pairs
            .map(|pair| if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 })
            .sum()
    }

    fn counters(chunks: &[AggregateChunk]) -> Vec<Vec<(i64, f64)>> {
        chunks.iter().map(|chunk| chunk.aggregates[COUNTER].clone()).collect()
    }

    /// A counter that is reset now and then, a sample a minute or so.
    fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
        let step = (30_000..90_000i64, 0..50u32, prop::bool::weighted(0.05));
        prop::collection::vec(step, 200..1500).prop_map(|steps| {
            let (mut time, mut value) = (0, 0);
            let sample = |(gap, more, reset)| {
                time += gap;
                value = if reset { more } else { value + more };
                (time, f64::from(value))
            };
            steps.into_iter().map(sample).collect()
        })
    }

    proptest! {
        #[test]
        fn a_counter_rises_alike_across_all_its_seams(
            samples in samples(),
            (first, second) in (0..1000i64, 0..1000i64),
            blocks in 1..5usize,
        ) {
            // Blocks of raw samples, each downsampled by itself and then again; the coarse levels
            // reach as far as the fine ones, which begin anywhere.
            let size = samples.len() / blocks + 1;
            let made: Vec<Vec<AggregateChunk>> =
                samples.chunks(size).map(|block| raw(block, 5 * MINUTE_MS).unwrap()).collect();
            let five: Vec<_> = made.iter().flat_map(|chunks| counters(chunks)).collect();
            let hour = made.iter().map(|chunks| again(chunks, 5 * MINUTE_MS, 60 * MINUTE_MS));
            let hour: Vec<_> = hour.flat_map(|chunks| counters(&chunks)).collect();
            let end = samples[samples.len() - 1].0;
            let cut = |share: i64| share * end / 1000 / (60 * MINUTE_MS) * 60 * MINUTE_MS;
            let (five_from, raw_from) = (cut(first.min(second)), cut(first.max(second)));
            let kept: Vec<_> = samples.iter().copied().filter(|s| raw_from <= s.0).collect();
            let mut levels = [
                Level { chunks: vec![kept.clone()], hidden: Vec::new() },
                Level { chunks: five, hidden: vec![(raw_from, i64::MAX), (0, five_from - 1)] },
                Level { chunks: hour, hidden: vec![(five_from, i64::MAX)] },
            ];
            let mut found = seamless(&mut levels);
            let rises = |pair: &[(i64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            prop_assert!(found.windows(2).all(rises));
            found.extend(kept);
            for (at, (time, _)) in found.iter().enumerate() {
                let until = samples.partition_point(|sample| sample.0 <= *time);
                prop_assert_eq!(rise(&found[..=at]), rise(&samples[..until]), "until {}", time);
            }
        }
    }

    #[test]
    fn the_last_value_is_true_and_raw_samples_in_between_count_once() {
        let chunk = vec![(10, 5.0), (99, 8.0), (199, 20.0), (299, 26.0), (299, 6.0)];
        let level = |chunks, hidden| Level { chunks, hidden };
        let mut levels = [level(Vec::new(), Vec::new()), level(vec![chunk], Vec::new())];
        assert_eq!(seamless(&mut levels), [(10, -15.0), (99, -12.0), (199, 0.0), (299, 6.0)]);
        // Raw samples of the second window, and what is behind all.
        levels[0].chunks = vec![vec![(110, 9.0), (150, 18.0), (310, 7.0)]];
        levels[1].hidden = vec![(110, 150)];
        let found = seamless(&mut levels);
        assert_eq!(
            found,
            [(10, -15.0), (99, -12.0), (110, -11.0), (150, -2.0), (199, 0.0), (299, 6.0)]
        );
    }
}
