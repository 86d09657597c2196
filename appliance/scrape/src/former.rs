//! Former: the group that a target outgrew, until its next good scrape.
//!
//! Path: `active` leaves a group whose columns are mostly those of series that are gone →
//! **former** → markers for what does not come again in the new group.
//!
//! A group keeps the number of a column for as long as it lives, so that a target whose series are
//! replaced over and over makes its rows ever wider. When they are far wider than what it exposes,
//! its series begin again in a fresh group; the old one goes when its samples pass retention.

use hashbrown::HashSet;
use model::bitmap::Bitmap;
use storage::cells::{Cell, Cells};
use storage::row::{GroupId, GroupKey};
use xxhash_rust::xxh3::xxh3_128;

use crate::memory::Memory;

/// Columns a series that is exposed, before a group is left.
const COLUMNS_PER_SERIES: usize = 8;

/// Series of the group that was left, by what their texts hash to.
pub struct Former {
    /// The group.
    pub group: GroupId,
    series: Vec<(u128, u32)>,
}

/// What a scrape in the new group has of the old one.
#[derive(Debug, Default)]
pub struct Moved {
    /// Series that the old group had not.
    pub added: usize,
    /// Columns of the old group whose series did not come again.
    pub gone: Vec<u32>,
}

impl Former {
    /// The series of `known` in `group`, as `memory` found them.
    #[must_use]
    pub fn new(group: GroupId, memory: &Memory, known: &Bitmap) -> Former {
        Former { group, series: memory.series_of(known) }
    }

    /// Compares with a scrape in the new group, whose series `memory` found in `present`.
    #[must_use]
    pub fn moved(&self, memory: &Memory, present: &Bitmap) -> Moved {
        let came: HashSet<u128, foldhash::fast::FixedState> =
            memory.series_of(present).into_iter().map(|(hash, _)| hash).collect();
        let stays = |(hash, _): &&(u128, u32)| !came.contains(hash);
        let gone: Vec<u32> = self.series.iter().filter(stays).map(|(_, column)| *column).collect();
        let again = self.series.len() - gone.len();
        Moved { added: came.len().saturating_sub(again), gone }
    }

    /// Whether it had the series whose text hashes to `hash`.
    #[must_use]
    pub fn has(&self, hash: u128) -> bool {
        self.series.iter().any(|(series, _)| *series == hash)
    }

    /// Columns of all its series.
    #[must_use]
    pub fn all(&self) -> Vec<u32> {
        self.series.iter().map(|(_, column)| *column).collect()
    }
}

/// Whether a group of `columns` is too wide for a target that exposes `series`.
#[must_use]
pub fn is_outgrown(columns: usize, series: usize, spare: usize) -> bool {
    spare + COLUMNS_PER_SERIES * series < columns
}

/// Key of the group that the target `identity` uses after it left `epoch` groups.
#[must_use]
pub fn group_key(identity: GroupKey, epoch: u32) -> GroupKey {
    if epoch == 0 {
        return identity;
    }
    let mut bytes = identity.0.to_le_bytes().to_vec();
    bytes.extend_from_slice(&epoch.to_le_bytes());
    GroupKey(xxh3_128(&bytes))
}

/// Makes markers of `columns` in a row of `width` columns.
pub fn mark(cells: &mut Cells, width: usize, columns: &[u32]) {
    cells.reset(width);
    for column in columns {
        cells.set(*column as usize, Cell::Stale);
    }
}
