//! Where and why a text could not be read.

use std::fmt;

/// Why a body or a series text is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// Line of the fault, from 1.
    pub line: u32,
    /// Byte within the line, from 1.
    pub column: u32,
    /// What was wrong, in upstream's words where it has any.
    pub reason: String,
}

impl TextError {
    /// The error at byte `offset` of `text`.
    #[must_use]
    pub fn at(text: &[u8], offset: usize, reason: String) -> TextError {
        let before = &text[..offset.min(text.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        TextError {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before.len() - line_start + 1).unwrap_or(u32::MAX),
            reason,
        }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for TextError {}

/// Why a body that is no text is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {reason}")]
pub struct BinaryError {
    /// Byte of the fault, from 0.
    pub offset: usize,
    /// What was wrong.
    pub reason: String,
}

/// Why a body is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A body of text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A body of protocol buffers.
    #[error(transparent)]
    Binary(#[from] BinaryError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(offset: usize, expected: &str) {
        let error = TextError::at(b"up 1\n\nx", offset, "odd".to_owned());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn fault_names_line_and_column() {
        check(0, "1:1: odd");
        check(4, "1:5: odd");
        check(5, "2:1: odd");
        check(6, "3:1: odd");
        check(7, "3:2: odd");
        check(99, "3:2: odd");
    }
}
