//! Blocks: the live blocks of a shard, and what is being done to them.
//!
//! Path: `store` → **blocks** → effects `Compact` and `File` (manifests).
//! Owns: the manifest, the job in flight, the tombstones, which files wait to go.
//!
//! A change is first in a durable manifest, then in memory, then its files go. A block's own file
//! is durable before the manifest that names it.
//!
//! Invariants
//! - B1: a file of samples is given up only when a durable manifest does without it.
//! - B2: one job and one manifest are in flight.
//! - B3: a job's inputs live until it is answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::matcher::Matcher;
use model::time::{Now, Tick, TimestampMs};
use thiserror::Error;

use crate::back_off::BackOff;
use crate::block::reference::BlockRef;
use crate::compact::plan::{Choice, ClosedFile, Scene, tiers_ended};
use crate::compaction::{CompactionPlan, Inputs, JobId, Keep, Outcome, Resolution, Tier};
use crate::effect::{FileError, FileOp, FileRequestId};
use crate::manifest::{LiveBlock, Manifest};
use crate::names::FileName;
use crate::options::Options;
use crate::tombstones::{Tombstone, Tombstones};

/// Failures of one input after which it is left alone.
const INPUT_FAILURES_MAX: u32 = 3;

/// Why series were not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DeleteError {
    /// As many deletions wait for compaction as may.
    #[error("{0} deletions wait for compaction; clean tombstones first")]
    Limit(u32),
}

/// What becomes of the live blocks.
#[derive(Clone, Debug)]
enum Change {
    /// A job is done: its output is in the place of its inputs.
    Compacted {
        plan: Box<CompactionPlan>,
        block: Option<LiveBlock>,
        groups: SealedGroups,
    },
    /// Blocks have passed retention.
    Expired(Vec<u64>),
    /// A job found it damaged too often.
    Quarantined(u64),
    Deleted(Tombstone),
    /// Tombstones that touch nothing.
    Forgotten(Vec<u64>),
}

/// Largest slot and tile number by group.
pub(crate) type SealedGroups = Vec<(u32, (i64, u32))>;

/// A manifest on its way to the disk.
#[derive(Debug)]
struct Flight {
    request: FileRequestId,
    number: u64,
    next: Manifest,
    /// Changes of the front of the queue that are in it.
    changes: usize,
}

/// What the store does when a manifest is durable.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Tile files whose samples are in a block.
    pub(crate) tile_files: Vec<u64>,
    /// Files to delete.
    pub(crate) delete: Vec<FileName>,
}

/// Counters of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockCounts {
    pub(crate) compactions: u64,
    pub(crate) compactions_failed: u64,
    pub(crate) compactions_triggered: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) samples: u64,
    pub(crate) damages: u64,
    pub(crate) expired: u64,
    pub(crate) expired_by_size: u64,
    pub(crate) deletions_refused: u64,
    pub(crate) manifests: u64,
}

/// Blocks of one shard.
#[derive(Debug)]
pub(crate) struct Blocks {
    options: Options,
    /// What the newest durable manifest says.
    manifest: Manifest,
    /// Its number; 0 when there is none.
    number: u64,
    /// Older manifests, to be deleted.
    older: Vec<u64>,
    live: BTreeMap<u64, Arc<BlockRef>>,
    /// Those of the manifest and those on their way to it.
    tombstones: Tombstones,
    /// Tombstones up to this one are to be taken away for good.
    clean_up_to: u64,
    lease_bytes: Option<u64>,
    /// Position of the log when each tombstone was there already.
    logged: BTreeMap<u64, u64>,
    changes: VecDeque<Change>,
    flight: Option<Flight>,
    job: Option<Box<CompactionPlan>>,
    /// A choice that waits for a manifest to stand first.
    asked: Option<Box<CompactionPlan>>,
    jobs: u64,
    failures: BTreeMap<u64, u32>,
    /// Files that a block replaced, and when they go.
    replaced: VecDeque<(Tick, FileName)>,
    /// Catalogs that the job under way may read.
    held: Vec<FileName>,
    job_back_off: BackOff,
    manifest_back_off: BackOff,
    pub(crate) counts: BlockCounts,
}

