//! Timed: samples that carry timestamps of their own.
//!
//! Path: `ingest` → **timed** → rows of groups of their own → `storage`.
//!
//! A row has one timestamp, so series whose samples come with the same timestamp when they are
//! first seen form a *bunch*, which is a group: one container's series in a body of many
//! containers. While they stay together, a scrape makes one dense row a bunch; a sample that leaves
//! its bunch's time makes a row of its own in the same group.
//!
//! Never: stores a sample that is not newer than the last of its series.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use model::label_set::LabelSet;
use model::time::TimestampMs;
use storage::cells::{Cell, Cells};
use storage::row::{GroupId, GroupKey, Rank, Row, Slot};
use storage::store::{RowError, Store};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::ScrapeError;
use crate::metrics::Counters;
use crate::native::{Value, put_histogram, sort_histograms};
use crate::pass::Pass;
use crate::zeros::Zero;

/// Farthest that a sample may lie ahead of the wall clock, milliseconds (upstream's
/// `maxAheadTime`).
const AHEAD_MS_MAX: i64 = 10 * 60 * 1000;
/// Series that are remembered at least after they stayed away.
const SERIES_MIN: usize = 1_024;

/// One series with timestamps of its own.
#[derive(Clone, Copy, Debug)]
struct TimedSeries {
    group: GroupId,
    column: u32,
    last_ms: i64,
    /// Scrape that had it last.
    scrape: u32,
}

/// The series of one target that carry timestamps; `None` for those that relabelling drops.
#[derive(Debug, Default)]
pub struct Timed {
    series: HashMap<u128, Option<TimedSeries>, foldhash::fast::FixedState>,
    scrape: u32,
}

/// A sample of this scrape on its way to a row.
#[derive(Debug)]
pub struct TimedSample {
    /// Hash of the series text.
    pub hash: u128,
    /// Its own timestamp.
    pub timestamp: TimestampMs,
    /// Its value.
    pub value: Value,
    /// Labels when the series is new.
    pub labels: Option<LabelSet>,
    /// When the counting began, where zeros are wanted.
    pub start: Option<TimestampMs>,
}

/// Rows to append: cells by timestamp and group.
#[derive(Debug, Default)]
pub struct TimedRows {
    rows: BTreeMap<(i64, u32), Vec<(u32, Value)>>,
    /// Series that were not known.
    pub added: usize,
    /// Where counting began since the last sample of the series.
    pub zeros: Vec<Zero>,
}

impl Timed {
    /// Whether there is nothing to do for a body without timestamps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// What is known of a series text: nothing, that it is dropped (false), or that it is kept.
    #[must_use]
    pub fn is_kept(&self, hash: u128) -> Option<bool> {
        self.series.get(&hash).map(Option::is_some)
    }

    /// Remembers that metric relabelling drops a series.
    pub fn remember_dropped(&mut self, hash: u128) {
        self.series.insert(hash, None);
    }

    /// Gives every sample a place, making bunches and columns for new series.
    ///
    /// # Errors
    /// Storage takes no more series, or the rows would pass `timed_cells_max`. Nothing is stored
    /// then, and every series is resolved anew next time.
    pub fn place(
        &mut self,
        pass: &mut Pass<'_>,
        identity: GroupKey,
        target: &LabelSet,
        samples: &mut [TimedSample],
    ) -> Result<TimedRows, ScrapeError> {
        self.scrape = self.scrape.wrapping_add(1);
        let placed = self.place_all(pass, identity, target, samples);
        if placed.is_err() {
            self.series.clear();
        }
        placed
    }

    fn place_all(
        &mut self,
        pass: &mut Pass<'_>,
        identity: GroupKey,
        target: &LabelSet,
        samples: &mut [TimedSample],
    ) -> Result<TimedRows, ScrapeError> {
        let mut rows = TimedRows::default();
        let newest = pass.now.wall.saturating_add(AHEAD_MS_MAX);
        samples.sort_by_key(|sample| (sample.timestamp, sample.labels.is_some()));
        for bunch in samples.chunk_by(|a, b| a.timestamp == b.timestamp) {
            if newest < bunch[0].timestamp {
                pass.counters.out_of_bounds += bunch.len() as u64;
                continue;
            }
            let mut group = self.group_of(bunch);
            for sample in bunch {
                if let Some(labels) = &sample.labels {
                    let home = match group {
                        Some(group) => group,
                        None => pass.store.group(bunch_key(identity, labels), target)?,
                    };
                    group = Some(home);
                    let column = pass.store.column(home, labels, sample.value.kind())?.0;
                    let series =
                        TimedSeries { group: home, column, last_ms: i64::MIN, scrape: self.scrape };
                    rows.added +=
                        usize::from(self.series.insert(sample.hash, Some(series)).is_none());
                }
                self.put(sample, &mut rows, pass.counters);
            }
        }
        check_cells(&rows, pass.options.timed_cells_max, pass.store)?;
        Ok(rows)
    }

