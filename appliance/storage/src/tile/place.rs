//! Place of a sealed tile: what memory keeps of it.
//!
//! Path: `store` keeps them by group → **place** → `selection` takes clones.

use std::sync::Arc;

use crate::names::FileName;
use crate::tile::read::Summary;

/// Where the bytes of a tile are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In memory, on the way to the disk.
    Memory(Arc<[u8]>),
    /// In a file.
    File {
        /// Number of the tile file.
        number: u64,
        /// Where the tile begins.
        offset: u64,
    },
}

/// A sealed tile.
#[derive(Clone, Debug)]
pub(crate) struct TileRef {
    /// Number within its group.
    pub(crate) number: u32,
    /// Bytes of header and directory.
    pub(crate) head_bytes: u32,
    pub(crate) min_time_ms: i64,
    pub(crate) max_time_ms: i64,
    /// Largest slot of its rows.
    pub(crate) slot_max: i64,
    pub(crate) place: Place,
}

impl TileRef {
    /// The tile that `summary` describes, at `place`.
    pub(crate) fn new(summary: &Summary, place: Place) -> TileRef {
        TileRef {
            number: summary.number,
            head_bytes: u32::try_from(summary.head_bytes).expect("a tile is below 2^30 bytes"),
            min_time_ms: summary.min_time_ms,
            max_time_ms: summary.max_time_ms,
            slot_max: summary.slot_max,
            place,
        }
    }

    /// Whether it may have samples with `after < timestamp <= until`.
    pub(crate) fn overlaps(&self, after_ms: i64, until_ms: i64) -> bool {
        after_ms < self.max_time_ms && self.min_time_ms <= until_ms
    }

    /// File and offset, for texts; file 0 while in memory.
    pub(crate) fn file(&self) -> (FileName, u64) {
        match self.place {
            Place::Memory(_) => (FileName::Tile(0), 0),
            Place::File { number, offset } => (FileName::Tile(number), offset),
        }
    }
}
