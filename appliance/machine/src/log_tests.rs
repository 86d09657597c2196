//! The log's thread and its segments, and background files, over both ways of I/O.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::channel::Sender;
use exposition::metrics::Collected;
use rustix::io::Errno;
use storage::effect::{Event, FileOp, FileRequest, FileRequestId, LogPosition, LogWrite};
use storage::names::{FileName, SegmentId};

use crate::clock;
use crate::fault::{Fault, Faults};
use crate::files;
use crate::handle::{Gauges, Worker};
use crate::mailbox::{Bounds, Done, Mailbox, mailbox};
use crate::open::shard_directory;
use crate::operation::Kind;
use crate::probe::probe;
use crate::reactor::{IoKind, Reactor};
use crate::ring::{Flavor, Sizes};
use crate::segments;
use crate::tiles::TileFiles;
use crate::wal_thread::{self, LogSender, Request};

const SEGMENT_BYTES: u64 = 1 << 20;
const BLOCK_BYTES: usize = 4096;
const PATIENCE_MS: u64 = 20_000;
const SIZES: Sizes = Sizes { entries: 8, ops_max: 8, files_max: 8 };

struct Bench {
    directory: tempfile::TempDir,
    path: PathBuf,
    /// Only waits for wake-ups.
    reactor: Reactor,
    mailbox: Mailbox,
    log: LogSender,
    segments: Sender<segments::Request>,
    files: Sender<files::Request>,
    gauges: Arc<dyn Gauges>,
    workers: Vec<Worker>,
}

fn over_both(faults: &Faults, mut test: impl FnMut(Bench)) {
    for io in [IoKind::Ring, IoKind::Epoll] {
        if let Err(reason) = probe().ring
            && io == IoKind::Ring
        {
            eprintln!("NOT TESTED over io_uring, which this kernel forbids: {reason}");
            continue;
        }
        test(Bench::new(io, faults));
    }
}

impl Bench {
    fn new(io: IoKind, faults: &Faults) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let path = shard_directory(directory.path(), 0).unwrap();
        let reactor = Reactor::new(IoKind::Epoll, Flavor::Log, SIZES, Faults::default()).unwrap();
        let bounds = Bounds { questions_max: 1, done_max: 16 };
        let (mailbox, postbox) = mailbox(reactor.waker(), bounds);
        let options = wal_thread::Options {
            io,
            faults: faults.clone(),
            postboxes: vec![postbox.clone()],
            workers: vec![0],
            prepare: Box::new(|| ()),
        };
        let (log, log_worker, gauges) = wal_thread::start(options).unwrap();
        let place = segments::Place {
            directory: path.clone(),
            segment_bytes: SEGMENT_BYTES,
            block_bytes: BLOCK_BYTES,
            spares_max: 1,
            postbox: postbox.clone(),
        };
        let (segments, segments_worker) =
            segments::start(vec![place], log.clone(), Box::new(|| ())).unwrap();
        let tiles = Arc::new(TileFiles::new(path.clone()));
        let place = files::Place { directory: path.clone(), postbox, tiles };
        let (files, files_worker, _) =
            files::start(io, faults.clone(), vec![place], Box::new(|| ())).unwrap();
        let workers = vec![segments_worker, log_worker, files_worker];
        Bench { directory, path, reactor, mailbox, log, segments, files, gauges, workers }
    }

    /// The next event of the background threads.
    fn event(&mut self) -> Event {
        let deadline = clock::tick().after_ms(PATIENCE_MS);
        loop {
            match self.mailbox.take_done() {
                Some(Done::Storage(event)) => return event,
                Some(other) => unreachable!("nobody fetches here: {other:?}"),
                None => self.reactor.turn(10_000_000, &mut Vec::new()).unwrap(),
            }
            assert!(clock::tick() < deadline, "no event came");
        }
    }

    fn prepare(&mut self, number: u64) -> PathBuf {
        let segment = SegmentId(number);
        self.segments.send(segments::Request::Prepare { shard: 0, segment }).unwrap();
        assert_eq!(self.event(), Event::LogPrepared { segment });
        self.path.join(FileName::Segment(segment).to_string())
    }

    fn write(&mut self, number: u64, offset: u64, bytes: Vec<u8>) {
        let position = LogPosition(offset + 1);
        let write = LogWrite { segment: SegmentId(number), offset, bytes, position };
        assert!(self.log.send(Request::Write { shard: 0, write }).is_ok());
    }

    fn metrics(&self) -> String {
        let mut collected = Collected::default();
        self.gauges.collect(&mut collected);
        collected.to_text()
    }

    /// Ends all threads.
    fn stop(self) {
        let Bench { workers, log, segments, files, mailbox, directory, .. } = self;
        drop((log, segments, files, mailbox));
        for worker in workers {
            let waited = worker.ended.recv_timeout(std::time::Duration::from_millis(PATIENCE_MS));
            assert_eq!(waited, Err(crossbeam::channel::RecvTimeoutError::Disconnected));
            worker.thread.join().unwrap();
        }
        drop(directory);
    }
}

