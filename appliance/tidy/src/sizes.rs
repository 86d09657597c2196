//! Sizes: the walls that files, functions and lines may not pass.

use crate::syntax::functions;
use crate::tree::{Finding, Tree};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Files of at most 800 lines, functions of at most 70, lines of at most 100 columns.
#[must_use]
pub fn nothing_passes_the_walls(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust_files() {
        let lines = text.lines().count();
        if FILE_LINES_MAX < lines {
            let text = format!("{lines} lines, the wall is {FILE_LINES_MAX}");
            findings.push(Finding::new(path, 0, text));
        }
        for (at, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if COLUMNS_MAX < columns {
                let text = format!("{columns} columns, the wall is {COLUMNS_MAX}");
                findings.push(Finding::new(path, at + 1, text));
            }
        }
        let Ok(file) = syn::parse_file(text) else { continue };
        for function in functions(&file) {
            if FUNCTION_LINES_MAX < function.lines {
                let (name, lines) = (&function.name, function.lines);
                let text = format!("fn {name} has {lines} lines, the wall is {FUNCTION_LINES_MAX}");
                findings.push(Finding::new(path, function.line, text));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = nothing_passes_the_walls(&Tree::of(&[("a.rs", text)]));
        let texts: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(texts.join("; "), expected);
    }

    #[test]
    fn what_passes_a_wall_is_found() {
        check(&"\n".repeat(800), "");
        check(&"\n".repeat(801), "a.rs:1: 801 lines, the wall is 800");
        check(&format!("//{}", "é".repeat(98)), "");
        check(&format!("//{}", "é".repeat(99)), "a.rs:1: 101 columns, the wall is 100");
        check(&format!("fn f() {{{}}}", "\n".repeat(69)), "");
        let long = format!("mod m {{ impl X {{\nfn f() {{{}}} }} }}", "\n".repeat(70));
        check(&long, "a.rs:2: fn f has 71 lines, the wall is 70");
    }
}
