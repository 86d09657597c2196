//! Budget: samples and bytes that a query holds and touched, and whether it may go on.

use crate::evaluate::fault::Fault;

/// Bytes that a step of a grid takes while a series is computed: its value, its window, its bits.
const STEP_BYTES: u64 = 32;

/// What a query may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Most samples at once.
    pub(crate) samples_max: u64,
    /// Most bytes at once.
    pub(crate) memory_bytes_max: u64,
}

/// What is held at some point of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    samples: u64,
    bytes: u64,
}

/// Counts what a query holds and touched.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    bounds: Bounds,
    held: Held,
    peak_samples: u64,
    total: u64,
    read: u64,
}

impl Budget {
    /// A budget of which nothing is taken.
    pub(crate) fn new(bounds: Bounds) -> Budget {
        Budget { bounds, held: Held::default(), peak_samples: 0, total: 0, read: 0 }
    }

    /// What is held, to return to with [`Budget::release_to`].
    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// Gives back all that was taken since `before`.
    pub(crate) fn release_to(&mut self, before: Held) {
        self.held = before;
    }

    /// Takes `samples`.
    ///
    /// # Errors
    /// There would be too many.
    pub(crate) fn take_samples(&mut self, samples: u64) -> Result<(), Fault> {
        self.held.samples = self.held.samples.saturating_add(samples);
        self.peak_samples = self.peak_samples.max(self.held.samples);
        if self.bounds.samples_max < self.held.samples { Err(Fault::Samples) } else { Ok(()) }
    }

    /// Counts `samples` that are held only for a moment on top of what is held.
    ///
    /// # Errors
    /// There would be too many.
    pub(crate) fn pass_samples(&mut self, samples: u64) -> Result<(), Fault> {
        let before = self.held;
        let taken = self.take_samples(samples);
        self.held = before;
        taken
    }

    /// Takes `bytes`.
    ///
    /// # Errors
    /// There would be too many.
    pub(crate) fn take_bytes(&mut self, bytes: u64) -> Result<(), Fault> {
        self.held.bytes = self.held.bytes.saturating_add(bytes);
        if self.bounds.memory_bytes_max < self.held.bytes { Err(Fault::Memory) } else { Ok(()) }
    }

    /// Refuses a grid of which one column and what is computed with it would not fit.
    ///
    /// # Errors
    /// There would be too many bytes.
    pub(crate) fn admit_steps(&self, steps: usize) -> Result<(), Fault> {
        let bytes = (steps as u64).saturating_mul(STEP_BYTES);
        let held = self.held.bytes.saturating_add(bytes);
        if self.bounds.memory_bytes_max < held { Err(Fault::Memory) } else { Ok(()) }
    }

    /// Counts samples looked at: by every step, and each once.
    pub(crate) fn touch(&mut self, total: u64, read: u64) {
        self.total += total;
        self.read += read;
    }

    /// Samples touched so far: by every step, each once, and most at once.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        (self.total, self.read, self.peak_samples)
    }

    /// Takes back what was counted by every step since `total_before`: the samples inside a
    /// subquery are counted when they are looked at from outside.
    pub(crate) fn forget_total(&mut self, total_before: u64) {
        self.total = total_before;
    }

    /// Multiplies what was counted by every step since `total_before`: the rest of the steps of
    /// an expression that is the same at each.
    pub(crate) fn repeat_total(&mut self, total_before: u64, times: u64) {
        let again = (self.total - total_before).saturating_mul(times);
        self.total = self.total.saturating_add(again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_bytes_are_bounded() {
        let mut budget = Budget::new(Bounds { samples_max: 10, memory_bytes_max: 100 });
        let before = budget.held();
        assert!(budget.take_samples(10).is_ok());
        assert!(matches!(budget.pass_samples(1), Err(Fault::Samples)));
        budget.release_to(before);
        assert!(budget.pass_samples(10).is_ok());
        assert!(budget.take_bytes(100).is_ok());
        assert!(matches!(budget.take_bytes(1), Err(Fault::Memory)));
        assert_eq!(budget.counts().2, 11);
        budget.release_to(before);
        assert!(budget.admit_steps(3).is_ok());
        assert!(matches!(budget.admit_steps(4), Err(Fault::Memory)));
        assert!(matches!(budget.admit_steps(usize::MAX), Err(Fault::Memory)));
    }
}