fn pattern(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at / 512 + at + seed) % 251).unwrap()).collect()
}

#[test]
fn wt1_durable_commits_are_in_the_file() {
    over_both(&Faults::default(), |mut bench| {
        let path = bench.prepare(1);
        assert_eq!(fs::metadata(&path).unwrap().len(), SEGMENT_BYTES);
        let mut offset = 0;
        // The last one takes more than one round of buffers.
        for bytes in [BLOCK_BYTES, 3 * BLOCK_BYTES, 150 * BLOCK_BYTES] {
            let written = pattern(bytes, bytes);
            bench.write(1, offset as u64, written.clone());
            let position = LogPosition(offset as u64 + 1);
            assert_eq!(bench.event(), Event::LogDurable { position });
            let seen = fs::read(&path).unwrap();
            assert!(seen[offset..offset + bytes] == written, "WT1: {bytes} bytes at {offset}");
            offset += bytes;
        }
        assert!(bench.metrics().contains("cresset_wal_commits_total 3"), "{}", bench.metrics());
        bench.stop();
    });
}

#[test]
fn wt2_failures_are_answered_with_their_cause() {
    for (kind, cause, full) in [
        (Kind::Write, Errno::IO, false),
        (Kind::Write, Errno::NOSPC, true),
        (Kind::Sync, Errno::IO, false),
        (Kind::Sync, Errno::DQUOT, true),
    ] {
        let faulty = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&faulty);
        let faults = Faults::new(move |asked, _| {
            let now = asked == kind && shared.load(Ordering::SeqCst) == 1;
            if now { Fault::Error(cause) } else { Fault::None }
        });
        over_both(&faults, |mut bench| {
            faulty.store(1, Ordering::SeqCst);
            let path = bench.prepare(1);
            bench.write(1, 0, pattern(BLOCK_BYTES, 1));
            match bench.event() {
                Event::LogFailed { position: LogPosition(1), cause: told } => {
                    assert_eq!(told.full, full, "WT2: {told}");
                    assert!(told.reason.contains(&cause.to_string()), "{told}");
                }
                other => panic!("{other:?}"),
            }
            faulty.store(0, Ordering::SeqCst);
            bench.write(1, 0, pattern(BLOCK_BYTES, 2));
            assert_eq!(bench.event(), Event::LogDurable { position: LogPosition(1) });
            assert!(fs::read(&path).unwrap()[..BLOCK_BYTES] == pattern(BLOCK_BYTES, 2));
            bench.stop();
        });
    }
}

