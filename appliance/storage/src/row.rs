//! Row: what one scrape, evaluation or push adds to a group, and the numbers that name its parts.
//!
//! Path: `scrape` → **row** → `store`.

use model::time::TimestampMs;

use crate::cells::Cells;

/// Number of a group within its shard; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

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
