//! Tile files: sealed tiles on their way to the disk, and the files that hold the others.
//!
//! Path: `store` seals → **tile_files** → effects `File`; retention takes files away.
//! Owns: the order of appends, the current file, which file holds times up to when.
//!
//! Invariants
//! - T1: a tile is written only when its rows are durable in the log and its definitions in the
//!   catalog.
//! - T2: one append is in flight; a failed one is written again at the same place with the same
//!   bytes.
//! - T3: a file is deleted only when all its samples are older than retention and it is not the
//!   current one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::time::{Now, Tick};

use crate::back_off::BackOff;
use crate::compact::plan::ClosedFile;
use crate::effect::{FileOp, FileRequestId};
use crate::log::write::Epoch;
use crate::names::FileName;
use crate::options::Options;
use crate::tile::write;

/// A sealed tile that is not durable.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) group: u32,
    pub(crate) number: u32,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) max_time_ms: i64,
    /// Log position of its newest row.
    pub(crate) position: u64,
    /// The catalog's mark that covers its definitions.
    pub(crate) catalog_mark: u64,
    /// Epoch of its oldest row.
    pub(crate) epoch: Epoch,
}

/// A tile that became durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) group: u32,
    pub(crate) number: u32,
    pub(crate) epoch: Epoch,
    pub(crate) file: u64,
    pub(crate) offset: u64,
}

/// Newest time of a file's samples, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSpan {
    pub(crate) max_time_ms: i64,
    pub(crate) bytes: u64,
}

/// The file that tiles are appended to.
#[derive(Clone, Copy, Debug)]
struct Current {
    number: u64,
    offset: u64,
    /// Which stretch of wall time it is for.
    window: i64,
}

#[derive(Debug)]
struct Flight {
    request: FileRequestId,
    /// Tiles of the queue's front that it holds.
    tiles: usize,
    bytes: u64,
}

/// Tile files of one shard.
#[derive(Debug)]
pub(crate) struct TileFiles {
    append_bytes_max: u64,
    file_ms: i64,
    queue: VecDeque<Waiting>,
    queue_bytes: u64,
    current: Option<Current>,
    next_number: u64,
    files: BTreeMap<u64, FileSpan>,
    /// Those that do not read to their end: what they hold is not known.
    damaged: BTreeSet<u64>,
    flight: Option<Flight>,
    /// Tiles of the append that failed: it is made again with exactly these.
    failed_tiles: Option<usize>,
    back_off: BackOff,
}

impl TileFiles {
    /// The `files` of before stay as they are; the next append begins file `next_number`.
    pub(crate) fn new(
        options: &Options,
        next_number: u64,
        files: BTreeMap<u64, FileSpan>,
    ) -> TileFiles {
        TileFiles {
            append_bytes_max: options.append_bytes_max,
            file_ms: i64::try_from(options.tile_file_ms).unwrap_or(i64::MAX),
            queue: VecDeque::new(),
            queue_bytes: 0,
            current: None,
            next_number,
            files,
            damaged: BTreeSet::new(),
            flight: None,
            failed_tiles: None,
            back_off: BackOff::new(options),
        }
    }

    /// A file of before has samples up to `max_time_ms`.
    pub(crate) fn restore(&mut self, number: u64, max_time_ms: i64) {
        let span = self.files.entry(number).or_insert(FileSpan { max_time_ms, bytes: 0 });
        span.max_time_ms = span.max_time_ms.max(max_time_ms);
    }

    /// A file of before has `bytes`; one without a tile that counts may go at once.
    pub(crate) fn restore_bytes(&mut self, number: u64, bytes: u64) {
        let empty = FileSpan { max_time_ms: i64::MIN, bytes: 0 };
        self.files.entry(number).or_insert(empty).bytes = bytes;
    }

    /// A file of before does not read to its end.
    pub(crate) fn restore_damaged(&mut self, number: u64) {
        self.damaged.insert(number);
    }

    /// What the damaged files hold may be of any time up to now, so they stay until that has passed
    /// retention.
    pub(crate) fn keep_damaged(&mut self, now_ms: i64) {
        for number in &self.damaged {
            if let Some(span) = self.files.get_mut(number) {
                span.max_time_ms = span.max_time_ms.max(now_ms);
            }
        }
    }

    /// Files that do not read to their end.
    pub(crate) fn damaged(&self) -> usize {
        self.damaged.len()
    }

