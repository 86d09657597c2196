//! Random data: a few dozen series whose label sets match, clash and go missing.
//!
//! Gauges in eighths, counters with resets, gaps, staleness markers, NaN and infinities, classic
//! histograms with good and odd `le`, and, for the whole language, native histograms.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use model::label_set::{Builder, LabelSet, METRIC_NAME};
use model::native_histogram::NativeHistogram;
use model::number::format_sample_value;
use model::samples::Samples;
use model::staleness::{is_stale, stale_nan};
use model::time::TimestampMs;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};
use sim::prng::Prng;

use crate::random::histograms;

/// Time of the first slot: a whole second.
pub const START_MS: i64 = 1_700_000_000_000;
/// Milliseconds between the slots of a series.
pub const INTERVAL_MS: i64 = 10_000;
/// Slots of a world.
pub const SLOTS: i64 = 120;
/// How far queries look back for an instant sample.
pub const LOOKBACK_MS: i64 = 60_000;
/// Slots at the beginning of a counter, and after each gap of it, without a reset: longer than any
/// range that is asked of it. See [`counter`].
const CALM_SLOTS: i64 = 32;

/// Which language the data are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// What Prometheus 2.42 and 3.14 agree upon: floats, no sample on the edge of a window.
    Shared,
    /// All of 3.14: native histograms, samples wherever they fall.
    Whole,
}

/// A sample of a world.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldSample {
    /// Its time.
    pub time_ms: i64,
    /// Its value; of a histogram, nothing.
    pub value: f64,
    /// The histogram that it is, if it is one.
    pub histogram: Option<Arc<NativeHistogram>>,
}

/// A series' samples, in order of time.
pub type Stream = Vec<WorldSample>;

/// Series by label set.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The series.
    pub series: BTreeMap<LabelSet, Arc<Stored>>,
}

/// The samples of one series.
#[derive(Clone, Debug, Default)]
pub struct Stored(pub Stream);

impl World {
    /// The world of a seed.
    #[must_use]
    pub fn new(seed: u64, dialect: Dialect) -> World {
        let chance = Prng::new(seed, "world");
        let mut maker = Maker { chance, dialect, world: World::default() };
        maker.gauges();
        maker.counters();
        maker.classic("h_bucket", &["0.1", "0.5", "1", "+Inf"]);
        maker.classic("odd_bucket", &["-1", "1", "1.0", "2e0", "much", "+Inf"]);
        maker.infos();
        if dialect == Dialect::Whole {
            maker.native();
        }
        maker.world
    }

    /// The world as text: a line a sample, `# stale` at a staleness marker.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (labels, stored) in &self.series {
            for sample in &stored.0 {
                let seconds = (sample.time_ms.div_euclid(1000), sample.time_ms.rem_euclid(1000));
                let value = match &sample.histogram {
                    Some(histogram) => format!("{histogram:?}"),
                    None if is_stale(sample.value) => "NaN # stale".to_owned(),
                    None => format_sample_value(sample.value),
                };
                let _ = writeln!(text, "{labels} {}.{:03} {value}", seconds.0, seconds.1);
            }
        }
        text
    }

    /// The world without the series of these labels.
    #[must_use]
    pub fn without(&self, labels: &LabelSet) -> World {
        let mut less = self.clone();
        less.series.remove(labels);
        less
    }
}

struct Maker {
    chance: Prng,
    dialect: Dialect,
    world: World,
}

impl Maker {
    fn percent(&mut self, percent: u64) -> bool {
        self.chance.below(100) < percent
    }

    /// Most of the label sets that `labels` span, under `name`.
    fn label_sets(&mut self, name: &str, labels: &[(&str, &[&str])]) -> Vec<LabelSet> {
        let mut base = Builder::default();
        base.set(METRIC_NAME, name);
        let mut sets = vec![base];
        for (label, values) in labels {
            let spread = sets.iter().flat_map(|set| {
                values.iter().map(|value| {
                    let mut set = set.clone();
                    set.set(label, value);
                    set
                })
            });
            sets = spread.collect();
        }
        let sets: Vec<LabelSet> = sets.iter().map(Builder::build).collect();
        sets.into_iter().filter(|_| self.percent(85)).collect()
    }

    fn put(&mut self, labels: LabelSet, stream: Stream) {
        if !stream.is_empty() {
            self.world.series.insert(labels, Arc::new(Stored(stream)));
        }
    }

