//! Ring: a reactor over io_uring; the only module of the project with `unsafe` I/O.
//!
//! Path: `client`, `wal_thread` → `reactor` → **ring** → completions back.
//! Owns: every buffer of an operation from `submit` until its completion entry was read.
//! Never: splits a chain, waits without a deadline, frees memory that the kernel may still touch.
//! Miri cannot run this module (it has no io_uring); its tests run on the real kernel instead.
//!
//! Invariants
//! - R1: a buffer leaves its place only when the completion of its operation has been read.
//! - R2: the entries of a chain are in the submission queue together or not at all.
//! - R3: no entry that waits for submission names a file that was closed.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, Fixed, FsyncFlags, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags};

use crate::block::Block;
use crate::fault::{Fault, Faults};
use crate::operation::{Completion, FileKey, Kind, Op, OpKey, Payload, Refused};
use crate::slab::{Key, Slab};
use crate::wake::Waker;

/// Keys end below these two.
const WAKE: u64 = u64::MAX;
const IGNORE: u64 = u64::MAX - 1;
/// `IORING_RECVSEND_POLL_FIRST`: an answer is never there when we begin to wait for it.
const POLL_FIRST: u16 = 1;
/// Longest wait in the kernel; the loop turns at least this often.
const WAIT_NANOS_MAX: u64 = 60_000_000_000;
/// Wait while fault injection holds operations back: it is asked again this often.
const HELD_NANOS: u64 = 1_000_000;
/// Turns of 100 ms that a dropped ring waits for its operations before it leaks their memory.
const DRAIN_TURNS_MAX: usize = 50;
const DRAIN_TURN_NANOS: u64 = 100_000_000;
/// Attempts to make room in the submission queue while completions overflow.
const ROOM_ATTEMPTS_MAX: usize = 8;

/// Sizes of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Submission entries; the kernel rounds up to a power of two.
    pub entries: u32,
    /// Operations in flight at most.
    pub ops_max: usize,
    /// Files open at most.
    pub files_max: u32,
}

/// Who turns the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// A shard: one thread, completions handled when it asks (`SINGLE_ISSUER`, `DEFER_TASKRUN`).
    Shard,
    /// The log: default flags, so that the second half of a chain starts by itself.
    Log,
}

/// Memory that the kernel reads or writes until the completion is read.
#[derive(Debug)]
enum Owned {
    Nothing,
    Address(#[expect(dead_code, reason = "the kernel reads it by address")] Box<SocketAddrAny>),
    Bytes(Vec<u8>),
    Block(Block),
    /// Held back by fault injection: not yet built.
    Waiting(Box<Op>),
}

#[derive(Debug)]
struct InFlight {
    kind: Kind,
    token: u64,
    owned: Owned,
    /// Result that fault injection wants in place of the kernel's.
    injected: Option<Errno>,
}

/// An io_uring and everything that is in flight on it.
pub struct Ring {
    ring: IoUring,
    ops: Slab<InFlight>,
    files: Slab<OwnedFd>,
    fixed_files: bool,
    registered: bool,
    waker: Waker,
    wake_count: Box<[u8; 8]>,
    wake_armed: bool,
    held: VecDeque<Vec<OpKey>>,
    closing: Vec<FileKey>,
    entries: Vec<(u64, i32)>,
    faults: Faults,
    deferred: bool,
}

impl Ring {
    /// A ring on the calling thread, which must be the one that turns it.
    ///
    /// # Errors
    /// The kernel's refusal; [`crate::probe`] puts it in words.
    pub fn new(flavor: Flavor, sizes: Sizes, faults: Faults) -> Result<Ring, Errno> {
        let (ring, deferred) = build(flavor, sizes.entries)?;
        let fixed_files = ring.submitter().register_files_sparse(sizes.files_max).is_ok();
        let mut ring = Ring {
            ring,
            ops: Slab::new(sizes.ops_max),
            files: Slab::new(sizes.files_max as usize),
            fixed_files,
            registered: false,
            waker: Waker::new(false)?,
            wake_count: Box::new([0; 8]),
            wake_armed: false,
            held: VecDeque::new(),
            closing: Vec::new(),
            entries: Vec::new(),
            faults,
            deferred,
        };
        ring.arm_wake()?;
        Ok(ring)
    }

