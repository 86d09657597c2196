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
use roaring::RoaringBitmap;
use thiserror::Error;

use crate::allocation::allocated;
use crate::block::cache::BlockCache;
use crate::block::chunks::{self, Downsampled};
use crate::block::counter::{Level, seamless};
use crate::block::gather::Gathered;
use crate::block::reference::BlockRef;
use crate::block::series::ChunkPlace;
use crate::chunk::kind::{Column, all_rows};
use crate::chunk::read as chunk;
use crate::chunk::read_values::Scratch;
use crate::compaction::{Aggregate, Resolution};
use crate::decimal::{self, Code};
use crate::names::FileName;
use crate::row::{ColumnKind, origin, precedence};
use crate::tile::histograms::{self, HistogramColumn};
use crate::tile::place::{Place, TileRef};
use crate::tile::read::{self, Directory};
use crate::tile_read::{DecodeError, TileRead};
use crate::tombstones::{Intervals, is_deleted};

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
    /// Blocks that overlap the request, oldest first. Those of the last page miss nothing that
    /// became a block between two pages.
    pub blocks: Vec<Arc<BlockRef>>,
    /// What the page left over; ask again with it.
    pub rest: Option<Rest>,
}

/// Series that the pages of a selection have not given yet. It is the asker's: a store keeps
/// nothing between two pages.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    pub(crate) found: RoaringBitmap,
    /// Newest time of each group when a page first met it: what came later is hidden from later
    /// pages, so that a scrape is seen whole or not at all.
    pub(crate) newest_ms: HashMap<u32, i64, FixedState>,
    /// Series given so far.
    pub(crate) given: usize,
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
    /// Closed time ranges that are deleted.
    pub(crate) deleted: Intervals,
}

/// Some samples of one series.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Of tiles that are sealed.
    Sealed(SealedPiece),
    /// Of an open tile, copied.
    Open(OpenPiece),
    /// Of a block.
    Block(BlockPiece),
}

/// Chunks of one series of a block.
#[derive(Clone, Debug)]
pub struct BlockPiece {
    pub(crate) block: Arc<BlockRef>,
    /// In order of time; those of one aggregate, or of two for an average.
    pub(crate) chunks: Vec<ChunkPlace>,
    /// What is wanted, where samples were downsampled.
    pub(crate) aggregate: Aggregate,
}

/// One column of consecutive sealed tiles of a group.
#[derive(Clone, Debug)]
pub struct SealedPiece {
    /// The group's tiles that overlap the request; shared by all its columns.
    pub(crate) tiles: Arc<[Arc<TileRef>]>,
    /// Group that they are of.
    pub(crate) group: u32,
    /// Whether that is a side group: its tiles overlap.
    pub(crate) side: bool,
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
    /// Group that they are of, and the number of the tile in a side group.
    pub(crate) group: u32,
    pub(crate) part: u32,
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

/// First and last time that a block has a series at, and how finely.
type BlockSpan = (Resolution, (i64, i64));

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
    /// Pages of blocks.
    pub blocks: BlockCache,
}

