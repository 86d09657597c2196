//! Compactor: turns the compaction jobs of all shards, on a thread of tokio-uring.
//!
//! Path: effect `Compact` → `shard_loop` → **compactor** → `mailbox` → event `Compacted`.
//! Never: has two operations in flight, or anything else on its runtime (see `files`); runs ahead
//! of the rate that `pacer` sets; keeps what it read in the page cache, which belongs to queries.
//!
//! Where io_uring is forbidden the same operations go by plain calls.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use exposition::metrics::Collected;
use rustix::fs::{Advice, Mode, OFlags, fadvise, fdatasync, open, statvfs};
use rustix::io::{Errno, pread, pwrite};
use shard::pace::Throttle;
use storage::compact::job::{Job, JobError, Step};
use storage::compaction::{CompactionPlan, Outcome};
use storage::effect::{Event, FileError};
use storage::names::FileName;

use crate::clock;
use crate::handle::{Gauges, Worker};
use crate::mailbox::{Done, Postbox};
use crate::pacer::Strain;
use crate::reactor::IoKind;
use crate::segments::sync_parent;
use crate::tiles::TileFiles;
use crate::wal_thread::is_full;
use crate::worker::spawn;

/// Entries of the runtime's ring: it has one operation at a time.
const RING_ENTRIES: u32 = 16;
/// Nice value of the thread: everyone else goes first.
const NICE: i32 = 15;
/// Room that is left to the log and to tiles when a job begins.
const RESERVE_BYTES: u64 = 256 << 20;
/// Bytes asked for at once at most, whatever a job wants.
const READ_BYTES_MAX: usize = 64 << 20;

/// One job of one shard.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) shard: usize,
    pub(crate) plan: Box<CompactionPlan>,
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
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    paused_nanos: AtomicU64,
    turning_nanos: AtomicU64,
}

impl Gauges for Counters {
    fn collect(&self, into: &mut Collected) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let counters = [
            ("cresset_compactor_jobs_total", "Compaction jobs done.", read(&self.done)),
            (
                "cresset_compactor_failures_total",
                "Compaction jobs that failed or were refused.",
                read(&self.failed),
            ),
            (
                "cresset_compactor_read_bytes_total",
                "Bytes read by compaction.",
                read(&self.read_bytes),
            ),
            (
                "cresset_compactor_written_bytes_total",
                "Bytes written by compaction.",
                read(&self.written_bytes),
            ),
            (
                "cresset_compactor_paused_seconds_total",
                "Time that compaction waited so that commits need not.",
                read(&self.paused_nanos) / 1e9,
            ),
            (
                "cresset_compactor_turning_seconds_total",
                "Time that compaction jobs took, pauses included.",
                read(&self.turning_nanos) / 1e9,
            ),
        ];
        for (name, help, value) in counters {
            into.counter(name, help, &[], value);
        }
    }
}

/// How the operations are done.
enum Way {
    Ring(tokio_uring::Runtime),
    Plain,
}

/// Why a job ended without an outcome.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{text}: {cause}")]
    Io { text: String, cause: io::Error },
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("{free} bytes are free, {wanted} may be needed: free some or lower the retention")]
    Room { free: u64, wanted: u64 },
    #[error("the server is stopping")]
    Stopping,
}

impl Broken {
    fn io(text: String) -> impl FnOnce(io::Error) -> Broken {
        move |cause| Broken::Io { text, cause }
    }

    fn is_full(&self) -> bool {
        match self {
            Broken::Io { cause, .. } => Errno::from_io_error(cause).is_some_and(is_full),
            Broken::Room { .. } => true,
            Broken::Job(_) | Broken::Stopping => false,
        }
    }
}

/// Starts the thread; it ends with the last sender, in the middle of a job if need be.
///
/// # Errors
/// The system has no thread left.
pub(crate) fn start(
    io: IoKind,
    places: Vec<Place>,
    strain: Arc<Strain>,
    prepare: Box<dyn FnOnce() + Send>,
) -> io::Result<(Sender<Request>, Worker, Arc<dyn Gauges>)> {
    // A shard has one job in flight.
    let (sender, requests) = bounded(places.len().max(1));
    let counters = Arc::new(Counters::default());
    let shared = Arc::clone(&counters);
    let worker = spawn("compaction", move || {
        prepare();
        if let Err(cause) = rustix::process::setpriority_process(None, NICE) {
            tracing::info!(%cause, "compaction keeps the usual priority");
        }
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
        let (waiting, throttle) = (Vec::new(), Throttle::default());
        let counters = shared;
        Compactor { way, places, requests, waiting, strain, throttle, counters }.run();
    })?;
    let gauges: Arc<dyn Gauges> = counters as Arc<dyn Gauges>;
    Ok((sender, worker, gauges))
}

struct Compactor {
    way: Way,
    places: Vec<Place>,
    requests: Receiver<Request>,
    /// Requests that came during a pause; at most one a shard.
    waiting: Vec<Request>,
    strain: Arc<Strain>,
    throttle: Throttle,
    counters: Arc<Counters>,
}

