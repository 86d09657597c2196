//! Offline: a data directory that no server has open, read and added to by tools.
//!
//! Path: the command line → **offline** → `open`, files.
//! Owns: the directory's lock while it lives.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fsync, ftruncate, open};
use rustix::io::pwrite;
use storage::names::FileName;
use storage::options::Options as StorageOptions;
use storage::recovery::Report;
use storage::store::Store;

use crate::open::{
    DESCRIPTION, Description, Progress, SHARDS_MAX, StartError, block_bytes, describe, list, lock,
    recover, shard_directory, system,
};
use crate::plan::{Wanted, plan};
use crate::segments::sync_parent;
use crate::tiles::TileFiles;
use crate::topology::allowed;

/// A data directory that this process has for itself.
#[derive(Debug)]
pub struct Offline {
    directory: PathBuf,
    description: Description,
    _lock: OwnedFd,
}

/// Whether `directory` is a data directory of this program.
#[must_use]
pub fn is_data_directory(directory: &Path) -> bool {
    directory.join(DESCRIPTION).is_file()
}

/// Shards of a new directory on this machine.
fn planned_shards() -> u32 {
    let plan = plan(&allowed(), &Wanted::default());
    plan.map_or(1, |plan| u32::try_from(plan.shards.len()).unwrap_or(SHARDS_MAX))
}

impl Offline {
    /// Takes the data directory; makes it, as a first start would, where none is there.
    ///
    /// # Errors
    /// Another process has it, its description does not read, or the file system refuses.
    pub fn open(directory: &Path) -> Result<Offline, StartError> {
        let lock = lock(directory)?;
        let description = describe(directory, || Description {
            shards: planned_shards(),
            block_bytes: block_bytes(directory),
        })?;
        Ok(Offline { directory: directory.to_owned(), description, _lock: lock })
    }

    /// How many shards it has.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.description.shards
    }

    /// Directory of a shard, made where it is not there.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn shard(&self, number: u32) -> Result<PathBuf, StartError> {
        shard_directory(&self.directory, number)
    }

    /// Files of a shard and their bytes.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn files(&self, number: u32) -> Result<Vec<(FileName, u64)>, StartError> {
        let path = self.shard(number)?;
        list(&path).map_err(system(format!("list directory {}", path.display())))
    }

    /// Reads files of samples of a shard.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn reader(&self, number: u32) -> Result<TileFiles, StartError> {
        Ok(TileFiles::new(self.shard(number)?))
    }

    /// The store of a shard, to be read: nothing of it is written.
    ///
    /// # Errors
    /// As the start of the server.
    pub fn store(&self, number: u32) -> Result<(Box<Store>, Report), StartError> {
        let block_bytes = self.description.block_bytes;
        let options = StorageOptions { shard: number, block_bytes, ..StorageOptions::default() };
        recover(&self.shard(number)?, options, &Progress::default())
    }

    /// Reads a whole file of a shard.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn read(&self, number: u32, file: FileName) -> Result<Vec<u8>, StartError> {
        let path = self.shard(number)?.join(file.to_string());
        std::fs::read(&path).map_err(system(format!("read {}", path.display())))
    }

    /// Writes `bytes` at `offset` of a file of a shard; at 0 it is made, or cut to nothing.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(
        &self,
        number: u32,
        file: FileName,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StartError> {
        let path = self.shard(number)?.join(file.to_string());
        let write = || {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
            let fd = open(&path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH)?;
            if offset == 0 {
                ftruncate(&fd, 0)?;
            }
            let mut done = 0;
            while done < bytes.len() {
                done += pwrite(&fd, &bytes[done..], offset + done as u64)?;
            }
            Ok(())
        };
        let written: rustix::io::Result<()> = write();
        let what = format!("write {}", path.display());
        written.map_err(|cause| system(what)(cause.into()))
    }

    /// Brings a file of a shard and its name to the disk.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn sync(&self, number: u32, file: FileName) -> Result<(), StartError> {
        let path = self.shard(number)?.join(file.to_string());
        let sync = || {
            let fd = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            fsync(&fd)?;
            sync_parent(&path)
        };
        sync().map_err(system(format!("sync {}", path.display())))
    }
}
