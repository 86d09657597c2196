//! Our own files: what lies on a disk opens or is refused, and what is read from it is in order.

use std::sync::Arc;

use storage::block::reference::BlockRef;
use storage::compaction::{BlockSummary, Resolution};
use storage::names::FileName;
use storage::tombstones::Tombstones;

use crate::files::{BLOCK, CATALOG, Files, SEGMENT, TILE, WAL, sealed_frames, sealed_tiles};

/// The catalog beside a tile file and a log.
pub fn storage_catalog(data: &[u8]) {
    let data = &sealed_frames(data, 1);
    Files::of(&[(FileName::Catalog(1), data), (FileName::Tile(1), TILE), (SEGMENT, WAL)]).open();
}

/// The log, behind a catalog and alone.
pub fn storage_wal(data: &[u8]) {
    let data = &sealed_frames(data, 512);
    Files::of(&[(FileName::Catalog(1), CATALOG), (SEGMENT, data)]).open();
    Files::of(&[(SEGMENT, data)]).open();
}

/// A tile file whose catalog is whole.
pub fn storage_tile(data: &[u8]) {
    let data = &sealed_tiles(data);
    Files::of(&[(FileName::Catalog(1), CATALOG), (FileName::Tile(1), data)]).open();
}

/// The manifest beside a block, a catalog and a log.
pub fn storage_manifest(data: &[u8]) {
    let data = &sealed_frames(data, 1);
    Files::of(&[
        (FileName::Manifest(3), data),
        (FileName::Block(1), BLOCK),
        (FileName::Catalog(1), CATALOG),
        (SEGMENT, WAL),
    ])
    .open();
}

/// A block, as queries read it.
pub fn storage_block(data: &[u8]) {
    let summary = BlockSummary {
        number: 1,
        level: 1,
        resolution: Resolution::Raw,
        min_time_ms: i64::MIN,
        max_time_ms: i64::MAX,
        series: 3,
        samples: 30,
        bytes: data.len() as u64,
        tombstone: 0,
    };
    let block = Arc::new(BlockRef::new(0, summary, Tombstones::default()));
    Files::of(&[(FileName::Block(1), data)]).read_block(&block);
}
