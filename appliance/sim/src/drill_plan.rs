//! Drill plan: everything about a drill that its seed decides before it begins.

use storage::options::Options;

use crate::operation::Fault;
use crate::prng::Prng;

/// Wall clock at the beginning, milliseconds.
pub const START_MS: i64 = 1_790_000_000_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// What is asked of the store in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A row of each group at the wall time.
    Rows,
    /// Rows of a slot that was there.
    Again,
    /// Rows of an earlier time.
    Late,
    /// Series are deleted.
    Delete,
    /// What is deleted is to be taken away for good.
    Clean,
    /// The wall clock is set.
    Jump(i64),
    /// Everything is read.
    Ask,
    /// A selection is made that is decoded later, or such a one is decoded.
    Hold,
    /// Some cells are pushed to each group that is pushed to.
    Push,
    /// Metadata and an exemplar are given.
    Annotate,
    /// A snapshot of the directory begins.
    Copy,
}

/// Seeds from here on do more: those below that once failed do what they did.
pub const MORE_FROM: u64 = 400;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// When operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faults {
    Never,
    /// So many in a million.
    Sporadic(u64),
    /// All operations from one on to another.
    Window(u64, u64),
}

/// What a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Settings of the store.
    pub options: Options,
    /// Groups.
    pub groups: u32,
    /// Actions of the run.
    pub steps: u64,
    /// Operations that end after an action, fewer than this.
    pub operations_a_step: u64,
    /// Chance in a million that the process ends after an operation.
    pub crashes: u64,
    /// Chance in a million that a copy loses its power after an operation: all, but in long runs.
    pub cuts: u64,
    faults: Faults,
    /// Usual milliseconds between two actions.
    pace_ms: u64,
    deletes: bool,
    jumps: bool,
    /// Parts in a million of each action beyond those of every seed, and whether the clock may jump
    /// by a year.
    more: [(Action, u64); 3],
    years: bool,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Plan {
        let mut chance = Prng::new(seed, "drill plan");
        // One run in ten is long: blocks are merged and pass retention.
        let long = chance.happens(100_000);
        let steps = if long { 600 } else { chance.between(30, 120) };
        let from = chance.below(steps);
        let faults = chance.one_of(&[
            Faults::Never,
            Faults::Never,
            Faults::Sporadic(30_000),
            Faults::Sporadic(200_000),
            Faults::Window(from, from + 30),
        ]);
        let mut options = options(&mut chance);
        let mut more = Prng::new(seed, "drill more");
        // Half of the seeds that do more do each.
        let often = |more: &mut Prng, parts: u64| {
            let parts = more.one_of(&[0, parts]);
            if MORE_FROM <= seed { parts } else { 0 }
        };
        let pushes = often(&mut more, 500_000);
        let notes = often(&mut more, 150_000);
        let copies = often(&mut more, 60_000);
        let years = 0 < often(&mut more, 1);
        if 0 < often(&mut more, 1) {
            options.retention_bytes = more.one_of(&[20 << 10, 60 << 10, 200 << 10]);
        }
        if MORE_FROM <= seed {
            options.exemplars_max = more.one_of(&[0, 3, 100_000]);
        }
        let more = [(Action::Push, pushes), (Action::Annotate, notes), (Action::Copy, copies)];
        Plan {
            options,
            groups: u32::try_from(chance.between(1, 3)).unwrap_or(1),
            steps,
            operations_a_step: chance.one_of(&[3, 5, 12]),
            crashes: chance.one_of(&[0, 5_000, 40_000]),
            cuts: if long { 100_000 } else { 1_000_000 },
            faults,
            pace_ms: chance.one_of(&[1_000, 15_000, 15_000, MINUTE_MS]),
            deletes: chance.happens(500_000),
            jumps: chance.happens(200_000),
            more,
            years,
        }
    }

    /// Milliseconds until the next action.
    pub fn pace(&self, chance: &mut Prng) -> u64 {
        match chance.below(100) {
            0 => 30 * MINUTE_MS,
            1..=4 => 3 * MINUTE_MS,
            _ => self.pace_ms,
        }
    }

    /// What is asked next.
    pub fn action(&self, chance: &mut Prng) -> Action {
        match chance.below(100) {
            0..=4 => Action::Again,
            5..=16 => Action::Late,
            17..=19 if self.deletes => Action::Delete,
            20 if self.deletes => Action::Clean,
            21 if self.jumps => Action::Jump(chance.one_of(&[-HOUR_MS, -5_000, 30_000, HOUR_MS])),
            22..=27 => Action::Ask,
            28..=33 if 0 < self.options.replaced_keep_ms => Action::Hold,
            _ => Action::Rows,
        }
    }

    /// What else is asked.
    pub fn more(&self, chance: &mut Prng) -> Vec<Action> {
        let mut asked: Vec<Action> = Vec::new();
        for (action, parts) in self.more {
            if 0 < parts && chance.happens(parts) {
                asked.push(action);
            }
        }
        if self.years && chance.happens(20_000) {
            asked.push(Action::Jump(chance.one_of(&[-YEAR_MS, YEAR_MS])));
        }
        asked
    }

    /// Whether operation number `at` fails, and how.
    pub fn fault(&self, at: u64, chance: &mut Prng) -> Option<Fault> {
        let fails = match self.faults {
            Faults::Never => false,
            Faults::Sporadic(parts) => chance.happens(parts),
            Faults::Window(from, to) => (from..to).contains(&at),
        };
        fails.then(|| chance.one_of(&[Fault::Full, Fault::Broken]))
    }

    /// Whether samples pass retention within a run.
    #[must_use]
    pub fn expires(&self) -> bool {
        self.options.retention_ms < 24 * HOUR_MS.unsigned_abs()
            || 0 < self.options.retention_bytes
            || self.years
    }
}

fn options(chance: &mut Prng) -> Options {
    Options {
        segment_bytes: chance.one_of(&[32 << 10, 128 << 10]),
        commit_bytes_max: chance.one_of(&[4 << 10, 16 << 10]),
        commit_age_ms_max: chance.one_of(&[0, 10, 200]),
        block_bytes: chance.one_of(&[512, 4_096]),
        log_backlog_bytes_max: chance.one_of(&[64 << 10, 8 << 20]),
        wal_segments_max: u32::try_from(chance.between(2, 6)).unwrap_or(2),
        tile_rows: chance.one_of(&[2, 3, 8]),
        tile_age_ms_max: chance.one_of(&[1, 2, 10]) * MINUTE_MS,
        tile_file_ms: chance.one_of(&[1, 2, 10]) * MINUTE_MS,
        sealed_bytes_max: 1 << 20,
        append_bytes_max: 64 << 10,
        retention_ms: chance.one_of(&[60 * MINUTE_MS, 10 * 24 * 60 * MINUTE_MS]),
        out_of_order_time_window_ms: chance.one_of(&[0, 10 * MINUTE_MS, 60 * MINUTE_MS]),
        compaction: true,
        compaction_bytes_max: 1 << 20,
        replaced_keep_ms: chance.one_of(&[0, 5 * MINUTE_MS]),
        retry_ms_min: chance.one_of(&[1, 100]),
        retry_ms_max: 1_000,
        ..Options::default()
    }
}
