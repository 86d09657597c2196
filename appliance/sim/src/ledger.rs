//! Ledger: a naive store of cells, which says what a store must hold at any place of its log.
//!
//! Path: `drill` → **ledger**.
//! It knows no tile, no block and no file: rows in the order of their positions, deletions in the
//! order of their numbers, and the oldest time that is surely kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::native_histogram::NativeHistogram;
use storage::effect::LogPosition;
use storage::row::Rank;

/// Number of a series of the ledger.
pub type SeriesNumber = usize;

/// What a cell holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// A float or a staleness marker, as bits.
    Float(u64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(one), Value::Float(other)) => one == other,
            (Value::Histogram(one), Value::Histogram(other)) => one == other,
            _ => false,
        }
    }
}

/// What a store was found to hold, by series and time.
pub type Contents = Vec<BTreeMap<i64, Value>>;

/// A row that the store took.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Number of its group in the store: of two equal cells the older group's counts.
    pub group: u32,
    /// Its slot.
    pub slot: i64,
    /// Time of its cells.
    pub time_ms: i64,
    /// Its rank.
    pub rank: Rank,
    /// Where it stands in the log.
    pub position: LogPosition,
    /// What it says.
    pub cells: Vec<(SeriesNumber, Value)>,
}

/// A deletion that the store took.
#[derive(Clone, Debug)]
struct Deletion {
    number: u64,
    /// By series as they were when it came; later ones may be meant.
    meant: Vec<bool>,
    range_ms: (i64, i64),
    /// Rows that were there.
    rows: usize,
}

/// How far a store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// It has the rows up to this position.
    pub position: LogPosition,
    /// It has the deletions up to this one.
    pub deletion: u64,
}

/// What may be found of one row in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It counts.
    Sure,
    /// It may be there or not.
    Maybe,
    /// It is deleted.
    Gone,
}

/// The naive store.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    rows: Vec<Taken>,
    /// For each row the one that replaced it.
    replaced_by: Vec<Option<usize>>,
    /// Rows by series and time.
    cells: Vec<BTreeMap<i64, Vec<usize>>>,
    newest: BTreeMap<(u32, i64), usize>,
    deletions: Vec<Deletion>,
    forgotten_before_ms: i64,
}

impl Ledger {
    /// Takes a row.
    pub fn take(&mut self, row: Taken) {
        let number = self.rows.len();
        let before = self.newest.insert((row.group, row.slot), number);
        if let Some(before) = before.filter(|before| self.rows[*before].rank < row.rank) {
            self.replaced_by[before] = Some(number);
        }
        for (series, _) in &row.cells {
            if self.cells.len() <= *series {
                self.cells.resize(*series + 1, BTreeMap::new());
            }
            self.cells[*series].entry(row.time_ms).or_default().push(number);
        }
        self.rows.push(row);
        self.replaced_by.push(None);
    }

    /// Takes deletion `number` of the series that are `meant`, times included.
    pub fn delete(&mut self, number: u64, meant: Vec<bool>, range_ms: (i64, i64)) {
        self.deletions.push(Deletion { number, meant, range_ms, rows: self.rows.len() });
    }

    /// Cells before this time may be gone.
    pub fn forget(&mut self, before_ms: i64) {
        self.forgotten_before_ms = self.forgotten_before_ms.max(before_ms);
    }

    /// The store is opened again and has come that far: what came later never was.
    pub fn cut(&mut self, extent: Extent) {
        let rows = std::mem::take(&mut self.rows);
        let deletions = std::mem::take(&mut self.deletions);
        let forgotten_before_ms = self.forgotten_before_ms;
        *self = Ledger { forgotten_before_ms, ..Ledger::default() };
        rows.into_iter().filter(|row| row.position <= extent.position).for_each(|r| self.take(r));
        let kept = deletions.into_iter().filter(|deletion| deletion.number <= extent.deletion);
        let count = self.rows.len();
        self.deletions = kept.map(|d| Deletion { rows: d.rows.min(count), ..d }).collect();
    }

    /// Rows held.
    #[must_use]
    pub fn rows(&self) -> &[Taken] {
        &self.rows
    }

