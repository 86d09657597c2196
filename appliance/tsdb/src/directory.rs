//! Directory: a data directory of Prometheus on the disk of this machine.
//!
//! Path: the command line, import → **directory** → blocks, head.
//! Never: changes what it opens; only [`DiskFiles`] as a [`FileWrite`] writes, where it is told to.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::time::TimestampMs;

use crate::block::Block;
use crate::fault::TsdbError;
use crate::files::{FileRead, FileWrite};
use crate::head::load::{Head, OnProgress};
use crate::head::source::HeadSource;
use crate::merge::{BlockSource, Selection, SeriesStream, Source};
use crate::ulid::Ulid;

/// What the meta of a block says that was made of late samples.
const HINT_LATE: &str = "from-out-of-order";

#[expect(clippy::disallowed_types, reason = "the one place of this crate that opens files")]
type DiskFile = fs::File;

/// Files below a directory of the disk. Opens a file for each read: readers ask for large pieces.
#[derive(Clone, Debug)]
pub struct DiskFiles {
    root: PathBuf,
}

impl DiskFiles {
    /// Files below `root`.
    #[must_use]
    pub fn new(root: &Path) -> DiskFiles {
        DiskFiles { root: root.to_owned() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl FileRead for DiskFiles {
    fn read(&self, file: &str, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        DiskFile::open(self.at(file))?.read_exact_at(bytes, offset)
    }

    fn length(&self, file: &str) -> io::Result<u64> {
        let meta = fs::metadata(self.at(file))?;
        if meta.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(meta.len()) }
    }

    fn names(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.at(directory))? {
            // Names that are no UTF-8 are none that Prometheus makes.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }
}

impl FileWrite for DiskFiles {
    fn make_directory(&self, directory: &str) -> io::Result<()> {
        fs::create_dir_all(self.at(directory))
    }

    fn write(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut options = DiskFile::options();
        let file = options.write(true).create(true).truncate(false).open(self.at(file))?;
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        DiskFile::open(self.at(path))?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        fs::remove_file(self.at(file))
    }

    fn remove_directory(&self, directory: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.at(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

/// A data directory: blocks by time, and the head that log and head chunks make.
#[derive(Clone)]
pub struct Directory {
    files: Arc<dyn FileRead>,
    blocks: Vec<Block>,
    head: Option<Arc<Head>>,
}

impl Directory {
    /// Opens the data directory at `path` of the disk.
    ///
    /// # Errors
    /// The directory cannot be listed, or meta or tombstones of a block are wrong.
    pub fn open(path: &Path) -> Result<Directory, TsdbError> {
        Directory::of(Arc::new(DiskFiles::new(path)))
    }

    /// Opens the data directory that `files` holds.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn of(files: Arc<dyn FileRead>) -> Result<Directory, TsdbError> {
        let mut blocks = Vec::new();
        for name in block_names(&*files)? {
            blocks.push(Block::open(&files, &name)?);
        }
        // A crash between a merge and the removal of what was merged leaves both.
        let merged: Vec<String> =
            blocks.iter().flat_map(|block| block.meta().parents.clone()).collect();
        blocks.retain(|block| !merged.contains(&block.meta().ulid));
        blocks.sort_by_key(|block| (block.meta().min, block.meta().max, block.meta().ulid.clone()));
        Ok(Directory { files, blocks, head: None })
    }

    /// Its blocks, by their first time.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The files it is read from.
    #[must_use]
    pub fn files(&self) -> &Arc<dyn FileRead> {
        &self.files
    }

    /// The block that was made last: what promtool analyses when none is named.
    #[must_use]
    pub fn newest_block(&self) -> Option<&Block> {
        let made = |block: &&Block| Ulid::parse(&block.meta().ulid).map(Ulid::ms);
        self.blocks.iter().max_by_key(made)
    }

    /// The end of the last block of samples in order: earlier samples of the log are in blocks.
    #[must_use]
    pub fn blocks_end(&self) -> TimestampMs {
        let in_order = |block: &&Block| !block.meta().hints.iter().any(|hint| hint == HINT_LATE);
        let ends = self.blocks.iter().filter(in_order).map(|block| block.meta().max);
        ends.max().unwrap_or(TimestampMs::MIN)
    }

    /// Loads what no block has yet, so that [`Directory::series`] gives it too.
    ///
    /// # Errors
    /// The file system refuses. A log that is torn or damaged is no error: see the head's report.
    pub fn load_head(&mut self, progress: &mut OnProgress<'_>) -> Result<Arc<Head>, TsdbError> {
        let head = Arc::new(Head::load(&self.files, self.blocks_end(), progress)?);
        self.head = Some(Arc::clone(&head));
        Ok(head)
    }

    /// First and last time of what is here, as blocks and head chunks tell them.
    #[must_use]
    pub fn range(&self) -> Option<(TimestampMs, TimestampMs)> {
        let last = |max: TimestampMs| TimestampMs(max.0.saturating_sub(1));
        let blocks = self.blocks.iter().map(|block| (block.meta().min, last(block.meta().max)));
        let head = self.head.iter().filter_map(|head| head.range());
        blocks.chain(head).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The series that `selection` wants, of all blocks whose times it touches and of the head
    /// where that is loaded.
    ///
    /// # Errors
    /// An index cannot be read or is wrong.
    pub fn series(&self, selection: Selection) -> Result<SeriesStream, TsdbError> {
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        for block in &self.blocks {
            let meta = block.meta();
            if meta.min <= selection.max && selection.min < meta.max {
                sources.push(Box::new(BlockSource::open(block)?));
            }
        }
        if let Some(head) = &self.head {
            sources.push(Box::new(HeadSource::in_order(head)));
            sources.push(Box::new(HeadSource::late(head)));
        }
        Ok(SeriesStream::new(sources, selection))
    }
}

/// Names of the blocks' directories; those that are being made or removed have others.
fn block_names(files: &dyn FileRead) -> Result<Vec<String>, TsdbError> {
    let mut names = files.names("").map_err(|error| TsdbError::io("list", ".", error))?;
    names.retain(|name| Ulid::parse(name).is_some());
    Ok(names)
}
