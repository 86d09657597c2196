//! Row: what one scrape, evaluation or push adds to a group, and the numbers that name its parts.
//!
//! Path: `scrape` → **row** → `store`.

use model::time::TimestampMs;

use crate::cells::Cells;

/// Number of a group within its shard; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// What the cells of a column hold. One series has a column of each kind that it has values of; a
/// selection joins them by label set and time. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ColumnKind {
    /// Floats.
    #[default]
    Float = 0,
    /// Native histograms: a present cell has its value in [`Cells::histograms`].
    Histogram = 1,
    /// Start timestamps of the samples at the same time, milliseconds as exact floats.
    Start = 2,
}

impl ColumnKind {
    /// The kind of a number on disk; `None` when this version knows none.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<ColumnKind> {
        let kinds = [ColumnKind::Float, ColumnKind::Histogram, ColumnKind::Start];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Number of a column within its group, from 0; never reused while the group lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnIndex(pub u32);

/// Due time of a row, milliseconds since the Unix epoch: with the group it identifies the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub i64);

/// Whose row it is; where two rows of one slot meet the higher rank wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rank {
    /// Scraped by the node that stands in for the owner.
    StandIn = 0,
    /// Scraped by the owner.
    Owner = 1,
}

/// Where a sample comes from: it settles two of one time and series by [`precedence`]. `part` is
/// the number of the tile in a side group, whose tiles overlap, else 0. The number is on disk in
/// blocks.
pub(crate) fn origin(group: u32, part: u32, is_owner: bool) -> u64 {
    u64::from(part & PART_MAX) << 33 | u64::from(!is_owner) << 32 | u64::from(group)
}

/// Largest part of an origin.
const PART_MAX: u32 = u32::MAX >> 1;

/// The less wins: the owner's rank before the stand-in's, then the group that was made first, then
/// the tile that was begun first. It is what the rule of rank and first durable gives, whatever
/// order tiles and blocks are merged in.
pub(crate) fn precedence(origin: u64) -> u64 {
    origin.rotate_left(31)
}

/// Key that names a group on every node: the hash of its identity labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(pub u128);

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Group it belongs to.
    pub group: GroupId,
    /// Due time: its identity within the group.
    pub slot: Slot,
    /// Time of its samples.
    pub timestamp: TimestampMs,
    /// Whose row it is.
    pub rank: Rank,
    /// Its cells; columns past their end are absent.
    pub cells: &'a Cells,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_counts_first_then_group_then_tile() {
        let rising = [(1, 9, true), (2, 0, true), (2, 1, true), (0, 0, false), (7, 3, false)];
        let order = rising.map(|(group, part, owner)| precedence(origin(group, part, owner)));
        assert!(order.is_sorted_by(|a, b| a < b), "{order:x?}");
    }
}
