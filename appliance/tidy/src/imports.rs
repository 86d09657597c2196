//! Imports: modules import only what stands above them, from where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;
use syn::{Item, ItemMod, ItemUse, UseTree, Visibility};

use crate::manifests::{Crate, crates};
use crate::syntax::{attributes, is_test, line_of};
use crate::tree::{Finding, Tree};

/// Modules declared in each module of a crate, in order; the root is the empty path.
type Declared = BTreeMap<Vec<String>, Vec<String>>;

/// A module imports only modules declared above it, never from its parent's file, and from other
/// crates only by the module that defines the item.
#[must_use]
pub fn imports_point_up(tree: &Tree) -> Vec<Finding> {
    let crates = crates(tree);
    let mut findings = Vec::new();
    let declared: BTreeMap<String, Declared> =
        crates.iter().map(|own| (own.name.clone(), declared_in(tree, own))).collect();
    for own in &crates {
        let modules = &declared[&own.name];
        let mut uses = Uses::new();
        for (path, text) in source_files(tree, own) {
            let module = module_of(own, path);
            let known = module.is_empty() || modules.contains_key(&module);
            let Ok(file) = syn::parse_file(text) else {
                findings.push(Finding::new(path, 0, "does not parse"));
                continue;
            };
            // A file that is declared for tests only may look everywhere, as a test module may.
            if !known {
                continue;
            }
            let uses = &mut uses;
            let findings = &mut findings;
            let mut reader = Reader { path, module, modules, declared: &declared, uses, findings };
            reader.visit_file(&file);
        }
        findings.extend(wrong_orders(own, modules, &uses));
    }
    findings
}

/// Which module of a parent uses which of its siblings: parent, user, used.
type Uses = BTreeSet<(Vec<String>, String, String)>;

/// For each parent whose modules use what is declared below them: the order that would do.
fn wrong_orders(own: &Crate, modules: &Declared, uses: &Uses) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (parent, declared) in modules {
        let position = |name: &String| declared.iter().position(|module| module == name);
        let mut own_uses = uses.iter().filter(|(of, _, _)| of == parent);
        if own_uses.all(|(_, user, used)| position(used) < position(user)) {
            continue;
        }
        let mut left = declared.clone();
        let mut order: Vec<String> = Vec::new();
        while let Some(next) = left.iter().position(|user| {
            let needs =
                |used: &String| uses.contains(&(parent.clone(), user.clone(), used.clone()));
            !left.iter().any(needs)
        }) {
            order.push(left.remove(next));
        }
        let text = if left.is_empty() {
            format!("declare the modules in this order: {}", order.join(", "))
        } else {
            format!("these modules use each other in a circle: {}", left.join(", "))
        };
        let path = [&[own.directory.clone(), "src".to_owned()], parent.as_slice()].concat();
        findings.push(Finding::new(&path.join("/"), 0, text));
    }
    findings
}

/// Nothing is exported from a module that does not define it.
#[must_use]
pub fn nothing_is_reexported(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust_files() {
        let Ok(file) = syn::parse_file(text) else { continue };
        for item in &file.items {
            if let Item::Use(import) = item
                && !matches!(import.vis, Visibility::Inherited)
            {
                findings.push(Finding::new(path, line_of(import), "re-export: `pub use`"));
            }
        }
    }
    findings
}

fn source_files<'a>(tree: &'a Tree, own: &Crate) -> impl Iterator<Item = (&'a str, &'a str)> {
    let source = format!("{}/src/", own.directory);
    tree.rust_files().filter(move |(path, _)| path.starts_with(&source))
}

/// Module path of a file: `src/a/b.rs` is `a`, `b`; `lib.rs` and `main.rs` are the root.
fn module_of(own: &Crate, path: &str) -> Vec<String> {
    let source = format!("{}/src/", own.directory);
    let inside = path.strip_prefix(&source).unwrap_or(path).trim_end_matches(".rs");
    match inside {
        "lib" | "main" => Vec::new(),
        inside => inside.split('/').map(str::to_owned).collect(),
    }
}

fn declared_in(tree: &Tree, own: &Crate) -> Declared {
    let mut declared = Declared::new();
    for (path, text) in source_files(tree, own) {
        let module = module_of(own, path);
        let Ok(file) = syn::parse_file(text) else { continue };
        for item in &file.items {
            let Item::Mod(child) = item else { continue };
            if child.content.is_none() && !is_test(&child.attrs) {
                let name = child.ident.to_string();
                let mut inner = module.clone();
                inner.push(name.clone());
                declared.entry(inner).or_default();
                declared.entry(module.clone()).or_default().push(name);
            }
        }
    }
    declared
}

