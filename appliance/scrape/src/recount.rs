//! Recount: what the report series say of a body that fails its scrape.
//!
//! Path: `active` → **recount** → `report`.
//! Upstream counts as it reads, up to the error, and reads on after a limit is passed; here a limit
//! is known when the whole body was looked at. So the body is read once more, in its own order:
//! failed scrapes are few, and may cost more.

use exposition::body::{Format, ReadOptions, read};
use exposition::entry::Entry;
use exposition::metric_type::MetricType;
use hashbrown::HashSet;
use model::bitmap::Bitmap;
use model::time::TimestampMs;

use crate::former::Former;
use crate::ingest::Counts;
use crate::memory::{Memory, Place, text_hash};
use crate::native::{Value, fit, value_hash};
use crate::series::{passes, resolve};
use crate::target::TargetSpec;

/// The last good scrape of the target.
#[derive(Clone, Copy)]
pub struct LastGood<'a> {
    /// Where its series went.
    pub memory: &'a Memory,
    /// Columns that it had.
    pub known: &'a Bitmap,
    /// The group that was left with it.
    pub former: Option<&'a Former>,
}

/// What is counted on the way.
struct Recount<'a> {
    spec: &'a TargetSpec,
    last: LastGood<'a>,
    counts: Counts,
    /// Series of this body without timestamps.
    seen: HashSet<u128>,
    /// Samples that would be stored.
    stored: u64,
    /// A limit is passed: no further series counts as added.
    over: bool,
    /// Upstream stops reading here.
    stopped: bool,
}

/// Counts of `body`, of whose series those of the last good scrape are in `last`.
#[must_use]
pub fn recount(
    spec: &TargetSpec,
    last: LastGood<'_>,
    (format, options): (Format, ReadOptions),
    body: &[u8],
) -> Counts {
    let counts = Counts { body_bytes: body.len(), ..Counts::default() };
    let seen = HashSet::new();
    let mut recount = Recount { spec, last, counts, seen, stored: 0, over: false, stopped: false };
    // Where the body is wrong the counting ends.
    let _ = read(format, options, body, &mut |entry| match entry {
        _ if recount.stopped => {}
        Entry::Sample(sample) => {
            let value = Value::Float(sample.value);
            recount.count(sample.series, &value, sample.timestamp, sample.metric_type);
        }
        Entry::Histogram(sample) => {
            let fits = fit(sample.histogram.clone().into(), &spec.native);
            let value = Value::Histogram(sample.histogram.clone().into());
            recount.over |= fits.is_err();
            recount.count(sample.series, &value, sample.timestamp, sample.metric_type);
        }
        _ => {}
    });
    recount.counts
}

impl LastGood<'_> {
    fn has(&self, hash: u128, column: u32) -> bool {
        let column = column as usize;
        column < self.known.len() && self.known.get(column)
            || self.former.is_some_and(|former| former.has(hash))
    }
}

impl Recount<'_> {
    fn count(
        &mut self,
        series: &[u8],
        value: &Value,
        timestamp: Option<TimestampMs>,
        metric_type: MetricType,
    ) {
        self.counts.scraped += 1;
        let hash = value_hash(series, value);
        let is_known = match self.place(series, hash) {
            Some(Place::Dropped) => return,
            Some(Place::Column(column)) => self.last.has(hash, column),
            None => match resolve(self.spec, series, metric_type) {
                Ok(Some(_)) => self.last.former.is_some_and(|former| former.has(hash)),
                Ok(None) => return,
                Err(_) => {
                    self.stopped = true;
                    return;
                }
            },
        };
        self.counts.kept += 1;
        let is_timed = timestamp.is_some() && self.spec.honor_timestamps;
        let is_first = self.seen.insert(hash);
        if !is_first && !is_timed {
            return;
        }
        self.stored += 1;
        self.over |= passes(self.stored, self.spec.limits.samples);
        self.counts.added += usize::from(is_first && !is_known && !self.over);
    }

    fn place(&self, series: &[u8], hash: u128) -> Option<Place> {
        let ordinal = self.last.memory.layout().filter(|_| hash == text_hash(series));
        let ordinal = ordinal.and_then(|layout| layout.ordinal(series));
        match ordinal.and_then(|ordinal| u32::try_from(ordinal).ok()) {
            Some(ordinal) => Some(self.last.memory.place(ordinal)),
            None => self.last.memory.stray(hash),
        }
    }
}