    /// Whether `found` is what a store holds that has come to `extent`.
    ///
    /// # Errors
    /// Names the first cell that is not as it must be.
    pub fn check(&self, found: &Contents, extent: Extent) -> Result<(), String> {
        self.check_written(found, extent)?;
        let none = BTreeMap::new();
        for (series, cells) in self.cells.iter().enumerate() {
            let there = found.get(series).unwrap_or(&none);
            for (time, rows) in cells {
                if there.contains_key(time) {
                    continue;
                }
                let parts = self.parts(series, rows, extent);
                if parts.iter().any(|(_, part)| *part == Part::Sure) {
                    let text = self.text(&parts);
                    return Err(format!("series {series} at {time} is missing: {text}"));
                }
            }
        }
        Ok(())
    }

    /// Whether `found` is what a copy holds that was made while a store came from `least` to
    /// `most`: all that it had and has still, and nothing that it never had.
    ///
    /// # Errors
    /// Names the first cell that is not as it must be.
    pub fn check_between(
        &self,
        found: &Contents,
        least: Extent,
        most: Extent,
    ) -> Result<(), String> {
        self.check_made(found)?;
        let none = BTreeMap::new();
        for (series, cells) in self.cells.iter().enumerate() {
            let there = found.get(series).unwrap_or(&none);
            for (time, rows) in cells.iter().filter(|(time, _)| !there.contains_key(time)) {
                let is_sure = |extent: Extent| {
                    let parts = self.parts(series, rows, extent);
                    parts.iter().any(|(_, part)| *part == Part::Sure)
                };
                if is_sure(least) && is_sure(most) {
                    return Err(format!("series {series} at {time} is missing"));
                }
            }
        }
        Ok(())
    }

    /// Whether everything in `found` may be there.
    ///
    /// # Errors
    /// Names the first cell that may not.
    pub fn check_written(&self, found: &Contents, extent: Extent) -> Result<(), String> {
        for (series, cells) in found.iter().enumerate() {
            for (time, value) in cells {
                let rows = self.cells.get(series).and_then(|cells| cells.get(time));
                let parts = rows.map(|rows| self.parts(series, rows, extent)).unwrap_or_default();
                if !self.may_be(series, &parts, value) {
                    let text = self.text(&parts);
                    return Err(format!("series {series} at {time} is {value:x?}: {text}"));
                }
            }
        }
        Ok(())
    }

    /// Whether everything in `found` was ever written, wherever it stands in rank.
    ///
    /// # Errors
    /// Names the first cell that was not.
    pub fn check_made(&self, found: &Contents) -> Result<(), String> {
        for (series, cells) in found.iter().enumerate() {
            for (time, value) in cells {
                let rows = self.cells.get(series).and_then(|cells| cells.get(time));
                let rows = rows.map(Vec::as_slice).unwrap_or_default();
                if !rows.iter().any(|row| self.value(series, *row) == Some(value)) {
                    return Err(format!("series {series} at {time} is {value:x?}, never written"));
                }
            }
        }
        Ok(())
    }

    /// The rows of a cell that have come by `extent`, the one that counts first, and what may be
    /// found of each.
    fn parts(&self, series: usize, rows: &[usize], extent: Extent) -> Vec<(usize, Part)> {
        let come = |row: &usize| self.rows[*row].position <= extent.position;
        let mut order: Vec<usize> = rows.iter().copied().filter(come).collect();
        order.sort_by_key(|row| {
            let taken = &self.rows[*row];
            (std::cmp::Reverse(taken.rank), taken.group, *row)
        });
        order.into_iter().map(|row| (row, self.part(series, row, extent))).collect()
    }

    fn part(&self, series: usize, row: usize, extent: Extent) -> Part {
        let time_ms = self.rows[row].time_ms;
        let replaced = self.replaced_by[row];
        let mut maybe = replaced.is_some_and(|by| self.rows[by].position <= extent.position)
            || time_ms < self.forgotten_before_ms;
        for deletion in &self.deletions {
            let (from_ms, to_ms) = deletion.range_ms;
            let meant = deletion.meant.get(series).copied().unwrap_or(true);
            if extent.deletion < deletion.number || !meant || time_ms < from_ms || to_ms < time_ms {
                continue;
            }
            if row < deletion.rows {
                return Part::Gone;
            }
            maybe = true;
        }
        if maybe { Part::Maybe } else { Part::Sure }
    }

