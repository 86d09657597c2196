//! Sink: the block that a job writes, and what is left out of it.
//!
//! Path: `tiles`, `merge` → **sink** → `block::writer`.

use crate::block::gather::Gathered;
use crate::block::writer::{Header, Writer};
use crate::compact::symbol_table::SymbolTable;
use crate::compaction::{BlockSummary, CompactionPlan, Keep};
use crate::tombstones::{Intervals, Tombstones, intervals};

/// A block under way.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) writer: Writer,
    symbols: SymbolTable,
    tombstones: Tombstones,
    keep: Keep,
}

/// What of a series is left out.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    deleted: Intervals,
    /// Samples before this time.
    oldest_ms: i64,
}

impl Left {
    pub(crate) fn has(&self, time_ms: i64) -> bool {
        time_ms < self.oldest_ms || crate::tombstones::is_deleted(&self.deleted, time_ms)
    }
}

impl Sink {
    /// The block of `plan`, whose label names and values are `symbols`, sorted.
    pub(crate) fn new(plan: &CompactionPlan, symbols: SymbolTable) -> Sink {
        let header = Header {
            number: plan.output,
            level: plan.level,
            resolution: plan.resolution,
            tombstone: plan.tombstones.iter().map(|tombstone| tombstone.id).max().unwrap_or(0),
        };
        Sink {
            writer: Writer::new(header, symbols.texts().to_vec()),
            symbols,
            tombstones: plan.tombstones.clone(),
            keep: plan.keep.clone(),
        }
    }

    /// What is left out of the series of these symbols; `None` when nothing of it is kept.
    pub(crate) fn left(&self, labels: &[(u32, u32)]) -> Option<Left> {
        if self.tombstones.is_empty() && self.keep.tiers.is_empty() {
            let oldest_ms = self.keep.otherwise_ms?;
            return Some(Left { deleted: Intervals::new(), oldest_ms });
        }
        let labels = self.symbols.label_set(labels);
        let matches = |(tier, _): &&(crate::compaction::Tier, i64)| {
            tier.matchers.iter().all(|matcher| matcher.matches_labels(&labels))
        };
        let tier = self.keep.tiers.iter().find(matches).map(|(_, oldest_ms)| *oldest_ms);
        let oldest_ms = tier.or(self.keep.otherwise_ms)?;
        let deleted = intervals(&self.tombstones, 0, &labels, (i64::MIN, i64::MAX));
        Some(Left { deleted, oldest_ms })
    }

    /// Settles what was gathered of a series and writes it.
    pub(crate) fn raw(&mut self, labels: &[(u32, u32)], left: &Left, gathered: &mut Gathered) {
        gathered.settle(|time_ms| left.has(time_ms));
        self.writer.raw(labels, gathered);
    }

    /// Ends the block.
    pub(crate) fn finish(&mut self) -> Option<BlockSummary> {
        self.writer.finish()
    }
}
