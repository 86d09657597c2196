//! Import: blocks made of series that come from elsewhere, and the manifest that names them.
//!
//! Path: `cresset tsdb import`, offline → **import** → files that `recovery` finds.
//! Never: does I/O, holds more samples than those of one series.
//! Formats: docs/format/{block,manifest}.md.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;
use model::time::TimestampMs;
use thiserror::Error;

use crate::block::gather::Gathered;
use crate::block::writer::{Header, Writer};
use crate::compact::downsample::{AggregateChunk, gathered_of, parts};
use crate::compaction::{BlockSummary, Resolution};
use crate::manifest::{LiveBlock, Manifest, other_version};
use crate::names::FileName;

/// Level of the blocks: theirs are compressed.
const LEVEL: u8 = 2;
/// Greater than what any group gives: a sample that was scraped wins over one that was imported.
const ORIGIN: u64 = 1 << 32 | u32::MAX as u64;

/// A block under way.
#[derive(Debug)]
pub struct BlockImport {
    writer: Writer,
    numbers: HashMap<Box<str>, u32, FixedState>,
    labels: Vec<(u32, u32)>,
    gathered: Gathered,
}

impl BlockImport {
    /// The block of this number. `symbols` are all label names and values of the series to come,
    /// `tombstone` the newest deletion that does not touch it.
    #[must_use]
    pub fn new(
        number: u64,
        resolution: Resolution,
        symbols: BTreeSet<Box<str>>,
        tombstone: u64,
    ) -> BlockImport {
        let header = Header { number, level: LEVEL, resolution, tombstone };
        let symbols: Vec<Box<str>> = symbols.into_iter().collect();
        let numbers = symbols.iter().cloned().zip(0u32..).collect();
        let writer = Writer::new(header, symbols);
        BlockImport { writer, numbers, labels: Vec::new(), gathered: Gathered::default() }
    }

    /// Adds a float to the series under way; a start of 0 is not known.
    pub fn float(&mut self, time: TimestampMs, value: f64, start: TimestampMs) {
        self.gathered.push(time.0, value, ORIGIN);
        self.gathered.push_start(time.0, start.0, ORIGIN);
    }

    /// Adds a native histogram to the series under way; a start of 0 is not known.
    pub fn histogram(&mut self, time: TimestampMs, value: NativeHistogram, start: TimestampMs) {
        self.gathered.push_histogram(time.0, &Arc::new(value), ORIGIN);
        self.gathered.push_start(time.0, start.0, ORIGIN);
    }

    /// Writes what was added since the last series as the samples of this one. One without
    /// samples leaves no trace.
    ///
    /// # Panics
    /// A label that is none of the symbols, or a series that does not come behind the one before.
    pub fn series(&mut self, labels: &LabelSet) {
        self.number(labels);
        self.gathered.settle(|_| false);
        self.writer.raw(&self.labels, &self.gathered);
        self.gathered.clear();
    }

    /// Writes the aggregates of a series of a downsampled block, its chunks in order of time.
    ///
    /// # Panics
    /// As [`BlockImport::series`].
    pub fn windows(&mut self, labels: &LabelSet, chunks: &[AggregateChunk]) {
        self.number(labels);
        let parts: Vec<AggregateChunk> = chunks.iter().flat_map(parts).collect();
        self.writer.aggregates(&self.labels, &gathered_of(&parts));
    }

    fn number(&mut self, labels: &LabelSet) {
        self.labels.clear();
        for (name, value) in labels.iter() {
            self.labels.push((self.numbers[name], self.numbers[value]));
        }
    }

    /// Bytes that are ready and where in the file they go; none when it is empty.
    pub fn take(&mut self) -> (u64, Vec<u8>) {
        self.writer.take()
    }

    /// Bytes that wait to be taken.
    #[must_use]
    pub fn ready_bytes(&self) -> usize {
        self.writer.ready_bytes()
    }

    /// Closes the block; what is ready is then its end. `None` when it has no sample.
    pub fn finish(&mut self) -> Option<BlockSummary> {
        self.writer.finish()
    }
}

/// Why the manifest of a shard could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// None is whole though one was: which blocks live is lost.
    #[error("no manifest is whole, {0} were found: start the server to see what is lost")]
    Lost(usize),
    /// The newest is of a version that this program does not know.
    #[error("{file}: version {version} is unknown")]
    Version {
        /// The file.
        file: FileName,
        /// Its version.
        version: u8,
    },
}

/// The manifest of a shard that no process has open.
#[derive(Clone, Debug)]
pub struct ShardManifest {
    number: u64,
    manifest: Manifest,
}

