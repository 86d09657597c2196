//! Head: the open tile of one group.
//!
//! Path: `store` → **head** → `tile::write`; `selection` copies what it wants.
//! Owns: the last row, the open tile, the references to the sealed ones.
//!
//! A column that has not changed since the tile began costs nothing but its place in the last row;
//! one that changes gets a lane, one whose state changes gets bitmaps.
//! Rows stand in order of arrival; sealing and decoding put them in order.
//!
//! Invariants
//! - H1: a slot is in the open tile at most once, and above the last sealed slot (in a side group
//!   no slot is sealed).
//! - H2: a lane has one value a row; a column without one has the last row's value in all its
//!   present cells; a column without holes has the last row's state in all cells.

use std::collections::VecDeque;
use std::sync::Arc;

use model::bitmap::Bitmap;
use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;
use model::time::Tick;

use crate::allocation::allocated;
use crate::cells::{Cell, Cells};
use crate::chunk::buckets::check;
use crate::chunk::kind::{ROWS_MAX, all_rows};
use crate::chunk::write::Values;
use crate::histogram;
use crate::histogram_lanes::HistogramLanes;
use crate::last_row::{LastRow, states};
use crate::log::write::Epoch;
use crate::owners::{GroupOwners, Usage};
use crate::row::{ColumnKind, GroupKey, Rank, Row};
use crate::tile::place::{Place, TileRef};
use crate::tile::write::{Builder, Rows};

/// No lane, no holes, no series, no tile.
pub(crate) const NONE: u32 = u32::MAX;

/// Most bytes of a column in a tile beside its values: directory, checksum, tag, bitmaps.
const COLUMN_BYTES_MAX: usize = 48;

/// A lane grows by so many rows, two cache lines; half of that waits for rows on average.
const LANE_ROWS_STEP: usize = 16;

/// Where a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// A new row.
    New,
    /// It takes the place of the row at this index, whose rank is lower.
    Replace(usize),
    /// A row of this slot and at least this rank is there.
    Duplicate,
    /// The slot is sealed; the least that is accepted.
    Sealed(i64),
}

/// States of one column in the open tile, where they differ from row to row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holes {
    column: u32,
    pub(crate) present: u128,
    pub(crate) stale: u128,
}

/// Values of one column in the open tile, where they differ.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    column: u32,
    values: Vec<f64>,
}

/// What the store knows of one column beside its last cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its series; [`NONE`] when it was dropped.
    pub(crate) series: u32,
    lane: u32,
    holes: u32,
    /// Tiles it may have data in: from the one that was open when it was made …
    pub(crate) first_tile: u32,
    /// … to the last one in which it had a cell.
    pub(crate) last_tile: u32,
}

impl Column {
    /// A sealed tile has a cell of it.
    pub(crate) fn saw_tile(&mut self, number: u32) {
        self.first_tile = self.first_tile.min(number);
        self.last_tile = self.last_tile.max(number);
    }
}

/// A group: last row, open tile, sealed tiles.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: GroupKey,
    pub(crate) labels: LabelSet,
    /// Families that it describes, by name.
    pub(crate) metadata: Vec<u32>,
    pub(crate) owners: GroupOwners,
    /// Series that it has, and their bytes when they were last measured.
    pub(crate) usage: Usage,
    pub(crate) columns: Vec<Column>,
    /// Kinds of the columns up to the last one that is not of floats.
    kinds: Vec<ColumnKind>,
    /// Columns that have a series.
    pub(crate) live: Bitmap,
    pub(crate) last: LastRow,
    /// Columns whose definitions are in the log; the group itself too when not `None`.
    pub(crate) logged_columns: Option<u32>,
    /// Epoch in which its last full row was logged.
    pub(crate) logged_epoch: Epoch,
    /// Epoch of the open tile's first row, and when that came.
    pub(crate) opened: Option<(Epoch, Tick)>,
    /// Log position of its newest row.
    pub(crate) position: u64,
    pub(crate) slots: Vec<i64>,
    pub(crate) timestamps_ms: Vec<i64>,
    pub(crate) owner: u128,
    lanes: Vec<Lane>,
    histogram_lanes: HistogramLanes,
    holes: Vec<Holes>,
    /// By number, rising.
    pub(crate) tiles: VecDeque<Arc<TileRef>>,
    pub(crate) tile_number: u32,
    /// Rows at which the open tile is sealed.
    pub(crate) tile_rows: usize,
    pub(crate) sealed_slot: Option<i64>,
    /// It takes the late rows of the group with its key: no slot is sealed in it.
    pub(crate) side: bool,
    /// Wall time of the newest row or of its making: a group that is silent past retention goes.
    pub(crate) active_ms: i64,
}

