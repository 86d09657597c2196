//! Tree: the project's text files by path, from the disk or made up by a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

/// Directories that hold nothing we wrote.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "dist"];
/// Kinds of files whose text is checked.
const TEXT: [&str; 9] = ["rs", "toml", "md", "sh", "service", "conf", "yaml", "yml", "txt"];

/// Text files by path; every path is relative to the root and written with `/`.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    texts: BTreeMap<String, String>,
    /// Files and directories of any kind.
    paths: BTreeSet<String>,
}

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, relative to the root.
    pub path: String,
    /// Line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl Finding {
    /// Finding at `line` of `path`.
    #[must_use]
    pub fn new(path: &str, line: usize, text: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line.max(1), self.text)
    }
}

impl Tree {
    /// Reads the tree under `root`.
    ///
    /// # Errors
    /// A directory or file could not be read.
    pub fn read(root: &Path) -> io::Result<Tree> {
        let mut tree = Tree::default();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let hidden = name.starts_with('.') && name != ".ci" && name != ".gitignore";
                if hidden || SKIPPED.contains(&name.as_str()) {
                    continue;
                }
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let relative = path.strip_prefix(root).unwrap_or(&path);
                    let relative = relative.to_string_lossy().replace('\\', "/");
                    let text = is_text(&relative).then(|| std::fs::read_to_string(&path));
                    tree.add(&relative, text.transpose()?);
                }
            }
        }
        Ok(tree)
    }

    /// A tree made up of `files`, each a path and its text.
    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.add(path, Some((*text).to_owned()));
        }
        tree
    }

    fn add(&mut self, path: &str, text: Option<String>) {
        for (at, _) in path.match_indices('/') {
            self.paths.insert(path[..at].to_owned());
        }
        self.paths.insert(path.to_owned());
        if let Some(text) = text {
            self.texts.insert(path.to_owned(), text);
        }
    }

    /// Text of the file `path`.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Files with their texts, by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Rust files with their texts, by path.
    pub fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// Whether there is a file or directory `path`.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        self.paths.contains(path.trim_end_matches('/'))
    }

    /// Every file and directory.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }
}

fn is_text(path: &str) -> bool {
    let golden = path.contains("/golden/");
    let kind = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    !golden && (path == ".ci/run" || kind.is_some_and(|(_, kind)| TEXT.contains(&kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_files_and_directories() {
        let tree = Tree::of(&[("a/b/c.rs", "x"), ("README.md", "y")]);
        assert!(tree.exists("a/b") && tree.exists("a/b/") && tree.exists("a/b/c.rs"));
        assert!(!tree.exists("a/c") && tree.text("a/b/c.rs") == Some("x"));
        assert_eq!(tree.rust_files().count(), 1);
    }

    #[test]
    fn a_finding_names_its_place() {
        assert_eq!(Finding::new("a.rs", 3, "b").to_string(), "a.rs:3: b");
    }
}
