//! Report: statistics and metrics of a store.
//!
//! Path: `shard` asks → **report** reads `store`.

use std::hash::BuildHasher;

use exposition::metrics::Collected;
use foldhash::fast::FixedState;

use crate::index::postings::Postings;
use crate::index::series::Values;
use crate::stats::{MemoryBytes, Named, Stats};
use crate::store::Store;
use crate::symbols::Symbol;

/// Seconds in a nanosecond.
const SECONDS_PER_NANO: f64 = 1e-9;

impl Store {
    /// Bytes of memory by purpose.
    #[must_use]
    pub fn memory(&self) -> MemoryBytes {
        let groups = self.groups.iter().flatten();
        let tiles: usize = groups.clone().map(|group| group.tile_bytes()).sum();
        let directory: usize = groups.map(|group| group.directory_bytes()).sum();
        let table = self.groups.capacity() * size_of::<usize>()
            + self.group_keys.allocation_size()
            + self.side_keys.allocation_size()
            + self.owners.heap_bytes();
        MemoryBytes {
            tiles: (tiles + table) as u64,
            sealed: self.tile_files.waiting_bytes(),
            directory: directory as u64,
            index: self.index.heap_bytes() as u64,
            symbols: self.index.symbols.heap_bytes() as u64,
            catalog: self.catalog.heap_bytes() as u64,
            exemplars: self.exemplars.heap_bytes() as u64,
            metadata: self.index.families.heap_bytes() as u64,
            log: self.log.backlog_bytes(),
            blocks: self.blocks.heap_bytes() as u64,
        }
    }

    /// The store at this moment, with the `top` first entries of each table.
    #[must_use]
    pub fn stats(&self, top: usize) -> Stats {
        let groups = || self.groups.iter().flatten();
        let hash = |value: &Symbol| FixedState::default().hash_one(self.index.symbols.text(*value));
        let hashes =
            |(name, values): (&str, &Values)| (name.to_owned(), values.keys().map(hash).collect());
        // As upstream counts them: once a series, as if texts were not shared.
        let bytes = |(name, values): (&str, &Values)| {
            let bytes_of = |(value, postings): (&Symbol, &Postings)| {
                self.index.symbols.text(*value).len() as u64 * postings.len()
            };
            named(name, values.iter().map(bytes_of).sum())
        };
        let metric_names = self.index.values(model::label_set::METRIC_NAME);
        let text = |symbol| self.index.symbols.text(symbol);
        Stats {
            series: self.index.len() as u64,
            groups: self.group_keys.len() as u64,
            chunks: groups().map(|group| group.chunks() as u64).sum(),
            tiles: groups().map(|group| group.tiles.len() as u64).sum(),
            min_time_ms: self.oldest_in_head_ms(),
            max_time_ms: self.counts.max_time_ms,
            memory: self.memory(),
            series_by_metric_name: head(
                metric_names
                    .into_iter()
                    .flatten()
                    .map(|(name, postings)| named(text(*name), postings.len())),
                top,
            ),
            values_by_label_name: self.index.labels().map(hashes).collect(),
            bytes_by_label_name: head(self.index.labels().map(bytes), top),
            series_by_label_pair: self.largest_pairs(top),
        }
    }

    fn oldest_in_head_ms(&self) -> Option<i64> {
        let groups = || self.groups.iter().flatten();
        let open = groups().flat_map(|group| group.timestamps_ms.iter().copied());
        let sealed = groups().filter_map(|group| group.tiles.front()).map(|tile| tile.min_time_ms);
        open.chain(sealed).min()
    }

    fn largest_pairs(&self, top: usize) -> Vec<Named> {
        let mut largest: Vec<(u64, &str, &str)> = Vec::new();
        for (name, values) in self.index.labels() {
            let pairs = values.iter().map(|(value, postings): (_, &Postings)| {
                (postings.len(), name, self.index.symbols.text(*value))
            });
            largest.extend(pairs);
            largest.sort_unstable_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            largest.truncate(top);
        }
        largest.iter().map(|(count, n, v)| named(&format!("{n}={v}"), *count)).collect()
    }

    /// Adds this store's counters and gauges.
    pub fn collect(&self, into: &mut Collected) {
        self.collect_head(into);
        self.collect_times(into);
        self.collect_log(into);
        self.collect_files(into);
        self.disk_faults.collect(into);
        self.collect_compactions(into);
        self.collect_blocks(into);
        self.collect_refusals(into);
        self.collect_exemplars(into);
        for (kind, name, refused) in self.owners.refused() {
            let help = "Series refused because their owner has as much as it may.";
            let labels = [("owner", kind.word()), ("name", name)];
            into.counter("cresset_storage_owner_limited_total", help, &labels, float_of(refused));
        }
        self.collect_memory(into);
    }

