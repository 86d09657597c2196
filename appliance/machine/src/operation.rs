//! Operations: what a reactor can be asked to do, and how it answers.
//!
//! An operation owns its buffers from `submit` to its completion, which gives them back. There is
//! exactly one completion for each operation, cancelled or not.

use std::net::SocketAddr;

use rustix::io::Errno;

use crate::block::Block;
use crate::slab::Key;

/// A descriptor that was handed to a reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey(pub(crate) Key);

/// An operation in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpKey(pub(crate) Key);

/// What to do.
#[derive(Debug)]
pub enum Op {
    /// Connects a stream socket.
    Connect {
        /// An unconnected socket.
        file: FileKey,
        /// Where to.
        address: SocketAddr,
    },
    /// Sends `bytes[from..]`; the result counts the bytes that went.
    Send {
        /// A connected socket.
        file: FileKey,
        /// What holds the bytes.
        bytes: Vec<u8>,
        /// First byte to send.
        from: usize,
    },
    /// Receives into the spare capacity of `bytes`; its length grows by the result.
    Recv {
        /// A connected socket.
        file: FileKey,
        /// What the received bytes are added to.
        bytes: Vec<u8>,
    },
    /// Writes `block[from..until]` at `offset` of the file.
    Write {
        /// A file open for writing.
        file: FileKey,
        /// What holds the bytes.
        block: Block,
        /// First byte of the block to write.
        from: usize,
        /// First byte of the block not to write.
        until: usize,
        /// Where in the file the first byte goes.
        offset: u64,
    },
    /// Makes the written bytes of the file durable (`fdatasync`).
    Sync {
        /// A file open for writing.
        file: FileKey,
    },
}

/// Kinds of operations, as fault injection sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Op::Connect`]
    Connect,
    /// [`Op::Send`]
    Send,
    /// [`Op::Recv`]
    Recv,
    /// [`Op::Write`]
    Write,
    /// [`Op::Sync`]
    Sync,
}

impl Op {
    /// The kind of this operation.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Op::Connect { .. } => Kind::Connect,
            Op::Send { .. } => Kind::Send,
            Op::Recv { .. } => Kind::Recv,
            Op::Write { .. } => Kind::Write,
            Op::Sync { .. } => Kind::Sync,
        }
    }

    pub(crate) fn file(&self) -> FileKey {
        match self {
            Op::Connect { file, .. }
            | Op::Send { file, .. }
            | Op::Recv { file, .. }
            | Op::Write { file, .. }
            | Op::Sync { file } => *file,
        }
    }

    /// What the operation owns, given back without having been used.
    pub(crate) fn into_payload(self) -> Payload {
        match self {
            Op::Connect { .. } | Op::Sync { .. } => Payload::Nothing,
            Op::Send { bytes, .. } | Op::Recv { bytes, .. } => Payload::Bytes(bytes),
            Op::Write { block, .. } => Payload::Block(block),
        }
    }
}

/// What an operation owned.
#[derive(Debug)]
pub enum Payload {
    /// Nothing that the caller gave.
    Nothing,
    /// The buffer of a send or receive.
    Bytes(Vec<u8>),
    /// The buffer of a write.
    Block(Block),
}

/// The end of an operation.
#[derive(Debug)]
pub struct Completion {
    /// Which operation.
    pub op: OpKey,
    /// What the caller said when it submitted.
    pub token: u64,
    /// Its kind.
    pub kind: Kind,
    /// Bytes moved, or why not; a cancelled operation ends with `ECANCELED` unless it was faster.
    pub result: Result<usize, Errno>,
    /// The buffer, back in the caller's hands.
    pub payload: Payload,
}

/// Why a reactor did not take an operation.
#[derive(Debug)]
pub struct Refused {
    /// What happened: `EBUSY` when every place is taken, `EBADF` for an unknown file.
    pub cause: Errno,
    /// What the refused operations owned.
    pub payloads: Vec<Payload>,
}
