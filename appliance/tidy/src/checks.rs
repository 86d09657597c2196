//! Checks: all of them, by name.

use crate::tree::{Finding, Tree};
use crate::{headers, imports, invariants, manifests, map, metrics, pages, sizes, words};

/// A check: what it holds the tree to.
pub type Check = fn(&Tree) -> Vec<Finding>;

/// Every check with its name, in the order of STYLE.md.
pub const CHECKS: [(&str, Check); 16] = [
    ("dependencies point up", manifests::dependencies_point_up),
    ("external crates have reasons", manifests::external_crates_have_reasons),
    ("imports point up", imports::imports_point_up),
    ("nothing is re-exported", imports::nothing_is_reexported),
    ("nothing passes the walls", sizes::nothing_passes_the_walls),
    ("files have headers", headers::files_have_headers),
    ("unsafe is forbidden", headers::unsafe_is_forbidden),
    ("invariants are asserted and tested", invariants::invariants_are_asserted_and_tested),
    ("the map names everything", map::the_map_names_everything),
    ("named paths exist", map::named_paths_exist),
    ("names say something", words::names_say_something),
    ("texts are finished", words::texts_are_finished),
    ("metrics are counted", metrics::metrics_are_counted),
    ("metric names have their form", metrics::metric_names_have_their_form),
    ("options are documented", pages::options_are_documented),
    ("formats have golden files", pages::formats_have_golden_files),
];

/// Findings of every check, each with the name of its check before it.
#[must_use]
pub fn findings(tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, check) in CHECKS {
        let mut found = check(tree);
        found.sort_unstable();
        lines.extend(found.iter().map(|finding| format!("{finding} [{name}]")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_name_their_check() {
        let source = "//! A file of a test.\npub use b::C;";
        let tree = Tree::of(&[("ARCHITECTURE.md", ""), ("a.rs", source)]);
        assert_eq!(findings(&tree), ["a.rs:2: re-export: `pub use` [nothing is re-exported]"]);
    }
}
