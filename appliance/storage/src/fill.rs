//! Fill: cells that come after the others of their row, as pushed samples do.
//!
//! Path: `shard` → **fill** → `store`; `recovery` replays what the log holds.
//! A sender cuts what it has of one time into several requests. The first makes the row, each other
//! puts its cells where the row has none. What is there stays: the first durable cell wins.

use std::sync::Arc;

use model::time::Now;

use crate::cells::{Cell, Cells};
use crate::effect::{Effect, LogPosition};
use crate::head::Group;
use crate::histogram;
use crate::log::record::{self, Kind};
use crate::log::row_write::put_entries;
use crate::row::{ColumnIndex, ColumnKind, GroupId, GroupKey, Row, Slot};
use crate::store::{RowError, Store, row_bytes_max};

/// What became of the cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// All of them are durable when [`Store::durable`] has reached this.
    pub position: LogPosition,
    /// Cells that were stored.
    pub stored: usize,
    /// Columns, rising, in which the row has another value.
    pub conflicts: Vec<u32>,
}

/// Whether rows behind the sealed ones are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Within the out-of-order window.
    Window,
    /// Always: each series of the row has no newer sample.
    Always,
}

/// How a cell compares with the one that the row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// The row has none, or is in no open tile.
    Nothing,
    /// The same.
    Same,
    /// Another one.
    Other,
}

impl Store {
    /// Adds the cells of `row` where its group has none at that slot, making the row when it is
    /// not there.
    ///
    /// # Errors
    /// As of [`Store::append`].
    pub fn fill(
        &mut self,
        now: Now,
        row: &Row<'_>,
        late: Late,
        effects: &mut Vec<Effect>,
    ) -> Result<Filled, RowError> {
        self.wall_ms = now.wall.0;
        self.time.observe(now);
        let filled = self.fill_checked(now, row, late, effects);
        if let Err(error) = &filled {
            self.count_refused(error, row);
        }
        filled
    }

    fn fill_checked(
        &mut self,
        now: Now,
        row: &Row<'_>,
        late: Late,
        effects: &mut Vec<Effect>,
    ) -> Result<Filled, RowError> {
        self.check(now, row)?;
        let group = self.place_of(now, row, late == Late::Always)?;
        let row = &Row { group, ..*row };
        let found = self.groups[group.0 as usize].as_ref().expect("the row has a place");
        let Some(at) = found.row_of(row.slot.0) else {
            let appended = self.append_placed(now, row, effects)?;
            let (position, stored) = (appended.position, appended.samples);
            return Ok(Filled { position, stored, conflicts: Vec::new() });
        };
        let mut conflicts = Vec::new();
        found.missing(at, row.cells, &mut self.changed, &mut conflicts);
        let stored = self.changed.len();
        if stored != 0 {
            if self.options.log_backlog_bytes_max <= self.log.backlog_bytes() {
                return Err(RowError::Overloaded);
            }
            self.fill_row(now, row, at);
            self.counts.samples += stored as u64;
            self.pump(now, effects);
        }
        Ok(Filled { position: self.log.position(), stored, conflicts })
    }

    /// Logs the cells of `self.changed` and puts them into row `at`.
    fn fill_row(&mut self, now: Now, row: &Row<'_>, at: usize) {
        self.define(now, row.group);
        let found = self.groups[row.group.0 as usize].as_mut().expect("the row has a place");
        self.log.reserve(row_bytes_max(found, row.cells));
        self.body.clear();
        record::put_row_head(&mut self.body, row, 0, self.changed.len());
        put_entries(row.cells, &mut found.last, &self.changed, true, &mut self.body);
        let position = self.log.push(now, Kind::Cells, &self.body);
        found.fill(row, at, &self.changed);
        found.position = position.0;
        found.active_ms = now.wall.0;
        self.counts.see(row.timestamp.0);
    }

    /// Puts cells of the log into the open tile; whether they made a row.
    pub(crate) fn replay_cells(
        &mut self,
        row: &Row<'_>,
        epoch: u64,
        position: LogPosition,
    ) -> bool {
        let Some(found) = self.groups.get_mut(row.group.0 as usize).and_then(Option::as_mut) else {
            return false;
        };
        // Only a damaged record can say so.
        if found.unfit_column(row.cells).is_some() {
            return false;
        }
        let Some(at) = found.row_of(row.slot.0) else { return self.replay(row, epoch, position) };
        found.missing(at, row.cells, &mut self.changed, &mut Vec::new());
        found.fill(row, at, &self.changed);
        found.position = position.0;
        self.counts.see(row.timestamp.0);
        false
    }

