//! Faults of a query text: where and what, in Prometheus's words.

use std::fmt;

/// One fault and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
    /// Line of `start`, from 1; 0 when the text is empty.
    pub line: u32,
    /// Column of `start` in bytes, from 1.
    pub column: u32,
    /// What is wrong, without the place.
    pub reason: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "unknown position: parse error: {}", self.reason)
        } else {
            write!(f, "{}:{}: parse error: {}", self.line, self.column, self.reason)
        }
    }
}

impl std::error::Error for ParseError {}

/// The faults of one text in the order found, at least one; displayed as the first, as Prometheus
/// does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseErrors(pub Vec<ParseError>);

impl fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.first() {
            Some(first) => first.fmt(f),
            None => f.write_str("error contains no error message"),
        }
    }
}

impl std::error::Error for ParseErrors {}
