//! Start: opens the data directory, recovers the shards in parallel and sets them turning.
//!
//! Path: `server` → **start** → `open`, `shard_loop`, `wal_thread`, `files` → `handle`.

use std::sync::atomic::{AtomicU64, Ordering};

use storage::recovery::OpenError;
use thiserror::Error;

use crate::handle::Handle;
use crate::options::Options;

/// Why the machine did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Something of the operating system: what was tried and its cause.
    #[error("{what}: {cause}")]
    System {
        /// What was tried, with its path.
        what: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Another process has the data directory.
    #[error("{directory} is in use by process {by}")]
    Locked {
        /// The directory.
        directory: String,
        /// Who has it, as it wrote itself down.
        by: String,
    },
    /// `io` is `Ring`, and the kernel forbids it.
    #[error("io_uring is not available: {0}")]
    Ring(String),
    /// The directory's own description does not read.
    #[error("{path}: {reason}")]
    Description {
        /// Path of the file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A store did not open.
    #[error("shard {shard}: {cause}")]
    Open {
        /// Number of the shard.
        shard: u32,
        /// Why.
        cause: OpenError,
    },
    /// An option is out of range.
    #[error("option {0}")]
    Options(String),
}

/// How far recovery has come; watched from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl Progress {
    /// Bytes read and bytes to read, all shards together.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.done_bytes.load(Ordering::Relaxed), self.total_bytes.load(Ordering::Relaxed))
    }
}

/// Starts the machine: every shard is recovered and turning when this returns.
///
/// # Errors
/// See [`StartError`]; nothing runs then.
pub fn start(options: Options, progress: &Progress) -> Result<Handle, StartError> {
    let _ = (options, progress);
    Err(StartError::Options("none: not built".to_owned()))
}