    /// How `cell` (a float, or a staleness marker) compares with what the open tile has.
    #[must_use]
    pub fn there(&self, group: GroupId, column: ColumnIndex, slot: Slot, value: f64) -> There {
        let found = self.groups.get(group.0 as usize).and_then(Option::as_ref);
        let found = found.filter(|found| (column.0 as usize) < found.columns.len());
        let Some((found, at)) = found.and_then(|found| Some((found, found.row_of(slot.0)?))) else {
            return There::Nothing;
        };
        let cell =
            if model::staleness::is_stale(value) { Cell::Stale } else { Cell::Present(value) };
        found.compare(column.0, at, cell, None)
    }

    /// Where series `labels` has a column of `kind` in one of the groups that `wanted` takes by
    /// key, identity labels and labels of their first series.
    #[must_use]
    pub fn find_column(
        &self,
        labels: &model::label_set::LabelSet,
        kind: ColumnKind,
        wanted: impl Fn(GroupKey, &model::label_set::LabelSet) -> bool,
    ) -> Option<(GroupId, ColumnIndex)> {
        let series = self.index.find(labels)?;
        self.index.columns_of(series).iter().find_map(|place| {
            let found = self.groups.get(place.group as usize)?.as_ref()?;
            let is_it =
                !found.side && found.kind(place.column) == kind && wanted(found.key, &found.labels);
            is_it.then_some((GroupId(place.group), ColumnIndex(place.column)))
        })
    }

    /// Whether a column has its series still.
    #[must_use]
    pub fn has_column(&self, group: GroupId, column: ColumnIndex) -> bool {
        let found = self.groups.get(group.0 as usize).and_then(Option::as_ref);
        found.is_some_and(|found| {
            let column = column.0 as usize;
            column < found.live.len() && found.live.get(column)
        })
    }

    /// Identity labels of a group.
    #[must_use]
    pub fn group_labels(&self, group: GroupId) -> Option<model::label_set::LabelSet> {
        let found = self.groups.get(group.0 as usize).and_then(Option::as_ref);
        found.map(|found| found.labels.clone())
    }

    /// Place of the newest record: what was said before is durable once [`Store::durable`] has
    /// reached it.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.log.position()
    }

    /// Counts a sample that was refused before it came here: older than the newest of its series,
    /// or than the window behind that.
    pub fn count_late(&mut self) {
        if self.options.out_of_order_time_window_ms == 0 {
            self.counts.samples_out_of_order += 1;
        } else {
            self.counts.samples_too_old += 1;
        }
    }

    /// How far back a row may lie behind the newest of its group, milliseconds; 0 for not at all.
    #[must_use]
    pub fn out_of_order_window_ms(&self) -> u64 {
        self.options.out_of_order_time_window_ms
    }
}

impl Group {
    /// Index of the row of `slot` in the open tile.
    pub(crate) fn row_of(&self, slot: i64) -> Option<usize> {
        if self.slots.last() == Some(&slot) {
            return Some(self.slots.len() - 1);
        }
        self.slots.iter().position(|other| *other == slot)
    }

    /// Columns that have a cell in `cells` and none in row `at`, and those that have another one.
    pub(crate) fn missing(
        &self,
        at: usize,
        cells: &Cells,
        missing: &mut Vec<u32>,
        conflicts: &mut Vec<u32>,
    ) {
        missing.clear();
        for column in 0..crate::head::index32(cells.len().min(self.columns.len())) {
            let cell = cells.get(column as usize);
            if matches!(cell, Cell::Absent) {
                continue;
            }
            match self.compare(column, at, cell, cells.histogram(column)) {
                There::Nothing => missing.push(column),
                There::Same => {}
                There::Other => conflicts.push(column),
            }
        }
    }

    fn compare(
        &self,
        column: u32,
        at: usize,
        cell: Cell,
        native: Option<&Arc<model::native_histogram::NativeHistogram>>,
    ) -> There {
        let (present, stale) = self.column_states(column, self.rows());
        let (present, stale) = (present >> at & 1 == 1, stale >> at & 1 == 1);
        let is_same = match cell {
            _ if !present && !stale => return There::Nothing,
            Cell::Absent => false,
            Cell::Stale => stale,
            Cell::Present(_) if !present => false,
            Cell::Present(_) if self.kind(column) == ColumnKind::Histogram => {
                native.is_some_and(|native| histogram::same(self.histogram_at(column, at), native))
            }
            Cell::Present(value) => {
                let last = self.last.values[column as usize];
                let there = self.column_values(column).map_or(last, |lane| lane[at]);
                there.to_bits() == value.to_bits()
            }
        };
        if is_same { There::Same } else { There::Other }
    }
}
