//! Recovery: makes the store of what the disk holds. It asks for bytes and is fed; no I/O.
//!
//! Path: server → **recovery** → `store`.
//! Order: the newest manifest, the newest complete catalog, the directories of the tile files, the
//! log.
//! Formats: docs/format/{manifest,catalog,tile,wal}.md.
//!
//! Invariants
//! - V1: a tile counts only if a later append began after its own ended, or if all of it checks.

use std::collections::{BTreeMap, VecDeque};

use thiserror::Error;

use crate::block::layout::TRAILER_BYTES;
use crate::block::outline;
use crate::blocks::Blocks;
use crate::catalog::read as catalog;
use crate::catalog::record::FRAME_BYTES_MAX;
use crate::compaction::BlockSummary;
use crate::effect::LogPosition;
use crate::frame::{self, Envelope, Found, Kind as FrameKind};
use crate::log::read::{self as log, Sequence, Verdict};
use crate::log::record::{
    Kind, read_column, read_column_place, read_exemplar, read_group, read_metadata, read_seal,
};
use crate::log::row_read::Decoder;
use crate::log::write::{Epoch, LiveSegment};
use crate::manifest::{self, MANIFEST_BYTES_MAX, Manifest};
use crate::names::{FileName, SegmentId};
use crate::options::{Options, OptionsError};
use crate::restore;
use crate::row::GroupKey;
use crate::store::Store;
use crate::tile::layout::VERSION as TILE_VERSION;
use crate::tile::read::{self as tile, Directory, Summary};

/// Bytes asked for at once, where nothing asks for more.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes asked for to read a tile's directory.
const DIRECTORY_WINDOW_BYTES: usize = 64 << 10;
/// Epoch of all segments of before: they retire together.
const EPOCH_BEFORE: Epoch = 1;
/// Damages kept as text.
const DAMAGES_MAX: usize = 100;

/// What recovery wants next.
#[derive(Debug)]
pub enum Step {
    /// Read up to `bytes_max` bytes at `offset` and [`Recovery::feed`] them; fewer mean that the
    /// file ends there.
    Read {
        /// File to read.
        file: FileName,
        /// Where.
        offset: u64,
        /// Most bytes wanted.
        bytes_max: usize,
    },
    /// Recovered. Call [`Store::on_event`] with [`Event::Due`](crate::effect::Event::Due) first.
    Done(Box<Store>, Report),
}

/// What was found, for the log line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Groups of the catalog and the log.
    pub groups: u64,
    /// Series of the catalog and the log.
    pub series: u64,
    /// Tiles in tile files.
    pub tiles: u64,
    /// Log segments read.
    pub segments: u64,
    /// Rows of the log put into open tiles.
    pub rows: u64,
    /// Parts that did not check and were left out, a text each; the first 100. The last commit or
    /// append before a crash may be among them.
    pub damages: Vec<String>,
}

/// Why a store could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Durable records are missing between two segments: the log is damaged in its middle.
    #[error(
        "log segment {segment}, offset {offset}: records {expected}..{found} before it are lost"
    )]
    Hole {
        /// Segment whose frame does not go on where the one before it ended.
        segment: SegmentId,
        /// Where that frame begins.
        offset: u64,
        /// Position that was expected.
        expected: u64,
        /// Position that was found.
        found: u64,
    },
    /// No catalog is whole, although one was: tiles or a log whose front has retired rest on it.
    /// To go on would make every group unknown and take its files away.
    #[error("no catalog is whole, {catalogs} were found: the definitions of the groups are lost")]
    Catalog {
        /// Catalogs that were found, none of them whole.
        catalogs: usize,
    },
    /// No manifest is whole, although one was: blocks rest on it. To go on would take them away.
    #[error("no manifest is whole, {manifests} were found: which blocks live is lost")]
    Manifest {
        /// Manifests that were found, none of them whole.
        manifests: usize,
    },
    /// A frame or tile of the live generation is of a version that this program does not know.
    #[error("{file}, offset {offset}: version {version} is unknown")]
    Version {
        /// File that was read.
        file: FileName,
        /// Where the frame or tile begins.
        offset: u64,
        /// Its version.
        version: u8,
    },
}

