//! Metrics: each one that is reported is counted somewhere, under a name of the right form.

use syn::visit::Visit;
use syn::{ExprMethodCall, Item, ItemMod, Lit};

use crate::syntax::{is_test, line_of};
use crate::tree::{Finding, Tree};

/// Each field of a struct in a crate's `metrics.rs` is named in it by the reporting code, and
/// somewhere else in the crate by the code that counts.
#[must_use]
pub fn metrics_are_counted(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust_files().filter(|(path, _)| path.ends_with("/src/metrics.rs")) {
        let Ok(file) = syn::parse_file(text) else { continue };
        let source = path.trim_end_matches("metrics.rs");
        let others: Vec<&str> = tree
            .rust_files()
            .filter(|(other, _)| other.starts_with(source) && *other != path)
            .map(|(_, text)| text)
            .collect();
        for item in &file.items {
            let Item::Struct(item) = item else { continue };
            let counters = item.ident.to_string();
            if !counters.ends_with("Metrics") && !counters.ends_with("Counters") {
                continue;
            }
            for field in &item.fields {
                let Some(name) = &field.ident else { continue };
                let used = format!(".{name}");
                let line = line_of(name);
                if !others.iter().any(|text| mentions(text, &used)) && !counts(text, &used) {
                    let text = format!("`{counters}::{name}` is counted nowhere");
                    findings.push(Finding::new(path, line, text));
                }
                if !mentions(text, &used) {
                    let text = format!("`{counters}::{name}` is not reported");
                    findings.push(Finding::new(path, line, text));
                }
            }
        }
    }
    findings
}

/// Whether `text` holds `used` and then the end of a name.
fn mentions(text: &str, used: &str) -> bool {
    text.match_indices(used).any(|(at, _)| ends_name(&text[at + used.len()..]))
}

/// Whether `text` adds to `used`.
fn counts(text: &str, used: &str) -> bool {
    text.match_indices(used).any(|(at, _)| {
        let after = &text[at + used.len()..];
        ends_name(after)
            && [" +=", " =", ".record", ".add", ".observe", ".entry"]
                .iter()
                .any(|add| after.starts_with(add))
    })
}

fn ends_name(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// Names given to `counter`, `gauge` and `histogram` are lower case; counters end in `_total`.
#[must_use]
pub fn metric_names_have_their_form(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust_files() {
        let Ok(file) = syn::parse_file(text) else { continue };
        let mut calls = Calls { path, findings: Vec::new() };
        calls.visit_file(&file);
        findings.append(&mut calls.findings);
    }
    findings
}

struct Calls<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Calls<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let kind = call.method.to_string();
        if let ("counter" | "gauge" | "histogram", Some(syn::Expr::Lit(literal))) =
            (kind.as_str(), call.args.first())
            && let Lit::Str(name) = &literal.lit
        {
            let name = name.value();
            let lower =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            let misplaced = (kind == "counter") != name.ends_with("_total");
            if !name.bytes().all(lower) || misplaced && kind != "histogram" {
                let text = format!("`{name}` is no name for a {kind}");
                self.findings.push(Finding::new(self.path, line_of(&call.method), text));
            }
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_that_nothing_counts_is_found() {
        let metrics = "struct Metrics { a: u64, ab: u64, c: u64 }\n\
                       fn f(m: &Metrics) { x.counter(\"a_total\", m.a); g(m.ab); }";
        let tree = Tree::of(&[
            ("appliance/x/src/metrics.rs", metrics),
            ("appliance/x/src/store.rs", "fn f() { self.metrics.a += 1; self.metrics.c += 1; }"),
        ]);
        let found = metrics_are_counted(&tree);
        let texts: Vec<&str> = found.iter().map(|finding| finding.text.as_str()).collect();
        let expected = ["`Metrics::ab` is counted nowhere", "`Metrics::c` is not reported"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_metric_name_of_the_wrong_form_is_found() {
        let text = "fn f() { x.counter(\"rows\", 1); x.gauge(\"Rows\", 1); x.gauge(\"rows\", 1);\n\
                    x.counter(\"rows_total\", 1); x.gauge(\"rows_total\", 1); x.gauge(name, 1); }";
        let found = metric_names_have_their_form(&Tree::of(&[("a.rs", text)]));
        assert_eq!(found.len(), 3);
    }
}
