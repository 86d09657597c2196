//! Builder: series and samples as a format has them, sorted out by shard.
//!
//! Path: `write_request`, `interned_request` and other formats → **builder** → `batch`.
//! Series are kept together by tenant, job and instance: their home decides the shard.
//!
//! Invariants
//! - B1: the labels of a series are packed in order of name, each name once, none empty.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use model::label_set::{LabelSet, METRIC_NAME, put_label};
use model::native_histogram::NativeHistogram;
use model::time::TimestampMs;
use std::sync::Arc;
use storage::exemplars::Exemplar;
use storage::metadata::Family;
use storage::owners::TENANT_LABEL;
use xxhash_rust::xxh3::xxh3_128;

use crate::batch::{Batch, Float, Native, shard_of};
use crate::outcome::{Cause, Refusals};

/// Label of the identity of groups whose samples are pushed: no target has it.
pub const PUSHED_LABEL: &str = "__pushed__";

/// A series of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesRef {
    shard: usize,
    series: u32,
    home: u32,
}

/// Why labels are those of no series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFault {
    /// There is no metric name, or a name is none.
    Name,
    /// A label is there twice.
    Twice(String),
}

/// Samples of one batch, from which on the next series begins another: a shard meets one batch
/// between two turns of its loop, in a few milliseconds.
const SAMPLES_MAX: usize = 8192;

/// Batches under construction.
#[derive(Debug)]
pub struct Builder {
    done: Vec<(usize, Batch)>,
    batches: Vec<Batch>,
    homes: HashMap<u128, (usize, u32), FixedState>,
    families: HashSet<u128, FixedState>,
    /// The home of the series before: the next is most often of the same.
    last_home: Option<(u128, (usize, u32))>,
    tenant: String,
    packed: String,
    /// What makes no sense in itself.
    pub refusals: Refusals,
}

impl Builder {
    /// Builder of batches for so many shards.
    #[must_use]
    pub fn new(shards: usize, tenant: &str) -> Builder {
        Builder {
            done: Vec::new(),
            batches: vec![Batch::default(); shards.max(1)],
            homes: HashMap::default(),
            families: HashSet::default(),
            last_home: None,
            tenant: tenant.to_owned(),
            packed: String::new(),
            refusals: Refusals::default(),
        }
    }

    /// The batches with their shards, those of one shard in order.
    #[must_use]
    pub fn finish(mut self) -> (Vec<(usize, Batch)>, Refusals) {
        let last = self.batches.into_iter().enumerate();
        self.done.extend(last.filter(|(_, batch)| !batch.is_empty()));
        (self.done, self.refusals)
    }

    /// Begins another batch for `shard` where the one under way is full.
    fn cut(&mut self, shard: usize) {
        let batch = &mut self.batches[shard];
        if SAMPLES_MAX <= batch.floats.len() + batch.natives.len() {
            self.done.push((shard, std::mem::take(batch)));
            self.homes.retain(|_, (other, _)| *other != shard);
            self.last_home = None;
        }
    }

