//! Cache: pages of blocks that one batch of reading has read, bounded in bytes.
//!
//! Path: query thread → **cache** → `tile_read`.

/// Pages that one batch of reading has read; a query thread keeps one.
#[derive(Debug, Default)]
pub struct BlockCache {}
