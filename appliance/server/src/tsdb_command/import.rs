//! `cresset tsdb import`: takes a data directory of Prometheus or Thanos over, window by window.
//!
//! A window's series are dealt to the shards by their hash, each shard gets one block, the blocks
//! are read back and counted, and only then named in the manifests. A block that Thanos has
//! downsampled is a window of its own.
//!
//! Path: `opened` → **import** → `storage::import`, `journal`.
//! Never: changes the source, names a block whose samples were not all found in its file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use machine::clock;
use machine::offline::{Offline, is_data_directory};
use model::label_set::LabelSet;
use model::staleness::stale_nan;
use model::time::TimestampMs;
use storage::compact::downsample::AggregateChunk;
use storage::compaction::{BlockSummary, Resolution};
use storage::import::{BlockImport, ShardManifest};
use storage::inspect::check_block;
use storage::names::FileName;
use tsdb::block::Block;
use tsdb::directory::Directory;
use tsdb::merge::{Selection, SeriesStream};
use tsdb::sample::{Sample, Value};
use tsdb::windows::{WindowChunk, WindowStream};

use crate::tsdb_arguments::ImportOptions;
use crate::tsdb_command::blocks_out::{block_range_ms, range_start};
use crate::tsdb_command::journal::{Entry, Journal, Pending};
use crate::tsdb_command::opened::{load_head, next_span, open_levels, refuse_running};
use crate::tsdb_command::own::{manifest_of, take};
use crate::tsdb_command::print::{Ended, Progress, duration_text, output, time_text};

/// Bytes of a block that are written at once.
const WRITE_BYTES: usize = 1 << 20;
/// A block is for a tenth of all, as compaction makes them, but for a day or so at least.
const WINDOWS: i64 = 10;
const WINDOW_MS_MIN: i64 = 64_800_000;
const WINDOW_MS_MAX: i64 = 31 * 86_400_000;

/// What is taken over.
#[derive(Clone, Copy)]
enum Rows<'a> {
    /// Raw samples of blocks and head.
    Raw(&'a Directory),
    /// A block of aggregates.
    Windows(&'a Block, Resolution),
}

/// An import under way.
struct Import<'a> {
    rows: Rows<'a>,
    /// All blocks of aggregates, with their resolutions.
    downsampled: &'a [(Block, Resolution)],
    offline: &'a Offline,
    journal: Journal,
    name: String,
    window_ms: i64,
    range: (TimestampMs, TimestampMs),
    progress: Progress,
}

/// A shard's block under way.
struct ShardBlock {
    shard: u32,
    number: u64,
    block: BlockImport,
    read: u64,
}

/// Takes the source over.
///
/// # Errors
/// The source cannot be read or is damaged, our directory is in use or does not open, or a block
/// does not hold what was read. What is done stays done: run it again.
pub fn run(options: &ImportOptions) -> Result<Ended> {
    let shown = options.source.display();
    if is_data_directory(&options.source) {
        bail!("{shown} is a data directory of Cresset already");
    }
    refuse_running(&options.source)?;
    let (mut source, downsampled) = open_levels(&options.source)?;
    load_head(&mut source)?;
    let downsampled = with_resolutions(downsampled);
    let spans = source.spans().into_iter().chain(downsampled.iter().map(|(block, _)| span(block)));
    let whole = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let Some(range) = whole else { bail!("{shown} has no samples") };
    let name = std::fs::canonicalize(&options.source).with_context(|| format!("find {shown}"))?;
    let offline = take_own(&options.directory)?;
    let journal = Journal::open(&options.directory)?;
    let span_ms = range.1.0.saturating_sub(range.0.0);
    let window_ms = block_range_ms((span_ms / WINDOWS).clamp(WINDOW_MS_MIN, WINDOW_MS_MAX));
    let mut import = Import {
        rows: Rows::Raw(&source),
        downsampled: &downsampled,
        offline: &offline,
        journal,
        name: name.display().to_string(),
        window_ms,
        range,
        progress: Progress::new("importing"),
    };
    warn_of_retention(options, range);
    let mut out = output();
    if let Some(range) = source.spans().into_iter().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) {
        import.range = range;
        import.run(&mut out)?;
    }
    for (block, resolution) in &downsampled {
        import.rows = Rows::Windows(block, *resolution);
        import.name = name.join(&block.meta().ulid).display().to_string();
        import.range = span(block);
        import.run(&mut out)?;
    }
    out.flush()?;
    Ok(Ended::Well)
}

/// First and last time of a block, as it says itself.
fn span(block: &Block) -> (TimestampMs, TimestampMs) {
    let meta = block.meta();
    (meta.min, TimestampMs(meta.max.0.saturating_sub(1)).max(meta.min))
}