/// A file that is read from its front.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: FileName,
    number: u64,
    file_bytes: u64,
    offset: u64,
    bytes_max: usize,
}

/// A tile whose append may not have ended.
#[derive(Debug)]
struct Unproven {
    summary: Summary,
    directory: Directory,
    offset: u64,
}

#[derive(Debug)]
enum Phase {
    Manifest,
    Blocks,
    Catalog,
    Tiles,
    Prove,
    Log,
}

/// A recovery under way.
#[derive(Debug)]
pub struct Recovery {
    options: Options,
    store: Option<Store>,
    phase: Phase,
    /// Newest first.
    manifests: VecDeque<Place>,
    /// The live one and its number.
    manifest: Option<(u64, Manifest)>,
    /// Trailers of the live ones.
    blocks: VecDeque<Place>,
    /// Newest first.
    catalogs: VecDeque<Place>,
    catalog_reader: catalog::Reader,
    catalog_complete: bool,
    /// Oldest first.
    tile_files: VecDeque<Place>,
    unproven: VecDeque<Unproven>,
    /// Oldest first.
    segments: VecDeque<Place>,
    run_start: u64,
    sequence: Sequence,
    decoder: Decoder,
    listing: Listing,
    read_bytes: u64,
    total_bytes: u64,
    report: Report,
}

/// What was there.
#[derive(Clone, Debug, Default)]
struct Listing {
    manifests: Vec<u64>,
    /// Number and bytes.
    blocks: BTreeMap<u64, u64>,
    catalogs: Vec<u64>,
    tiles: Vec<u64>,
    segments: Vec<u64>,
}