    /// Has the kernel's threads for this ring run on `cpus`: they take what would block, such as a
    /// sync, and would else run anywhere.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn bind_workers(&self, cpus: &[usize]) -> Result<(), Errno> {
        // SAFETY: a set of processors is an array of numbers, and all zero is the empty one.
        // JUSTIFICATION: the ring takes the set in this type, which has no safe constructor.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        let bits_max = 8 * size_of::<libc::cpu_set_t>();
        for cpu in cpus.iter().filter(|cpu| **cpu < bits_max) {
            // SAFETY: the number is less than the bits of the set, checked above.
            // JUSTIFICATION: the set's fields are private; this is its only door.
            unsafe { libc::CPU_SET(*cpu, &mut set) };
        }
        self.ring.submitter().register_iowq_aff(&set).map_err(|cause| errno(&cause))
    }

    /// Whether completions are handled only when this thread asks (`DEFER_TASKRUN`).
    #[must_use]
    pub fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// Ends a wait of [`Ring::turn`] from another thread.
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
        SocketFlags::CLOEXEC
    }

    /// Takes a file over, into the table of registered files where the kernel has one.
    ///
    /// # Errors
    /// `EMFILE` when `files_max` are open.
    pub fn attach(&mut self, file: OwnedFd) -> Result<FileKey, Errno> {
        let raw = file.as_raw_fd();
        let key = self.files.insert(file).map_err(|_| Errno::MFILE)?;
        if self.fixed_files && self.register_file(key, raw).is_err() {
            self.files.remove(key);
            return Err(Errno::MFILE);
        }
        Ok(FileKey(key))
    }

    /// The file behind a key.
    #[must_use]
    pub fn file(&self, file: FileKey) -> Option<BorrowedFd<'_>> {
        self.files.get(file.0).map(AsFd::as_fd)
    }

    /// Closes a file. Operations on it end: a socket is shut down first.
    pub fn close(&mut self, file: FileKey) {
        if self.files.get(file.0).is_none() {
            return;
        }
        // An entry that was not submitted would meet the next tenant of the place.
        let mut attempts = 0;
        while !self.ring.submission().is_empty() {
            if ROOM_ATTEMPTS_MAX <= attempts {
                // The kernel takes nothing at the moment: the file closes in a later turn.
                return self.closing.push(file);
            }
            self.submit_now();
            attempts += 1;
        }
        assert!(self.ring.submission().is_empty(), "R3: entries wait while a file closes");
        let Some(fd) = self.files.remove(file.0) else { return };
        let _ = rustix::net::shutdown(&fd, rustix::net::Shutdown::Both);
        if self.fixed_files {
            let _ = self.register_file(file.0, -1);
        }
    }

    fn register_file(&self, key: Key, raw: RawFd) -> Result<usize, std::io::Error> {
        self.ring.submitter().register_files_update(key.index, &[raw])
    }

    /// Registers the memory of `blocks` with the kernel, once for the ring's life. When that is
    /// refused (locked-memory limit), the blocks work as plain memory.
    ///
    /// # Errors
    /// The kernel's refusal, to be reported.
    pub fn register(&mut self, blocks: &mut [Block]) -> Result<(), Errno> {
        assert!(!self.registered, "buffers are registered once");
        let slices: Vec<std::io::IoSlice<'_>> =
            blocks.iter().map(|block| std::io::IoSlice::new(block.as_slice())).collect();
        // SAFETY: `IoSlice` is documented to have the layout of `iovec`; the pointer and length
        // are those of the vector above, which outlives the call.
        // JUSTIFICATION: the binding takes the kernel's own type and no other way to make one.
        let vectors = unsafe { std::slice::from_raw_parts(slices.as_ptr().cast(), slices.len()) };
        // SAFETY: the kernel pins the pages and touches them only for an operation that names the
        // buffer; such an operation owns its block, so the memory is alive then (R1).
        // JUSTIFICATION: registered buffers save pinning the pages anew for each commit.
        unsafe { self.ring.submitter().register_buffers(vectors) }.map_err(|e| errno(&e))?;
        self.registered = true;
        for (index, block) in blocks.iter_mut().enumerate() {
            block.registered = u16::try_from(index).ok();
        }
        Ok(())
    }

    /// Starts `op`; it goes to the kernel with the next turn.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn submit(&mut self, op: Op, token: u64) -> Result<OpKey, Refused> {
        self.start(vec![(op, token)], false).map(|keys| keys[0])
    }

    /// Starts `ops` as one chain, at once: each begins when the one before it did all it was asked
    /// to, and ends with `ECANCELED` when that failed or fell short.
    ///
    /// # Errors
    /// See [`Refused`]; then none of them began.
    pub fn chain(&mut self, ops: Vec<(Op, u64)>) -> Result<Vec<OpKey>, Refused> {
        self.start(ops, true)
    }

    /// Asks the kernel to end `op` early. Its completion comes all the same.
    pub fn cancel(&mut self, op: OpKey) {
        if self.ops.get(op.0).is_none() {
            return;
        }
        if let Some(at) = self.held.iter().position(|chain| chain.contains(&op)) {
            for key in self.held.remove(at).unwrap_or_default() {
                self.entries.push((key.0.to_u64(), -Errno::CANCELED.raw_os_error()));
            }
            return;
        }
        let entry = opcode::AsyncCancel::new(op.0.to_u64()).build().user_data(IGNORE);
        if self.push(&[entry]).is_err() {
            tracing::warn!("cancel of an operation found no room in the submission queue");
        }
    }

    /// Submits what waits, waits up to `wait_nanos` for a completion or a wake-up, and appends
    /// what has ended to `out`.
    ///
    /// # Errors
    /// Those of `io_uring_enter` that mean the ring cannot go on.
    pub fn turn(&mut self, wait_nanos: u64, out: &mut Vec<Completion>) -> Result<(), Errno> {
        self.release_held();
        self.reap_entries();
        let wait_nanos = match (self.entries.is_empty(), self.held.is_empty()) {
            (false, _) => 0,
            (true, true) => wait_nanos.min(WAIT_NANOS_MAX),
            (true, false) => wait_nanos.min(HELD_NANOS),
        };
        let wait = Timespec::new()
            .sec(wait_nanos / 1_000_000_000)
            .nsec(u32::try_from(wait_nanos % 1_000_000_000).expect("below a second"));
        let args = SubmitArgs::new().timespec(&wait);
        if let Err(cause) = self.ring.submitter().submit_with_args(1, &args) {
            match errno(&cause) {
                Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN => {}
                fatal => return Err(fatal),
            }
        }
        self.reap_entries();
        for file in std::mem::take(&mut self.closing) {
            self.close(file);
        }
        self.finish(out)
    }

    fn start(&mut self, ops: Vec<(Op, u64)>, now: bool) -> Result<Vec<OpKey>, Refused> {
        let count = ops.len();
        let refuse = |cause, ops: Vec<(Op, u64)>| Refused {
            cause,
            payloads: ops.into_iter().map(|(op, _)| op.into_payload()).collect(),
        };
        if ops.iter().any(|(op, _)| self.files.get(op.file().0).is_none()) {
            return Err(refuse(Errno::BADF, ops));
        }
        if self.ops.free() < count || self.make_room(2 * count).is_err() {
            return Err(refuse(Errno::BUSY, ops));
        }
        let mut keys = Vec::with_capacity(count);
        for (op, token) in ops {
            let kind = op.kind();
            let owned = Owned::Waiting(Box::new(op));
            let place = InFlight { kind, token, owned, injected: None };
            keys.push(OpKey(self.ops.insert(place).expect("room was checked above")));
        }
        if self.is_held(&keys) {
            self.held.push_back(keys.clone());
        } else {
            self.push_chain(&keys);
        }
        if now {
            self.submit_now();
        }
        Ok(keys)
    }

    fn is_held(&self, keys: &[OpKey]) -> bool {
        keys.iter().any(|key| {
            let op = self.ops.get(key.0).expect("a held operation is in flight");
            self.faults.ask(op.kind, op.token) == Fault::Hold
        })
    }

    fn release_held(&mut self) {
        for _ in 0..self.held.len() {
            let Some(keys) = self.held.pop_front() else { return };
            if self.is_held(&keys) || self.make_room(2 * keys.len()).is_err() {
                self.held.push_back(keys);
            } else {
                self.push_chain(&keys);
            }
        }
    }

    /// Builds the entries of the chain and puts them into the queue, which has room.
    fn push_chain(&mut self, keys: &[OpKey]) {
        let mut chain: Vec<Entry> = Vec::with_capacity(2 * keys.len());
        for (at, key) in keys.iter().enumerate() {
            let linked = at + 1 < keys.len();
            let op = self.ops.get_mut(key.0).expect("the chain's operations are in flight");
            let Owned::Waiting(waiting) = std::mem::replace(&mut op.owned, Owned::Nothing) else {
                unreachable!("an operation is built once");
            };
            let fault = self.faults.ask(op.kind, op.token);
            let file = waiting.file();
            let target = Target {
                raw: self.files.get(file.0).map_or(-1, AsRawFd::as_raw_fd),
                index: file.0.index,
                fixed: self.fixed_files,
            };
            let (mut entry, owned) = prepare(*waiting, target, fault);
            op.owned = owned;
            if let Fault::Error(cause) = fault {
                op.injected = Some(cause);
                entry = failing();
            }
            let short = matches!(fault, Fault::Short(_)) && linked;
            let flags = if linked { Flags::IO_LINK } else { Flags::empty() };
            chain.push(entry.flags(flags).user_data(key.0.to_u64()));
            if short {
                // The kernel breaks the chain after a short write; it did not see this one as such.
                chain.push(failing().flags(flags).user_data(IGNORE));
            }
        }
        self.push(&chain).expect("room was made before the chain was built");
    }

    /// Puts all of `entries` into the submission queue, or none.
    fn push(&mut self, entries: &[Entry]) -> Result<(), Errno> {
        self.make_room(entries.len())?;
        let mut queue = self.ring.submission();
        let before = queue.len();
        // SAFETY: what an entry points to is owned by its place in `ops` (or is `wake_count`),
        // does not move, and stays until the completion is read (R1); the drop of the ring waits
        // for completions and leaks what does not come back.
        // JUSTIFICATION: entries carry addresses; the kernel's interface has no safe form.
        let pushed = unsafe { queue.push_multiple(entries) };
        pushed.map_err(|_| Errno::BUSY)?;
        assert_eq!(queue.len(), before + entries.len(), "R2: a chain is pushed whole");
        Ok(())
    }

    /// Room for `count` entries, by submitting those that wait.
    fn make_room(&mut self, count: usize) -> Result<(), Errno> {
        for _ in 0..ROOM_ATTEMPTS_MAX {
            let queue = self.ring.submission();
            if queue.capacity() < count {
                return Err(Errno::INVAL);
            }
            if count <= queue.capacity() - queue.len() {
                return Ok(());
            }
            drop(queue);
            self.submit_now();
        }
        Err(Errno::BUSY)
    }

    fn submit_now(&mut self) {
        if let Err(cause) = self.ring.submit() {
            // The completion queue is full: read it, so that the kernel takes entries again.
            tracing::debug!(%cause, "submission postponed");
            self.reap_entries();
        }
    }

    fn reap_entries(&mut self) {
        let queue = self.ring.completion();
        self.entries.extend(queue.map(|entry| (entry.user_data(), entry.result())));
    }

    fn finish(&mut self, out: &mut Vec<Completion>) -> Result<(), Errno> {
        let mut woken = false;
        let mut entries = std::mem::take(&mut self.entries);
        for (user_data, result) in entries.drain(..) {
            match user_data {
                IGNORE => {}
                WAKE => woken = true,
                key => out.extend(self.complete(Key::from_u64(key), result)),
            }
        }
        self.entries = entries;
        if woken {
            self.wake_armed = false;
            self.waker.reset();
            self.arm_wake()?;
        }
        Ok(())
    }

    fn complete(&mut self, key: Key, result: i32) -> Option<Completion> {
        let op = self.ops.remove(key);
        debug_assert!(op.is_some(), "R1: a completion finds its operation");
        let op = op?;
        let mut result = match usize::try_from(result) {
            Ok(count) => Ok(count),
            Err(_) => Err(Errno::from_raw_os_error(-result)),
        };
        if let Some(injected) = op.injected.filter(|_| result == Err(Errno::BADF)) {
            result = Err(injected);
        }
        let payload = match op.owned {
            Owned::Nothing | Owned::Address(_) => Payload::Nothing,
            Owned::Bytes(bytes) if op.kind == Kind::Recv => {
                Payload::Bytes(received(bytes, result.unwrap_or(0)))
            }
            Owned::Bytes(bytes) => Payload::Bytes(bytes),
            Owned::Block(block) => Payload::Block(block),
            Owned::Waiting(waiting) => waiting.into_payload(),
        };
        Some(Completion { op: OpKey(key), token: op.token, kind: op.kind, result, payload })
    }

    fn arm_wake(&mut self) -> Result<(), Errno> {
        let fd = Fd(self.waker.event().as_raw_fd());
        let entry = opcode::Read::new(fd, self.wake_count.as_mut_ptr(), 8).build().user_data(WAKE);
        self.push(&[entry])?;
        self.wake_armed = true;
        Ok(())
    }

    /// Cancels everything and waits for the completions; false when some did not come.
    fn drain(&mut self) -> bool {
        let keys: Vec<Key> = self.ops.keys().collect();
        for key in keys {
            self.cancel(OpKey(key));
        }
        let entry = opcode::AsyncCancel::new(WAKE).build().user_data(IGNORE);
        let _ = self.push(&[entry]);
        for _ in 0..DRAIN_TURNS_MAX {
            if self.ops.is_empty() && !self.wake_armed {
                return true;
            }
            let wait = Timespec::new().nsec(u32::try_from(DRAIN_TURN_NANOS).expect("100 ms"));
            let _ = self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&wait));
            self.reap_entries();
            for (user_data, result) in std::mem::take(&mut self.entries) {
                match user_data {
                    IGNORE => {}
                    WAKE => self.wake_armed = false,
                    key => drop(self.complete(Key::from_u64(key), result)),
                }
            }
        }
        false
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.drain() {
            let left = self.ops.len();
            tracing::warn!(left, "operations did not end: their memory is left to the kernel");
            std::mem::forget(std::mem::replace(&mut self.ops, Slab::new(0)));
            std::mem::forget(std::mem::replace(&mut self.wake_count, Box::new([0; 8])));
        }
    }
}

