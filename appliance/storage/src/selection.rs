//! Selection: what a query asks of a store, and the snapshot it is given.
//!
//! Path: `store` → **selection** → query threads, which decode.
//! Never: reads a file itself; the machine's `TileRead` does.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::samples::Samples;
use model::staleness::stale_nan;
use model::time::TimestampMs;
use thiserror::Error;

use crate::block::reference::BlockRef;
use crate::chunk::kind::{Column, all_rows};
use crate::chunk::read as chunk;
use crate::chunk::read_values::Scratch;
use crate::compaction::Aggregate;
use crate::decimal::{self, Code};
use crate::names::FileName;
use crate::row::ColumnKind;
use crate::tile::histograms::{self, HistogramColumn};
use crate::tile::place::{Place, TileRef};
use crate::tile::read::{self, Directory};
use crate::tile_read::{DecodeError, TileRead};

/// What one selector asks for.
#[derive(Clone, Debug)]
pub struct SelectRequest {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Only samples after this time can matter (exclusive).
    pub after: TimestampMs,
    /// Only samples up to this time can matter (inclusive).
    pub until: TimestampMs,
    /// Most series the asker can bear; more is an error, not a cut.
    pub series_max: usize,
    /// What is wanted of samples that were downsampled.
    pub aggregate: Aggregate,
}

/// What a store has for a request: its own series, and the blocks that the asking thread must ask
/// too ([`BlockRef::select`]). A label set may come from several of them; the samples of one time
/// are settled when all its pieces stand in one [`SelectedSeries`].
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// Series of tiles, each label set once.
    pub series: Vec<SelectedSeries>,
    /// Blocks that overlap the request, oldest first.
    pub blocks: Vec<Arc<BlockRef>>,
}

/// Which series a question about labels looks at.
#[derive(Clone, Debug)]
pub struct LabelRequest {
    /// A series counts that fulfils all of any one set; no set means every series.
    pub matcher_sets: Vec<Vec<Matcher>>,
    /// Time range, both ends included.
    pub from: TimestampMs,
    /// Time range, both ends included.
    pub to: TimestampMs,
}

/// Why a selection was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectError {
    /// More series match than the asker can bear.
    #[error("selector matches more than {series_max} series")]
    TooManySeries {
        /// The bound that was passed.
        series_max: usize,
    },
}

/// One series of a selection; lives on when the store moves on.
#[derive(Clone, Debug)]
pub struct SelectedSeries {
    /// Its labels.
    pub labels: LabelSet,
    /// Its samples, by time; pieces may overlap.
    pub pieces: Vec<Piece>,
}

/// Some samples of one series.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Of tiles that are sealed.
    Sealed(SealedPiece),
    /// Of an open tile, copied.
    Open(OpenPiece),
}

/// One column of consecutive sealed tiles of a group.
#[derive(Clone, Debug)]
pub struct SealedPiece {
    /// The group's tiles that overlap the request; shared by all its columns.
    pub(crate) tiles: Arc<[Arc<TileRef>]>,
    /// Shard that they are of: shards number their files alike, and one cache may serve them all.
    pub(crate) shard: u32,
    /// Numbers of the tiles that may have the column, both included.
    pub(crate) numbers: (u32, u32),
    pub(crate) column: u32,
    pub(crate) kind: ColumnKind,
}

/// One column of the rows of an open tile that overlap the request.
#[derive(Clone, Debug)]
pub struct OpenPiece {
    /// Shared by all columns of the group.
    pub(crate) timestamps_ms: Arc<[i64]>,
    /// Rows of the owner's rank.
    pub(crate) owner: u128,
    pub(crate) values: OpenValues,
}

/// Cells of an open tile, one value a present row.
#[derive(Clone, Debug)]
pub(crate) enum OpenValues {
    /// Of a column of floats.
    Floats(Column),
    /// Of a column of native histograms.
    Histograms(HistogramColumn),
    /// Of a column of start timestamps.
    Starts(Column),
}

/// Bytes of directories that a cache keeps: those of two days of one group of 1,000 series.
const CACHE_BYTES_MAX: usize = 4 << 20;

/// Shard, file and offset of a tile.
type CacheKey = (u32, u64, u64);

/// Tiles' directories and time columns that one batch of decoding has read.
#[derive(Debug, Default)]
pub struct TileCache {
    directories: HashMap<CacheKey, Arc<Directory>, FixedState>,
    /// In order of reading, with their bytes.
    order: VecDeque<(CacheKey, usize)>,
    bytes: usize,
    chunk: Vec<u8>,
    column: Column,
    scratch: Scratch,
    histogram_scratch: histograms::ReadScratch,
    histograms: HistogramColumn,
    output: Output,
}