struct Reader<'a> {
    path: &'a str,
    module: Vec<String>,
    modules: &'a Declared,
    declared: &'a BTreeMap<String, Declared>,
    uses: &'a mut Uses,
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    /// Judges a path as written; `glob` when everything of it is imported.
    fn judge(&mut self, segments: &[String], glob: bool, line: usize) {
        let Some(first) = segments.first() else { return };
        if let Some(absolute) = self.absolute(segments) {
            if let Some(wrong) = self.wrong(&absolute, glob) {
                self.findings.push(Finding::new(self.path, line, wrong));
            }
        } else if let (Some(other), Some(second)) = (self.declared.get(first), segments.get(1)) {
            let root = other.get(&Vec::new()).map_or(&[][..], Vec::as_slice);
            // Macros and the like are written in lower case; types at the root are re-exports.
            let defined = root.contains(second) || !second.starts_with(char::is_uppercase);
            if !defined && !self.modules.contains_key(&vec![first.clone()]) {
                let text = format!("{first}::{second} is imported by its crate's root");
                self.findings.push(Finding::new(self.path, line, text));
            }
        }
    }

    /// The path from the crate's root, if it begins with `crate`, `super` or `self`.
    fn absolute(&self, segments: &[String]) -> Option<Vec<String>> {
        let (mut base, mut rest) = match segments[0].as_str() {
            "crate" => (Vec::new(), &segments[1..]),
            "self" => (self.module.clone(), &segments[1..]),
            "super" => (self.module.clone(), segments),
            _ => return None,
        };
        while let Some((first, after)) = rest.split_first().filter(|(first, _)| *first == "super") {
            debug_assert_eq!(first, "super");
            base.pop();
            rest = after;
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn wrong(&mut self, target: &[String], glob: bool) -> Option<String> {
        let shared = self.module.iter().zip(target).take_while(|(own, other)| own == other).count();
        if shared == self.module.len() {
            return None;
        }
        let name = target.join("::");
        let siblings = self.modules.get(&self.module[..shared]).map_or(&[][..], Vec::as_slice);
        let position = |module: &String| siblings.iter().position(|sibling| sibling == module);
        let Some(wanted) = target.get(shared) else {
            let text = || format!("imports everything of its parent, `{name}`");
            return glob.then(text);
        };
        match (position(wanted), position(&self.module[shared])) {
            (Some(_), Some(_)) => {
                let (user, used) = (self.module[shared].clone(), wanted.clone());
                self.uses.insert((self.module[..shared].to_vec(), user, used));
                None
            }
            (Some(_), None) => None,
            (None, _) => Some(format!("imports `{name}` from its parent's file")),
        }
    }

    fn judge_tree(&mut self, tree: &UseTree, before: &[String], line: usize) {
        let mut segments = before.to_vec();
        match tree {
            UseTree::Path(path) => {
                segments.push(path.ident.to_string());
                self.judge_tree(&path.tree, &segments, line);
            }
            UseTree::Name(name) if name.ident == "self" => self.judge(&segments, false, line),
            UseTree::Name(name) => {
                segments.push(name.ident.to_string());
                self.judge(&segments, false, line);
            }
            UseTree::Rename(rename) => {
                segments.push(rename.ident.to_string());
                self.judge(&segments, false, line);
            }
            UseTree::Glob(_) => self.judge(&segments, true, line),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.judge_tree(tree, &segments, line);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.content.is_some() {
            self.module.push(module.ident.to_string());
            syn::visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        self.judge_tree(&import.tree, &[], line_of(import));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.judge(&segments, false, line_of(path));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let members = "members = [\n\"appliance/a\",\n\"appliance/b\",\n]";
        let mut files = vec![
            ("Cargo.toml", members),
            ("appliance/a/src/lib.rs", "pub mod one;\npub mod two;\n#[cfg(test)]\nmod probes;"),
            ("appliance/a/src/one.rs", ""),
            ("appliance/a/src/two.rs", "mod first; mod second; pub struct Two;"),
            ("appliance/a/src/two/first.rs", ""),
            ("appliance/b/src/lib.rs", "pub mod three;"),
        ];
        files.retain(|(other, _)| *other != path);
        files.push((path, text));
        let found = imports_point_up(&Tree::of(&files));
        let texts: Vec<&str> = found.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(texts, expected, "{text}");
    }

    #[test]
    fn imports_of_what_stands_below_are_found() {
        let one = "appliance/a/src/one.rs";
        let swapped = "declare the modules in this order: two, one";
        check(one, "use crate::two::Two;", &[swapped]);
        check(one, "fn f() { crate::two::g() }", &[swapped]);
        check(one, "use super::Root;", &["imports `Root` from its parent's file"]);
        check(one, "#[cfg(test)] mod tests { use super::*; use crate::two::Two; }", &[]);
        let second = "appliance/a/src/two/second.rs";
        check(second, "use crate::one::X; use super::first::Y;", &[]);
        check(second, "use super::Two;", &["imports `two::Two` from its parent's file"]);
        check(second, "use super::*;", &["imports everything of its parent, `two`"]);
        check("appliance/a/src/probes.rs", "use crate::two::Two;", &[]);
        let first = "appliance/a/src/two/first.rs";
        let below = "declare the modules in this order: second, first";
        check(first, "use super::second::Y;", &[below]);
    }

    #[test]
    fn a_circle_of_modules_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", "members = [\n\"a\",\n]"),
            ("a/src/lib.rs", "mod one; mod two; mod three;"),
            ("a/src/one.rs", "use crate::two::X;"),
            ("a/src/two.rs", "use crate::one::Y;"),
            ("a/src/three.rs", "use crate::one::Y;"),
        ]);
        let found: Vec<String> = imports_point_up(&tree).iter().map(Finding::to_string).collect();
        let circle = "a/src:1: these modules use each other in a circle: one, two, three";
        assert_eq!(found, [circle]);
    }

    #[test]
    fn imports_by_a_root_are_found() {
        let three = "appliance/b/src/three.rs";
        check(three, "use a::one::X; use a::one;", &[]);
        check(three, "use a::Two;", &["a::Two is imported by its crate's root"]);
    }

    #[test]
    fn reexports_are_found() {
        let tree = Tree::of(&[("a.rs", "use b::C;\npub use b::D;\npub(crate) use b::E;")]);
        let lines: Vec<usize> = nothing_is_reexported(&tree).iter().map(|f| f.line).collect();
        assert_eq!(lines, [2, 3]);
    }
}
