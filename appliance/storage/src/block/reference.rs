//! Reference: what a shard keeps of a block in memory, and hands to query threads.
//!
//! Path: `blocks` → **reference** → `block_query` on a query thread.
//! Owns: the block's outline, read by whoever asks first, then shared by all.

use std::sync::{Arc, OnceLock};

use crate::block::layout::{PageKind, TRAILER_BYTES};
use crate::block::outline::{Outline, PagePlace, read_trailer};
use crate::block::page;
use crate::compaction::BlockSummary;
use crate::names::FileName;
use crate::tile_read::{DecodeError, TileRead};
use crate::tombstones::Tombstones;

/// A live block; lives on when the store moves on.
#[derive(Clone, Debug)]
pub struct BlockRef {
    /// Shard that it is of: shards number their files alike.
    pub(crate) shard: u32,
    pub(crate) summary: BlockSummary,
    /// What is deleted, as it stood when this was handed out.
    pub(crate) tombstones: Tombstones,
    outline: Arc<OnceLock<Arc<Outline>>>,
}

impl BlockRef {
    /// A block of `shard`.
    #[must_use]
    pub fn new(shard: u32, summary: BlockSummary, tombstones: Tombstones) -> BlockRef {
        BlockRef { shard, summary, tombstones, outline: Arc::default() }
    }

    /// The same block with other tombstones.
    #[must_use]
    pub(crate) fn with_tombstones(&self, tombstones: Tombstones) -> BlockRef {
        BlockRef { tombstones, ..self.clone() }
    }

    /// What is known of it without reading it.
    #[must_use]
    pub fn summary(&self) -> &BlockSummary {
        &self.summary
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> FileName {
        FileName::Block(self.summary.number)
    }

    /// Bytes of memory of its outline; 0 while nobody has read it.
    #[must_use]
    pub fn outline_bytes(&self) -> usize {
        self.outline.get().map_or(0, |outline| outline.heap_bytes())
    }

    /// Its outline.
    pub(crate) fn outline(&self, files: &dyn TileRead) -> Result<Arc<Outline>, DecodeError> {
        if let Some(outline) = self.outline.get() {
            return Ok(Arc::clone(outline));
        }
        let read = Arc::new(read_outline(files, &self.summary)?.1);
        Ok(Arc::clone(self.outline.get_or_init(|| read)))
    }
}

/// What the end of a block's file says: its summary and its outline. Of `known` only number and
/// bytes are asked.
pub(crate) fn read_outline(
    files: &dyn TileRead,
    known: &BlockSummary,
) -> Result<(BlockSummary, Outline), DecodeError> {
    let file = FileName::Block(known.number);
    let read = |offset: u64, bytes: usize| {
        let mut stored = vec![0; bytes];
        let done = files.read(&file, offset, &mut stored);
        done.map(|()| stored).map_err(|cause| DecodeError::Read { file, offset, bytes, cause })
    };
    let offset = known.bytes.saturating_sub(TRAILER_BYTES as u64);
    let trailer = read(offset, TRAILER_BYTES)?;
    let (summary, place) = read_trailer(known.number, known.bytes, &trailer)
        .map_err(|reason| DecodeError::Damaged { file, offset, reason })?;
    let PagePlace { offset, bytes } = place;
    let damaged = |reason| DecodeError::Damaged { file, offset, reason };
    let stored = read(offset, bytes as usize)?;
    let raw = page::read(known.number, PageKind::Outline, &stored).map_err(damaged)?;
    let outline = Outline::read(&raw, known.bytes);
    Ok((summary, outline.ok_or_else(|| damaged("outline makes no sense"))?))
}
