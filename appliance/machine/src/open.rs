//! Open: the data directory locked and described, and each shard recovered from its part.
//!
//! Path: `start` → **open** → `storage::recovery`.
//! Owns: `lock`, `cresset.json` and the directories `shard-<n>` of the data directory.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, StatxFlags, fdatasync, flock, fsync, open, statx,
};
use rustix::io::{Errno, pread, pwrite, read};
use storage::names::{DIRECTORIES, FileName};
use storage::options::Options as StorageOptions;
use storage::recovery::{OpenError, Recovery, Report, Step};
use storage::store::Store;
use thiserror::Error;

use crate::plan::PlanError;
use crate::segments::sync_parent;

/// Version of `cresset.json`.
const VERSION: u64 = 1;
/// Name of the description.
pub(crate) const DESCRIPTION: &str = "cresset.json";
/// Most shards that a description may ask for.
pub const SHARDS_MAX: u32 = 1024;

/// Why the machine did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Something of the operating system: what was tried and its cause.
    #[error("{what}: {cause}")]
    System {
        /// What was tried, with its path.
        what: String,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process has the data directory.
    #[error("data directory {directory} is in use by process {by}")]
    Locked {
        /// The directory.
        directory: String,
        /// Who has it, as it wrote itself down.
        by: String,
    },
    /// The cores that the configuration names are not there.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// `io` is `Ring`, and the kernel forbids it.
    #[error("io_uring is not available: {0}")]
    Ring(String),
    /// The directory's own description does not read.
    #[error("{path}: {reason}")]
    Description {
        /// Path of the file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A store did not open.
    #[error("shard {shard}: {cause}")]
    Open {
        /// Number of the shard.
        shard: u32,
        /// Why.
        cause: OpenError,
    },
    /// An option is out of range.
    #[error("option {0}")]
    Options(String),
    /// A thread died while it started.
    #[error("{0} ended by a bug")]
    Died(String),
}

/// A [`StartError::System`] that says what was tried.
pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    move |cause| StartError::System { what, cause }
}

/// How far recovery has come; watched from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl Progress {
    /// Bytes read and bytes to read, all shards together.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.done_bytes.load(Ordering::Relaxed), self.total_bytes.load(Ordering::Relaxed))
    }
}

/// What the data directory says of itself; kept for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) shards: u32,
    pub(crate) block_bytes: u64,
}

/// Makes the data directory and keeps every other process out while the descriptor lives.
pub(crate) fn lock(directory: &Path) -> Result<OwnedFd, StartError> {
    let name = directory.display().to_string();
    fs::create_dir_all(directory).map_err(system(format!("make directory {name}")))?;
    let path = directory.join("lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let what = || format!("lock {}", path.display());
    let file = open(&path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH)
        .map_err(|cause| system(what())(cause.into()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = [0; 32];
            let bytes = read(&file, &mut text).unwrap_or(0);
            let by = String::from_utf8_lossy(&text[..bytes]).trim().to_owned();
            let by = if by.is_empty() { "unknown".to_owned() } else { by };
            return Err(StartError::Locked { directory: name, by });
        }
        Err(cause) => return Err(system(what())(cause.into())),
    }
    let text = format!("{}\n", std::process::id());
    let written = rustix::fs::ftruncate(&file, 0).and_then(|()| pwrite(&file, text.as_bytes(), 0));
    written.map_err(|cause| system(what())(cause.into()))?;
    Ok(file)
}

/// The directory's description; made from `new` when there is none.
pub(crate) fn describe(
    directory: &Path,
    new: impl FnOnce() -> Description,
) -> Result<Description, StartError> {
    let path = directory.join(DESCRIPTION);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let description = new();
            write_description(&path, description)
                .map_err(system(format!("write {}", path.display())))?;
            return Ok(description);
        }
        Err(cause) => return Err(system(format!("read {}", path.display()))(cause)),
    };
    parse_description(&text)
        .map_err(|reason| StartError::Description { path: path.display().to_string(), reason })
}

