//! Oracle: a naive store of what every scrape must have left behind.
//!
//! It never sees a text, a layout, a column or a file: it is told what a target exposed and whether
//! the store took a row, keeps samples in ordered maps, and says what a query must find.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::label_set::{Builder, LabelSet};
use model::staleness::{NORMAL_NAN_BITS, STALE_NAN_BITS};
use scrape::fetch::Timings;
use scrape::target::TargetSpec;
use storage::effect::LogPosition;

use crate::network::Exposed;

const NANOS_PER_SECOND: f64 = 1e9;

/// What a cell must hold: these bits, or anything.
type Bits = Option<u64>;

/// Names of the report series.
const REPORT: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// Number of a series in the oracle.
type Series = usize;

/// A value written to a cell, and the number of the row that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    row: usize,
    bits: Bits,
}

/// Which row of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowName {
    /// Of a scrape: its slot.
    Slot(i64),
    /// Of samples with timestamps of their own: that timestamp.
    Timed(i64),
    /// The end of a target that is gone: its slot.
    End(i64),
}

/// One row that the store took.
#[derive(Clone, Debug)]
struct OracleRow {
    target: u64,
    name: RowName,
    timestamp_ms: i64,
    samples: Vec<(Series, Bits)>,
    /// It is durable when the store's durable position has reached this.
    position: LogPosition,
    durable: bool,
    /// Whether it may be missing although it is durable.
    optional: bool,
}

/// What the scraper remembers of a target between scrapes.
#[derive(Clone, Debug, Default)]
struct Remembered {
    known: BTreeSet<LabelSet>,
    alive: bool,
    timed: BTreeSet<LabelSet>,
    timed_last: Option<i64>,
}

/// What one scrape gave, as the oracle is told.
#[derive(Clone, Debug)]
pub struct Scraped<'a> {
    /// Number of the target.
    pub target: u64,
    /// Its specification.
    pub spec: &'a TargetSpec,
    /// Slot of the row.
    pub slot: i64,
    /// Time of the row.
    pub timestamp_ms: i64,
    /// Timings of the fetch.
    pub timings: Timings,
    /// What was exposed; `None` when the scrape must have failed.
    pub exposed: Option<&'a [Exposed]>,
    /// Position of the store's last row after the scrape.
    pub position: LogPosition,
    /// Whether the store took a new row.
    pub stored: bool,
    /// Whether the store refused one.
    pub refused: bool,
}

/// The naive store of one shard.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    rows: Vec<OracleRow>,
    series: HashMap<LabelSet, Series>,
    labels: Vec<LabelSet>,
    /// What was written by series and time; a time may have more than one value that is right.
    cells: Vec<BTreeMap<i64, Vec<Written>>>,
    /// Rows from the first on that are durable.
    durable_rows: usize,
    names: BTreeSet<(u64, RowName)>,
    remembered: BTreeMap<u64, Remembered>,
    /// Targets that are gone, and the slots at which their series may end.
    leaving: BTreeMap<u64, i64>,
    /// Samples before this may be gone: retention.
    forgotten_before_ms: i64,
}

impl Oracle {
    /// Takes a scrape.
    pub fn on_scraped(&mut self, scraped: &Scraped<'_>) {
        let name = (scraped.target, RowName::Slot(scraped.slot));
        let known_row = self.names.contains(&name);
        // A row of a known slot is no new one: it is taken for stored, unless it was too late.
        if !scraped.stored && (!known_row || scraped.refused) {
            self.offer_timed_again(scraped);
            return;
        }
        let samples = self.row_of(scraped);
        // A slot that comes again after the clock was set back and the process restarted may find
        // the target in another of its groups: then there are two rows, and either is right.
        if !known_row || scraped.stored {
            self.push(scraped, name.1, scraped.timestamp_ms, samples, known_row);
        }
        if let Some(exposed) = scraped.exposed {
            self.on_timed(scraped, exposed);
        }
        if scraped.refused {
            self.offer_timed_again(scraped);
        }
        // The fetch was out when the target went: its series end with the others.
        if let Some(slot) = self.leaving.get(&scraped.target).copied() {
            self.on_gone(scraped.target, scraped.spec, slot);
        }
    }

    /// Storage refused a row: samples with timestamps of their own are new again.
    fn offer_timed_again(&mut self, scraped: &Scraped<'_>) {
        let memory = self.remembered.entry(scraped.target).or_default();
        if scraped.exposed.is_some() {
            memory.timed.clear();
            memory.timed_last = None;
        }
    }

    fn push(
        &mut self,
        scraped: &Scraped<'_>,
        name: RowName,
        timestamp_ms: i64,
        samples: Vec<(LabelSet, Bits)>,
        optional: bool,
    ) {
        let samples = samples.into_iter().map(|(labels, bits)| (self.number(labels), bits));
        let samples = samples.collect();
        let (target, position) = (scraped.target, scraped.position);
        self.add(OracleRow {
            target,
            name,
            timestamp_ms,
            samples,
            position,
            durable: false,
            optional,
        });
    }

