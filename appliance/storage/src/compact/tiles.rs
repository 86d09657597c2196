//! Tiles: makes a block of whole tile files.
//!
//! Path: `job` → **tiles** → `sink`.
//! Order: the directories of the tiles, the definitions of their columns in the catalog, then the
//! chunks, a range of label sets after the other, as many as the budget takes at once.
//! Formats: docs/format/{tile,catalog,block}.md.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::block::gather::Gathered;
use crate::catalog::read::{Definition, Reader};
use crate::catalog::record::FRAME_BYTES_MAX;
use crate::compact::read::{Fault, Seen, Stop, Want};
use crate::compact::sink::Sink;
use crate::compact::symbol_table::SymbolTable;
use crate::compact::tile_chunk::{TileChunks, TileTimes};
use crate::compaction::CompactionPlan;
use crate::frame::{self, Found};
use crate::names::FileName;
use crate::row::ColumnKind;
use crate::tile::read as tile;

/// Bytes asked for at once, where nothing asks for more.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes asked for to read a tile's directory.
const DIRECTORY_BYTES: usize = 64 << 10;
/// Bytes between two wanted chunks that are read along rather than passed over.
const GAP_BYTES: u64 = 16 << 10;

/// A chunk of a tile.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its series, by place in the order of label sets.
    series: u32,
    column: u32,
    /// Its tile, by place in `tiles`.
    tile: u32,
    /// From the start of the tile.
    offset: u32,
    bytes: u32,
}

/// A tile.
#[derive(Debug)]
struct Tile {
    /// Number of its file, and where in it the tile begins.
    file: u64,
    offset: u64,
    times: TileTimes,
}

/// What the catalog says of a column.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// Place of its label set.
    labels: u32,
    kind: ColumnKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Directories,
    Catalog,
    Chunks,
    Done,
}

/// The making of one block.
#[derive(Debug)]
pub(crate) struct TileJob {
    phase: Phase,
    files: VecDeque<(u64, u64)>,
    offset: u64,
    window: usize,
    catalog: (u64, u64),
    catalog_reader: Reader,
    tiles: Vec<Tile>,
    places: Vec<Place>,
    columns: HashMap<(u32, u32), Column, FixedState>,
    side_groups: HashSet<u32, FixedState>,
    symbols: SymbolTable,
    /// Label sets as symbols, and where each ends.
    labels: Vec<(u32, u32)>,
    ends: Vec<u32>,
    known: HashMap<Box<[(u32, u32)]>, u32, FixedState>,
    arena: Arena,
    arena_bytes_max: u64,
    chunks: TileChunks,
    gathered: Gathered,
}

/// Chunks of a range of series.
#[derive(Debug, Default)]
struct Arena {
    /// Range of `places`.
    from: usize,
    to: usize,
    /// Places of the range in order of file and offset, and how many of them are read.
    order: Vec<usize>,
    read: usize,
    /// How many of them the read under way covers.
    reading: usize,
    bytes: Vec<u8>,
    /// Where each place of the range begins in `bytes`.
    starts: Vec<usize>,
}

impl TileJob {
    pub(crate) fn new(plan: &CompactionPlan, catalog: (u64, u64), files: &[(u64, u64)]) -> Self {
        TileJob {
            phase: Phase::Directories,
            files: files.iter().copied().collect(),
            offset: 0,
            window: DIRECTORY_BYTES,
            catalog,
            catalog_reader: Reader::default(),
            tiles: Vec::new(),
            places: Vec::new(),
            columns: HashMap::default(),
            side_groups: HashSet::default(),
            symbols: SymbolTable::default(),
            labels: Vec::new(),
            ends: Vec::new(),
            known: HashMap::default(),
            arena: Arena::default(),
            arena_bytes_max: plan.memory_bytes_max,
            chunks: TileChunks::default(),
            gathered: Gathered::default(),
        }
    }

