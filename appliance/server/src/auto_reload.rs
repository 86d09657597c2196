//! Auto reload: notices that the configuration file, or a file that it names, is another.
//!
//! Path: `boot` asks now and then → **auto_reload** → a reload like any other.
//! Never: judges what the files hold; one that does not parse is another file all the same.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use discovery::glob::files;
use model::time::Tick;

use crate::config::jobs::FILES_MAX;
use crate::config::section::scalar_text;
use crate::config::tree::{Kind, Node, parse};

/// Fields of the file that name further ones.
const FILE_FIELDS: [&str; 2] = ["rule_files", "scrape_config_files"];

/// What was loaded last, and when to look again.
#[derive(Debug)]
pub struct AutoReload {
    path: PathBuf,
    interval_ms: u64,
    due: Option<Tick>,
    loaded: u64,
}

impl AutoReload {
    /// Looks at the file at `path` every `interval_ms`. It is about to be loaded the first time.
    #[must_use]
    pub fn new(path: PathBuf, interval_ms: u64) -> AutoReload {
        let loaded = fingerprint(&path);
        AutoReload { path, interval_ms, due: None, loaded }
    }

    /// What the files are like: to be taken before they are loaded, and told to
    /// [`AutoReload::loaded`] when they hold.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.path)
    }

    /// Files like this are in force.
    pub fn loaded(&mut self, fingerprint: u64) {
        self.loaded = fingerprint;
    }

    /// Whether it is time to look and the files are not those that were loaded. While they are
    /// refused that is said each time, as upstream does.
    pub fn is_wanted(&mut self, now: Tick) -> bool {
        let due = *self.due.get_or_insert(now.after_ms(self.interval_ms));
        if now < due {
            return false;
        }
        self.due = Some(now.after_ms(self.interval_ms));
        fingerprint(&self.path) != self.loaded
    }
}

/// Changes when the file, the list of the files that it names or one of them does.
fn fingerprint(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let text = add(path, &mut hasher);
    if let Ok(root) = parse(&text) {
        let directory = path.parent().unwrap_or(Path::new("."));
        for glob in globs(&root) {
            for file in files(&directory.join(glob), FILES_MAX).unwrap_or_default() {
                hasher.write(file.as_os_str().as_encoded_bytes());
                add(&file, &mut hasher);
            }
        }
    }
    hasher.finish()
}

/// Adds a file, or why it cannot be read, and gives its text.
fn add(path: &Path, hasher: &mut DefaultHasher) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
    text
}

fn globs(root: &Node) -> Vec<&str> {
    let Kind::Map(entries) = &root.kind else { return Vec::new() };
    let named = entries
        .iter()
        .filter(|(key, _)| scalar_text(key).is_some_and(|name| FILE_FIELDS.contains(&name)));
    let mut globs = Vec::new();
    for (_, value) in named {
        if let Kind::List(items) = &value.kind {
            globs.extend(items.iter().filter_map(scalar_text));
        }
    }
    globs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_file_is_noticed_when_it_is_time() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("p.yml");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("write");
        };
        write("p.yml", "scrape_config_files: [jobs/*.yml]\n");
        let mut auto = AutoReload::new(path, 1_000);
        let mut second = 0;
        let mut is_wanted = |auto: &mut AutoReload| {
            second += 1;
            auto.is_wanted(Tick::default().after_ms(1_000 * second))
        };
        assert!(!is_wanted(&mut auto) && !is_wanted(&mut auto));
        std::fs::create_dir(directory.path().join("jobs")).expect("make");
        write("jobs/a.yml", "");
        assert!(is_wanted(&mut auto) && is_wanted(&mut auto));
        let seen = auto.fingerprint();
        auto.loaded(seen);
        assert!(!is_wanted(&mut auto));
        write("jobs/a.yml", "scrape_configs: []");
        assert!(is_wanted(&mut auto));
        write("jobs/a.yml", "");
        assert!(!is_wanted(&mut auto));
        write("p.yml", "scrape_config_files: [");
        assert!(is_wanted(&mut auto));
    }
}