impl Blocks {
    /// The blocks of manifest `number` (0: none); `taken` is the largest number of a block file
    /// or manifest that is there.
    pub(crate) fn new(options: &Options, number: u64, manifest: Manifest, taken: u64) -> Blocks {
        let mut manifest = manifest;
        manifest.next_block = manifest.next_block.max(taken + 1);
        manifest.next_tombstone = manifest.next_tombstone.max(1);
        let mut blocks = Blocks {
            number,
            older: Vec::new(),
            live: BTreeMap::new(),
            tombstones: manifest.tombstones.clone().into(),
            manifest,
            clean_up_to: 0,
            lease_bytes: None,
            logged: BTreeMap::new(),
            changes: VecDeque::new(),
            flight: None,
            job: None,
            asked: None,
            jobs: 0,
            failures: BTreeMap::new(),
            replaced: VecDeque::new(),
            held: Vec::new(),
            job_back_off: BackOff::new(options),
            manifest_back_off: BackOff::new(options),
            counts: BlockCounts::default(),
            options: options.clone(),
        };
        blocks.refresh();
        blocks
    }

    /// Takes over what of `options` may change while the store runs.
    pub(crate) fn configure(&mut self, options: &Options) {
        self.options.adopt(options);
        self.lease(None);
    }

    /// Bytes that this shard may have of those that retention leaves to all; `None` for all.
    pub(crate) fn lease(&mut self, bytes: Option<u64>) {
        self.lease_bytes = bytes;
    }

    /// Manifests of before that are not the live one.
    pub(crate) fn restore_older(&mut self, older: Vec<u64>) {
        self.older = older;
    }

    /// Whether the samples of this tile file are in a block.
    pub(crate) fn replaces(&self, tile_file: u64) -> bool {
        self.manifest.replaced.contains(&tile_file)
    }

