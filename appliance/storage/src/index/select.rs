//! Matchers against the index: which series fulfil them all.
//!
//! A matcher that matches "" also takes the series without the label, as in Prometheus.

use model::matcher::{MatchOp, Matcher};
use roaring::RoaringBitmap;

use crate::index::series::{Index, Values};

/// Series that fulfil all `matchers`.
pub(crate) fn select(index: &Index, matchers: &[Matcher]) -> RoaringBitmap {
    let mut found: Option<RoaringBitmap> = None;
    let (optional, required): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().partition(|matcher| matcher.matches(""));
    for matcher in required {
        let series = matching(index, matcher);
        match &mut found {
            None => found = Some(series),
            Some(found) => *found &= series,
        }
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return RoaringBitmap::new();
        }
    }
    let mut found = found.unwrap_or_else(|| index.all().clone());
    for matcher in optional {
        found -= refused(index, matcher);
    }
    found
}

/// Series with a value of the label that matches.
fn matching(index: &Index, matcher: &Matcher) -> RoaringBitmap {
    let mut found = RoaringBitmap::new();
    let Some(values) = index.values(&matcher.name) else { return found };
    match (matcher.op, matcher.regex()) {
        (MatchOp::Equal, _) => add_value(index, values, &matcher.value, &mut found),
        (MatchOp::Regex, Some(regex)) => {
            if let Some(literals) = regex.literals() {
                for literal in literals {
                    add_value(index, values, literal, &mut found);
                }
            } else {
                let prefix = regex.prefix();
                add_where(index, values, &mut found, |value| {
                    value.starts_with(prefix) && regex.is_match(value)
                });
            }
        }
        _ => add_where(index, values, &mut found, |value| matcher.matches(value)),
    }
    found
}

/// Series with a value of the label that does not match, though "" does.
fn refused(index: &Index, matcher: &Matcher) -> RoaringBitmap {
    let mut found = RoaringBitmap::new();
    let Some(values) = index.values(&matcher.name) else { return found };
    if matcher.op == MatchOp::NotEqual {
        add_value(index, values, &matcher.value, &mut found);
    } else {
        add_where(index, values, &mut found, |value| !matcher.matches(value));
    }
    found
}

fn add_value(index: &Index, values: &Values, value: &str, found: &mut RoaringBitmap) {
    let postings = index.symbols.find(value).and_then(|symbol| values.get(&symbol));
    if let Some(postings) = postings {
        postings.add_to(found);
    }
}

fn add_where(
    index: &Index,
    values: &Values,
    found: &mut RoaringBitmap,
    keep: impl Fn(&str) -> bool,
) {
    for (value, postings) in values {
        if keep(index.symbols.text(*value)) {
            postings.add_to(found);
        }
    }
}
