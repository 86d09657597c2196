//! Job: one compaction as a machine that asks for bytes, is fed, and says what to write. No I/O.
//!
//! Path: effect `Compact` → a compaction thread → **job** → event `Compacted`.

use thiserror::Error;

use crate::compaction::{CompactionPlan, Outcome};
use crate::names::FileName;

/// What a job wants next.
#[derive(Debug)]
pub enum Step {
    /// Read up to `bytes_max` bytes at `offset` and [`Job::feed`] them; fewer mean that the file
    /// ends there.
    Read {
        /// File to read.
        file: FileName,
        /// Where.
        offset: u64,
        /// Most bytes wanted.
        bytes_max: usize,
    },
    /// Write `bytes` at `offset`, then go on. Writes to a file come in order without gaps; the
    /// first, at 0, creates the file or cuts what is there to nothing.
    Write {
        /// File to write.
        file: FileName,
        /// Where.
        offset: u64,
        /// What to write.
        bytes: Vec<u8>,
    },
    /// Sync the file, then its directory, then go on: both are durable when the next step is asked
    /// for.
    Sync {
        /// File to sync.
        file: FileName,
    },
    /// Done: answer with this.
    Done(Box<Outcome>),
}

/// Why a job cannot go on. Its output, if any was begun, is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JobError {
    /// An input is not what the plan says.
    #[error("{file} is damaged at {offset}: {reason}")]
    Damaged {
        /// File that was read.
        file: FileName,
        /// Where.
        offset: u64,
        /// What does not check.
        reason: &'static str,
    },
}

/// A compaction under way.
#[derive(Debug)]
pub struct Job {}

impl Job {
    /// The job of `plan`.
    #[must_use]
    pub fn new(_plan: &CompactionPlan) -> Job {
        Job {}
    }

    /// What to do next.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn step(&mut self) -> Result<Step, JobError> {
        Ok(Step::Done(Box::new(Outcome {
            block: None,
            groups: Vec::new(),
            damages: Vec::new(),
            read_bytes: 0,
            read_samples: 0,
        })))
    }

    /// Takes the bytes that [`Step::Read`] asked for.
    pub fn feed(&mut self, _bytes: &[u8]) {}
}
