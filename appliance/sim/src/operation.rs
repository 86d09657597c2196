//! Operation: what a shard asks of its disk, performed whole, in part or not at all.
//!
//! Path: `node`, `drill` → **operation** → `disk`.

use storage::effect::{Event, FileAnswer, FileError, FileOp, FileRequest, LogWrite};
use storage::names::{FileName, SegmentId};
use storage::options::Options;
use storage::recovery::{OpenError, Recovery, Report, Step};
use storage::store::Store;

use crate::disk::Disk;
use crate::prng::Prng;

/// Steps that a recovery may take: far more than any file needs.
const RECOVERY_STEPS_MAX: usize = 1_000_000;

/// A disk operation under way.
#[derive(Clone, Debug)]
pub enum DiskOp {
    /// A commit of the log.
    Log(LogWrite),
    /// A segment made ready.
    Prepare(SegmentId),
    /// A background file operation.
    File(FileRequest),
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// No space left.
    Full,
    /// Input/output error.
    Broken,
}

impl Fault {
    /// What storage is told.
    #[must_use]
    pub fn error(self) -> FileError {
        match self {
            Fault::Full => FileError { reason: "no space left".into(), full: true },
            Fault::Broken => FileError { reason: "input/output error".into(), full: false },
        }
    }
}

impl DiskOp {
    /// What it is, for traces and counts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            DiskOp::Log(_) => "log write",
            DiskOp::Prepare(_) => "segment",
            DiskOp::File(request) => match &request.op {
                FileOp::Append { file: FileName::Catalog(_), .. } => "catalog write",
                FileOp::Append { file: FileName::Manifest(_), .. } => "manifest write",
                FileOp::Append { .. } => "tile write",
                FileOp::Rename { .. } => "rename",
                FileOp::Delete { .. } => "delete",
            },
        }
    }

    /// The process or the power ends while it is under way: some of it is done.
    pub fn interrupt(&self, disk: &mut Disk, options: &Options, chance: &mut Prng) {
        match self {
            DiskOp::Log(write) => {
                let file = FileName::Segment(write.segment);
                disk.write_some(file, write.offset, &write.bytes, chance);
            }
            DiskOp::Prepare(segment) => {
                if chance.happens(500_000) {
                    disk.prepare(FileName::Segment(*segment), options.segment_bytes);
                }
            }
            DiskOp::File(request) => match &request.op {
                FileOp::Append { file, offset, bytes } => {
                    if chance.happens(800_000) {
                        disk.write_some(*file, *offset, bytes, chance);
                    }
                }
                FileOp::Rename { from, to } if chance.happens(500_000) => disk.rename(*from, *to),
                FileOp::Delete { file } if chance.happens(500_000) => disk.delete(*file),
                FileOp::Rename { .. } | FileOp::Delete { .. } => {}
            },
        }
    }

    /// Performs it, or lets it fail having done some of it; what storage is told.
    pub fn perform(
        &self,
        disk: &mut Disk,
        options: &Options,
        fault: Option<Fault>,
        chance: &mut Prng,
    ) -> Event {
        match self {
            DiskOp::Log(write) => perform_log(write, disk, fault, chance),
            DiskOp::Prepare(segment) => {
                let segment = *segment;
                if let Some(fault) = fault {
                    return Event::LogPrepareFailed { segment, cause: fault.error() };
                }
                disk.prepare(FileName::Segment(segment), options.segment_bytes);
                disk.sync_names();
                Event::LogPrepared { segment }
            }
            DiskOp::File(request) => {
                let result = match fault {
                    None => {
                        perform_file(&request.op, disk);
                        Ok(FileAnswer::Done)
                    }
                    Some(fault) => {
                        if let FileOp::Append { file, offset, bytes } = &request.op {
                            disk.write_some(*file, *offset, bytes, chance);
                            // A sync that failed is not made good by the next one: the machine
                            // cuts the file back.
                            let mut lost = Prng::new(request.id.0 ^ *offset, "lost pages");
                            disk.lose(*file, &mut lost);
                            disk.cut_back(*file, *offset);
                        }
                        Err(fault.error())
                    }
                };
                Event::FileDone { id: request.id, result }
            }
        }
    }
}

fn perform_log(
    write: &LogWrite,
    disk: &mut Disk,
    fault: Option<Fault>,
    chance: &mut Prng,
) -> Event {
    let (file, position) = (FileName::Segment(write.segment), write.position);
    if let Some(fault) = fault {
        disk.write_some(file, write.offset, &write.bytes, chance);
        return Event::LogFailed { position, cause: fault.error() };
    }
    disk.write(file, write.offset, &write.bytes);
    disk.sync(file);
    Event::LogDurable { position }
}

fn perform_file(op: &FileOp, disk: &mut Disk) {
    match op {
        FileOp::Append { file, offset, bytes } => {
            // The machine syncs the directory of a file that it made, and of one begun anew.
            let names_change = *offset == 0 || !disk.has(*file);
            disk.write(*file, *offset, bytes);
            disk.sync(*file);
            if !names_change {
                return;
            }
        }
        FileOp::Rename { from, to } => disk.rename(*from, *to),
        FileOp::Delete { file } => disk.delete(*file),
    }
    disk.sync_names();
}

/// Opens the store of a disk. With `steps_max` the recovery is cut short: `None`.
///
/// # Errors
/// Recovery refuses what the disk holds.
///
/// # Panics
/// Recovery does not end.
pub fn recover(
    disk: &Disk,
    options: &Options,
    steps_max: Option<usize>,
) -> Result<Option<(Store, Report)>, OpenError> {
    let mut recovery = Recovery::new(options.clone(), disk.listing())?;
    for step in 0..RECOVERY_STEPS_MAX {
        if steps_max.is_some_and(|max| max <= step) {
            return Ok(None);
        }
        match recovery.step() {
            Step::Read { file, offset, bytes_max } => {
                recovery.feed(disk.part(file, offset, bytes_max))?;
            }
            Step::Done(store, report) => return Ok(Some((*store, report))),
        }
    }
    panic!("recovery does not end")
}