impl SelectedSeries {
    /// Bytes of memory that it takes, without what it shares with others.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let own = size_of::<SelectedSeries>()
            + allocated(self.labels.heap_bytes())
            + allocated(self.pieces.capacity() * size_of::<Piece>())
            + allocated(self.deleted.capacity() * size_of::<(i64, i64)>());
        let chunks = self.pieces.iter().map(|piece| match piece {
            Piece::Block(block) => allocated(block.chunks.capacity() * size_of::<ChunkPlace>()),
            Piece::Open(open) => allocated(open.timestamps_ms.len() * 8),
            Piece::Sealed(_) => 0,
        });
        own + chunks.sum::<usize>()
    }

    /// Takes the samples of the same label set from elsewhere too; the two are settled when they
    /// are decoded.
    pub fn absorb(&mut self, other: SelectedSeries) {
        self.pieces.extend(other.pieces);
        self.deleted.extend(other.deleted);
    }

    /// Appends the samples with `after < timestamp <= until` in order of time, each time once,
    /// staleness markers included. Where several samples have one time, the higher
    /// rank wins, then the group that was made first, then the tile.
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
        decode(&[(self, tiles)], cache, (after, until), samples)
    }

    /// Appends what one store has of the series, but for counters of windows.
    fn decode_part(
        &self,
        tiles: &dyn TileRead,
        cache: &mut TileCache,
        samples: &mut Samples,
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        let start = samples.len();
        out.begin_part(&self.deleted);
        self.decode_into(tiles, cache, samples, out)?;
        samples.settle(start, |at| precedence(out.origins[at]));
        out.join_starts(samples, start);
        if !out.deleted.is_empty() {
            samples.retain(start, |time_ms| !is_deleted(&out.deleted, time_ms));
        }
        Ok(())
    }

    fn decode_into(
        &self,
        tiles: &dyn TileRead,
        cache: &mut TileCache,
        samples: &mut Samples,
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        let spans = self.block_spans(tiles, &mut cache.blocks)?;
        for piece in &self.pieces {
            match piece {
                Piece::Open(open) => open.decode(samples, out),
                Piece::Sealed(sealed) => sealed.decode(tiles, cache, samples, out)?,
                Piece::Block(block) => {
                    out.finer.clear();
                    let resolution = block.block.summary.resolution;
                    let finer = spans.iter().filter(|(other, _)| *other < resolution);
                    out.finer.extend(finer.map(|(_, span)| *span));
                    block.decode(tiles, &mut cache.blocks, samples, out)?;
                }
            }
        }
        Ok(())
    }

    /// What blocks have of this series, and how finely; none where all of it is raw.
    fn block_spans(
        &self,
        files: &dyn TileRead,
        cache: &mut BlockCache,
    ) -> Result<Vec<BlockSpan>, DecodeError> {
        let blocks = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Block(block) => Some(block),
            Piece::Open(_) | Piece::Sealed(_) => None,
        });
        let is_raw = |piece: &BlockPiece| piece.block.summary.resolution == Resolution::Raw;
        if blocks.clone().all(is_raw) {
            return Ok(Vec::new());
        }
        let mut spans = Vec::new();
        for piece in blocks {
            let span = chunks::span(files, cache, &piece.block, &piece.chunks);
            match or_gone(span) {
                Ok(Some(Some(span))) => spans.push((piece.block.summary.resolution, span)),
                Ok(_) => {}
                Err(error) if files.leave_out(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(spans)
    }
}

/// Appends the samples of one series that several stores have parts of, each with its files, as
/// [`SelectedSeries::decode`] does; of several samples of one time that of the first part stays.
///
/// # Errors
/// See [`DecodeError`]; `samples` is then as it was.
pub fn decode(
    parts: &[(&SelectedSeries, &dyn TileRead)],
    cache: &mut TileCache,
    (after, until): (TimestampMs, TimestampMs),
    samples: &mut Samples,
) -> Result<(), DecodeError> {
    let start = samples.len();
    let mut out = std::mem::take(&mut cache.output);
    out.begin(after.0, until.0);
    let mut parts_read =
        parts.iter().map(|(series, tiles)| series.decode_part(*tiles, cache, samples, &mut out));
    let read = parts_read.try_for_each(|read| read);
    if read.is_ok() {
        if 1 < parts.len() {
            samples.settle(start, |_| 0);
        }
        out.join_counters(samples, start);
        out.join_counts(samples, start);
    } else {
        samples.truncate(start);
    }
    cache.output = out;
    read
}

/// What is known of the samples of a series that is being decoded.
#[derive(Debug, Default)]
struct Output {
    after_ms: i64,
    until_ms: i64,
    /// Where each sample comes from.
    origins: Vec<u64>,
    /// Start timestamps as the samples of a series of their own, and where each comes from.
    starts: Samples,
    starts_origins: Vec<u64>,
    /// What is deleted of the series.
    deleted: Intervals,
    /// What finer blocks than the one being decoded have of the series: they speak there.
    finer: Intervals,
    /// What the block being decoded has of windows.
    downsampled: Downsampled,
    /// Time of windows and how many samples each stands for.
    counts: Vec<(i64, f64)>,
    /// Counters of windows by resolution, the finest first; before them a place for raw samples.
    counters: [Level; 3],
}

impl Output {
    fn begin(&mut self, after_ms: i64, until_ms: i64) {
        (self.after_ms, self.until_ms) = (after_ms, until_ms);
        self.counts.clear();
        for level in &mut self.counters {
            level.chunks.clear();
            level.hidden.clear();
        }
    }

    fn begin_part(&mut self, deleted: &Intervals) {
        self.deleted.clone_from(deleted);
        self.origins.clear();
        self.starts.clear();
        self.starts_origins.clear();
    }

    fn floats(&mut self, rows: &Rows<'_>, column: &Column, samples: &mut Samples) {
        let range = (self.after_ms, self.until_ms);
        add(range, rows, column, samples, &mut self.origins);
    }

    fn starts(&mut self, rows: &Rows<'_>, column: &Column) {
        let range = (self.after_ms, self.until_ms);
        add(range, rows, column, &mut self.starts, &mut self.starts_origins);
    }

    fn histograms(&mut self, rows: &Rows<'_>, column: &HistogramColumn, samples: &mut Samples) {
        let mut present = column.values.iter();
        for (row, time) in rows.times.iter().enumerate() {
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
            self.origins.push(rows.origin(row));
        }
    }

    fn gathered(&mut self, found: &Gathered, samples: &mut Samples) {
        let mut histograms = found.histograms.iter().peekable();
        let values = found.timestamps_ms.iter().zip(&found.values).zip(&found.origins);
        for (at, ((time, value), origin)) in values.enumerate() {
            let histogram = histograms.next_if(|(place, _)| *place as usize == at);
            if *time <= self.after_ms || self.until_ms < *time || is_deleted(&self.finer, *time) {
                continue;
            }
            if let Some((_, histogram)) = histogram {
                let at = u32::try_from(samples.len()).expect("samples are bounded below 2^32");
                samples.histograms.push((at, Arc::clone(histogram)));
            }
            samples.push(TimestampMs(*time), *value);
            self.origins.push(*origin);
        }
        for (time, origin, start) in &found.loose_starts {
            if self.after_ms < *time && *time <= self.until_ms {
                self.starts.push(TimestampMs(*time), float_of(*start));
                self.starts_origins.push(*origin);
            }
        }
    }

    /// Takes over what `downsampled` has of a block of this resolution.
    fn windows(&mut self, resolution: Resolution, samples: &mut Samples) {
        let (after_ms, until_ms) = (self.after_ms, self.until_ms);
        let finer = &self.finer;
        let inside =
            |time_ms: i64| after_ms < time_ms && time_ms <= until_ms && !is_deleted(finer, time_ms);
        for (time_ms, value) in self.downsampled.values.iter().filter(|(time, _)| inside(*time)) {
            samples.push(TimestampMs(*time_ms), *value);
            self.origins.push(0);
        }
        let counts = self.downsampled.counts.iter().filter(|(time, _)| inside(*time));
        self.counts.extend(counts);
        if !self.downsampled.counters.is_empty() {
            let level = &mut self.counters[resolution as usize];
            level.chunks.append(&mut self.downsampled.counters);
            level.hidden.extend(finer.iter().chain(&self.deleted));
        }
    }

    /// Makes one counter of windows, where there are any, and of the raw samples from `start` on.
    fn join_counters(&mut self, samples: &mut Samples, start: usize) {
        if self.counters[1..].iter().all(|level| level.chunks.is_empty()) {
            return;
        }
        let mut histograms = samples.histograms.iter().map(|(at, _)| *at as usize).peekable();
        while histograms.next_if(|at| *at < start).is_some() {}
        let is_float = |at: &usize| histograms.next_if_eq(at).is_none();
        let floats: Vec<usize> = (start..samples.len()).filter(is_float).collect();
        let float = |at: &usize| (samples.timestamps_ms[*at], samples.values[*at]);
        self.counters[0].chunks.push(floats.iter().map(float).collect());
        let mut joined = seamless(&mut self.counters);
        let Some((end, _)) = joined.last().copied() else { return };
        joined.retain(|(time_ms, _)| self.after_ms < *time_ms && *time_ms <= self.until_ms);
        samples.retain(start, |time_ms| end < time_ms);
        let behind = samples.split_off(start);
        for (time_ms, value) in joined {
            samples.push(TimestampMs(time_ms), value);
        }
        if !behind.start_timestamps_ms.is_empty() {
            samples.start_timestamps_ms.resize(samples.len(), 0);
        }
        samples.append(&behind);
    }

    /// Gives the samples from `start` on the counts of their times, 1 where none is known.
    fn join_counts(&mut self, samples: &mut Samples, start: usize) {
        if self.counts.is_empty() && samples.counts.is_empty() {
            return;
        }
        self.counts.sort_by_key(|(time_ms, _)| *time_ms);
        samples.counts.resize(start, 1.0);
        let mut known = self.counts.iter().peekable();
        for time in &samples.timestamps_ms[start..] {
            while known.next_if(|(other, _)| other < time).is_some() {}
            let found = known.peek().filter(|(other, _)| other == time);
            samples.counts.push(found.map_or(1.0, |(_, count)| *count));
        }
    }

    /// Gives the samples from `start` on the start timestamps of their times.
    fn join_starts(&mut self, samples: &mut Samples, start: usize) {
        if self.starts.is_empty() && samples.start_timestamps_ms.is_empty() {
            return;
        }
        self.starts.settle(0, |at| precedence(self.starts_origins[at]));
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

/// Rows that a column has cells in.
struct Rows<'a> {
    times: &'a [i64],
    group: u32,
    part: u32,
    /// Rows of the owner's rank.
    owner: u128,
}

impl Rows<'_> {
    fn origin(&self, row: usize) -> u64 {
        origin(self.group, self.part, self.owner >> row & 1 == 1)
    }
}

/// Appends the cells of a column whose times are in the range.
fn add(
    (after_ms, until_ms): (i64, i64),
    rows: &Rows<'_>,
    column: &Column,
    samples: &mut Samples,
    origins: &mut Vec<u64>,
) {
    let times = rows.times;
    let inside = |time: i64| after_ms < time && time <= until_ms;
    let all = all_rows(times.len());
    let whole = times.iter().all(|time| inside(*time));
    if whole && column.present == all {
        samples.timestamps_ms.extend_from_slice(times);
        samples.values.extend_from_slice(&column.values);
        origins.extend((0..times.len()).map(|row| rows.origin(row)));
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
            origins.push(rows.origin(row));
        }
    }
}