#[test]
fn short_writes_are_taken_up_again() {
    for short in [512, 1000, 4096, 5000, 200_000] {
        let times = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&times);
        let faults = Faults::new(move |kind, _| {
            let first = kind == Kind::Write && shared.fetch_add(1, Ordering::SeqCst) < 2;
            if first { Fault::Short(short) } else { Fault::None }
        });
        over_both(&faults, |mut bench| {
            // Direct writes in parts of a block are refused by the kernel, as they should be.
            let path = bench.prepare(1);
            times.store(0, Ordering::SeqCst);
            let written = pattern(100 * BLOCK_BYTES, short);
            bench.write(1, 0, written.clone());
            match bench.event() {
                Event::LogDurable { position } => {
                    assert_eq!(position, LogPosition(1));
                    assert!(fs::read(&path).unwrap()[..written.len()] == written, "{short}");
                }
                Event::LogFailed { cause, .. } => {
                    assert!(short % 512 != 0, "a short write of {short}: {cause}");
                }
                other => panic!("{other:?}"),
            }
            bench.stop();
        });
    }
}

#[test]
fn a_disk_without_progress_fails_the_commit() {
    let faults = Faults::new(|kind, _| match kind {
        Kind::Write => Fault::Short(0),
        _ => Fault::None,
    });
    over_both(&faults, |mut bench| {
        bench.prepare(1);
        bench.write(1, 0, pattern(BLOCK_BYTES, 1));
        let Event::LogFailed { cause, .. } = bench.event() else { panic!("a failure") };
        assert_eq!(cause.to_string(), "write segment 1: no progress");
        bench.stop();
    });
}

#[test]
fn a_stalled_disk_shows_its_age_and_goes_on() {
    let stalled = Arc::new(AtomicUsize::new(1));
    let shared = Arc::clone(&stalled);
    let faults = Faults::new(move |kind, _| {
        let hold = kind == Kind::Sync && shared.load(Ordering::SeqCst) == 1;
        if hold { Fault::Hold } else { Fault::None }
    });
    over_both(&faults, |mut bench| {
        bench.prepare(1);
        stalled.store(1, Ordering::SeqCst);
        bench.write(1, 0, pattern(BLOCK_BYTES, 1));
        let deadline = clock::tick().after_ms(PATIENCE_MS);
        let idle = "cresset_wal_commit_age_seconds{shard=\"0\"} 0\n";
        while bench.metrics().contains(idle) {
            assert!(clock::tick() < deadline, "the age of the commit shows");
        }
        assert!(bench.mailbox.take_done().is_none(), "WT1: not durable yet");
        stalled.store(0, Ordering::SeqCst);
        assert_eq!(bench.event(), Event::LogDurable { position: LogPosition(1) });
        assert!(bench.metrics().contains(idle), "{}", bench.metrics());
        bench.stop();
    });
}

#[test]
fn an_unknown_segment_is_refused() {
    over_both(&Faults::default(), |mut bench| {
        bench.write(9, 0, pattern(BLOCK_BYTES, 1));
        let Event::LogFailed { cause, .. } = bench.event() else { panic!("a failure") };
        assert_eq!(cause.to_string(), "segment 9 was never prepared");
        bench.stop();
    });
}

#[test]
fn sg2_retired_segments_are_used_again_and_bounded() {
    over_both(&Faults::default(), |mut bench| {
        let inode = |path: &PathBuf| fs::metadata(path).unwrap().ino();
        let [first, second, third] = [1, 2, 3].map(|number| bench.prepare(number));
        let inodes = [&first, &second, &third].map(inode);
        for number in [1, 2, 3] {
            let segment = SegmentId(number);
            bench.segments.send(segments::Request::Retire { shard: 0, segment }).unwrap();
        }
        let fourth = bench.prepare(4);
        assert!(!first.exists() && !second.exists() && !third.exists(), "SG2: all have gone");
        assert_eq!(inode(&fourth), inodes[0], "one spare was kept and used");
        let fifth = bench.prepare(5);
        assert_eq!(fs::metadata(fifth).unwrap().len(), SEGMENT_BYTES);
        // Asked again for what is there: it stays.
        assert_eq!(inode(&bench.prepare(4)), inodes[0]);
        bench.stop();
    });
}

