//! Headers: every Rust file opens by saying what it is, in one form.

use crate::tree::{Finding, Tree};

/// Labels of a header's lines, in the order in which they stand.
const LABELS: [&str; 5] = ["Path:", "Owns:", "Never:", "Format:", "Invariants"];

/// Lines of the `//!` block at the head of a file, without the mark.
pub fn header(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim)
}

/// Every file has a header: a sentence or two, then the labelled lines in their order.
#[must_use]
pub fn files_have_headers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust_files() {
        let lines: Vec<&str> = header(text).collect();
        let paragraph: Vec<&str> =
            lines.iter().copied().take_while(|line| !line.is_empty()).collect();
        let ends = paragraph.last().is_some_and(|last| last.ends_with(['.', ':', ')']));
        if paragraph.concat().len() < "A module.".len() || !ends {
            findings.push(Finding::new(path, 1, "no module header: `//!` and a sentence"));
            continue;
        }
        let mut highest = 0;
        for (at, line) in lines.iter().enumerate() {
            let label = LABELS.iter().position(|label| match label.strip_suffix(':') {
                Some(_) => line.starts_with(label),
                None => line == label,
            });
            if let Some(label) = label {
                if label < highest {
                    let text = format!("{} stands above {}", LABELS[highest], LABELS[label]);
                    findings.push(Finding::new(path, at + 1, text));
                }
                highest = highest.max(label);
            }
        }
    }
    findings
}

/// Crates forbid unsafe code at their root, but for the one that speaks to the kernel.
#[must_use]
pub fn unsafe_is_forbidden(tree: &Tree) -> Vec<Finding> {
    let is_root = |path: &str| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    let roots = tree.rust_files().filter(|(path, _)| is_root(path));
    let bare = roots.filter(|(path, text)| {
        let machine = path.contains("/machine/");
        let attribute = if machine { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        !text.contains(attribute)
    });
    bare.map(|(path, _)| Finding::new(path, 1, "unsafe code is not forbidden here")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = files_have_headers(&Tree::of(&[("a.rs", text)]));
        let texts: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(texts.join("; "), expected, "{text}");
    }

    #[test]
    fn missing_and_disordered_headers_are_found() {
        check("//! Bitmap: one bit a column.\n//!\n//! Path: a\n//! Never: b\n", "");
        check("use a::b;", "a.rs:1: no module header: `//!` and a sentence");
        check("//! x\n", "a.rs:1: no module header: `//!` and a sentence");
        check("//! A bitmap.\n//!\n//! Never: a\n//! Path: b", "a.rs:4: Never: stands above Path:");
    }

    #[test]
    fn a_root_that_allows_unsafe_is_found() {
        let tree = Tree::of(&[
            ("appliance/a/src/lib.rs", "#![forbid(unsafe_code)]"),
            ("appliance/b/src/main.rs", ""),
            ("appliance/machine/src/lib.rs", "#![deny(unsafe_code)]"),
        ]);
        let found = unsafe_is_forbidden(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "appliance/b/src/main.rs");
    }
}
