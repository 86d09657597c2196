//! Gather: samples of one series from wherever they lie, settled to one a time.
//!
//! Path: tiles, chunks of blocks → **gather** → `block::writer`, `selection`.
//!
//! Invariants
//! - G1: of several samples of one time the one whose origin goes first stays, whatever order they
//!   came in; of one origin the first.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;

use crate::row::precedence;

/// Samples of one series: parallel arrays, in order of time once they are settled.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Gathered {
    pub(crate) timestamps_ms: Vec<i64>,
    pub(crate) values: Vec<f64>,
    /// Index and value of the samples that are histograms, in order.
    pub(crate) histograms: Vec<(u32, Arc<NativeHistogram>)>,
    /// Where each sample comes from.
    pub(crate) origins: Vec<u64>,
    /// Start timestamp of each sample, 0 unknown; empty when none is known.
    pub(crate) starts_ms: Vec<i64>,
    /// Start timestamps as they came: time, origin, start.
    pub(crate) loose_starts: Vec<(i64, u64, i64)>,
}

impl Gathered {
    pub(crate) fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.values.clear();
        self.histograms.clear();
        self.origins.clear();
        self.starts_ms.clear();
        self.loose_starts.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// Adds a sample; a staleness marker by its bits.
    pub(crate) fn push(&mut self, time_ms: i64, value: f64, origin: u64) {
        self.timestamps_ms.push(time_ms);
        self.values.push(value);
        self.origins.push(origin);
    }

    /// Adds a native histogram.
    pub(crate) fn push_histogram(
        &mut self,
        time_ms: i64,
        value: &Arc<NativeHistogram>,
        origin: u64,
    ) {
        let at = u32::try_from(self.len()).expect("samples of a block are bounded below 2^32");
        self.histograms.push((at, Arc::clone(value)));
        self.push(time_ms, 0.0, origin);
    }

    /// Adds the start timestamp of the sample of a time, whenever that comes.
    pub(crate) fn push_start(&mut self, time_ms: i64, start_ms: i64, origin: u64) {
        if start_ms != 0 {
            self.loose_starts.push((time_ms, origin, start_ms));
        }
    }

    /// Puts the samples in order of time, each time once, without those that `dropped` names.
    pub(crate) fn settle(&mut self, dropped: impl Fn(i64) -> bool) {
        let times = &self.timestamps_ms;
        let clean = times.windows(2).all(|pair| pair[0] < pair[1])
            && !times.iter().any(|time| dropped(*time));
        if !clean {
            let mut order: Vec<usize> = (0..times.len()).collect();
            order.retain(|at| !dropped(times[*at]));
            order.sort_by_key(|at| (times[*at], precedence(self.origins[*at]), *at));
            order.dedup_by_key(|at| times[*at]);
            self.reorder(&order);
        }
        let rising = self.timestamps_ms.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(rising, "G1: a time stays twice");
        self.join_starts();
    }

    fn reorder(&mut self, order: &[usize]) {
        let mut settled = Gathered::default();
        for at in order {
            let found = self.histograms.binary_search_by_key(at, |(at, _)| *at as usize);
            match found {
                Ok(found) => settled.push_histogram(
                    self.timestamps_ms[*at],
                    &self.histograms[found].1,
                    self.origins[*at],
                ),
                Err(_) => {
                    settled.push(self.timestamps_ms[*at], self.values[*at], self.origins[*at]);
                }
            }
        }
        settled.loose_starts = std::mem::take(&mut self.loose_starts);
        *self = settled;
    }

    fn join_starts(&mut self) {
        self.starts_ms.clear();
        if self.loose_starts.is_empty() {
            return;
        }
        self.loose_starts.sort_by_key(|(time, origin, _)| (*time, precedence(*origin)));
        self.loose_starts.dedup_by_key(|(time, ..)| *time);
        for time in &self.timestamps_ms {
            let found = self.loose_starts.binary_search_by_key(time, |(time, ..)| *time);
            self.starts_ms.push(found.map_or(0, |at| self.loose_starts[at].2));
        }
        if self.starts_ms.iter().all(|start| *start == 0) {
            self.starts_ms.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn g1_any_order_settles_alike(
            samples in prop::collection::vec((0i64..20, 0u64..4), 0..40),
            turned in 0usize..40,
        ) {
            // One value a time and origin: what a column of one group gives.
            let value = |(time, origin): &(i64, u64)| (time * 10) as f64 + *origin as f64;
            let settle = |samples: &[(i64, u64)]| {
                let mut gathered = Gathered::default();
                for sample in samples {
                    gathered.push(sample.0, value(sample), sample.1);
                }
                gathered.settle(|time| time == 7);
                gathered
            };
            let mut other = samples.clone();
            other.rotate_left(if samples.is_empty() { 0 } else { turned % samples.len() });
            let settled = settle(&samples);
            prop_assert_eq!(&settled, &settle(&other));
            for (at, time) in settled.timestamps_ms.iter().enumerate() {
                let least = samples.iter().filter(|s| s.0 == *time).map(|s| s.1).min();
                prop_assert_eq!(Some(settled.origins[at]), least);
            }
        }
    }
}
