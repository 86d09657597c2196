//! Options: every bound of one shard's store, with its range, default and reason.
//!
//! Path: `server` → `shard` → **options** → `store`, `recovery`.

use thiserror::Error;

use crate::compaction::Tier;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const HOUR_MS: u64 = 3_600_000;

/// Rows of a tile at most: presence and stale bits of a column fit one 128-bit word.
pub const TILE_ROWS_MAX: u32 = 128;

/// Range of [`Options::commit_bytes_max`].
pub(crate) const COMMIT_BYTES: (u64, u64) = (4 * KIB, 8 * MIB);
/// Most of [`Options::commit_age_ms_max`].
pub(crate) const COMMIT_AGE_MS_MAX: u64 = 1000;

/// Simulations fill segments of a few blocks, so that many come and go in a short history.
const SEGMENT_BYTES_MIN: u64 = 32 * KIB;

/// What one owner may have; 0 is no limit. Over it further series are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerLimit {
    /// Series.
    pub series_max: u32,
    /// Bytes of memory, measured once a minute and estimated between.
    pub bytes_max: u64,
}

/// Bounds of one shard's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of the shard, for texts.
    pub shard: u32,
    /// Bytes of a log segment. Range 32 KiB..=1 GiB, a multiple of the block. Default 32 MiB: a
    /// segment holds minutes of rows, so that the full row which opens each group in it costs
    /// little, and zero-filling one ahead takes well under a second.
    pub segment_bytes: u64,
    /// Bytes after which a commit closes without waiting for its age. Range 4 KiB..=8 MiB.
    /// Default 256 KiB: on the prototype's disk larger ones were no faster.
    pub commit_bytes_max: u64,
    /// Age of its first record at which a commit closes. Range 0..=1000. Default 10: what is lost
    /// with the power, at most, of rows that nobody waits for.
    pub commit_age_ms_max: u64,
    /// Alignment of commits, the disk's block. 512 or 4096. Default 4096.
    pub block_bytes: u64,
    /// Records waiting for the disk before the source is slowed. Range 64 KiB..=1 GiB. Default
    /// 8 MiB: about a second of rows of a busy shard.
    pub log_backlog_bytes_max: u64,
    /// Segments that may live before the groups that pin the oldest are sealed early. Range
    /// 2..=1024. Default 8: bounds both the disk space of the log and what a restart replays.
    pub wal_segments_max: u32,
    /// Rows at which a tile is sealed. Range 2..=128. Default 128.
    pub tile_rows: u32,
    /// Age at which a tile is sealed though it is not full. Range 1 s..=24 h. Default 2 h.
    pub tile_age_ms_max: u64,
    /// Wall time that one tile file covers; retention deletes whole files. Range 1 s..=7 d.
    /// Default 2 h.
    pub tile_file_ms: u64,
    /// Bytes of sealed tiles in memory that wait for the disk before the source is slowed. Range
    /// 1 MiB..=4 GiB. Default 64 MiB.
    pub sealed_bytes_max: u64,
    /// Bytes of one append to a tile file or the catalog. Range 64 KiB..=64 MiB. Default 4 MiB.
    pub append_bytes_max: u64,
    /// Age of samples at which they may go. Range 1 h..=100 y. Default 15 d, as Prometheus.
    pub retention_ms: u64,
    /// How far behind its group's newest row a row may come though its time is sealed. Range 0..=
    /// 365 d. Default 0, as Prometheus: it is refused.
    pub out_of_order_time_window_ms: u64,
    /// Bytes of blocks and tile files of all shards at which the oldest go; 0 for no bound. Range
    /// 0..=2^60. Default 0.
    pub retention_bytes: u64,
    /// Whether tile files become blocks. Default true.
    pub compaction: bool,
    /// Bytes of memory that a compaction takes for what it reads. Range 1 MiB..=16 GiB. Default
    /// 64 MiB: a window of 200,000 series in one pass.
    pub compaction_bytes_max: u64,
    /// How long the files that a block replaces stay: queries that began before may still read
    /// them. Range 0..=24 h. Default 10 minutes, five times as long as a query may take.
    pub replaced_keep_ms: u64,
    /// Tombstones that may be there at once. Range 1..=100000. Default 1000: every selection looks
    /// at all of them.
    pub tombstones_max: u32,
    /// How long which series are kept at which resolution; none: raw, for the retention.
    pub tiers: Vec<Tier>,
    /// Series of this shard. Range 1..=2^31. Default 20 million.
    pub series_max: u32,
    /// Shards that what is given for all together is dealt to: retention by bytes, the head, jobs
    /// and tenants. Range 1..=65536. Default 1.
    pub shards: u32,
    /// Bytes of memory of all heads, measured once a minute and estimated between; over it no
    /// further series is made. Range 0..=2^50, default 0: no limit.
    pub head_bytes_max: u64,
    /// What one target may have. Default none.
    pub target_limit: OwnerLimit,
    /// What all targets of a job may have together. Default none.
    pub job_limit: OwnerLimit,
    /// What all groups of a tenant may have together. Default none.
    pub tenant_limit: OwnerLimit,
    /// Groups of this shard. Range 1..=2^24. Default 1 million.
    pub groups_max: u32,
    /// Exemplars of this shard; the oldest makes way for the next. Range 0..=100 million, 0 keeps
    /// none. Default 100,000, as Prometheus.
    pub exemplars_max: u32,
    /// Bytes of the metadata of families. Range 0..=1 GiB. Default 32 MiB: a hundred thousand
    /// families with a line of help each; targets that say the same share it.
    pub metadata_bytes_max: u64,
    /// Wait after the first failed write; doubles up to [`Options::retry_ms_max`]. Range
    /// 1..=60000. Default 100.
    pub retry_ms_min: u64,
    /// Longest wait between two tries of a failed write. Range `retry_ms_min`..=600000. Default
    /// 5000: a freed disk is noticed soon, a full one is not hammered.
    pub retry_ms_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            shard: 0,
            segment_bytes: 32 * MIB,
            commit_bytes_max: 256 * KIB,
            commit_age_ms_max: 10,
            block_bytes: 4096,
            log_backlog_bytes_max: 8 * MIB,
            wal_segments_max: 8,
            tile_rows: TILE_ROWS_MAX,
            tile_age_ms_max: 2 * HOUR_MS,
            tile_file_ms: 2 * HOUR_MS,
            sealed_bytes_max: 64 * MIB,
            append_bytes_max: 4 * MIB,
            retention_ms: 15 * 24 * HOUR_MS,
            out_of_order_time_window_ms: 0,
            retention_bytes: 0,
            compaction: true,
            compaction_bytes_max: 64 * MIB,
            replaced_keep_ms: 600_000,
            tombstones_max: 1000,
            tiers: Vec::new(),
            series_max: 20_000_000,
            shards: 1,
            head_bytes_max: 0,
            target_limit: OwnerLimit::default(),
            job_limit: OwnerLimit::default(),
            tenant_limit: OwnerLimit::default(),
            groups_max: 1_000_000,
            exemplars_max: 100_000,
            metadata_bytes_max: 32 * MIB,
            retry_ms_min: 100,
            retry_ms_max: 5000,
        }
    }
}

