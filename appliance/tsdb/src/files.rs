//! Files: what readers and writers ask of a file system.
//!
//! Paths are relative to one directory and use `/`.
//!
//! Path: readers and writers → **files** → `directory` (the real ones) or `memory`.
//! Never: a map of memory over a file: what changes below it would end the process.

use std::io;
use std::sync::Arc;

use crate::fault::{Fault, TsdbError};

/// Most bytes that are read at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// Reads files below one directory.
pub trait FileRead: Send + Sync {
    /// Fills `bytes` from `offset` of `file`.
    ///
    /// # Errors
    /// The file is not there, or shorter than that.
    fn read(&self, file: &str, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Bytes of `file`.
    ///
    /// # Errors
    /// The file is not there.
    fn length(&self, file: &str) -> io::Result<u64>;

    /// Names of what is in `directory`, sorted; "" is the directory that all paths begin in.
    ///
    /// # Errors
    /// The directory is not there.
    fn names(&self, directory: &str) -> io::Result<Vec<String>>;
}

/// Writes files below one directory.
pub trait FileWrite: FileRead {
    /// Makes `directory` and those above it.
    ///
    /// # Errors
    /// The file system refuses.
    fn make_directory(&self, directory: &str) -> io::Result<()>;

    /// Writes `bytes` at `offset` of `file`, which is made where it is not there.
    ///
    /// # Errors
    /// The file system refuses.
    fn write(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Brings the bytes of `path` to the disk; of a directory, its names.
    ///
    /// # Errors
    /// The file system refuses.
    fn sync(&self, path: &str) -> io::Result<()>;

    /// Gives what is at `from` the name `to`.
    ///
    /// # Errors
    /// The file system refuses.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The file system refuses.
    fn remove(&self, file: &str) -> io::Result<()>;

    /// Removes a directory and all in it; nothing where it is not there.
    ///
    /// # Errors
    /// The file system refuses.
    fn remove_directory(&self, directory: &str) -> io::Result<()>;
}

/// One file, read through a window that moves forward.
pub(crate) struct Reading {
    files: Arc<dyn FileRead>,
    name: String,
    length: u64,
    window: Vec<u8>,
    window_offset: u64,
}

impl Reading {
    pub(crate) fn open(files: &Arc<dyn FileRead>, name: &str) -> Result<Reading, TsdbError> {
        let length = files.length(name).map_err(|error| TsdbError::io("open", name, error))?;
        let files = Arc::clone(files);
        let window = Vec::new();
        Ok(Reading { files, name: name.to_owned(), length, window, window_offset: 0 })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Exactly `count` bytes at `offset`; `what` names them where the file ends before.
    pub(crate) fn bytes(
        &mut self,
        offset: u64,
        count: usize,
        what: &'static str,
    ) -> Result<&[u8], TsdbError> {
        let after = offset.saturating_add(count as u64);
        if self.length < after {
            return Err(self.corrupt(offset, Fault::Short(what)));
        }
        let window_end = self.window_offset + self.window.len() as u64;
        if offset < self.window_offset || window_end < after {
            self.fill(offset, count)?;
        }
        let start = usize::try_from(offset - self.window_offset).expect("within the window");
        Ok(&self.window[start..start + count])
    }

    /// At most `count` bytes at `offset`: fewer at the end of the file.
    pub(crate) fn bytes_at_most(&mut self, offset: u64, count: usize) -> Result<&[u8], TsdbError> {
        let left = self.length.saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        self.bytes(offset, count, "the file")
    }

    /// The error of a fault at `offset` of this file.
    pub(crate) fn corrupt(&self, offset: u64, fault: Fault) -> TsdbError {
        fault.at(offset).of(&self.name)
    }

    fn fill(&mut self, offset: u64, count: usize) -> Result<(), TsdbError> {
        let left = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
        let bytes = count.max(WINDOW_BYTES).min(left);
        self.window.resize(bytes, 0);
        self.window_offset = offset;
        let read = self.files.read(&self.name, offset, &mut self.window);
        read.map_err(|error| {
            self.window.clear();
            TsdbError::io("read", &self.name, error)
        })
    }
}

/// Checks the CRC-32C `written` over `bytes`.
pub(crate) fn check_sum(what: &'static str, bytes: &[u8], written: u32) -> Result<(), Fault> {
    let found = crc32c::crc32c(bytes);
    if found == written { Ok(()) } else { Err(Fault::Checksum { what, written, found }) }
}