    /// Largest slot and tile number, by group, of tiles that are in blocks.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = (u32, (i64, u32))> {
        self.manifest.sealed.iter().map(|(group, sealed)| (*group, *sealed))
    }

    /// Brings what queries are given in line with manifest and tombstones.
    fn refresh(&mut self) {
        let mut live = BTreeMap::new();
        for (number, block) in &self.manifest.blocks {
            let known = self.live.get(number);
            let tombstones = Arc::clone(&self.tombstones);
            let reference = match known {
                Some(known) => known.with_tombstones(tombstones),
                None => BlockRef::new(self.options.shard, block.summary, tombstones),
            };
            live.insert(*number, Arc::new(reference));
        }
        self.live = live;
    }

    /// Live blocks by number.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<BlockRef>> {
        self.live.values()
    }

    /// Blocks that a selection of the range is to ask, oldest first, of every resolution: which of
    /// them has a series is the series' own affair.
    pub(crate) fn overlapping(&self, after: TimestampMs, until: TimestampMs) -> Vec<Arc<BlockRef>> {
        let overlapping = self.live.values().filter(|block| block.overlaps(after, until));
        let mut found: Vec<Arc<BlockRef>> = overlapping.map(Arc::clone).collect();
        found.sort_by_key(|block| (block.summary.min_time_ms, block.summary.number));
        found
    }

    /// What is deleted, whether or not a manifest has it.
    pub(crate) fn tombstones(&self) -> &Tombstones {
        &self.tombstones
    }

    /// Bytes of all blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.manifest.blocks.values().map(|block| block.summary.bytes).sum()
    }

    /// Blocks that take part in no compaction.
    pub(crate) fn quarantined(&self) -> u64 {
        self.manifest.blocks.values().filter(|block| block.quarantined).count() as u64
    }

    /// Bytes of memory of the outlines and the tables.
    pub(crate) fn heap_bytes(&self) -> usize {
        let outlines: usize = self.live.values().map(|block| block.outline_bytes()).sum();
        outlines
            + self.manifest.blocks.len() * 2 * size_of::<LiveBlock>()
            + self.manifest.sealed.len() * 32
    }

    /// Inputs of the job in flight, if it is this one.
    pub(crate) fn inputs(&self, id: JobId) -> Option<Inputs> {
        self.job.as_ref().filter(|job| job.id == id).map(|job| job.inputs.clone())
    }

    /// Whether a job is in flight: the catalog that it reads must stay.
    pub(crate) fn is_compacting(&self) -> bool {
        self.job.is_some() || self.asked.is_some()
    }

    /// Takes catalogs that are to be deleted; gives those that may go.
    pub(crate) fn hold(&mut self, catalogs: Vec<FileName>) -> Vec<FileName> {
        self.held.extend(catalogs);
        if self.is_compacting() { Vec::new() } else { std::mem::take(&mut self.held) }
    }

    /// First and last time of each block, milliseconds.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (i64, i64)> {
        let summaries = self.manifest.blocks.values().map(|block| &block.summary);
        summaries.map(|summary| (summary.min_time_ms, summary.max_time_ms))
    }

    /// Oldest sample of all blocks, milliseconds.
    pub(crate) fn min_time_ms(&self) -> Option<i64> {
        self.manifest.blocks.values().map(|block| block.summary.min_time_ms).min()
    }

    /// Newest sample of all blocks, milliseconds.
    pub(crate) fn max_time_ms(&self) -> Option<i64> {
        self.manifest.blocks.values().map(|block| block.summary.max_time_ms).max()
    }

    /// Whether there is room for another deletion.
    ///
    /// # Errors
    /// There is not.
    pub(crate) fn may_delete(&self) -> Result<(), DeleteError> {
        if self.options.tombstones_max as usize <= self.tombstones.len() {
            return Err(DeleteError::Limit(self.options.tombstones_max));
        }
        Ok(())
    }

    /// Hides samples; the number that is durable when [`Blocks::deleted`] has reached it.
    pub(crate) fn delete(
        &mut self,
        matchers: Vec<Matcher>,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<u64, DeleteError> {
        if let Err(error) = self.may_delete() {
            self.counts.deletions_refused += 1;
            return Err(error);
        }
        let newest = self.tombstones.iter().map(|tombstone| tombstone.id + 1).max();
        let id = newest.unwrap_or(0).max(self.manifest.next_tombstone);
        let tombstone = Tombstone { id, matchers, from, to };
        self.tombstones =
            self.tombstones.iter().cloned().chain(std::iter::once(tombstone.clone())).collect();
        self.refresh();
        self.changes.push_back(Change::Deleted(tombstone));
        Ok(id)
    }

    /// Newest deletion that is durable; 0 when there was none.
    pub(crate) fn deleted(&self) -> u64 {
        self.manifest.next_tombstone - 1
    }

    /// Has what is deleted taken away for good.
    pub(crate) fn clean(&mut self) {
        self.clean_up_to = self.tombstones.iter().map(|t| t.id).max().unwrap_or(0);
    }

    /// Tombstones that were not applied to every block that they touch.
    pub(crate) fn tombstones_in_blocks(&self) -> usize {
        self.tombstones.iter().filter(|tombstone| self.is_in_blocks(tombstone)).count()
    }

    fn is_in_blocks(&self, tombstone: &Tombstone) -> bool {
        self.manifest.blocks.values().any(|block| {
            let summary = &block.summary;
            summary.tombstone < tombstone.id
                && tombstone.overlaps(summary.min_time_ms, summary.max_time_ms)
        })
    }

    /// Forgets tombstones that touch neither a block nor, before `oldest_ms`, anything in tiles,
    /// nor a row of the log, which has the records from `log.0` to `log.1`: replay would bring it
    /// back.
    pub(crate) fn forget_tombstones(&mut self, oldest_ms: Option<i64>, log: (u64, u64)) {
        for tombstone in self.tombstones.iter() {
            self.logged.entry(tombstone.id).or_insert(log.1);
        }
        if !self.changes.is_empty() || self.flight.is_some() {
            return;
        }
        let untouched = |tombstone: &&Tombstone| {
            let in_blocks = self.is_in_blocks(tombstone);
            let in_tiles = oldest_ms.is_some_and(|oldest_ms| oldest_ms <= tombstone.to.0);
            let in_log = self.logged.get(&tombstone.id).is_none_or(|last| log.0 <= *last);
            !in_blocks && !in_tiles && !in_log
        };
        let gone: Vec<u64> = self.tombstones.iter().filter(untouched).map(|t| t.id).collect();
        self.logged.retain(|id, _| !gone.contains(id));
        if !gone.is_empty() {
            self.changes.push_back(Change::Forgotten(gone));
        }
    }

    /// Gives up blocks whose samples are all too old, and the oldest beyond the bytes allowed;
    /// `other_bytes` are those of tile files. Blocks that a job reads stay until it is answered.
    pub(crate) fn expire(&mut self, wall_ms: i64, other_bytes: u64) {
        if !self.changes.is_empty() || self.flight.is_some() {
            return;
        }
        let free = |block: &LiveBlock| !self.is_input(block.summary.number);
        let blocks: Vec<LiveBlock> = self.manifest.blocks.values().copied().filter(free).collect();
        let (mut gone, mut rest): (Vec<LiveBlock>, Vec<LiveBlock>) =
            blocks.into_iter().partition(|block| {
                let summary = &block.summary;
                summary.max_time_ms < self.oldest_kept_ms(wall_ms, summary.resolution)
            });
        self.counts.expired += gone.len() as u64;
        let gone_bytes: u64 = gone.iter().map(|block| block.summary.bytes).sum();
        let mut total = self.bytes() + other_bytes - gone_bytes;
        rest.sort_by_key(|block| (block.summary.max_time_ms, block.summary.number));
        let bytes_max = self.lease_bytes.unwrap_or(self.options.retention_bytes);
        for block in rest {
            if self.options.retention_bytes == 0 || total <= bytes_max {
                break;
            }
            total -= block.summary.bytes;
            gone.push(block);
            self.counts.expired_by_size += 1;
        }
        if !gone.is_empty() {
            let numbers = gone.iter().map(|block| block.summary.number);
            self.changes.push_back(Change::Expired(numbers.collect()));
        }
    }

    fn is_input(&self, number: u64) -> bool {
        self.jobs_reading().any(|inputs| match inputs {
            Inputs::Blocks(blocks) => blocks.iter().any(|block| block.number == number),
            Inputs::Tiles { .. } => false,
        })
    }

    /// Whether a job reads this tile file.
    pub(crate) fn reads(&self, tile_file: u64) -> bool {
        self.jobs_reading().any(|inputs| match inputs {
            Inputs::Blocks(_) => false,
            Inputs::Tiles { files, .. } => files.iter().any(|(number, _)| *number == tile_file),
        })
    }

    fn jobs_reading(&self) -> impl Iterator<Item = &Inputs> {
        [&self.job, &self.asked].into_iter().flatten().map(|plan| &plan.inputs)
    }

    /// Oldest time that any series is kept from at a resolution.
    fn oldest_kept_ms(&self, wall_ms: i64, resolution: Resolution) -> i64 {
        let keep = self.keep(wall_ms, resolution);
        let oldest = keep.tiers.iter().map(|(_, oldest_ms)| *oldest_ms).chain(keep.otherwise_ms);
        oldest.min().unwrap_or(i64::MAX)
    }

    /// What is kept at a resolution: whole windows of the coarsest, so that what one resolution
    /// gives up stands whole in the next.
    fn keep(&self, wall_ms: i64, resolution: Resolution) -> Keep {
        let window_ms = if self.options.tiers.is_empty() { 1 } else { Resolution::Hour.ms() };
        let before = |ms: u64| {
            let oldest_ms = wall_ms.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX));
            oldest_ms.saturating_sub(oldest_ms.rem_euclid(window_ms))
        };
        let tiers = self.options.tiers.iter().filter(|tier| tier.resolution == resolution);
        let tiers: Vec<(Tier, i64)> =
            tiers.map(|tier| (tier.clone(), before(tier.keep_ms))).collect();
        let raw = resolution == Resolution::Raw;
        let otherwise_ms = raw.then(|| before(self.options.retention_ms));
        Keep { tiers: tiers.into(), otherwise_ms }
    }

    /// Begins a job if one is to be made. `trusted_ms` is the time that retention goes by,
    /// `files` are the closed tile files, `catalog` the number
    /// and bytes of the catalog, if a whole one is durable.
    pub(crate) fn plan(
        &mut self,
        now: Now,
        trusted_ms: i64,
        files: &[ClosedFile],
        catalog: Option<(u64, u64)>,
    ) {
        let busy = self.is_compacting() || !self.changes.is_empty() || self.flight.is_some();
        if !self.options.compaction || busy || self.job_back_off.waits(now.tick) {
            return;
        }
        let files: Vec<ClosedFile> =
            files.iter().copied().filter(|file| !self.replaces(file.number)).collect();
        let scene = Scene {
            options: &self.options,
            wall_ms: trusted_ms,
            files: if catalog.is_some() { &files } else { &[] },
            blocks: self.manifest.blocks.values().copied().collect(),
            tombstones: &self.tombstones,
            clean_up_to: self.clean_up_to,
        };
        let Some(choice) = scene.choose() else { return };
        self.jobs += 1;
        self.counts.compactions_triggered += 1;
        let (inputs, level, resolution) = match choice {
            Choice::Tiles(files) => {
                let files = files.iter().map(|file| (file.number, file.bytes)).collect();
                let catalog = catalog.expect("tiles are chosen only when there is a catalog");
                (Inputs::Tiles { catalog, files }, 1, Resolution::Raw)
            }
            Choice::Merge(blocks) => {
                let level = blocks.iter().map(|block| block.level).max().unwrap_or(1);
                let resolution = blocks[0].resolution;
                (Inputs::Blocks(blocks), level.saturating_add(1), resolution)
            }
            Choice::Rewrite(block) => (Inputs::Blocks(vec![block]), block.level, block.resolution),
            Choice::Downsample(block, to) => (Inputs::Blocks(vec![block]), block.level, to),
        };
        self.asked = Some(Box::new(CompactionPlan {
            id: JobId(self.jobs),
            disk_bytes: input_bytes(&inputs),
            inputs,
            output: self.manifest.next_block,
            level,
            resolution,
            tombstones: Arc::clone(&self.tombstones),
            keep: self.keep(trusted_ms, resolution),
            memory_bytes_max: self.options.compaction_bytes_max,
        }));
        // A number is given once, also when its job fails: what that wrote is another's never.
        self.manifest.next_block += 1;
    }

    /// The job to ask the machine for, if one is to begin.
    pub(crate) fn pump_job(&mut self) -> Option<Box<CompactionPlan>> {
        // Without a manifest recovery could not tell a new block from one that was lost.
        if self.number == 0 || self.job.is_some() {
            return None;
        }
        let plan = self.asked.take()?;
        assert!(self.job.is_none(), "B2: a job is in flight");
        self.job = Some(plan.clone());
        Some(plan)
    }

    /// The job is answered. `groups` are those whose tiles it read.
    pub(crate) fn on_compacted(
        &mut self,
        now: Now,
        id: JobId,
        result: Result<Box<Outcome>, FileError>,
        groups: SealedGroups,
    ) -> Option<FileError> {
        let plan = self.job.take_if(|job| job.id == id)?;
        match result {
            Ok(outcome) => {
                self.job_back_off.clear();
                self.failures.clear();
                self.counts.compactions += 1;
                self.counts.read_bytes += outcome.read_bytes;
                self.counts.samples += outcome.read_samples;
                self.counts.damages += outcome.damages.len() as u64;
                let block = outcome.block.map(|summary| LiveBlock {
                    tiers_ended: tiers_ended(&self.options, now.wall.0, &summary),
                    downsampled: self.downsampled(&plan),
                    ..LiveBlock::new(summary)
                });
                self.counts.written_bytes += block.map_or(0, |block| block.summary.bytes);
                self.changes.push_back(Change::Compacted { plan, block, groups });
                None
            }
            Err(cause) => {
                self.counts.compactions_failed += 1;
                self.job_back_off.failed(now.tick);
                if !cause.full {
                    self.suspect(&plan, &cause);
                }
                Some(cause)
            }
        }
    }

    /// What the inputs were downsampled to, which holds for a block of the same resolution.
    fn downsampled(&self, plan: &CompactionPlan) -> (bool, bool) {
        let Inputs::Blocks(inputs) = &plan.inputs else { return (false, false) };
        let same = inputs.first().is_some_and(|input| input.resolution == plan.resolution);
        let first = inputs.first().and_then(|input| self.manifest.blocks.get(&input.number));
        first.filter(|_| same).map_or((false, false), |block| block.downsampled)
    }

    /// A job that fails again and again on a damaged input must not hold up the others: the block
    /// that the text names is left alone. It still answers queries with what is whole in it.
    fn suspect(&mut self, plan: &CompactionPlan, cause: &FileError) {
        let Inputs::Blocks(inputs) = &plan.inputs else { return };
        for input in inputs {
            if !cause.reason.contains(&FileName::Block(input.number).to_string()) {
                continue;
            }
            let failures = self.failures.entry(input.number).or_default();
            *failures += 1;
            if INPUT_FAILURES_MAX <= *failures {
                self.failures.remove(&input.number);
                self.changes.push_back(Change::Quarantined(input.number));
            }
        }
    }

    /// When to call the store's pump next.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        let manifest = self.manifest_back_off.at().filter(|_| self.flight.is_none());
        let job = self.job_back_off.at().filter(|_| !self.is_compacting());
        let replaced = self.replaced.front().map(|(at, _)| *at);
        [manifest, job, replaced].into_iter().flatten().min()
    }

    /// The next manifest to write, if there is a change. `is_gone` says whether a tile file is
    /// deleted for good, `lives` whether a group is still known.
    pub(crate) fn pump_manifest(
        &mut self,
        now: Now,
        request: FileRequestId,
        is_gone: impl Fn(u64) -> bool,
        lives: impl Fn(u32) -> bool,
    ) -> Option<FileOp> {
        let wanted = !self.changes.is_empty() || (self.number == 0 && self.asked.is_some());
        if !wanted || self.flight.is_some() || self.manifest_back_off.waits(now.tick) {
            return None;
        }
        let mut next = self.manifest.clone();
        next.replaced.retain(|file| self.keeps(FileName::Tile(*file)) || !is_gone(*file));
        next.sealed.retain(|group, _| lives(*group));
        self.changes.iter().for_each(|change| apply(&mut next, change));
        // A failed write leaves anything under its name: the next one gets a name of its own, and
        // the failed one is deleted with the others.
        let number = self.older.last().copied().unwrap_or(0).max(self.number) + 1;
        let bytes = next.write(number);
        assert!(self.flight.is_none(), "B2: a manifest is in flight");
        self.flight = Some(Flight { request, number, next, changes: self.changes.len() });
        self.counts.manifests += 1;
        Some(FileOp::Append { file: FileName::Manifest(number), offset: 0, bytes })
    }

    /// The request is answered; `None` when it is no manifest's.
    pub(crate) fn on_done(
        &mut self,
        now: Now,
        request: FileRequestId,
        succeeded: bool,
    ) -> Option<Applied> {
        let flight = self.flight.take_if(|flight| flight.request == request)?;
        if !succeeded {
            self.manifest_back_off.failed(now.tick);
            self.older.push(flight.number);
            return Some(Applied::default());
        }
        self.manifest_back_off.clear();
        let mut applied = Applied::default();
        let before = std::mem::replace(&mut self.manifest, flight.next);
        let old = std::mem::replace(&mut self.number, flight.number);
        self.older.extend((0 < old).then_some(old));
        applied.delete.extend(self.older.drain(..).map(FileName::Manifest));
        let changes: Vec<Change> = self.changes.drain(..flight.changes).collect();
        for file in before.blocks.keys() {
            if !self.manifest.blocks.contains_key(file) {
                let expired = changes
                    .iter()
                    .any(|change| matches!(change, Change::Expired(gone) if gone.contains(file)));
                self.give_up(now, FileName::Block(*file), expired, &mut applied);
            }
        }
        for change in &changes {
            let Change::Compacted { plan, .. } = change else { continue };
            let Inputs::Tiles { files, .. } = &plan.inputs else { continue };
            for (file, _) in files {
                applied.tile_files.push(*file);
                self.give_up(now, FileName::Tile(*file), false, &mut applied);
            }
        }
        let pending = self.changes.iter().filter_map(|change| match change {
            Change::Deleted(tombstone) => Some(tombstone.clone()),
            _ => None,
        });
        self.tombstones = self.manifest.tombstones.iter().cloned().chain(pending).collect();
        self.refresh();
        Some(applied)
    }

    /// A file is needed by nobody who begins from here on.
    fn give_up(&mut self, now: Now, file: FileName, at_once: bool, applied: &mut Applied) {
        let lives = match file {
            FileName::Block(number) => self.manifest.blocks.contains_key(&number),
            FileName::Tile(number) => !self.manifest.replaced.contains(&number),
            _ => false,
        };
        assert!(!lives, "B1: {file} is given up though the manifest needs it");
        if at_once || self.options.replaced_keep_ms == 0 {
            applied.delete.push(file);
        } else {
            let at = now.tick.after_ms(self.options.replaced_keep_ms);
            self.replaced.push_back((at, file));
        }
    }

    /// A replaced file whose time has come.
    pub(crate) fn next_replaced(&mut self, now: Now) -> Option<FileName> {
        let (at, _) = self.replaced.front()?;
        if now.tick < *at {
            return None;
        }
        self.replaced.pop_front().map(|(_, file)| file)
    }

    /// Whether a replaced file still stays for those who read it.
    pub(crate) fn keeps(&self, file: FileName) -> bool {
        self.replaced.iter().any(|(_, other)| *other == file)
    }
}