#[test]
fn sg1_a_half_made_segment_never_gets_its_name() {
    over_both(&Faults::default(), |mut bench| {
        let half = bench.path.join("wal/new-7");
        fs::write(&half, b"half").unwrap();
        // A smaller file of the name keeps what it holds.
        let path = bench.path.join(FileName::Segment(SegmentId(1)).to_string());
        fs::write(&path, b"kept").unwrap();
        bench.prepare(1);
        let seen = fs::read(&path).unwrap();
        assert_eq!((seen.len() as u64, &seen[..5]), (SEGMENT_BYTES, &b"kept\0"[..]), "SG1");
        bench.stop();
    });
}

#[test]
fn a_segment_that_cannot_be_made_is_told() {
    over_both(&Faults::default(), |mut bench| {
        fs::remove_dir_all(bench.path.join("wal")).unwrap();
        let segment = SegmentId(1);
        bench.segments.send(segments::Request::Prepare { shard: 0, segment }).unwrap();
        let Event::LogPrepareFailed { cause, .. } = bench.event() else { panic!("a failure") };
        assert!(cause.reason.starts_with("prepare segment 1: "), "{cause}");
        bench.stop();
    });
}

#[test]
fn files_are_appended_renamed_and_deleted() {
    over_both(&Faults::default(), |mut bench| {
        let path = bench.path.clone();
        let mut ask = |op: FileOp| {
            let request = FileRequest { id: FileRequestId(5), op };
            bench.files.send(files::Request { shard: 0, request }).unwrap();
            match bench.event() {
                Event::FileDone { id: FileRequestId(5), result } => result,
                other => panic!("{other:?}"),
            }
        };
        let (file, to) = (FileName::Tile(1), FileName::Tile(2));
        ask(FileOp::Append { file, offset: 0, bytes: b"hello ".to_vec() }).unwrap();
        ask(FileOp::Append { file, offset: 6, bytes: vec![b'x'; 100_000] }).unwrap();
        ask(FileOp::Rename { from: file, to }).unwrap();
        let missing = ask(FileOp::Rename { from: file, to }).unwrap_err();
        assert!(missing.reason.starts_with("rename tiles/"), "{missing}");
        let seen = fs::read(path.join(to.to_string())).unwrap();
        assert_eq!((seen.len(), &seen[..7]), (100_006, &b"hello x"[..]));
        for _ in 0..2 {
            ask(FileOp::Delete { file: to }).unwrap();
        }
        assert!(!path.join(to.to_string()).exists());
        fs::remove_dir_all(path.join("tiles")).unwrap();
        ask(FileOp::Append { file, offset: 0, bytes: vec![1] }).unwrap_err();
        bench.stop();
    });
}

#[test]
fn a_failed_append_leaves_nothing_behind_and_is_made_again() {
    let fails = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&fails);
    let faults = Faults::new(move |kind, offset| {
        let now = kind == Kind::Sync && offset == 6 && shared.load(Ordering::SeqCst) == 1;
        if now { Fault::Error(Errno::IO) } else { Fault::None }
    });
    over_both(&faults, |mut bench| {
        let file = FileName::Tile(1);
        let path = bench.path.join(file.to_string());
        let mut append = |offset: u64, bytes: &[u8]| {
            let op = FileOp::Append { file, offset, bytes: bytes.to_vec() };
            let request = FileRequest { id: FileRequestId(1), op };
            bench.files.send(files::Request { shard: 0, request }).unwrap();
            match bench.event() {
                Event::FileDone { result, .. } => result,
                other => panic!("{other:?}"),
            }
        };
        append(0, b"hello ").unwrap();
        fails.store(1, Ordering::SeqCst);
        let failed = append(6, &[b'x'; 100_000]).unwrap_err();
        let told = "write 100000 bytes at 6 of tiles/00000000000000000001.tile: ";
        assert!(failed.reason.starts_with(told) && !failed.full, "{failed}");
        // What the page cache holds of it, the disk may never have got.
        assert_eq!(fs::read(&path).unwrap(), b"hello ");
        fails.store(0, Ordering::SeqCst);
        append(6, &[b'x'; 100_000]).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), 100_006);
        bench.stop();
    });
}
