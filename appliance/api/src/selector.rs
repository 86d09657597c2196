//! Selector: the text of a `match[]` as matchers.

use model::label_name::quote;
use model::matcher::Matcher;
use query::ast::{ExprKind, Modifiers};
use query::parse::options::Options;
use query::parse::parse;

/// Matchers of a selector such as `up{job="a"}`, without offset or range.
///
/// # Errors
/// The text is no such selector; the message is the parser's.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, String> {
    let expression = parse(text, &Options::STABLE).map_err(|errors| errors.to_string())?;
    let plain = Modifiers::default();
    match expression.kind {
        ExprKind::Vector(selector) if selector.modifiers == plain => {
            let compile = |matcher: &query::ast::LabelMatcher| {
                Matcher::new(&matcher.name, matcher.op, &matcher.value)
                    .map_err(|error| format!("parse error: {error}"))
            };
            selector.matchers.iter().map(compile).collect()
        }
        _ => Err(format!("parse error: {} is no metric selector", quote(text))),
    }
}
