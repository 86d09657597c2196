//! Own: a data directory of ours that no server has open, read series by series.
//!
//! Path: `opened` → **own** → `machine::offline`, `storage`.

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use machine::offline::Offline;
use machine::tiles::TileFiles;
use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::samples::Samples;
use model::time::TimestampMs;
use storage::block::cache::BlockCache;
use storage::compaction::{Aggregate, BlockSummary};
use storage::import::ShardManifest;
use storage::names::FileName;
use storage::selection::{SelectRequest, SelectedSeries, TileCache};
use storage::store::Store;
use tsdb::sample::{Counts, Sample};

/// A data directory of ours.
pub struct OwnDirectory {
    offline: Offline,
    shards: Vec<OwnShard>,
}

struct OwnShard {
    store: Box<Store>,
    files: Arc<TileFiles>,
}

/// Its series in order of label set.
pub struct OwnStream {
    series: IntoIter<LabelSet, Vec<(usize, SelectedSeries)>>,
    /// Files and cache of each shard.
    shards: Vec<(Arc<TileFiles>, TileCache)>,
    range: (TimestampMs, TimestampMs),
    total: u64,
    done: u64,
}

impl OwnDirectory {
    /// Takes the directory and recovers every shard of it, which writes nothing.
    ///
    /// # Errors
    /// A server has it, or it does not open.
    pub fn open(directory: &Path) -> Result<OwnDirectory> {
        let offline = take(directory)?;
        let mut shards = Vec::new();
        for number in 0..offline.shards() {
            let (store, report) = offline.store(number)?;
            for damage in report.damages {
                eprintln!("note: shard-{number}: {damage}");
            }
            shards.push(OwnShard { store, files: Arc::new(offline.reader(number)?) });
        }
        Ok(OwnDirectory { offline, shards })
    }

    /// Its blocks, each with its shard.
    ///
    /// # Errors
    /// A manifest does not read.
    pub fn blocks(&self) -> Result<Vec<(u32, BlockSummary)>> {
        let mut blocks = Vec::new();
        for number in 0..self.offline.shards() {
            let manifest = manifest_of(&self.offline, number)?;
            blocks.extend(manifest.blocks().map(|block| (number, *block)));
        }
        blocks.sort_by_key(|(shard, block)| (block.min_time_ms, *shard, block.number));
        Ok(blocks)
    }

    /// First and last times of its parts.
    ///
    /// # Errors
    /// A manifest does not read.
    pub fn spans(&self) -> Result<Vec<(TimestampMs, TimestampMs)>> {
        let blocks = self.blocks()?;
        let blocks = blocks.iter().map(|(_, block)| (block.min_time_ms, block.max_time_ms));
        let heads = self.shards.iter().filter_map(|shard| {
            let stats = shard.store.stats(0);
            stats.min_time_ms.zip(stats.max_time_ms)
        });
        let spans = blocks.chain(heads);
        Ok(spans.map(|(min, max)| (TimestampMs(min), TimestampMs(max))).collect())
    }

    /// Series that fulfil any of the selectors and may have samples in the range.
    ///
    /// # Errors
    /// A block cannot be read.
    pub fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: (TimestampMs, TimestampMs),
    ) -> Result<OwnStream> {
        let mut found: BTreeMap<LabelSet, Vec<(usize, SelectedSeries)>> = BTreeMap::new();
        for matchers in selectors {
            let mut selected = BTreeMap::new();
            for (at, shard) in self.shards.iter().enumerate() {
                shard.select(at, matchers, range, &mut selected)?;
            }
            // A series that an earlier selector gave is whole already.
            for (labels, parts) in selected {
                found.entry(labels).or_insert(parts);
            }
        }
        let cache = |shard: &OwnShard| (Arc::clone(&shard.files), TileCache::default());
        let total = found.len() as u64;
        let (series, shards) = (found.into_iter(), self.shards.iter().map(cache).collect());
        Ok(OwnStream { series, shards, range, total, done: 0 })
    }
}

/// Takes the directory for this process.
///
/// # Errors
/// A server has it.
pub fn take(directory: &Path) -> Result<Offline> {
    let hint = "stop the server that has it, or ask the server";
    Offline::open(directory).with_context(|| format!("open {} ({hint})", directory.display()))
}

/// The manifest of a shard.
///
/// # Errors
/// None is whole, or one is of another version.
pub fn manifest_of(offline: &Offline, number: u32) -> Result<ShardManifest> {
    let (mut manifests, mut blocks) = (Vec::new(), Vec::new());
    for (file, _) in offline.files(number)? {
        match file {
            FileName::Manifest(at) => manifests.push((at, offline.read(number, file)?)),
            FileName::Block(at) => blocks.push(at),
            _ => {}
        }
    }
    ShardManifest::newest(manifests, &blocks).map_err(|error| anyhow!("shard-{number}: {error}"))
}

impl OwnShard {
    fn select(
        &self,
        at: usize,
        matchers: &[Matcher],
        (from, to): (TimestampMs, TimestampMs),
        selected: &mut BTreeMap<LabelSet, Vec<(usize, SelectedSeries)>>,
    ) -> Result<()> {
        let request = SelectRequest {
            matchers: matchers.to_vec(),
            after: TimestampMs(from.0.saturating_sub(1)),
            until: to,
            series_max: usize::MAX - 1,
            aggregate: Aggregate::default(),
        };
        let own = self.store.select(&request)?;
        let mut cache = BlockCache::default();
        let mut lists = vec![own.series];
        for block in &own.blocks {
            lists.push(block.select(&*self.files, &mut cache, &request)?);
        }
        for series in lists.into_iter().flatten() {
            let parts = selected.entry(series.labels.clone()).or_default();
            match parts.iter_mut().find(|(shard, _)| *shard == at) {
                Some((_, part)) => part.absorb(series),
                None => parts.push((at, series)),
            }
        }
        Ok(())
    }
}

impl OwnStream {
    /// The next series that has samples, which are put into `samples`.
    ///
    /// # Errors
    /// A file cannot be read or is damaged.
    pub fn read(&mut self, samples: &mut Vec<Sample>) -> Result<Option<LabelSet>> {
        let mut decoded = Samples::default();
        for (labels, parts) in self.series.by_ref() {
            decoded.clear();
            samples.clear();
            self.done += 1;
            for (shard, part) in &parts {
                let (files, cache) = &mut self.shards[*shard];
                let after = TimestampMs(self.range.0.0.saturating_sub(1));
                part.decode(&**files, cache, after, self.range.1, &mut decoded)?;
            }
            decoded.settle(0, |_| 0);
            convert(&decoded, samples);
            if !samples.is_empty() {
                return Ok(Some(labels));
            }
        }
        Ok(None)
    }

    /// Series that were given, and all there are.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.done, self.total)
    }
}

fn convert(decoded: &Samples, into: &mut Vec<Sample>) {
    let mut histograms = decoded.histograms.iter().peekable();
    let values = decoded.timestamps_ms.iter().zip(&decoded.values).enumerate();
    for (at, (time, value)) in values {
        let histogram = histograms.next_if(|(place, _)| *place as usize == at);
        let mut sample = match histogram {
            // What is no integer is written as a float.
            Some((_, native)) => Sample::histogram(*time, Counts::Integer, (**native).clone()),
            None => Sample::float(*time, *value),
        };
        let start = decoded.start_timestamps_ms.get(at).copied().unwrap_or(0);
        sample.start = TimestampMs(start);
        into.push(sample);
    }
}