impl SelectedSeries {
    /// Appends the samples with `after < timestamp <= until` in order of time, each time once,
    /// staleness markers included. Where several samples have one time, the higher
    /// rank wins, then the first piece.
    ///
    /// # Errors
    /// See [`DecodeError`]; `samples` is then as it was.
    pub fn decode(
        &self,
        tiles: &dyn TileRead,
        cache: &mut TileCache,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), DecodeError> {
        let start = samples.len();
        let mut out = std::mem::take(&mut cache.output);
        out.begin(after.0, until.0);
        let read = self.decode_into(tiles, cache, samples, &mut out);
        if read.is_ok() {
            samples.settle(start, |at| u8::from(!out.owner[at]));
            out.join_starts(samples, start);
        } else {
            samples.truncate(start);
        }
        cache.output = out;
        read
    }

    fn decode_into(
        &self,
        tiles: &dyn TileRead,
        cache: &mut TileCache,
        samples: &mut Samples,
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        for piece in &self.pieces {
            match piece {
                Piece::Open(open) => open.decode(samples, out),
                Piece::Sealed(sealed) => sealed.decode(tiles, cache, samples, out)?,
            }
        }
        Ok(())
    }
}

/// What is known of the samples of a series that is being decoded.
#[derive(Debug, Default)]
struct Output {
    after_ms: i64,
    until_ms: i64,
    /// Whether each sample is of the owner's rank.
    owner: Vec<bool>,
    /// Start timestamps as the samples of a series of their own, and whether each is of the
    /// owner's rank.
    starts: Samples,
    starts_owner: Vec<bool>,
}

impl Output {
    fn begin(&mut self, after_ms: i64, until_ms: i64) {
        (self.after_ms, self.until_ms) = (after_ms, until_ms);
        self.owner.clear();
        self.starts.clear();
        self.starts_owner.clear();
    }

    fn floats(&mut self, times: &[i64], owner: u128, column: &Column, samples: &mut Samples) {
        let range = (self.after_ms, self.until_ms);
        add(range, times, owner, column, samples, &mut self.owner);
    }

    fn starts(&mut self, times: &[i64], owner: u128, column: &Column) {
        let range = (self.after_ms, self.until_ms);
        add(range, times, owner, column, &mut self.starts, &mut self.starts_owner);
    }

    fn histograms(
        &mut self,
        times: &[i64],
        owner: u128,
        column: &HistogramColumn,
        samples: &mut Samples,
    ) {
        let mut present = column.values.iter();
        for (row, time) in times.iter().enumerate() {
            let value = if column.present >> row & 1 == 1 { present.next() } else { None };
            let is_stale = column.stale >> row & 1 == 1;
            let inside = self.after_ms < *time && *time <= self.until_ms;
            if !inside || (value.is_none() && !is_stale) {
                continue;
            }
            if let Some(value) = value {
                let at = u32::try_from(samples.len()).expect("samples are bounded below 2^32");
                samples.histograms.push((at, Arc::clone(value)));
            }
            let float = if is_stale { stale_nan() } else { 0.0 };
            samples.push(TimestampMs(*time), float);
            self.owner.push(owner >> row & 1 == 1);
        }
    }

    /// Gives the samples from `start` on the start timestamps of their times.
    fn join_starts(&mut self, samples: &mut Samples, start: usize) {
        if self.starts.is_empty() && samples.start_timestamps_ms.is_empty() {
            return;
        }
        self.starts.settle(0, |at| u8::from(!self.starts_owner[at]));
        samples.start_timestamps_ms.resize(start, 0);
        let mut known = self.starts.timestamps_ms.iter().zip(&self.starts.values).peekable();
        for time in &samples.timestamps_ms[start..] {
            while known.next_if(|(other, _)| *other < time).is_some() {}
            let found = known.peek().filter(|(other, _)| *other == time);
            let started = found.map_or(0, |(_, value)| decimal::nearest(**value, Code::INTEGER));
            samples.start_timestamps_ms.push(started);
        }
    }
}

/// Appends the cells of a column whose times are in the range.
fn add(
    (after_ms, until_ms): (i64, i64),
    times: &[i64],
    owner: u128,
    column: &Column,
    samples: &mut Samples,
    ranks: &mut Vec<bool>,
) {
    let inside = |time: i64| after_ms < time && time <= until_ms;
    let all = all_rows(times.len());
    let whole = times.iter().all(|time| inside(*time));
    if whole && column.present == all {
        samples.timestamps_ms.extend_from_slice(times);
        samples.values.extend_from_slice(&column.values);
        ranks.extend((0..times.len()).map(|row| owner >> row & 1 == 1));
        return;
    }
    let mut present = column.values.iter();
    for (row, time) in times.iter().enumerate() {
        let has_value = column.present >> row & 1 == 1;
        let value = if has_value { present.next().copied() } else { None };
        let is_stale = column.stale >> row & 1 == 1;
        let value = if is_stale { Some(stale_nan()) } else { value };
        if let Some(value) = value.filter(|_| inside(*time)) {
            samples.push(TimestampMs(*time), value);
            ranks.push(owner >> row & 1 == 1);
        }
    }
}