    fn collect_head(&self, into: &mut Collected) {
        let counts = &self.counts;
        let float = [("type", "float")];
        let mut counter = |name, help, value: u64| into.counter(name, help, &[], float_of(value));
        counter(
            "prometheus_tsdb_head_series_created_total",
            "Series created in the head.",
            counts.series_created,
        );
        counter(
            "prometheus_tsdb_head_series_removed_total",
            "Series removed from the head.",
            counts.series_removed,
        );
        counter("cresset_storage_rows_total", "Rows appended.", counts.rows);
        counter("cresset_storage_tiles_sealed_total", "Tiles sealed.", counts.tiles_sealed);
        counter(
            "cresset_storage_tile_bytes_total",
            "Bytes of the tiles sealed.",
            counts.tile_bytes,
        );
        into.counter(
            "prometheus_tsdb_head_samples_appended_total",
            "Samples appended, staleness markers included.",
            &float,
            float_of(counts.samples),
        );
        let groups = || self.groups.iter().flatten();
        let chunks: usize = groups().map(|group| group.chunks()).sum();
        let mut gauge = |name, help, value: f64| into.gauge(name, help, &[], value);
        gauge("prometheus_tsdb_head_series", "Live series.", float_of(self.index.len() as u64));
        gauge("prometheus_tsdb_head_chunks", "Chunks of the open tiles.", float_of(chunks as u64));
        gauge("cresset_storage_groups", "Live groups.", float_of(self.group_keys.len() as u64));
    }

    /// First and last times; none where there is no sample.
    fn collect_times(&self, into: &mut Collected) {
        let (oldest, newest) = (self.oldest_in_head_ms(), self.counts.max_time_ms);
        if let Some(oldest_ms) = oldest.into_iter().chain(self.blocks.min_time_ms()).min() {
            let help = "Oldest sample of head and blocks.";
            into.least("prometheus_tsdb_lowest_timestamp", help, signed(oldest_ms));
            let name = "prometheus_tsdb_lowest_timestamp_seconds";
            into.least(name, help, signed(oldest_ms) / 1000.0);
        }
        if let Some(oldest_ms) = oldest {
            let help = "Oldest sample of the head.";
            into.least("prometheus_tsdb_head_min_time", help, signed(oldest_ms));
            into.least("prometheus_tsdb_head_min_time_seconds", help, signed(oldest_ms) / 1000.0);
        }
        if let Some(newest_ms) = newest {
            let help = "Newest sample.";
            into.largest("prometheus_tsdb_head_max_time", help, signed(newest_ms));
            into.largest("prometheus_tsdb_head_max_time_seconds", help, signed(newest_ms) / 1000.0);
        }
    }

    fn collect_log(&self, into: &mut Collected) {
        let log = self.log.counts();
        let mut counter = |name, help, value: f64| into.counter(name, help, &[], value);
        counter(
            "cresset_storage_log_commits_total",
            "Commits made durable.",
            float_of(log.commits),
        );
        counter(
            "cresset_storage_rows_durable_total",
            "Rows that were made durable since the start.",
            float_of(log.rows_durable),
        );
        counter(
            "cresset_storage_log_written_bytes_total",
            "Bytes of durable commits, padding included.",
            float_of(log.commit_bytes),
        );
        counter(
            "cresset_storage_log_record_bytes_total",
            "Bytes of records, without frames and padding.",
            float_of(log.record_bytes),
        );
        counter(
            "cresset_storage_log_failures_total",
            "Commits and segment preparations that failed and were tried again.",
            float_of(log.failures),
        );
        counter(
            "prometheus_tsdb_wal_writes_failed_total",
            "Commits and segment preparations that failed and were tried again.",
            float_of(log.failures),
        );
        counter(
            "cresset_storage_log_commit_seconds_total",
            "Time from handing out a commit to its being durable.",
            float_of(log.commit_nanos) * SECONDS_PER_NANO,
        );
        counter(
            "prometheus_tsdb_wal_corruptions_total",
            "Parts of the disk that did not check at start, cut-off tails included.",
            float_of(self.counts.damages),
        );
        into.summary(
            "prometheus_tsdb_wal_fsync_duration_seconds",
            "Time from handing out a commit to its being durable.",
            &[],
            &[],
            float_of(log.commit_nanos) * SECONDS_PER_NANO,
            log.commits,
        );
        self.collect_segments(into);
    }