    /// What is to be read next; `None` when all is written to the sink.
    pub(crate) fn want(&mut self) -> Option<Want> {
        if self.phase == Phase::Directories {
            if let Some((file, _)) = self.files.front() {
                let file = FileName::Tile(*file);
                return Some(Want { file, offset: self.offset, bytes: self.window });
            }
            self.phase = Phase::Catalog;
            (self.offset, self.window) = (0, WINDOW_BYTES);
        }
        if self.phase == Phase::Catalog {
            let left = self.catalog.1.saturating_sub(self.offset);
            let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(self.window);
            let file = FileName::Catalog(self.catalog.0);
            return Some(Want { file, offset: self.offset, bytes });
        }
        if self.phase == Phase::Chunks { self.want_chunks() } else { None }
    }

    /// Takes the bytes that were wanted.
    pub(crate) fn feed(
        &mut self,
        plan: &CompactionPlan,
        sink: &mut Option<Sink>,
        bytes: &[u8],
        seen: &mut Seen,
    ) -> Result<(), Stop> {
        match self.phase {
            Phase::Directories => self.feed_directory(bytes, seen),
            Phase::Catalog => {
                self.feed_catalog(bytes)?;
                if self.phase == Phase::Chunks {
                    self.order_places(seen);
                    *sink = Some(Sink::new(plan, std::mem::take(&mut self.symbols)));
                }
            }
            Phase::Chunks => self.feed_chunks(bytes),
            Phase::Done => {}
        }
        Ok(())
    }

    fn feed_directory(&mut self, bytes: &[u8], seen: &mut Seen) {
        let Some((file, file_bytes)) = self.files.front().copied() else { return };
        let fault = |offset, reason| Fault { file: FileName::Tile(file), offset, reason };
        let read = tile::summary(bytes, file).and_then(|summary| {
            if bytes.len() < summary.head_bytes && self.window < summary.head_bytes {
                return Ok((summary, None));
            }
            tile::directory(bytes, file).map(|(summary, directory)| (summary, Some(directory)))
        });
        match read {
            Ok((summary, None)) => self.window = summary.head_bytes,
            Ok((summary, Some(directory))) => {
                let number = u32::try_from(self.tiles.len()).expect("tiles of a file are few");
                for chunk in &directory.chunks {
                    self.columns.insert((summary.group, chunk.column), UNKNOWN);
                    self.places.push(Place {
                        series: 0,
                        column: chunk.column,
                        tile: number,
                        offset: chunk.offset,
                        bytes: chunk.bytes,
                    });
                }
                let times = TileTimes {
                    group: summary.group,
                    part: summary.number,
                    timestamps_ms: Arc::clone(&directory.timestamps_ms),
                    owner: directory.owner,
                };
                self.tiles.push(Tile { file, offset: self.offset, times });
                self.offset += summary.tile_bytes as u64;
                self.window = DIRECTORY_BYTES;
            }
            Err(reason) => {
                seen.damage(fault(self.offset, reason));
                self.offset = file_bytes;
            }
        }
        if file_bytes <= self.offset {
            self.files.pop_front();
            (self.offset, self.window) = (0, DIRECTORY_BYTES);
        }
    }

