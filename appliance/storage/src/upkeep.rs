//! Upkeep: what a store does as time passes, with open tiles that are old and with what passed
//! retention.
//!
//! Path: `store` → **upkeep** → `tile_files`, `deletions`, `catalog`.

use model::time::{NANOS_PER_MS, Now};

use crate::catalog::write::Change;
use crate::head::{Group, index32};
use crate::index::series::ColumnPlace;
use crate::names::FileName;
use crate::store::{Store, WALL_UNKNOWN};
use crate::trusted_time::newest_trusted;

/// How often ages and retention are looked at, at least.
const SWEEP_MS: u64 = 60_000;
/// Share of the largest age by which groups differ: those that began together do not seal
/// together.
const AGE_SPREAD: u64 = 4;

impl Store {
    /// Samples before this may go.
    pub(crate) fn oldest_ms(&self, now: Now) -> i64 {
        let retention_ms = i64::try_from(self.options.retention_ms).unwrap_or(i64::MAX);
        self.time.now_ms(now).saturating_sub(retention_ms)
    }

    /// Looks at ages and retention, now and then.
    pub(crate) fn sweep(&mut self, now: Now) {
        if self.sweep_at.is_some_and(|at| now.tick < at) {
            return;
        }
        if self.sweep_at.is_none() {
            self.begin_time(now);
        }
        self.sweep_at = Some(now.tick.after_ms(SWEEP_MS.min(self.options.tile_file_ms)));
        let age_ms_max = self.options.tile_age_ms_max;
        self.seal_where(now, |group| {
            let age_nanos = age_ms(group, age_ms_max) * NANOS_PER_MS;
            group.opened.is_some_and(|(_, since)| age_nanos <= now.tick.since(since))
        });
        let oldest_ms = self.oldest_ms(now);
        let mut expired = false;
        let blocks = &self.blocks;
        while let Some(number) = self.tile_files.expire(oldest_ms, now, |file| blocks.reads(file)) {
            self.deletions.push(FileName::Tile(number));
            self.counts.files_expired += 1;
            expired = true;
            for group in self.groups.iter_mut().flatten() {
                group.forget_file(number);
            }
        }
        self.drop_dead(oldest_ms, expired);
        self.sweep_blocks(now);
        self.measure_owners();
    }

    /// Measures what the head takes, and shares it out to the owners of groups: the memory of each
    /// group is its own, that of the index goes by series.
    fn measure_owners(&mut self) {
        // Walking the index of a million series takes tens of milliseconds.
        if !self.options.limits_bytes() {
            return;
        }
        let memory = self.memory();
        self.head_bytes = memory.total();
        let shared = memory.index + memory.symbols + memory.catalog;
        let by_series = shared / (self.index.len() as u64).max(1);
        self.owners.measure();
        for group in self.groups.iter_mut().flatten() {
            let own = group.tile_bytes() + group.directory_bytes();
            let bytes = own as u64 + u64::from(group.usage.series) * by_series;
            group.usage.bytes = bytes;
            self.owners.each(group.owners, |usage| usage.bytes += bytes);
        }
    }

    /// What was made or recovered before the clock was known counts from here.
    fn begin_time(&mut self, now: Now) {
        let groups = || self.groups.iter().flatten();
        let open = groups().flat_map(|group| group.timestamps_ms.iter().map(|time| (*time, *time)));
        let sealed = groups().flat_map(|group| group.tiles.iter());
        let sealed = sealed.map(|tile| (tile.min_time_ms, tile.max_time_ms));
        let newest = newest_trusted(open.chain(sealed).chain(self.blocks.spans()));
        self.time.begin(now, newest);
        self.tile_files.keep_damaged(self.time.now_ms(now));
        for group in self.groups.iter_mut().flatten() {
            group.opened = group.opened.map(|(epoch, _)| (epoch, now.tick));
            if group.active_ms == WALL_UNKNOWN {
                group.active_ms = now.wall.0;
            }
        }
    }

    /// Seals the groups with rows that fulfil `wanted`, as far as memory for them reaches.
    fn seal_where(&mut self, now: Now, wanted: impl Fn(&Group) -> bool) {
        for at in 0..self.groups.len() {
            if self.sealed_is_full() {
                return;
            }
            let seals = self.groups[at].as_ref().is_some_and(|g| 0 < g.rows() && wanted(g));
            if seals {
                self.log_seal(now, index32(at));
            }
        }
    }

    /// Drops groups that were silent past retention, and columns without data within it.
    pub(crate) fn drop_dead(&mut self, oldest_ms: i64, expired: bool) {
        for at in 0..self.groups.len() {
            let group = index32(at);
            let Some(found) = self.groups[at].as_ref() else { continue };
            if self.is_silent(found, oldest_ms) {
                // The side group first: it means nothing without the other.
                if let Some(side) = self.side_keys.get(&found.key).copied() {
                    self.drop_group(side);
                }
                self.drop_group(group);
            } else if expired {
                for column in found.dead_columns() {
                    self.drop_column(group, column);
                    self.catalog.queue(Change::DropColumn(group, column), None);
                }
            }
        }
        for symbol in std::mem::take(&mut self.index.gone) {
            self.catalog.forget_symbol(symbol);
        }
        self.forget_families();
        self.forget_exemplars();
    }

    /// Whether neither it nor its side group has a sample, and none came for long. A side group
    /// goes with the other.
    fn is_silent(&self, group: &Group, oldest_ms: i64) -> bool {
        let empty = |group: &Group| group.rows() == 0 && group.tiles.is_empty();
        let side = self.side_keys.get(&group.key);
        let side = side.and_then(|side| self.groups[*side as usize].as_ref());
        !group.side
            && empty(group)
            && group.active_ms < oldest_ms
            && side.is_none_or(|side| empty(side) && side.active_ms < oldest_ms)
    }

    fn drop_group(&mut self, group: u32) {
        let Some(found) = self.groups[group as usize].as_ref() else { return };
        for column in found.live_columns() {
            self.drop_column(group, column);
        }
        let Some(found) = self.groups[group as usize].take() else { return };
        let keys = if found.side { &mut self.side_keys } else { &mut self.group_keys };
        keys.remove(&found.key);
        self.owners.give_back(found.owners);
        self.index.families.give_back(&found.metadata);
        self.catalog.queue(Change::DropGroup(group), None);
    }

    fn drop_column(&mut self, group: u32, column: u32) {
        let Some(found) = self.groups[group as usize].as_mut() else { return };
        let series = found.columns[column as usize].series;
        found.drop_column(column);
        self.index.remove_column(series, ColumnPlace { group, column });
        self.disown_series(group);
        self.counts.series_removed += 1;
    }

    /// Seals the groups whose open tile pins the oldest segment, once for each segment.
    pub(crate) fn seal_oldest(&mut self, now: Now) {
        let Some(oldest) = self.log.oldest_epoch() else { return };
        if self.counts.epoch_sealed < oldest {
            self.seal_where(now, |group| group.opened.is_some_and(|(epoch, _)| epoch <= oldest));
            if !self.sealed_is_full() {
                self.counts.epoch_sealed = oldest;
            }
        }
    }
}

/// Age at which the open tile of the group is sealed.
fn age_ms(group: &Group, age_ms_max: u64) -> u64 {
    let spread = age_ms_max / AGE_SPREAD;
    let share = u64::try_from(group.key.0 % 1024).unwrap_or(0);
    age_ms_max - spread * share / 1024
}
