//! Epoll: the reactor for kernels and sandboxes without io_uring.
//!
//! Path: `client`, `wal_thread` → `reactor` → **epoll** → completions back.
//! Owns: the buffers of operations in flight, the readiness of each socket.
//! Never: blocks on a socket. Writes and syncs of files do block, as these system calls do: only
//! the log's own thread submits them.
//!
//! Edge-triggered: a socket is asked again only after an event, or while its last answer was full.
//!
//! Invariants
//! - E1: a socket has at most one reading and one writing operation.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use crate::fault::{Fault, Faults};
use crate::operation::{Completion, FileKey, Kind, Op, OpKey, Payload, Refused};
use crate::slab::{Key, Slab};
use crate::wake::Waker;

/// Keys of files end below this.
const WAKE: u64 = u64::MAX;
/// Longest wait in the kernel; the loop turns at least this often.
const WAIT_NANOS_MAX: u64 = 60_000_000_000;
/// Wait while fault injection holds operations back: it is asked again this often.
const HELD_NANOS: u64 = 1_000_000;
/// Events taken from the kernel in one turn.
const EVENTS_MAX: usize = 256;

#[derive(Debug)]
struct File {
    fd: OwnedFd,
    polled: bool,
    readable: bool,
    writable: bool,
    hung_up: bool,
    reading: Option<Key>,
    writing: Option<Key>,
}

#[derive(Debug)]
struct InFlight {
    kind: Kind,
    token: u64,
    op: Op,
    fault: Fault,
}

/// An epoll instance and everything that is in flight on it.
pub struct Epoll {
    epoll: OwnedFd,
    files: Slab<File>,
    ops: Slab<InFlight>,
    ended: VecDeque<(Key, Result<usize, Errno>)>,
    held: VecDeque<Vec<Key>>,
    events: Vec<Event>,
    waker: Waker,
    faults: Faults,
}