    /// Bytes of memory that the batches take.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let done = self.done.iter().map(|(_, batch)| batch);
        done.chain(&self.batches).map(Batch::heap_bytes).sum()
    }

    /// The series of these labels, which are sorted here when they are not. Those with an empty
    /// value are left out.
    ///
    /// # Errors
    /// See [`LabelFault`].
    pub fn series(&mut self, labels: &mut Vec<(&str, &str)>) -> Result<SeriesRef, LabelFault> {
        labels.retain(|(_, value)| !value.is_empty());
        if !labels.is_sorted_by(|a, b| a.0 <= b.0) {
            labels.sort_by_key(|(name, _)| *name);
        }
        let (mut job, mut instance, mut is_named) = ("", "", false);
        let mut before = "";
        self.packed.clear();
        for (name, value) in labels.iter() {
            match *name {
                "" => return Err(LabelFault::Name),
                "job" => job = value,
                "instance" => instance = value,
                METRIC_NAME => is_named = true,
                _ => {}
            }
            if *name == before {
                return Err(LabelFault::Twice((*name).to_owned()));
            }
            assert!(before < *name, "B1: labels rise by name");
            before = name;
            put_label(&mut self.packed, name, value);
        }
        if !is_named {
            return Err(LabelFault::Name);
        }
        let (shard, _) = self.home(job, instance);
        self.cut(shard);
        let (shard, home) = self.home(job, instance);
        let key = xxh3_128(self.packed.as_bytes());
        let series = self.batches[shard].add_series(key, home, &self.packed);
        Ok(SeriesRef { shard, series, home })
    }

    /// Shard and home of a job's instance.
    fn home(&mut self, job: &str, instance: &str) -> (usize, u32) {
        let key = xxh3_128(job.as_bytes()) ^ xxh3_128(instance.as_bytes()).rotate_left(64);
        if let Some((last, place)) = self.last_home
            && last == key
        {
            return place;
        }
        let place = match self.homes.get(&key) {
            Some(place) => *place,
            None => {
                let labels = LabelSet::new([
                    (PUSHED_LABEL, "1"),
                    ("job", job),
                    ("instance", instance),
                    (TENANT_LABEL, &self.tenant),
                ]);
                let shard = shard_of(labels.key().0, self.batches.len());
                let place = (shard, self.batches[shard].add_home(labels));
                self.homes.insert(key, place);
                place
            }
        };
        self.last_home = Some((key, place));
        place
    }

    /// Metric name of a series.
    #[must_use]
    pub fn metric_name(&self, of: SeriesRef) -> String {
        self.batches[of.shard].labels(of.series).metric_name().to_owned()
    }

    /// Adds a sample; `start_ms` is 0 when nothing says when its counter began.
    pub fn float(&mut self, of: SeriesRef, timestamp_ms: i64, value: f64, start_ms: i64) {
        let series = of.series;
        self.batches[of.shard].floats.push(Float { series, timestamp_ms, value, start_ms });
    }

    /// Adds a native histogram that was checked.
    pub fn native(
        &mut self,
        of: SeriesRef,
        timestamp_ms: i64,
        value: NativeHistogram,
        start_ms: i64,
    ) {
        let (series, value) = (of.series, Arc::new(value));
        self.batches[of.shard].natives.push(Native { series, timestamp_ms, value, start_ms });
    }

    /// Adds an exemplar; labels with empty values are left out.
    pub fn exemplar(&mut self, of: SeriesRef, labels: &[(&str, &str)], value: f64, at_ms: i64) {
        let labels = LabelSet::new(labels.iter().copied());
        let exemplar = Exemplar { labels, value, timestamp: TimestampMs(at_ms) };
        self.batches[of.shard].exemplars.push((of.series, exemplar));
    }

    /// Adds what is said of a metric family of the home of a series, once.
    pub fn family(&mut self, of: SeriesRef, family: &Family) {
        self.put_family((of.shard, of.home), family);
    }

    /// Adds what is said of a metric family of no series.
    pub fn homeless_family(&mut self, family: &Family) {
        let place = self.home("", "");
        self.put_family(place, family);
    }

    fn put_family(&mut self, (shard, home): (usize, u32), family: &Family) {
        let text =
            xxh3_128(family.name.as_bytes()) ^ xxh3_128(family.help.as_bytes()).rotate_left(1);
        let key = text ^ xxh3_128(&[&shard.to_le_bytes()[..], &home.to_le_bytes()].concat());
        if self.families.insert(key) {
            self.batches[shard].families.push((home, family.clone()));
        }
    }

    /// Notes that a series makes no sense.
    pub fn refuse_labels(&mut self, fault: &LabelFault, labels: &[(&str, &str)], samples: usize) {
        let shown = shown(labels);
        for _ in 0..samples.max(1) {
            match fault {
                LabelFault::Name => self.refusals.add(Cause::Labels, format_args!(", got {shown}")),
                LabelFault::Twice(name) => {
                    let detail = format_args!(": labels {shown}, duplicated label {name}");
                    self.refusals.add(Cause::Labels, detail);
                }
            }
        }
    }
}

/// Labels as a text, cut.
pub(crate) fn shown(labels: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .take(20)
        .map(|(name, value)| {
            let value: String = value.chars().take(64).collect();
            format!("{name}={}", model::label_name::quote(&value))
        })
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
