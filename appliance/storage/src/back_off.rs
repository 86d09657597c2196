//! Back-off: how long a failed operation waits before it is tried again.
//!
//! Path: `log`, `files` → **back_off**.

use model::time::Tick;

use crate::options::Options;

/// Waiting time that doubles with each failure up to a bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackOff {
    least_ms: u64,
    most_ms: u64,
    /// Until when, and how long that wait is.
    waiting: Option<(Tick, u64)>,
}

impl BackOff {
    pub(crate) fn new(options: &Options) -> BackOff {
        BackOff { least_ms: options.retry_ms_min, most_ms: options.retry_ms_max, waiting: None }
    }

    /// The operation failed.
    pub(crate) fn failed(&mut self, now: Tick) {
        let last = self.waiting.map(|(_, waited)| waited);
        let wait_ms = last.map_or(self.least_ms, |waited| (waited * 2).min(self.most_ms));
        self.waiting = Some((now.after_ms(wait_ms), wait_ms));
    }

    /// The operation succeeded.
    pub(crate) fn clear(&mut self) {
        self.waiting = None;
    }

    /// Whether it is too early.
    pub(crate) fn waits(&self, now: Tick) -> bool {
        self.waiting.is_some_and(|(until, _)| now < until)
    }

    /// When to try again, after a failure.
    pub(crate) fn at(&self) -> Option<Tick> {
        self.waiting.map(|(until, _)| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound() {
        let options = Options { retry_ms_min: 100, retry_ms_max: 250, ..Options::default() };
        let mut back_off = BackOff::new(&options);
        for expected_ms in [100, 200, 250, 250] {
            back_off.failed(Tick(0));
            assert_eq!(back_off.at(), Some(Tick(0).after_ms(expected_ms)));
        }
        assert!(back_off.waits(Tick(0)));
        back_off.clear();
        assert!(!back_off.waits(Tick(0)));
    }
}