impl Epoll {
    /// An epoll reactor for at most `ops_max` operations on `files_max` files.
    ///
    /// # Errors
    /// The kernel's, when no descriptor is left.
    pub fn new(ops_max: usize, files_max: usize, faults: Faults) -> Result<Epoll, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = Waker::new(true)?;
        epoll::add(&epoll, waker.event(), EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Epoll {
            epoll,
            files: Slab::new(files_max),
            ops: Slab::new(ops_max),
            ended: VecDeque::new(),
            held: VecDeque::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            waker,
            faults,
        })
    }

    /// Ends a wait of [`Epoll::turn`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Number of operations whose completion is still to come.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.ops.len()
    }

    /// Flags with which a socket for this reactor is made.
    #[must_use]
    pub fn socket_flags(&self) -> SocketFlags {
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK
    }

    /// Takes a file over.
    ///
    /// # Errors
    /// `EMFILE` when `files_max` are open.
    pub fn attach(&mut self, fd: OwnedFd) -> Result<FileKey, Errno> {
        let file = File {
            fd,
            polled: false,
            readable: false,
            writable: true,
            hung_up: false,
            reading: None,
            writing: None,
        };
        self.files.insert(file).map(FileKey).map_err(|_| Errno::MFILE)
    }

    /// The file behind a key.
    #[must_use]
    pub fn file(&self, file: FileKey) -> Option<BorrowedFd<'_>> {
        self.files.get(file.0).map(|file| file.fd.as_fd())
    }

    /// Closes a file; operations on it end with `ECANCELED`.
    pub fn close(&mut self, file: FileKey) {
        let Some(closed) = self.files.remove(file.0) else { return };
        for key in [closed.reading, closed.writing].into_iter().flatten() {
            self.ended.push_back((key, Err(Errno::CANCELED)));
        }
        let _ = rustix::net::shutdown(&closed.fd, rustix::net::Shutdown::Both);
    }

    /// Starts `op`.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn submit(&mut self, op: Op, token: u64) -> Result<OpKey, Refused> {
        self.chain(vec![(op, token)]).map(|keys| keys[0])
    }

    /// Starts `ops` as one chain: each begins when the one before it did all it was asked to, and
    /// ends with `ECANCELED` when that failed or fell short. Chains hold writes and syncs only.
    ///
    /// # Errors
    /// See [`Refused`]; then none of them began.
    pub fn chain(&mut self, ops: Vec<(Op, u64)>) -> Result<Vec<OpKey>, Refused> {
        if let Some(cause) = self.refusal(&ops) {
            let payloads = ops.into_iter().map(|(op, _)| op.into_payload()).collect();
            return Err(Refused { cause, payloads });
        }
        let mut keys = Vec::with_capacity(ops.len());
        for (op, token) in ops {
            let place = InFlight { kind: op.kind(), token, op, fault: Fault::None };
            keys.push(self.ops.insert(place).expect("room was checked above"));
        }
        if self.is_held(&keys) {
            self.held.push_back(keys.clone());
        } else {
            self.begin_chain(&keys);
        }
        Ok(keys.into_iter().map(OpKey).collect())
    }

    fn refusal(&self, ops: &[(Op, u64)]) -> Option<Errno> {
        let busy = |op: &Op| match (self.files.get(op.file().0), op.kind()) {
            (None, _) => Some(Errno::BADF),
            (Some(file), Kind::Recv) => file.reading.and(Some(Errno::BUSY)),
            (Some(file), Kind::Connect | Kind::Send) => file.writing.and(Some(Errno::BUSY)),
            (Some(_), Kind::Write | Kind::Sync) => None,
        };
        let full = (self.ops.free() < ops.len()).then_some(Errno::BUSY);
        ops.iter().find_map(|(op, _)| busy(op)).or(full)
    }

    /// Ends `op` early. Its completion comes all the same.
    pub fn cancel(&mut self, op: OpKey) {
        if let Some(at) = self.held.iter().position(|chain| chain.contains(&op.0)) {
            let chain = self.held.remove(at).unwrap_or_default();
            self.ended.extend(chain.into_iter().map(|key| (key, Err(Errno::CANCELED))));
            return;
        }
        let Some(place) = self.ops.get(op.0) else { return };
        let Some(file) = self.files.get_mut(place.op.file().0) else { return };
        let waiting = match place.kind {
            Kind::Recv => &mut file.reading,
            _ => &mut file.writing,
        };
        if *waiting == Some(op.0) {
            *waiting = None;
            self.ended.push_back((op.0, Err(Errno::CANCELED)));
        }
    }

    /// Waits up to `wait_nanos` for a completion or a wake-up, and appends what has ended to
    /// `out`.
    ///
    /// # Errors
    /// Those of `epoll_wait` that mean the reactor cannot go on.
    pub fn turn(&mut self, wait_nanos: u64, out: &mut Vec<Completion>) -> Result<(), Errno> {
        self.release_held();
        let nanos = match (self.ended.is_empty(), self.held.is_empty()) {
            (false, _) => 0,
            (true, true) => wait_nanos.min(WAIT_NANOS_MAX),
            (true, false) => wait_nanos.min(HELD_NANOS),
        };
        let part = |n: u64| i64::try_from(n).expect("bounded by WAIT_NANOS_MAX");
        let wait =
            Timespec { tv_sec: part(nanos / 1_000_000_000), tv_nsec: part(nanos % 1_000_000_000) };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(fatal) => return Err(fatal),
        }
        for event in &events {
            self.take_event(event.data.u64(), event.flags);
        }
        self.events = events;
        while let Some((key, result)) = self.ended.pop_front() {
            out.extend(self.complete(key, result));
        }
        Ok(())
    }

    fn take_event(&mut self, key: u64, flags: EventFlags) {
        if key == WAKE {
            let _ = rustix::io::read(self.waker.event(), &mut [0; 8]);
            self.waker.reset();
            return;
        }
        let Some(file) = self.files.get_mut(Key::from_u64(key)) else { return };
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        file.hung_up |= ended;
        file.readable |= ended || flags.contains(EventFlags::IN);
        file.writable |= ended || flags.contains(EventFlags::OUT);
        let reading = file.readable.then_some(file.reading).flatten();
        let writing = file.writable.then_some(file.writing).flatten();
        for op in [reading, writing].into_iter().flatten() {
            self.attempt(op, true);
        }
    }

    fn complete(&mut self, key: Key, result: Result<usize, Errno>) -> Option<Completion> {
        let place = self.ops.remove(key)?;
        let payload: Payload = place.op.into_payload();
        Some(Completion { op: OpKey(key), token: place.token, kind: place.kind, result, payload })
    }

    fn is_held(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| {
            let op = self.ops.get(*key).expect("a held operation is in flight");
            self.faults.ask(op.kind, op.token) == Fault::Hold
        })
    }

    fn release_held(&mut self) {
        for _ in 0..self.held.len() {
            let Some(keys) = self.held.pop_front() else { return };
            if self.is_held(&keys) {
                self.held.push_back(keys);
            } else {
                self.begin_chain(&keys);
            }
        }
    }

    fn begin_chain(&mut self, keys: &[Key]) {
        let mut broken = false;
        for key in keys {
            let place = self.ops.get_mut(*key).expect("the chain's operations are in flight");
            place.fault = self.faults.ask(place.kind, place.token);
            match (place.kind, place.fault) {
                _ if broken => self.ended.push_back((*key, Err(Errno::CANCELED))),
                (_, Fault::Error(cause)) => self.ended.push_back((*key, Err(cause))),
                (Kind::Write | Kind::Sync, _) => self.write_or_sync(*key),
                (Kind::Connect | Kind::Send | Kind::Recv, _) => self.begin_socket(*key),
            }
            broken |= self.is_broken(*key);
        }
    }

    /// Whether the operation just begun ended without having done all it was asked to.
    fn is_broken(&self, key: Key) -> bool {
        let Some((last, result)) = self.ended.back().filter(|(last, _)| *last == key) else {
            return false;
        };
        let asked = match self.ops.get(*last).map(|place| &place.op) {
            Some(Op::Write { from, until, .. }) => until - from,
            _ => 0,
        };
        result.map_or(true, |done| done < asked)
    }

    fn write_or_sync(&mut self, key: Key) {
        let Some(place) = self.ops.get(key) else { return };
        let Some(file) = self.files.get(place.op.file().0) else {
            return self.ended.push_back((key, Err(Errno::BADF)));
        };
        let result = match &place.op {
            Op::Write { block, from, until, offset, .. } => {
                let until = limit(*from, *until, place.fault);
                let bytes = block.as_slice().get(*from..until).unwrap_or_default();
                retry(|| rustix::io::pwrite(&file.fd, bytes, *offset))
            }
            _ => retry(|| rustix::fs::fdatasync(&file.fd).map(|()| 0)),
        };
        self.ended.push_back((key, result));
    }

    fn begin_socket(&mut self, key: Key) {
        let Some(place) = self.ops.get(key) else { return };
        let (kind, file) = (place.kind, place.op.file().0);
        let Some(file) = self.files.get_mut(file) else {
            return self.ended.push_back((key, Err(Errno::BADF)));
        };
        let waiting = if kind == Kind::Recv { &mut file.reading } else { &mut file.writing };
        assert!(waiting.is_none(), "E1: one operation a direction");
        *waiting = Some(key);
        let ready = if kind == Kind::Recv { file.readable } else { file.writable };
        // The first receive on a socket finds out whether it may: no event told yet.
        if ready || (kind == Kind::Recv && !file.polled) {
            self.attempt(key, false);
        }
    }

    /// Tries the operation; leaves it waiting when the socket is not ready.
    fn attempt(&mut self, key: Key, after_event: bool) {
        let Some(place) = self.ops.get_mut(key) else { return };
        let file_key = place.op.file().0;
        let Some(file) = self.files.get_mut(file_key) else { return };
        let result = match &mut place.op {
            Op::Connect { .. } if after_event => match rustix::net::sockopt::socket_error(&file.fd)
            {
                Ok(outcome) => outcome.map(|()| 0),
                Err(cause) => Err(cause),
            },
            Op::Connect { address, .. } => rustix::net::connect(&file.fd, address).map(|()| 0),
            Op::Send { bytes, from, .. } => {
                let until = limit(*from, bytes.len(), place.fault);
                let part = bytes.get(*from..until).unwrap_or_default();
                rustix::net::send(&file.fd, part, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
            }
            Op::Recv { bytes, .. } => receive(&file.fd, bytes, place.fault),
            Op::Write { .. } | Op::Sync { .. } => unreachable!("files are not polled"),
        };
        let waits = matches!(result, Err(Errno::AGAIN | Errno::INPROGRESS | Errno::INTR));
        let full = match &place.op {
            Op::Recv { bytes, .. } => bytes.len() == bytes.capacity(),
            _ => !waits,
        };
        if place.kind == Kind::Recv {
            file.readable = !waits && (full || file.hung_up);
        } else {
            file.writable = full;
        }
        if waits {
            let polled = file.polled || poll(&self.epoll, file_key, file).is_ok();
            file.polled = polled;
            return;
        }
        let waiting = if place.kind == Kind::Recv { &mut file.reading } else { &mut file.writing };
        *waiting = None;
        self.ended.push_back((key, result));
    }
}

fn poll(epoll: &OwnedFd, key: Key, file: &File) -> Result<(), Errno> {
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    epoll::add(epoll, &file.fd, EventData::new_u64(key.to_u64()), flags)
}

fn limit(from: usize, until: usize, fault: Fault) -> usize {
    if let Fault::Short(short) = fault { until.min(from + short) } else { until }
}

fn receive(fd: &OwnedFd, bytes: &mut Vec<u8>, fault: Fault) -> Result<usize, Errno> {
    if let Fault::Short(short) = fault {
        let spare = bytes.capacity() - bytes.len();
        let mut part = vec![0; short.min(spare)];
        let (count, _) = rustix::net::recv(fd, &mut part[..], RecvFlags::DONTWAIT)?;
        bytes.extend_from_slice(&part[..count]);
        return Ok(count);
    }
    rustix::net::recv(fd, spare_capacity(bytes), RecvFlags::DONTWAIT).map(|(count, _)| count)
}

fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