/// Blocks of aggregates whose resolution is one of ours; says what is left out, and what the
/// others need to stay.
fn with_resolutions(blocks: Vec<Block>) -> Vec<(Block, Resolution)> {
    let mut known = Vec::new();
    for block in blocks {
        let resolution_ms = block.meta().thanos.as_ref().map_or(0, |thanos| thanos.resolution_ms);
        match Resolution::of_ms(resolution_ms) {
            Some(resolution) => known.push((block, resolution)),
            None => {
                let (ulid, text) = (&block.meta().ulid, duration_text(resolution_ms));
                eprintln!("note: block {ulid} has a resolution of {text} and is left out");
            }
        }
    }
    if !known.is_empty() {
        eprintln!(
            "note: {} blocks are downsampled: the server deletes them unless cresset.retention \
             has tiers of their resolution that reach back as far",
            known.len()
        );
    }
    known
}

/// Our directory, which must not be one of Prometheus's.
fn take_own(directory: &Path) -> Result<Offline> {
    if !is_data_directory(directory)
        && let Some(sign) = tsdb::directory::prometheus_sign(directory)
    {
        let shown = directory.display();
        bail!("{shown} is a data directory of Prometheus ({sign}): import into another one");
    }
    take(directory)
}

fn warn_of_retention(options: &ImportOptions, (min, max): (TimestampMs, TimestampMs)) {
    let oldest = clock::now().wall.0.saturating_sub(options.retention_ms);
    if min.0 < oldest {
        let what = if max.0 < oldest { "all samples are" } else { "some samples are" };
        let since = time_text(min.0, true);
        eprintln!(
            "note: {what} older than the retention of {}: the server deletes them unless its \
             --storage.tsdb.retention.time reaches back to {since}",
            duration_text(options.retention_ms)
        );
    }
}