impl Group {
    /// A group without columns. Its first tile is shorter by a share that its key decides, so that
    /// groups which started together do not seal together.
    pub(crate) fn new(key: GroupKey, labels: LabelSet, tile_rows: u32, wall_ms: i64) -> Group {
        let half = u128::from(tile_rows / 2).max(1);
        let first = u32::try_from(key.0 % half).expect("a tile has at most 128 rows");
        Group {
            key,
            labels,
            metadata: Vec::new(),
            owners: GroupOwners::default(),
            usage: Usage::default(),
            columns: Vec::new(),
            kinds: Vec::new(),
            live: Bitmap::default(),
            last: LastRow::default(),
            logged_columns: None,
            logged_epoch: 0,
            opened: None,
            position: 0,
            slots: Vec::new(),
            timestamps_ms: Vec::new(),
            owner: 0,
            lanes: Vec::new(),
            histogram_lanes: HistogramLanes::default(),
            holes: Vec::new(),
            tiles: VecDeque::new(),
            tile_number: 1,
            tile_rows: (tile_rows - first) as usize,
            sealed_slot: None,
            side: false,
            active_ms: wall_ms,
        }
    }

    /// What the column holds.
    pub(crate) fn kind(&self, column: u32) -> ColumnKind {
        self.kinds.get(column as usize).copied().unwrap_or_default()
    }

