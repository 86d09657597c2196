//! Templates of replacements: `$1`, `${name}` and `$$`, as Go's `Regexp.Expand` reads them.

use std::borrow::Cow;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// Group of this number.
    Number(usize),
    /// Group of this name; Go has no group of the name `1x`, so `$1x` is empty.
    Name(&'a str),
}

/// Pieces of `template` in order.
pub(super) fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let dollar = rest.find('$').unwrap_or(rest.len());
        if 0 < dollar {
            let text = &rest[..dollar];
            rest = &rest[dollar..];
            return Some(Piece::Text(text));
        }
        let after = &rest[1..];
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            return Some(Piece::Text("$"));
        }
        let Some((name, after)) = reference(after) else {
            rest = after;
            return Some(Piece::Text("$"));
        };
        rest = after;
        Some(number(name).map_or(Piece::Name(name), Piece::Number))
    })
}

/// The name after a `$`, in braces or not, and what follows it; `None` where Go keeps the `$`.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (braced, text) = text.strip_prefix('{').map_or((false, text), |text| (true, text));
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    match (braced, rest.strip_prefix('}')) {
        (false, _) => Some((name, rest)),
        (true, Some(rest)) => Some((name, rest)),
        (true, None) => None,
    }
}

/// Number of a group; one with leading zeros or above 10^8 is a name.
fn number(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = name.len() <= 9 && (name.len() < 2 || !name.starts_with('0'));
    if digits && canonical { name.parse().ok() } else { None }
}

/// `template` with each reference replaced by what `group` and `named` give for it.
pub(super) fn expand<'t>(
    template: &str,
    group: impl Fn(usize) -> Option<Cow<'t, str>>,
    named: impl Fn(&str) -> Option<Cow<'t, str>>,
) -> String {
    let mut expanded = String::new();
    for piece in pieces(template) {
        let text = match piece {
            Piece::Text(text) => Some(Cow::Borrowed(text)),
            Piece::Number(number) => group(number),
            Piece::Name(name) => named(name),
        };
        expanded.push_str(&text.unwrap_or_default());
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let group = |number| (number < 3).then(|| Cow::Owned(format!("<{number}>")));
        let named = |name: &str| (name == "job").then_some(Cow::Borrowed("<job>"));
        assert_eq!(expand(template, group, named), expected, "{template}");
    }

    #[test]
    fn references_are_replaced_as_go_does() {
        check("a$1b", "a");
        check("a${1}b", "a<1>b");
        check("$1-$2", "<1>-<2>");
        check("$0$3$9", "<0>");
        check("${job}:$job", "<job>:<job>");
        check("$jobs", "");
        check("$$1 $", "$1 $");
        check("${1", "${1");
        check("${}", "${}");
        check("$-", "$-");
        check("$01 $1_", " ");
        check("$é", "");
    }
}