/// An option outside its range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("storage option {name} is {value}, outside {min}..={max}")]
pub struct OptionsError {
    /// Name of the option.
    pub name: &'static str,
    /// What was given.
    pub value: u64,
    /// Least value allowed.
    pub min: u64,
    /// Largest value allowed.
    pub max: u64,
}

impl Options {
    /// Takes over what may change while a store runs: retention, tiers, the out of order window
    /// and limits.
    pub(crate) fn adopt(&mut self, other: &Options) {
        self.retention_ms = other.retention_ms;
        self.retention_bytes = other.retention_bytes;
        self.tiers.clone_from(&other.tiers);
        self.out_of_order_time_window_ms = other.out_of_order_time_window_ms;
        self.head_bytes_max = other.head_bytes_max;
        self.target_limit = other.target_limit;
        self.job_limit = other.job_limit;
        self.tenant_limit = other.tenant_limit;
    }

    /// Whether anything is limited that shards are to be dealt.
    #[must_use]
    pub fn deals(&self) -> bool {
        let none = OwnerLimit::default();
        0 < self.head_bytes_max
            || 0 < self.retention_bytes
            || self.job_limit != none
            || self.tenant_limit != none
    }

    /// Whether the bytes of anybody are limited.
    pub(crate) fn limits_bytes(&self) -> bool {
        let owners = [self.target_limit, self.job_limit, self.tenant_limit];
        0 < self.head_bytes_max || owners.iter().any(|limit| 0 < limit.bytes_max)
    }