impl Recovery {
    /// Recovery of the files in `listing` (name and bytes, any order). Their bytes and names must
    /// have been synced since an earlier process wrote them: what is found counts as durable.
    ///
    /// # Errors
    /// [`OpenError::Options`]; [`OpenError::Catalog`] when there are tile files without any.
    pub fn new(options: Options, listing: Vec<(FileName, u64)>) -> Result<Recovery, OpenError> {
        options.check()?;
        let mut found = listing;
        found.sort();
        let mut names = Listing::default();
        let (mut catalogs, mut tile_files, mut segments) =
            (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let mut manifests = VecDeque::new();
        let total_bytes = found.iter().map(|(_, bytes)| *bytes).sum();
        for (file, file_bytes) in found {
            let place =
                |number, bytes_max| Place { file, number, file_bytes, offset: 0, bytes_max };
            match file {
                FileName::Catalog(number) => {
                    names.catalogs.push(number);
                    catalogs.push_front(place(number, WINDOW_BYTES));
                }
                FileName::Manifest(number) => {
                    names.manifests.push(number);
                    let bytes = usize::try_from(file_bytes).unwrap_or(usize::MAX);
                    manifests.push_front(place(number, bytes.min(MANIFEST_BYTES_MAX)));
                }
                FileName::Block(number) => {
                    names.blocks.insert(number, file_bytes);
                }
                FileName::Tile(number) => {
                    names.tiles.push(number);
                    tile_files.push_back(place(number, DIRECTORY_WINDOW_BYTES));
                }
                FileName::Segment(segment) => {
                    // A file is gone only when it and all before it are retired.
                    if names.segments.last().is_some_and(|last| last + 1 != segment.0) {
                        segments.clear();
                    }
                    names.segments.push(segment.0);
                    segments.push_back(place(segment.0, WINDOW_BYTES));
                }
            }
        }
        if manifests.is_empty() && !names.blocks.is_empty() {
            return Err(OpenError::Manifest { manifests: 0 });
        }
        if catalogs.is_empty() && !tile_files.is_empty() {
            return Err(OpenError::Catalog { catalogs: 0 });
        }
        let run_start = segments.front().map_or(0, |place: &Place| place.number);
        let mut recovery = Recovery {
            store: None,
            options,
            phase: Phase::Manifest,
            manifests,
            manifest: None,
            blocks: VecDeque::new(),
            catalogs,
            catalog_reader: catalog::Reader::default(),
            catalog_complete: false,
            tile_files,
            unproven: VecDeque::new(),
            segments,
            run_start,
            sequence: Sequence::default(),
            decoder: Decoder::default(),
            listing: names,
            read_bytes: 0,
            total_bytes,
            report: Report::default(),
        };
        recovery.store = Some(recovery.empty_store());
        Ok(recovery)
    }

    /// A store that knows nothing but which numbers of files are taken.
    fn empty_store(&self) -> Store {
        let epoch_of = |segment| if segment < self.run_start { 0 } else { EPOCH_BEFORE };
        let live = self.listing.segments.iter();
        let live =
            live.map(|id| LiveSegment { id: SegmentId(*id), epoch: epoch_of(*id), first: 0 });
        let names = restore::Taken {
            catalogs: self.listing.catalogs.clone(),
            next_tile: self.next_tile(),
            next_segment: SegmentId(self.listing.segments.last().map_or(1, |last| last + 1)),
            live: live.collect(),
            blocks: self.blocks(),
        };
        restore::empty(self.options.clone(), names)
    }

    /// What to do next.
    ///
    /// # Panics
    /// After [`Step::Done`] there is no next.
    pub fn step(&mut self) -> Step {
        let place = match self.phase {
            Phase::Manifest => self.manifests.front(),
            Phase::Blocks => self.blocks.front(),
            Phase::Catalog => self.catalogs.front(),
            Phase::Tiles | Phase::Prove => self.tile_files.front(),
            Phase::Log => self.segments.front(),
        };
        if let Some(place) = place {
            let (file, offset, bytes_max) = (place.file, place.offset, place.bytes_max);
            if let (Phase::Prove, Some(tile)) = (&self.phase, self.unproven.front()) {
                return Step::Read {
                    file,
                    offset: tile.offset,
                    bytes_max: tile.summary.tile_bytes,
                };
            }
            return Step::Read { file, offset, bytes_max };
        }
        match self.phase {
            Phase::Manifest => self.manifests_are_read(),
            Phase::Blocks => self.phase = Phase::Catalog,
            Phase::Catalog => {
                restore::catalog_is_read(self.store_mut());
                self.phase = Phase::Tiles;
            }
            Phase::Tiles | Phase::Prove => {
                restore::tiles_are_known(self.store_mut());
                self.phase = Phase::Log;
            }
            Phase::Log => return self.finish(),
        }
        self.step()
    }

    fn store_mut(&mut self) -> &mut Store {
        self.store.as_mut().expect("recovery is over after `Done`")
    }

    fn finish(&mut self) -> Step {
        let mut store = self.store.take().expect("recovery is over after `Done`");
        let mut report = std::mem::take(&mut self.report);
        self.give_up_files(&mut store);
        restore::log_is_read(&mut store, self.sequence.first(), self.sequence.last());
        store.counts.damages = report.damages.len() as u64;
        report.groups = store.group_keys.len() as u64;
        report.series = store.index.len() as u64;
        Step::Done(Box::new(store), report)
    }

    /// Takes the bytes that [`Step::Read`] asked for.
    ///
    /// # Errors
    /// [`OpenError::Hole`], [`OpenError::Catalog`], [`OpenError::Version`]: a human must look.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        match self.phase {
            Phase::Manifest => return self.feed_manifest(bytes),
            Phase::Blocks => return self.feed_block(bytes),
            Phase::Catalog => return self.feed_catalog(bytes),
            Phase::Tiles => return self.feed_tiles(bytes),
            Phase::Prove => self.feed_proof(bytes),
            Phase::Log => return self.feed_log(bytes),
        }
        Ok(())
    }

    /// Bytes read and bytes to read, for a progress line.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.read_bytes.min(self.total_bytes), self.total_bytes)
    }

    fn damage(&mut self, text: String) {
        if self.report.damages.len() < DAMAGES_MAX {
            self.report.damages.push(text);
        }
    }

    fn feed_manifest(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let Some(place) = self.manifests.pop_front() else { return Ok(()) };
        self.read_bytes += place.file_bytes;
        let (file, number) = (place.file, place.number);
        match Manifest::read(number, bytes) {
            Ok(manifest) => {
                let newest = self.listing.manifests.last() == Some(&number);
                self.check_blocks(&manifest, newest)?;
                self.manifest = Some((number, manifest));
                self.manifests.clear();
            }
            Err(reason) => {
                if let Some(version) = manifest::other_version(number, bytes) {
                    return Err(OpenError::Version { file, offset: 0, version });
                }
                self.damage(format!("{file}: {reason}, its writing was cut off"));
                // The first manifest is written before the first block, when none is named.
                let first = number == 1 && self.listing.blocks.is_empty();
                if self.manifests.is_empty() && !first {
                    return Err(self.no_manifest());
                }
            }
        }
        Ok(())
    }

    fn no_manifest(&self) -> OpenError {
        OpenError::Manifest { manifests: self.listing.manifests.len() }
    }

    /// Whether the blocks of the manifest are there. Those of an older one than the newest all
    /// are, or the newest was whole once and is damaged.
    fn check_blocks(&mut self, manifest: &Manifest, newest: bool) -> Result<(), OpenError> {
        for (number, block) in &manifest.blocks {
            if self.listing.blocks.get(number) == Some(&block.summary.bytes) {
                self.blocks.push_back(trailer_place(&block.summary));
                continue;
            }
            if !newest {
                return Err(self.no_manifest());
            }
            let file = FileName::Block(*number);
            let bytes = block.summary.bytes;
            self.damage(format!("{file}: it is gone, or has not the {bytes} bytes it had"));
        }
        Ok(())
    }

    /// Blocks are read when somebody asks; that they can be is known before anything is written.
    fn feed_block(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let Some(Place { file, number, offset, .. }) = self.blocks.pop_front() else {
            return Ok(());
        };
        match outline::other_version(number, bytes) {
            Some(version) => Err(OpenError::Version { file, offset, version }),
            None => Ok(()),
        }
    }

    /// The manifest is known: tile files whose samples are in blocks are passed over.
    fn manifests_are_read(&mut self) {
        self.phase = Phase::Blocks;
        let replaced = |number: u64| {
            self.manifest.as_ref().is_some_and(|(_, manifest)| manifest.replaced.contains(&number))
        };
        self.tile_files.retain(|place| !replaced(place.number));
        self.store = Some(self.empty_store());
    }

    fn next_tile(&self) -> u64 {
        let manifest = self.manifest.as_ref();
        let replaced = manifest.and_then(|(_, manifest)| manifest.replaced.last());
        self.listing.tiles.last().max(replaced).map_or(1, |last| last + 1)
    }

    fn blocks(&self) -> Blocks {
        let taken = self.listing.blocks.keys().last().copied().unwrap_or(0);
        let (number, manifest) = self.manifest.clone().unwrap_or_default();
        let mut blocks = Blocks::new(&self.options, number, manifest, taken);
        let others = self.listing.manifests.iter().copied().filter(|other| *other != number);
        blocks.restore_older(others.collect());
        blocks
    }

    /// Has the files deleted that the manifest does without.
    fn give_up_files(&self, store: &mut Store) {
        let manifest = self.manifest.as_ref().map(|(_, manifest)| manifest);
        let lives = |number: &u64| manifest.is_some_and(|m| m.blocks.contains_key(number));
        for number in self.listing.blocks.keys().filter(|number| !lives(number)) {
            store.deletions.push(FileName::Block(*number));
        }
        let replaced = |number: &u64| manifest.is_some_and(|m| m.replaced.contains(number));
        for number in self.listing.tiles.iter().filter(|number| replaced(number)) {
            store.deletions.push(FileName::Tile(*number));
        }
    }

    fn feed_catalog(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let Some(mut place) = self.catalogs.pop_front() else { return Ok(()) };
        let mut at = 0;
        let end = loop {
            match frame::read(&bytes[at..], FrameKind::Catalog, place.number, FRAME_BYTES_MAX) {
                Found::Frame { payload, bytes: frame_bytes, .. } => {
                    let (store, complete) = (self.store.as_mut(), &mut self.catalog_complete);
                    let store = store.expect("recovery is over after `Done`");
                    let read = self.catalog_reader.read(payload, |definition| {
                        *complete |= definition == catalog::Definition::Complete;
                        restore::define(store, definition);
                    });
                    if read.is_err() {
                        break true;
                    }
                    at += frame_bytes;
                }
                Found::Short { bytes: needed } => {
                    let is_end = bytes.len() < place.bytes_max;
                    place.bytes_max = needed.max(WINDOW_BYTES);
                    break is_end;
                }
                Found::Nothing => break true,
            }
        };
        place.offset += at as u64;
        if !end {
            self.catalogs.push_front(place);
            return Ok(());
        }
        self.read_bytes += place.file_bytes;
        self.check_end(&place, bytes.get(at..).unwrap_or(&[]), FrameKind::Catalog)?;
        if self.catalog_complete {
            self.catalogs.clear();
        } else {
            // Its writing was cut off; what it replaces is still there.
            self.catalog_reader = catalog::Reader::default();
            self.store = Some(self.empty_store());
            // A tile is written only when its definitions are durable in a whole catalog.
            if self.catalogs.is_empty() && !self.tile_files.is_empty() {
                return Err(self.no_catalog());
            }
        }
        Ok(())
    }

    fn no_catalog(&self) -> OpenError {
        OpenError::Catalog { catalogs: self.listing.catalogs.len() }
    }

    fn feed_tiles(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let Some(mut place) = self.tile_files.pop_front() else { return Ok(()) };
        let short = bytes.len() < place.bytes_max;
        let mut at = 0;
        let end = loop {
            let rest = &bytes[at.min(bytes.len())..];
            if rest.is_empty() {
                break short;
            }
            let needed = match tile::summary(rest, place.number) {
                Ok(summary) => summary.head_bytes,
                Err(reason) if short || at == 0 => {
                    self.end_of_tiles(&place, at as u64, rest, reason)?;
                    break true;
                }
                Err(_) => break false,
            };
            if rest.len() < needed {
                place.bytes_max = needed.max(DIRECTORY_WINDOW_BYTES);
                break short;
            }
            let (summary, directory) = match tile::directory(rest, place.number) {
                Ok(read) => read,
                Err(reason) => {
                    self.end_of_tiles(&place, at as u64, rest, reason)?;
                    break true;
                }
            };
            let offset = place.offset + at as u64;
            if self
                .unproven
                .back()
                .is_some_and(|u| u.summary.append_offset != summary.append_offset)
            {
                self.attach_unproven(place.number);
            }
            at += summary.tile_bytes;
            self.unproven.push_back(Unproven { summary, directory, offset });
            if bytes.len() < at {
                break false;
            }
        };
        place.offset += at as u64;
        let end = end || place.file_bytes <= place.offset;
        if end {
            self.phase = Phase::Prove;
        }
        self.tile_files.push_front(place);
        if end && self.unproven.is_empty() {
            self.tile_file_is_read();
        }
        Ok(())
    }

    /// Looks at what stands where the tiles of a file end before the file does.
    fn end_of_tiles(
        &mut self,
        place: &Place,
        at: u64,
        rest: &[u8],
        reason: &'static str,
    ) -> Result<(), OpenError> {
        let (file, offset) = (place.file, place.offset + at);
        match tile::version_here(rest, place.number) {
            Some(version) if version != TILE_VERSION => {
                Err(OpenError::Version { file, offset, version })
            }
            _ => {
                self.damage(format!("{file}, tile at {offset}: {reason}, the rest is left out"));
                restore::damaged(self.store_mut(), place.number);
                Ok(())
            }
        }
    }

    /// The tiles of an append that another followed are durable as they stand.
    fn attach_unproven(&mut self, file: u64) {
        for tile in std::mem::take(&mut self.unproven) {
            self.attach(file, &tile);
        }
    }

    fn attach(&mut self, file: u64, tile: &Unproven) {
        let store = self.store.as_mut().expect("recovery is over after `Done`");
        match restore::tile(store, file, tile.offset, &tile.summary, &tile.directory) {
            Ok(counts) => self.report.tiles += u64::from(counts),
            Err(reason) => {
                let file = FileName::Tile(file);
                self.damage(format!("{file}, tile at {}: {reason}", tile.offset));
            }
        }
    }

    fn feed_proof(&mut self, bytes: &[u8]) {
        let Some(tile) = self.unproven.pop_front() else { return };
        let Some(number) = self.tile_files.front().map(|place| place.number) else { return };
        let checks = bytes.len() == tile.summary.tile_bytes
            && tile::directory(bytes, number).is_ok_and(|(_, d)| d == tile.directory)
            && tile::chunks_check(bytes, &tile.directory);
        if checks {
            self.attach(number, &tile);
        } else {
            // Those of the same append behind it may check, but its rows are in the log anyway.
            let (file, offset) = (FileName::Tile(number), tile.offset);
            self.damage(format!("{file}, tile at {offset}: its append did not end"));
        }
        if self.unproven.is_empty() {
            self.tile_file_is_read();
        }
    }

    fn tile_file_is_read(&mut self) {
        assert!(self.unproven.is_empty(), "V1: a tile that is not proven is passed over");
        self.phase = Phase::Tiles;
        if let Some(place) = self.tile_files.pop_front() {
            self.read_bytes += place.file_bytes;
            restore::tile_file(self.store_mut(), place.number, place.file_bytes);
        }
    }

    fn feed_log(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let Some(mut place) = self.segments.pop_front() else { return Ok(()) };
        let block_bytes = usize::try_from(self.options.block_bytes).expect("a block is small");
        let payload_max = usize::try_from(place.file_bytes).unwrap_or(usize::MAX);
        let mut at = 0;
        let end = loop {
            let rest = bytes.get(at..).unwrap_or(&[]);
            match frame::read(rest, FrameKind::Log, place.number, payload_max) {
                Found::Frame { envelope, payload, bytes: frame_bytes } => {
                    let first = place.offset == 0 && at == 0;
                    if first && !log::continues(&envelope) {
                        self.decoder.reset();
                    }
                    self.take_frame(&place, at as u64, &envelope, payload)?;
                    at += frame_bytes.next_multiple_of(block_bytes);
                }
                Found::Short { bytes: needed } => {
                    let is_end = bytes.len() < place.bytes_max || payload_max < needed;
                    place.bytes_max = needed.max(WINDOW_BYTES);
                    break is_end;
                }
                Found::Nothing => break true,
            }
        };
        place.offset += at as u64;
        if !end && place.offset < place.file_bytes {
            self.segments.push_front(place);
            return Ok(());
        }
        self.check_end(&place, bytes.get(at..).unwrap_or(&[]), FrameKind::Log)?;
        self.read_bytes += place.file_bytes;
        self.report.segments += 1;
        if self.segments.is_empty() { self.check_run() } else { Ok(()) }
    }

    /// Looks at what stands where the frames of a file end.
    fn check_end(&mut self, place: &Place, rest: &[u8], kind: FrameKind) -> Result<(), OpenError> {
        let (file, offset) = (place.file, place.offset);
        match frame::version_here(rest, kind, place.number) {
            None => Ok(()),
            Some(frame::VERSION) => {
                self.damage(format!("{file}, frame at {offset}: does not check, a torn commit"));
                Ok(())
            }
            Some(version) => Err(OpenError::Version { file, offset, version }),
        }
    }

    /// Whether all records that the newest frame calls needed were there.
    fn check_run(&self) -> Result<(), OpenError> {
        let (first, expected) = (self.sequence.first(), self.sequence.needed());
        // Before the first whole catalog nothing retires.
        if 1 < first && !self.catalog_complete {
            return Err(self.no_catalog());
        }
        if first <= expected {
            return Ok(());
        }
        let segment = SegmentId(self.run_start);
        Err(OpenError::Hole { segment, offset: 0, expected, found: first })
    }

    fn take_frame(
        &mut self,
        place: &Place,
        at: u64,
        envelope: &Envelope,
        payload: &[u8],
    ) -> Result<(), OpenError> {
        match self.sequence.judge(envelope) {
            Verdict::Skip => return Ok(()),
            Verdict::Hole { expected } => {
                let (segment, offset) = (SegmentId(place.number), place.offset + at);
                return Err(OpenError::Hole { segment, offset, expected, found: envelope.first });
            }
            Verdict::Apply => {}
        }
        let records = match log::records(envelope, payload) {
            Ok(records) => records,
            Err(reason) => {
                self.damage(format!("{}, frame at {}: {reason}", place.file, place.offset + at));
                return Ok(());
            }
        };
        for (position, (kind, body)) in (envelope.first..).zip(records) {
            let taken = self.take_record(kind, body, LogPosition(position));
            if let Err(reason) = taken {
                let frame = place.offset + at;
                self.damage(format!("{}, record {position} at {frame}: {reason}", place.file));
            }
        }
        Ok(())
    }

    fn take_record(
        &mut self,
        kind: Option<Kind>,
        body: &[u8],
        position: LogPosition,
    ) -> Result<(), &'static str> {
        let store = self.store.as_mut().expect("recovery is over after `Done`");
        match kind.ok_or("record of an unknown kind")? {
            record @ (Kind::Group | Kind::SideGroup) => {
                let (group, key, labels) = read_group(body).ok_or("group makes no sense")?;
                let side = record == Kind::SideGroup;
                let group = restore::LoggedGroup { group, key: GroupKey(key), labels, side };
                restore::logged_group(store, group, EPOCH_BEFORE)
            }
            record @ (Kind::Column | Kind::TypedColumn) => {
                let place = read_column_place(body).ok_or("column makes no sense")?;
                if restore::has_column(store, place) {
                    return Ok(());
                }
                let column = read_column(record, body).ok_or("column makes no sense")?;
                let (group, column, kind, labels) = column;
                restore::logged_column(store, (group, column), kind, &labels, EPOCH_BEFORE)
            }
            Kind::Seal => {
                let (group, number) = read_seal(body).ok_or("seal makes no sense")?;
                store.replay_seal(group, number);
                Ok(())
            }
            Kind::Metadata => {
                let (group, families) = read_metadata(body).ok_or("metadata makes no sense")?;
                store.replay_metadata(group, &families, EPOCH_BEFORE);
                Ok(())
            }
            Kind::Exemplar => {
                let (place, exemplar) = read_exemplar(body).ok_or("exemplar makes no sense")?;
                store.replay_exemplar(place, exemplar);
                Ok(())
            }
            Kind::Cells => {
                let columns = |group| store.columns_of(group);
                if let Some(row) = self.decoder.cells(body, columns)? {
                    let made = store.replay_cells(&row, EPOCH_BEFORE, position);
                    self.report.rows += u64::from(made);
                }
                Ok(())
            }
            kind @ (Kind::Row | Kind::FullRow) => {
                let full = kind == Kind::FullRow;
                let columns = |group| store.columns_of(group);
                if let Some(row) = self.decoder.row(body, full, columns)? {
                    self.report.rows += u64::from(store.replay(&row, EPOCH_BEFORE, position));
                }
                Ok(())
            }
        }
    }
}

fn trailer_place(block: &BlockSummary) -> Place {
    Place {
        file: FileName::Block(block.number),
        number: block.number,
        file_bytes: block.bytes,
        offset: block.bytes.saturating_sub(TRAILER_BYTES as u64),
        bytes_max: TRAILER_BYTES,
    }
}
