//! Fault: what is wrong with the bytes of a file, and where.
//!
//! Path: every reader → **fault** → whoever asked.

use std::io;

use thiserror::Error;

/// What is wrong with bytes that were read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The bytes end within a part.
    #[error("ends within {0}")]
    Short(&'static str),
    /// The CRC-32C that is written does not fit the bytes.
    #[error("checksum of {what} is {found:08x}, but {written:08x} is written")]
    Checksum {
        /// The part that is covered.
        what: &'static str,
        /// The sum as written.
        written: u32,
        /// The sum of the bytes.
        found: u32,
    },
    /// The first bytes are not those of such a file.
    #[error("is no {what}: it begins with {found:08x}")]
    Magic {
        /// What it should be.
        what: &'static str,
        /// The first four bytes.
        found: u32,
    },
    /// A version that is not known.
    #[error("version {found} of {what} is not known")]
    Version {
        /// What carries the version.
        what: &'static str,
        /// The version.
        found: u64,
    },
    /// Any other contradiction, in words.
    #[error("{0}")]
    Wrong(String),
}

impl Fault {
    /// The fault that `text` tells.
    #[must_use]
    pub fn wrong(text: impl Into<String>) -> Fault {
        Fault::Wrong(text.into())
    }

    /// The fault at `offset` of its file.
    #[must_use]
    pub fn at(self, offset: u64) -> FaultAt {
        FaultAt { offset, fault: self }
    }
}

/// A fault and its place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultAt {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// What is wrong there.
    pub fault: Fault,
}

impl FaultAt {
    /// The error that names `file` too.
    #[must_use]
    pub fn of(self, file: &str) -> TsdbError {
        TsdbError::Corrupt { file: file.to_owned(), offset: self.offset, fault: self.fault }
    }
}

/// Why a directory, block or log could not be read or written.
#[derive(Debug, Error)]
pub enum TsdbError {
    /// The file system refused.
    #[error("{action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Path below the directory.
        file: String,
        /// What the file system said.
        source: io::Error,
    },
    /// The bytes are not as the format has them.
    #[error("{file}, byte {offset}: {fault}")]
    Corrupt {
        /// Path below the directory.
        file: String,
        /// Bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        fault: Fault,
    },
    /// What a caller asked of a writer cannot be done.
    #[error("{0}")]
    Refused(String),
}

impl TsdbError {
    /// The file system's error of `action` on `file`.
    #[must_use]
    pub fn io(action: &'static str, file: &str, source: io::Error) -> TsdbError {
        TsdbError::Io { action, file: file.to_owned(), source }
    }

    /// Whether the bytes are to blame, not the file system.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, TsdbError::Corrupt { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_and_place() {
        let fault = Fault::Checksum { what: "the symbol table", written: 1, found: 0xabc };
        let text = fault.at(17).of("01A/index").to_string();
        let expected = "01A/index, byte 17: checksum of the symbol table is 00000abc, \
                        but 00000001 is written";
        assert_eq!(text, expected);
    }
}
