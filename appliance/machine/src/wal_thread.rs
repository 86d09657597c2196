//! WAL thread: makes the commits of all shards durable, on a reactor of its own.
//!
//! Path: effect `Log` → `shard_loop` → **wal_thread** → `mailbox` → event `LogDurable` or
//! `LogFailed`.
//! Owns: the open segments' descriptors, the aligned buffers, the commits in flight.
//! Never: opens, renames or syncs anything but a commit: `segments` does that on a thread that may
//! wait.
//!
//! A commit is written and synced as one chain. On a ring that also carries scrapes, commits waited
//! behind their completions (p99 0.5 s); one thread with default flags keeps them apart.
//!
//! Invariants
//! - WT1: `LogDurable` follows a successful sync that began after every byte was written.
//! - WT2: every commit is answered once.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, TryRecvError, bounded};
use exposition::metrics::Collected;
use model::time::Tick;
use rustix::io::Errno;
use storage::effect::{Event, FileError, LogWrite};
use storage::names::SegmentId;

use crate::block::Block;
use crate::clock;
use crate::fault::Faults;
use crate::handle::{Gauges, Worker};
use crate::mailbox::{Done, Postbox};
use crate::operation::{Completion, FileKey, Kind, Op, Payload};
use crate::reactor::{IoKind, Reactor};
use crate::ring::{Flavor, Sizes};
use crate::slab::{Key, Slab};
use crate::wake::Waker;
use crate::worker::spawn;

/// Bytes of one buffer: the storage's default commit.
const BLOCK_BYTES: usize = 256 * 1024;
/// Alignment of buffers, at least any disk's.
const ALIGNMENT: usize = 4096;
/// Buffers a shard may have in flight.
const BLOCKS_PER_SHARD: usize = 2;
/// Segments open at once, all shards together.
const FILES_MAX: u32 = 4096;
/// Requests that may wait for each shard: one commit and the news of its segments.
const WAITING_PER_SHARD: usize = 64;
/// Times that a commit is taken up again after a short write without any progress.
const IDLE_ROUNDS_MAX: u32 = 3;

/// What the thread is told.
pub(crate) enum Request {
    /// Write a commit.
    Write { shard: usize, write: LogWrite },
    /// A segment can be written, in units of `block_bytes`.
    Opened { shard: usize, segment: SegmentId, file: OwnedFd, block_bytes: usize },
    /// A segment is not written any more.
    Retired { shard: usize, segment: SegmentId },
}

/// Settings of the thread.
pub(crate) struct Options {
    pub(crate) io: IoKind,
    pub(crate) faults: Faults,
    /// Where the results of each shard go.
    pub(crate) postboxes: Vec<Postbox>,
    /// Processors of what the kernel does for the ring: each sync waits on a thread of its own.
    pub(crate) workers: Vec<usize>,
    /// Runs first on the thread: binds it to its core.
    pub(crate) prepare: Box<dyn FnOnce() + Send>,
}

/// Tells the thread; one for each shard and one for `segments`.
pub(crate) struct LogSender {
    requests: Option<Sender<Request>>,
    waker: Waker,
    counters: Arc<Counters>,
}

