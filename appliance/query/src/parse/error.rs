//! Faults of a query text: where and what, in Prometheus's words.

use std::fmt;
use std::ops::Range;

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

impl ParseError {
    /// A fault of bytes `place` of `text`.
    pub(crate) fn new(text: &[u8], place: Range<usize>, reason: String) -> ParseError {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let before = &text[..place.start.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        ParseError {
            start: number(place.start),
            end: number(place.end),
            line: if text.is_empty() { 0 } else { number(line) },
            column: number(before.len() - line_start + 1),
            reason,
        }
    }
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
