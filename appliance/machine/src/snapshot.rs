//! Snapshot: a copy of the data directory, made while the shards run, that opens by itself.
//!
//! Path: the server, on a thread that may wait → **snapshot** → directory `snapshots` below the
//! data directory.
//! Never: keeps a part; what is under its name is whole and durable.
//!
//! What is copied looks like what a power cut leaves: the log first, then tiles, then the catalog
//! and the manifest, each newer than the one before. If anything that was copied has gone from the
//! directory meanwhile, it is begun anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fsync, open};
use storage::names::{DIRECTORIES, FileName};
use storage::snapshot::{is_whole, log_files, other_files};

use crate::open::{DESCRIPTION, list};
use crate::segments::sync_parent;

/// Directory of all snapshots below the data directory.
pub const SNAPSHOTS: &str = "snapshots";

/// Times that one is begun: a file goes when a segment retires or a block is replaced, a few times
/// an hour.
const TRIES: usize = 5;

/// Makes snapshot `name` of the data directory `data`, without what is in no block if `skip_head`.
///
/// # Errors
/// The system's; nothing stays under that name then.
pub fn snapshot(data: &Path, name: &str, skip_head: bool) -> io::Result<()> {
    let all = data.join(SNAPSHOTS);
    let (made, whole) = (all.join(format!("{name}.part")), all.join(name));
    let result = copy_all(data, &made, skip_head).and_then(|()| {
        fs::rename(&made, &whole)?;
        sync_parent(&whole)
    });
    if result.is_err() {
        // What failed once may fail again; the next one has another name.
        let _ = fs::remove_dir_all(&made);
    }
    result
}

fn copy_all(data: &Path, made: &Path, skip_head: bool) -> io::Result<()> {
    fs::create_dir_all(made)?;
    fs::copy(data.join(DESCRIPTION), made.join(DESCRIPTION))?;
    sync(&made.join(DESCRIPTION))?;
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let is_shard = entry.file_name().to_str().is_some_and(|name| name.starts_with("shard-"));
        if is_shard {
            copy_shard(&entry.path(), &made.join(entry.file_name()), skip_head)?;
        }
    }
    sync(made)
}

fn copy_shard(from: &Path, to: &Path, skip_head: bool) -> io::Result<()> {
    for _ in 0..TRIES {
        for part in DIRECTORIES {
            fs::create_dir_all(to.join(part))?;
        }
        if try_shard(from, to, skip_head)? {
            for part in DIRECTORIES.into_iter().chain([""]) {
                sync(&to.join(part))?;
            }
            return Ok(());
        }
        fs::remove_dir_all(to)?;
    }
    Err(io::Error::other(format!("{}: files go faster than they are copied", from.display())))
}

/// Copies a shard; `false` when it changed so that the copy would not be whole.
fn try_shard(from: &Path, to: &Path, skip_head: bool) -> io::Result<bool> {
    let mut copied = Vec::new();
    let names = |from: &Path| -> io::Result<Vec<FileName>> {
        Ok(list(from)?.into_iter().map(|(name, _)| name).collect())
    };
    if !skip_head {
        copied.extend(log_files(&names(from)?));
        if !copy_each(from, to, &copied, None)? {
            return Ok(false);
        }
    }
    let rest = other_files(&names(from)?, skip_head);
    // Tiles are appended to the newest file; the others change no more.
    let newest = rest.iter().copied().filter(|name| matches!(name, FileName::Tile(_))).max();
    if !copy_each(from, to, &rest, newest)? {
        return Ok(false);
    }
    copied.extend(rest);
    Ok(is_whole(&copied, &names(from)?))
}

/// Links or copies files; `false` when one has gone. `growing` is copied though its kind is linked.
fn copy_each(
    from: &Path,
    to: &Path,
    names: &[FileName],
    growing: Option<FileName>,
) -> io::Result<bool> {
    for name in names {
        let (from, to) = (from.join(name.to_string()), to.join(name.to_string()));
        let may_link = matches!(name, FileName::Block(_) | FileName::Tile(_));
        let linked = may_link && growing != Some(*name) && fs::hard_link(&from, &to).is_ok();
        let done = if linked { Ok(()) } else { copy(&from, &to) };
        match done {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(cause) => return Err(cause),
        }
    }
    Ok(true)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    sync(to)
}

fn sync(path: &Path) -> io::Result<()> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(fsync(&file)?)
}

/// Path of snapshot `name` below the data directory `data`.
#[must_use]
pub fn path_of(data: &Path, name: &str) -> PathBuf {
    data.join(SNAPSHOTS).join(name)
}

#[cfg(test)]
mod tests {
    use storage::names::SegmentId;

    use super::*;
    use crate::open::shard_directory;

    #[test]
    fn a_snapshot_has_all_files_and_nothing_partial() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        fs::write(data.join(DESCRIPTION), "{}").unwrap();
        let shard = shard_directory(data, 0).unwrap();
        let names = [
            FileName::Segment(SegmentId(1)),
            FileName::Tile(1),
            FileName::Tile(2),
            FileName::Block(1),
            FileName::Catalog(1),
            FileName::Manifest(4),
        ];
        for name in names {
            fs::write(shard.join(name.to_string()), name.to_string()).unwrap();
        }
        snapshot(data, "whole", false).unwrap();
        snapshot(data, "blocks", true).unwrap();
        fs::write(shard.join(FileName::Tile(2).to_string()), "grown").unwrap();
        let listed = |name: &str| -> Vec<FileName> {
            let shard = path_of(data, name).join("shard-0");
            list(&shard).unwrap().into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(listed("whole").len(), 6);
        assert_eq!(listed("blocks"), [names[4], names[5], names[3]]);
        let newest = path_of(data, "whole/shard-0").join(FileName::Tile(2).to_string());
        assert_eq!(fs::read_to_string(newest).unwrap(), FileName::Tile(2).to_string());
        fs::remove_file(data.join(DESCRIPTION)).unwrap();
        assert!(snapshot(data, "failed", false).is_err());
        assert_eq!(fs::read_dir(data.join(SNAPSHOTS)).unwrap().count(), 2);
    }
}
