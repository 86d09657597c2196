//! Notice: what the log is to say of scrapes.
//!
//! Path: `active` → **notice** → whoever asks the shard now and then, and writes logs.
//! A shard writes nothing itself: notices wait in a bounded list, and what finds it full is
//! counted.

use std::collections::VecDeque;
use std::sync::Arc;

use model::time::TimestampMs;

/// Most notices that wait for somebody to ask.
pub const NOTICES_MAX: usize = 4_096;

/// One thing to be said of one scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The job.
    pub job: Arc<str>,
    /// URL of the target.
    pub url: String,
    /// When the scrape began.
    pub at: TimestampMs,
    /// What.
    pub what: What,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The scrape failed, and the job has a log of such: why.
    Failed(String),
    /// Samples were left out.
    LeftOut(LeftOut),
}

/// Samples of one scrape that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Older than the last of their series.
    pub out_of_order: u64,
    /// Of a series and time that the scrape had already.
    pub duplicates: u64,
    /// Too old for storage or too far in the future.
    pub out_of_bounds: u64,
    /// Exemplars older than the newest of their series.
    pub exemplars_out_of_order: u64,
}

impl LeftOut {
    /// What was left out since `before`; `None` when that is nothing.
    #[must_use]
    pub fn since(self, before: LeftOut) -> Option<LeftOut> {
        let new = LeftOut {
            out_of_order: self.out_of_order - before.out_of_order,
            duplicates: self.duplicates - before.duplicates,
            out_of_bounds: self.out_of_bounds - before.out_of_bounds,
            exemplars_out_of_order: self.exemplars_out_of_order - before.exemplars_out_of_order,
        };
        (new != LeftOut::default()).then_some(new)
    }
}

/// Notices that wait.
#[derive(Debug, Default)]
pub struct Notices {
    waiting: VecDeque<Notice>,
    lost: u64,
}

impl Notices {
    /// Keeps a notice, unless too many wait.
    pub fn push(&mut self, notice: Notice) {
        if NOTICES_MAX <= self.waiting.len() {
            self.lost += 1;
        } else {
            self.waiting.push_back(notice);
        }
    }

    /// The notices that wait, oldest first; none wait then.
    pub fn take(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.waiting).into()
    }

    /// Notices that found the list full.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_the_list_full_is_counted() {
        let mut notices = Notices::default();
        let notice = |number: i64| Notice {
            job: Arc::from("a"),
            url: String::new(),
            at: TimestampMs(number),
            what: What::LeftOut(LeftOut::default()),
        };
        for number in 0..=i64::try_from(NOTICES_MAX).expect("fits") {
            notices.push(notice(number));
        }
        assert_eq!(notices.lost(), 1);
        let taken = notices.take();
        assert_eq!((taken.len(), taken[0].at), (NOTICES_MAX, TimestampMs(0)));
        assert!(notices.take().is_empty());
    }
}
