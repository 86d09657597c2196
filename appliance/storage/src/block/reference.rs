//! Reference: what a shard keeps of a block in memory, and hands to query threads.
//!
//! Path: `blocks` → **reference** → `block_query` on a query thread.

use crate::compaction::BlockSummary;
use crate::tombstones::Tombstones;

/// A live block; lives on when the store moves on.
#[derive(Clone, Debug)]
pub struct BlockRef {
    /// Shard that it is of: shards number their files alike.
    pub shard: u32,
    pub(crate) summary: BlockSummary,
    /// What is deleted, as it stood when this was handed out.
    pub tombstones: Tombstones,
}

impl BlockRef {
    /// A block of `shard`.
    #[must_use]
    pub fn new(shard: u32, summary: BlockSummary, tombstones: Tombstones) -> BlockRef {
        BlockRef { shard, summary, tombstones }
    }

    /// What is known of it without reading it.
    #[must_use]
    pub fn summary(&self) -> &BlockSummary {
        &self.summary
    }
}
