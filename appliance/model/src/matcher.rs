//! Matcher: one condition on one label, as in `job=~"node.*"`.

use std::fmt;
use std::sync::Arc;

use crate::label_name::quote;
use crate::label_set::LabelSet;
use crate::regex::{GoRegex, RegexError};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// A condition on one label; an absent label has the value "".
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Label that is looked at.
    pub name: Arc<str>,
    /// How it is compared.
    pub op: MatchOp,
    /// Text or pattern it is compared with.
    pub value: Arc<str>,
    regex: Option<Arc<GoRegex>>,
}

impl Matcher {
    /// Matcher of `name` `op` `value`.
    ///
    /// # Errors
    /// The pattern is none that Go's regexp package accepts, or too large to compile.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Matcher, RegexError> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Arc::new(GoRegex::anchored(value)?)),
        };
        Ok(Matcher { name: Arc::from(name), op, value: Arc::from(value), regex })
    }

    /// Whether a label of this value fulfils the condition; "" stands for an absent label.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => same(value, &self.value),
            (MatchOp::NotEqual, _) => !same(value, &self.value),
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => {
                unreachable!("a regex matcher is built with its regex")
            }
        }
    }

    /// Whether `labels` fulfil the condition.
    #[must_use]
    pub fn matches_labels(&self, labels: &LabelSet) -> bool {
        self.matches(labels.value(&self.name))
    }

    /// The compiled pattern of a regex matcher.
    #[must_use]
    pub fn regex(&self) -> Option<&GoRegex> {
        self.regex.as_deref()
    }
}

/// Whether two texts are equal. Empty ones are not compared: they may point nowhere, and looking
/// there is slow (see `regex`).
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.text(), quote(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(op: MatchOp, pattern: &str, matching: &[&str], other: &[&str]) {
        let matcher = Matcher::new("job", op, pattern).expect("a valid pattern");
        for text in matching {
            assert!(matcher.matches(text), "{matcher} matches {text:?}");
        }
        for text in other {
            assert!(!matcher.matches(text), "{matcher} does not match {text:?}");
        }
    }

    #[test]
    fn matchers_compare_whole_values() {
        check(MatchOp::Equal, "a", &["a"], &["", "b", "ab"]);
        check(MatchOp::Equal, "", &[""], &["a"]);
        check(MatchOp::NotEqual, "", &["a"], &[""]);
        check(MatchOp::Regex, "a|b.*", &["a", "bc"], &["", "ab"]);
        check(MatchOp::NotRegex, ".+", &[""], &["a"]);
        assert!(Matcher::new("job", MatchOp::Regex, "(").is_err());
    }

    #[test]
    fn an_absent_label_is_empty_and_matchers_print() {
        let matcher = Matcher::new("job", MatchOp::NotRegex, "a\"b").expect("a valid pattern");
        assert!(matcher.matches_labels(&LabelSet::empty()));
        assert_eq!(matcher.to_string(), r#"job!~"a\"b""#);
    }
}
