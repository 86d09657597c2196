//! A store in memory, loaded by a script.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::label_set::{Builder, LabelSet, METRIC_NAME};
use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};
use model::samples::Samples;
use model::time::TimestampMs;
use query::native::reset::detect_reset;
use query::parse::series::SequenceValue;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};

use crate::promqltest::script::Load;

/// A sample: value or histogram, and its start timestamp.
#[derive(Clone, Debug)]
struct Stored {
    value: f64,
    histogram: Option<Arc<NativeHistogram>>,
    start_ms: i64,
}

/// Samples by time.
type Stream = BTreeMap<i64, Stored>;

/// Series by labels.
#[derive(Clone, Debug, Default)]
pub struct Store {
    series: BTreeMap<LabelSet, Arc<Stream>>,
}

impl Store {
    /// Loads series.
    ///
    /// # Errors
    /// Classic histograms cannot be read as custom-bucket histograms.
    pub fn load(&mut self, load: &Load) -> Result<(), String> {
        for (labels, values, starts) in &load.series {
            let mut time_ms = 0;
            for (at, value) in values.iter().enumerate() {
                let start_ms = starts.get(at).copied().flatten().map_or(0, |start| time_ms + start);
                let stored = match value {
                    SequenceValue::Omitted => None,
                    SequenceValue::Float(value) => {
                        Some(Stored { value: *value, histogram: None, start_ms })
                    }
                    SequenceValue::Histogram { histogram, .. } => Some(Stored {
                        value: 0.0,
                        histogram: Some(Arc::clone(histogram)),
                        start_ms,
                    }),
                };
                if let Some(stored) = stored {
                    self.put(labels, time_ms, stored);
                }
                time_ms += load.gap_ms;
            }
        }
        if load.with_nhcb {
            self.load_custom(load)?;
        }
        for stream in self.series.values_mut() {
            note_resets(Arc::make_mut(stream));
        }
        Ok(())
    }

    fn put(&mut self, labels: &LabelSet, time_ms: i64, stored: Stored) {
        let stream = self.series.entry(labels.clone()).or_default();
        Arc::make_mut(stream).insert(time_ms, stored);
    }

    /// Stores the classic histograms of a load as custom-bucket histograms.
    fn load_custom(&mut self, load: &Load) -> Result<(), String> {
        let mut histograms: BTreeMap<LabelSet, BTreeMap<i64, Classic>> = BTreeMap::new();
        for (labels, values, _) in &load.series {
            let Some((base, part)) = part_of(labels) else { continue };
            let by_time = histograms.entry(base).or_default();
            for (at, value) in values.iter().enumerate() {
                let SequenceValue::Float(value) = value else { continue };
                let time_ms = load.gap_ms * i64::try_from(at).unwrap_or(i64::MAX);
                by_time.entry(time_ms).or_default().set(part, *value);
            }
        }
        for (labels, by_time) in histograms {
            for (time_ms, classic) in by_time {
                let histogram = Some(Arc::new(classic.convert()?));
                let stored = Stored { value: 0.0, histogram, start_ms: 0 };
                self.put(&labels, time_ms, stored);
            }
        }
        Ok(())
    }
}

/// Says of each histogram whether the counter was reset before it, as a store of chunks does: the
/// first of a chunk is unknown, and a reset begins a chunk.
fn note_resets(stream: &mut Stream) {
    let mut before: Option<Arc<NativeHistogram>> = None;
    for stored in stream.values_mut() {
        let Some(histogram) = &mut stored.histogram else {
            before = None;
            continue;
        };
        let own = histogram.counter_reset_hint;
        let noted = match (&before, own) {
            (_, CounterResetHint::Gauge) => own,
            (None, _) | (_, CounterResetHint::Reset) => CounterResetHint::Unknown,
            (Some(before), _) => {
                let mut plain = NativeHistogram::clone(histogram);
                plain.counter_reset_hint = CounterResetHint::Unknown;
                let chunk_ends = before.counter_reset_hint == CounterResetHint::Gauge;
                if chunk_ends || detect_reset(&plain, before) {
                    CounterResetHint::Unknown
                } else {
                    CounterResetHint::NotReset
                }
            }
        };
        Arc::make_mut(histogram).counter_reset_hint = noted;
        before = Some(Arc::clone(histogram));
    }
}

/// What a series of a classic histogram counts.
#[derive(Clone, Copy)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

fn part_of(labels: &LabelSet) -> Option<(LabelSet, Part)> {
    let name = labels.metric_name();
    let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound: f64 = labels.value("le").parse().ok()?;
        if bound.is_nan() {
            return None;
        }
        (base, Part::Bucket(bound))
    } else if let Some(base) = name.strip_suffix("_count") {
        (base, Part::Count)
    } else {
        (name.strip_suffix("_sum")?, Part::Sum)
    };
    let mut builder = Builder::from(labels);
    builder.set(METRIC_NAME, base).remove("le");
    Some((builder.build(), part))
}

#[derive(Default)]
struct Classic {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Classic {
    fn set(&mut self, part: Part, value: f64) {
        match part {
            Part::Bucket(bound) => {
                if !self.buckets.iter().any(|(known, _)| *known == bound) {
                    self.buckets.push((bound, value));
                }
            }
            Part::Count => self.count = Some(value),
            Part::Sum => self.sum = value,
        }
    }

    fn convert(mut self) -> Result<NativeHistogram, String> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|(_, count)| count)).unwrap_or(0.0);
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if self.buckets.last().is_none_or(|(_, last)| *last != count) {
            return Err(format!("count {count} is not that of the last bucket"));
        }
        let mut spans: Vec<Span> = Vec::new();
        let mut counts = Vec::new();
        let (mut before, mut gap) = (0.0, 0);
        for (_, cumulative) in &self.buckets {
            let own = cumulative - before;
            if own < 0.0 {
                return Err(format!("buckets fall from {before} to {cumulative}"));
            }
            before = *cumulative;
            if own == 0.0 {
                gap += 1;
                continue;
            }
            match spans.last_mut() {
                Some(span) if gap == 0 => span.length += 1,
                _ => spans.push(Span { offset: gap, length: 1 }),
            }
            gap = 0;
            counts.push(own);
        }
        let bounds = self.buckets.iter().map(|(bound, _)| *bound);
        Ok(NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: spans,
            positive_buckets: counts,
            custom_values: bounds.filter(|bound| *bound != f64::INFINITY).collect(),
            ..NativeHistogram::default()
        })
    }
}

struct Handle {
    stream: Arc<Stream>,
}

impl Column for Handle {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        use std::ops::Bound::{Excluded, Included};
        if until <= after {
            return Ok(());
        }
        let known = self.stream.values().any(|stored| stored.start_ms != 0);
        for (time, stored) in self.stream.range((Excluded(after.0), Included(until.0))) {
            if let Some(histogram) = &stored.histogram {
                let at = u32::try_from(samples.timestamps_ms.len()).expect("scripts are small");
                samples.histograms.push((at, Arc::clone(histogram)));
            }
            samples.push(TimestampMs(*time), stored.value);
            if known {
                samples.start_timestamps_ms.push(stored.start_ms);
            }
        }
        Ok(())
    }
}

impl Source for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let matching = self.series.iter().filter(|(labels, _)| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        });
        let handles = matching.map(|(labels, stream)| Series {
            labels: labels.clone(),
            column: Arc::new(Handle { stream: Arc::clone(stream) }),
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