impl Compactor {
    fn run(mut self) {
        while let Some(Request { shard, plan }) = self.next() {
            let began = clock::tick();
            tracing::info!(shard, block = plan.output, level = plan.level, "compaction begins");
            self.strain.set_moving(true);
            let result = self.turn(shard, &plan);
            self.strain.set_moving(false);
            let nanos = clock::tick().since(began);
            self.counters.turning_nanos.fetch_add(nanos, Ordering::Relaxed);
            let counter = if result.is_ok() { &self.counters.done } else { &self.counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            report(shard, &plan, nanos, &result);
            let result = result.map_err(|broken| FileError {
                full: broken.is_full(),
                reason: format!("compaction into block {}: {broken}", plan.output),
            });
            let event = Event::Compacted { id: plan.id, result };
            self.places[shard].postbox.done(Done::Storage(event));
        }
    }

    /// The next job; `None` when the server stops.
    fn next(&mut self) -> Option<Request> {
        if let Some(request) = self.waiting.pop() {
            return Some(request);
        }
        self.requests.recv().ok()
    }

    fn turn(&mut self, shard: usize, plan: &CompactionPlan) -> Result<Box<Outcome>, Broken> {
        let directory = self.places[shard].directory.clone();
        room(&directory, plan.disk_bytes)?;
        let mut files = JobFiles { directory, open: BTreeMap::new() };
        let mut job = Job::new(plan);
        let mut buffer = Vec::new();
        loop {
            match job.step()? {
                Step::Read { file, offset, bytes_max } => {
                    let wanted = bytes_max.min(READ_BYTES_MAX);
                    buffer = files.read(&self.way, file, offset, wanted, buffer)?;
                    job.feed(&buffer);
                    let count = buffer.len() as u64;
                    self.counters.read_bytes.fetch_add(count, Ordering::Relaxed);
                    self.pause(count)?;
                }
                Step::Write { file, offset, bytes } => {
                    if offset == 0 {
                        self.places[shard].tiles.forget(&file);
                    }
                    let count = bytes.len() as u64;
                    files.write(&self.way, file, offset, bytes)?;
                    self.counters.written_bytes.fetch_add(count, Ordering::Relaxed);
                    self.pause(count)?;
                }
                Step::Sync { file } => files.sync(&self.way, file)?,
                Step::Done(outcome) => return Ok(outcome),
            }
        }
    }

    /// Waits as long as the rate wants after `bytes` were moved.
    fn pause(&mut self, bytes: u64) -> Result<(), Broken> {
        let nanos = self.throttle.moved(clock::tick(), bytes, self.strain.rate());
        let began = clock::tick();
        let heard = self.requests.recv_timeout(Duration::from_nanos(nanos));
        let paused = clock::tick().since(began);
        self.counters.paused_nanos.fetch_add(paused, Ordering::Relaxed);
        match heard {
            Ok(request) => self.waiting.push(request),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Broken::Stopping),
        }
        Ok(())
    }
}

fn report(shard: usize, plan: &CompactionPlan, nanos: u64, result: &Result<Box<Outcome>, Broken>) {
    let (block, seconds) = (plan.output, nanos as f64 / 1e9);
    match result {
        Ok(outcome) => {
            let made = outcome.block.map_or((0, 0, 0), |b| (b.series, b.samples, b.bytes));
            let (series, samples, bytes) = made;
            tracing::info!(shard, block, series, samples, bytes, seconds, "compacted");
            for damage in &outcome.damages {
                tracing::error!(shard, block, "left out by compaction: {damage}");
            }
        }
        Err(Broken::Stopping) => tracing::info!(shard, block, "compaction given up: stopping"),
        Err(broken) => tracing::warn!(shard, block, seconds, "compaction failed: {broken}"),
    }
}

/// Whether the disk has room for the output and what others need meanwhile.
fn room(directory: &Path, bytes: u64) -> Result<(), Broken> {
    let Ok(found) = statvfs(directory) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let wanted = bytes.saturating_add(RESERVE_BYTES);
    if free < wanted { Err(Broken::Room { free, wanted }) } else { Ok(()) }
}

/// Files of one job, open until it ends.
struct JobFiles {
    directory: PathBuf,
    open: BTreeMap<FileName, OwnedFd>,
}

impl JobFiles {
    fn file(&mut self, name: FileName, create: bool) -> io::Result<&OwnedFd> {
        if create || !self.open.contains_key(&name) {
            let path = self.directory.join(name.to_string());
            let flags = if create {
                OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC
            } else {
                OFlags::RDONLY | OFlags::CLOEXEC
            };
            let file = open(path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP)?;
            self.open.insert(name, file);
        }
        Ok(&self.open[&name])
    }