impl OpenPiece {
    fn decode(&self, samples: &mut Samples, out: &mut Output) {
        let (times, owner) = (&self.timestamps_ms, self.owner);
        match &self.values {
            OpenValues::Floats(column) => out.floats(times, owner, column, samples),
            OpenValues::Histograms(column) => out.histograms(times, owner, column, samples),
            OpenValues::Starts(column) => out.starts(times, owner, column),
        }
    }
}

impl SealedPiece {
    fn decode(
        &self,
        tiles: &dyn TileRead,
        cache: &mut TileCache,
        samples: &mut Samples,
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        for tile in self.tiles.iter() {
            let may_have = self.numbers.0 <= tile.number && tile.number <= self.numbers.1;
            if !may_have || !tile.overlaps(out.after_ms, out.until_ms) {
                continue;
            }
            match self.decode_tile(tile, tiles, cache, samples, out) {
                // Its samples have passed retention since they were selected.
                Err(DecodeError::Read { cause, .. }) if cause.kind() == ErrorKind::NotFound => {}
                read => read?,
            }
        }
        Ok(())
    }

    fn decode_tile(
        &self,
        tile: &TileRef,
        tiles: &dyn TileRead,
        cache: &mut TileCache,
        samples: &mut Samples,
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        let directory = cache.directory(tiles, self.shard, tile)?;
        let Some(place) = directory.find(self.column) else { return Ok(()) };
        read_part(tiles, tile, place.offset, place.bytes as usize, &mut cache.chunk)?;
        let (times, owner) = (&directory.timestamps_ms, directory.owner);
        let rows = times.len();
        let read = if self.kind == ColumnKind::Histogram {
            let scratch = &mut cache.histogram_scratch;
            histograms::read(&cache.chunk, rows, scratch, &mut cache.histograms)
        } else {
            chunk::read(&cache.chunk, rows, &mut cache.scratch, &mut cache.column)
        };
        read.map_err(|reason| damaged(tile, place.offset, reason))?;
        match self.kind {
            ColumnKind::Float => out.floats(times, owner, &cache.column, samples),
            ColumnKind::Histogram => out.histograms(times, owner, &cache.histograms, samples),
            ColumnKind::Start => out.starts(times, owner, &cache.column),
        }
        Ok(())
    }
}

impl TileCache {
    fn directory(
        &mut self,
        tiles: &dyn TileRead,
        shard: u32,
        tile: &TileRef,
    ) -> Result<Arc<Directory>, DecodeError> {
        let Place::File { number, offset } = tile.place else {
            return read_directory(tiles, tile, 0);
        };
        let key = (shard, number, offset);
        if let Some(found) = self.directories.get(&key) {
            return Ok(Arc::clone(found));
        }
        let directory = read_directory(tiles, tile, number)?;
        let bytes = directory.heap_bytes();
        self.directories.insert(key, Arc::clone(&directory));
        self.order.push_back((key, bytes));
        self.bytes += bytes;
        while CACHE_BYTES_MAX < self.bytes {
            let Some((key, bytes)) = self.order.pop_front() else { break };
            self.directories.remove(&key);
            self.bytes -= bytes;
        }
        Ok(directory)
    }
}

fn read_directory(
    tiles: &dyn TileRead,
    tile: &TileRef,
    generation: u64,
) -> Result<Arc<Directory>, DecodeError> {
    let mut head = Vec::new();
    read_part(tiles, tile, 0, tile.head_bytes as usize, &mut head)?;
    let (_, directory) =
        read::directory(&head, generation).map_err(|reason| damaged(tile, 0, reason))?;
    Ok(Arc::new(directory))
}

/// Reads `count` bytes from `start` of the tile into `bytes`.
fn read_part(
    tiles: &dyn TileRead,
    tile: &TileRef,
    start: u32,
    count: usize,
    bytes: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    bytes.clear();
    match &tile.place {
        Place::Memory(whole) => {
            let start = start as usize;
            let part = whole.get(start..start + count);
            bytes.extend_from_slice(part.ok_or_else(|| damaged(tile, 0, "tile is cut short"))?);
            Ok(())
        }
        Place::File { number, offset } => {
            bytes.resize(count, 0);
            let (file, offset) = (FileName::Tile(*number), offset + u64::from(start));
            tiles.read(&file, offset, bytes).map_err(|cause| DecodeError::Read {
                file,
                offset,
                bytes: count,
                cause,
            })
        }
    }
}

fn damaged(tile: &TileRef, start: u32, reason: &'static str) -> DecodeError {
    let (file, offset) = tile.file();
    DecodeError::Damaged { file, offset: offset + u64::from(start), reason }
}
