//! Meter: what a running query holds and has looked at, written by its evaluation and read by
//! whoever lists queries.
//!
//! Never: decides anything; the budget of the evaluation does.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one query. The three are not read at one instant.
#[derive(Debug, Default)]
pub struct Meter {
    samples: AtomicU64,
    bytes: AtomicU64,
    read: AtomicU64,
}

impl Meter {
    /// Samples that the query holds.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Bytes that the query holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Samples that the query has looked at so far, each once.
    #[must_use]
    pub fn samples_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Shows what is held.
    pub(crate) fn hold(&self, samples: u64, bytes: u64) {
        self.samples.store(samples, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Counts samples that were looked at.
    pub(crate) fn read(&self, samples: u64) {
        self.read.fetch_add(samples, Ordering::Relaxed);
    }
}
