//! Map: ARCHITECTURE.md names every crate and module, and no path that is not there.

use syn::Item;

use crate::manifests::crates;
use crate::syntax::is_test;
use crate::tree::{Finding, Tree};

const MAP: &str = "ARCHITECTURE.md";
/// Documents whose paths must exist.
const DOCUMENTS: [&str; 4] = ["ARCHITECTURE.md", "README.md", "STYLE.md", "CHANGELOG.md"];

/// Every crate has a section of ARCHITECTURE.md, in which each of its modules is named.
#[must_use]
pub fn the_map_names_everything(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.text(MAP) else {
        return vec![Finding::new(MAP, 0, "is missing")];
    };
    let mut findings = Vec::new();
    for own in crates(tree) {
        let heading = format!("## {}\n", own.name);
        let deeper = format!("### {}\n", own.name);
        let section = map.split_once(&deeper).or_else(|| map.split_once(&heading));
        let Some((before, section)) = section else {
            findings.push(Finding::new(MAP, 0, format!("crate {} has no section", own.name)));
            continue;
        };
        let end = ["\n## ", "\n### "].iter().filter_map(|mark| section.find(mark)).min();
        let section = &section[..end.unwrap_or(section.len())];
        for module in modules(tree, &own.directory) {
            let named = [format!("`{module}`"), format!("`{module}.rs`"), format!("`{module}/")];
            if !named.iter().any(|name| section.contains(name)) {
                let line = before.lines().count() + 1;
                let text = format!("module `{module}` of {} is not named", own.name);
                findings.push(Finding::new(MAP, line, text));
            }
        }
    }
    findings
}

fn modules(tree: &Tree, directory: &str) -> Vec<String> {
    let roots = ["lib", "main"].map(|root| format!("{directory}/src/{root}.rs"));
    let files = roots.iter().filter_map(|path| syn::parse_file(tree.text(path)?).ok());
    let items = files.flat_map(|file| file.items);
    items
        .filter_map(|item| match item {
            Item::Mod(module) if !is_test(&module.attrs) => Some(module.ident.to_string()),
            _ => None,
        })
        .collect()
}

/// Paths in backquotes, in the documents at the root, are there.
#[must_use]
pub fn named_paths_exist(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in DOCUMENTS {
        let Some(text) = tree.text(document) else { continue };
        let mut fenced = false;
        for (at, line) in text.lines().enumerate() {
            fenced ^= line.starts_with("```");
            let quoted = line.split('`').skip(1).step_by(2).filter(|_| !fenced);
            for path in quoted.filter(|path| is_path(tree, path)) {
                if !tree.exists(path) {
                    findings.push(Finding::new(document, at + 1, format!("`{path}` is not there")));
                }
            }
        }
    }
    findings
}

/// Whether `text` is a path from the root: it begins with a directory of the root.
fn is_path(tree: &Tree, text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let first = text.split_once('/').map(|(first, _)| first);
    plain && first.is_some_and(|first| !first.is_empty() && tree.exists(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(map: &str, expected: &[&str]) {
        let tree = Tree::of(&[
            ("Cargo.toml", "members = [\n\"appliance/a\",\n]"),
            ("appliance/a/src/lib.rs", "pub mod one;\npub mod two;\n#[cfg(test)] mod t;"),
            ("appliance/a/src/one.rs", ""),
            ("ARCHITECTURE.md", map),
        ]);
        let mut found = the_map_names_everything(&tree);
        found.append(&mut named_paths_exist(&tree));
        let texts: Vec<&str> = found.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(texts, expected, "{map}");
    }

    #[test]
    fn what_the_map_leaves_out_is_found() {
        check("# M\n### a\n`one` and `two.rs`\n### b\n", &[]);
        check("# M\n", &["crate a has no section"]);
        let left_out = "module `two` of a is not named";
        check("## a\n`one`\n## b\n`two`\n", &[left_out]);
    }

    #[test]
    fn paths_that_are_not_there_are_found() {
        let map = "## a\n`one` `two` `appliance/a/src/one.rs` `rate/s` `GET /metrics`\n";
        check(map, &[]);
        let wrong = "## a\n`one` `two` `appliance/a/src/three.rs`\n";
        check(wrong, &["`appliance/a/src/three.rs` is not there"]);
    }
}