    /// Whether `value` may be found where these rows are.
    fn may_be(&self, series: usize, parts: &[(usize, Part)], value: &Value) -> bool {
        for (row, part) in parts {
            let same = self.value(series, *row) == Some(value);
            match part {
                Part::Sure => return same,
                Part::Maybe if same => return true,
                Part::Maybe | Part::Gone => {}
            }
        }
        false
    }

    fn value(&self, series: usize, row: usize) -> Option<&Value> {
        let cells = &self.rows[row].cells;
        cells.iter().find(|(other, _)| *other == series).map(|(_, value)| value)
    }

    fn text(&self, parts: &[(usize, Part)]) -> String {
        let one = |(row, part): &(usize, Part)| {
            let taken = &self.rows[*row];
            let (group, rank, position) = (taken.group, taken.rank, taken.position);
            format!("row {row} of group {group}, {rank:?}, position {position}, {part:?}")
        };
        let all: Vec<String> = parts.iter().map(one).collect();
        if all.is_empty() { "nothing was written".to_owned() } else { all.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Extent = Extent { position: LogPosition(100), deletion: 100 };

    fn ledger(rows: &[(u32, i64, Rank, u64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (at, (group, slot, rank, bits)) in rows.iter().enumerate() {
            ledger.take(Taken {
                group: *group,
                slot: *slot,
                time_ms: *slot,
                rank: *rank,
                position: LogPosition(at as u64 + 1),
                cells: vec![(0, Value::Float(*bits))],
            });
        }
        ledger
    }

    fn found(cells: &[(i64, u64)]) -> Contents {
        vec![cells.iter().map(|(time, bits)| (*time, Value::Float(*bits))).collect()]
    }

    #[test]
    fn what_is_missing_wrong_or_never_written_is_named() {
        let ledger = ledger(&[(0, 5, Rank::Owner, 1), (0, 6, Rank::Owner, 2)]);
        assert_eq!(ledger.check(&found(&[(5, 1), (6, 2)]), ALL), Ok(()));
        assert!(ledger.check(&found(&[(5, 1)]), ALL).unwrap_err().contains("missing"));
        assert!(ledger.check(&found(&[(5, 1), (6, 3)]), ALL).is_err());
        assert!(ledger.check(&found(&[(5, 1), (6, 2), (7, 2)]), ALL).is_err());
        let half = Extent { position: LogPosition(1), ..ALL };
        assert_eq!(ledger.check(&found(&[(5, 1)]), half), Ok(()));
        assert!(ledger.check(&found(&[(5, 1), (6, 2)]), half).is_err());
    }

    #[test]
    fn the_higher_rank_counts_then_the_older_group() {
        let rows = [(0, 5, Rank::StandIn, 1), (0, 5, Rank::Owner, 2), (1, 5, Rank::Owner, 3)];
        let ledger = ledger(&rows);
        assert_eq!(ledger.check(&found(&[(5, 2)]), ALL), Ok(()));
        assert!(ledger.check(&found(&[(5, 1)]), ALL).is_err());
        assert!(ledger.check(&found(&[(5, 3)]), ALL).is_err());
    }

    #[test]
    fn deleted_cells_are_gone_when_the_deletion_has_come() {
        let mut ledger = ledger(&[(0, 5, Rank::Owner, 1)]);
        ledger.delete(3, vec![true], (0, 9));
        assert!(ledger.check(&found(&[(5, 1)]), ALL).is_err());
        assert_eq!(ledger.check(&found(&[]), ALL), Ok(()));
        let before = Extent { deletion: 2, ..ALL };
        assert_eq!(ledger.check(&found(&[(5, 1)]), before), Ok(()));
        assert!(ledger.check(&found(&[]), before).is_err());
        ledger.cut(before);
        assert_eq!(ledger.check(&found(&[(5, 1)]), ALL), Ok(()));
    }
}