    fn gauges(&mut self) {
        for labels in self.label_sets("g", &[("job", &["a", "b"]), ("i", &["0", "1"])]) {
            let times = self.times();
            let stream = self.eighths(&times, 100);
            self.put(labels, stream);
        }
        let spread: &[(&str, &[&str])] = &[("job", &["a", "b", "c"]), ("mode", &["r", "w"])];
        for labels in self.label_sets("t", spread) {
            let times = self.times();
            // Few values: ties, and changes that are none.
            let stream = self.eighths(&times, 1);
            self.put(labels, stream);
        }
        let spread: &[(&str, &[&str])] = &[("job", &["a", "b", "c"]), ("i", &["0", "1"])];
        for (at, labels) in (0..).zip(self.label_sets("u", spread)) {
            let times = self.times();
            let mut stream = self.eighths(&times, 100);
            for sample in &mut stream {
                // Never equal to one of another series; a staleness marker stays one.
                if !is_stale(sample.value) {
                    sample.value += f64::from(at) / 128.0;
                }
            }
            self.put(labels, stream);
        }
        for labels in self.label_sets("odd", &[("i", &["0", "1", "2"])]) {
            let times = self.times();
            let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1.0, -2.5];
            let stream = times.iter().map(|time| float(*time, self.chance.one_of(&values)));
            let stream = stream.collect();
            self.put(labels, stream);
        }
        let times = self.times();
        let rare: Vec<i64> = times.into_iter().filter(|_| self.percent(4)).collect();
        let stream = self.eighths(&rare, 10);
        self.put(LabelSet::new([(METRIC_NAME, "rare"), ("job", "a")]), stream);
    }

    fn counters(&mut self) {
        let spread: &[(&str, &[&str])] = &[("job", &["a", "b"]), ("i", &["0", "1"])];
        for labels in self.label_sets("c_total", spread) {
            let stream = self.counter();
            self.put(labels, stream);
        }
        let spread: &[(&str, &[&str])] =
            &[("job", &["a", "b"]), ("i", &["1", "2"]), ("code", &["200", "500"])];
        for labels in self.label_sets("r_total", spread) {
            let stream = self.counter();
            self.put(labels, stream);
        }
    }

    fn classic(&mut self, name: &str, bounds: &[&str]) {
        for job in ["a", "b"] {
            // The buckets of a histogram are scraped together, but for one that may be late.
            let times = self.times();
            let mut counts = vec![4096_u64; bounds.len()];
            let mut streams = vec![Vec::new(); bounds.len()];
            for time in times {
                let mut cumulative = 0;
                for (at, count) in counts.iter_mut().enumerate() {
                    *count += self.chance.below(8);
                    cumulative += *count;
                    let kept = self.chance.below(100) < 98;
                    if kept {
                        streams[at].push(float(time, as_float(cumulative)));
                    }
                }
            }
            for (bound, stream) in bounds.iter().zip(streams) {
                let left_out = name != "h_bucket" && self.percent(15);
                if !left_out {
                    let labels = [(METRIC_NAME, name), ("job", job), ("le", bound)];
                    self.put(LabelSet::new(labels), stream);
                }
            }
        }
    }

    fn infos(&mut self) {
        for (name, label) in [("target_info", "version"), ("build_info", "commit")] {
            let spread: &[(&str, &[&str])] = &[("job", &["a", "b"]), ("i", &["0", "1"])];
            for labels in self.label_sets(name, spread) {
                let times = self.times();
                let cut = usize::try_from(self.chance.below(2 * times.len() as u64 + 1));
                let cut = cut.map_or(times.len(), |cut| cut.min(times.len()));
                let versions = [&times[..cut], &times[cut..]];
                for (version, times) in ["1", "2"].iter().zip(versions) {
                    let mut builder = Builder::from(&labels);
                    builder.set("instance", labels.value("i")).set(label, version);
                    let stream = times.iter().map(|time| float(*time, 1.0)).collect();
                    self.put(builder.build(), stream);
                }
            }
        }
    }

    fn native(&mut self) {
        let spread: &[(&str, &[&str])] = &[("job", &["a", "b"]), ("i", &["0", "1"])];
        for (name, kind) in histograms::KINDS {
            for labels in self.label_sets(name, spread) {
                let times = self.times();
                let mut maker = histograms::Maker::new(&mut self.chance, *kind);
                let samples = times.iter().map(|time| WorldSample {
                    time_ms: *time,
                    value: 0.0,
                    histogram: Some(Arc::new(maker.next(&mut self.chance))),
                });
                let mut stream: Stream = samples.collect();
                if *name == "mixed" {
                    for sample in &mut stream {
                        if self.chance.below(100) < 40 {
                            *sample = float(sample.time_ms, as_float(self.chance.below(9)));
                        }
                    }
                }
                if self.percent(50) {
                    self.mark_stale(&mut stream);
                }
                self.put(labels, stream);
            }
        }
    }

    /// Times of a series: a slot each, a little late, some missing, now and then a long gap.
    fn times(&mut self) -> Vec<i64> {
        let from = if self.percent(20) { self.slot(SLOTS / 2) } else { 0 };
        let to = if self.percent(20) { SLOTS / 2 + self.slot(SLOTS / 2) } else { SLOTS };
        let gap = if self.percent(30) { self.slot(SLOTS) } else { SLOTS };
        let gap = gap..gap + 3 + self.slot(12);
        let missing = self.chance.one_of(&[0, 0, 5, 15]);
        let slots = (from..to).filter(|slot| !gap.contains(slot));
        let slots: Vec<i64> = slots.filter(|_| !self.percent(missing)).collect();
        let offset = self.late();
        slots.into_iter().map(|slot| START_MS + slot * INTERVAL_MS + self.jitter(offset)).collect()
    }

    fn slot(&mut self, bound: i64) -> i64 {
        i64::try_from(self.chance.below(bound.unsigned_abs())).unwrap_or(0)
    }

    /// Milliseconds behind the slot.
    fn late(&mut self) -> i64 {
        if self.dialect == Dialect::Whole && self.percent(60) {
            return 0;
        }
        self.slot(8) * 1000 + self.off_edge()
    }

    fn jitter(&mut self, offset: i64) -> i64 {
        if self.dialect == Dialect::Whole {
            return offset + if self.percent(10) { self.slot(900) } else { 0 };
        }
        if self.percent(30) { offset / 1000 * 1000 + self.off_edge() } else { offset }
    }

    /// Milliseconds of a second that are neither 0 nor 500: no edge of a window is there.
    fn off_edge(&mut self) -> i64 {
        1 + self.slot(499) + if self.percent(50) { 500 } else { 0 }
    }

    /// Eighths within ± `bound`: sums of them are exact.
    fn eighths(&mut self, times: &[i64], bound: i64) -> Stream {
        let draw = |chance: &mut Prng| chance.below(16 * bound.unsigned_abs() + 1);
        let values = times.iter().map(|time| {
            let eighths = as_float(draw(&mut self.chance)) - 8.0 * as_float(bound.unsigned_abs());
            float(*time, eighths / 8.0)
        });
        let mut stream: Stream = values.collect();
        if self.percent(30) {
            self.mark_stale(&mut stream);
        }
        stream
    }

    /// A counter that grows by whole numbers and falls where that is told apart alike.
    ///
    /// 2.42 and 3.14 limit extrapolation to where a counter was zero in different order, which
    /// shows where a window begins long before its first sample: at the first sample of a series
    /// and after a gap. There the shared language's counters are high above what they grow by, and
    /// no reset is near.
    fn counter(&mut self) -> Stream {
        let times = self.times();
        let growth = self.chance.one_of(&[0, 1, 20]);
        let calm_slots = if self.dialect == Dialect::Shared { CALM_SLOTS } else { 0 };
        let low = if self.dialect == Dialect::Shared { 100_000 } else { 0 };
        let mut value = low + self.chance.below(500);
        let mut before = i64::MIN;
        let mut calm_until = i64::MIN;
        let mut stream = Vec::new();
        for time in times {
            if before.saturating_add(INTERVAL_MS * 3 / 2) < time {
                calm_until = time + calm_slots * INTERVAL_MS;
            }
            before = time;
            value += self.chance.below(growth + 1);
            if calm_until <= time && self.percent(3) {
                value = low + self.chance.below(value - low + 1) / 2;
            }
            stream.push(float(time, as_float(value)));
        }
        stream
    }

    /// Makes some samples staleness markers, singly and before gaps.
    fn mark_stale(&mut self, stream: &mut Stream) {
        for at in 0..stream.len() {
            let is_last =
                stream.get(at + 1).is_none_or(|next| stream[at].time_ms + 25_000 < next.time_ms);
            if self.percent(if is_last { 60 } else { 3 }) {
                stream[at] = float(stream[at].time_ms, stale_nan());
            }
        }
    }
}

