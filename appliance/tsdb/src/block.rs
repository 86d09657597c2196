//! Block: an immutable directory with index, chunks, tombstones and meta.

use std::sync::Arc;

use crate::chunk_files::{CHUNKS_DIRECTORY, ChunkFiles};
use crate::fault::TsdbError;
use crate::files::FileRead;
use crate::index::series::SeriesScan;
use crate::index::toc::INDEX_FILE;
use crate::meta::{BlockMeta, META_FILE, read_meta};
use crate::tombstones::{TOMBSTONES_FILE, Tombstones, read_tombstones};

/// A block that can be read.
#[derive(Clone)]
pub struct Block {
    files: Arc<dyn FileRead>,
    directory: String,
    meta: BlockMeta,
    tombstones: Tombstones,
}

impl Block {
    /// Opens the block in `directory` by its meta and tombstones; index and chunks are looked at
    /// when they are read.
    ///
    /// # Errors
    /// Meta or tombstones are missing or wrong.
    pub fn open(files: &Arc<dyn FileRead>, directory: &str) -> Result<Block, TsdbError> {
        let meta = read_meta(&**files, directory)?;
        let tombstones = read_tombstones(&**files, directory)?;
        let directory = directory.to_owned();
        Ok(Block { files: Arc::clone(files), directory, meta, tombstones })
    }

    /// What the block says of itself.
    #[must_use]
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// What is deleted from it.
    #[must_use]
    pub fn tombstones(&self) -> &Tombstones {
        &self.tombstones
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The files it is read from.
    #[must_use]
    pub fn files(&self) -> &Arc<dyn FileRead> {
        &self.files
    }

    /// Its series, in order of label set.
    ///
    /// # Errors
    /// The index cannot be read or is wrong.
    pub fn series(&self) -> Result<SeriesScan, TsdbError> {
        SeriesScan::open(&self.files, &self.directory)
    }

    /// Its chunks.
    ///
    /// # Errors
    /// The chunk directory cannot be listed.
    pub fn chunks(&self) -> Result<ChunkFiles, TsdbError> {
        ChunkFiles::open(&self.files, &self.directory)
    }

    /// Bytes on disk, counted as upstream does: index, chunks, meta and tombstones.
    ///
    /// # Errors
    /// A file of the block is missing.
    pub fn bytes(&self) -> Result<u64, TsdbError> {
        let at = |name: &str| format!("{}/{name}", self.directory);
        let mut bytes = self.length(&at(INDEX_FILE))? + self.length(&at(META_FILE))?;
        // Blocks without deletions may do without the file.
        bytes += self.files.length(&at(TOMBSTONES_FILE)).unwrap_or(0);
        let chunks = at(CHUNKS_DIRECTORY);
        for name in self.files.names(&chunks).unwrap_or_default() {
            bytes += self.length(&format!("{chunks}/{name}"))?;
        }
        Ok(bytes)
    }

    fn length(&self, file: &str) -> Result<u64, TsdbError> {
        self.files.length(file).map_err(|error| TsdbError::io("open", file, error))
    }
}
