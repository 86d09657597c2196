//! Plan: which compaction is to be made next. Pure: the same blocks and files give the same plan.
//!
//! Path: `blocks` → **plan** → `compaction`.

use std::collections::BTreeMap;

use crate::compaction::{BlockSummary, Resolution};
use crate::manifest::LiveBlock;
use crate::options::Options;
use crate::tombstones::Tombstone;

/// The longest that a block is for, milliseconds: 31 days, as in Prometheus.
const RANGE_MS_MAX: i64 = 31 * 24 * 3_600_000;
/// How much longer each range is than the one before it.
const RANGE_FACTOR: i64 = 3;
/// Age at which raw samples are downsampled, and those of five minutes again: Thanos's.
const FIVE_MINUTES_AFTER_MS: i64 = 40 * 3_600_000;
const HOUR_AFTER_MS: i64 = 10 * 24 * 3_600_000;

/// A tile file that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClosedFile {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) max_time_ms: i64,
}

/// What is to be compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Tile files, to a block of level 1.
    Tiles(Vec<ClosedFile>),
    /// Blocks of one resolution, to one of the next level.
    Merge(Vec<BlockSummary>),
    /// A block is written anew, without what is deleted or no longer kept.
    Rewrite(BlockSummary),
    /// A block is downsampled, and stays.
    Downsample(BlockSummary, Resolution),
}

/// What the choice looks at.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) options: &'a Options,
    pub(crate) wall_ms: i64,
    /// By number.
    pub(crate) files: &'a [ClosedFile],
    pub(crate) blocks: Vec<LiveBlock>,
    pub(crate) tombstones: &'a [Tombstone],
    /// Tombstones up to this one are to be taken away for good.
    pub(crate) clean_up_to: u64,
}

impl Scene<'_> {
    /// What is to be done first, if anything is.
    pub(crate) fn choose(&self) -> Option<Choice> {
        self.tiles()
            .or_else(|| self.cleaning())
            .or_else(|| self.merge())
            .or_else(|| self.downsample())
            .or_else(|| self.ended())
    }

    /// The closed files of the oldest window.
    fn tiles(&self) -> Option<Choice> {
        let window_ms = i64::try_from(self.options.tile_file_ms).unwrap_or(i64::MAX);
        let window = |file: &ClosedFile| file.max_time_ms.div_euclid(window_ms);
        let oldest = self.files.iter().map(window).min()?;
        let files = self.files.iter().filter(|file| window(file) == oldest);
        Some(Choice::Tiles(files.copied().collect()))
    }

    fn healthy(&self) -> impl Iterator<Item = &LiveBlock> {
        self.blocks.iter().filter(|block| !block.quarantined)
    }

    /// The oldest block that a tombstone touches which is to be taken away.
    fn cleaning(&self) -> Option<Choice> {
        let touched = |block: &&LiveBlock| {
            let summary = &block.summary;
            self.tombstones.iter().any(|tombstone| {
                summary.tombstone < tombstone.id
                    && tombstone.id <= self.clean_up_to
                    && tombstone.overlaps(summary.min_time_ms, summary.max_time_ms)
            })
        };
        self.healthy().find(touched).map(|block| Choice::Rewrite(block.summary))
    }

    /// Blocks that lie in one aligned range which is over, the shortest range first.
    fn merge(&self) -> Option<Choice> {
        for range_ms in ranges_ms(self.options).skip(1) {
            let mut parts: BTreeMap<(i64, Resolution, (bool, bool)), Vec<BlockSummary>> =
                BTreeMap::new();
            for block in self.healthy() {
                let summary = block.summary;
                let range = summary.max_time_ms.div_euclid(range_ms);
                let over = range.saturating_add(1).saturating_mul(range_ms) <= self.wall_ms;
                if over && summary.max_time_ms - summary.min_time_ms <= range_ms * RANGE_FACTOR {
                    let key = (range, summary.resolution, block.downsampled);
                    parts.entry(key).or_default().push(summary);
                }
            }
            if let Some(mut part) = parts.into_values().find(|part| 1 < part.len()) {
                part.sort_by_key(|summary| (summary.min_time_ms, summary.number));
                return Some(Choice::Merge(part));
            }
        }
        None
    }

    /// The oldest block old enough whose samples are kept at a coarser resolution too.
    fn downsample(&self) -> Option<Choice> {
        let wants =
            |resolution| self.options.tiers.iter().any(|tier| tier.resolution == resolution);
        for block in self.healthy() {
            let summary = block.summary;
            let age_ms = self.wall_ms.saturating_sub(summary.max_time_ms);
            let is = |resolution, done: bool, after_ms| {
                summary.resolution == resolution && !done && after_ms <= age_ms
            };
            let five = wants(Resolution::FiveMinutes) || wants(Resolution::Hour);
            if five && is(Resolution::Raw, block.downsampled.0, FIVE_MINUTES_AFTER_MS) {
                return Some(Choice::Downsample(summary, Resolution::FiveMinutes));
            }
            let hour = wants(Resolution::Hour);
            if hour && is(Resolution::FiveMinutes, block.downsampled.1, HOUR_AFTER_MS) {
                return Some(Choice::Downsample(summary, Resolution::Hour));
            }
        }
        None
    }

    /// The oldest block that a tier has ended for since it was written.
    fn ended(&self) -> Option<Choice> {
        let wanted = |block: &&LiveBlock| {
            block.tiers_ended < tiers_ended(self.options, self.wall_ms, &block.summary)
        };
        self.healthy().find(wanted).map(|block| Choice::Rewrite(block.summary))
    }
}

