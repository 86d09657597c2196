//! Plan: everything about a run that its seed decides before it begins.

use model::time::{NANOS_PER_MS, Tick};
use shard::options::Options as ShardOptions;
use storage::options::Options as StoreOptions;

use crate::prng::Prng;

/// First tick of a run.
pub const START: Tick = Tick(1_000_000_000);
const SECOND_NANOS: u64 = 1_000 * NANOS_PER_MS;

/// How a process ends against its will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// `kill -9`: what was written stays, also what was not synced.
    Kill,
    /// The power goes.
    PowerCut,
}

/// What is wrong with a disk for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No space left.
    Full,
    /// Writes fail, having written some sectors.
    Broken,
    /// Writes take seconds.
    Slow,
}

/// A time during which a disk is in trouble.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Whose disk.
    pub shard: usize,
    /// From here on.
    pub from: Tick,
    /// Up to here, exclusive.
    pub until: Tick,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Settings of the stores, one a shard.
    pub stores: Vec<StoreOptions>,
    /// Settings of the shards.
    pub shard: ShardOptions,
    /// Targets of each shard at the beginning.
    pub targets: u64,
    /// Whether the run is long enough for retention, and its targets are scraped seldom.
    pub long: bool,
    /// Whether targets have spells.
    pub troubled: bool,
    /// When the faults end and quiet begins.
    pub quiet_from: Tick,
    /// Crashes in order.
    pub crashes: Vec<(Tick, Crash)>,
    /// Disk trouble.
    pub windows: Vec<Window>,
    /// When a shard's targets change.
    pub changes: Vec<(Tick, usize)>,
    /// When somebody asks a shard.
    pub questions: Vec<(Tick, usize)>,
    /// When the wall clock is set, and by how many milliseconds.
    pub clock_jumps: Vec<(Tick, i64)>,
    /// Whether retired segments are recycled, or deleted.
    pub recycles: bool,
    /// Bits that flip in tile files at the end.
    pub rotten_bits: u64,
    /// Chance in a million that a deadline is served seconds late.
    pub stalls: u64,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Plan {
        let mut chance = Prng::new(seed, "workload");
        let mut disk = Prng::new(seed, "disk windows");
        let mut schedule = Prng::new(seed, "schedule plan");
        let shards = chance.between(1, 3);
        // One run in ten is long and slow, so that tiles age and retention deletes.
        let long = chance.happens(100_000);
        let seconds = if long { 2 * 3_600 } else { chance.between(20, 240) };
        let end = Tick(START.0 + seconds * SECOND_NANOS);
        let when = |prng: &mut Prng| Tick(prng.between(START.0, end.0));
        let stores = (0..shards).map(|shard| store_options(shard, long, &mut chance)).collect();
        let shard_of = |prng: &mut Prng| usize::try_from(prng.below(shards)).unwrap_or(0);
        let crash_count = schedule.one_of(&[0, 1, 2, 4, 8]);
        let mut crashes: Vec<(Tick, Crash)> = (0..crash_count)
            .map(|_| (when(&mut schedule), schedule.one_of(&[Crash::Kill, Crash::PowerCut])))
            .collect();
        crashes.sort_by_key(|(at, _)| *at);
        let windows = (0..disk.one_of(&[0, 0, 1, 3]))
            .map(|_| {
                let from = when(&mut disk);
                let until = Tick(from.0 + disk.between(1, 20) * SECOND_NANOS);
                let trouble = disk.one_of(&[Trouble::Full, Trouble::Broken, Trouble::Slow]);
                Window { shard: shard_of(&mut disk), from, until, trouble }
            })
            .collect();
        let changes = (0..chance.below(5)).map(|_| (when(&mut chance), shard_of(&mut chance)));
        let changes = changes.collect();
        let asks = 4 + chance.below(16);
        let questions = (0..asks).map(|_| (when(&mut chance), shard_of(&mut chance))).collect();
        let jumps = if schedule.happens(100_000) { 1 } else { 0 };
        let clock_jumps = (0..jumps)
            .map(|_| (when(&mut schedule), schedule.one_of(&[-5_000, -1_500, 2_000, 60_000])))
            .collect();
        // An answer is compared with one moment of the oracle, so it comes in one page.
        let mut shard = ShardOptions { select_page_series: usize::MAX, ..ShardOptions::default() };
        shard.scrape.columns_spare = schedule.one_of(&[16, 4_096]);
        shard.scrape.in_flight_max = usize::try_from(schedule.one_of(&[1, 3, 1_000])).unwrap_or(1);
        Plan {
            stores,
            shard,
            long,
            targets: 1 + chance.below(5),
            troubled: chance.happens(700_000),
            quiet_from: end,
            crashes,
            windows,
            changes,
            questions,
            clock_jumps,
            recycles: disk.happens(700_000),
            rotten_bits: disk.one_of(&[0, 1, 8]),
            stalls: schedule.one_of(&[0, 0, 100, 2_000]),
        }
    }

    /// What is wrong with the disk of `shard` at `at`.
    #[must_use]
    pub fn trouble(&self, shard: usize, at: Tick) -> Option<Trouble> {
        let here = |window: &&Window| {
            window.shard == shard && window.from <= at && at < window.until && at < self.quiet_from
        };
        self.windows.iter().find(here).map(|window| window.trouble)
    }
}

fn store_options(shard: u64, long: bool, chance: &mut Prng) -> StoreOptions {
    let minute_ms = 60_000;
    StoreOptions {
        shard: u32::try_from(shard).unwrap_or(0),
        segment_bytes: 1 << 20,
        commit_bytes_max: chance.one_of(&[4 << 10, 16 << 10, 256 << 10]),
        commit_age_ms_max: chance.one_of(&[0, 1, 10, 200]),
        block_bytes: chance.one_of(&[512, 4_096]),
        log_backlog_bytes_max: chance.one_of(&[64 << 10, 8 << 20]),
        wal_segments_max: u32::try_from(chance.between(2, 6)).unwrap_or(2),
        tile_rows: chance.one_of(&[2, 3, 8, 30, 128]),
        tile_age_ms_max: chance.one_of(&[1, 2, 10]) * minute_ms,
        tile_file_ms: if long { 10 * minute_ms } else { chance.one_of(&[1, 120]) * minute_ms },
        sealed_bytes_max: 1 << 20,
        append_bytes_max: 64 << 10,
        retention_ms: if long { 60 * minute_ms } else { 15 * 24 * 60 * minute_ms },
        retry_ms_min: chance.one_of(&[1, 100]),
        retry_ms_max: 1_000,
        ..StoreOptions::default()
    }
}
