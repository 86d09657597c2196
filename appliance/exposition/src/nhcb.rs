//! Native histograms with custom buckets, made of classic ones.
//!
//! Path: `protobuf` gives buckets; text formats come through [`Collector`] → **nhcb** → entries.
//! Never: converts a histogram whose buckets do not rise: it is left out, as upstream does.

use model::label_set::{Builder, METRIC_NAME};
use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, Span};
use model::time::TimestampMs;

use crate::entry::{Entry, Exemplar, HistogramSample, Sample};
use crate::metric_type::MetricType;
use crate::native::finish;
use crate::number;
use crate::series::parse_series;
use crate::series_text::write_label_set;

/// Label of a bucket's upper bound.
const BOUND: &str = "le";

/// A classic histogram being put together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classic {
    /// Upper bound and count up to it, in any order.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    broken: bool,
}

impl Classic {
    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
        self.count = None;
        self.sum = 0.0;
        self.broken = false;
    }

    /// Adds a bucket; of two with the same bound the first counts.
    pub(crate) fn bucket(&mut self, bound: f64, count: f64) {
        self.broken |= bound.is_nan() || count < 0.0;
        self.buckets.push((bound, count));
    }

    pub(crate) fn count(&mut self, count: f64) {
        self.broken |= count < 0.0;
        self.count = Some(count);
    }

    pub(crate) fn sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// The histogram as a native one; `None` when it is none. Its own buckets are then gone.
    pub(crate) fn convert(&mut self) -> Option<NativeHistogram> {
        if self.broken {
            return None;
        }
        self.buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        self.buckets.dedup_by(|(b, _), (a, _)| a == b);
        let highest = self.buckets.last().map(|(_, count)| *count);
        let count = self.count.or(highest).unwrap_or(0.0);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let rises = self.buckets.windows(2).all(|two| two[0].1 <= two[1].1);
        if !rises || self.buckets.last().is_some_and(|(_, all)| *all != count) {
            return None;
        }
        let before = std::iter::once(0.0).chain(self.buckets.iter().map(|(_, count)| *count));
        let counts = self.buckets.iter().zip(before).map(|((_, count), before)| count - before);
        let bounds = self.buckets.iter().map(|(bound, _)| *bound).filter(|b| *b != f64::INFINITY);
        let mut histogram = NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span {
                offset: 0,
                length: u32::try_from(self.buckets.len()).ok()?,
            }],
            positive_buckets: counts.collect(),
            custom_values: bounds.collect(),
            ..NativeHistogram::default()
        };
        finish(&mut histogram).is_ok().then_some(histogram)
    }
}

/// Puts the series of classic histograms together as they come from a text format.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// Whether the classic series are given as well.
    keep: bool,
    /// Name that the last `# TYPE` line had.
    family: String,
    /// Labels of the histogram at hand, without the bound; empty when there is none.
    labels: Option<model::label_set::LabelSet>,
    classic: Classic,
    exemplars: Vec<OwnExemplar>,
    timestamp: Option<TimestampMs>,
    start: Option<TimestampMs>,
    text: Vec<u8>,
}

/// An exemplar that outlives its line.
#[derive(Clone, Debug)]
struct OwnExemplar {
    labels: Vec<u8>,
    value: f64,
    timestamp: Option<TimestampMs>,
}

/// What a series of a classic histogram says.
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

impl Collector {
    pub(crate) fn new(keep: bool) -> Collector {
        Collector { keep, ..Collector::default() }
    }

    /// Takes an entry; `visit` gets it, unless it became part of a histogram, after the histogram
    /// that it ends.
    pub(crate) fn take(&mut self, entry: &Entry<'_>, visit: &mut dyn FnMut(&Entry<'_>)) {
        let Entry::Sample(sample) = entry else {
            self.end(visit);
            if let Entry::Type { name, .. } = entry {
                self.family.clear();
                self.family.push_str(name);
            }
            visit(entry);
            return;
        };
        let Some((labels, part)) = self.part_of(sample) else {
            self.end(visit);
            visit(entry);
            return;
        };
        if self.labels.as_ref() != Some(&labels) {
            self.end(visit);
            self.labels = Some(labels);
            self.start = sample.start;
        }
        self.add(sample, &part);
        if self.keep {
            visit(entry);
        }
    }

    fn add(&mut self, sample: &Sample<'_>, part: &Part) {
        match part {
            Part::Bucket(bound) => self.classic.bucket(*bound, sample.value),
            Part::Count => self.classic.count(sample.value),
            Part::Sum => self.classic.sum(sample.value),
        }
        self.timestamp = sample.timestamp;
        self.exemplars.extend(sample.exemplar.map(|exemplar| OwnExemplar {
            labels: exemplar.labels.to_vec(),
            value: exemplar.value,
            timestamp: exemplar.timestamp,
        }));
    }

    /// Labels of the histogram that a sample belongs to, and what of it the sample is.
    fn part_of(&self, sample: &Sample<'_>) -> Option<(model::label_set::LabelSet, Part)> {
        if sample.metric_type != MetricType::Histogram {
            return None;
        }
        let mut labels = Builder::default();
        parse_series(sample.series, sample.metric_type, &mut labels).ok()?;
        let suffix = labels.value(METRIC_NAME).strip_prefix(self.family.as_str())?;
        let part = match suffix {
            "_bucket" => {
                let bound = number::parse(labels.value(BOUND).as_bytes()).ok()?;
                (!bound.is_nan()).then_some(Part::Bucket(bound))?
            }
            "_count" => Part::Count,
            "_sum" => Part::Sum,
            _ => return None,
        };
        labels.set(METRIC_NAME, &self.family);
        labels.retain(|name| name != BOUND);
        Some((labels.build(), part))
    }

    /// Gives `visit` the histogram at hand.
    pub(crate) fn end(&mut self, visit: &mut dyn FnMut(&Entry<'_>)) {
        let Some(labels) = self.labels.take() else { return };
        if let Some(histogram) = self.classic.convert() {
            self.text.clear();
            write_label_set(&labels, &mut self.text);
            let timed = self.exemplars.iter().filter(|exemplar| exemplar.timestamp.is_some());
            let mut exemplars: Vec<Exemplar<'_>> = timed
                .map(|own| Exemplar {
                    labels: &own.labels,
                    labels_start: 0,
                    value: own.value,
                    timestamp: own.timestamp,
                })
                .collect();
            exemplars.sort_by_key(|exemplar| exemplar.timestamp);
            visit(&Entry::Histogram(HistogramSample {
                series: &self.text,
                histogram,
                timestamp: self.timestamp,
                metric_type: MetricType::Histogram,
                exemplars,
                start: self.start,
            }));
        }
        self.classic.clear();
        self.exemplars.clear();
    }
}
