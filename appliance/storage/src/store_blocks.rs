//! Store and blocks: what a store does around its blocks and other files.
//!
//! Path: `store` → **store_blocks** → `blocks`.
//! Order of a compaction: the block's file durable, the manifest durable, then the groups forget
//! the tiles, columns without data outside blocks go from the index, the files go.

use std::sync::Arc;

use model::matcher::Matcher;
use model::time::{Now, Tick, TimestampMs};

use crate::block::reference::BlockRef;
use crate::blocks::{Applied, DeleteError, SealedGroups};
use crate::compaction::{Inputs, JobId, Outcome};
use crate::effect::{Effect, FileError, FileOp, FileRequestId};
use crate::leases::{Leases, ShardUsage};
use crate::names::FileName;
use crate::options::{COMMIT_AGE_MS_MAX, COMMIT_BYTES, Options};
use crate::select;
use crate::selection::{Rest, SelectError, SelectRequest, Selected};
use crate::store::Store;

impl Store {
    /// A background file operation is answered.
    pub(crate) fn on_file_done(&mut self, now: Now, request: FileRequestId, succeeded: bool) {
        let failed = u64::from(!succeeded);
        let (log, failures) = (&mut self.log, &mut self.counts.file_failures);
        if let Some(files) = self.catalog.on_done(now, request, succeeded, |epoch| log.unpin(epoch))
        {
            failures.catalog += failed;
            let free = self.blocks.hold(files);
            free.into_iter().for_each(|file| self.deletions.push(file));
        } else if let Some(applied) = self.blocks.on_done(now, request, succeeded) {
            failures.manifest += failed;
            self.on_manifest(now, applied);
        } else if let Some(stored) = self.tile_files.on_done(now, request, succeeded) {
            failures.tiles += failed;
            stored.into_iter().for_each(|tile| self.on_stored(tile));
        } else {
            failures.deletions += failed;
            self.deletions.on_done(now, request, succeeded);
        }
    }

    /// Series that fulfil the request, each label set once, in order of their making, and the
    /// blocks that are to be asked too.
    ///
    /// # Errors
    /// See [`SelectError`].
    pub fn select(&self, request: &SelectRequest) -> Result<Selected, SelectError> {
        self.select_page(request, None, usize::MAX)
    }

    /// As [`Store::select`], but looks at `page` series at most: of those that an earlier page of
    /// the same request left, or of all.
    ///
    /// # Errors
    /// See [`SelectError`].
    pub fn select_page(
        &self,
        request: &SelectRequest,
        rest: Option<Rest>,
        page: usize,
    ) -> Result<Selected, SelectError> {
        let (shard, tombstones) = (self.options.shard, self.blocks.tombstones());
        let (index, groups, part) = (&self.index, &self.groups, (rest, page));
        let (series, rest) = select::select(shard, index, groups, tombstones, request, part)?;
        let blocks = self.blocks.overlapping(request.after, request.until);
        Ok(Selected { series, blocks, rest })
    }

    /// Blocks that a question about labels between these times, both included, is to ask too.
    #[must_use]
    pub fn blocks(&self, from: TimestampMs, to: TimestampMs) -> Vec<Arc<BlockRef>> {
        self.blocks.overlapping(from.saturating_add(-1), to)
    }

    /// Deletes the samples of the series that fulfil all `matchers` between two times, both
    /// included: hidden at once, durable when [`Store::deleted`] has reached the number that is
    /// given back, and taken away by compaction. Samples newer than all there are stay possible.
    ///
    /// # Errors
    /// See [`DeleteError`].
    pub fn delete(
        &mut self,
        matchers: Vec<Matcher>,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<u64, DeleteError> {
        let newest = self.counts.max_time_ms.max(self.blocks.max_time_ms());
        let Some(newest) = newest.filter(|newest| from.0 <= *newest) else {
            return Ok(self.blocks.deleted());
        };
        self.blocks.delete(matchers, from, TimestampMs(to.0.min(newest)))
    }

    /// Takes over what of `options` may change while the store runs; the next look at ages and
    /// retention goes by it.
    ///
    /// # Panics
    /// They are out of range.
    pub fn configure(&mut self, options: &Options) {
        options.check().expect("the caller checked the options");
        self.options.adopt(options);
        self.blocks.configure(options);
        self.owners.lease(Vec::new());
        self.head_lease = None;
        self.sweep_at = self.sweep_at.map(|at| at.min(Tick(0)));
    }

    /// From here on a commit closes at this age of its first row, or at this size; held within the
    /// ranges of the options of those names.
    pub fn pace(&mut self, commit_age_ms_max: u64, commit_bytes_max: u64) {
        let bytes = commit_bytes_max.clamp(COMMIT_BYTES.0, COMMIT_BYTES.1);
        self.log.pace(commit_age_ms_max.min(COMMIT_AGE_MS_MAX), bytes);
    }

    /// What it uses of what is limited for all shards together.
    pub fn usage(&mut self) -> ShardUsage {
        ShardUsage {
            owners: self.owners.usage(&self.options),
            head_bytes: self.head_bytes,
            file_bytes: self.blocks.bytes() + self.tile_files.file_bytes(),
        }
    }

    /// Takes over what it may use of that, until the next configuration.
    pub fn lease(&mut self, leases: Leases) {
        self.owners.lease(leases.owners);
        self.head_lease = Some(leases.head_bytes);
        self.blocks.lease(Some(leases.file_bytes));
    }

    /// Bytes of memory that the head may take, where it is limited.
    pub(crate) fn head_lease_bytes(&self) -> u64 {
        let share = || self.options.head_bytes_max.div_ceil(self.options.shards.into());
        self.head_lease.unwrap_or_else(share)
    }

    /// Newest deletion that is durable.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.blocks.deleted()
    }