    /// Bytes of tiles that wait.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.queue_bytes
    }

    /// Bytes of all files.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// Number of files.
    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    /// Queues a sealed tile.
    pub(crate) fn push(&mut self, tile: Waiting) {
        self.queue_bytes += tile.bytes.len() as u64;
        self.queue.push_back(tile);
    }

    /// When to call [`TileFiles::pump`] after a failure.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        self.failed_tiles.and_then(|_| self.back_off.at())
    }

    /// The next append, if tiles may go: those whose rows are durable up to `position` and whose
    /// definitions are durable up to `mark`.
    pub(crate) fn pump(
        &mut self,
        now: Now,
        request: FileRequestId,
        position: u64,
        mark: u64,
    ) -> Option<FileOp> {
        if self.flight.is_some() || self.back_off.waits(now.tick) {
            return None;
        }
        let tiles = self.failed_tiles.take().unwrap_or_else(|| self.ready(position, mark));
        if tiles == 0 {
            return None;
        }
        let current = self.current_file(now);
        let mut bytes = Vec::new();
        for tile in self.queue.iter().take(tiles) {
            let written = tile.position <= position && tile.catalog_mark <= mark;
            assert!(written, "T1: a tile goes before its rows and definitions");
            let start = bytes.len();
            bytes.extend_from_slice(&tile.bytes);
            write::place(&mut bytes[start..], current.number, current.offset);
        }
        assert!(self.flight.is_none(), "T2: an append is in flight");
        self.flight = Some(Flight { request, tiles, bytes: bytes.len() as u64 });
        let file = FileName::Tile(current.number);
        Some(FileOp::Append { file, offset: current.offset, bytes })
    }

    /// Tiles of the queue's front that may go in one append.
    fn ready(&self, position: u64, mark: u64) -> usize {
        let mut bytes = 0;
        let fits = self.queue.iter().take_while(|tile| {
            let first = bytes == 0;
            bytes += tile.bytes.len() as u64;
            let may = tile.position <= position && tile.catalog_mark <= mark;
            may && (first || bytes <= self.append_bytes_max)
        });
        fits.count()
    }

    /// The file for this time. One whose append failed stays until that is made good.
    fn current_file(&mut self, now: Now) -> Current {
        let window = now.wall.0.div_euclid(self.file_ms);
        let stays = self.current.filter(|c| c.window == window || self.back_off.at().is_some());
        let current = stays.unwrap_or_else(|| {
            let number = self.next_number;
            self.next_number += 1;
            Current { number, offset: 0, window }
        });
        self.current = Some(current);
        current
    }

    /// The request is answered; `None` when it is no tile append. Gives the tiles that are durable.
    pub(crate) fn on_done(
        &mut self,
        now: Now,
        request: FileRequestId,
        succeeded: bool,
    ) -> Option<Vec<Stored>> {
        let flight = self.flight.take_if(|flight| flight.request == request)?;
        if !succeeded {
            self.back_off.failed(now.tick);
            self.failed_tiles = Some(flight.tiles);
            return Some(Vec::new());
        }
        self.back_off.clear();
        let current = self.current.as_mut().expect("an append in flight has its file");
        let empty = FileSpan { max_time_ms: i64::MIN, bytes: 0 };
        let span = self.files.entry(current.number).or_insert(empty);
        span.bytes += flight.bytes;
        let mut stored = Vec::with_capacity(flight.tiles);
        for tile in self.queue.drain(..flight.tiles) {
            let (group, number, epoch) = (tile.group, tile.number, tile.epoch);
            let (file, offset) = (current.number, current.offset);
            stored.push(Stored { group, number, epoch, file, offset });
            current.offset += tile.bytes.len() as u64;
            self.queue_bytes -= tile.bytes.len() as u64;
            span.max_time_ms = span.max_time_ms.max(tile.max_time_ms);
        }
        Some(stored)
    }

    /// Files that nothing is appended to any more and whose window is over, by number.
    pub(crate) fn closed(&self, now: Now) -> Vec<ClosedFile> {
        let window = now.wall.0.div_euclid(self.file_ms);
        let failed = self.failed_tiles.is_some() || self.back_off.at().is_some();
        let is_open = |number: u64| {
            let current = self.current.filter(|current| current.number == number);
            let open = |c: Current| window <= c.window || self.flight.is_some() || failed;
            current.is_some_and(open)
        };
        let is_over = |span: &FileSpan| span.max_time_ms.div_euclid(self.file_ms) < window;
        let files = self.files.iter().filter(|(number, span)| !is_open(**number) && is_over(span));
        files
            .map(|(number, span)| ClosedFile {
                number: *number,
                bytes: span.bytes,
                max_time_ms: span.max_time_ms,
            })
            .collect()
    }

    /// A file's samples are in a block.
    pub(crate) fn replaced(&mut self, number: u64) {
        self.files.remove(&number);
    }

    /// Takes away the oldest file if all its samples are before `oldest_ms` and it is not `read`.
    pub(crate) fn expire(
        &mut self,
        oldest_ms: i64,
        now: Now,
        read: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        let window = now.wall.0.div_euclid(self.file_ms);
        if self.flight.is_none() && self.current.is_some_and(|c| c.window < window) {
            let failed = self.failed_tiles.is_some();
            self.current = self.current.filter(|_| failed);
        }
        // Not only the first: one whose times lie ahead, as a wrong clock makes them, must not keep
        // those behind it.
        let current = self.current.map(|current| current.number);
        let expired = |(number, span): &(&u64, &FileSpan)| {
            span.max_time_ms < oldest_ms && current != Some(**number) && !read(**number)
        };
        let number = *self.files.iter().find(expired)?.0;
        self.files.remove(&number);
        self.damaged.remove(&number);
        assert!(current != Some(number), "T3: the current file expires");
        Some(number)
    }
}
