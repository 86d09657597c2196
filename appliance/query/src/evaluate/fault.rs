//! Fault: why an evaluation ends without a value.

use crate::source::SourceError;

/// Why an evaluation ends; the public error is made of it.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The query cannot be computed on this data.
    Execution(String),
    /// Too many samples at once.
    Samples,
    /// Too many bytes at once.
    Memory,
    /// Too many bytes at once by all queries together.
    SharedMemory {
        /// Bytes that they may hold.
        bytes_max: u64,
    },
    /// Ended by the deadline.
    Timeout,
    /// Ended from outside.
    Canceled,
    /// The store failed.
    Source(SourceError),
}

impl Fault {
    /// The fault of two series with the same labels at the same time.
    pub(crate) fn same_labels() -> Fault {
        Fault::execution("vector cannot contain metrics with the same labelset")
    }

    /// A fault with this text.
    pub(crate) fn execution(text: impl Into<String>) -> Fault {
        Fault::Execution(text.into())
    }
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Fault {
        Fault::Source(error)
    }
}
