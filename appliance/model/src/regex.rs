//! Regular expressions with the meaning of Go's regexp package (RE2).

use thiserror::Error;

/// A pattern that Go refuses, or that is too large to compile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("error parsing regexp: {reason}")]
pub struct RegexError {
    /// What is wrong, in the words of Go's regexp package where they are known.
    pub reason: String,
}

/// A compiled pattern, anchored at both ends as matchers and relabelling use it.
#[derive(Clone, Debug)]
pub struct GoRegex {
    regex: regex::Regex,
}

impl GoRegex {
    /// Compiles `^(?s:pattern)$`.
    ///
    /// # Errors
    /// The pattern is none that Go accepts, or too large.
    pub fn anchored(pattern: &str) -> Result<GoRegex, RegexError> {
        let whole = format!("^(?s:{pattern})$");
        let regex =
            regex::Regex::new(&whole).map_err(|error| RegexError { reason: error.to_string() })?;
        Ok(GoRegex { regex })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// `template` with `$1`, `${name}` replaced by the groups of the match, as Go's `Expand`;
    /// `None` when `text` does not match.
    #[must_use]
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        let captures = self.regex.captures(text)?;
        let mut expanded = String::new();
        captures.expand(template, &mut expanded);
        Some(expanded)
    }

    /// The finite set of texts that match, when the pattern is one (`a|b|c`); sorted.
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        None
    }

    /// Text with which every match begins; "" when none is known.
    #[must_use]
    pub fn prefix(&self) -> &str {
        ""
    }
}