impl OpenPiece {
    fn decode(&self, samples: &mut Samples, out: &mut Output) {
        let (group, part, owner) = (self.group, self.part, self.owner);
        let rows = Rows { times: &self.timestamps_ms, group, part, owner };
        match &self.values {
            OpenValues::Floats(column) => out.floats(&rows, column, samples),
            OpenValues::Histograms(column) => out.histograms(&rows, column, samples),
            OpenValues::Starts(column) => out.starts(&rows, column),
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
                Err(error) if tiles.leave_out(&error) => {}
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
        let times = &directory.timestamps_ms;
        let part = if self.side { tile.number } else { 0 };
        let rows = Rows { times, group: self.group, part, owner: directory.owner };
        let count = times.len();
        let read = if self.kind == ColumnKind::Histogram {
            let scratch = &mut cache.histogram_scratch;
            histograms::read(&cache.chunk, count, scratch, &mut cache.histograms)
        } else {
            chunk::read(&cache.chunk, count, &mut cache.scratch, &mut cache.column)
        };
        read.map_err(|reason| damaged(tile, place.offset, reason))?;
        match self.kind {
            ColumnKind::Float => out.floats(&rows, &cache.column, samples),
            ColumnKind::Histogram => out.histograms(&rows, &cache.histograms, samples),
            ColumnKind::Start => out.starts(&rows, &cache.column),
        }
        Ok(())
    }
}

impl BlockPiece {
    fn decode(
        &self,
        files: &dyn TileRead,
        cache: &mut BlockCache,
        samples: &mut Samples,
        out: &mut Output,
    ) -> Result<(), DecodeError> {
        let mut decoded = std::mem::take(&mut cache.gathered);
        decoded.clear();
        out.downsampled.clear();
        let into = (&mut decoded, &mut out.downsampled);
        let read = chunks::decode(files, cache, &self.block, (&self.chunks, self.aggregate), into);
        if read.is_ok() {
            out.gathered(&decoded, samples);
            out.windows(self.block.summary.resolution, samples);
        }
        cache.gathered = decoded;
        or_gone(read).map(|_| ())
    }
}

/// `None` for a file that is gone: its samples have passed retention, or stand in another block,
/// since it was selected.
fn or_gone<T>(read: Result<T, DecodeError>) -> Result<Option<T>, DecodeError> {
    match read {
        Err(DecodeError::Read { cause, .. }) if cause.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

impl TileCache {
    /// Bytes of what it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.blocks.bytes()
    }

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

#[expect(clippy::cast_precision_loss, reason = "a time in milliseconds is below 2^53")]
fn float_of(start_ms: i64) -> f64 {
    start_ms as f64
}

fn damaged(tile: &TileRef, start: u32, reason: &'static str) -> DecodeError {
    let (file, offset) = tile.file();
    DecodeError::Damaged { file, offset: offset + u64::from(start), reason }
}