impl Import<'_> {
    fn entry(&mut self) -> &mut Entry {
        self.journal.entry(&self.name, self.window_ms)
    }

    /// Takes over what is not, and tells of it.
    fn run(&mut self, out: &mut impl Write) -> Result<()> {
        self.settle_pending()?;
        let max = self.range.1;
        let finished_ms = self.entry().finished_ms;
        let is_new = finished_ms.is_none_or(|finished_ms| finished_ms < max.0);
        if is_new {
            match self.rows {
                Rows::Raw(source) => self.take_windows(&source.spans(), finished_ms)?,
                Rows::Windows(..) => {
                    let (min, end) = (self.range.0, TimestampMs(max.0.saturating_add(1)));
                    if self.entry().done_ms.is_none() {
                        self.take_window((min, end))?;
                    }
                }
            }
            self.entry().finished_ms = Some(max.0);
            self.journal.save()?;
        }
        self.progress.clear();
        let (entry, already) = (self.entry(), if is_new { "" } else { " (already done)" });
        let (samples, blocks, name) = (entry.samples, entry.blocks, &entry.source);
        let text = format!("{samples} samples read = {samples} stored, in {blocks} blocks");
        Ok(writeln!(out, "imported {name}{already}: {text}")?)
    }

    fn take_windows(
        &mut self,
        spans: &[(TimestampMs, TimestampMs)],
        finished_ms: Option<i64>,
    ) -> Result<()> {
        let (min, max) = self.range;
        let entry = self.entry();
        if let Some(finished_ms) = finished_ms {
            // The source has grown since: what is behind its end of then is new.
            entry.done_ms = Some(finished_ms.saturating_add(1));
            entry.finished_ms = None;
        }
        let window_ms = entry.window_ms;
        let mut from = entry.done_ms.map_or(min, |done_ms| TimestampMs(done_ms).max(min));
        while let Some(first) = next_span(spans, from).filter(|first| *first <= max) {
            let start = range_start(first, window_ms);
            let end = start.saturating_add(window_ms);
            self.take_window((start.max(from), end))?;
            if end <= from {
                break;
            }
            from = end;
        }
        Ok(())
    }

    fn take_window(&mut self, (start, end): (TimestampMs, TimestampMs)) -> Result<()> {
        let shards: BTreeSet<u32> = (0..self.offline.shards()).collect();
        let blocks = self.make((start, end), &shards)?;
        let pending = Pending { start_ms: start.0, end_ms: end.0, blocks };
        self.entry().pending = Some(pending);
        self.journal.save()?;
        self.name_pending()
    }

    /// A run before this one was killed while it named the blocks of a window. Those that are
    /// named or still there stay; the server may have taken others away since, as it does with
    /// files that no manifest names: they are made again.
    fn settle_pending(&mut self) -> Result<()> {
        let Some(mut pending) = self.entry().pending.clone() else { return Ok(()) };
        let mut lost = BTreeSet::new();
        for (shard, block) in &pending.blocks {
            let is_named = manifest_of(self.offline, *shard)?
                .blocks()
                .any(|known| known.number == block.number);
            let file = (FileName::Block(block.number), block.bytes);
            if !is_named && !self.offline.files(*shard)?.contains(&file) {
                lost.insert(*shard);
            }
        }
        if !lost.is_empty() {
            let window = (TimestampMs(pending.start_ms), TimestampMs(pending.end_ms));
            pending.blocks.retain(|(shard, _)| !lost.contains(shard));
            pending.blocks.extend(self.make(window, &lost)?);
            self.entry().pending = Some(pending);
            self.journal.save()?;
        }
        self.name_pending()
    }

    /// Gives the blocks of the window under way their places in the manifests: from then on they
    /// are served.
    fn name_pending(&mut self) -> Result<()> {
        let Some(pending) = self.entry().pending.take() else { return Ok(()) };
        let entry = self.entry();
        entry.done_ms = Some(pending.end_ms);
        for (shard, block) in &pending.blocks {
            let entry = self.entry();
            entry.samples += block.samples;
            entry.blocks += 1;
            let mut manifest = manifest_of(self.offline, *shard)?;
            if !manifest.blocks().any(|known| known.number == block.number) {
                manifest.add(*block, self.is_downsampled(block));
                write_manifest(self.offline, *shard, &mut manifest)?;
            }
        }
        self.journal.save()
    }

    /// Whether the source has all times of `block` at five minutes, and at an hour.
    fn is_downsampled(&self, block: &BlockSummary) -> (bool, bool) {
        let has = |resolution: Resolution| {
            let mut reached = block.min_time_ms;
            let mut spans: Vec<_> =
                self.downsampled.iter().filter(|(_, of)| *of == resolution).collect();
            spans.sort_by_key(|(coarse, _)| coarse.meta().min);
            for (coarse, _) in spans {
                let (first, last) = span(coarse);
                if first.0 <= reached {
                    reached = reached.max(last.0.saturating_add(1));
                }
            }
            block.max_time_ms < reached
        };
        (has(Resolution::FiveMinutes), has(Resolution::Hour))
    }

    /// Makes the blocks of a window for these shards: durable, read back and counted.
    fn make(
        &mut self,
        (start, end): (TimestampMs, TimestampMs),
        shards: &BTreeSet<u32>,
    ) -> Result<Vec<(u32, BlockSummary)>> {
        let max = TimestampMs(end.0.saturating_sub(1));
        let selection = Selection { min: start, max, ..Selection::default() };
        let mut blocks = self.begin(&selection, shards)?;
        match self.rows {
            Rows::Raw(source) => {
                let mut stream = source.series(selection)?;
                while let Some(labels) = stream.next_series()? {
                    let Some(block) = self.block_of(&labels, &mut blocks) else { continue };
                    block.take(&labels, &mut stream)?;
                    block.flush(self.offline, WRITE_BYTES)?;
                    self.tell((start, end), stream.progress());
                }
            }
            Rows::Windows(source, _) => {
                let mut stream = WindowStream::open(source)?;
                while let Some((labels, chunks)) = stream.next_series()? {
                    let Some(block) = self.block_of(&labels, &mut blocks) else { continue };
                    block.take_windows(&labels, chunks);
                    block.flush(self.offline, WRITE_BYTES)?;
                    let (done, total) = stream.progress();
                    let samples = blocks.iter().map(|block| block.read).sum();
                    let all = tsdb::merge::Progress { samples, done, total, ..Default::default() };
                    self.tell((start, end), all);
                }
            }
        }
        let mut made = Vec::new();
        for block in blocks {
            made.extend(block.finish(self.offline)?);
        }
        Ok(made)
    }

    /// A block for each of the shards that has series in the selection, with all their texts.
    fn begin(&mut self, selection: &Selection, shards: &BTreeSet<u32>) -> Result<Vec<ShardBlock>> {
        let mut symbols: BTreeMap<u32, BTreeSet<Box<str>>> = BTreeMap::new();
        let mut add = |labels: &LabelSet| {
            let shard = self.shard_of(labels);
            if !shards.contains(&shard) {
                return;
            }
            let known = symbols.entry(shard).or_default();
            for text in labels.iter().flat_map(|(name, value)| [name, value]) {
                if !known.contains(text) {
                    known.insert(text.into());
                }
            }
        };
        let resolution = match self.rows {
            Rows::Raw(source) => {
                let mut stream = source.series(selection.clone())?;
                while let Some(labels) = stream.next_series()? {
                    add(&labels);
                }
                Resolution::Raw
            }
            Rows::Windows(source, resolution) => {
                let mut scan = source.series()?;
                while let Some(entry) = scan.read()? {
                    add(&entry.labels);
                }
                resolution
            }
        };
        let begin = |(shard, symbols)| ShardBlock::begin(self.offline, shard, resolution, symbols);
        symbols.into_iter().map(begin).collect()
    }

    /// The block that the series belongs to; `None` when that shard's is not made.
    fn block_of<'b>(
        &self,
        labels: &LabelSet,
        blocks: &'b mut [ShardBlock],
    ) -> Option<&'b mut ShardBlock> {
        let shard = self.shard_of(labels);
        blocks.iter_mut().find(|block| block.shard == shard)
    }

    fn shard_of(&self, labels: &LabelSet) -> u32 {
        let shard = labels.hash64() % u64::from(self.offline.shards().max(1));
        u32::try_from(shard).expect("less than the shards")
    }

    fn tell(&mut self, (start, end): (TimestampMs, TimestampMs), read: tsdb::merge::Progress) {
        let (min, max) = self.range;
        let all = i128::from(max.0) - i128::from(min.0) + 1;
        let before = i128::from(start.0) - i128::from(min.0);
        let window = i128::from(end.0.min(max.0)) - i128::from(start.0);
        let share = window * i128::from(read.done) / i128::from(read.total.max(1));
        let permille = u64::try_from((before + share).max(0) * 1000 / all).unwrap_or(1000);
        let samples = self.entry().samples + read.samples;
        self.progress.show(permille, 1000, &format!("{samples} samples"));
    }
}