fn float(time_ms: i64, value: f64) -> WorldSample {
    WorldSample { time_ms, value, histogram: None }
}

/// A small count as a float.
#[expect(clippy::cast_precision_loss, reason = "counts of made-up data are small")]
fn as_float(count: u64) -> f64 {
    count as f64
}

impl Column for Stored {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        for sample in &self.0 {
            if sample.time_ms <= after.0 || until.0 < sample.time_ms {
                continue;
            }
            if let Some(histogram) = &sample.histogram {
                let at = u32::try_from(samples.timestamps_ms.len()).expect("worlds are small");
                samples.histograms.push((at, Arc::clone(histogram)));
            }
            samples.push(TimestampMs(sample.time_ms), sample.value);
        }
        Ok(())
    }
}

impl Source for World {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let matching = self.series.iter().filter(|(labels, _)| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        });
        let handles = matching.map(|(labels, stored)| Series {
            labels: labels.clone(),
            column: Arc::clone(stored) as Arc<dyn Column>,
        });
        Ok(handles.collect())
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_a_function_of_its_seed() {
        let world = World::new(7, Dialect::Whole);
        assert_eq!(world.text(), World::new(7, Dialect::Whole).text());
        assert_ne!(world.text(), World::new(8, Dialect::Whole).text());
    }

    #[test]
    fn no_sample_of_the_shared_language_is_on_an_edge() {
        for seed in 0..20 {
            let world = World::new(seed, Dialect::Shared);
            let times = world.series.values().flat_map(|stored| &stored.0);
            assert!(times.clone().all(|sample| sample.time_ms % 500 != 0));
            assert!(times.clone().all(|sample| sample.histogram.is_none()));
            for stored in world.series.values() {
                assert!(stored.0.windows(2).all(|pair| pair[0].time_ms < pair[1].time_ms));
            }
        }
    }
}
