//! Appending: a file that grows at its end, buffered, with a running checksum.

use std::sync::Arc;

use crate::fault::TsdbError;
use crate::files::FileWrite;

const BUFFER_BYTES: usize = 1024 * 1024;

/// One file that is being written.
pub(crate) struct Appending {
    files: Arc<dyn FileWrite>,
    name: String,
    buffer: Vec<u8>,
    /// Bytes that were given to the file system.
    flushed: u64,
    sum: u32,
}

impl Appending {
    pub(crate) fn new(files: &Arc<dyn FileWrite>, name: String) -> Appending {
        Appending { files: Arc::clone(files), name, buffer: Vec::new(), flushed: 0, sum: 0 }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn offset(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), TsdbError> {
        self.sum = crc32c::crc32c_append(self.sum, bytes);
        self.buffer.extend_from_slice(bytes);
        if BUFFER_BYTES <= self.buffer.len() { self.flush() } else { Ok(()) }
    }

    /// Zero bytes up to a multiple of `alignment`.
    pub(crate) fn align(&mut self, alignment: u64) -> Result<(), TsdbError> {
        let missing = self.offset().next_multiple_of(alignment) - self.offset();
        self.put(&vec![0; usize::try_from(missing).expect("less than the alignment")])
    }

    /// Begins a section: room for its length, and a checksum of what follows.
    pub(crate) fn begin_section(&mut self) -> Result<u64, TsdbError> {
        let at = self.offset();
        self.put(&[0; 4])?;
        self.sum = 0;
        Ok(at)
    }

    /// Ends the section that began at `at`: its checksum, and its length in front.
    pub(crate) fn end_section(&mut self, at: u64, what: &str) -> Result<(), TsdbError> {
        let length = u32::try_from(self.offset() - at - 4)
            .map_err(|_| TsdbError::Refused(format!("{what} is longer than 4 GiB")))?;
        self.put(&self.sum.to_be_bytes())?;
        self.flush()?;
        let written = self.files.write(&self.name, at, &length.to_be_bytes());
        written.map_err(|error| TsdbError::io("write", &self.name, error))
    }

    pub(crate) fn flush(&mut self) -> Result<(), TsdbError> {
        if !self.buffer.is_empty() {
            let written = self.files.write(&self.name, self.flushed, &self.buffer);
            written.map_err(|error| TsdbError::io("write", &self.name, error))?;
            self.flushed += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Gives everything to the file system and brings it to the disk.
    pub(crate) fn sync(&mut self) -> Result<(), TsdbError> {
        self.flush()?;
        self.files.sync(&self.name).map_err(|error| TsdbError::io("sync", &self.name, error))
    }
}