    /// Has what is deleted taken away from blocks for good, in the background, from the next event
    /// on.
    pub fn clean_tombstones(&mut self) {
        self.blocks.clean();
        self.sweep_at = self.sweep_at.map(|at| at.min(Tick(0)));
    }

    /// Whether there is room for another deletion. Ask every shard before the first deletes: what
    /// one refuses is not to be gone in another.
    ///
    /// # Errors
    /// There is not.
    pub fn may_delete(&self) -> Result<(), DeleteError> {
        self.blocks.may_delete()
    }

    /// Retention and planning, now and then.
    pub(crate) fn sweep_blocks(&mut self, now: Now) {
        self.blocks.expire(self.time.now_ms(now), self.tile_files.file_bytes());
        let head = self.groups.iter().flatten().filter_map(|group| {
            let tiles = group.tiles.iter().map(|tile| tile.min_time_ms);
            tiles.chain(group.timestamps_ms.iter().copied()).min()
        });
        let oldest_ms = head.min();
        // A file that is not gone for good comes back when the power goes, and with it what was
        // deleted.
        if self.deletions.is_idle() {
            let log = (self.log.oldest(), self.log.position().0);
            self.blocks.forget_tombstones(oldest_ms, log);
        }
        self.plan_compaction(now);
    }

    /// Begins the next compaction, if one is to be made.
    pub(crate) fn plan_compaction(&mut self, now: Now) {
        let files = self.tile_files.closed(now);
        let trusted_ms = self.time.now_ms(now);
        self.blocks.plan(now, trusted_ms, &files, self.catalog.whole());
    }

    /// The next manifest and the next job.
    pub(crate) fn pump_blocks(
        &mut self,
        now: Now,
        request: FileRequestId,
        effects: &mut Vec<Effect>,
    ) -> Option<FileOp> {
        while let Some(file) = self.blocks.next_replaced(now) {
            self.deletions.push(file);
        }
        if let Some(plan) = self.blocks.pump_job() {
            effects.push(Effect::Compact(plan));
        }
        let (deletions, groups) = (&self.deletions, &self.groups);
        let is_gone = |file: u64| !deletions.waits(FileName::Tile(file));
        let lives = |group: u32| groups.get(group as usize).is_some_and(Option::is_some);
        self.blocks.pump_manifest(now, request, is_gone, lives)
    }

    /// A job is answered.
    pub(crate) fn on_compacted(
        &mut self,
        now: Now,
        id: JobId,
        result: Result<Box<Outcome>, FileError>,
    ) {
        let groups = self.blocks.inputs(id).map_or(Vec::new(), |inputs| self.sealed_in(&inputs));
        self.blocks.on_compacted(now, id, result, groups);
        for catalog in self.blocks.hold(Vec::new()) {
            self.deletions.push(catalog);
        }
    }

    fn sealed_in(&self, inputs: &Inputs) -> SealedGroups {
        let Inputs::Tiles { files, .. } = inputs else { return Vec::new() };
        let groups = self.groups.iter().enumerate();
        let sealed = groups.filter_map(|(at, group)| {
            let sealed = group.as_ref()?.sealed_in(files)?;
            Some((crate::head::index32(at), sealed))
        });
        sealed.collect()
    }

    /// A manifest is durable: what it does without goes.
    pub(crate) fn on_manifest(&mut self, now: Now, applied: Applied) {
        for file in &applied.tile_files {
            self.tile_files.replaced(*file);
            for group in self.groups.iter_mut().flatten() {
                group.forget_file(*file);
            }
        }
        if !applied.tile_files.is_empty() {
            let quiet_ms = i64::try_from(2 * self.options.tile_file_ms).unwrap_or(i64::MAX);
            self.drop_dead(now.wall.0.saturating_sub(quiet_ms), true);
        }
        applied.delete.into_iter().for_each(|file| self.deletions.push(file));
        self.plan_compaction(now);
    }
}
