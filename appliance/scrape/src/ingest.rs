//! Ingest: a body becomes cells of a row, by what the target's last body taught.
//!
//! Path: `active` → **ingest** → `memory`, `series`, `timed` → `storage`.
//! When the layout predicts the whole body, the values are copied run by run: nothing is allocated,
//! looked up or parsed a sample but its value.
//! Never: changes the store before every limit is checked, apart from naming groups and columns.

use std::sync::Arc;

use exposition::body::{Format, ReadOptions};
use exposition::dialect::Dialect;
use exposition::layout::{Layout, LayoutTable, learn, learn_entries};
use exposition::metric_type::MetricType;
use exposition::scan::{Scan, Stray, scan, scan_entries};
use model::label_set::LabelSet;
use model::time::TimestampMs;
use storage::cells::{Cell, Cells};
use storage::row::{GroupId, GroupKey};

use crate::error::ScrapeError;
use crate::memory::{Memory, Place, text_hash};
use crate::native::{Value, fit, put_histogram, sort_histograms, value_hash};
use crate::pass::Pass;
use crate::series::{passes, resolve};
use crate::target::TargetSpec;
use crate::timed::{Timed, TimedRows, TimedSample};
use crate::zeros::Zero;

/// Different layouts that a shard keeps shared.
const LAYOUTS_MAX: usize = 65_536;

/// Scratch memory and layouts that all targets of a shard share.
pub struct Bench {
    /// Layouts by content.
    pub layouts: LayoutTable,
    /// The row being made.
    pub cells: Cells,
    /// What the body held.
    pub counts: Counts,
    /// Where the counting of its samples began, where that is asked for.
    pub zeros: Vec<Zero>,
    scan: Scan,
    fresh: Vec<Fresh>,
    timed: Vec<TimedSample>,
    empty: Arc<Layout>,
}

/// A series that the target did not have.
struct Fresh {
    hash: u128,
    labels: LabelSet,
    value: Value,
    start: Option<TimestampMs>,
}

/// A sample that is not among the values of the scan.
struct Other<'a> {
    text: &'a [u8],
    ordinal: Option<u32>,
    value: Value,
    timestamp: Option<TimestampMs>,
    metric_type: MetricType,
    start: Option<TimestampMs>,
    duplicate: bool,
}

/// What the report series say of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples in the body.
    pub scraped: usize,
    /// Samples that metric relabelling kept.
    pub kept: usize,
    /// Series that the last good scrape did not have.
    pub added: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
}

/// What of a target takes part.
pub struct Source<'a> {
    /// Its specification.
    pub spec: &'a TargetSpec,
    /// Its name.
    pub identity: GroupKey,
    /// Its group.
    pub group: GroupId,
    /// Time of the row.
    pub stamp: TimestampMs,
    /// Where its samples went.
    pub memory: &'a mut Memory,
    /// Its series with timestamps of their own.
    pub timed: &'a mut Timed,
}

impl Default for Bench {
    fn default() -> Bench {
        Bench::new()
    }
}

impl Bench {
    /// No layouts, no memory yet.
    ///
    /// # Panics
    /// Never: the empty body has a layout.
    #[must_use]
    pub fn new() -> Bench {
        Bench {
            layouts: LayoutTable::new(LAYOUTS_MAX),
            cells: Cells::default(),
            counts: Counts::default(),
            zeros: Vec::new(),
            scan: Scan::default(),
            fresh: Vec::new(),
            timed: Vec::new(),
            empty: Arc::new(learn(Dialect::Text, b"").expect("the empty body is text")),
        }
    }

