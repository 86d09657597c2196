//! Segments: the log's files made, recycled and removed, on a thread that may wait for the disk.
//!
//! Path: effects `LogPrepare`, `LogRetire` → `shard_loop` → **segments** → `wal_thread` gets the
//! open file, the shard its answer.
//! Owns: the names of spare files (`wal/spare-<n>`), which storage never sees.
//! Never: writes a commit; those do not wait for anything done here.
//!
//! Overwriting blocks that were written before doubles the rate of commits on ext4 against
//! `fallocate` alone: so new files are filled with zeros, and retired ones are used again.
//!
//! Invariants
//! - SG1: a file has its segment's name only with all its bytes written and synced.
//! - SG2: retired files go in order, each durably before the next.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use crossbeam::channel::{Receiver, Sender, bounded};
use rustix::fs::{FlockOperation, Mode, OFlags, fdatasync, flock, fsync, open};
use rustix::io::{Errno, pwrite};
use storage::effect::{Event, FileError};
use storage::names::{FileName, SegmentId};

use crate::block::Block;
use crate::handle::Worker;
use crate::mailbox::{Done, Postbox};
use crate::wal_thread::{LogSender, Request as LogRequest, is_full};
use crate::worker::spawn;

/// Bytes of zeros written and synced at a time, so that commits are not queued behind much.
const PIECE_BYTES: usize = 1 << 20;
const ALIGNMENT: usize = 4096;
/// Requests that may wait for each shard.
const WAITING_PER_SHARD: usize = 64;

/// What the thread is asked.
#[derive(Debug)]
pub(crate) enum Request {
    /// Have a segment ready.
    Prepare { shard: usize, segment: SegmentId },
    /// Nothing needs the segment.
    Retire { shard: usize, segment: SegmentId },
}

/// Where and how the files of one shard are made.
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) block_bytes: usize,
    pub(crate) spares_max: usize,
    pub(crate) postbox: Postbox,
}

struct Segments {
    places: Vec<Place>,
    spares: Vec<Vec<PathBuf>>,
    names: u64,
    log: LogSender,
    direct_refused: bool,
}

/// Starts the thread; it ends with the last sender.
///
/// # Errors
/// The system has no thread left.
pub(crate) fn start(
    places: Vec<Place>,
    log: LogSender,
    prepare: Box<dyn FnOnce() + Send>,
) -> io::Result<(Sender<Request>, Worker)> {
    let (sender, receiver) = bounded(WAITING_PER_SHARD * places.len().max(1));
    let worker = spawn("segments", move || {
        prepare();
        Segments::new(places, log).run(&receiver);
    })?;
    Ok((sender, worker))
}

impl Segments {
    fn new(places: Vec<Place>, log: LogSender) -> Segments {
        let spares = places.iter().map(find_spares).collect();
        Segments { places, spares, names: 0, log, direct_refused: false }
    }