    /// Whether every option is within its range.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<(), OptionsError> {
        let block_max = if self.block_bytes == 512 { 512 } else { 4096 };
        let year_ms = 365 * 24 * HOUR_MS;
        let ranges = [
            ("block_bytes", self.block_bytes, block_max, block_max),
            ("segment_bytes", self.segment_bytes, SEGMENT_BYTES_MIN, 1024 * MIB),
            ("segment_bytes % block_bytes", self.segment_bytes % self.block_bytes.max(1), 0, 0),
            ("commit_bytes_max", self.commit_bytes_max, COMMIT_BYTES.0, COMMIT_BYTES.1),
            ("commit_age_ms_max", self.commit_age_ms_max, 0, COMMIT_AGE_MS_MAX),
            ("log_backlog_bytes_max", self.log_backlog_bytes_max, 64 * KIB, 1024 * MIB),
            ("wal_segments_max", self.wal_segments_max.into(), 2, 1024),
            ("tile_rows", self.tile_rows.into(), 2, TILE_ROWS_MAX.into()),
            ("tile_age_ms_max", self.tile_age_ms_max, 1000, 24 * HOUR_MS),
            ("tile_file_ms", self.tile_file_ms, 1000, 7 * 24 * HOUR_MS),
            ("sealed_bytes_max", self.sealed_bytes_max, MIB, 4096 * MIB),
            ("append_bytes_max", self.append_bytes_max, 64 * KIB, 64 * MIB),
            ("retention_ms", self.retention_ms, HOUR_MS, 100 * year_ms),
            ("out_of_order_time_window_ms", self.out_of_order_time_window_ms, 0, year_ms),
            ("retention_bytes", self.retention_bytes, 0, 1 << 60),
            ("compaction_bytes_max", self.compaction_bytes_max, MIB, 16 * 1024 * MIB),
            ("replaced_keep_ms", self.replaced_keep_ms, 0, 24 * HOUR_MS),
            ("tombstones_max", self.tombstones_max.into(), 1, 100_000),
            ("series_max", self.series_max.into(), 1, 1 << 31),
            ("shards", self.shards.into(), 1, 1 << 16),
            ("head_bytes_max", self.head_bytes_max, 0, 1 << 50),
            ("groups_max", self.groups_max.into(), 1, 1 << 24),
            ("exemplars_max", self.exemplars_max.into(), 0, 100_000_000),
            ("metadata_bytes_max", self.metadata_bytes_max, 0, 1024 * MIB),
            ("retry_ms_min", self.retry_ms_min, 1, 60_000),
            ("retry_ms_max", self.retry_ms_max, self.retry_ms_min, 600_000),
        ];
        for (name, value, min, max) in ranges {
            if value < min || max < value {
                return Err(OptionsError { name, value, min, max });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_their_ranges() {
        assert_eq!(Options::default().check(), Ok(()));
    }

    #[test]
    fn an_option_out_of_range_is_named() {
        let options = Options { tile_rows: 129, ..Options::default() };
        let text = options.check().unwrap_err().to_string();
        assert_eq!(text, "storage option tile_rows is 129, outside 2..=128");
        let odd = Options { segment_bytes: (1 << 20) + 512, ..Options::default() };
        assert!(odd.check().is_err());
    }
}