    fn collect_segments(&self, into: &mut Collected) {
        into.largest(
            "prometheus_tsdb_wal_segment_current",
            "Segments that were begun; of several shards the most.",
            float_of(self.log.epoch()),
        );
        let mut gauge = |name, help, value: u64| into.gauge(name, help, &[], float_of(value));
        gauge(
            "cresset_storage_log_backlog_bytes",
            "Records that are not durable.",
            self.log.backlog_bytes(),
        );
        gauge(
            "cresset_storage_log_segments",
            "Segments that something needs.",
            self.log.live_segments() as u64,
        );
        gauge(
            "prometheus_tsdb_wal_storage_size_bytes",
            "Bytes of the segments that something needs.",
            self.log.live_segments() as u64 * self.options.segment_bytes,
        );
    }

    fn collect_files(&self, into: &mut Collected) {
        let failures = &self.counts.file_failures;
        for (name, help, value) in [
            (
                "prometheus_tsdb_checkpoint_creations_failed_total",
                "Writes of the catalog that failed and were tried again.",
                failures.catalog,
            ),
            (
                "prometheus_tsdb_reloads_failures_total",
                "Manifests, which bring blocks in and out, that failed and were tried again.",
                failures.manifest,
            ),
            (
                "prometheus_tsdb_head_truncations_failed_total",
                "Writes of sealed tiles that failed and were tried again.",
                failures.tiles,
            ),
            (
                "prometheus_tsdb_checkpoint_deletions_failed_total",
                "Deletions of files that failed and were tried again.",
                failures.deletions,
            ),
            (
                "cresset_storage_file_failures_total",
                "File operations that failed and were tried again.",
                failures.catalog + failures.manifest + failures.tiles + failures.deletions,
            ),
        ] {
            into.counter(name, help, &[], float_of(value));
        }
        into.counter(
            "cresset_storage_tile_files_expired_total",
            "Tile files that passed retention.",
            &[],
            float_of(self.counts.files_expired),
        );
        let mut gauge = |name, help, value: u64| into.gauge(name, help, &[], float_of(value));
        gauge("cresset_storage_tile_files", "Tile files.", self.tile_files.count() as u64);
        gauge(
            "cresset_storage_tile_files_damaged",
            "Tile files that did not read to their end at start; they stay until retention.",
            self.tile_files.damaged() as u64,
        );
        gauge(
            "cresset_storage_tile_file_bytes",
            "Bytes of the tile files.",
            self.tile_files.file_bytes(),
        );
    }

    fn collect_compactions(&self, into: &mut Collected) {
        let counts = &self.blocks.counts;
        for (name, help, value) in [
            (
                "prometheus_tsdb_compactions_triggered_total",
                "Compactions asked for.",
                counts.compactions_triggered,
            ),
            ("prometheus_tsdb_compactions_total", "Compactions done.", counts.compactions),
            (
                "prometheus_tsdb_compactions_failed_total",
                "Compactions that failed or were refused; each is asked for again.",
                counts.compactions_failed,
            ),
            (
                "cresset_storage_compaction_read_bytes_total",
                "Bytes that compactions read.",
                counts.read_bytes,
            ),
            (
                "cresset_storage_compaction_written_bytes_total",
                "Bytes of the blocks that compactions wrote.",
                counts.written_bytes,
            ),
            (
                "cresset_storage_compaction_samples_total",
                "Samples that compactions read.",
                counts.samples,
            ),
            (
                "cresset_storage_compaction_damages_total",
                "Parts of tile files that did not check and were left out.",
                counts.damages,
            ),
            ("cresset_storage_manifests_total", "Manifests written.", counts.manifests),
            (
                "prometheus_tsdb_reloads_total",
                "Manifests, which bring blocks in and out, that were written.",
                counts.manifests,
            ),
        ] {
            into.counter(name, help, &[], float_of(value));
        }
    }

    fn collect_blocks(&self, into: &mut Collected) {
        let counts = &self.blocks.counts;
        for (name, help, value) in [
            (
                "prometheus_tsdb_time_retentions_total",
                "Blocks that passed retention by time.",
                counts.expired,
            ),
            (
                "prometheus_tsdb_size_retentions_total",
                "Blocks that went because of their bytes.",
                counts.expired_by_size,
            ),
            (
                "cresset_storage_deletions_refused_total",
                "Deletions refused because too many wait for compaction.",
                counts.deletions_refused,
            ),
        ] {
            into.counter(name, help, &[], float_of(value));
        }
        let mut gauge = |name, help, value: u64| into.gauge(name, help, &[], float_of(value));
        let blocks = self.blocks.live().count() as u64;
        gauge("prometheus_tsdb_blocks_loaded", "Live blocks.", blocks);
        gauge(
            "prometheus_tsdb_storage_blocks_bytes",
            "Bytes of the live blocks.",
            self.blocks.bytes(),
        );
        gauge(
            "cresset_storage_blocks_quarantined",
            "Blocks with damage, which take part in no compaction.",
            self.blocks.quarantined(),
        );
        gauge(
            "cresset_storage_tombstones",
            "Deletions that may hide samples of tiles, blocks or the log.",
            self.blocks.tombstones().len() as u64,
        );
        gauge(
            "cresset_storage_tombstones_in_blocks",
            "Deletions whose samples some block still holds.",
            self.blocks.tombstones_in_blocks() as u64,
        );
    }