    fn number(&mut self, labels: LabelSet) -> Series {
        let next = self.labels.len();
        *self.series.entry(labels.clone()).or_insert_with(|| {
            self.labels.push(labels);
            self.cells.push(BTreeMap::new());
            next
        })
    }

    fn add(&mut self, row: OracleRow) {
        self.names.insert((row.target, row.name));
        let number = self.rows.len();
        for (series, bits) in &row.samples {
            let cell = self.cells[*series].entry(row.timestamp_ms).or_default();
            cell.push(Written { row: number, bits: *bits });
        }
        self.rows.push(row);
    }

    fn row_of(&mut self, scraped: &Scraped<'_>) -> Vec<(LabelSet, Bits)> {
        let memory = self.remembered.entry(scraped.target).or_default();
        let mut row: BTreeMap<LabelSet, Bits> = BTreeMap::new();
        let mut timed_added = 0;
        for sample in scraped.exposed.unwrap_or_default() {
            let labels = with_target(&sample.labels, scraped.spec);
            if sample.timestamp_ms.is_some() {
                timed_added += usize::from(memory.timed.insert(labels));
            } else {
                row.entry(labels).or_insert(Some(stored_bits(sample.value)));
            }
        }
        let present: BTreeSet<LabelSet> = row.keys().cloned().collect();
        let added = present.difference(&memory.known).count() + timed_added;
        if memory.alive {
            for gone in memory.known.difference(&present) {
                row.insert(gone.clone(), Some(STALE_NAN_BITS));
            }
        }
        row.extend(report_cells(scraped, added));
        memory.alive = scraped.exposed.is_some();
        if memory.alive {
            memory.known = present;
        }
        row.into_iter().collect()
    }

    fn on_timed(&mut self, scraped: &Scraped<'_>, exposed: &[Exposed]) {
        let Some(timestamp_ms) = exposed.iter().find_map(|sample| sample.timestamp_ms) else {
            return;
        };
        let memory = self.remembered.entry(scraped.target).or_default();
        let newer = memory.timed_last.is_none_or(|last| last < timestamp_ms);
        let name = RowName::Timed(timestamp_ms);
        if !newer || self.names.contains(&(scraped.target, name)) {
            return;
        }
        memory.timed_last = Some(timestamp_ms);
        let timed = exposed.iter().filter(|sample| sample.timestamp_ms.is_some());
        let samples = timed
            .map(|sample| {
                (with_target(&sample.labels, scraped.spec), Some(stored_bits(sample.value)))
            })
            .collect();
        self.push(scraped, name, timestamp_ms, samples, scraped.refused);
    }

    /// A target is gone: its series may end at `slot`.
    pub fn on_gone(&mut self, target: u64, spec: &TargetSpec, slot: i64) {
        self.leaving.insert(target, slot);
        let memory = self.remembered.entry(target).or_default().clone();
        let mut ended: BTreeSet<LabelSet> = memory.known;
        ended.extend(REPORT.iter().map(|name| report_labels(spec, name)));
        let ended = ended.into_iter().map(|labels| (self.number(labels), Some(STALE_NAN_BITS)));
        let samples = ended.collect();
        self.add(OracleRow {
            target,
            name: RowName::End(slot),
            timestamp_ms: slot,
            samples,
            position: LogPosition::default(),
            durable: false,
            optional: true,
        });
    }

    /// A target is back; with `forgotten` the scraper had forgotten it.
    pub fn on_back(&mut self, target: u64, forgotten: bool) {
        self.leaving.remove(&target);
        if forgotten {
            self.remembered.remove(&target);
        }
    }

    /// The store says that everything up to `position` is durable.
    pub fn on_durable(&mut self, position: LogPosition) {
        while let Some(row) = self.rows.get_mut(self.durable_rows) {
            if !row.optional && position < row.position {
                return;
            }
            row.durable = true;
            self.durable_rows += 1;
        }
    }

    /// Samples before `ms` may be gone.
    pub fn on_retention(&mut self, ms: i64) {
        self.forgotten_before_ms = self.forgotten_before_ms.max(ms);
    }

    /// The process ended and the store was opened again; `found` is everything in it. Rows that
    /// were not durable are there wholly or not at all, and no row without those before it; those
    /// that are not there are forgotten.
    ///
    /// # Errors
    /// Says what is not as promised.
    pub fn on_restart(&mut self, found: &Found) -> Result<(), String> {
        self.remembered.clear();
        self.leaving.clear();
        let times = self.times(found)?;
        let mut lost: Option<String> = None;
        let rows = std::mem::take(&mut self.rows);
        self.cells.iter_mut().for_each(BTreeMap::clear);
        for row in rows {
            if row.optional || row.timestamp_ms < self.forgotten_before_ms {
                self.add(row);
                continue;
            }
            let is_there = |(series, _): &&(Series, Bits)| {
                times[*series].binary_search(&row.timestamp_ms).is_ok()
            };
            let there = row.samples.iter().filter(is_there).count();
            let text = format!("target {} {:?}", row.target, row.name);
            if there == row.samples.len() {
                if let Some(lost) = &lost {
                    return Err(format!("row {text} is there, the earlier {lost} is not"));
                }
                self.add(OracleRow { durable: true, ..row });
            } else if row.durable {
                let all = row.samples.len();
                return Err(format!("durable row {text} has {there} of {all} samples left"));
            } else if there != 0 && !shares_cells(&row, &self.rows) {
                return Err(format!(
                    "row {text} is there in part: {there} of {}",
                    row.samples.len()
                ));
            } else {
                self.names.remove(&(row.target, row.name));
                lost.get_or_insert(text);
            }
        }
        self.durable_rows = self.rows.len();
        Ok(())
    }