#[derive(Clone, Copy)]
struct Target {
    raw: RawFd,
    index: u32,
    fixed: bool,
}

/// `body!(target, file => expression)`: the expression with the file as the ring knows it.
macro_rules! with_file {
    ($target:expr, $file:ident => $build:expr) => {
        if $target.fixed {
            let $file = Fixed($target.index);
            $build
        } else {
            let $file = Fd($target.raw);
            $build
        }
    };
}

/// The entry of `op` and the memory it points to.
fn prepare(op: Op, target: Target, fault: Fault) -> (Entry, Owned) {
    let limit = |bytes: usize| {
        let bytes = if let Fault::Short(short) = fault { bytes.min(short) } else { bytes };
        u32::try_from(bytes.min(1 << 30)).expect("limited above")
    };
    match op {
        Op::Connect { address, .. } => {
            let address = Box::new(SocketAddrAny::from(address));
            let pointer = address.as_ptr().cast();
            let len = address.addr_len();
            let entry = with_file!(target, f => opcode::Connect::new(f, pointer, len).build());
            (entry, Owned::Address(address))
        }
        Op::Send { bytes, from, .. } => {
            let rest = bytes.get(from..).unwrap_or_default();
            let (pointer, len) = (rest.as_ptr(), limit(rest.len()));
            let flags = rustix::net::SendFlags::NOSIGNAL.bits().cast_signed();
            let entry =
                with_file!(target, f => opcode::Send::new(f, pointer, len).flags(flags).build());
            (entry, Owned::Bytes(bytes))
        }
        Op::Recv { mut bytes, .. } => {
            let spare = bytes.spare_capacity_mut();
            let (pointer, len) = (spare.as_mut_ptr().cast(), limit(spare.len()));
            let entry = with_file!(target, f =>
                opcode::Recv::new(f, pointer, len).ioprio(POLL_FIRST).build());
            (entry, Owned::Bytes(bytes))
        }
        Op::Write { block, from, until, offset, .. } => {
            let part = block.as_slice().get(from..until).unwrap_or_default();
            let (pointer, len) = (part.as_ptr(), limit(part.len()));
            let entry = match block.registered {
                Some(index) => with_file!(target, f =>
                    opcode::WriteFixed::new(f, pointer, len, index).offset(offset).build()),
                None => with_file!(target, f =>
                    opcode::Write::new(f, pointer, len).offset(offset).build()),
            };
            (entry, Owned::Block(block))
        }
        Op::Sync { .. } => {
            let flags = FsyncFlags::DATASYNC;
            let entry = with_file!(target, f => opcode::Fsync::new(f).flags(flags).build());
            (entry, Owned::Nothing)
        }
    }
}

