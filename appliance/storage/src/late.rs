//! Late: rows behind the sealed tiles of their group, which go to a side group.
//!
//! Path: `store` → **late** → `store`.
//! A side group has the key and labels of its group, and its columns under the same numbers, as
//! far as late rows had cells in them. No slot is sealed in it: its tiles overlap in time.

use model::time::Now;

use crate::head::{Group, NONE, index32};
use crate::index::series::ColumnPlace;
use crate::last_row::states;
use crate::row::{GroupId, Row};
use crate::store::{RowError, Store};

/// Slots further ahead of the clock than this were made by a clock that was wrong.
const AHEAD_MS: i64 = 60_000;

impl Store {
    /// The group that takes the row: its own, or the side group where it is late and may be, or
    /// where the caller knows that it is right.
    pub(crate) fn place_of(
        &mut self,
        now: Now,
        row: &Row<'_>,
        always: bool,
    ) -> Result<GroupId, RowError> {
        let found = self.groups.get(row.group.0 as usize).and_then(Option::as_ref);
        let found = found.ok_or(RowError::UnknownGroup(row.group.0))?;
        let Some(sealed) = found.sealed_slot.filter(|sealed| row.slot.0 <= *sealed) else {
            return Ok(row.group);
        };
        let window_ms = i64::try_from(self.options.out_of_order_time_window_ms);
        let window_ms = window_ms.unwrap_or(i64::MAX);
        let newest = found.slots.iter().copied().max().map_or(sealed, |open| open.max(sealed));
        let within = newest.saturating_sub(window_ms) <= row.slot.0 && 0 < window_ms;
        // A clock that was ahead has sealed slots to come: rows of the right time must not wait.
        let ahead = now.wall.0.saturating_add(AHEAD_MS) < sealed;
        if !within && !ahead && !always {
            return Ok(row.group);
        }
        // First its own columns: a number that only the side group has durably would be given to
        // another series after a crash.
        self.define(now, row.group);
        let side = self.side_group(now, row.group.0)?;
        self.side_columns(now, side, row)?;
        self.counts.rows_late += 1;
        Ok(GroupId(side))
    }

    fn side_group(&mut self, now: Now, group: u32) -> Result<u32, RowError> {
        let found = self.groups[group as usize].as_ref().expect("the row was checked");
        if let Some(side) = self.side_keys.get(&found.key) {
            return Ok(*side);
        }
        let (key, labels) = (found.key, found.labels.clone());
        let side = self.next_group().ok_or(RowError::UnknownGroup(group))?;
        self.put_group(side, key, labels, true);
        self.define(now, GroupId(side));
        Ok(side)
    }

    /// Gives the side group the columns in which the row has cells.
    fn side_columns(&mut self, now: Now, side: u32, row: &Row<'_>) -> Result<(), RowError> {
        let words = row.cells.present.words().len().max(row.cells.stale.words().len());
        for word in 0..words {
            let (present, stale) = states(row.cells, word);
            let mut cells = present | stale;
            while cells != 0 {
                let column = index32(word * 64) + cells.trailing_zeros();
                cells &= cells - 1;
                self.side_column(now, (row.group.0, side), column)?;
            }
        }
        Ok(())
    }

    fn side_column(
        &mut self,
        now: Now,
        (group, side): (u32, u32),
        column: u32,
    ) -> Result<(), RowError> {
        let found = self.groups[group as usize].as_ref().expect("the row was checked");
        let (series, kind) = (found.columns[column as usize].series, found.kind(column));
        let there = self.groups[side as usize].as_ref().map(|side| series_of(side, column));
        match there.unwrap_or(NONE) {
            other if other == series => return Ok(()),
            NONE => {}
            _ => return Err(RowError::UnknownColumn { group, column }),
        }
        let found = self.groups[side as usize].as_mut().expect("it was made");
        found.restore_column(column, series, kind);
        found.logged_columns = Some(index32(found.columns.len()));
        self.index.add_column(series, ColumnPlace { group: side, column });
        self.own_series(side);
        self.log_column(now, side, column);
        Ok(())
    }
}

fn series_of(group: &Group, column: u32) -> u32 {
    group.columns.get(column as usize).map_or(NONE, |column| column.series)
}
