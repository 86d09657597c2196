//! Reactor: one seam over both ways to do I/O, so that the loops are written once.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::epoll::Epoll;
use crate::fault::Faults;
use crate::operation::{Completion, FileKey, Op, OpKey, Refused};
use crate::ring::{Flavor, Ring, Sizes};
use crate::wake::Waker;

/// Which way to do I/O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoChoice {
    /// io_uring where it works, else epoll.
    #[default]
    Auto,
    /// io_uring, or refuse to start.
    Ring,
    /// epoll and plain file calls.
    Epoll,
}

/// The way that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKind {
    /// io_uring
    Ring,
    /// epoll
    Epoll,
}

impl fmt::Display for IoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IoKind::Ring => "io_uring",
            IoKind::Epoll => "epoll",
        })
    }
}

/// Does operations and tells when they have ended. Both forms pass the same tests.
pub enum Reactor {
    /// Over io_uring.
    Ring(Box<Ring>),
    /// Over epoll.
    Epoll(Box<Epoll>),
}

/// `each!(reactor, inner => expression)`: the expression for either form.
macro_rules! each {
    ($reactor:expr, $inner:ident => $call:expr) => {
        match $reactor {
            Reactor::Ring($inner) => $call,
            Reactor::Epoll($inner) => $call,
        }
    };
}

impl Reactor {
    /// A reactor of this kind on the calling thread, which must be the one that turns it.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn new(
        kind: IoKind,
        flavor: Flavor,
        sizes: Sizes,
        faults: Faults,
    ) -> Result<Reactor, Errno> {
        match kind {
            IoKind::Ring => {
                Ring::new(flavor, sizes, faults).map(|ring| Reactor::Ring(Box::new(ring)))
            }
            IoKind::Epoll => Epoll::new(sizes.ops_max, sizes.files_max as usize, faults)
                .map(|epoll| Reactor::Epoll(Box::new(epoll))),
        }
    }

    /// Ends a wait of [`Reactor::turn`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        each!(self, inner => inner.waker())
    }

    /// Has the kernel do on `cpus` what it cannot do at once; none lets it choose.
    pub fn bind_workers(&self, cpus: &[usize]) {
        match self {
            Reactor::Ring(ring) if !cpus.is_empty() => {
                if let Err(cause) = ring.bind_workers(cpus) {
                    tracing::info!(?cpus, %cause, "the kernel's threads for a ring stay unbound");
                }
            }
            Reactor::Ring(_) | Reactor::Epoll(_) => {}
        }
    }

    /// Number of operations whose completion is still to come.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        each!(self, inner => inner.in_flight())
    }

    /// Flags with which a socket for this reactor is made.
    #[must_use]
    pub fn socket_flags(&self) -> SocketFlags {
        each!(self, inner => inner.socket_flags())
    }

    /// Takes a file over.
    ///
    /// # Errors
    /// `EMFILE` when the table of files is full.
    pub fn attach(&mut self, file: OwnedFd) -> Result<FileKey, Errno> {
        each!(self, inner => inner.attach(file))
    }

    /// The file behind a key.
    #[must_use]
    pub fn file(&self, file: FileKey) -> Option<BorrowedFd<'_>> {
        each!(self, inner => inner.file(file))
    }

    /// Closes a file; operations on it end early, each with its completion.
    pub fn close(&mut self, file: FileKey) {
        each!(self, inner => inner.close(file));
    }

    /// Starts `op`; `token` comes back with its completion.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn submit(&mut self, op: Op, token: u64) -> Result<OpKey, Refused> {
        each!(self, inner => inner.submit(op, token))
    }

    /// Starts `ops` as one chain: each begins when the one before it did all it was asked to.
    ///
    /// # Errors
    /// See [`Refused`]; then none of them began.
    pub fn chain(&mut self, ops: Vec<(Op, u64)>) -> Result<Vec<OpKey>, Refused> {
        each!(self, inner => inner.chain(ops))
    }

    /// Ends `op` early. Its completion comes all the same.
    pub fn cancel(&mut self, op: OpKey) {
        each!(self, inner => inner.cancel(op));
    }

    /// Waits up to `wait_nanos` for a completion or a wake-up; what has ended is appended to `out`.
    ///
    /// # Errors
    /// Those of the kernel that mean the reactor cannot go on.
    pub fn turn(&mut self, wait_nanos: u64, out: &mut Vec<Completion>) -> Result<(), Errno> {
        each!(self, inner => inner.turn(wait_nanos, out))
    }
}
