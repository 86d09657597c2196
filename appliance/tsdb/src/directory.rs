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
use crate::head_chunks::HEAD_CHUNKS_DIRECTORY;
use crate::merge::{BlockSource, Selection, SeriesStream, Source};
use crate::meta::META_FILE;
use crate::ulid::Ulid;
use crate::wal::log::WAL_DIRECTORY;

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
            // A block whose removal was cut off has lost its meta first; upstream passes it over.
            if files.length(&format!("{name}/{META_FILE}")).is_ok() {
                blocks.push(Block::open(&files, &name)?);
            }
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

    /// Loads what no block has yet, so that [`Directory::series`] gives it too.
    ///
    /// # Errors
    /// The file system refuses. A log that is torn or damaged is no error: see the head's report.
    pub fn load_head(&mut self, progress: &mut OnProgress<'_>) -> Result<Arc<Head>, TsdbError> {
        let head = Arc::new(Head::load(&self.files, progress)?);
        self.head = Some(Arc::clone(&head));
        Ok(head)
    }

    /// First and last times of the blocks and of the head, as their own words have them.
    #[must_use]
    pub fn spans(&self) -> Vec<(TimestampMs, TimestampMs)> {
        let last = |max: TimestampMs| TimestampMs(max.0.saturating_sub(1));
        let blocks = self.blocks.iter().map(|block| (block.meta().min, last(block.meta().max)));
        blocks.chain(self.head_range()).collect()
    }

    /// First and last time of the head; `None` when nothing is in it or it is not loaded.
    #[must_use]
    pub fn head_range(&self) -> Option<(TimestampMs, TimestampMs)> {
        self.head.as_ref().and_then(|head| head.range())
    }

    /// The head as sources of a merge; none while it is not loaded.
    #[must_use]
    pub fn head_sources(&self) -> Vec<Box<dyn Source>> {
        let Some(head) = &self.head else { return Vec::new() };
        vec![Box::new(HeadSource::in_order(head)), Box::new(HeadSource::late(head))]
    }

    /// Takes the blocks of downsampled samples out.
    pub fn take_downsampled(&mut self) -> Vec<Block> {
        let is_raw = |block: &Block| {
            block.meta().thanos.as_ref().is_none_or(|thanos| thanos.resolution_ms == 0)
        };
        let (raw, other): (Vec<Block>, Vec<Block>) = self.blocks.drain(..).partition(is_raw);
        self.blocks = raw;
        other
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
        sources.extend(self.head_sources());
        Ok(SeriesStream::new(sources, selection))
    }
}

/// What in `directory` says that it is a data directory of Prometheus: a block, a log, head chunks.
#[must_use]
pub fn prometheus_sign(directory: &Path) -> Option<String> {
    let mut names = DiskFiles::new(directory).names("").ok()?.into_iter();
    names.find(|name| {
        let is_block =
            Ulid::parse(name).is_some() && directory.join(name).join(META_FILE).is_file();
        let is_log = [WAL_DIRECTORY, HEAD_CHUNKS_DIRECTORY].contains(&name.as_str());
        is_block || (is_log && directory.join(name).is_dir())
    })
}

/// Names of the blocks' directories; those that are being made or removed have others.
fn block_names(files: &dyn FileRead) -> Result<Vec<String>, TsdbError> {
    let mut names = files.names("").map_err(|error| TsdbError::io("list", ".", error))?;
    names.retain(|name| Ulid::parse(name).is_some());
    Ok(names)
}
