//! Files: background file operations of all shards, on a thread of tokio-uring.
//!
//! Path: effect `File` → `shard_loop` → **files** → `mailbox` → event `FileDone`.
//! Never: runs anything beside the one operation on its runtime. tokio-uring submits only when its
//! thread parks: an always-ready task would starve every operation, so there is none. Leaves what a
//! failed append wrote to be read by anybody: after a failed fdatasync the page cache shows bytes
//! that the disk never got.
//!
//! Where io_uring is forbidden the same operations go by plain calls.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};
use exposition::metrics::Collected;
use rustix::fs::{Mode, OFlags, fdatasync, fstat, ftruncate, open};
use rustix::io::{Errno, pwrite};
use storage::effect::{Event, FileAnswer, FileError, FileOp, FileRequest};

use crate::fault::{Fault, Faults};
use crate::handle::{Gauges, Worker};
use crate::mailbox::{Done, Postbox};
use crate::operation::Kind;
use crate::reactor::IoKind;
use crate::segments::sync_parent;
use crate::tiles::TileFiles;
use crate::wal_thread::is_full;
use crate::worker::spawn;

/// Operations that may wait for each shard.
const WAITING_PER_SHARD: usize = 64;
/// Entries of the runtime's ring: it has one operation at a time.
const RING_ENTRIES: u32 = 16;

/// One operation of one shard.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) shard: usize,
    pub(crate) request: FileRequest,
}

/// Where the files of one shard are.
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) postbox: Postbox,
    pub(crate) tiles: Arc<TileFiles>,
}

#[derive(Default)]
struct Counters {
    done: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
}

impl Gauges for Counters {
    fn collect(&self, into: &mut Collected) {
        let counters = [
            ("cresset_files_operations_total", "Background file operations done.", &self.done),
            ("cresset_files_failures_total", "Background file operations failed.", &self.failed),
            ("cresset_files_written_bytes_total", "Bytes of background appends.", &self.bytes),
        ];
        for (name, help, counter) in counters {
            into.counter(name, help, &[], counter.load(Ordering::Relaxed) as f64);
        }
    }
}

/// How the operations are done.
enum Way {
    Ring(tokio_uring::Runtime),
    Plain,
}

/// Starts the thread; it ends with the last sender.
///
/// # Errors
/// The system has no thread left.
pub(crate) fn start(
    io: IoKind,
    faults: Faults,
    places: Vec<Place>,
    prepare: Box<dyn FnOnce() + Send>,
) -> io::Result<(Sender<Request>, Worker, Arc<dyn Gauges>)> {
    let (sender, receiver) = bounded(WAITING_PER_SHARD * places.len().max(1));
    let counters = Arc::new(Counters::default());
    let shared = Arc::clone(&counters);
    let worker = spawn("files", move || {
        prepare();
        let way = match io {
            IoKind::Ring => {
                match tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)) {
                    Ok(runtime) => Way::Ring(runtime),
                    Err(cause) => {
                        tracing::warn!(%cause, "tokio-uring is not available: plain file calls");
                        Way::Plain
                    }
                }
            }
            IoKind::Epoll => Way::Plain,
        };
        run(&way, &faults, &places, &receiver, &shared);
    })?;
    let gauges: Arc<dyn Gauges> = counters as Arc<dyn Gauges>;
    Ok((sender, worker, gauges))
}

