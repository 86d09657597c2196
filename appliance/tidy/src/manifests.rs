//! Manifests: the crates in reading order, and who may depend on whom.

use crate::tree::{Finding, Tree};

const ROOT: &str = "Cargo.toml";

/// A crate of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: String,
}

/// The crates in the order of the root manifest.
#[must_use]
pub fn crates(tree: &Tree) -> Vec<Crate> {
    let root = tree.text(ROOT).unwrap_or_default();
    let members = root.split_once("members = [").map_or("", |(_, rest)| rest);
    let members = members.split_once(']').map_or("", |(members, _)| members);
    let directories = members.split(',').filter_map(|line| line.trim().strip_prefix('"'));
    let directories = directories.map(|line| line.trim_end_matches('"').to_owned());
    directories
        .map(|directory| {
            let name = directory.rsplit('/').next().unwrap_or_default().to_owned();
            Crate { name, directory }
        })
        .collect()
}

/// Crates depend only on crates listed above them, and take every version from the root manifest.
#[must_use]
pub fn dependencies_point_up(tree: &Tree) -> Vec<Finding> {
    let crates = crates(tree);
    let mut findings = Vec::new();
    for (at, own) in crates.iter().enumerate() {
        let path = format!("{}/Cargo.toml", own.directory);
        let Some(manifest) = tree.text(&path) else {
            findings.push(Finding::new(ROOT, 0, format!("member {} is missing", own.directory)));
            continue;
        };
        for (line, name, rest) in dependencies(manifest) {
            if !rest.contains("workspace = true") {
                let text = format!("{name} does not take its version from the root manifest");
                findings.push(Finding::new(&path, line, text));
            }
            let position = crates.iter().position(|other| other.name == name);
            if position.is_some_and(|other| at <= other) {
                let text = format!("{} depends on {name}, which stands below it", own.name);
                findings.push(Finding::new(&path, line, text));
            }
        }
    }
    findings
}

/// Every external crate of the root manifest says after `#` what it is for.
#[must_use]
pub fn external_crates_have_reasons(tree: &Tree) -> Vec<Finding> {
    let root = tree.text(ROOT).unwrap_or_default();
    dependencies(root)
        .filter(|(_, _, rest)| !rest.contains("path = ") && !rest.contains('#'))
        .map(|(line, name, _)| Finding::new(ROOT, line, format!("{name} has no reason")))
        .collect()
}

/// Line, name and the rest of the line of every dependency.
fn dependencies(manifest: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut inside = false;
    manifest.lines().enumerate().filter_map(move |(at, line)| {
        if line.starts_with('[') {
            inside = line.contains("dependencies]");
            return None;
        }
        let (name, rest) = line.split_once(['.', ' ', '='])?;
        let named = !name.is_empty() && !name.starts_with('#');
        // `name.workspace = true` loses its point when it is split.
        (inside && named).then_some((at + 1, name, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: &str =
        "[workspace]\nmembers = [\n    \"appliance/a\",\n    \"appliance/b\",\n]\n";

    fn rendered(findings: &[Finding]) -> String {
        findings.iter().map(|finding| format!("{finding}\n")).collect()
    }

    #[test]
    fn a_dependency_on_a_crate_below_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", MEMBERS),
            ("appliance/a/Cargo.toml", "[dependencies]\nb.workspace = true\n"),
            ("appliance/b/Cargo.toml", "[dev-dependencies]\na.workspace = true\nx = \"1\"\n"),
        ]);
        let a = "appliance/a/Cargo.toml:2: a depends on b, which stands below it\n";
        let b = "appliance/b/Cargo.toml:3: x does not take its version from the root manifest\n";
        assert_eq!(rendered(&dependencies_point_up(&tree)), [a, b].concat());
    }

    #[test]
    fn an_external_crate_without_reason_is_found() {
        let root = "[workspace.dependencies]\na = { path = \"a\" }\nb = \"1\"\nc = \"1\" # why\n";
        let tree = Tree::of(&[("Cargo.toml", root)]);
        let found = rendered(&external_crates_have_reasons(&tree));
        assert_eq!(found, "Cargo.toml:3: b has no reason\n");
    }
}
