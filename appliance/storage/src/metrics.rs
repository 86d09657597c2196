//! Metrics: what one shard's store counts, and how it is reported.
//!
//! Path: `store` counts → **metrics** → `/metrics`.

/// File operations that failed, by what they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileFailures {
    pub(crate) catalog: u64,
    pub(crate) manifest: u64,
    pub(crate) tiles: u64,
    pub(crate) deletions: u64,
}

/// Counters of a store beside those of its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: u64,
    pub(crate) rows_duplicate: u64,
    pub(crate) rows_overloaded: u64,
    pub(crate) rows_too_old: u64,
    /// Rows taken into side groups.
    pub(crate) rows_late: u64,
    pub(crate) samples_out_of_order: u64,
    pub(crate) samples_too_old: u64,
    pub(crate) rows_unknown: u64,
    pub(crate) rows_unfit: u64,
    pub(crate) samples: u64,
    pub(crate) series_created: u64,
    pub(crate) series_removed: u64,
    pub(crate) limited_series: u64,
    pub(crate) limited_bytes: u64,
    pub(crate) limited_groups: u64,
    pub(crate) limited_columns: u64,
    pub(crate) metadata_refused: u64,
    pub(crate) tiles_sealed: u64,
    pub(crate) tile_bytes: u64,
    pub(crate) files_expired: u64,
    pub(crate) file_failures: FileFailures,
    /// Parts of the disk that did not check at start.
    pub(crate) damages: u64,
    /// Epoch up to which groups were sealed because they pinned the log.
    pub(crate) epoch_sealed: u64,
    /// Newest sample.
    pub(crate) max_time_ms: Option<i64>,
}

impl Counts {
    /// A sample of this time was appended.
    pub(crate) fn see(&mut self, time_ms: i64) {
        self.max_time_ms = self.max_time_ms.max(Some(time_ms));
    }
}