fn run(
    way: &Way,
    faults: &Faults,
    places: &[Place],
    requests: &Receiver<Request>,
    counters: &Counters,
) {
    while let Ok(Request { shard, request }) = requests.recv() {
        let place = &places[shard];
        let FileRequest { id, op } = request;
        let (mut forgotten, mut appended, mut bytes_appended) = (None, None, 0);
        match &op {
            FileOp::Delete { file } => forgotten = Some(*file),
            FileOp::Rename { to, .. } => forgotten = Some(*to),
            FileOp::Append { file, offset, bytes } => {
                appended = Some((place.directory.join(file.to_string()), *offset));
                bytes_appended = bytes.len() as u64;
            }
        }
        let text = describe(&op);
        let mut done = match way {
            Way::Ring(runtime) => runtime.block_on(perform_on_ring(&place.directory, op)),
            Way::Plain => perform(&place.directory, op),
        };
        if let Some((path, offset)) = appended {
            // As if the sync had failed.
            if let Fault::Error(errno) = faults.ask(Kind::Sync, offset) {
                done = done.and(Err(errno.into()));
            }
            done = done.map_err(|cause| cut_back(&path, offset, cause));
        }
        if let Some(file) = forgotten {
            place.tiles.forget(&file);
        }
        let counter = if done.is_ok() { &counters.done } else { &counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if done.is_ok() {
            counters.bytes.fetch_add(bytes_appended, Ordering::Relaxed);
        }
        let result = done.map(|()| FileAnswer::Done).map_err(|cause| FileError {
            full: Errno::from_io_error(&cause).is_some_and(is_full),
            reason: format!("{text}: {cause}"),
        });
        place.postbox.done(Done::Storage(Event::FileDone { id, result }));
    }
}

fn describe(op: &FileOp) -> String {
    match op {
        FileOp::Append { file, offset, bytes } => {
            format!("write {} bytes at {offset} of {file}", bytes.len())
        }
        FileOp::Rename { from, to } => format!("rename {from} to {to}"),
        FileOp::Delete { file } => format!("delete {file}"),
    }
}

async fn perform_on_ring(directory: &Path, op: FileOp) -> io::Result<()> {
    match op {
        FileOp::Append { file, offset, bytes } => {
            let path = directory.join(file.to_string());
            let mut options = tokio_uring::fs::OpenOptions::new();
            let opened = options.write(true).open(&path).await;
            // An append that is made again after it failed finds the file, but its name may not be
            // durable: the first append of a file syncs it in any case.
            let (file, made) = match opened {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    (options.create(true).open(&path).await?, true)
                }
                opened => (opened?, false),
            };
            let (written, _bytes) = file.write_all_at(bytes, offset).await;
            let synced = match written {
                Ok(()) => file.sync_data().await,
                failed => failed,
            };
            file.close().await?;
            synced?;
            if made || offset == 0 { sync_parent_on_ring(&path).await } else { Ok(()) }
        }
        FileOp::Rename { from, to } => {
            let to = directory.join(to.to_string());
            tokio_uring::fs::rename(directory.join(from.to_string()), &to).await?;
            sync_parent_on_ring(&to).await
        }
        FileOp::Delete { file } => {
            let path = directory.join(file.to_string());
            present(tokio_uring::fs::remove_file(&path).await)?;
            sync_parent_on_ring(&path).await
        }
    }
}

async fn sync_parent_on_ring(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let directory = tokio_uring::fs::File::open(directory).await?;
    let synced = directory.sync_all().await;
    directory.close().await?;
    synced
}

fn perform(directory: &Path, op: FileOp) -> io::Result<()> {
    match op {
        FileOp::Append { file, offset, bytes } => {
            let path = directory.join(file.to_string());
            let made = !path.exists();
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
            let file = open(&path, flags, mode)?;
            let mut done = 0;
            while done < bytes.len() {
                match pwrite(&file, &bytes[done..], offset + done as u64) {
                    Ok(0) => return Err(Errno::NOSPC.into()),
                    Ok(count) => done += count,
                    Err(Errno::INTR) => {}
                    Err(cause) => return Err(cause.into()),
                }
            }
            fdatasync(&file)?;
            if made || offset == 0 { sync_parent(&path) } else { Ok(()) }
        }
        FileOp::Rename { from, to } => {
            let to = directory.join(to.to_string());
            fs::rename(directory.join(from.to_string()), &to)?;
            sync_parent(&to)
        }
        FileOp::Delete { file } => {
            let path = directory.join(file.to_string());
            present(fs::remove_file(&path))?;
            sync_parent(&path)
        }
    }
}

/// Cuts a file back to the bytes that were durable before the append that failed with `cause`. It
/// is made again with the same bytes, and until then nobody finds more than the disk has. Where
/// that fails too, recovery would have to trust what it reads: the text says so.
fn cut_back(path: &Path, bytes: u64, cause: io::Error) -> io::Error {
    let cut = || {
        let file = match open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            opened => opened?,
        };
        if u64::try_from(fstat(&file)?.st_size).unwrap_or(0) <= bytes {
            return Ok(());
        }
        ftruncate(&file, bytes)?;
        fdatasync(&file)
    };
    if let Err(errno) = cut() {
        tracing::error!(
            file = %path.display(), bytes, %cause, cut = %errno,
            "a write failed and the file cannot be cut back to what was durable: it is written \
             again; do not stop the server before that succeeds"
        );
    }
    cause
}

/// A file that is not there counts as deleted.
fn present(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