impl Clone for LogSender {
    fn clone(&self) -> LogSender {
        LogSender {
            requests: self.requests.clone(),
            waker: self.waker.clone(),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl Drop for LogSender {
    fn drop(&mut self) {
        // The thread ends when the last sender has gone: let it look.
        self.requests = None;
        self.waker.wake();
    }
}

impl LogSender {
    pub(crate) fn ages(&self) -> Ages {
        Ages(Arc::clone(&self.counters))
    }

    /// Queues a request; gives it back when as many wait as may, which a shard with one commit in
    /// flight never sees.
    pub(crate) fn send(&self, request: Request) -> Result<(), Request> {
        let Some(requests) = &self.requests else { return Err(request) };
        let write = match &request {
            Request::Write { shard, .. } => Some(*shard),
            Request::Opened { .. } | Request::Retired { .. } => None,
        };
        requests.try_send(request).map_err(crossbeam::channel::TrySendError::into_inner)?;
        if let Some(shard) = write {
            self.counters.began[shard].store(clock::tick().0, Ordering::Relaxed);
        }
        self.waker.wake();
        Ok(())
    }
}

/// How long commits have been on their way, read by others.
pub(crate) struct Ages(Arc<Counters>);

impl Ages {
    /// Of the one that has been longest, nanoseconds; 0 when none is.
    pub(crate) fn oldest_nanos(&self, now: Tick) -> u64 {
        let began = self.0.began.iter().map(|began| began.load(Ordering::Relaxed));
        let oldest = began.filter(|began| *began != 0).min();
        oldest.map_or(0, |began| now.since(Tick(began)))
    }
}

/// Counters of the thread, read by others.
struct Counters {
    /// When the commit of each shard was handed over; 0 when none is on its way.
    began: Vec<AtomicU64>,
    commits: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    short: AtomicU64,
}

impl Gauges for Counters {
    fn collect(&self, into: &mut Collected) {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let counters = [
            ("cresset_wal_commits_total", "Commits made durable.", &self.commits),
            ("cresset_wal_commit_bytes_total", "Bytes of durable commits.", &self.bytes),
            ("cresset_wal_commit_failures_total", "Commits that failed.", &self.failed),
            ("cresset_wal_short_writes_total", "Writes taken up again after a part.", &self.short),
        ];
        for (name, help, counter) in counters {
            into.counter(name, help, &[], value(counter));
        }
        let now = clock::tick().0;
        for (shard, began) in self.began.iter().enumerate() {
            let age_nanos = match began.load(Ordering::Relaxed) {
                0 => 0,
                began => now.saturating_sub(began),
            };
            let help = "Age of the commit that is being made durable.";
            let shard = shard.to_string();
            let age = age_nanos as f64 / 1e9;
            into.gauge("cresset_wal_commit_age_seconds", help, &[("shard", &shard)], age);
        }
    }
}

/// Starts the thread; it ends with the last [`LogSender`].
///
/// # Errors
/// The reactor or the thread could not be made.
pub(crate) fn start(options: Options) -> io::Result<(LogSender, Worker, Arc<dyn Gauges>)> {
    let shards = options.postboxes.len();
    let (sender, receiver) = bounded(WAITING_PER_SHARD * shards.max(1));
    let counters = Arc::new(Counters {
        began: (0..shards).map(|_| AtomicU64::new(0)).collect(),
        commits: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        short: AtomicU64::new(0),
    });
    let (ready, made) = bounded(1);
    let shared = Arc::clone(&counters);
    let worker = spawn("wal", move || {
        let Options { io, faults, postboxes, workers, prepare } = options;
        prepare();
        match Log::new(io, faults, postboxes, receiver, shared) {
            Ok(mut log) => {
                log.reactor.bind_workers(&workers);
                let _ = ready.send(Ok(log.reactor.waker()));
                log.run();
            }
            Err(cause) => drop(ready.send(Err(cause))),
        }
    })?;
    let died = || io::Error::other("the wal thread died at its start");
    let waker = made.recv().map_err(|_| died())??;
    let gauges: Arc<dyn Gauges> = Arc::clone(&counters) as Arc<dyn Gauges>;
    Ok((LogSender { requests: Some(sender), waker, counters }, worker, gauges))
}

struct Segment {
    file: FileKey,
    block_bytes: usize,
}

/// One commit on its way.
struct Commit {
    shard: usize,
    write: LogWrite,
    /// Bytes that are written, whole blocks.
    written: usize,
    idle_rounds: u32,
    /// Operations of the current round: each write's bytes, and whether a sync follows.
    asked: Vec<usize>,
    syncs: bool,
    results: Vec<Option<Result<usize, Errno>>>,
}

struct Log {
    reactor: Reactor,
    requests: Receiver<Request>,
    postboxes: Vec<Postbox>,
    segments: HashMap<(usize, SegmentId), Segment>,
    commits: Slab<Commit>,
    waiting: VecDeque<Key>,
    blocks: Vec<Block>,
    counters: Arc<Counters>,
}

impl Log {
    fn new(
        io: IoKind,
        faults: Faults,
        postboxes: Vec<Postbox>,
        requests: Receiver<Request>,
        counters: Arc<Counters>,
    ) -> Result<Log, Errno> {
        let shards = postboxes.len().max(1);
        let count = BLOCKS_PER_SHARD * shards;
        let ops_max = 2 * count + shards;
        let entries = u32::try_from(4 * ops_max).unwrap_or(u32::MAX).clamp(16, 1024);
        let sizes = Sizes { entries, ops_max, files_max: FILES_MAX };
        let mut reactor = Reactor::new(io, Flavor::Log, sizes, faults)?;
        let mut blocks: Vec<Block> =
            (0..count).map(|_| Block::new(BLOCK_BYTES, ALIGNMENT)).collect();
        if let Reactor::Ring(ring) = &mut reactor
            && let Err(cause) = ring.register(&mut blocks)
        {
            tracing::warn!(%cause, "log buffers are not registered: raise LimitMEMLOCK");
        }
        Ok(Log {
            reactor,
            requests,
            postboxes,
            segments: HashMap::new(),
            commits: Slab::new(WAITING_PER_SHARD * shards),
            waiting: VecDeque::new(),
            blocks,
            counters,
        })
    }

    fn run(&mut self) {
        let mut completions = Vec::new();
        loop {
            let gone = self.take_requests();
            self.begin_waiting();
            if gone && self.commits.is_empty() {
                return;
            }
            if let Err(cause) = self.reactor.turn(u64::MAX, &mut completions) {
                self.fail_everything(cause);
                // Nothing would ever be durable again, while the shards go on turning: to end the
                // process and start anew is the only way that helps.
                panic!("the log's reactor failed: {cause}");
            }
            for completion in completions.drain(..) {
                self.on_completion(completion);
            }
        }
    }

    /// Takes what was sent; true when nobody is left to send.
    fn take_requests(&mut self) -> bool {
        loop {
            match self.requests.try_recv() {
                Ok(request) => self.take(request),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Write { shard, write } => {
                let commit = Commit {
                    shard,
                    write,
                    written: 0,
                    idle_rounds: 0,
                    asked: Vec::new(),
                    syncs: false,
                    results: Vec::new(),
                };
                match self.commits.insert(commit) {
                    Ok(key) => self.waiting.push_back(key),
                    Err(commit) => self.answer(&commit, Err("too many commits wait".to_owned())),
                }
            }
            Request::Opened { shard, segment, file, block_bytes } => {
                self.close(shard, segment);
                match self.reactor.attach(file) {
                    Ok(file) => {
                        self.segments.insert((shard, segment), Segment { file, block_bytes });
                    }
                    Err(cause) => tracing::error!(%cause, shard, %segment, "segment not opened"),
                }
            }
            Request::Retired { shard, segment } => self.close(shard, segment),
        }
    }

    fn close(&mut self, shard: usize, segment: SegmentId) {
        if let Some(segment) = self.segments.remove(&(shard, segment)) {
            self.reactor.close(segment.file);
        }
    }

    /// Begins waiting commits while there are buffers.
    fn begin_waiting(&mut self) {
        while !self.blocks.is_empty() {
            let Some(key) = self.waiting.pop_front() else { return };
            self.begin_round(key);
        }
    }

    /// Writes as much of the commit as there are buffers for; the last round syncs.
    fn begin_round(&mut self, key: Key) {
        let Some(commit) = self.commits.get_mut(key) else { return };
        let place = (commit.shard, commit.write.segment);
        let Some(segment) = self.segments.get(&place) else {
            let text = format!("segment {} was never prepared", place.1);
            return self.finish(key, Err(text), false);
        };
        let rest = &commit.write.bytes[commit.written..];
        let mut ops: Vec<(Op, u64)> = Vec::new();
        commit.asked.clear();
        let mut taken = 0;
        for part in rest.chunks(BLOCK_BYTES).take(BLOCKS_PER_SHARD) {
            let Some(mut block) = self.blocks.pop() else { break };
            block.as_mut_slice()[..part.len()].copy_from_slice(part);
            let offset = commit.write.offset + (commit.written + taken) as u64;
            let (file, until) = (segment.file, part.len());
            ops.push((Op::Write { file, block, from: 0, until, offset }, key.to_u64()));
            commit.asked.push(part.len());
            taken += part.len();
        }
        commit.syncs = taken == rest.len();
        if commit.syncs {
            ops.push((Op::Sync { file: segment.file }, key.to_u64()));
        }
        commit.results = vec![None; ops.len()];
        if let Err(refused) = self.reactor.chain(ops) {
            for payload in refused.payloads {
                self.take_back(payload);
            }
            self.finish(key, Err(format!("submit: {}", refused.cause)), false);
        }
    }

    fn take_back(&mut self, payload: Payload) {
        if let Payload::Block(block) = payload {
            self.blocks.push(block);
        }
    }

    fn on_completion(&mut self, completion: Completion) {
        let key = Key::from_u64(completion.token);
        let is_write = completion.kind == Kind::Write;
        self.take_back(completion.payload);
        let Some(commit) = self.commits.get_mut(key) else { return };
        // The writes of a chain end in order; the sync is its last.
        let place = if is_write {
            commit.results.iter_mut().take(commit.asked.len()).find(|result| result.is_none())
        } else {
            commit.results.last_mut()
        };
        if let Some(place) = place {
            *place = Some(completion.result);
        }
        if commit.results.iter().all(Option::is_some) {
            self.end_round(key);
        }
    }

    /// All operations of a round have ended: done, on with the rest, or failed.
    fn end_round(&mut self, key: Key) {
        let Some(commit) = self.commits.get_mut(key) else { return };
        let place = (commit.shard, commit.write.segment);
        let block_bytes = self.segments.get(&place).map_or(ALIGNMENT, |s| s.block_bytes);
        let before = commit.written;
        let results: Vec<_> = commit.results.drain(..).flatten().collect();
        let mut whole = true;
        for (asked, result) in commit.asked.iter().zip(&results) {
            match result {
                Ok(count) if whole => {
                    whole = count == asked;
                    // After a part, the block that was cut is written again.
                    commit.written += if whole { *count } else { count - count % block_bytes };
                }
                Err(cause) if whole => {
                    let text = format!("write segment {}: {cause}", place.1);
                    return self.finish(key, Err(text), is_full(*cause));
                }
                Ok(_) | Err(_) => {}
            }
        }
        if whole && commit.syncs {
            return match results.last() {
                Some(Ok(_)) => self.finish(key, Ok(()), false),
                Some(Err(cause)) => {
                    let text = format!("sync segment {}: {cause}", place.1);
                    self.finish(key, Err(text), is_full(*cause))
                }
                None => unreachable!("a round has operations"),
            };
        }
        if !whole {
            self.counters.short.fetch_add(1, Ordering::Relaxed);
        }
        commit.idle_rounds = if before < commit.written { 0 } else { commit.idle_rounds + 1 };
        if IDLE_ROUNDS_MAX < commit.idle_rounds {
            let text = format!("write segment {}: no progress", place.1);
            return self.finish(key, Err(text), true);
        }
        self.waiting.push_front(key);
    }

    fn finish(&mut self, key: Key, result: Result<(), String>, full: bool) {
        let commit = self.commits.remove(key);
        assert!(commit.is_some(), "WT2: a commit is answered once");
        let Some(commit) = commit else { return };
        if result.is_ok() {
            let all = commit.written == commit.write.bytes.len();
            assert!(all, "WT1: a commit is durable when every byte was written");
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
            self.counters.bytes.fetch_add(commit.written as u64, Ordering::Relaxed);
        }
        self.answer_with(&commit, result, full);
    }

    fn answer(&self, commit: &Commit, result: Result<(), String>) {
        self.answer_with(commit, result, false);
    }

    fn answer_with(&self, commit: &Commit, result: Result<(), String>, full: bool) {
        let position = commit.write.position;
        let event = match result {
            Ok(()) => Event::LogDurable { position },
            Err(reason) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                Event::LogFailed { position, cause: FileError { reason, full } }
            }
        };
        self.counters.began[commit.shard].store(0, Ordering::Relaxed);
        self.postboxes[commit.shard].done(Done::Storage(event));
    }

    fn fail_everything(&mut self, cause: Errno) {
        let keys: Vec<Key> = self.commits.keys().collect();
        for key in keys {
            self.finish(key, Err(format!("the log's reactor failed: {cause}")), false);
        }
    }
}

pub(crate) fn is_full(cause: Errno) -> bool {
    matches!(cause, Errno::NOSPC | Errno::DQUOT)
}
