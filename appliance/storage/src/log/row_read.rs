//! Reads rows: the state of each group within the segment, and the cells it gives.
//!
//! Path: `log::read` → **row_read** → `recovery`.
//! Never: panics on what it reads.
//! Format: docs/format/wal.md, version 1.

use std::sync::Arc;

use hashbrown::HashMap;
use model::bitmap::Bitmap;
use model::native_histogram::NativeHistogram;
use model::time::TimestampMs;

use crate::cells::{Cell, Cells};
use crate::decimal::{self, Code};
use crate::histogram;
use crate::log::record::{RowHead, read_row_group, read_row_head};
use crate::log::row_write::{NO_CODE, escape};
use crate::row::{GroupId, Row, Slot};
use crate::varint::Cursor;

/// State of one group within a segment.
#[derive(Clone, Debug, Default)]
struct State {
    cells: Cells,
    codes: Vec<u8>,
    slot: i64,
    /// A full row was read: differences can be applied.
    opened: bool,
}

/// States of all groups within a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    states: HashMap<u32, State, foldhash::fast::FixedState>,
    /// Of a record of cells, which leans on no state.
    part: State,
}

impl Decoder {
    /// Forgets all states: a segment begins that leans on none before it.
    pub(crate) fn reset(&mut self) {
        self.states.clear();
    }

    /// The row of `body`; `columns` gives the number of columns of a group, nothing when it is
    /// unknown. `Ok(None)`: a row of an unknown group, which is skipped.
    ///
    /// # Errors
    /// What does not check.
    pub(crate) fn row(
        &mut self,
        body: &[u8],
        full: bool,
        columns: impl Fn(GroupId) -> Option<usize>,
    ) -> Result<Option<Row<'_>>, &'static str> {
        let mut cursor = Cursor::new(body);
        let group = read_row_group(&mut cursor).ok_or("row is cut short")?;
        let Some(columns) = columns(GroupId(group)) else { return Ok(None) };
        let state = self.states.entry(group).or_default();
        if full {
            state.slot = 0;
            state.opened = true;
            state.cells.present.reset(state.cells.values.len());
            state.cells.stale.reset(state.cells.values.len());
            state.cells.histograms.clear();
        }
        if !state.opened {
            return Err("row without a full row before it");
        }
        state.grow(columns);
        // After a row that was read in part, differences would give wrong values: it is opened
        // again when the whole row is right, else by the next full one.
        state.opened = false;
        let head = read_row_head(&mut cursor, group, state.slot).ok_or("row is cut short")?;
        state.slot = head.slot;
        state.entries(&mut cursor, head.entries).ok_or("entries of the row make no sense")?;
        if !cursor.is_empty() {
            return Err("row has bytes left over");
        }
        state.opened = true;
        Ok(Some(state.row_of(&head)))
    }

    /// The cells of `body` alone, as [`Decoder::row`] gives a row.
    ///
    /// # Errors
    /// What does not check.
    pub(crate) fn cells(
        &mut self,
        body: &[u8],
        columns: impl Fn(GroupId) -> Option<usize>,
    ) -> Result<Option<Row<'_>>, &'static str> {
        let mut cursor = Cursor::new(body);
        let group = read_row_group(&mut cursor).ok_or("row is cut short")?;
        let Some(columns) = columns(GroupId(group)) else { return Ok(None) };
        let part = &mut self.part;
        part.cells.reset(columns);
        part.codes.clear();
        part.codes.resize(columns, NO_CODE);
        let head = read_row_head(&mut cursor, group, 0).ok_or("row is cut short")?;
        part.entries(&mut cursor, head.entries).ok_or("entries of the row make no sense")?;
        if !cursor.is_empty() {
            return Err("row has bytes left over");
        }
        // Differences that follow lean on these cells too.
        if let Some(state) = self.states.get_mut(&group).filter(|state| state.opened) {
            state.grow(columns);
            state.slot = head.slot;
            state.take(&self.part);
        }
        Ok(Some(self.part.row_of(&head)))
    }
}

impl State {
    fn grow(&mut self, columns: usize) {
        if self.cells.len() < columns {
            self.cells.resize(columns);
            self.codes.resize(columns, NO_CODE);
        }
    }

    /// Takes over the cells that `part` has.
    fn take(&mut self, part: &State) {
        for column in 0..part.cells.len() {
            match part.cells.get(column) {
                Cell::Absent => continue,
                cell => self.cells.set(column, cell),
            }
            self.codes[column] = part.codes[column];
        }
        for (column, histogram) in &part.cells.histograms {
            self.cells.set_histogram(*column, Arc::clone(histogram));
        }
    }

    fn row_of(&self, head: &RowHead) -> Row<'_> {
        Row {
            group: GroupId(head.group),
            slot: Slot(head.slot),
            timestamp: TimestampMs(head.timestamp_ms),
            rank: head.rank,
            cells: &self.cells,
        }
    }

    fn entries(&mut self, cursor: &mut Cursor<'_>, count: usize) -> Option<()> {
        let mut next = 0usize;
        for _ in 0..count {
            let gap = cursor.unsigned()?;
            let column = next.checked_add(usize::try_from(gap >> 1).ok()?)?;
            if self.cells.len() <= column {
                return None;
            }
            next = column + 1;
            if gap & 1 == 0 {
                self.delta(column, cursor.signed()?)?;
            } else {
                self.escape(column, cursor)?;
            }
        }
        Some(())
    }

    fn delta(&mut self, column: usize, delta: i64) -> Option<()> {
        let code = Code::from_byte(self.codes[column])?;
        if !bit(&self.cells.present, column) {
            return None;
        }
        let before = decimal::nearest(self.cells.values[column], code);
        self.cells.values[column] = decimal::value(before.wrapping_add(delta), code);
        Some(())
    }

    fn escape(&mut self, column: usize, cursor: &mut Cursor<'_>) -> Option<()> {
        let cell = match cursor.byte()? {
            escape::ABSENT => Cell::Absent,
            escape::STALE => Cell::Stale,
            escape::RAW => {
                self.codes[column] = NO_CODE;
                Cell::Present(f64::from_bits(u64::from_le_bytes(cursor.array()?)))
            }
            escape::HISTOGRAM => {
                let histogram = histogram::read_whole(cursor)?;
                return self.set_histogram(column, histogram);
            }
            escape::HISTOGRAM_DIFFERENCE => {
                let number = u32::try_from(column).ok()?;
                let before = self.cells.histogram(number)?;
                if !bit(&self.cells.present, column) {
                    return None;
                }
                let histogram = histogram::read_difference(before, cursor)?;
                return self.set_histogram(column, histogram);
            }
            form => {
                let code = Code::from_byte(form.checked_sub(escape::FORM)?)?;
                self.codes[column] = code.byte();
                Cell::Present(decimal::value(cursor.signed()?, code))
            }
        };
        self.cells.set(column, cell);
        Some(())
    }

    fn set_histogram(&mut self, column: usize, histogram: NativeHistogram) -> Option<()> {
        self.cells.set_histogram(u32::try_from(column).ok()?, Arc::new(histogram));
        Some(())
    }
}

fn bit(bitmap: &Bitmap, at: usize) -> bool {
    at < bitmap.len() && bitmap.get(at)
}
