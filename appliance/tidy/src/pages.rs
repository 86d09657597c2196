//! Pages: options stand in the reference page, formats have their golden bytes.

use syn::visit::Visit;
use syn::{Expr, ExprCall, ExprStruct, ItemStruct, Lit, LitStr, Member};

use crate::syntax::line_of;
use crate::tree::{Finding, Tree};

const REFERENCE: &str = "appliance/docs/operating/configuration.md";
const FORMATS: &str = "appliance/docs/format/";

/// Functions of the configuration's tables whose first argument is an option's name.
const ENTRIES: [&str; 4] = ["yes", "no", "only", "notice"];

/// Every option that the configuration knows is named in the reference page.
#[must_use]
pub fn options_are_documented(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let reference = tree.text(REFERENCE).unwrap_or_default();
    let of_config = |path: &str| path.starts_with("appliance/server/src/config");
    for (path, text) in tree.rust_files().filter(|(path, _)| of_config(path)) {
        let Ok(file) = syn::parse_file(text) else { continue };
        let mut options = Options(Vec::new());
        options.visit_file(&file);
        for (option, line) in options.0 {
            let forms = [format!("`{option}`"), format!("{option}:"), format!(".{option}`")];
            if !forms.iter().any(|form| reference.contains(form)) {
                let text = format!("option `{option}` is not in {REFERENCE}");
                findings.push(Finding::new(path, line, text));
            }
        }
    }
    findings
}

/// Options with their lines: entries of the tables, and fields of structs that are deserialized.
struct Options(Vec<(String, usize)>);

impl Options {
    fn push(&mut self, value: Option<&Expr>) {
        if let Some(name) = value.and_then(text_of) {
            self.0.push((name.value(), line_of(name)));
        }
    }
}

fn text_of(value: &Expr) -> Option<&LitStr> {
    let Expr::Lit(literal) = value else { return None };
    let Lit::Str(text) = &literal.lit else { return None };
    Some(text)
}

impl<'ast> Visit<'ast> for Options {
    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        let read = item.attrs.iter().any(|attribute| {
            let list = attribute.meta.require_list();
            attribute.path().is_ident("derive")
                && list.is_ok_and(|list| list.tokens.to_string().contains("Deserialize"))
        });
        for name in item.fields.iter().filter_map(|field| field.ident.as_ref()).filter(|_| read) {
            let option = name.to_string().trim_start_matches("r#").to_owned();
            self.0.push((option, line_of(name)));
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let Expr::Path(function) = &*call.func else { return };
        if ENTRIES.iter().any(|entry| function.path.is_ident(entry)) {
            self.push(call.args.first());
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_expr_struct(&mut self, value: &'ast ExprStruct) {
        if value.path.is_ident("Field") {
            let is_name = |member: &Member| matches!(member, Member::Named(name) if name == "name");
            let name = value.fields.iter().find(|field| is_name(&field.member));
            self.push(name.map(|field| &field.expr));
        }
        syn::visit::visit_expr_struct(self, value);
    }
}

/// Every page of a format names a golden file that is there.
#[must_use]
pub fn formats_have_golden_files(tree: &Tree) -> Vec<Finding> {
    let pages = tree.files().filter(|(path, _)| path.starts_with(FORMATS) && path.ends_with(".md"));
    let bare = pages.filter(|(_, text)| {
        let mut words = text.split(|c: char| c.is_whitespace() || "`()[],".contains(c));
        !words.any(|word| word.contains("tests/golden/") && tree.exists(word.trim_end_matches('.')))
    });
    let text = "names no golden file `…/tests/golden/…` that is there";
    bare.map(|(path, _)| Finding::new(path, 0, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_without_its_line_is_found() {
        let config = "#[derive(Deserialize)] struct C { kept: u64, lost: u64 } struct D { x: u8 }
            static T: &[Field] = &[yes(\"gone\", \"\"), Field { name: \"missing\", form: \"\" }];";
        let tree = Tree::of(&[
            ("appliance/server/src/config.rs", config),
            ("appliance/docs/operating/configuration.md", "| `kept` | how many |"),
        ]);
        let found = options_are_documented(&tree);
        let names: Vec<_> = found.iter().filter_map(|found| found.text.split('`').nth(1)).collect();
        assert_eq!(names, ["lost", "gone", "missing"]);
    }

    #[test]
    fn a_format_without_golden_bytes_is_found() {
        let tree = Tree::of(&[
            ("appliance/docs/format/wal.md", "Golden: `appliance/a/tests/golden/wal.1.bin`."),
            ("appliance/docs/format/tile.md", "Golden: `appliance/a/tests/golden/tile.1.bin`."),
            ("appliance/a/tests/golden/wal.1.bin", ""),
        ]);
        let found = formats_have_golden_files(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "appliance/docs/format/tile.md");
    }
}