    /// Reads up to `bytes_max` bytes into `buffer`, fewer only at the end of the file.
    fn read(
        &mut self,
        way: &Way,
        name: FileName,
        offset: u64,
        bytes_max: usize,
        mut buffer: Vec<u8>,
    ) -> Result<Vec<u8>, Broken> {
        let broken = || Broken::io(format!("read {bytes_max} bytes at {offset} of {name}"));
        let file = self.file(name, false).map_err(broken())?;
        buffer.clear();
        buffer.resize(bytes_max, 0);
        let mut done = 0;
        while done < bytes_max {
            let at = offset + done as u64;
            let count = match way {
                Way::Ring(runtime) => {
                    let shared = share(file).map_err(broken())?;
                    let (count, back) = runtime.block_on(read_on_ring(shared, at, buffer, done));
                    buffer = back;
                    count
                }
                Way::Plain => pread(file, &mut buffer[done..], at).map_err(io::Error::from),
            };
            match count {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(broken()(cause)),
            }
        }
        buffer.truncate(done);
        let length = std::num::NonZeroU64::new(done as u64);
        // Only advice: a file system that takes none reads as well.
        let _ = fadvise(file, offset, length, Advice::DontNeed);
        Ok(buffer)
    }

    fn write(
        &mut self,
        way: &Way,
        name: FileName,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), Broken> {
        let text = format!("write {} bytes at {offset} of {name}", bytes.len());
        let written = self.file(name, offset == 0).and_then(|file| match way {
            Way::Ring(runtime) => {
                let shared = share(file)?;
                runtime.block_on(async move {
                    let (written, _bytes) = shared.write_all_at(bytes, offset).await;
                    shared.close().await?;
                    written
                })
            }
            Way::Plain => write_plainly(file, offset, &bytes),
        });
        written.map_err(Broken::io(text))
    }

    fn sync(&mut self, way: &Way, name: FileName) -> Result<(), Broken> {
        let path = self.directory.join(name.to_string());
        let synced = self.file(name, false).and_then(|file| {
            match way {
                Way::Ring(runtime) => {
                    let shared = share(file)?;
                    runtime.block_on(async move {
                        let synced = shared.sync_data().await;
                        shared.close().await?;
                        synced
                    })?;
                }
                Way::Plain => fdatasync(file)?,
            }
            // What is durable need not stay in memory.
            let _ = fadvise(file, 0, None, Advice::DontNeed);
            sync_parent(&path)
        });
        synced.map_err(Broken::io(format!("sync {name}")))
    }
}

fn write_plainly(file: &OwnedFd, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match pwrite(file, &bytes[done..], offset + done as u64) {
            Ok(0) => return Err(Errno::NOSPC.into()),
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(cause) => return Err(cause.into()),
        }
    }
    Ok(())
}

/// The same open file for one operation of the ring, which closes what it is given.
#[expect(clippy::disallowed_types, reason = "tokio-uring takes open files only as this type")]
fn share(file: &OwnedFd) -> io::Result<tokio_uring::fs::File> {
    Ok(tokio_uring::fs::File::from_std(std::fs::File::from(file.try_clone()?)))
}

async fn read_on_ring(
    file: tokio_uring::fs::File,
    offset: u64,
    buffer: Vec<u8>,
    from: usize,
) -> (io::Result<usize>, Vec<u8>) {
    use tokio_uring::buf::BoundedBuf;
    // With its end: an open slice reaches to the buffer's capacity.
    let wanted = from..buffer.len();
    let (count, slice) = file.read_at(buffer.slice(wanted), offset).await;
    let closed = file.close().await;
    (count.and_then(|count| closed.map(|()| count)), slice.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_both(test: impl Fn(&Way)) {
        test(&Way::Plain);
        match tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)) {
            Ok(runtime) => test(&Way::Ring(runtime)),
            Err(cause) => eprintln!("NOT TESTED over io_uring: {cause}"),
        }
    }

    #[test]
    fn what_is_written_and_synced_is_read_back_and_cut_at_the_end() {
        over_both(|way| {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("blocks")).unwrap();
            let name = FileName::Block(7);
            let mut files =
                JobFiles { directory: directory.path().to_owned(), open: BTreeMap::new() };
            std::fs::write(directory.path().join(name.to_string()), [9; 100]).unwrap();
            files.write(way, name, 0, vec![1; 10]).unwrap();
            files.write(way, name, 10, vec![2; 10]).unwrap();
            files.sync(way, name).unwrap();
            let read = files.read(way, name, 5, 10, Vec::new()).unwrap();
            assert_eq!(read, [[1; 5], [2; 5]].concat());
            let read = files.read(way, name, 15, 10, read).unwrap();
            assert_eq!(read, [2; 5]);
            let mut large = read;
            large.reserve(1000);
            assert_eq!(files.read(way, name, 8, 4, large).unwrap(), [1, 1, 2, 2]);
            let missing = files.read(way, FileName::Block(8), 0, 1, Vec::new()).unwrap_err();
            assert!(missing.to_string().contains("read 1 bytes at 0 of blocks/"), "{missing}");
        });
    }

    #[test]
    fn a_disk_without_room_refuses_before_anything_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let refused = room(directory.path(), u64::MAX / 2).unwrap_err();
        assert!(refused.is_full(), "{refused}");
        room(directory.path(), 0).unwrap();
    }
}
