//! Options: what the server decides for the machine.

use std::path::PathBuf;

use shard::options::Options as ShardOptions;
use shard::pace::Bounds;
use storage::options::Options as StorageOptions;

use crate::plan::Wanted;
use crate::pressure::Source;
use crate::reactor::IoChoice;

/// Settings of the machine and of the shards it runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which way to do I/O. Default `Auto`: io_uring where the kernel lets us.
    pub io: IoChoice,
    /// The data directory; made when it is not there.
    pub directory: PathBuf,
    /// Number of shards of a new data directory; `None` lets the plan of cores decide. A directory
    /// that has its number keeps it. Range 1..=1024.
    pub shards: Option<u32>,
    /// Settings of all stores; of what is for all together each gets its share, and the number of
    /// the shard and the block size are filled in here.
    pub storage: StorageOptions,
    /// Settings of each shard; its share of the exemplars is filled in here.
    pub shard: ShardOptions,
    /// Exemplars of all shards together. Default 100 000, as upstream's.
    pub exemplars_max: usize,
    /// Connections of one shard at once, kept alive ones included. Range 1..=65 536. Default
    /// 4 096: a socket of an idle connection costs some 2 KiB of kernel memory.
    pub connections_max: usize,
    /// Bytes of body buffers that one shard keeps for reuse. Range 0..=16 GiB. Default 32 MiB:
    /// about as many bodies of 100 KB as are in flight at once.
    pub buffers_bytes_max: usize,
    /// Questions that may wait for one shard. Range 1..=65 536. Default 1 024.
    pub questions_max: usize,
    /// Milliseconds after which a commit that has not ended is reported as stalled. Range
    /// 1..=600 000. Default 5 000.
    pub commit_deadline_ms: u64,
    /// Retired log segments of one shard that are kept to be overwritten. Range 0..=64. Default 2:
    /// one is in use while the next is asked for.
    pub spare_segments_max: usize,
    /// Whether threads are bound to cores. Default true; tests run unbound.
    pub pin: bool,
    /// Which cores; none lets the plan decide.
    pub cores: Wanted,
    /// Bounds of what compaction and commits are let do; the least of commits is filled in here.
    pub pace: Bounds,
    /// Who counts better than `/proc` what this machine feels.
    pub pressure: Option<Source>,
}

impl Options {
    /// The defaults, in `directory`.
    #[must_use]
    pub fn new(directory: PathBuf) -> Options {
        Options {
            io: IoChoice::default(),
            directory,
            shards: None,
            storage: StorageOptions::default(),
            shard: ShardOptions::default(),
            exemplars_max: 100_000,
            connections_max: 4_096,
            buffers_bytes_max: 32 << 20,
            questions_max: 1_024,
            commit_deadline_ms: 5_000,
            spare_segments_max: 2,
            pin: true,
            cores: Wanted::default(),
            pace: Bounds::default(),
            pressure: None,
        }
    }
}
