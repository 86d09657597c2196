//! Words: names that say nothing, marks of unfinished work, and places of one machine.

use syn::visit::Visit;
use syn::{Ident, Item, Signature};

use crate::syntax::line_of;
use crate::tree::{Finding, Tree};

/// Names that say nothing, whole or as a part between underscores.
const EMPTY_PARTS: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "manager", "impls", "misc", "stuff"];
/// Names that say nothing when they stand alone.
const EMPTY_WHOLE: [&str; 2] = ["data", "info"];
/// Verbs that need an object.
const BARE_VERBS: [&str; 2] = ["process", "handle"];
/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 5] = ["/work/", "/tmp/", "/home/", "/root/", "/Users/"];

/// Files, modules, types and functions have names that say what they are.
#[must_use]
pub fn names_say_something(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.paths() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
        if let Some(reason) = refused(stem, false) {
            findings.push(Finding::new(path, 0, reason));
        }
        if name == "mod.rs" {
            findings.push(Finding::new(
                path,
                0,
                "mod.rs: a module's file stands beside its folder",
            ));
        }
    }
    for (path, text) in tree.rust_files() {
        let Ok(file) = syn::parse_file(text) else { continue };
        let mut names = Names { path, findings: Vec::new() };
        names.visit_file(&file);
        findings.append(&mut names.findings);
    }
    findings
}

fn refused(name: &str, function: bool) -> Option<String> {
    let snake = snake_case(name);
    let mut parts = snake.split(['_', '-']);
    if let Some(part) = parts.clone().find(|part| EMPTY_PARTS.contains(part)) {
        return Some(format!("`{name}`: `{part}` says nothing"));
    }
    if EMPTY_WHOLE.contains(&snake.as_str()) {
        return Some(format!("`{name}` alone says nothing"));
    }
    if function && BARE_VERBS.contains(&snake.as_str()) {
        return Some(format!("`{name}` has no object"));
    }
    let version = parts.next_back().and_then(|part| part.strip_prefix('v'));
    let numbered = version.is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 2 && rest.bytes().all(|byte| byte.is_ascii_digit())
    });
    numbered.then(|| format!("`{name}` ends in a version"))
}

/// `FrameHeaderV2` as `frame_header_v2`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

struct Names<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl Names<'_> {
    fn judge(&mut self, name: &Ident, function: bool) {
        if let Some(reason) = refused(&name.to_string(), function) {
            self.findings.push(Finding::new(self.path, line_of(name), reason));
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Enum(item) => self.judge(&item.ident, false),
            Item::Mod(item) => self.judge(&item.ident, false),
            Item::Struct(item) => self.judge(&item.ident, false),
            Item::Trait(item) => self.judge(&item.ident, false),
            Item::Type(item) => self.judge(&item.ident, false),
            _ => {}
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast Signature) {
        self.judge(&signature.ident, true);
    }
}

/// No unfinished marks, ignored tests, places of one machine, or words about how this was made.
#[must_use]
pub fn texts_are_finished(tree: &Tree) -> Vec<Finding> {
    // Put together here, so that this file passes its own check.
    let unfinished = ["FIX", "ME"].concat();
    let later = ["TO", "DO"].concat();
    let ignored = ["#[ign", "ore"].concat();
    let own = "tidy/src/words.rs";
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !path.ends_with(own)) {
        for (at, line) in text.lines().enumerate() {
            let mut found = |text: &str| findings.push(Finding::new(path, at + 1, text));
            // The page that states the rule has to name what it refuses.
            let rule = path == "STYLE.md";
            if line.contains(&unfinished) && !rule {
                found(&format!("{unfinished} may not land"));
            }
            if line.contains(&later) && !line.contains(&format!("{later}(#")) && !rule {
                found(&format!("{later} without an issue: `{later}(#12)`"));
            }
            if path.ends_with(".rs") && line.trim_start().starts_with(&ignored) {
                found("an ignored test: assert today's answer and say why");
            }
            if let Some(place) = MACHINE_PATHS.iter().find(|place| line.contains(*place)) {
                found(&format!("{place} is a place of one machine"));
            }
            if is_about_making(path, line) {
                found("a word about how this was made, not what it is");
            }
        }
    }
    findings
}

/// Whether a line speaks of the sessions or planning files that the work was done in.
fn is_about_making(path: &str, line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let session = words.into_iter().any(|word| word == "session" || word == "sessions");
    let test_files = path.starts_with("appliance/conformance/") || path == ".ci/run";
    session || lower.contains("interfaces.md") || !test_files && lower.contains("shared/testdata")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_name(text: &str, expected: &[&str]) {
        let found = names_say_something(&Tree::of(&[("a.rs", text)]));
        let texts: Vec<&str> = found.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(texts, expected, "{text}");
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        check_name("fn process_row() {} struct Handle; mod time_data {}", &[]);
        check_name("struct PoolManager;", &["`PoolManager`: `manager` says nothing"]);
        check_name("fn string_util() {}", &["`string_util`: `util` says nothing"]);
        check_name("struct Info;", &["`Info` alone says nothing"]);
        check_name("impl X { fn handle(&self) {} }", &["`handle` has no object"]);
        check_name("struct FrameV2;", &["`FrameV2` ends in a version"]);
        check_name("fn read_v4() {}", &["`read_v4` ends in a version"]);
        let tree = Tree::of(&[("a/common/b.rs", ""), ("a/c/mod.rs", "")]);
        let found = names_say_something(&tree);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].path.as_str(), found[1].path.as_str()), ("a/c/mod.rs", "a/common"));
    }

    #[test]
    fn marks_and_places_are_found() {
        let later = ["TO", "DO"].concat();
        let check = |text: &str, count: usize| {
            let found = texts_are_finished(&Tree::of(&[("a.rs", text)]));
            assert_eq!(found.len(), count, "{text}");
        };
        check("// a plain line, /var/lib/cresset, a sessional one", 0);
        check(&format!("// {later}(#12): later"), 0);
        check(&format!("// {later}: later"), 1);
        check(&["// FIX", "ME: later"].concat(), 1);
        check("    #[ignore = \"slow\"]", 1);
        check("let path = \"/home/x\";", 1);
        check("// in this session", 1);
    }
}
