//! Read: what a job wants to read next, and what does not check.
//!
//! Path: `tiles`, `merge` → **read** → `job`.

use crate::names::FileName;

/// Texts of damage that are kept.
const DAMAGES_MAX: usize = 100;

/// Bytes of a file that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) file: FileName,
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
}

/// A place that does not check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) file: FileName,
    pub(crate) offset: u64,
    pub(crate) reason: &'static str,
}

/// Why a part of a job stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Bytes are wanted first.
    Want(Want),
    /// It cannot go on.
    Fault(Fault),
}

/// What a job has seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) damages: Vec<String>,
    pub(crate) bytes: u64,
    pub(crate) samples: u64,
}

impl Seen {
    /// Something was left out.
    pub(crate) fn damage(&mut self, fault: Fault) {
        if self.damages.len() < DAMAGES_MAX {
            let Fault { file, offset, reason } = fault;
            self.damages.push(format!("{file} is damaged at {offset}: {reason}"));
        }
    }
}