impl ShardManifest {
    /// The newest manifest among `files`, each with its bytes; `blocks` are the numbers of the
    /// block files that are there.
    ///
    /// # Errors
    /// [`ManifestError`]; nothing may be written then.
    pub fn newest(
        mut files: Vec<(u64, Vec<u8>)>,
        blocks: &[u64],
    ) -> Result<ShardManifest, ManifestError> {
        files.sort_unstable();
        let newest = files.last().map_or(0, |(number, _)| *number);
        let taken = blocks.iter().copied().max().unwrap_or(0).max(newest);
        let mut found = None;
        for (number, bytes) in files.iter().rev() {
            if let Ok(manifest) = Manifest::read(*number, bytes) {
                found = Some(manifest);
                break;
            }
            if let Some(version) = other_version(*number, bytes) {
                let file = FileName::Manifest(*number);
                return Err(ManifestError::Version { file, version });
            }
        }
        if found.is_none() && !(files.is_empty() && blocks.is_empty()) {
            return Err(ManifestError::Lost(files.len()));
        }
        let mut manifest = found.unwrap_or_default();
        manifest.next_block = manifest.next_block.max(taken + 1);
        manifest.next_tombstone = manifest.next_tombstone.max(1);
        Ok(ShardManifest { number: newest, manifest })
    }

    /// Whether none is there: then one must be durable before the first block is begun.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.number == 0
    }

    /// A number that no block had.
    pub fn next_block(&mut self) -> u64 {
        self.manifest.next_block += 1;
        self.manifest.next_block - 1
    }

    /// Newest deletion so far.
    #[must_use]
    pub fn newest_tombstone(&self) -> u64 {
        self.manifest.next_tombstone - 1
    }

    /// Blocks that live.
    pub fn blocks(&self) -> impl Iterator<Item = &BlockSummary> {
        self.manifest.blocks.values().map(|block| &block.summary)
    }

    /// Adds a block whose file is durable; `downsampled` says whether other blocks have all of its
    /// samples at five minutes, and at an hour.
    pub fn add(&mut self, block: BlockSummary, downsampled: (bool, bool)) {
        let block = LiveBlock { downsampled, ..LiveBlock::new(block) };
        self.manifest.blocks.insert(block.summary.number, block);
    }

    /// The next manifest: write it, sync it and its directory; then what it says holds.
    pub fn write(&mut self) -> (FileName, Vec<u8>) {
        self.number += 1;
        (FileName::Manifest(self.number), self.manifest.write(self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64) -> BlockSummary {
        let mut import = BlockImport::new(number, Resolution::Raw, symbols(), 0);
        import.float(TimestampMs(5), 1.5, TimestampMs(0));
        import.series(&labels());
        import.finish().expect("a sample")
    }

    fn symbols() -> BTreeSet<Box<str>> {
        BTreeSet::from(["__name__".into(), "m".into()])
    }

    fn labels() -> LabelSet {
        LabelSet::new([("__name__", "m")])
    }

    #[test]
    fn manifests_follow_each_other_and_numbers_are_given_once() {
        let mut manifest = ShardManifest::newest(Vec::new(), &[]).expect("a new one");
        assert!(manifest.is_new());
        let (first, first_bytes) = manifest.write();
        assert_eq!(first, FileName::Manifest(1));
        let number = manifest.next_block();
        manifest.add(block(number), (false, false));
        let (second, bytes) = manifest.write();
        assert_eq!(second, FileName::Manifest(2));
        let files = vec![(1, first_bytes), (2, bytes)];
        let mut read = ShardManifest::newest(files.clone(), &[number, 9]).expect("it reads");
        let blocks: Vec<u64> = read.blocks().map(|block| block.number).collect();
        assert_eq!((blocks, read.next_block()), (vec![number], 10), "file 9 is of no use");
        // The newest was cut off in its writing: the one before it counts.
        let cut = vec![files[0].clone(), (2, files[1].1[..9].to_vec())];
        let before = ShardManifest::newest(cut, &[]).expect("the first");
        assert_eq!(before.blocks().count(), 0);
    }

    #[test]
    fn a_lost_manifest_is_no_new_one() {
        assert!(matches!(ShardManifest::newest(Vec::new(), &[3]), Err(ManifestError::Lost(0))));
        let broken = vec![(1, vec![0; 8])];
        assert!(matches!(ShardManifest::newest(broken, &[]), Err(ManifestError::Lost(1))));
    }

    #[test]
    fn a_block_without_samples_is_none() {
        let mut import = BlockImport::new(1, Resolution::Raw, symbols(), 0);
        import.series(&labels());
        assert!(import.finish().is_none());
    }
}