/// Tiers that have ended for all samples of a block.
pub(crate) fn tiers_ended(options: &Options, wall_ms: i64, summary: &BlockSummary) -> u8 {
    let ended = options.tiers.iter().filter(|tier| {
        let keep_ms = i64::try_from(tier.keep_ms).unwrap_or(i64::MAX);
        tier.resolution == summary.resolution
            && summary.max_time_ms < wall_ms.saturating_sub(keep_ms)
    });
    u8::try_from(ended.count()).unwrap_or(u8::MAX)
}

/// Lengths of the aligned ranges that blocks are merged to: that of a tile file, then three times
/// as long each, up to a tenth of the retention and 31 days.
pub(crate) fn ranges_ms(options: &Options) -> impl Iterator<Item = i64> {
    let least = i64::try_from(options.tile_file_ms).unwrap_or(RANGE_MS_MAX);
    let tenth = i64::try_from(options.retention_ms / 10).unwrap_or(i64::MAX);
    let most = tenth.min(RANGE_MS_MAX).max(least);
    let next = |range: &i64| range.checked_mul(RANGE_FACTOR);
    std::iter::successors(Some(least), next).take_while(move |range| *range <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn block(number: u64, from_hour: i64, to_hour: i64) -> LiveBlock {
        LiveBlock::new(BlockSummary {
            number,
            level: 1,
            resolution: Resolution::Raw,
            min_time_ms: from_hour * HOUR_MS,
            max_time_ms: to_hour * HOUR_MS - 1,
            series: 1,
            samples: 1,
            bytes: 1,
            tombstone: 0,
        })
    }

    #[track_caller]
    fn check(now_hours: i64, blocks: &[LiveBlock], expected: &[u64]) {
        let scene = Scene {
            options: &Options::default(),
            wall_ms: now_hours * HOUR_MS,
            files: &[],
            blocks: blocks.to_vec(),
            tombstones: &[],
            clean_up_to: 0,
        };
        let found = match scene.choose() {
            Some(Choice::Merge(blocks)) => blocks.iter().map(|block| block.number).collect(),
            None => Vec::new(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn ranges_reach_a_tenth_of_the_retention() {
        let hours = |options: &Options| -> Vec<i64> {
            ranges_ms(options).map(|range| range / HOUR_MS).collect()
        };
        assert_eq!(hours(&Options::default()), [2, 6, 18]);
        let year = Options { retention_ms: 31_536_000_000, ..Options::default() };
        assert_eq!(hours(&year), [2, 6, 18, 54, 162, 486]);
    }

    #[test]
    fn blocks_of_a_range_that_is_over_are_merged() {
        let two = [block(1, 0, 2), block(2, 2, 4)];
        check(5, &two, &[]);
        check(6, &two, &[1, 2]);
        check(6, &[block(1, 4, 6), block(2, 6, 8)], &[]);
        let mixed = [block(1, 0, 6), block(2, 6, 12), block(3, 12, 14), block(4, 14, 16)];
        check(18, &mixed, &[3, 4]);
        check(18, &[block(1, 0, 6), block(2, 6, 12), block(3, 12, 18)], &[1, 2, 3]);
        let mut sick = two;
        sick[1].quarantined = true;
        check(6, &sick, &[]);
    }
}
