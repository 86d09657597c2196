//! Selector: the text of a `match[]` as matchers.

use model::matcher::Matcher;
use query::parse;

/// Matchers of a selector such as `up{job="a"}`, without offset or range.
///
/// # Errors
/// The text is no such selector; the message is the parser's.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, String> {
    let written = parse::parse_selector(text).map_err(|errors| errors.to_string())?;
    let compile = |matcher: &query::ast::LabelMatcher| {
        Matcher::new(&matcher.name, matcher.op, &matcher.value)
            .map_err(|error| format!("parse error: {error}"))
    };
    written.iter().map(compile).collect()
}
