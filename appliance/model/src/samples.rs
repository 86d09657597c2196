//! Samples of one series, decoded: what storage hands out and queries read.

use std::sync::Arc;

use crate::native_histogram::NativeHistogram;
use crate::time::TimestampMs;

/// Samples of one series, decoded: parallel arrays in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Milliseconds since the Unix epoch, strictly increasing.
    pub timestamps_ms: Vec<i64>,
    /// The float value; for a native histogram whatever, see `histograms`. A staleness marker
    /// keeps its bits.
    pub values: Vec<f64>,
    /// Native histograms: (index into `timestamps_ms`, histogram), in order; empty for most series.
    pub histograms: Vec<(u32, Arc<NativeHistogram>)>,
    /// Start timestamps (milliseconds, 0 unknown), one a sample, or empty when none is known.
    pub start_timestamps_ms: Vec<i64>,
    /// How many samples each one stands for, where some were downsampled and their sums are asked
    /// for; else empty, and each stands for itself.
    pub counts: Vec<f64>,
}

impl Samples {
    /// Empties the arrays and keeps their memory.
    pub fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.values.clear();
        self.histograms.clear();
        self.start_timestamps_ms.clear();
        self.counts.clear();
    }

    /// Bytes of the arrays; histograms, which the store may share, by their handles.
    #[must_use]
    pub fn heap_bytes(&self) -> u64 {
        let floats = self.timestamps_ms.len() + self.values.len() + self.counts.len();
        ((floats + self.start_timestamps_ms.len()) * 8 + self.histograms.len() * 16) as u64
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// Cuts the arrays back to the first `samples`.
    pub fn truncate(&mut self, samples: usize) {
        self.timestamps_ms.truncate(samples);
        self.values.truncate(samples);
        self.start_timestamps_ms.truncate(samples);
        self.counts.truncate(samples);
        let kept = self.histograms.partition_point(|(at, _)| (*at as usize) < samples);
        self.histograms.truncate(kept);
    }

    /// Puts the samples from `start` on in order of time, each time once: of several the one with
    /// the least `preference`, then the first. `preference` is asked by index from `start`.
    pub fn settle<P: Ord>(&mut self, start: usize, preference: impl Fn(usize) -> P) {
        let times = &self.timestamps_ms[start..];
        if times.windows(2).all(|pair| pair[0] < pair[1]) {
            return;
        }
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by_key(|at| (times[*at], preference(*at), *at));
        order.dedup_by_key(|at| times[*at]);
        let mut settled = Samples::default();
        for at in order {
            settled.push_from(self, start + at);
        }
        self.truncate(start);
        self.append(&settled);
    }

    /// Keeps of the samples from `start` on those whose time fulfils `keep`.
    pub fn retain(&mut self, start: usize, keep: impl Fn(i64) -> bool) {
        if self.timestamps_ms[start..].iter().all(|time| keep(*time)) {
            return;
        }
        let mut kept = Samples::default();
        for at in start..self.len() {
            if keep(self.timestamps_ms[at]) {
                kept.push_from(self, at);
            }
        }
        self.truncate(start);
        self.append(&kept);
    }

    /// Takes the samples from `start` on away and gives them.
    #[must_use]
    pub fn split_off(&mut self, start: usize) -> Samples {
        let mut rest = Samples::default();
        for at in start..self.len() {
            rest.push_from(self, at);
        }
        self.truncate(start);
        rest
    }

    /// Appends the samples of `other`.
    pub fn append(&mut self, other: &Samples) {
        for at in 0..other.len() {
            self.push_from(other, at);
        }
    }

    /// Appends sample `at` of `from`.
    fn push_from(&mut self, from: &Samples, at: usize) {
        let to = u32::try_from(self.len()).expect("samples are bounded far below 2^32");
        self.timestamps_ms.push(from.timestamps_ms[at]);
        self.values.push(from.values[at]);
        if let Some(started) = from.start_timestamps_ms.get(at) {
            self.start_timestamps_ms.push(*started);
        }
        self.counts.extend(from.counts.get(at));
        if let Ok(found) = from.histograms.binary_search_by_key(&at, |(at, _)| *at as usize) {
            self.histograms.push((to, Arc::clone(&from.histograms[found].1)));
        }
    }

    /// Appends a float sample.
    pub fn push(&mut self, timestamp: TimestampMs, value: f64) {
        self.timestamps_ms.push(timestamp.0);
        self.values.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_keeps_the_preferred_sample_of_a_time_and_its_histogram() {
        let mut samples = Samples::default();
        for (time, value) in [(1, 1.0), (30, 3.0), (20, 2.0), (30, 4.0), (20, 5.0)] {
            samples.push(TimestampMs(time), value);
        }
        let histogram = Arc::new(NativeHistogram { sum: 4.0, ..NativeHistogram::default() });
        samples.histograms.push((3, Arc::clone(&histogram)));
        samples.settle(1, |at| if at == 2 { 0 } else { 1 });
        assert_eq!(samples.timestamps_ms, [1, 20, 30]);
        assert_eq!(samples.values, [1.0, 2.0, 4.0]);
        assert_eq!(samples.histograms, [(2, histogram)]);
    }

    #[test]
    fn retaining_keeps_what_stands_before_and_what_is_wanted() {
        let mut samples = Samples::default();
        for time in [5, 1, 2, 3] {
            samples.push(TimestampMs(time), 0.5);
        }
        samples.histograms = vec![(1, Arc::default()), (3, Arc::default())];
        samples.retain(1, |time| time != 1);
        assert_eq!(samples.timestamps_ms, [5, 2, 3]);
        assert_eq!(samples.histograms, [(2, Arc::default())]);
    }

    #[test]
    fn truncating_cuts_the_histograms_too() {
        let mut samples = Samples::default();
        samples.push(TimestampMs(1), 1.0);
        samples.push(TimestampMs(2), 0.0);
        samples.histograms.push((1, Arc::default()));
        samples.truncate(1);
        assert_eq!((samples.len(), samples.histograms.len()), (1, 0));
    }
}
