//! Tile read: how files of samples are read, and why they could not be.
//!
//! Path: `selection`, `block` → **tile_read** → the machine's pread, or the simulator's disk.

use std::io;

use thiserror::Error;

use crate::names::FileName;

/// Reads tile and block files; the machine's is pread, the simulator's its disk.
pub trait TileRead: Send + Sync {
    /// Fills `bytes` from `offset` of `file`.
    ///
    /// # Errors
    /// The file is gone (`NotFound`: its samples passed retention, or a block replaced it), ends
    /// before, or cannot be read.
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Hears that bytes do not check, or that a read failed. True when the answer goes on without
    /// what stood there; by default it fails.
    fn leave_out(&self, _error: &DecodeError) -> bool {
        false
    }
}

/// Why samples could not be decoded.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The file could not be read.
    #[error("read {bytes} bytes at {offset} of {file}: {cause}")]
    Read {
        /// File that was read.
        file: FileName,
        /// Where.
        offset: u64,
        /// How much.
        bytes: usize,
        /// Why it failed.
        cause: io::Error,
    },
    /// Bytes on disk are not what was written.
    #[error("{file} is damaged at {offset}: {reason}")]
    Damaged {
        /// File that was read.
        file: FileName,
        /// Where the damaged part begins.
        offset: u64,
        /// What does not check.
        reason: &'static str,
    },
}