/// An entry that the kernel ends with `EBADF`, breaking its chain as a real failure does.
fn failing() -> Entry {
    opcode::Fsync::new(Fd(-1)).build()
}

/// `bytes` with the `count` bytes that the kernel wrote behind its end.
fn received(mut bytes: Vec<u8>, count: usize) -> Vec<u8> {
    let len = bytes.len() + count;
    assert!(len <= bytes.capacity(), "R1: the kernel wrote inside the spare capacity");
    // SAFETY: `len` is within the capacity, asserted above; the completion says that the kernel
    // initialised `count` bytes from the old end on, in this very allocation.
    // JUSTIFICATION: the kernel fills memory that safe code may not call initialised; zeroing it
    // first would write each received byte twice.
    unsafe { bytes.set_len(len) };
    bytes
}

fn build(flavor: Flavor, entries: u32) -> Result<(IoUring, bool), Errno> {
    if flavor == Flavor::Shard {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_cqsize(4 * entries).setup_single_issuer();
        builder.setup_defer_taskrun().setup_taskrun_flag();
        if let Ok(ring) = builder.build(entries) {
            return Ok((ring, true));
        }
    }
    let mut builder = IoUring::builder();
    builder.setup_clamp().setup_cqsize(4 * entries);
    let ring = builder.build(entries).map_err(|cause| errno(&cause))?;
    if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
        // Before 5.11: no wait with a deadline.
        return Err(Errno::NOSYS);
    }
    Ok((ring, false))
}

fn errno(cause: &std::io::Error) -> Errno {
    Errno::from_io_error(cause).unwrap_or(Errno::IO)
}
