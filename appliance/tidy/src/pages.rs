//! Pages: options stand in the reference page, formats have their golden bytes.

use syn::Item;

use crate::syntax::line_of;
use crate::tree::{Finding, Tree};

const REFERENCE: &str = "appliance/docs/operating/configuration.md";
const FORMATS: &str = "appliance/docs/format/";

/// Every field that the configuration reader deserializes is named in the reference page.
#[must_use]
pub fn options_are_documented(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let reference = tree.text(REFERENCE).unwrap_or_default();
    let in_server =
        |path: &str| path.starts_with("appliance/server/src/") && path.contains("config");
    for (path, text) in tree.rust_files().filter(|(path, _)| in_server(path)) {
        let Ok(file) = syn::parse_file(text) else { continue };
        for item in &file.items {
            let Item::Struct(item) = item else { continue };
            let read = item.attrs.iter().any(|attribute| {
                let derives = attribute.path().is_ident("derive");
                derives
                    && attribute
                        .meta
                        .require_list()
                        .is_ok_and(|list| list.tokens.to_string().contains("Deserialize"))
            });
            for name in item.fields.iter().filter_map(|field| field.ident.as_ref()).filter(|_| read)
            {
                let option = name.to_string();
                let option = option.trim_start_matches("r#");
                let forms = [format!("`{option}`"), format!("{option}:"), format!(".{option}`")];
                if !forms.iter().any(|form| reference.contains(form)) {
                    let text = format!("option `{option}` is not in {REFERENCE}");
                    findings.push(Finding::new(path, line_of(name), text));
                }
            }
        }
    }
    findings
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
        let config = "#[derive(Deserialize)] struct C { kept: u64, lost: u64 } struct D { x: u8 }";
        let tree = Tree::of(&[
            ("appliance/server/src/config.rs", config),
            ("appliance/docs/operating/configuration.md", "| `kept` | how many |"),
        ]);
        let found = options_are_documented(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.starts_with("option `lost`"));
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
