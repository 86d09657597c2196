//! Store: one shard's durable samples, in memory and in flight to the disk.
//!
//! Path: `shard` → **store** → effects; `recovery` makes it at start.
//! Never: reads a clock, does I/O, drops a row silently.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;
use model::time::{Now, Tick};
use thiserror::Error;

use crate::blocks::Blocks;
use crate::catalog::write::{CatalogWriter, Change};
use crate::cells::Cells;
use crate::deletions::Deletions;
use crate::disk_faults::DiskFaults;
use crate::effect::{Effect, Event, FileOp, FileRequest, FileRequestId, LogPosition};
use crate::exemplars::Exemplars;
use crate::head::{Admission, Group, NONE};
use crate::histogram;
use crate::index::series::{ColumnPlace, Index};
use crate::last_row::states;
use crate::log::record::{self, ENTRY_BYTES_MAX, Kind, ROW_HEAD_BYTES_MAX};
use crate::log::row_write::put_entries;
use crate::log::write::LogWriter;
use crate::manifest::Manifest;
use crate::metrics::Counts;
use crate::names::SegmentId;
use crate::options::{Options, TILE_ROWS_MAX};
use crate::owners::{OwnerKind, Owners, SERIES_BYTES, Usage};
use crate::row::{ColumnIndex, ColumnKind, GroupId, GroupKey, Row};
use crate::select;
use crate::selection::{LabelRequest, SelectError};
use crate::tile::place::{Place, TileRef};
use crate::tile::read;
use crate::tile::write::Builder;
use crate::tile_files::{Stored, TileFiles, Waiting};
use crate::trusted_time::TrustedTime;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The row is durable when [`Store::durable`] has reached this.
    pub position: LogPosition,
    /// Samples and staleness markers in it.
    pub samples: usize,
    /// A row of this slot and at least this rank is there already; nothing was stored.
    pub duplicate: bool,
}

