//! Drill copy: a snapshot of the directory that is made file by file while the store goes on.
//!
//! Path: `drill` → **drill_copy** → `storage::snapshot` says in which order.

use storage::names::FileName;
use storage::snapshot::{is_whole, log_files, other_files};

use crate::disk::Disk;
use crate::ledger::Extent;

/// A copy under way.
#[derive(Clone, Debug)]
pub struct Copying {
    copy: Disk,
    /// Next one last.
    waiting: Vec<FileName>,
    copied: Vec<FileName>,
    is_log: bool,
    /// What was acknowledged when it began.
    pub least: Extent,
}

/// How a copy came on.
#[derive(Debug)]
pub enum Copied {
    /// It goes on.
    Part(Copying),
    /// A file has gone, or another manifest has come: it is made anew.
    Torn,
    /// It is a store.
    Whole(Disk, Extent),
}

fn names(disk: &Disk) -> Vec<FileName> {
    disk.listing().into_iter().map(|(name, _)| name).collect()
}

impl Copying {
    /// Begins a copy.
    #[must_use]
    pub fn new(disk: &Disk, least: Extent) -> Copying {
        let mut waiting = log_files(&names(disk));
        waiting.reverse();
        let (copy, copied) = (Disk::default(), Vec::new());
        Copying { copy, waiting, copied, is_log: true, least }
    }

    /// Copies the next file.
    #[must_use]
    pub fn step(mut self, disk: &Disk) -> Copied {
        if let Some(file) = self.waiting.pop() {
            if !disk.has(file) {
                return Copied::Torn;
            }
            self.copy.write(file, 0, disk.part(file, 0, usize::MAX));
            self.copied.push(file);
            return Copied::Part(self);
        }
        if self.is_log {
            self.is_log = false;
            self.waiting = other_files(&names(disk), false);
            self.waiting.reverse();
            return Copied::Part(self);
        }
        if !is_whole(&self.copied, &names(disk)) {
            return Copied::Torn;
        }
        self.copy.settle();
        Copied::Whole(self.copy, self.least)
    }
}