impl ShardBlock {
    fn begin(
        offline: &Offline,
        shard: u32,
        resolution: Resolution,
        symbols: BTreeSet<Box<str>>,
    ) -> Result<ShardBlock> {
        let mut manifest = manifest_of(offline, shard)?;
        if manifest.is_new() {
            // Recovery tells by it a directory without blocks from one that lost its manifest.
            write_manifest(offline, shard, &mut manifest)?;
        }
        let number = manifest.next_block();
        let block = BlockImport::new(number, resolution, symbols, manifest.newest_tombstone());
        Ok(ShardBlock { shard, number, block, read: 0 })
    }

    /// Takes the samples of the series that the stream is at.
    fn take(&mut self, labels: &LabelSet, stream: &mut SeriesStream) -> Result<()> {
        while let Some(sample) = stream.next_sample()? {
            self.read += 1;
            let Sample { timestamp, start, value } = sample;
            match value {
                Value::Float(value) => self.block.float(timestamp, value, start),
                // A stale histogram is a marker, as a stale float is.
                value @ Value::Histogram(_) if value.is_stale() => {
                    self.block.float(timestamp, stale_nan(), start);
                }
                Value::Histogram(histogram) => {
                    self.block.histogram(timestamp, histogram.native, start);
                }
            }
        }
        self.block.series(labels);
        Ok(())
    }

    /// Takes the chunks of a series of a downsampled block.
    fn take_windows(&mut self, labels: &LabelSet, chunks: Vec<WindowChunk>) {
        let chunk = |aggregates| AggregateChunk { aggregates };
        let chunks: Vec<AggregateChunk> = chunks.into_iter().map(chunk).collect();
        let lists = chunks.iter().flat_map(|chunk| &chunk.aggregates);
        self.read += lists.map(|list| list.len() as u64).sum::<u64>();
        self.block.windows(labels, &chunks);
    }

    /// Writes what is ready when it is `least` bytes or more.
    fn flush(&mut self, offline: &Offline, least: usize) -> Result<()> {
        if self.block.ready_bytes() < least.max(1) {
            return Ok(());
        }
        let (offset, bytes) = self.block.take();
        Ok(offline.write(self.shard, FileName::Block(self.number), offset, &bytes)?)
    }

    /// Ends the block, brings it to the disk, and reads all of it back.
    fn finish(mut self, offline: &Offline) -> Result<Option<(u32, BlockSummary)>> {
        let (shard, file) = (self.shard, FileName::Block(self.number));
        let Some(summary) = self.block.finish() else { return Ok(None) };
        self.flush(offline, 0)?;
        offline.sync(shard, file)?;
        let found = check_block(&offline.reader(shard)?, &summary);
        if let Some(damage) = found.damages.first() {
            bail!("shard-{shard}/{file}, byte {}: {}: not named", damage.offset, damage.reason);
        }
        if found.samples != self.read || summary.samples != self.read {
            let (stored, read) = (found.samples, self.read);
            bail!("shard-{shard}/{file}: {read} samples were read, {stored} are stored: not named");
        }
        Ok(Some((shard, summary)))
    }
}

fn write_manifest(offline: &Offline, shard: u32, manifest: &mut ShardManifest) -> Result<()> {
    let (file, bytes) = manifest.write();
    offline.write(shard, file, 0, &bytes)?;
    Ok(offline.sync(shard, file)?)
}