    fn run(&mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            match request {
                Request::Prepare { shard, segment } => {
                    let event = match self.prepare(shard, segment) {
                        Ok(()) => Event::LogPrepared { segment },
                        Err(cause) => {
                            let full = Errno::from_io_error(&cause).is_some_and(is_full);
                            let reason = format!("prepare segment {segment}: {cause}");
                            let cause = FileError { reason, full };
                            Event::LogPrepareFailed { segment, cause }
                        }
                    };
                    self.places[shard].postbox.done(Done::Storage(event));
                }
                Request::Retire { shard, segment } => {
                    if let Err(cause) = self.retire(shard, segment) {
                        tracing::warn!(shard, %segment, %cause, "segment not recycled");
                    }
                }
            }
        }
    }

    fn prepare(&mut self, shard: usize, segment: SegmentId) -> io::Result<()> {
        let place = &self.places[shard];
        let path = place.directory.join(FileName::Segment(segment).to_string());
        let wanted = place.segment_bytes;
        if file_bytes(&path).is_none_or(|bytes| bytes < wanted) {
            // A spare that somebody cut is left alone: the next process removes it.
            let spare = self.spares[shard].pop().filter(|path| file_bytes(path) == Some(wanted));
            let ready = match spare {
                Some(spare) => spare,
                None => self.fill(shard, &path)?,
            };
            if let Err(cause) = fs::rename(&ready, &path) {
                // Nobody knows the name any more.
                let _ = fs::remove_file(&ready);
                return Err(cause);
            }
        }
        sync_parent(&path)?;
        let file = self.open_direct(&path)?;
        // Held by every write under way: the next process waits for it (`open`). Where the file
        // system has no such locks there is nothing to hold.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let block_bytes = self.places[shard].block_bytes;
        let opened = LogRequest::Opened { shard, segment, file, block_bytes };
        self.log.send(opened).map_err(|_| io::Error::other("the log takes no more segments"))
    }

    /// A new file full of zeros; what a smaller file of that name holds is kept.
    fn fill(&mut self, shard: usize, path: &Path) -> io::Result<PathBuf> {
        let wanted = self.places[shard].segment_bytes;
        let block = Block::new(PIECE_BYTES, ALIGNMENT);
        if let Some(bytes) = file_bytes(path) {
            let file = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            fill_zeros(&file, &block, bytes, wanted)?;
            fsync(&file)?;
            return Ok(path.to_owned());
        }
        let name = self.new_name(shard, "new");
        let file = self.open_direct(&name)?;
        let filled = fill_zeros(&file, &block, 0, wanted).and_then(|()| Ok(fsync(&file)?));
        if let Err(cause) = filled {
            let _ = fs::remove_file(&name);
            return Err(cause);
        }
        Ok(name)
    }

    fn retire(&mut self, shard: usize, segment: SegmentId) -> io::Result<()> {
        let _ = self.log.send(LogRequest::Retired { shard, segment });
        let place = &self.places[shard];
        let path = place.directory.join(FileName::Segment(segment).to_string());
        let Some(bytes) = file_bytes(&path) else { return Ok(()) };
        let room = self.spares[shard].len() < place.spares_max;
        if room && bytes == place.segment_bytes {
            let spare = self.new_name(shard, "spare");
            fs::rename(&path, &spare)?;
            self.spares[shard].push(spare);
        } else {
            fs::remove_file(&path)?;
        }
        // SG2: durable before the next is looked at.
        sync_parent(&path)
    }

    fn new_name(&mut self, shard: usize, kind: &str) -> PathBuf {
        let directory = self.places[shard].directory.join("wal");
        loop {
            self.names += 1;
            let path = directory.join(format!("{kind}-{}", self.names));
            if file_bytes(&path).is_none() {
                return path;
            }
        }
    }

    /// Opens for direct writes, or through the page cache where the file system has no others.
    fn open_direct(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        match open(path, flags | OFlags::DIRECT, mode) {
            Err(Errno::INVAL) => {
                if !self.direct_refused {
                    self.direct_refused = true;
                    let path = path.display();
                    tracing::warn!(%path, "the file system has no direct writes: log is buffered");
                }
                Ok(open(path, flags, mode)?)
            }
            opened => Ok(opened?),
        }
    }
}

/// Spare files that an earlier process left; half-made ones are removed.
fn find_spares(place: &Place) -> Vec<PathBuf> {
    let directory = place.directory.join("wal");
    let mut spares = Vec::new();
    let Ok(entries) = fs::read_dir(&directory) else { return spares };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        let whole = file_bytes(&path) == Some(place.segment_bytes);
        if name.starts_with("spare-") && whole && spares.len() < place.spares_max {
            spares.push(path);
        } else if name.starts_with("spare-") || name.starts_with("new-") {
            let _ = fs::remove_file(&path);
        }
    }
    spares
}

fn file_bytes(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}

fn fill_zeros(file: impl AsFd, zeros: &Block, from: u64, until: u64) -> io::Result<()> {
    let mut at = from;
    while at < until {
        let bytes = usize::try_from(until - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let count = pwrite(&file, &zeros.as_slice()[..bytes], at)?;
        if count == 0 {
            return Err(Errno::NOSPC.into());
        }
        at += count as u64;
        fdatasync(&file)?;
    }
    assert!(until <= at, "SG1: a segment is filled to its end");
    Ok(())
}

/// Makes the names in the directory of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(directory, flags, Mode::empty())?;
    Ok(fsync(&directory)?)
}
