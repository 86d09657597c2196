//! Blocks out: where blocks of Prometheus are written to, their names and their ranges.
//!
//! Path: `backfill`, `export`, `snapshot` → **blocks_out** → `tsdb::write`.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use machine::clock;
use machine::offline::is_data_directory;
use model::time::TimestampMs;
use tsdb::directory::DiskFiles;
use tsdb::files::FileWrite;
use tsdb::ulid::Ulid;
use tsdb::write::block_write::BlockWriter;

/// The shortest block, as in Prometheus.
const BLOCK_MS_MIN: i64 = 7_200_000;
/// How much longer each range is than the one before, and how many there are.
const RANGE_FACTOR: i64 = 3;
const RANGES: usize = 10;

/// A directory that blocks are written to.
pub struct BlocksOut {
    files: Arc<dyn FileWrite>,
}

impl BlocksOut {
    /// Blocks go to `directory`, which is made.
    ///
    /// # Errors
    /// The file system refuses, or it is a data directory of ours.
    pub fn new(directory: &Path) -> Result<BlocksOut> {
        let shown = directory.display();
        if is_data_directory(directory) {
            bail!("{shown} is a data directory of Cresset: write blocks of Prometheus elsewhere");
        }
        std::fs::create_dir_all(directory).with_context(|| format!("make {shown}"))?;
        Ok(BlocksOut { files: Arc::new(DiskFiles::new(directory)) })
    }

    /// A block for samples from `min` up to, but without, `max`.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn block(&self, min: TimestampMs, max: TimestampMs) -> Result<BlockWriter> {
        Ok(BlockWriter::new(&self.files, new_name(), min, max)?)
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &Arc<dyn FileWrite> {
        &self.files
    }
}

/// A name that no block has: the time, and 80 bits of chance.
fn new_name() -> Ulid {
    let ms = u64::try_from(clock::now().wall.0).unwrap_or(0);
    // Each state is keyed by chance that the system gave.
    let chance = || u128::from(RandomState::new().hash_one(clock::tick().0));
    Ulid::new(ms, chance() << 64 | chance())
}

/// The longest of Prometheus's ranges (2 h, then three times as long each) that is no longer than
/// `ms`; the shortest where none is.
#[must_use]
pub fn block_range_ms(ms: i64) -> i64 {
    let ranges = std::iter::successors(Some(BLOCK_MS_MIN), |range| range.checked_mul(RANGE_FACTOR));
    ranges.take(RANGES).take_while(|range| *range <= ms).last().unwrap_or(BLOCK_MS_MIN)
}

/// Where the aligned range begins that `time` lies in.
#[must_use]
pub fn range_start(time: TimestampMs, range_ms: i64) -> TimestampMs {
    TimestampMs(time.0.div_euclid(range_ms).saturating_mul(range_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_prometheus_own() {
        let hour = 3_600_000;
        let found = [1, 2, 5, 6, 24, 31 * 24].map(|hours| block_range_ms(hours * hour) / hour);
        assert_eq!(found, [2, 2, 2, 6, 18, 486]);
        assert_eq!(range_start(TimestampMs(-1), 10), TimestampMs(-10));
        assert_ne!(new_name(), new_name());
    }
}