fn input_bytes(inputs: &Inputs) -> u64 {
    match inputs {
        Inputs::Tiles { files, .. } => files.iter().map(|(_, bytes)| bytes).sum(),
        Inputs::Blocks(blocks) => blocks.iter().map(|block| block.bytes).sum(),
    }
}

fn apply(manifest: &mut Manifest, change: &Change) {
    match change {
        Change::Compacted { plan, block, groups } => {
            apply_inputs(manifest, plan);
            if let Some(block) = block {
                manifest.blocks.insert(block.summary.number, *block);
            }
            for (group, (slot, tile)) in groups {
                let sealed = manifest.sealed.entry(*group).or_insert((*slot, *tile));
                *sealed = (sealed.0.max(*slot), sealed.1.max(*tile));
            }
        }
        Change::Expired(blocks) => {
            manifest.blocks.retain(|number, _| !blocks.contains(number));
        }
        Change::Quarantined(number) => {
            if let Some(block) = manifest.blocks.get_mut(number) {
                block.quarantined = true;
            }
        }
        Change::Deleted(tombstone) => {
            manifest.next_tombstone = tombstone.id + 1;
            manifest.tombstones.push(tombstone.clone());
        }
        Change::Forgotten(gone) => manifest.tombstones.retain(|t| !gone.contains(&t.id)),
    }
}

fn apply_inputs(manifest: &mut Manifest, plan: &CompactionPlan) {
    let inputs = match &plan.inputs {
        Inputs::Tiles { files, .. } => {
            manifest.replaced.extend(files.iter().map(|(number, _)| *number));
            return;
        }
        Inputs::Blocks(inputs) => inputs,
    };
    for input in inputs {
        if input.resolution == plan.resolution {
            let known = manifest.blocks.remove(&input.number);
            assert!(known.is_some(), "B3: input {} is gone", input.number);
        } else if let Some(block) = manifest.blocks.get_mut(&input.number) {
            match plan.resolution {
                Resolution::FiveMinutes => block.downsampled.0 = true,
                Resolution::Hour => block.downsampled.1 = true,
                Resolution::Raw => {}
            }
        }
    }
}
