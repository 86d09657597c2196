//! Tiles: reads of tile files by query threads.
//!
//! Path: `storage::selection` on a query's thread → **tiles**.
//! Owns: a bounded cache of open files; what of them is damaged.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::sync::ShardedLock;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, pread};
use storage::names::FileName;
use storage::tile_read::{DecodeError, TileRead};

use crate::damages::Damages;

/// Files kept open for one shard; the oldest goes first.
const FILES_MAX: usize = 256;

/// The files of one shard.
pub struct TileFiles {
    directory: PathBuf,
    open: ShardedLock<BTreeMap<FileName, Arc<OwnedFd>>>,
    pub(crate) damages: Arc<Damages>,
}

impl TileFiles {
    /// Files below `directory`, the shard's.
    #[must_use]
    pub fn new(directory: PathBuf) -> TileFiles {
        TileFiles { directory, open: ShardedLock::default(), damages: Arc::default() }
    }

    /// Closes a file that was deleted, so that its space is given back.
    pub fn forget(&self, file: &FileName) {
        if let Ok(mut open) = self.open.write() {
            open.remove(file);
        }
        self.damages.forget(file);
    }

    fn file(&self, name: &FileName) -> io::Result<Arc<OwnedFd>> {
        let poisoned = || io::Error::other("a thread died with the table of open files");
        let found = self.open.read().map_err(|_| poisoned())?.get(name).map(Arc::clone);
        if let Some(file) = found {
            return Ok(file);
        }
        let path = self.directory.join(name.to_string());
        let file = Arc::new(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
        let mut open = self.open.write().map_err(|_| poisoned())?;
        // One that was deleted meanwhile is not kept: `forget` came before us, and its space would
        // not be given back.
        if rustix::fs::fstat(&*file)?.st_nlink == 0 {
            return Ok(file);
        }
        open.insert(*name, Arc::clone(&file));
        if FILES_MAX < open.len() {
            open.pop_first();
        }
        Ok(file)
    }
}

impl TileRead for TileFiles {
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let open = self.file(file)?;
        let mut done = 0;
        while done < bytes.len() {
            match pread(&*open, &mut bytes[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        Ok(())
    }

    /// What does not check, and what lies behind the end of a file that was cut, is left out. A
    /// read that fails otherwise says nothing of the bytes: it may succeed the next time.
    fn leave_out(&self, error: &DecodeError) -> bool {
        match error {
            DecodeError::Damaged { file, offset, reason } => {
                self.damages.note(&self.directory, (*file, *offset), reason);
                true
            }
            DecodeError::Read { file, offset, cause, .. } => {
                let is_cut = cause.kind() == io::ErrorKind::UnexpectedEof;
                if is_cut {
                    self.damages.note(&self.directory, (*file, *offset), "the file ends before");
                }
                is_cut
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_whole_or_fail() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("tiles")).unwrap();
        let name = FileName::Tile(1);
        let path = directory.path().join(name.to_string());
        std::fs::write(&path, b"0123456789").unwrap();
        let tiles = TileFiles::new(directory.path().to_owned());
        let mut bytes = [0; 4];
        tiles.read(&name, 6, &mut bytes).unwrap();
        assert_eq!(&bytes, b"6789");
        let cut = tiles.read(&name, 7, &mut bytes).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        std::fs::remove_file(&path).unwrap();
        tiles.read(&name, 0, &mut bytes).unwrap();
        tiles.forget(&name);
        assert_eq!(tiles.read(&name, 0, &mut bytes).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn open_files_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("tiles")).unwrap();
        let tiles = TileFiles::new(directory.path().to_owned());
        for number in 0..FILES_MAX as u64 + 10 {
            let name = FileName::Tile(number);
            std::fs::write(directory.path().join(name.to_string()), [7]).unwrap();
            tiles.read(&name, 0, &mut [0]).unwrap();
        }
        assert_eq!(tiles.open.read().unwrap().len(), FILES_MAX);
    }
}