    /// Reads `body` into `cells`; rows of samples with timestamps of their own are given back.
    ///
    /// # Errors
    /// The body is not in its format, a limit is passed, or storage takes no more series: nothing
    /// is stored. `counts` tells as much as was known.
    pub fn read(
        &mut self,
        source: &mut Source<'_>,
        format: Format,
        body: &[u8],
        pass: &mut Pass<'_>,
    ) -> Result<TimedRows, ScrapeError> {
        self.counts = Counts { body_bytes: body.len(), ..Counts::default() };
        self.zeros.clear();
        let options = self.options(source.spec);
        // An empty body has no format and no samples: it is what every format makes of nothing.
        let format = if body.is_empty() { Format::Text(Dialect::Text) } else { format };
        let followed = options.followed(format);
        if source.memory.layout().is_some_and(|layout| layout.dialect() != followed) {
            source.memory.forget();
        }
        let layout = source.memory.layout().unwrap_or(&self.empty).clone();
        let read = match followed {
            Some(dialect) => scan(dialect, body, &layout, &mut self.scan).map_err(Into::into),
            None => scan_entries(format, options, body, &layout, &mut self.scan),
        };
        self.counts.scraped = self.scan.samples;
        read?;
        self.cells.reset(pass.store.columns(source.group).max(source.memory.columns()));
        let filled = source.memory.fill(&self.scan, &mut self.cells);
        self.counts.kept = filled.placed + filled.duplicates;
        let mut duplicates = filled.duplicates;
        source.memory.make_room(self.scan.samples);
        let made = self.scan.take_texts();
        let texts = made.as_deref().unwrap_or(body);
        duplicates += self.place_strays(source, texts)?;
        let stored = self.counts.kept - duplicates;
        if passes(stored as u64, source.spec.limits.samples) {
            return Err(ScrapeError::SampleLimit);
        }
        duplicates += self.place_fresh(source, pass)?;
        pass.counters.duplicates += duplicates as u64;
        self.find_zeros(source);
        let mut rows = self.place_timed(source, pass)?;
        self.zeros.append(&mut rows.zeros);
        self.counts.added = rows.added;
        if pass.exemplars.is_enabled() {
            self.place_exemplars(source, &layout, texts, pass);
        }
        self.scan.keep_texts(made);
        self.relearn(source.memory, &layout, (format, options), body, pass)?;
        Ok(rows)
    }

    /// What is made of a target's bodies besides samples.
    #[must_use]
    pub fn options(&self, spec: &TargetSpec) -> ReadOptions {
        ReadOptions { histograms: spec.histograms, start_timestamps: spec.start_zeros }
    }

    /// Places strays and histograms whose series are known and resolves the others; gives the
    /// duplicates.
    fn place_strays(
        &mut self,
        source: &mut Source<'_>,
        texts: &[u8],
    ) -> Result<usize, ScrapeError> {
        self.fresh.clear();
        self.timed.clear();
        let mut duplicates = 0;
        for at in 0..self.scan.strays.len() {
            let stray = &self.scan.strays[at];
            let other = Other {
                text: stray.series_text(texts),
                ordinal: stray.ordinal,
                value: Value::Float(stray.value),
                timestamp: stray.timestamp,
                metric_type: stray.metric_type,
                start: stray.start,
                duplicate: stray.duplicate,
            };
            duplicates += usize::from(!self.place_other(source, other)?);
        }
        let histograms = std::mem::take(&mut self.scan.histograms);
        for found in histograms {
            let other = Other {
                text: &texts[found.series.start as usize..found.series.end as usize],
                ordinal: None,
                value: Value::Histogram(fit(found.histogram, &source.spec.native)?),
                timestamp: found.timestamp,
                metric_type: found.metric_type,
                start: found.start,
                duplicate: false,
            };
            duplicates += usize::from(!self.place_other(source, other)?);
        }
        Ok(duplicates)
    }

