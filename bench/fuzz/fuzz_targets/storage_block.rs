//! A block, as queries read it.
#![no_main]

use std::sync::Arc;

use fuzz::Files;
use storage::block::reference::BlockRef;
use storage::compaction::{BlockSummary, Resolution};
use storage::names::FileName;
use storage::tombstones::Tombstones;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
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
});