    /// Times found by number of series.
    fn times(&self, found: &Found) -> Result<Vec<Vec<i64>>, String> {
        let mut times = vec![Vec::new(); self.labels.len()];
        for (labels, samples) in &found.series {
            let Some(series) = self.series.get(labels) else {
                return Err(format!("{labels} was never written"));
            };
            times[*series] = samples.iter().map(|(at, _)| *at).collect();
        }
        Ok(times)
    }

    /// Whether `found` is what the first `rows` rows wrote, within `after < time <= until`.
    ///
    /// # Errors
    /// Names the first sample that is missing, wrong, or was never written.
    pub fn compare(
        &self,
        found: &Found,
        rows: usize,
        after: i64,
        until: i64,
    ) -> Result<(), String> {
        self.check_written(found, rows)?;
        let times = self.times(found)?;
        for (series, cells) in self.cells.iter().enumerate() {
            for (at, written) in cells {
                let must = written.iter().any(|written| written.row < rows && self.must(written));
                let inside = after < *at && *at <= until;
                if inside && must && times[series].binary_search(at).is_err() {
                    let labels = &self.labels[series];
                    return Err(format!("{labels} at {at}: missing, wrote {written:x?}"));
                }
            }
        }
        Ok(())
    }

    /// Whether everything in `found` was written by the first `rows` rows.
    ///
    /// # Errors
    /// Names the first sample that is wrong or was never written.
    pub fn check_written(&self, found: &Found, rows: usize) -> Result<(), String> {
        for (labels, samples) in &found.series {
            let Some(series) = self.series.get(labels) else {
                return Err(format!("{labels} was never written"));
            };
            for (at, bits) in samples {
                let cell = self.cells[*series].get(at);
                let mut written = cell.into_iter().flatten().filter(|w| w.row < rows);
                if !written.any(|written| written.bits.is_none_or(|right| right == *bits)) {
                    return Err(format!("{labels} at {at}: found {bits:016x}, wrote {cell:x?}"));
                }
            }
        }
        Ok(())
    }

    fn must(&self, written: &Written) -> bool {
        let row = &self.rows[written.row];
        !row.optional && self.forgotten_before_ms <= row.timestamp_ms
    }

    /// The time of one of the rows; `None` without rows.
    #[must_use]
    pub fn time_of(&self, chance: u64) -> Option<i64> {
        let rows = u64::try_from(self.rows.len()).ok().filter(|rows| *rows != 0)?;
        let at = usize::try_from(chance % rows).ok()?;
        self.rows.get(at).map(|row| row.timestamp_ms)
    }

    /// Rows held.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }
}

/// Whether an earlier row wrote one of the same cells.
fn shares_cells(row: &OracleRow, kept: &[OracleRow]) -> bool {
    kept.iter().any(|other| other.timestamp_ms == row.timestamp_ms && other.target == row.target)
}

/// Everything that a store was found to hold.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Series, each once, with the bits of their samples by rising time.
    pub series: Vec<(LabelSet, Vec<(i64, u64)>)>,
}

fn report_cells(scraped: &Scraped<'_>, added: usize) -> Vec<(LabelSet, Bits)> {
    let exposed = scraped.exposed.map(<[Exposed]>::len);
    let number = |count: usize| {
        let small = u32::try_from(count).expect("bodies of the simulation are small");
        Some(f64::from(small).to_bits())
    };
    let up = if exposed.is_some() { 1.0 } else { 0.0_f64 };
    let values = [
        Some(up.to_bits()),
        Some(duration_seconds(scraped.timings.total_ns).to_bits()),
        exposed.and_then(number),
        exposed.and_then(number),
        // Of a body that fails, what came before its fault is counted.
        exposed.and_then(|_| number(added)),
    ];
    REPORT
        .iter()
        .zip(values)
        .map(|(name, bits)| (report_labels(scraped.spec, name), bits))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "durations of the simulation are short")]
fn duration_seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS_PER_SECOND
}

fn report_labels(spec: &TargetSpec, name: &str) -> LabelSet {
    with_target(&LabelSet::new([("__name__", name)]), spec)
}

fn with_target(labels: &LabelSet, spec: &TargetSpec) -> LabelSet {
    let mut builder = Builder::from(labels);
    for (name, value) in &spec.labels {
        builder.set(name, value);
    }
    builder.build()
}

fn stored_bits(value: f64) -> u64 {
    if value.is_nan() { NORMAL_NAN_BITS } else { value.to_bits() }
}
