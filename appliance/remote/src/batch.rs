//! Batch: pushed samples on their way to one shard, whatever form they came in.
//!
//! Path: `builder` → **batch** → `shard` by value.
//! A series is its packed labels and their hash, so that a shard that knows it looks at no label.

use std::ops::Range;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;
use storage::exemplars::Exemplar;
use storage::metadata::Family;

/// One series of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Hash of its packed labels.
    pub key: u128,
    /// Its home in the batch.
    pub home: u32,
    labels: Range<usize>,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Float {
    /// Its series in the batch.
    pub series: u32,
    /// When.
    pub timestamp_ms: i64,
    /// What; a staleness marker is one.
    pub value: f64,
    /// When its counter began; 0 when nothing says so.
    pub start_ms: i64,
}

/// One native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    /// Its series in the batch.
    pub series: u32,
    /// When.
    pub timestamp_ms: i64,
    /// What.
    pub value: Arc<NativeHistogram>,
    /// When it began; 0 when nothing says so.
    pub start_ms: i64,
}

/// What one request has for one shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    texts: String,
    series: Vec<Series>,
    homes: Vec<LabelSet>,
    /// Samples in the order in which they came.
    pub floats: Vec<Float>,
    /// Native histograms likewise.
    pub natives: Vec<Native>,
    /// Exemplars by number of series.
    pub exemplars: Vec<(u32, Exemplar)>,
    /// Metadata by number of home.
    pub families: Vec<(u32, Family)>,
}

impl Batch {
    /// Adds a home: the labels by which series are kept together.
    pub(crate) fn add_home(&mut self, labels: LabelSet) -> u32 {
        self.homes.push(labels);
        number(self.homes.len() - 1)
    }

    /// Adds a series of a home by its packed labels.
    pub(crate) fn add_series(&mut self, key: u128, home: u32, packed: &str) -> u32 {
        let start = self.texts.len();
        self.texts.push_str(packed);
        self.series.push(Series { key, home, labels: start..self.texts.len() });
        number(self.series.len() - 1)
    }

    /// Series by number.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// Homes by number.
    #[must_use]
    pub fn homes(&self) -> &[LabelSet] {
        &self.homes
    }

    /// Labels of a series.
    #[must_use]
    pub fn labels(&self, series: u32) -> LabelSet {
        let range = self.series[series as usize].labels.clone();
        LabelSet::from_packed(&self.texts[range]).expect("the builder packed them")
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.floats.is_empty()
            && self.natives.is_empty()
            && self.exemplars.is_empty()
            && self.families.is_empty()
    }

    /// Bytes of memory, histograms left out.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.texts.capacity()
            + self.series.capacity() * size_of::<Series>()
            + self.floats.capacity() * size_of::<Float>()
            + self.natives.capacity() * size_of::<Native>()
            + self.exemplars.capacity() * size_of::<(u32, Exemplar)>()
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("bodies are bounded far below 2^32 parts")
}

/// Shard of a home among `count`: its high bits scaled, so that no remainder favours low shards.
#[must_use]
pub fn shard_of(key: u128, count: usize) -> usize {
    let scaled = ((key >> 64) * count as u128) >> 64;
    usize::try_from(scaled).expect("less than the count of shards")
}
