//! Files in memory: what tests write and read instead of a disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError};

use crate::files::{FileRead, FileWrite};

#[expect(clippy::disallowed_types, reason = "no shard's data: files of tests, under one lock")]
type Held = std::sync::Mutex<BTreeMap<String, Vec<u8>>>;

/// Files by path. Directories are there as soon as something is in them.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    held: Arc<Held>,
}

impl MemoryFiles {
    /// These files, by path.
    #[must_use]
    pub fn of(files: &[(&str, &[u8])]) -> MemoryFiles {
        let memory = MemoryFiles::default();
        for (path, bytes) in files {
            memory.with(|held| held.insert((*path).to_owned(), bytes.to_vec()));
        }
        memory
    }

    /// The bytes of `path`.
    #[must_use]
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|held| held.get(path).cloned())
    }

    /// Every path, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.with(|held| held.keys().cloned().collect())
    }

    /// Puts `bytes` in the place of what is at `path`.
    pub fn replace(&self, path: &str, bytes: Vec<u8>) {
        self.with(|held| held.insert(path.to_owned(), bytes));
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        act(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn missing(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{path} is not there"))
}

impl FileRead for MemoryFiles {
    fn read(&self, file: &str, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.with(|held| {
            let all = held.get(file).ok_or_else(|| missing(file))?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let part = start.checked_add(bytes.len()).and_then(|end| all.get(start..end));
            bytes.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn length(&self, file: &str) -> io::Result<u64> {
        self.with(|held| held.get(file).map(|all| all.len() as u64)).ok_or_else(|| missing(file))
    }

    fn names(&self, directory: &str) -> io::Result<Vec<String>> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let mut names: Vec<String> = self.with(|held| {
            let below = held.keys().filter_map(|path| path.strip_prefix(prefix.as_str()));
            below.map(|path| path.split('/').next().unwrap_or_default().to_owned()).collect()
        });
        names.dedup();
        if names.is_empty() && !directory.is_empty() { Err(missing(directory)) } else { Ok(names) }
    }
}

impl FileWrite for MemoryFiles {
    fn make_directory(&self, _directory: &str) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|held| {
            let all = held.entry(file.to_owned()).or_default();
            let end = start + bytes.len();
            if all.len() < end {
                all.resize(end, 0);
            }
            all[start..end].copy_from_slice(bytes);
        });
        Ok(())
    }

    fn sync(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|held| {
            let moved: Vec<String> =
                held.keys().filter(|path| is_below(path, from)).cloned().collect();
            for path in moved {
                let bytes = held.remove(&path).unwrap_or_default();
                held.insert(format!("{to}{}", &path[from.len()..]), bytes);
            }
        });
        Ok(())
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.with(|held| held.remove(file)).map(drop).ok_or_else(|| missing(file))
    }

    fn remove_directory(&self, directory: &str) -> io::Result<()> {
        self.with(|held| held.retain(|path, _| !is_below(path, directory)));
        Ok(())
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_listed_and_moved() {
        let files = MemoryFiles::of(&[("a/x", b"1"), ("ab", b"2")]);
        files.write("a/y/z", 2, b"3").expect("write");
        assert_eq!(files.names("").expect("names"), ["a", "ab"]);
        assert_eq!(files.names("a").expect("names"), ["x", "y"]);
        files.rename("a", "c").expect("rename");
        assert_eq!(files.paths(), ["ab", "c/x", "c/y/z"]);
        let mut bytes = [9; 3];
        files.read("c/y/z", 0, &mut bytes).expect("read");
        assert_eq!(bytes, [0, 0, b'3']);
        assert!(files.read("c/x", 1, &mut bytes).is_err());
        files.remove_directory("c").expect("remove");
        assert_eq!(files.paths(), ["ab"]);
    }
}
