//! The project's own tree passes every check; all findings are printed at once.

use std::path::Path;

use tidy::checks;
use tidy::tree::Tree;

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tree = Tree::read(&root).expect("the workspace can be read");
    assert!(tree.exists("Cargo.toml") && tree.rust_files().count() > 50, "the whole workspace");
    let findings = checks::findings(&tree);
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
}