/// Why a row was refused; nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RowError {
    /// The log or the sealed tiles wait for the disk: slow the source and try again.
    #[error("the log waits for the disk")]
    Overloaded,
    /// The slot lies in a tile that is sealed, or before retention.
    #[error("row of slot {slot} is too old, the oldest accepted is {oldest}")]
    TooOld {
        /// Slot of the row.
        slot: i64,
        /// Least slot that would be accepted.
        oldest: i64,
    },
    /// No such group: it was dropped after its last sample passed retention. Ask for it anew.
    #[error("group {0} is unknown")]
    UnknownGroup(u32),
    /// The row has a value in a column that was dropped after its last sample passed retention, or
    /// was never made. Ask for the column anew.
    #[error("column {column} of group {group} is unknown")]
    UnknownColumn {
        /// Group of the row.
        group: u32,
        /// Its first such column.
        column: u32,
    },
    /// A value does not fit its column or the log; nothing of the row is stored.
    #[error("column {column} of group {group}: {reason}")]
    Unfit {
        /// Group of the row.
        group: u32,
        /// Its first such column.
        column: u32,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Why a group or column was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LimitError {
    /// The shard has as many series as it may.
    #[error("limit of {0} series reached")]
    Series(u32),
    /// The shard has as many groups as it may.
    #[error("limit of {0} groups reached")]
    Groups(u32),
    /// An owner of the series has as much as it may.
    #[error("limit of {limit} {unit} of the {} reached", kind.word())]
    Owner {
        /// Which of its owners.
        kind: OwnerKind,
        /// The limit.
        limit: u64,
        /// `series` or `bytes`.
        unit: &'static str,
    },
    /// The head has as many bytes as it may.
    #[error("limit of {0} bytes of the head reached")]
    Bytes(u64),
    /// The group has as many columns as a row of the log can hold.
    #[error("limit of {0} columns in a group reached")]
    Columns(u32),
    /// The group was dropped after its last sample passed retention, or never made.
    #[error("group {0} is unknown")]
    UnknownGroup(u32),
}

/// Numbers of groups and columns are below this; past it they are damage.
pub(crate) const NUMBER_MAX: u32 = 1 << 28;

/// Estimated bytes at which an open tile is sealed though it has few rows: one row more, which a
/// log segment bounds, stays far below the largest tile.
const TILE_BYTES_SEALED: usize = if cfg!(test) { 8 << 20 } else { 128 << 20 };

/// Wall time before the first event.
pub(crate) const WALL_UNKNOWN: i64 = i64::MAX;

/// One shard's store.
#[derive(Debug)]
pub struct Store {
    pub(crate) options: Options,
    pub(crate) groups: Vec<Option<Box<Group>>>,
    pub(crate) group_keys: HashMap<GroupKey, u32, FixedState>,
    /// Side groups, which take late rows.
    pub(crate) side_keys: HashMap<GroupKey, u32, FixedState>,
    pub(crate) index: Index,
    pub(crate) log: LogWriter,
    pub(crate) catalog: CatalogWriter,
    pub(crate) tile_files: TileFiles,
    pub(crate) deletions: Deletions,
    pub(crate) blocks: Blocks,
    pub(crate) exemplars: Exemplars,
    pub(crate) owners: Owners,
    /// Bytes of memory when they were last measured, and an estimate of what came since.
    pub(crate) head_bytes: u64,
    /// Bytes that the head may take of those for all shards; `None` for an even share.
    pub(crate) head_lease: Option<u64>,
    pub(crate) counts: Counts,
    builder: Builder,
    pub(crate) changed: Vec<u32>,
    pub(crate) body: Vec<u8>,
    requests: u64,
    /// When ages and retention are looked at next; `None` before the first event.
    pub(crate) sweep_at: Option<Tick>,
    /// Wall time of the last event, to which silent groups are compared.
    pub(crate) wall_ms: i64,
    pub(crate) time: TrustedTime,
    /// Why the last write failed; `None` once a commit is durable again.
    pub(crate) disk_faults: DiskFaults,
}

impl Store {
    /// An empty store.
    ///
    /// # Panics
    /// The options are within their ranges ([`Options::check`]).
    #[must_use]
    pub fn new(options: Options) -> Store {
        options.check().expect("the caller checked the options");
        let log = LogWriter::new(&options, 0, SegmentId(1), Vec::new());
        let catalog = CatalogWriter::new(&options, 1, Vec::new());
        let tile_files = TileFiles::new(&options, 1, std::collections::BTreeMap::new());
        Store {
            groups: Vec::new(),
            group_keys: HashMap::default(),
            side_keys: HashMap::default(),
            index: Index::default(),
            log,
            catalog,
            tile_files,
            deletions: Deletions::new(&options),
            blocks: Blocks::new(&options, 0, Manifest::default(), 0),
            exemplars: Exemplars::new(options.exemplars_max),
            owners: Owners::default(),
            head_bytes: 0,
            head_lease: None,
            counts: Counts::default(),
            builder: Builder::default(),
            changed: Vec::new(),
            body: Vec::new(),
            requests: 0,
            sweep_at: None,
            wall_ms: WALL_UNKNOWN,
            time: TrustedTime::default(),
            disk_faults: DiskFaults::default(),
            options,
        }
    }

    /// Group of `key`, made when it is not there.
    ///
    /// # Errors
    /// [`LimitError::Groups`].
    pub fn group(&mut self, key: GroupKey, labels: &LabelSet) -> Result<GroupId, LimitError> {
        if let Some(group) = self.group_keys.get(&key) {
            return Ok(GroupId(*group));
        }
        if self.options.groups_max as usize <= self.group_keys.len() {
            self.counts.limited_groups += 1;
            return Err(LimitError::Groups(self.options.groups_max));
        }
        let group = self.next_group().ok_or(LimitError::Groups(NUMBER_MAX))?;
        self.put_group(group, key, labels.clone(), false);
        Ok(GroupId(group))
    }

    /// Number of the next group. A number is not used again: log and tile files may speak of the
    /// group that had it. At eight bytes of memory each they last for 2^28 groups.
    pub(crate) fn next_group(&self) -> Option<u32> {
        u32::try_from(self.groups.len()).ok().filter(|number| *number < NUMBER_MAX)
    }

    pub(crate) fn put_group(&mut self, group: u32, key: GroupKey, labels: LabelSet, side: bool) {
        while self.groups.len() <= group as usize {
            self.groups.push(None);
        }
        let mut made = Group::new(key, labels, self.options.tile_rows, self.wall_ms);
        made.side = side;
        made.owners = self.owners.take(&made.labels);
        self.groups[group as usize] = Some(Box::new(made));
        let keys = if side { &mut self.side_keys } else { &mut self.group_keys };
        keys.insert(key, group);
    }

    /// Column of the series `labels` in `group` for values of `kind`, made when it is not there.
    ///
    /// # Errors
    /// [`LimitError::Series`], [`LimitError::Columns`], [`LimitError::UnknownGroup`].
    pub fn column(
        &mut self,
        group: GroupId,
        labels: &LabelSet,
        kind: ColumnKind,
    ) -> Result<ColumnIndex, LimitError> {
        let (columns_max, head_bytes_max) = (self.columns_max(), self.head_lease_bytes());
        let found = self.groups.get_mut(group.0 as usize).and_then(Option::as_mut);
        let found = found.ok_or(LimitError::UnknownGroup(group.0))?;
        let series = self.index.find(labels);
        if let Some(series) = series {
            let mut places = self.index.columns_of(series).iter();
            let is_it =
                |place: &&ColumnPlace| place.group == group.0 && found.kind(place.column) == kind;
            if let Some(place) = places.find(is_it) {
                return Ok(ColumnIndex(place.column));
            }
        } else if self.options.series_max as usize <= self.index.len() {
            self.counts.limited_series += 1;
            return Err(LimitError::Series(self.options.series_max));
        } else if 0 < self.options.head_bytes_max && head_bytes_max <= self.head_bytes {
            self.counts.limited_bytes += 1;
            return Err(LimitError::Bytes(self.options.head_bytes_max));
        }
        if let Some((kind, limit, unit)) =
            self.owners.over(found.usage, found.owners, &self.options)
        {
            self.owners.count_refused(kind, &found.labels);
            return Err(LimitError::Owner { kind, limit, unit });
        }
        let column = u32::try_from(found.columns.len()).unwrap_or(u32::MAX);
        if columns_max <= column || !fits_record(labels, &self.options) {
            self.counts.limited_columns += 1;
            return Err(LimitError::Columns(columns_max));
        }
        let series = series.unwrap_or_else(|| {
            self.counts.series_created += 1;
            self.index.insert(labels)
        });
        self.index.add_column(series, ColumnPlace { group: group.0, column });
        found.add_column(series, kind);
        self.own_series(group.0);
        Ok(ColumnIndex(column))
    }

    /// A column of the group got a series.
    pub(crate) fn own_series(&mut self, group: u32) {
        let found = self.groups[group as usize].as_mut().expect("it has the column");
        found.usage.add_series();
        self.owners.each(found.owners, Usage::add_series);
        self.head_bytes += SERIES_BYTES;
    }

    /// A column of the group lost its series.
    pub(crate) fn disown_series(&mut self, group: u32) {
        let found = self.groups[group as usize].as_mut().expect("it had the column");
        found.usage.remove_series();
        self.owners.each(found.owners, Usage::remove_series);
        self.head_bytes = self.head_bytes.saturating_sub(SERIES_BYTES);
    }

    /// Columns whose full row fits a segment.
    fn columns_max(&self) -> u32 {
        let entries = row_bytes_limit(&self.options) - ROW_HEAD_BYTES_MAX as u64;
        u32::try_from(entries / ENTRY_BYTES_MAX as u64).unwrap_or(u32::MAX)
    }

    /// Number of columns of `group`, dropped ones included; 0 when it is unknown.
    #[must_use]
    pub fn columns(&self, group: GroupId) -> usize {
        self.columns_of(group).unwrap_or(0)
    }

    /// Number of columns of a group that is known.
    pub(crate) fn columns_of(&self, group: GroupId) -> Option<usize> {
        Some(self.found(group)?.columns.len())
    }

    fn found(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(group.0 as usize)?.as_deref()
    }

    /// Adds a row.
    ///
    /// # Errors
    /// See [`RowError`]; each is counted.
    pub fn append(
        &mut self,
        now: Now,
        row: &Row<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Appended, RowError> {
        self.wall_ms = now.wall.0;
        self.time.observe(now);
        let appended = self.append_checked(now, row, effects);
        if let Err(error) = &appended {
            self.count_refused(error, row);
        }
        appended
    }

    fn append_checked(
        &mut self,
        now: Now,
        row: &Row<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Appended, RowError> {
        self.check(now, row)?;
        let group = self.place_of(now, row, false)?;
        self.append_placed(now, &Row { group, ..*row }, effects)
    }

    /// Adds a row that was checked to the group that takes it.
    pub(crate) fn append_placed(
        &mut self,
        now: Now,
        row: &Row<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Appended, RowError> {
        let admission = self.admit(now, row)?;
        if admission == Admission::Duplicate {
            self.counts.rows_duplicate += 1;
            let position = self.log.position();
            return Ok(Appended { position, samples: 0, duplicate: true });
        }
        self.define(now, row.group);
        let position = self.write_row(now, row);
        let samples = self.take_row(now, row, admission, position);
        self.counts.rows += 1;
        self.counts.samples += samples as u64;
        let group = self.groups[row.group.0 as usize].as_ref().expect("the row was admitted");
        let large = TILE_BYTES_SEALED <= group.open_bytes_max();
        if (group.is_full() || large) && !self.sealed_is_full() {
            self.log_seal(now, row.group.0);
        }
        self.pump(now, effects);
        Ok(Appended { position, samples, duplicate: false })
    }

    pub(crate) fn count_refused(&mut self, error: &RowError, row: &Row<'_>) {
        match error {
            RowError::Overloaded => self.counts.rows_overloaded += 1,
            RowError::TooOld { .. } => {
                self.counts.rows_too_old += 1;
                let samples = samples_of(row.cells);
                if self.options.out_of_order_time_window_ms == 0 {
                    self.counts.samples_out_of_order += samples;
                } else {
                    self.counts.samples_too_old += samples;
                }
            }
            RowError::UnknownGroup(_) | RowError::UnknownColumn { .. } => {
                self.counts.rows_unknown += 1;
            }
            RowError::Unfit { .. } => self.counts.rows_unfit += 1,
        }
    }

    pub(crate) fn sealed_is_full(&self) -> bool {
        self.options.sealed_bytes_max <= self.tile_files.waiting_bytes()
    }

    /// Whether the row makes sense, whatever stands in the tiles.
    pub(crate) fn check(&self, now: Now, row: &Row<'_>) -> Result<(), RowError> {
        let id = row.group.0;
        let found = self.found(row.group).ok_or(RowError::UnknownGroup(id))?;
        if let Some(column) = unknown_column(found, row) {
            return Err(RowError::UnknownColumn { group: id, column });
        }
        if let Some((column, reason)) = self.unfit(found, row) {
            return Err(RowError::Unfit { group: id, column, reason });
        }
        let oldest = self.oldest_ms(now);
        if row.timestamp.0 < oldest || row.slot.0 < oldest {
            return Err(RowError::TooOld { slot: row.slot.0, oldest });
        }
        Ok(())
    }

    /// Where the row goes in the open tile of its group.
    fn admit(&mut self, now: Now, row: &Row<'_>) -> Result<Admission, RowError> {
        let id = row.group.0;
        let found = self.found(row.group).ok_or(RowError::UnknownGroup(id))?;
        let admission = found.admit(row.slot.0, row.rank);
        match admission {
            Admission::Duplicate => return Ok(admission),
            Admission::Sealed(oldest) => {
                return Err(RowError::TooOld { slot: row.slot.0, oldest });
            }
            Admission::New | Admission::Replace(_) => {}
        }
        if self.options.log_backlog_bytes_max <= self.log.backlog_bytes() {
            return Err(RowError::Overloaded);
        }
        if admission == Admission::New && found.is_full() {
            if self.sealed_is_full() {
                return Err(RowError::Overloaded);
            }
            self.log_seal(now, id);
            return self.admit(now, row);
        }
        Ok(admission)
    }

    /// The first column whose value does not fit it or the log.
    fn unfit(&self, group: &Group, row: &Row<'_>) -> Option<(u32, &'static str)> {
        if row.cells.histograms.is_empty() && group.has_floats_only() {
            return None;
        }
        let unfit = group.unfit_column(row.cells);
        let last = row.cells.histograms.last().map_or(0, |(column, _)| *column);
        let large = row_bytes_limit(&self.options) < row_bytes_max(group, row.cells);
        unfit.or_else(|| large.then_some((last, "a row of these histograms fits no log segment")))
    }

    /// Logs the definitions that the group's rows need and the log has not.
    pub(crate) fn define(&mut self, now: Now, group: GroupId) {
        let id = group.0;
        let found = self.groups[id as usize].as_mut().expect("the row was admitted");
        let count = crate::head::index32(found.columns.len());
        if found.logged_columns == Some(count) {
            return;
        }
        if found.logged_columns.is_none() {
            self.body.clear();
            record::put_group(&mut self.body, id, found.key.0, &found.labels);
            let epoch = self.log.reserve(self.body.len() as u64);
            let kind = if found.side { Kind::SideGroup } else { Kind::Group };
            self.log.push(now, kind, &self.body);
            self.log.pin(epoch);
            self.catalog.queue(Change::Group(id), Some(epoch));
        }
        let logged = found.logged_columns.unwrap_or(0);
        found.logged_columns = Some(count);
        for column in logged..count {
            self.log_column(now, id, column);
        }
    }

    /// Logs the definition of a column, if it has a series.
    pub(crate) fn log_column(&mut self, now: Now, group: u32, column: u32) {
        let found = self.groups[group as usize].as_ref().expect("it has the column");
        let series = found.columns[column as usize].series;
        if series == NONE {
            return;
        }
        let (kind, labels) = (found.kind(column), self.index.labels_of(series));
        self.body.clear();
        let record = record::put_column(&mut self.body, group, column, kind, &labels);
        let epoch = self.log.reserve(self.body.len() as u64);
        self.log.push(now, record, &self.body);
        self.log.pin(epoch);
        self.catalog.queue(Change::Column(group, column), Some(epoch));
    }

    /// Logs the row: as a difference, or in full where it is the group's first of an epoch. Leaves
    /// the columns that differ from the last row in `self.changed`.
    fn write_row(&mut self, now: Now, row: &Row<'_>) -> LogPosition {
        let found = self.groups[row.group.0 as usize].as_mut().expect("the row was admitted");
        let epoch = self.log.reserve(row_bytes_max(found, row.cells));
        let full = found.logged_epoch != epoch;
        found.logged_epoch = epoch;
        self.body.clear();
        if full {
            found.last.occupied(row.cells, &mut self.changed);
        } else {
            found.last.changes(row.cells, &mut self.changed);
        }
        let slot_before = if full { 0 } else { found.last.slot };
        record::put_row_head(&mut self.body, row, slot_before, self.changed.len());
        put_entries(row.cells, &mut found.last, &self.changed, full, &mut self.body);
        let kind = if full { Kind::FullRow } else { Kind::Row };
        let position = self.log.push(now, kind, &self.body);
        if full {
            found.last.changes(row.cells, &mut self.changed);
        }
        if found.opened.is_none() {
            self.log.pin(epoch);
            found.opened = Some((epoch, now.tick));
        }
        position
    }

    /// Puts the row into the open tile; gives the number of its samples.
    fn take_row(
        &mut self,
        now: Now,
        row: &Row<'_>,
        admission: Admission,
        position: LogPosition,
    ) -> usize {
        let found = self.groups[row.group.0 as usize].as_mut().expect("the row was admitted");
        found.put(row, admission, &self.changed);
        found.position = position.0;
        found.active_ms = now.wall.0;
        self.counts.see(row.timestamp.0);
        found.last.present.count_ones() + found.last.stale.count_ones()
    }

    /// Puts a row of the log into the open tile without logging it; whether it counted.
    pub(crate) fn replay(&mut self, row: &Row<'_>, epoch: u64, position: LogPosition) -> bool {
        let Some(found) = self.groups.get_mut(row.group.0 as usize).and_then(Option::as_mut) else {
            return false;
        };
        // What a dropped column had has passed retention.
        let known = found.known_cells(row.cells);
        let row = &Row { cells: known.as_ref().unwrap_or(row.cells), ..*row };
        let nothing_left = known.is_some() && samples_of(row.cells) == 0;
        // Only a damaged record can be unfit.
        if nothing_left || found.unfit_column(row.cells).is_some() {
            return false;
        }
        let admission = found.admit(row.slot.0, row.rank);
        if matches!(admission, Admission::Duplicate | Admission::Sealed(_)) {
            return false;
        }
        if admission == Admission::New && TILE_ROWS_MAX as usize <= found.rows() {
            // Only a damaged frame can have lost the seal that belongs here.
            self.seal(row.group.0);
            return self.replay(row, epoch, position);
        }
        found.last.changes(row.cells, &mut self.changed);
        if found.opened.is_none() {
            self.log.pin(epoch);
            found.opened = Some((epoch, Tick(0)));
        }
        let now = Now { tick: Tick(0), wall: row.timestamp };
        self.take_row(now, row, admission, position);
        true
    }

    /// Seals as a seal in the log says; a tile that is in a file or a block is there already.
    pub(crate) fn replay_seal(&mut self, group: u32, number: Option<u32>) {
        let found = self.groups.get_mut(group as usize).and_then(Option::as_mut);
        let Some(found) = found.filter(|group| 0 < group.rows()) else { return };
        if number.is_some_and(|number| number < found.tile_number) {
            let opened = found.forget_open();
            opened.into_iter().for_each(|epoch| self.log.unpin(epoch));
        } else {
            self.seal(group);
        }
    }

    /// Seals the open tile of `group` and logs that.
    pub(crate) fn log_seal(&mut self, now: Now, group: u32) {
        self.body.clear();
        let number = self.groups[group as usize].as_ref().map_or(0, |group| group.tile_number);
        record::put_seal(&mut self.body, group, number);
        self.log.reserve(self.body.len() as u64);
        let position = self.log.push(now, Kind::Seal, &self.body);
        let found = self.groups[group as usize].as_mut().expect("a group with rows lives");
        found.position = position.0;
        self.seal(group);
    }

    /// Encodes the open tile of `group`; it waits in memory until it is durable in a file.
    fn seal(&mut self, group: u32) {
        let found = self.groups[group as usize].as_mut().expect("a group with rows lives");
        let (epoch, _) = found.opened.expect("a tile with rows was opened");
        let position = found.position;
        let bytes: Arc<[u8]> = found.seal(group, &mut self.builder).into();
        found.tile_rows = self.options.tile_rows as usize;
        let summary = read::summary(&bytes, 0).expect("a tile made here has a header");
        let tile = TileRef::new(&summary, Place::Memory(Arc::clone(&bytes)));
        found.tiles.push_back(Arc::new(tile));
        self.counts.tiles_sealed += 1;
        self.counts.tile_bytes += bytes.len() as u64;
        self.tile_files.push(Waiting {
            group,
            number: summary.number,
            bytes,
            max_time_ms: summary.max_time_ms,
            position,
            catalog_mark: self.catalog.queued(),
            epoch,
        });
    }

    /// Takes what the machine tells, and says what to do next.
    pub fn on_event(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        self.wall_ms = now.wall.0;
        self.time.observe(now);
        self.disk_faults.observe(&event);
        match event {
            Event::LogDurable { position } => {
                self.log.on_durable(now, position, effects);
            }
            Event::LogFailed { position, .. } => self.log.on_failed(now, position),
            Event::LogPrepared { segment } => self.log.on_prepared(segment),
            Event::LogPrepareFailed { segment, .. } => self.log.on_prepare_failed(now, segment),
            Event::FileDone { id, result } => self.on_file_done(now, id, result.is_ok()),
            Event::Compacted { id, result } => self.on_compacted(now, id, result),
            Event::Due => {}
        }
        self.sweep(now);
        self.pump(now, effects);
    }

    /// A tile is durable: memory keeps only where it is.
    pub(crate) fn on_stored(&mut self, stored: Stored) {
        self.log.unpin(stored.epoch);
        let found = self.groups.get_mut(stored.group as usize).and_then(Option::as_mut);
        let Some(found) = found else { return };
        let at = found.tiles.binary_search_by_key(&stored.number, |tile| tile.number);
        if let Ok(at) = at {
            let mut tile = TileRef::clone(&found.tiles[at]);
            tile.place = Place::File { number: stored.file, offset: stored.offset };
            found.tiles[at] = Arc::new(tile);
        }
    }

    /// Emits all that can go.
    pub(crate) fn pump(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.options.wal_segments_max as usize <= self.log.live_segments() {
            self.seal_oldest(now);
        }
        self.log.pump(now, effects);
        let request = FileRequestId(self.requests + 1);
        let op = self.catalog.pump(now, request, &self.groups, &self.index);
        self.request(op, effects);
        let request = FileRequestId(self.requests + 1);
        let (position, mark) = (self.log.durable().0, self.catalog.durable());
        let op = self.tile_files.pump(now, request, position, mark);
        self.request(op, effects);
        let request = FileRequestId(self.requests + 1);
        let op = self.pump_blocks(now, request, effects);
        self.request(op, effects);
        let request = FileRequestId(self.requests + 1);
        let op = self.deletions.pump(now, request);
        self.request(op, effects);
    }

    fn request(&mut self, op: Option<FileOp>, effects: &mut Vec<Effect>) {
        if let Some(op) = op {
            self.requests += 1;
            effects.push(Effect::File(FileRequest { id: FileRequestId(self.requests), op }));
        }
    }

    /// When [`Event::Due`] is wanted next. At start it is at once: the first segment is asked for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let sweep = self.sweep_at.unwrap_or(Tick(0));
        let parts = [
            Some(sweep),
            self.log.deadline(),
            self.catalog.deadline(),
            self.tile_files.deadline(),
            self.deletions.deadline(),
            self.blocks.deadline(),
        ];
        parts.into_iter().flatten().min()
    }

    /// Everything at or before this position is on disk.
    #[must_use]
    pub fn durable(&self) -> LogPosition {
        self.log.durable()
    }

    /// Age of the oldest record that is not on disk, nanoseconds; 0 when all are.
    #[must_use]
    pub fn commit_age(&self, now: Now) -> u64 {
        self.log.commit_age(now)
    }

    /// Closes the open commit without waiting for its age: before a stop, or when somebody waits.
    pub fn flush(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.log.flush();
        self.pump(now, effects);
    }

    /// Values of label `name` among the wanted series; sorted.
    #[must_use]
    pub fn label_values(&self, name: &str, wanted: &LabelRequest) -> Vec<String> {
        select::label_values(&self.index, &self.groups, name, wanted)
    }

    /// Label names among the wanted series; sorted.
    #[must_use]
    pub fn label_names(&self, wanted: &LabelRequest) -> Vec<String> {
        select::label_names(&self.index, &self.groups, wanted)
    }

    /// Label sets of the wanted series; sorted.
    ///
    /// # Errors
    /// More than `series_max` match.
    pub fn series(
        &self,
        wanted: &LabelRequest,
        series_max: usize,
    ) -> Result<Vec<LabelSet>, SelectError> {
        select::series(&self.index, &self.groups, wanted, series_max)
    }
}

/// Most bytes of a row in the log: a segment holds it, and a tile of it stays small.
fn row_bytes_limit(options: &Options) -> u64 {
    LogWriter::body_bytes_max(options).min(TILE_BYTES_SEALED as u64)
}

/// Most bytes that the row takes in the log.
pub(crate) fn row_bytes_max(group: &Group, cells: &Cells) -> u64 {
    // Not by the columns ever made: the dropped ones of a churning group would fill segments.
    let entries = group.last.changes_max(cells) * ENTRY_BYTES_MAX;
    let histograms: usize =
        cells.histograms.iter().map(|(_, value)| histogram::bytes_max(value)).sum();
    (ROW_HEAD_BYTES_MAX + entries + histograms) as u64
}

/// The first column with a cell that no series has.
fn unknown_column(group: &Group, row: &Row<'_>) -> Option<u32> {
    let words = row.cells.present.words().len().max(row.cells.stale.words().len());
    (0..words).find_map(|word| {
        let (present, stale) = states(row.cells, word);
        let live = group.live.words().get(word).copied().unwrap_or(0);
        let unknown = (present | stale) & !live;
        let column = word * 64 + unknown.trailing_zeros() as usize;
        (unknown != 0).then(|| u32::try_from(column).unwrap_or(u32::MAX))
    })
}

/// Samples and staleness markers of a row.
fn samples_of(cells: &Cells) -> u64 {
    let words = cells.present.words().len().max(cells.stale.words().len());
    let of = |word| states(cells, word);
    (0..words).map(of).map(|(present, stale)| u64::from((present | stale).count_ones())).sum()
}

fn fits_record(labels: &LabelSet, options: &Options) -> bool {
    labels.packed().len() as u64 + 32 <= LogWriter::body_bytes_max(options)
}
