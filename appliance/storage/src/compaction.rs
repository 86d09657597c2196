//! Compaction: what a job is asked to do, and what comes of it.
//!
//! Path: `blocks` → **compaction** → effect `Compact` → machine (or sim) turns a
//! `compact::job::Job` → event `Compacted` → `blocks`.

use std::sync::Arc;

use model::matcher::Matcher;

use crate::tombstones::{Tombstones, same_matcher};

/// Names one job until its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// How far apart the samples of a block are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// As they came.
    #[default]
    Raw,
    /// Five aggregates every five minutes.
    FiveMinutes,
    /// Five aggregates every hour.
    Hour,
}

impl Resolution {
    /// Milliseconds of one window; 0 for raw samples.
    #[must_use]
    pub fn ms(self) -> i64 {
        match self {
            Resolution::Raw => 0,
            Resolution::FiveMinutes => 300_000,
            Resolution::Hour => 3_600_000,
        }
    }

    /// The resolution of that many milliseconds, if there is one.
    #[must_use]
    pub fn of_ms(ms: i64) -> Option<Resolution> {
        let all = [Resolution::Raw, Resolution::FiveMinutes, Resolution::Hour];
        all.into_iter().find(|resolution| resolution.ms() == ms)
    }
}

/// What a query wants of samples that were downsampled; raw samples are given as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Sum by count: what stands nearest to the raw samples.
    #[default]
    Average,
    /// Number of raw samples.
    Count,
    /// Sum of the raw samples, and how many there were.
    Sum,
    /// Least raw sample.
    Min,
    /// Largest raw sample.
    Max,
    /// A counter whose increases are the raw one's.
    Counter,
}

/// How long series are kept at one resolution. The first tier of a resolution whose matchers all
/// match a series decides; a series that none matches is not kept at that resolution, but raw for
/// as long as the store's retention where no tier of `Raw` matches.
#[derive(Clone, Debug)]
pub struct Tier {
    /// All must match; none means every series.
    pub matchers: Vec<Matcher>,
    /// What is kept.
    pub resolution: Resolution,
    /// For how long, milliseconds.
    pub keep_ms: u64,
}

impl PartialEq for Tier {
    fn eq(&self, other: &Tier) -> bool {
        (self.resolution, self.keep_ms) == (other.resolution, other.keep_ms)
            && self.matchers.len() == other.matchers.len()
            && self.matchers.iter().zip(&other.matchers).all(|(a, b)| same_matcher(a, b))
    }
}

impl Eq for Tier {}

/// What is known of a block without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Number of its file.
    pub number: u64,
    /// How often its samples were merged; 1 for a block made of tiles.
    pub level: u8,
    /// How far apart its samples are.
    pub resolution: Resolution,
    /// Oldest sample, milliseconds.
    pub min_time_ms: i64,
    /// Newest sample, milliseconds.
    pub max_time_ms: i64,
    /// Series in it.
    pub series: u64,
    /// Samples in it.
    pub samples: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Newest tombstone that was applied to it.
    pub tombstone: u64,
}

/// What a job reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// Whole tile files, by number, with their bytes.
    Tiles {
        /// The catalog that defines what is in them, and how many of its bytes are durable.
        catalog: (u64, u64),
        /// Number and bytes of each file.
        files: Vec<(u64, u64)>,
    },
    /// Blocks, oldest first.
    Blocks(Vec<BlockSummary>),
}

/// A compaction to make. The files of its inputs stay until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionPlan {
    /// Names it in the answer.
    pub id: JobId,
    /// What is read.
    pub inputs: Inputs,
    /// Number of the block file to write. A file of that name that is there is of no use.
    pub output: u64,
    /// Level of the block.
    pub level: u8,
    /// Resolution of the block; if it is not the inputs' own, samples are downsampled.
    pub resolution: Resolution,
    /// What is left out.
    pub tombstones: Tombstones,
    /// Which series are kept, and from which time on.
    pub keep: Keep,
    /// Bytes of memory that the job may take for what it reads.
    pub memory_bytes_max: u64,
    /// Bytes of disk that it will take at most, about: refuse it while they are not free.
    pub disk_bytes: u64,
}

/// Which samples are kept, by tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The first that matches decides: matchers, and the oldest time that is kept.
    pub tiers: Arc<[(Tier, i64)]>,
    /// Oldest time that is kept where no tier matches; `None` keeps nothing of such a series.
    pub otherwise_ms: Option<i64>,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The block, its file durable under its name; `None` when no sample was left.
    pub block: Option<BlockSummary>,
    /// Parts of the inputs that did not check and were left out, a text each; the first 100.
    pub damages: Vec<String>,
    /// Bytes read.
    pub read_bytes: u64,
    /// Samples read.
    pub read_samples: u64,
}
