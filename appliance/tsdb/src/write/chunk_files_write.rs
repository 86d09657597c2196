//! Chunk files, written: each at most 512 MiB.

use std::sync::Arc;

use super::appending::Appending;
use crate::chunk::build::BuiltChunk;
use crate::chunk_files::{CHUNKS_DIRECTORY, HEADER_BYTES, MAGIC, VERSION};
use crate::cursor::put_uvarint;
use crate::fault::TsdbError;
use crate::files::FileWrite;

/// Most bytes of one chunk file, as upstream has it.
pub(crate) const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Appends chunks to numbered files.
pub(crate) struct ChunkFilesWriter {
    files: Arc<dyn FileWrite>,
    directory: String,
    file_bytes_max: u64,
    open: Option<Appending>,
    count: u64,
}

impl ChunkFilesWriter {
    /// Below the block's `directory`; files end before they pass `file_bytes_max`.
    pub(crate) fn new(
        files: &Arc<dyn FileWrite>,
        directory: &str,
        file_bytes_max: u64,
    ) -> Result<ChunkFilesWriter, TsdbError> {
        let directory = format!("{directory}/{CHUNKS_DIRECTORY}");
        let made = files.make_directory(&directory);
        made.map_err(|error| TsdbError::io("make", &directory, error))?;
        let files = Arc::clone(files);
        Ok(ChunkFilesWriter { files, directory, file_bytes_max, open: None, count: 0 })
    }

    /// Appends a chunk and gives its reference.
    pub(crate) fn put(&mut self, chunk: &BuiltChunk) -> Result<u64, TsdbError> {
        let mut bytes = Vec::with_capacity(chunk.bytes.len() + 10);
        put_uvarint(&mut bytes, chunk.bytes.len() as u64);
        let covered = bytes.len();
        bytes.push(chunk.encoding.number());
        bytes.extend_from_slice(&chunk.bytes);
        let sum = crc32c::crc32c(&bytes[covered..]);
        bytes.extend_from_slice(&sum.to_be_bytes());
        let full = self.open.as_ref().is_some_and(|open| {
            self.file_bytes_max < open.offset() + bytes.len() as u64 && HEADER_BYTES < open.offset()
        });
        if full {
            self.sync()?;
        }
        if self.open.is_none() {
            self.count += 1;
            let name = format!("{}/{:06}", self.directory, self.count);
            let mut open = Appending::new(&self.files, name);
            let [a, b, c, d] = MAGIC.to_be_bytes();
            open.put(&[a, b, c, d, VERSION, 0, 0, 0])?;
            self.open = Some(open);
        }
        let open = self.open.as_mut().expect("opened above");
        let reference = (self.count - 1) << 32 | open.offset();
        open.put(&bytes)?;
        Ok(reference)
    }

    /// Brings the open file to the disk and closes it.
    pub(crate) fn sync(&mut self) -> Result<(), TsdbError> {
        match self.open.take() {
            Some(mut open) => open.sync(),
            None => Ok(()),
        }
    }

    pub(crate) fn directory(&self) -> &str {
        &self.directory
    }
}