    /// Places one sample; false when it is a duplicate.
    fn place_other(
        &mut self,
        source: &mut Source<'_>,
        other: Other<'_>,
    ) -> Result<bool, ScrapeError> {
        if let Some(timestamp) = other.timestamp.filter(|_| source.spec.honor_timestamps) {
            self.counts.kept += usize::from(keep_timed(source, other, timestamp, &mut self.timed)?);
            return Ok(true);
        }
        let hash = value_hash(other.text, &other.value);
        let known = match other.ordinal {
            Some(ordinal) => Some(source.memory.place(ordinal)),
            None => source.memory.stray(hash),
        };
        let mut first = true;
        match known {
            Some(Place::Dropped) => return Ok(true),
            Some(Place::Column(column)) => {
                self.note_start(source, column, other.start, &other.value);
                first = put(&mut self.cells, column, other.value);
            }
            None if other.duplicate => first = false,
            None => match resolve(source.spec, other.text, other.metric_type)? {
                Some(labels) => {
                    let (value, start) = (other.value, other.start);
                    self.fresh.push(Fresh { hash, labels, value, start });
                }
                None => {
                    source.memory.remember_stray(hash, Place::Dropped);
                    return Ok(true);
                }
            },
        }
        self.counts.kept += 1;
        Ok(first)
    }

    /// Keeps the exemplars of series that are kept. Those without a time have that of the scrape.
    fn place_exemplars(
        &self,
        source: &Source<'_>,
        layout: &Layout,
        texts: &[u8],
        pass: &mut Pass<'_>,
    ) {
        let part = |range: &std::ops::Range<u32>| &texts[range.start as usize..range.end as usize];
        for of_sample in self.scan.exemplars.chunk_by(|a, b| a.series == b.series) {
            let series = part(&of_sample[0].series);
            let ordinal = layout.ordinal(series).and_then(|ordinal| u32::try_from(ordinal).ok());
            let place = match ordinal {
                Some(ordinal) => Some(source.memory.place(ordinal)),
                None => source.memory.stray(text_hash(series)),
            };
            if place == Some(Place::Dropped) {
                continue;
            }
            let key = text_hash(series) ^ source.identity.0;
            let before = pass.exemplars.counts.out_of_order;
            for exemplar in of_sample {
                let mut labels = None;
                if !pass.exemplars.knows(key) {
                    // The series was resolved for its sample, so it can be again.
                    let resolved = resolve(source.spec, series, exemplar.metric_type);
                    let Ok(Some(resolved)) = resolved else { break };
                    labels = Some(resolved);
                }
                let times = (exemplar.timestamp, pass.now.wall);
                pass.exemplars.add(key, labels, part(&exemplar.labels), exemplar.value, times);
            }
            // Those of a sample that has a newer one too are what was shown before.
            let late = pass.exemplars.counts.out_of_order - before;
            if late == of_sample.len() as u64 {
                pass.counters.exemplars_out_of_order += late;
            }
        }
    }

    /// Makes the columns of new series and sets their cells; gives the duplicates.
    fn place_fresh(
        &mut self,
        source: &mut Source<'_>,
        pass: &mut Pass<'_>,
    ) -> Result<usize, ScrapeError> {
        let mut duplicates = 0;
        let mut all = std::mem::take(&mut self.fresh);
        for fresh in all.drain(..) {
            let kind = fresh.value.kind();
            let column = pass.store.column(source.group, &fresh.labels, kind)?.0;
            source.memory.remember_stray(fresh.hash, Place::Column(column));
            if self.cells.len() <= column as usize {
                self.cells.resize(column as usize + 1);
            }
            self.note_start(source, column, fresh.start, &fresh.value);
            duplicates += usize::from(!put(&mut self.cells, column, fresh.value));
        }
        self.fresh = all;
        self.cells.resize(pass.store.columns(source.group).max(self.cells.len()));
        sort_histograms(&mut self.cells);
        Ok(duplicates)
    }

    /// Notes where the counting of the layout's samples began.
    fn find_zeros(&mut self, source: &Source<'_>) {
        if !source.spec.start_zeros {
            return;
        }
        for (ordinal, start) in &self.scan.starts {
            if let Place::Column(column) = source.memory.place(*ordinal) {
                let from = (source.group, column);
                self.zeros.push(Zero { from, start: *start, until: source.stamp, native: None });
            }
        }
    }

