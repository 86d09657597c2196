//! Files: a store opened from files in memory, and everything read from it.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

use model::matcher::{MatchOp, Matcher};
use model::samples::Samples;
use model::time::TimestampMs;
use storage::block::reference::BlockRef;
use storage::compaction::Aggregate;
use storage::names::{FileName, SegmentId};
use storage::options::Options;
use storage::recovery::{Recovery, Step};
use storage::selection::{LabelRequest, SelectRequest, SelectedSeries, TileCache};
use storage::tile_read::TileRead;

/// The log, catalog, tile file, block and manifest of the golden tests.
pub const WAL: &[u8] = include_bytes!("../../../appliance/storage/tests/golden/wal.golden");
/// See [`WAL`].
pub const CATALOG: &[u8] = include_bytes!("../../../appliance/storage/tests/golden/catalog.golden");
/// See [`WAL`].
pub const TILE: &[u8] = include_bytes!("../../../appliance/storage/tests/golden/tile.golden");
/// See [`WAL`].
pub const BLOCK: &[u8] = include_bytes!("../../../appliance/storage/tests/golden/block.golden");

/// Name of the log of the golden tests.
pub const SEGMENT: FileName = FileName::Segment(SegmentId(1));

/// Files in memory.
#[derive(Debug, Default)]
pub struct Files(pub BTreeMap<FileName, Vec<u8>>);

impl Files {
    /// These files.
    #[must_use]
    pub fn of(files: &[(FileName, &[u8])]) -> Files {
        Files(files.iter().map(|(name, bytes)| (*name, bytes.to_vec())).collect())
    }

    fn part(&self, file: &FileName, offset: u64, bytes_max: usize) -> &[u8] {
        let all = self.0.get(file).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
        let to = from.saturating_add(bytes_max).min(all.len());
        &all[from..to]
    }

    /// Opens a store of them, if recovery takes them, and reads all that is in it.
    pub fn open(&self) {
        let listing = self.0.iter().map(|(name, bytes)| (*name, bytes.len() as u64)).collect();
        let options = Options { block_bytes: 512, ..Options::default() };
        let Ok(mut recovery) = Recovery::new(options, listing) else { return };
        loop {
            match recovery.step() {
                Step::Read { file, offset, bytes_max } => {
                    if recovery.feed(self.part(&file, offset, bytes_max)).is_err() {
                        return;
                    }
                }
                Step::Done(store, _) => {
                    if let Ok(selected) = store.select(&everything()) {
                        selected.blocks.iter().for_each(|block| self.read_block(block));
                        self.decode(&selected.series);
                    }
                    return;
                }
            }
        }
    }

    /// Reads all that is in a block.
    pub fn read_block(&self, block: &Arc<BlockRef>) {
        let mut cache = TileCache::default();
        let selected = block.select(self, &mut cache.blocks, &everything());
        self.decode(&selected.unwrap_or_default());
        let named = Matcher::new("__name__", MatchOp::Regex, "u.*|counter.*").expect("a pattern");
        let wanted = LabelRequest {
            matcher_sets: vec![vec![named]],
            from: TimestampMs::MIN,
            to: TimestampMs::MAX,
        };
        let _ = block.label_values(self, &mut cache.blocks, "instance", &wanted);
        let _ = block.label_names(self, &mut cache.blocks, &wanted);
    }

    fn decode(&self, selected: &[SelectedSeries]) {
        let mut cache = TileCache::default();
        for series in selected {
            let mut samples = Samples::default();
            let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
            if series.decode(self, &mut cache, after, until, &mut samples).is_ok() {
                assert!(samples.timestamps_ms.is_sorted_by(|a, b| a < b), "times rise");
            }
        }
    }
}

/// Makes the checksums of the frames in `bytes` right, which begin at multiples of `align`, so that
/// what stands behind them is reached: docs/format/wal.md.
#[must_use]
pub fn sealed_frames(bytes: &[u8], align: usize) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let mut at = 0;
    while let Some(length) = sealed.get(at..at + 4) {
        let payload = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(frame) = sealed.get_mut(at..at.saturating_add(40 + payload)) else { break };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        at += (40 + payload).next_multiple_of(align);
    }
    sealed
}

/// The same of headers and directories of tiles: docs/format/tile.md.
#[must_use]
pub fn sealed_tiles(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = sealed.get(at..at + 68) {
        let number = |from: usize| {
            let four = [header[from], header[from + 1], header[from + 2], header[from + 3]];
            u32::from_le_bytes(four) as usize
        };
        let (tile, head) = (number(4), 68 + number(56));
        let Some(checked) = sealed.get(at + 4..at.saturating_add(head)) else { break };
        let crc = crc32c::crc32c(checked);
        sealed[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        at += tile.max(1);
    }
    sealed
}

fn everything() -> SelectRequest {
    SelectRequest {
        matchers: vec![Matcher::new("__name__", MatchOp::Regex, ".+").expect("a pattern")],
        after: TimestampMs::MIN,
        until: TimestampMs::MAX,
        series_max: 10_000,
        aggregate: Aggregate::default(),
    }
}

impl TileRead for Files {
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let found = self.part(file, offset, bytes.len());
        if found.len() < bytes.len() {
            return Err(Error::from(ErrorKind::UnexpectedEof));
        }
        bytes.copy_from_slice(found);
        Ok(())
    }
}
