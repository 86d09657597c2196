//! Invariants: each stands in a header, is asserted under its id, and has a test of that name.

use std::collections::BTreeMap;

use crate::headers::header;
use crate::manifests::crates;
use crate::syntax::macro_texts;
use crate::tree::{Finding, Tree};

/// Each id of a header, `- W1: …`, is unique in its crate, asserted and tested there; each assert
/// that names an id has its header.
#[must_use]
pub fn invariants_are_asserted_and_tested(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for own in crates(tree) {
        let inside = format!("{}/", own.directory);
        let files: Vec<(&str, &str)> =
            tree.rust_files().filter(|(path, _)| path.starts_with(&inside)).collect();
        let mut asserted: BTreeMap<String, (&str, usize)> = BTreeMap::new();
        for (path, text) in &files {
            let Ok(file) = syn::parse_file(text) else { continue };
            for text in macro_texts(&file) {
                let assertion = text.macro_name.contains("assert");
                if let Some(id) = id_of(&text.text).filter(|_| assertion) {
                    asserted.entry(id.to_owned()).or_insert((path, text.line));
                }
            }
        }
        let mut stated: BTreeMap<String, (&str, usize)> = BTreeMap::new();
        for (path, text) in &files {
            for (at, line) in header(text).enumerate() {
                let Some(id) = line.strip_prefix("- ").and_then(id_of) else { continue };
                if let Some((first, _)) = stated.insert(id.to_owned(), (path, at + 1)) {
                    let text = format!("{id} is stated twice, in {first} too");
                    findings.push(Finding::new(path, at + 1, text));
                }
            }
        }
        for (id, (path, line)) in &stated {
            if !asserted.contains_key(id) {
                findings.push(Finding::new(path, *line, format!("{id} is asserted nowhere")));
            }
            let test = format!("fn {}_", id.to_lowercase());
            if !files.iter().any(|(_, text)| text.contains(&test)) {
                findings.push(Finding::new(path, *line, format!("{id} has no test `{test}…`")));
            }
        }
        for (id, (path, line)) in &asserted {
            if !stated.contains_key(id) {
                findings.push(Finding::new(path, *line, format!("{id} stands in no header")));
            }
        }
    }
    findings
}

/// The id at the start of `W1: text`: capital letters, then digits.
fn id_of(text: &str) -> Option<&str> {
    let (id, _) = text.split_once(": ").or_else(|| text.split_once(':'))?;
    let letters = id.trim_end_matches(|c: char| c.is_ascii_digit());
    let capital = !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_uppercase());
    (capital && letters.len() < id.len()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let members = ("Cargo.toml", "members = [\n\"appliance/a\",\n]");
        let tree = Tree::of(&[members, ("appliance/a/src/lib.rs", text)]);
        let found = invariants_are_asserted_and_tested(&tree);
        let texts: Vec<&str> = found.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(texts, expected, "{text}");
    }

    #[test]
    fn an_invariant_without_assert_test_or_header_is_found() {
        let header = "//! A.\n//! - W1: a holds.\n";
        let assertion = "fn f() { assert!(a, \"W1: a\"); }\n";
        let test = "#[cfg(test)] mod t { #[test] fn w1_holds() { assert!(x, \"W1: x\"); } }\n";
        check(&[header, assertion, test].concat(), &[]);
        check(&[header, test].concat(), &["W1 is asserted nowhere"]);
        check(&[header, assertion].concat(), &["W1 has no test `fn w1_…`"]);
        check(assertion, &["W1 stands in no header"]);
        check("fn f() { panic!(\"HTTP2: x\"); assert!(a, \"got: {a}\"); }", &[]);
    }

    #[test]
    fn an_id_stated_twice_is_found() {
        let text = "//! - W1: a.\n//! - W1: b.\nfn w1_a() { assert!(x, \"W1: x\") }";
        check(text, &["W1 is stated twice, in appliance/a/src/lib.rs too"]);
    }
}
