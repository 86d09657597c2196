//! Deletions: files that nothing needs, taken away one after the other.
//!
//! Path: `store` → **deletions** → effects `File`.

use std::collections::VecDeque;

use model::time::{Now, Tick};

use crate::back_off::BackOff;
use crate::effect::{FileOp, FileRequestId};
use crate::names::FileName;
use crate::options::Options;

/// Files to delete. At most as many as there were files, so it needs no bound of its own.
#[derive(Debug)]
pub(crate) struct Deletions {
    queue: VecDeque<FileName>,
    flight: Option<FileRequestId>,
    back_off: BackOff,
}

impl Deletions {
    pub(crate) fn new(options: &Options) -> Deletions {
        Deletions { queue: VecDeque::new(), flight: None, back_off: BackOff::new(options) }
    }

    pub(crate) fn push(&mut self, file: FileName) {
        self.queue.push_back(file);
    }

    /// Whether `file` is still to be deleted.
    pub(crate) fn waits(&self, file: FileName) -> bool {
        self.queue.contains(&file)
    }

    /// Whether everything that was given up is gone for good.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// When to call [`Deletions::pump`] after a failure.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        self.back_off.at().filter(|_| self.flight.is_none())
    }

    /// The next deletion, if there is one to make.
    pub(crate) fn pump(&mut self, now: Now, request: FileRequestId) -> Option<FileOp> {
        if self.flight.is_some() || self.back_off.waits(now.tick) {
            return None;
        }
        let file = *self.queue.front()?;
        self.flight = Some(request);
        Some(FileOp::Delete { file })
    }

    /// The request is answered; whether it was a deletion.
    pub(crate) fn on_done(&mut self, now: Now, request: FileRequestId, succeeded: bool) -> bool {
        if self.flight.take_if(|flight| *flight == request).is_none() {
            return false;
        }
        if succeeded {
            self.back_off.clear();
            self.queue.pop_front();
        } else {
            self.back_off.failed(now.tick);
        }
        true
    }
}
