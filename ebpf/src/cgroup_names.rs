//! Cgroup names: which path a cgroup's number stands for.
//!
//! The number is the inode of the cgroup's directory in the unified hierarchy.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Cgroups looked at; what comes beyond stays without a name.
const CGROUPS_MAX: usize = 4096;
/// Levels looked at.
const DEPTH_MAX: usize = 16;

/// Paths by number, as they stood when last read.
#[derive(Debug)]
pub struct CgroupNames {
    root: Option<PathBuf>,
    paths: BTreeMap<u64, String>,
}

impl CgroupNames {
    /// The hierarchy that `mounts` (the text of `/proc/self/mounts`) names; none is no fault.
    #[must_use]
    pub fn new(mounts: &str) -> CgroupNames {
        let root = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let path = words.next()?;
            (words.next() == Some("cgroup2")).then(|| PathBuf::from(path))
        });
        CgroupNames { root, paths: BTreeMap::new() }
    }

    /// Reads the hierarchy anew.
    pub fn refresh(&mut self) {
        self.paths.clear();
        let Some(root) = self.root.clone() else { return };
        if let Ok(found) = fs::metadata(&root) {
            self.paths.insert(found.ino(), "/".to_owned());
        }
        self.walk(&root, "", 0);
    }

    fn walk(&mut self, directory: &Path, path: &str, depth: usize) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            if CGROUPS_MAX <= self.paths.len() {
                return;
            }
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            if depth < DEPTH_MAX {
                self.walk(&entry.path(), &path, depth + 1);
            }
            self.paths.insert(entry.ino(), path);
        }
    }

    /// Path of cgroup `id` below the hierarchy's root.
    #[must_use]
    pub fn path(&self, id: u64) -> Option<&str> {
        self.paths.get(&id).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_found_by_their_inode() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("system.slice/cresset.service");
        fs::create_dir_all(&inner).unwrap();
        let mounts = format!("none {} cgroup2 rw 0 0\n", directory.path().display());
        let mut names = CgroupNames::new(&mounts);
        names.refresh();
        let id = fs::metadata(&inner).unwrap().ino();
        assert_eq!(names.path(id), Some("/system.slice/cresset.service"));
        assert_eq!(names.path(u64::MAX), None);
        fs::remove_dir(&inner).unwrap();
        names.refresh();
        assert_eq!(names.path(id), None, "a removed cgroup has no name");
    }
}