    /// Notes where the counting of one sample began.
    fn note_start(
        &mut self,
        source: &Source<'_>,
        column: u32,
        start: Option<TimestampMs>,
        value: &Value,
    ) {
        if let Some(start) = start.filter(|_| source.spec.start_zeros) {
            let from = (source.group, column);
            self.zeros.push(Zero { from, start, until: source.stamp, native: value.native() });
        }
    }

    fn place_timed(
        &mut self,
        source: &mut Source<'_>,
        pass: &mut Pass<'_>,
    ) -> Result<TimedRows, ScrapeError> {
        if self.timed.is_empty() {
            source.timed.note_empty_scrape();
            return Ok(TimedRows::default());
        }
        source.timed.place(pass, source.identity, &source.spec.labels, &mut self.timed)
    }

    /// Learns the layout anew when the old one predicted too little of late.
    fn relearn(
        &mut self,
        memory: &mut Memory,
        old: &Layout,
        (format, options): (Format, ReadOptions),
        body: &[u8],
        pass: &mut Pass<'_>,
    ) -> Result<(), ScrapeError> {
        let timed = self.scan.strays.iter().filter(|stray| stray.timestamp.is_some()).count();
        let missing = self.scan.values.len() - self.scan.seen.count_ones();
        let unpredicted = self.scan.unpredicted.saturating_sub(timed) + missing;
        pass.counters.unpredicted += unpredicted as u64;
        if !memory.note_unpredicted(unpredicted, self.scan.samples - timed) {
            return Ok(());
        }
        let layout = match options.followed(format) {
            Some(dialect) => learn(dialect, body)?,
            None => learn_entries(format, options, body)?,
        };
        let layout = self.layouts.intern(layout);
        let learned = memory.take_layout(layout, |memory, series| match old.ordinal(series) {
            Some(ordinal) => Some(memory.place(u32::try_from(ordinal).ok()?)),
            None => memory.stray(text_hash(series)),
        });
        pass.counters.layouts += u64::from(learned);
        Ok(())
    }

    /// Bytes of scratch memory and shared layouts.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let scratch = self.cells.values.capacity() + self.scan.values.capacity();
        scratch * size_of::<f64>()
            + self.scan.strays.capacity() * size_of::<Stray>()
            + self.fresh.capacity() * size_of::<Fresh>()
            + self.timed.capacity() * size_of::<TimedSample>()
            + self.layouts.heap_bytes()
    }
}

/// Sets a cell that has no value yet; false when it has one.
fn put(cells: &mut Cells, column: u32, value: Value) -> bool {
    let at = column as usize;
    if cells.len() <= at {
        cells.resize(at + 1);
    }
    let free = !cells.present.get(at);
    if free {
        match value {
            Value::Float(value) => cells.set(at, Cell::Present(value)),
            Value::Histogram(histogram) => put_histogram(cells, column, histogram),
        }
    }
    free
}

/// Takes a sample with a timestamp of its own; false when metric relabelling drops its series.
fn keep_timed(
    source: &mut Source<'_>,
    other: Other<'_>,
    timestamp: TimestampMs,
    timed: &mut Vec<TimedSample>,
) -> Result<bool, ScrapeError> {
    let hash = value_hash(other.text, &other.value);
    let mut labels = None;
    match source.timed.is_kept(hash) {
        Some(true) => {}
        Some(false) => return Ok(false),
        None => {
            labels = resolve(source.spec, other.text, other.metric_type)?;
            if labels.is_none() {
                source.timed.remember_dropped(hash);
                return Ok(false);
            }
        }
    }
    let start = other.start.filter(|_| source.spec.start_zeros);
    timed.push(TimedSample { hash, timestamp, value: other.value, labels, start });
    Ok(true)
}
