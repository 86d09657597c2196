//! Effects and events: what storage asks of the machine, and what comes back.
//!
//! Path: `store` → **effect** → `shard` → machine (or sim) → **event** → `store`.
//! Owns: the contract of durability that recovery leans on, in the item docs.

use std::fmt;

use thiserror::Error;

use crate::compaction::{CompactionPlan, JobId, Outcome};
use crate::names::{FileName, SegmentId};

/// Place in the log's order: the number of records up to and including this one. Survives
/// restarts, never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(pub u64);

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One commit of the log. At most one is in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogWrite {
    /// Segment to write to; it was prepared before.
    pub segment: SegmentId,
    /// Where in the segment, a multiple of the block size.
    pub offset: u64,
    /// What to write, a multiple of the block size long.
    pub bytes: Vec<u8>,
    /// Position of its last record.
    pub position: LogPosition,
}

/// Names one file request until its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileRequestId(pub u64);

/// One background file operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRequest {
    /// Names it in the answer.
    pub id: FileRequestId,
    /// What to do.
    pub op: FileOp,
}

/// What to do with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOp {
    /// Write `bytes` at `offset` and fdatasync. The file is created when it is not there; then its
    /// directory is synced too. Success is answered when the bytes are durable. After a failure the
    /// file is cut back to `offset`: it shows nothing that the disk may not have.
    Append {
        /// File to write.
        file: FileName,
        /// Where the bytes go: the end of what was written so far.
        offset: u64,
        /// What to write.
        bytes: Vec<u8>,
    },
    /// Rename and sync the directory.
    Rename {
        /// Name so far.
        from: FileName,
        /// Name after.
        to: FileName,
    },
    /// Delete; a file that is not there counts as deleted.
    Delete {
        /// File to delete.
        file: FileName,
    },
}

/// What storage asks of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write, then fdatasync; back as [`Event::LogDurable`] or [`Event::LogFailed`].
    Log(LogWrite),
    /// Have a file of `segment_bytes`, zero-filled or recycled, ready under this segment's name,
    /// its directory synced; back as [`Event::LogPrepared`]. A file of that name and size that is
    /// there already will do.
    LogPrepare(SegmentId),
    /// Nothing needs this segment: recycle or delete its file. Segments retire in order, and the
    /// file of a later one must not go (durably) before those of the earlier ones.
    LogRetire(SegmentId),
    /// A background file operation; back as [`Event::FileDone`].
    File(FileRequest),
    /// Turn a [`Job`](crate::compact::job::Job) on a thread where it slows nothing; back as
    /// [`Event::Compacted`]. At most one is in flight. It may be refused (no room on the disk, a
    /// stop ahead) with an error; then it is asked for again after a while.
    Compact(Box<CompactionPlan>),
}

/// Answer of a file operation that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAnswer {
    /// Done and durable.
    Done,
}

/// Why a file operation failed, as the operating system told it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct FileError {
    /// The system's text, with the name of the file.
    pub reason: String,
    /// Whether the disk is full.
    pub full: bool,
}

/// What the machine tells storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The commit whose last record is at `position` is durable.
    LogDurable {
        /// Position of the commit.
        position: LogPosition,
    },
    /// The commit failed; what its blocks hold is unknown.
    LogFailed {
        /// Position of the commit.
        position: LogPosition,
        /// Why.
        cause: FileError,
    },
    /// The segment can be written.
    LogPrepared {
        /// Which one.
        segment: SegmentId,
    },
    /// The segment could not be prepared; it is asked for again after a while.
    LogPrepareFailed {
        /// Which one.
        segment: SegmentId,
        /// Why.
        cause: FileError,
    },
    /// A file operation ended.
    FileDone {
        /// Which one.
        id: FileRequestId,
        /// How.
        result: Result<FileAnswer, FileError>,
    },
    /// A compaction ended, or was refused. On success the block's file and its name are durable.
    Compacted {
        /// Which one.
        id: JobId,
        /// How.
        result: Result<Box<Outcome>, FileError>,
    },
    /// A deadline of [`next_deadline`](crate::store::Store::next_deadline) has passed.
    Due,
}
