//! Syntax: Rust files as trees, with what the checks ask of them: tests told apart, lines, texts.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Attribute, Block, ImplItemFn, Item, ItemFn, ItemMod, Signature, TraitItemFn};

/// Line of a syntax node, counted from 1.
pub fn line_of(node: &impl Spanned) -> usize {
    node.span().start().line
}

/// Whether an item is compiled for tests only: `#[cfg(test)]` or `#[test]`.
#[must_use]
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let cfg_test = path.is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"));
        cfg_test || path.is_ident("test")
    })
}

/// Attributes of an item.
#[must_use]
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// A function of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Line of `fn`.
    pub line: usize,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
}

/// Every function with a body, tests too.
#[must_use]
pub fn functions(file: &syn::File) -> Vec<Function> {
    let mut found = Functions(Vec::new());
    found.visit_file(file);
    found.0
}

struct Functions(Vec<Function>);

impl Functions {
    fn push(&mut self, signature: &Signature, block: &Block) {
        let line = line_of(&signature.fn_token);
        let lines = block.brace_token.span.close().end().line + 1 - line;
        self.0.push(Function { name: signature.ident.to_string(), line, lines });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.push(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.push(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.push(&function.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

/// A string literal inside a macro call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacroText {
    /// Last segment of the macro's path: `assert`.
    pub macro_name: String,
    /// The literal's value.
    pub text: String,
    /// Its line.
    pub line: usize,
}

/// String literals in macro calls outside tests.
#[must_use]
pub fn macro_texts(file: &syn::File) -> Vec<MacroText> {
    let mut found = MacroTexts(Vec::new());
    found.visit_file(file);
    found.0
}

struct MacroTexts(Vec<MacroText>);

impl MacroTexts {
    fn push_texts(&mut self, macro_name: &str, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.push_texts(macro_name, group.stream()),
                TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        let macro_name = macro_name.to_owned();
                        self.0.push(MacroText { macro_name, text: text.value(), line });
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for MacroTexts {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string());
        self.push_texts(&name.unwrap_or_default(), call.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_and_texts_found() {
        let source = "fn a() {\n    assert!(x, \"A1: y\");\n}\n#[cfg(test)]\nmod t { fn b() {\n\
                      panic!(\"B1: no\") } }\ntrait T { fn c(); }\n";
        let file = syn::parse_file(source).expect("valid");
        let found = functions(&file);
        assert_eq!((found[0].name.as_str(), found[0].line, found[0].lines), ("a", 1, 3));
        assert_eq!((found[1].name.as_str(), found[1].line, found[1].lines), ("b", 5, 2));
        assert_eq!(found.len(), 2);
        let texts = macro_texts(&file);
        assert_eq!(texts.len(), 1);
        assert_eq!((texts[0].macro_name.as_str(), texts[0].text.as_str()), ("assert", "A1: y"));
    }
}