    fn collect_refusals(&self, into: &mut Collected) {
        let counts = &self.counts;
        for (reason, value) in [
            ("duplicate", counts.rows_duplicate),
            ("overloaded", counts.rows_overloaded),
            ("too_old", counts.rows_too_old),
            ("unknown", counts.rows_unknown),
            ("unfit", counts.rows_unfit),
        ] {
            let help = "Rows that were not stored, by reason.";
            let labels = [("reason", reason)];
            into.counter("cresset_storage_rows_refused_total", help, &labels, float_of(value));
        }
        for (limit, value) in [
            ("series", counts.limited_series),
            ("groups", counts.limited_groups),
            ("columns", counts.limited_columns),
            ("metadata", counts.metadata_refused),
            ("bytes", counts.limited_bytes),
        ] {
            let help = "Series and groups refused because a limit was reached.";
            into.counter(
                "cresset_storage_limited_total",
                help,
                &[("limit", limit)],
                float_of(value),
            );
        }
        for (name, help, value) in [
            (
                "prometheus_tsdb_out_of_order_samples_total",
                "Samples refused because later ones are sealed and out of order is off.",
                counts.samples_out_of_order,
            ),
            (
                "prometheus_tsdb_too_old_samples_total",
                "Samples refused because they are behind the out of order window.",
                counts.samples_too_old,
            ),
        ] {
            into.counter(name, help, &[("type", "float")], float_of(value));
        }
        into.counter(
            "cresset_storage_rows_late_total",
            "Rows behind the sealed ones of their group that were taken.",
            &[],
            float_of(counts.rows_late),
        );
    }

    fn collect_exemplars(&self, into: &mut Collected) {
        let counts = self.exemplars.counts;
        let mut counter = |name, help, value: u64| into.counter(name, help, &[], float_of(value));
        counter(
            "prometheus_tsdb_exemplar_exemplars_appended_total",
            "Exemplars taken.",
            counts.appended,
        );
        counter(
            "prometheus_tsdb_exemplar_out_of_order_exemplars_total",
            "Exemplars refused because their series has a newer one.",
            counts.out_of_order,
        );
        counter(
            "cresset_storage_exemplars_refused_total",
            "Exemplars refused for another reason.",
            counts.refused,
        );
        let mut gauge = |name, help, value: u64| into.gauge(name, help, &[], float_of(value));
        gauge(
            "prometheus_tsdb_exemplar_exemplars_in_storage",
            "Exemplars held.",
            self.exemplars.len() as u64,
        );
        gauge(
            "prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
            "Series with an exemplar.",
            self.exemplars.series() as u64,
        );
        gauge(
            "prometheus_tsdb_exemplar_max_exemplars",
            "Exemplars held at most.",
            self.options.exemplars_max.into(),
        );
    }

    fn collect_memory(&self, into: &mut Collected) {
        let memory = self.memory();
        let help = "Bytes of label names and values.";
        let name = "prometheus_tsdb_symbol_table_size_bytes";
        into.gauge(name, help, &[], float_of(memory.symbols));
        for (purpose, bytes) in [
            ("tiles", memory.tiles),
            ("sealed", memory.sealed),
            ("directory", memory.directory),
            ("index", memory.index),
            ("symbols", memory.symbols),
            ("catalog", memory.catalog),
            ("exemplars", memory.exemplars),
            ("metadata", memory.metadata),
            ("log", memory.log),
            ("blocks", memory.blocks),
        ] {
            into.memory(purpose, bytes);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counters past 2^53 may lose their last bit")]
fn float_of(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "a time in milliseconds is below 2^53")]
fn signed(time_ms: i64) -> f64 {
    time_ms as f64
}

fn named(name: &str, count: u64) -> Named {
    Named { name: name.to_owned(), count }
}

/// The `top` largest, by falling count, then name.
fn head(entries: impl Iterator<Item = Named>, top: usize) -> Vec<Named> {
    let mut entries: Vec<Named> = entries.collect();
    entries.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    entries.truncate(top);
    entries
}