    /// Whether no column is of another kind.
    pub(crate) fn has_floats_only(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Adds a column for `series`.
    pub(crate) fn add_column(&mut self, series: u32, kind: ColumnKind) {
        self.set_kind(index32(self.columns.len()), kind);
        let (first_tile, last_tile) = (self.tile_number, self.tile_number);
        self.columns.push(Column { series, lane: NONE, holes: NONE, first_tile, last_tile });
        self.last.grow(self.columns.len());
        self.live.resize(self.columns.len());
        if series != NONE {
            self.live.set(self.columns.len() - 1);
        }
    }

    fn set_kind(&mut self, column: u32, kind: ColumnKind) {
        let at = column as usize;
        if kind != self.kind(column) {
            self.kinds.resize(self.kinds.len().max(at + 1), ColumnKind::Float);
            self.kinds[at] = kind;
        }
    }

    /// Takes the series away from a column; its number stays unused.
    pub(crate) fn drop_column(&mut self, column: u32) {
        self.columns[column as usize].series = NONE;
        self.live.clear(column as usize);
    }

    /// Gives a series to a column that has none.
    pub(crate) fn restore_column(&mut self, column: u32, series: u32, kind: ColumnKind) {
        // A damaged or dropped column may be missing between two that are there.
        while self.columns.len() <= column as usize {
            self.add_column(NONE, ColumnKind::Float);
        }
        self.set_kind(column, kind);
        self.columns[column as usize].series = series;
        self.live.set(column as usize);
    }

    /// Before the sealed tiles are found, no column is in any.
    pub(crate) fn tiles_are_unknown(&mut self) {
        for column in &mut self.columns {
            (column.first_tile, column.last_tile) = (NONE, 0);
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.slots.len()
    }

    /// Newest time of its samples in tiles.
    pub(crate) fn newest_ms(&self) -> Option<i64> {
        let sealed = || self.tiles.iter().map(|tile| tile.max_time_ms).max();
        self.timestamps_ms.iter().max().copied().or_else(sealed)
    }

    /// Whether the open tile takes no further row.
    pub(crate) fn is_full(&self) -> bool {
        self.tile_rows <= self.rows()
    }

    /// Where a row of `slot` and `rank` would go.
    pub(crate) fn admit(&self, slot: i64, rank: Rank) -> Admission {
        if let Some(sealed) = self.sealed_slot.filter(|sealed| slot <= *sealed) {
            return Admission::Sealed(sealed.saturating_add(1));
        }
        if self.slots.last().is_none_or(|last| *last < slot) && self.is_sorted_end() {
            return Admission::New;
        }
        match self.slots.iter().position(|at| *at == slot) {
            None => Admission::New,
            Some(at) if self.rank(at) < rank => Admission::Replace(at),
            Some(_) => Admission::Duplicate,
        }
    }

    /// The cells of columns that have a series; `None` when the row has no others. Those of a
    /// dropped column would become another kind's when its number is given again in a side group.
    pub(crate) fn known_cells(&self, cells: &Cells) -> Option<Cells> {
        let cell = |column: &usize| cells.present.get(*column) || cells.stale.get(*column);
        let live = |column: usize| self.columns.get(column).is_some_and(|c| c.series != NONE);
        let mut unknown = (0..cells.len()).filter(|at| !live(*at)).filter(cell).peekable();
        unknown.peek()?;
        let mut known = cells.clone();
        unknown.for_each(|column| known.set(column, Cell::Absent));
        known.histograms.retain(|(column, _)| live(*column as usize));
        Some(known)
    }

    /// Whether the newest row has the largest slot.
    fn is_sorted_end(&self) -> bool {
        self.slots.iter().max() == self.slots.last()
    }

    pub(crate) fn rank(&self, row: usize) -> Rank {
        if self.owner >> row & 1 == 1 { Rank::Owner } else { Rank::StandIn }
    }

    /// Puts a row at its place; `changed` are the columns that differ from the last row.
    ///
    /// # Panics
    /// `admission` is what [`Group::admit`] gave, and the tile is not full for a new row.
    pub(crate) fn put(&mut self, row: &Row<'_>, admission: Admission, changed: &[u32]) {
        match admission {
            Admission::New => self.push(row, changed),
            Admission::Replace(at) => self.replace(row, at),
            Admission::Duplicate | Admission::Sealed(_) => unreachable!("H1: a slot comes once"),
        }
        self.last.slot = row.slot.0;
    }

    fn push(&mut self, row: &Row<'_>, changed: &[u32]) {
        let at = self.rows();
        assert!(at < ROWS_MAX, "H2: a tile has at most {ROWS_MAX} rows");
        let sealed = self.sealed_slot.is_some_and(|sealed| row.slot.0 <= sealed);
        assert!(!sealed, "H1: slot {} is sealed", row.slot.0);
        self.slots.push(row.slot.0);
        self.timestamps_ms.push(row.timestamp.0);
        if row.rank == Rank::Owner {
            self.owner |= 1 << at;
        }
        for column in changed {
            self.change(*column, row.cells, at);
        }
        self.last.take_states(row.cells);
        for lane in &mut self.lanes {
            push_value(&mut lane.values, self.last.values[lane.column as usize]);
        }
        self.histogram_lanes.push(&self.last);
        let bit = 1u128 << at;
        for holes in &mut self.holes {
            let column = holes.column as usize;
            holes.present |= if self.last.present.get(column) { bit } else { 0 };
            holes.stale |= if self.last.stale.get(column) { bit } else { 0 };
        }
        debug_assert!(self.lanes.iter().all(|lane| lane.values.len() == self.rows()));
    }

    /// Takes one changed cell of a new row over into the last row, before it is pushed as row `at`.
    fn change(&mut self, column: u32, cells: &Cells, at: usize) {
        let (present, stale) = cell_state(cells, column);
        let was = (self.last.present.get(column as usize), self.last.stale.get(column as usize));
        if was != (present, stale) && 0 < at {
            self.open_holes(column, at);
        }
        if !present {
            return;
        }
        if self.kind(column) == ColumnKind::Histogram {
            self.change_histogram(column, cells, at);
        } else {
            let value = cells.values[column as usize];
            if value.to_bits() != self.last.values[column as usize].to_bits() {
                self.open_lane(column, at);
                self.last.values[column as usize] = value;
            }
        }
    }

    fn change_histogram(&mut self, column: u32, cells: &Cells, at: usize) {
        let value = cells.histogram(column).expect("the row was admitted");
        if !self.last.histogram(column).is_some_and(|last| histogram::same(last, value)) {
            self.open_histogram_lane(column, at);
            self.last.put_histogram(column, value);
        }
    }

    /// Gives the column bitmaps, its `rows` rows so far being as the last one.
    fn open_holes(&mut self, column: u32, rows: usize) {
        if self.columns[column as usize].holes != NONE {
            return;
        }
        let all = all_rows(rows);
        let present = if self.last.present.get(column as usize) { all } else { 0 };
        let stale = if self.last.stale.get(column as usize) { all } else { 0 };
        self.columns[column as usize].holes = index32(self.holes.len());
        self.holes.push(Holes { column, present, stale });
    }

    /// Gives the column a lane if a value other than the last one would need it.
    fn open_lane(&mut self, column: u32, rows: usize) {
        if !self.wants_lane(column, rows) {
            return;
        }
        let mut values = Vec::with_capacity((rows + 1).next_multiple_of(LANE_ROWS_STEP));
        values.resize(rows, self.last.values[column as usize]);
        self.columns[column as usize].lane = index32(self.lanes.len());
        self.lanes.push(Lane { column, values });
    }

    /// Whether the column has no lane, and a present cell in its `rows` rows.
    fn wants_lane(&self, column: u32, rows: usize) -> bool {
        let place = &self.columns[column as usize];
        let had_value = if place.holes == NONE {
            0 < rows && self.last.present.get(column as usize)
        } else {
            self.holes[place.holes as usize].present != 0
        };
        place.lane == NONE && had_value
    }

    /// What [`Group::open_lane`] is for floats.
    fn open_histogram_lane(&mut self, column: u32, rows: usize) {
        if !self.wants_lane(column, rows) {
            return;
        }
        let value = self.last.histogram(column).expect("H2: a present cell has a last value");
        self.columns[column as usize].lane = index32(self.histogram_lanes.len());
        self.histogram_lanes.open(column, rows, value);
    }

    /// Overwrites row `at`.
    fn replace(&mut self, row: &Row<'_>, at: usize) {
        let rows = self.rows();
        let bit = 1u128 << at;
        self.timestamps_ms[at] = row.timestamp.0;
        self.owner |= if row.rank == Rank::Owner { bit } else { 0 };
        for column in 0..index32(self.columns.len()) {
            let (present, stale) = cell_state(row.cells, column);
            let (holes_present, holes_stale) = self.column_states(column, rows);
            let was = (holes_present & bit != 0, holes_stale & bit != 0);
            if was != (present, stale) {
                self.open_holes(column, rows);
                let holes = self.columns[column as usize].holes as usize;
                let holes = &mut self.holes[holes];
                holes.present = if present { holes.present | bit } else { holes.present & !bit };
                holes.stale = if stale { holes.stale | bit } else { holes.stale & !bit };
            }
            if !present {
                continue;
            }
            if self.kind(column) == ColumnKind::Histogram {
                let value = row.cells.histogram(column).expect("the row was admitted");
                self.replace_histogram(column, value, at, rows);
            } else {
                self.replace_value(column, row.cells.values[column as usize], at, rows);
            }
        }
        self.last.take_states(row.cells);
    }

    /// Puts the cells of `columns` into row `at`, which has none in them.
    pub(crate) fn fill(&mut self, row: &Row<'_>, at: usize, columns: &[u32]) {
        let (rows, bit) = (self.rows(), 1u128 << at);
        for column in columns {
            let (present, stale) = cell_state(row.cells, *column);
            self.open_holes(*column, rows);
            if present && self.kind(*column) == ColumnKind::Histogram {
                let value = row.cells.histogram(*column).expect("the row was admitted");
                self.replace_histogram(*column, value, at, rows);
            } else if present {
                self.replace_value(*column, row.cells.values[*column as usize], at, rows);
            }
            let holes = &mut self.holes[self.columns[*column as usize].holes as usize];
            holes.present |= if present { bit } else { 0 };
            holes.stale |= if stale { bit } else { 0 };
            self.last.set_state(*column as usize, present, stale);
            self.close_holes(*column, rows);
        }
        self.last.slot = row.slot.0;
    }

    /// Takes the bitmaps away from a column that has a value in every row.
    fn close_holes(&mut self, column: u32, rows: usize) {
        let at = self.columns[column as usize].holes as usize;
        let is_whole = self.holes[at].present == all_rows(rows) && self.holes[at].stale == 0;
        if !is_whole || !self.last.present.get(column as usize) {
            return;
        }
        self.columns[column as usize].holes = NONE;
        self.holes.swap_remove(at);
        if let Some(moved) = self.holes.get(at) {
            self.columns[moved.column as usize].holes = index32(at);
        }
    }

    fn replace_value(&mut self, column: u32, value: f64, at: usize, rows: usize) {
        let last = self.last.values[column as usize];
        if last.to_bits() != value.to_bits() {
            // Where the row's own bit is set already, any value there asks for a lane.
            self.open_lane(column, rows);
        }
        let lane = self.columns[column as usize].lane;
        if lane != NONE {
            self.lanes[lane as usize].values[at] = value;
        }
        self.last.values[column as usize] = value;
    }

    fn replace_histogram(
        &mut self,
        column: u32,
        value: &Arc<NativeHistogram>,
        at: usize,
        rows: usize,
    ) {
        if self.last.histogram(column).is_some_and(|last| !histogram::same(last, value)) {
            // Where the row's own bit is set already, any value there asks for a lane.
            self.open_histogram_lane(column, rows);
        }
        let lane = self.columns[column as usize].lane;
        if lane != NONE {
            self.histogram_lanes.set(lane as usize, at, value);
        }
        self.last.put_histogram(column, value);
    }

    /// Present and stale rows of the column.
    pub(crate) fn column_states(&self, column: u32, rows: usize) -> (u128, u128) {
        let holes = self.columns[column as usize].holes;
        if holes != NONE {
            let holes = &self.holes[holes as usize];
            return (holes.present, holes.stale);
        }
        let all = all_rows(rows);
        let present = if self.last.present.get(column as usize) { all } else { 0 };
        let stale = if self.last.stale.get(column as usize) { all } else { 0 };
        (present, stale)
    }

    /// Values of the column by row, `None` when all present ones are the last row's.
    pub(crate) fn column_values(&self, column: u32) -> Option<&[f64]> {
        let lane = self.columns[column as usize].lane;
        (lane != NONE).then(|| &self.lanes[lane as usize].values[..])
    }

    /// Histogram of a present cell of a histogram column.
    pub(crate) fn histogram_at(&self, column: u32, row: usize) -> &Arc<NativeHistogram> {
        let lane = self.columns[column as usize].lane;
        if lane == NONE {
            return self.last.histogram(column).expect("H2: a present cell has a last value");
        }
        &self.histogram_lanes.values(lane as usize)[row]
    }

    /// The first present cell whose value is not of its column's kind, and what is wrong with it.
    pub(crate) fn unfit_column(&self, cells: &Cells) -> Option<(u32, &'static str)> {
        for (column, value) in &cells.histograms {
            if let Err(reason) = check(value) {
                return Some((*column, reason));
            }
        }
        let is_histogram = |(_, kind): &(usize, &ColumnKind)| **kind == ColumnKind::Histogram;
        for (column, _) in self.kinds.iter().enumerate().filter(is_histogram) {
            let column = index32(column);
            let (present, _) = cell_state(cells, column);
            if present && cells.histogram(column).is_none() {
                return Some((column, "the column is of histograms"));
            }
        }
        None
    }

    /// Columns that have a cell in the open tile.
    pub(crate) fn chunks(&self) -> usize {
        let rows = self.rows();
        if rows == 0 {
            return 0;
        }
        let columns = 0..index32(self.columns.len());
        columns.filter(|column| self.column_states(*column, rows) != (0, 0)).count()
    }

    /// Encodes the open tile and begins the next one.
    ///
    /// # Panics
    /// There is a row.
    pub(crate) fn seal(&mut self, group: u32, builder: &mut Builder) -> Vec<u8> {
        let rows = self.rows();
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|at| self.slots[*at]);
        let slots: Vec<i64> = order.iter().map(|at| self.slots[*at]).collect();
        let timestamps_ms: Vec<i64> = order.iter().map(|at| self.timestamps_ms[*at]).collect();
        let rising = slots.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(rising, "H1: a slot is in the tile twice");
        let owner = permute(self.owner, &order);
        let head = Rows { slots: &slots, timestamps_ms: &timestamps_ms, owner };
        builder.begin(head);
        self.seal_columns(&order, builder);
        let number = self.tile_number;
        let bytes = builder.finish(group, number, head);
        self.sealed_slot = slots.last().copied().filter(|_| !self.side);
        self.tile_number += 1;
        self.begin_tile();
        bytes
    }

    fn seal_columns(&mut self, order: &[usize], builder: &mut Builder) {
        let rows = order.len();
        let sorted = order.is_sorted();
        let mut values = Vec::with_capacity(rows);
        for column in 0..index32(self.columns.len()) {
            let (present, stale) = self.column_states(column, rows);
            if present | stale == 0 {
                continue;
            }
            self.columns[column as usize].last_tile = self.tile_number;
            let (present, stale) = if sorted {
                (present, stale)
            } else {
                (permute(present, order), permute(stale, order))
            };
            if self.kind(column) == ColumnKind::Histogram {
                let ordered = order.iter().enumerate().filter(|(to, _)| present >> to & 1 == 1);
                let values: Vec<&NativeHistogram> =
                    ordered.map(|(_, from)| &**self.histogram_at(column, *from)).collect();
                builder.histograms(column, rows, (present, stale), &values);
                continue;
            }
            let constant = self.last.values[column as usize];
            let Some(lane) = self.column_values(column) else {
                builder.column(column, rows, present, stale, Values::Constant(constant));
                continue;
            };
            if sorted && present == all_rows(rows) {
                builder.column(column, rows, present, stale, Values::Each(lane));
                continue;
            }
            values.clear();
            let ordered = order.iter().enumerate().filter(|(to, _)| present >> to & 1 == 1);
            values.extend(ordered.map(|(_, from)| lane[*from]));
            builder.column(column, rows, present, stale, Values::Each(&values));
        }
    }

    /// Drops the rows of the open tile; gives the epoch that they pinned.
    pub(crate) fn forget_open(&mut self) -> Option<Epoch> {
        let opened = self.opened.map(|(epoch, _)| epoch);
        self.begin_tile();
        opened
    }

    fn begin_tile(&mut self) {
        for lane in self.lanes.drain(..) {
            self.columns[lane.column as usize].lane = NONE;
        }
        let columns = &mut self.columns;
        self.histogram_lanes.drain(|column| columns[column as usize].lane = NONE);
        for holes in self.holes.drain(..) {
            self.columns[holes.column as usize].holes = NONE;
        }
        self.slots.clear();
        self.timestamps_ms.clear();
        self.owner = 0;
        self.opened = None;
    }

    /// After the sealed tiles were found: a column that none of them has begins with the open one.
    pub(crate) fn tiles_are_known(&mut self) {
        for column in &mut self.columns {
            if column.last_tile < column.first_tile {
                (column.first_tile, column.last_tile) = (self.tile_number, self.tile_number);
            }
        }
    }

    /// Largest slot and number of the tiles of these files.
    pub(crate) fn sealed_in(&self, files: &[(u64, u64)]) -> Option<(i64, u32)> {
        let is_in = |tile: &&Arc<TileRef>| match tile.place {
            Place::File { number, .. } => files.iter().any(|(file, _)| *file == number),
            Place::Memory(_) => false,
        };
        let tiles = self.tiles.iter().filter(is_in);
        tiles.map(|tile| (tile.slot_max, tile.number)).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
    }

    /// Tiles up to this slot and number are in blocks.
    pub(crate) fn are_sealed(&mut self, slot: i64, tile_number: u32) {
        if !self.side {
            self.sealed_slot = self.sealed_slot.max(Some(slot));
        }
        self.tile_number = self.tile_number.max(tile_number.saturating_add(1));
    }

    /// Forgets the tiles of a file that goes.
    pub(crate) fn forget_file(&mut self, number: u64) {
        let is_gone = |tile: &Arc<TileRef>| match tile.place {
            Place::File { number: file, .. } => file == number,
            Place::Memory(_) => false,
        };
        self.tiles.retain(|tile| !is_gone(tile));
    }

    /// Columns that have a series.
    pub(crate) fn live_columns(&self) -> Vec<u32> {
        self.live.iter_ones().map(index32).collect()
    }

    /// Columns with a series but without a cell in any tile, sealed or open.
    pub(crate) fn dead_columns(&self) -> Vec<u32> {
        let oldest = self.tiles.front().map_or(self.tile_number, |tile| tile.number);
        let rows = self.rows();
        let mut dead = self.live_columns();
        dead.retain(|column| {
            let is_open = self.column_states(*column, rows) != (0, 0);
            // What the last late row had says nothing of the next.
            let present = self.last.present.get(*column as usize) && !self.side;
            self.columns[*column as usize].last_tile < oldest && !is_open && !present
        });
        dead
    }

    /// Most bytes that the open tile takes when it is sealed.
    pub(crate) fn open_bytes_max(&self) -> usize {
        let lanes = self.lanes.len() * self.rows() * size_of::<f64>();
        lanes + self.columns.len() * COLUMN_BYTES_MAX + self.histogram_lanes.bytes_max()
    }

    /// Bytes of memory of the references to sealed tiles.
    pub(crate) fn directory_bytes(&self) -> usize {
        let counted = size_of::<TileRef>() + 2 * size_of::<usize>();
        self.tiles.capacity() * size_of::<Arc<TileRef>>() + self.tiles.len() * counted
    }

    /// Bytes of memory of last row and open tile.
    pub(crate) fn tile_bytes(&self) -> usize {
        let lanes: usize =
            self.lanes.iter().map(|lane| allocated(lane.values.capacity() * 8)).sum();
        allocated(size_of::<Group>())
            + self.labels.heap_bytes()
            + self.metadata.capacity() * size_of::<u32>()
            + self.live.words().len() * 8
            + lanes
            + self.histogram_lanes.heap_bytes()
            + self.lanes.capacity() * size_of::<Lane>()
            + self.holes.capacity() * size_of::<Holes>()
            + self.columns.capacity() * size_of::<Column>()
            + self.kinds.capacity()
            + self.last.heap_bytes()
            + (self.slots.capacity() + self.timestamps_ms.capacity()) * 8
    }
}

fn cell_state(cells: &Cells, column: u32) -> (bool, bool) {
    let (present, stale) = states(cells, column as usize / 64);
    let bit = column % 64;
    (present >> bit & 1 == 1, stale >> bit & 1 == 1)
}

fn permute(bits: u128, order: &[usize]) -> u128 {
    let moved = order.iter().enumerate().filter(|(_, from)| bits >> *from & 1 == 1);
    moved.fold(0, |bits, (to, _)| bits | 1 << to)
}

fn push_value(values: &mut Vec<f64>, value: f64) {
    if values.len() == values.capacity() {
        values.reserve_exact(LANE_ROWS_STEP);
    }
    values.push(value);
}

pub(crate) fn index32(index: usize) -> u32 {
    u32::try_from(index).expect("columns of a group are bounded")
}