    /// Takes definitions; those of columns without a chunk are passed over.
    fn feed_catalog(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let (number, total) = self.catalog;
        let fault =
            |offset, reason| Stop::Fault(Fault { file: FileName::Catalog(number), offset, reason });
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or(&[]);
            match frame::read(rest, frame::Kind::Catalog, number, FRAME_BYTES_MAX) {
                Found::Frame { payload, bytes: frame_bytes, .. } => {
                    let mut reader = std::mem::take(&mut self.catalog_reader);
                    let read = reader.read(payload, |definition| self.define(definition));
                    self.catalog_reader = reader;
                    read.map_err(|reason| fault(self.offset + at as u64, reason))?;
                    at += frame_bytes;
                }
                Found::Short { bytes: needed } if at == 0 && self.offset < total => {
                    if needed <= bytes.len() || bytes.len() < self.window {
                        return Err(fault(self.offset, "the catalog ends too early"));
                    }
                    self.window = needed.max(WINDOW_BYTES);
                    return Ok(());
                }
                Found::Short { .. } => break,
                Found::Nothing => {
                    return Err(fault(self.offset + at as u64, "frame does not check"));
                }
            }
            if self.offset + at as u64 == total {
                break;
            }
        }
        self.offset += at as u64;
        self.window = WINDOW_BYTES;
        if self.offset == total {
            self.phase = Phase::Chunks;
        }
        Ok(())
    }

    fn define(&mut self, definition: Definition) {
        if let Definition::Group { group, side: true, .. } = definition {
            self.side_groups.insert(group);
        }
        let Definition::Column { group, column, kind, labels } = definition else { return };
        let Some(known) = self.columns.get_mut(&(group, column)) else { return };
        let pairs: Vec<(u32, u32)> = labels
            .iter()
            .map(|(name, value)| (self.symbols.number(name), self.symbols.number(value)))
            .collect();
        let number = match self.known.get(&pairs[..]) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.ends.len()).expect("series are bounded");
                self.labels.extend_from_slice(&pairs);
                self.ends.push(u32::try_from(self.labels.len()).expect("labels are bounded"));
                self.known.insert(pairs.into(), number);
                number
            }
        };
        *known = Column { labels: number, kind };
    }

    /// Sorts symbols, label sets and chunks, so that chunks come series by series.
    fn order_places(&mut self, seen: &mut Seen) {
        self.known = HashMap::default();
        self.catalog_reader = Reader::default();
        let ranks = self.symbols.sort();
        for pair in &mut self.labels {
            *pair = (ranks[pair.0 as usize], ranks[pair.1 as usize]);
        }
        let mut order: Vec<u32> = (0..u32::try_from(self.ends.len()).unwrap_or(0)).collect();
        order.sort_unstable_by(|a, b| self.labels_of(*a).cmp(self.labels_of(*b)));
        let mut rank_of = vec![0u32; order.len()];
        for (rank, labels) in (0u32..).zip(&order) {
            rank_of[*labels as usize] = rank;
        }
        self.sort_labels(&order);
        for tile in self.tiles.iter_mut().filter(|t| !self.side_groups.contains(&t.times.group)) {
            tile.times.part = 0;
        }
        let (tiles, columns) = (&self.tiles, &mut self.columns);
        let mut unknown = 0u64;
        self.places.retain_mut(|place| {
            let group = tiles[place.tile as usize].times.group;
            let column = columns.get(&(group, place.column)).copied().unwrap_or(UNKNOWN);
            let Some(rank) = rank_of.get(column.labels as usize) else {
                unknown += 1;
                return false;
            };
            place.series = *rank;
            true
        });
        if 0 < unknown {
            // As recovery does: chunks of groups that were dropped do not count.
            let file = FileName::Catalog(self.catalog.0);
            let reason = "columns of tiles are not defined, their samples are left out";
            seen.damage(Fault { file, offset: 0, reason });
        }
        self.places.sort_unstable_by_key(|place| {
            (place.series, tiles[place.tile as usize].times.group, place.column, place.tile)
        });
    }

    /// Puts the label sets themselves in order.
    fn sort_labels(&mut self, order: &[u32]) {
        let mut labels = Vec::with_capacity(self.labels.len());
        let mut ends = Vec::with_capacity(self.ends.len());
        for number in order {
            labels.extend_from_slice(self.labels_of(*number));
            ends.push(u32::try_from(labels.len()).expect("labels are bounded"));
        }
        (self.labels, self.ends) = (labels, ends);
    }

    fn labels_of(&self, number: u32) -> &[(u32, u32)] {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.labels[start..self.ends[at] as usize]
    }

    fn want_chunks(&mut self) -> Option<Want> {
        if self.arena.read == self.arena.order.len() && !self.fill_range() {
            self.phase = Phase::Done;
            return None;
        }
        let place_of = |at: usize| {
            let place = &self.places[self.arena.order[at]];
            let tile = &self.tiles[place.tile as usize];
            let start = tile.offset + u64::from(place.offset);
            (tile.file, start, start + u64::from(place.bytes))
        };
        let (file, start, mut end) = place_of(self.arena.read);
        let mut reading = 1;
        while self.arena.read + reading < self.arena.order.len() {
            let (next_file, next, next_end) = place_of(self.arena.read + reading);
            let total = next_end.saturating_sub(start);
            if next_file != file || end + GAP_BYTES < next || WINDOW_BYTES as u64 <= total {
                break;
            }
            end = end.max(next_end);
            reading += 1;
        }
        self.arena.reading = reading;
        let bytes = usize::try_from(end - start).unwrap_or(usize::MAX);
        Some(Want { file: FileName::Tile(file), offset: start, bytes })
    }

    /// Begins the next range of series; whether there is one.
    fn fill_range(&mut self) -> bool {
        let from = self.arena.to;
        let (mut to, mut bytes) = (from, 0u64);
        while let Some(place) = self.places.get(to) {
            let same_series = from < to && self.places[to - 1].series == place.series;
            bytes += u64::from(place.bytes);
            if self.arena_bytes_max < bytes && from < to && !same_series {
                break;
            }
            to += 1;
        }
        let mut order: Vec<usize> = (from..to).collect();
        order.sort_unstable_by_key(|at| {
            let place = &self.places[*at];
            (place.tile, place.offset)
        });
        self.arena.bytes.clear();
        self.arena.starts.clear();
        self.arena.starts.resize(to - from, usize::MAX);
        (self.arena.from, self.arena.to, self.arena.read) = (from, to, 0);
        self.arena.order = order;
        from < to
    }

    fn feed_chunks(&mut self, bytes: &[u8]) {
        let arena = &mut self.arena;
        let covered = arena.read..arena.read + arena.reading;
        let mut first = None;
        for at in &arena.order[covered.clone()] {
            let place = &self.places[*at];
            let start = self.tiles[place.tile as usize].offset + u64::from(place.offset);
            let from = usize::try_from(start - *first.get_or_insert(start)).unwrap_or(usize::MAX);
            // What the file does not have stays out; decoding finds it.
            if let Some(chunk) = bytes.get(from..from.saturating_add(place.bytes as usize)) {
                arena.starts[*at - arena.from] = arena.bytes.len();
                arena.bytes.extend_from_slice(chunk);
            }
        }
        arena.read = covered.end;
    }

    /// Writes the series of the range, if all of it is there; whether there was one.
    pub(crate) fn write(&mut self, sink: &mut Option<Sink>, seen: &mut Seen) -> bool {
        let Some(sink) = sink else { return false };
        let arena = &mut self.arena;
        if arena.read < arena.order.len() || arena.from == arena.to {
            return false;
        }
        // One series at a time, so that what is written can be taken between two.
        let series = self.places[arena.from].series;
        let rest = &self.places[arena.from..arena.to];
        let count = rest.partition_point(|place| place.series == series);
        let at = series as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        let labels = &self.labels[start..self.ends[at] as usize];
        if let Some(left) = sink.left(labels) {
            self.gathered.clear();
            for (place, from) in rest[..count].iter().zip(&arena.starts) {
                let tile = &self.tiles[place.tile as usize];
                let group = tile.times.group;
                let kind =
                    self.columns.get(&(group, place.column)).map_or(UNKNOWN.kind, |c| c.kind);
                let chunk = arena.bytes.get(*from..from.saturating_add(place.bytes as usize));
                let read = self.chunks.read(&tile.times, kind, chunk, &mut self.gathered);
                if let Err(reason) = read {
                    let offset = tile.offset + u64::from(place.offset);
                    seen.damage(Fault { file: FileName::Tile(tile.file), offset, reason });
                }
            }
            seen.samples += self.gathered.len() as u64;
            sink.raw(labels, &left, &mut self.gathered);
        }
        arena.starts.drain(..count);
        arena.from += count;
        true
    }
}

/// A column that the catalog has not spoken of.
const UNKNOWN: Column = Column { labels: u32::MAX, kind: ColumnKind::Float };