    /// The group of the first known series of a bunch.
    fn group_of(&self, bunch: &[TimedSample]) -> Option<GroupId> {
        let known = |sample: &TimedSample| self.series.get(&sample.hash).copied().flatten();
        bunch.iter().find_map(known).map(|series| series.group)
    }

    fn put(&mut self, sample: &TimedSample, rows: &mut TimedRows, counters: &mut Counters) {
        let Some(Some(series)) = self.series.get_mut(&sample.hash) else { return };
        series.scrape = self.scrape;
        if sample.timestamp.0 < series.last_ms {
            counters.out_of_order += 1;
        } else if series.last_ms < sample.timestamp.0 {
            if let Some(start) = sample.start.filter(|start| series.last_ms < start.0) {
                let (from, until) = ((series.group, series.column), sample.timestamp);
                rows.zeros.push(Zero { from, start, until, native: sample.value.native() });
            }
            series.last_ms = sample.timestamp.0;
            let cells = rows.rows.entry((sample.timestamp.0, series.group.0)).or_default();
            cells.push((series.column, sample.value.clone()));
        }
        // A sample of the same time as the last is the last, exposed again.
    }

    /// Appends the rows; `cells` is scratch. Gives the number of samples stored.
    ///
    /// # Errors
    /// Storage is overloaded: the rest is not stored, and offered again when it is exposed again.
    pub fn append(
        &mut self,
        pass: &mut Pass<'_>,
        rows: &TimedRows,
        cells: &mut Cells,
    ) -> Result<usize, ScrapeError> {
        let mut stored = 0;
        for ((timestamp, group), samples) in &rows.rows {
            let group = GroupId(*group);
            cells.reset(pass.store.columns(group));
            for (column, value) in samples {
                match value {
                    Value::Float(value) => cells.set(*column as usize, Cell::Present(*value)),
                    Value::Histogram(value) => put_histogram(cells, *column, value.clone()),
                }
            }
            sort_histograms(cells);
            let (slot, timestamp) = (Slot(*timestamp), TimestampMs(*timestamp));
            let row = Row { group, slot, timestamp, rank: Rank::Owner, cells };
            match pass.store.append(pass.now, &row, pass.effects) {
                Ok(done) if done.duplicate => pass.counters.duplicates += samples.len() as u64,
                Ok(done) => {
                    *pass.position = done.position.max(*pass.position);
                    stored += samples.len();
                }
                Err(RowError::TooOld { .. }) => pass.counters.out_of_bounds += samples.len() as u64,
                Err(RowError::UnknownGroup(_) | RowError::UnknownColumn { .. }) => {
                    pass.counters.rows_refused += 1;
                    self.series.clear();
                }
                Err(error @ (RowError::Overloaded | RowError::Unfit { .. })) => {
                    pass.counters.rows_refused += 1;
                    self.series.clear();
                    return Err(error.into());
                }
            }
        }
        self.forget_old(rows);
        Ok(stored)
    }

    /// Forgets every series: what was placed is not stored.
    pub fn forget(&mut self) {
        self.series.clear();
    }

    /// Series that the last scrape before this one had and this one has not, as columns by group;
    /// with `all`, every series that the last scrape had.
    #[must_use]
    pub fn gone(&self, all: bool) -> BTreeMap<u32, Vec<u32>> {
        let mut gone: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let wanted = if all { self.scrape } else { self.scrape.wrapping_sub(1) };
        for series in self.series.values().flatten() {
            if series.scrape == wanted {
                gone.entry(series.group.0).or_default().push(series.column);
            }
        }
        gone.values_mut().for_each(|columns| columns.sort_unstable());
        gone
    }

    /// Notes a scrape without samples of this kind.
    pub fn note_empty_scrape(&mut self) {
        self.scrape = self.scrape.wrapping_add(1);
    }

    /// Forgets series that stayed away when they are more than those that came.
    fn forget_old(&mut self, rows: &TimedRows) {
        let came: usize = rows.rows.values().map(Vec::len).sum();
        if SERIES_MIN + 2 * came < self.series.len() {
            let (scrape, before) = (self.scrape, self.scrape.wrapping_sub(1));
            let recent = |series: &Option<TimedSeries>| {
                series.is_some_and(|series| series.scrape == scrape || series.scrape == before)
            };
            self.series.retain(|_, series| recent(series));
        }
    }

    /// Bytes of memory.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.series.capacity() * (size_of::<(u128, Option<TimedSeries>)>() + 1)
    }
}

/// Key of the bunch that the series `first` begins.
fn bunch_key(identity: GroupKey, first: &LabelSet) -> GroupKey {
    let mut bytes = identity.0.to_le_bytes().to_vec();
    bytes.extend_from_slice(first.packed().as_bytes());
    GroupKey(xxh3_128(&bytes))
}

fn check_cells(rows: &TimedRows, limit: usize, store: &Store) -> Result<(), ScrapeError> {
    let columns = |(_, group): &(i64, u32)| store.columns(GroupId(*group));
    let cells = rows.rows.keys().map(columns).fold(0, usize::saturating_add);
    if limit < cells { Err(ScrapeError::TimedCells { cells, limit }) } else { Ok(()) }
}