fn write_description(path: &Path, description: Description) -> io::Result<()> {
    let Description { shards, block_bytes } = description;
    let value = serde_json::json!({
        "version": VERSION, "shards": shards, "block_bytes": block_bytes
    });
    let text = format!("{value:#}\n");
    let temporary = path.with_extension("json.new");
    fs::write(&temporary, text)?;
    let file = open(&temporary, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    fsync(&file)?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

fn parse_description(text: &str) -> Result<Description, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let number = |name: &str| {
        value.get(name).and_then(serde_json::Value::as_u64).ok_or(format!("no number {name:?}"))
    };
    let version = number("version")?;
    if version != VERSION {
        return Err(format!("version {version} is not known, only {VERSION}"));
    }
    let shards = number("shards")?;
    let shards = u32::try_from(shards).ok().filter(|shards| (1..=SHARDS_MAX).contains(shards));
    let shards = shards.ok_or(format!("shards is outside 1..={SHARDS_MAX}"))?;
    let block_bytes = number("block_bytes")?;
    if !matches!(block_bytes, 512 | 4096) {
        return Err("block_bytes is neither 512 nor 4096".to_owned());
    }
    Ok(Description { shards, block_bytes })
}

/// The unit of direct writes below `directory`: 512 only where both the file system and the disk
/// itself work in 512 bytes, since a disk that rewrites 4096 to change 512 can tear neighbours.
pub(crate) fn block_bytes(directory: &Path) -> u64 {
    let probe = directory.join("lock");
    let Ok(found) = statx(CWD, &probe, AtFlags::empty(), StatxFlags::DIOALIGN) else { return 4096 };
    let told = found.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
    let small = |align: u32| (1..=512).contains(&align);
    let device = format!("/sys/dev/block/{}:{}", found.stx_dev_major, found.stx_dev_minor);
    let physical = ["queue", "../queue"].iter().find_map(|queue| {
        let path = format!("{device}/{queue}/physical_block_size");
        fs::read_to_string(path).ok()?.trim().parse::<u32>().ok()
    });
    let small_disk = physical.is_some_and(small);
    if told && small(found.stx_dio_offset_align) && small_disk { 512 } else { 4096 }
}

/// Directory of shard `number`, made with what is in it.
pub(crate) fn shard_directory(directory: &Path, number: u32) -> Result<PathBuf, StartError> {
    let path = directory.join(format!("shard-{number}"));
    for part in DIRECTORIES {
        let part = path.join(part);
        fs::create_dir_all(&part).map_err(system(format!("make directory {}", part.display())))?;
    }
    let synced = sync_parent(&path.join("wal")).and_then(|()| sync_parent(&path));
    synced.map_err(system(format!("sync directory {}", path.display())))?;
    Ok(path)
}

/// Recovers the store of one shard from `directory`.
pub(crate) fn recover(
    directory: &Path,
    options: StorageOptions,
    progress: &Progress,
) -> Result<(Box<Store>, Report), StartError> {
    let shard = options.shard;
    let listing =
        list(directory).map_err(system(format!("list directory {}", directory.display())))?;
    settle(directory, &listing)
        .map_err(system(format!("sync what is in {}", directory.display())))?;
    let failed = |cause| StartError::Open { shard, cause };
    let mut recovery = Recovery::new(options, listing).map_err(failed)?;
    let mut told = (0, 0);
    let mut tell = |recovery: &Recovery| {
        let (done, total) = recovery.progress();
        progress.done_bytes.fetch_add(done.saturating_sub(told.0), Ordering::Relaxed);
        progress.total_bytes.fetch_add(total.saturating_sub(told.1), Ordering::Relaxed);
        told = (done.max(told.0), total.max(told.1));
    };
    let mut buffer = Vec::new();
    let mut opened: Option<(FileName, OwnedFd)> = None;
    loop {
        tell(&recovery);
        match recovery.step() {
            Step::Done(store, report) => return Ok((store, report)),
            Step::Read { file, offset, bytes_max } => {
                let path = directory.join(file.to_string());
                let what = || format!("read {}", path.display());
                if opened.as_ref().is_none_or(|(name, _)| *name != file) {
                    let fd = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                        .map_err(|cause| system(what())(cause.into()))?;
                    opened = Some((file, fd));
                }
                let (_, fd) = opened.as_ref().expect("opened above");
                read_part(fd, offset, bytes_max, &mut buffer).map_err(system(what()))?;
                recovery.feed(&buffer).map_err(failed)?;
            }
        }
    }
}

/// Makes durable what a process that was killed has written but not synced: recovery reads it and
/// counts on it, and the files that hold it otherwise go.
fn settle(directory: &Path, listing: &[(FileName, u64)]) -> io::Result<()> {
    for name in unsettled(listing) {
        let path = directory.join(name.to_string());
        let file = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        if matches!(name, FileName::Segment(_)) {
            await_writer(&file, &path);
        }
        fdatasync(&file)?;
    }
    for part in std::iter::once("").chain(DIRECTORIES) {
        let part = directory.join(part);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        fsync(open(&part, flags, Mode::empty())?)?;
    }
    Ok(())
}

/// Files that may have bytes which are not durable: tiles are appended to the newest file alone,
/// and it is begun only when what stands in the one before it is durable.
fn unsettled(listing: &[(FileName, u64)]) -> Vec<FileName> {
    let is_tile = |name: &FileName| matches!(name, FileName::Tile(_));
    let names = listing.iter().map(|(name, _)| *name);
    let newest = names.clone().filter(is_tile).max();
    names.filter(|name| !is_tile(name)).chain(newest).collect()
}

/// Waits until no write of a killed process can come to the segment any more: io_uring may let one
/// end after the process itself. `segments` holds a lock on each file that is written, and a write
/// under way holds the file.
fn await_writer(file: &OwnedFd, path: &Path) {
    let is_held = flock(file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    if is_held {
        let path = path.display();
        tracing::info!(%path, "a write of the process before has not ended: waiting for the disk");
        while flock(file, FlockOperation::LockShared) == Err(Errno::INTR) {}
    }
}

/// Reads up to `bytes_max` from `offset` into `bytes`; fewer only at the end of the file. A damaged
/// length asks for no more memory than there is file.
fn read_part(fd: &OwnedFd, offset: u64, bytes_max: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let file_bytes = u64::try_from(rustix::fs::fstat(fd)?.st_size).unwrap_or(0);
    let left = usize::try_from(file_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
    bytes.resize(bytes_max.min(left), 0);
    let count = read_at(fd, offset, bytes)?;
    bytes.truncate(count);
    Ok(())
}

/// Fills `bytes` from `offset`; fewer at the end of the file.
fn read_at(fd: &OwnedFd, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match pread(fd, &mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(cause) => return Err(cause.into()),
        }
    }
    Ok(done)
}

/// The files of storage below `directory`, by name, with their bytes.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<(FileName, u64)>> {
    let mut listing = Vec::new();
    for part in std::iter::once("").chain(DIRECTORIES) {
        for entry in fs::read_dir(directory.join(part))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = Path::new(part).join(name);
            let known = name.to_str().and_then(FileName::parse);
            let metadata = entry.metadata()?;
            if let Some(name) = known.filter(|_| metadata.is_file()) {
                listing.push((name, metadata.len()));
            }
        }
    }
    listing.sort_unstable();
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use storage::names::SegmentId;

    use super::*;

    #[test]
    fn a_second_process_is_told_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let kept = lock(directory.path()).unwrap();
        let refused = lock(directory.path()).unwrap_err().to_string();
        let by = format!("is in use by process {}", std::process::id());
        assert!(refused.ends_with(&by), "{refused}");
        drop(kept);
        lock(directory.path()).unwrap();
    }

    #[test]
    fn a_description_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let made = Description { shards: 3, block_bytes: 512 };
        assert_eq!(describe(directory.path(), || made).unwrap(), made);
        let other = || Description { shards: 9, block_bytes: 4096 };
        assert_eq!(describe(directory.path(), other).unwrap(), made);
    }

    #[test]
    fn bad_descriptions_are_named() {
        let directory = tempfile::tempdir().unwrap();
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "no number \"version\""),
            (r#"{"version": 2}"#, "version 2 is not known"),
            (r#"{"version": 1, "shards": 0}"#, "shards is outside"),
            (r#"{"version": 1, "shards": 1, "block_bytes": 1}"#, "neither 512 nor 4096"),
        ] {
            fs::write(directory.path().join(DESCRIPTION), text).unwrap();
            let made = describe(directory.path(), || Description { shards: 1, block_bytes: 512 });
            let refused = made.unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    fn make(path: &Path) -> OwnedFd {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        open(path, flags, Mode::RUSR | Mode::WUSR).unwrap()
    }

    #[test]
    fn a_part_of_any_size_is_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = make(&directory.path().join("large"));
        // A tile of many columns is larger than any window; the file is one hole.
        rustix::fs::ftruncate(&file, (80 << 20) + 1).unwrap();
        let mut bytes = Vec::new();
        read_part(&file, 1, 80 << 20, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 80 << 20);
        read_part(&file, 80 << 20, 1 << 40, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 1);
    }

    #[test]
    fn what_may_not_be_durable_is_synced() {
        let segment = |number| FileName::Segment(SegmentId(number));
        let names = [FileName::Catalog(3), FileName::Tile(8), FileName::Tile(9), segment(4)];
        let found = unsettled(&names.map(|name| (name, 1)));
        assert_eq!(found, [FileName::Catalog(3), segment(4), FileName::Tile(9)]);
    }

    #[test]
    fn recovery_waits_for_a_write_of_the_process_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = shard_directory(directory.path(), 0).unwrap();
        let name = FileName::Segment(SegmentId(1));
        let writer = make(&path.join(name.to_string()));
        flock(&writer, FlockOperation::NonBlockingLockExclusive).unwrap();
        let (sender, settled) = crossbeam::channel::bounded(1);
        let waiting = path.clone();
        let thread = std::thread::spawn(move || sender.send(settle(&waiting, &[(name, 0)])));
        let early = settled.recv_timeout(std::time::Duration::from_millis(50));
        assert!(early.is_err(), "the writer's lock is held");
        drop(writer);
        settled.recv().unwrap().unwrap();
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn only_storages_files_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let path = shard_directory(directory.path(), 0).unwrap();
        fs::write(path.join("catalog.7"), b"abc").unwrap();
        fs::write(path.join("wal/spare-1"), b"abc").unwrap();
        fs::write(path.join("wal/00000000000000000001.wal"), b"ab").unwrap();
        let listing = list(&path).unwrap();
        let names: Vec<String> = listing.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["catalog.7", "wal/00000000000000000001.wal"]);
        assert!(matches!(block_bytes(directory.path()), 512 | 4096));
    }
}
