//! Budget: samples and bytes that a query holds and touched, and whether it may go on.

use std::sync::Arc;

use crate::annotation::Annotations;
use crate::evaluate::fault::Fault;
use crate::memory::{MemoryPool, Share};
use crate::meter::Meter;

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

/// What the computing of one series cost. It is counted where the series is used, in the order of
/// series, so that it does not matter on which thread it was computed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// Bytes of the samples that were decoded, and of the histograms made of them.
    pub(crate) decoded_bytes: u64,
    /// Samples of the largest window.
    pub(crate) largest: u64,
    /// Samples looked at by every step.
    pub(crate) total: u64,
    /// Samples looked at, each once.
    pub(crate) read: u64,
    /// Samples of results, one after the other.
    pub(crate) results: u64,
    /// `total` by step, where that is asked for.
    pub(crate) by_step: Vec<u64>,
}

/// What the computing of a series tells and asks.
pub(crate) struct Work<'a> {
    /// What it cost.
    pub(crate) cost: &'a mut Cost,
    /// Warnings and infos.
    pub(crate) notes: &'a mut Annotations,
    /// Says why it must end.
    pub(crate) check: &'a dyn Fn() -> Result<(), Fault>,
    /// Bytes that may be taken.
    pub(crate) room: u64,
}

/// Counts what a query holds and touched.
#[derive(Debug)]
pub(crate) struct Budget {
    bounds: Bounds,
    held: Held,
    /// What is held of the memory that all queries share.
    share: Share,
    peak_samples: u64,
    total: u64,
    read: u64,
    /// `total` by step of the query's own grid; empty unless they are counted.
    by_step: Vec<u64>,
    /// Inside a subquery, whose steps are not the query's.
    inside: bool,
    /// Where others see what is held.
    meter: Arc<Meter>,
}

impl Budget {
    /// A budget of which nothing is taken, shown by `meter`.
    pub(crate) fn new(bounds: Bounds, pool: Arc<MemoryPool>, meter: Arc<Meter>) -> Budget {
        let (held, share) = (Held::default(), Share::new(pool));
        let (by_step, inside) = (Vec::new(), false);
        Budget { bounds, held, share, peak_samples: 0, total: 0, read: 0, by_step, inside, meter }
    }

    /// Counts what a series cost.
    ///
    /// # Errors
    /// There would be too many samples or bytes.
    pub(crate) fn count(&mut self, cost: &Cost) -> Result<(), Fault> {
        self.pass_bytes(cost.decoded_bytes)?;
        for (step, samples) in cost.by_step.iter().enumerate() {
            self.touch_step(step, *samples);
        }
        self.pass_samples(cost.largest)?;
        self.touch(cost.total, cost.read);
        self.take_samples(cost.results)
    }

    /// Bytes that the batches of other threads may take beside the query's own; `None` where the
    /// memory that queries share has no more.
    pub(crate) fn lend(&self, bytes: u64) -> Option<Share> {
        self.share.beside(bytes)
    }

    /// The fault of a share that cannot grow.
    fn shared_fault(&self) -> Fault {
        Fault::SharedMemory { bytes_max: self.share.pool_bytes_max() }
    }

    /// Counts samples by step, too.
    ///
    /// # Errors
    /// There would be too many bytes.
    pub(crate) fn count_steps(&mut self, steps: usize) -> Result<(), Fault> {
        self.take_bytes((steps as u64).saturating_mul(8))?;
        self.by_step = vec![0; steps];
        Ok(())
    }

    /// Whether samples are counted by step here.
    pub(crate) fn counts_steps(&self) -> bool {
        !self.by_step.is_empty() && !self.inside
    }

    /// Counts samples that a step looked at.
    pub(crate) fn touch_step(&mut self, step: usize, samples: u64) {
        if self.inside {
            return;
        }
        if let Some(known) = self.by_step.get_mut(step) {
            *known += samples;
        }
    }

    /// Samples by step.
    pub(crate) fn by_step(&self) -> &[u64] {
        &self.by_step
    }

    /// Goes into a subquery; tells whether it was inside of one already.
    pub(crate) fn enter(&mut self) -> bool {
        std::mem::replace(&mut self.inside, true)
    }

    /// Leaves a subquery.
    pub(crate) fn leave(&mut self, inside: bool) {
        self.inside = inside;
    }

    /// What is held, to return to with [`Budget::release_to`].
    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// Gives back all that was taken since `before`.
    pub(crate) fn release_to(&mut self, before: Held) {
        self.held = before;
        self.meter.hold(self.held.samples, self.held.bytes);
        self.share.fit(before.bytes);
    }

    /// Takes `samples`.
    ///
    /// # Errors
    /// There would be too many.
    pub(crate) fn take_samples(&mut self, samples: u64) -> Result<(), Fault> {
        self.held.samples = self.held.samples.saturating_add(samples);
        self.peak_samples = self.peak_samples.max(self.held.samples);
        self.meter.hold(self.held.samples, self.held.bytes);
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
        self.meter.hold(self.held.samples, self.held.bytes);
        if self.bounds.memory_bytes_max < self.held.bytes {
            return Err(Fault::Memory);
        }
        if self.share.fit(self.held.bytes) { Ok(()) } else { Err(self.shared_fault()) }
    }

    /// Counts `bytes` that are held only for a moment on top of what is held.
    ///
    /// # Errors
    /// There would be too many.
    pub(crate) fn pass_bytes(&mut self, bytes: u64) -> Result<(), Fault> {
        let held = self.held.bytes.saturating_add(bytes);
        if self.bounds.memory_bytes_max < held {
            return Err(Fault::Memory);
        }
        if self.share.fit(held) { Ok(()) } else { Err(self.shared_fault()) }
    }

    /// Bytes that may still be taken.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.bounds.memory_bytes_max.saturating_sub(self.held.bytes)
    }

    /// Refuses a grid of which one column and what is computed with it would not fit.
    ///
    /// # Errors
    /// There would be too many bytes.
    pub(crate) fn admit_steps(&mut self, steps: usize) -> Result<(), Fault> {
        self.pass_bytes((steps as u64).saturating_mul(STEP_BYTES))
    }

    /// Counts samples looked at: by every step, and each once.
    pub(crate) fn touch(&mut self, total: u64, read: u64) {
        self.total += total;
        self.read += read;
        self.meter.read(read);
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
        let once = self.total - total_before;
        self.total = self.total.saturating_add(once.saturating_mul(times));
        if self.counts_steps() {
            for step in self.by_step.iter_mut().skip(1) {
                *step += once;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_bytes_are_bounded() {
        let bounds = Bounds { samples_max: 10, memory_bytes_max: 100 };
        let mut budget = Budget::new(bounds, Arc::new(MemoryPool::new(1 << 20)), Arc::default());
        let before = budget.held();
        assert!(budget.take_samples(10).is_ok());
        assert!(matches!(budget.pass_samples(1), Err(Fault::Samples)));
        budget.release_to(before);
        assert!(budget.pass_samples(10).is_ok());
        assert!(budget.take_bytes(100).is_ok());
        assert!(matches!(budget.take_bytes(1), Err(Fault::Memory)));
        assert_eq!(budget.counts().2, 11);
        budget.release_to(before);
        assert!(budget.pass_bytes(100).is_ok());
        assert!(matches!(budget.pass_bytes(101), Err(Fault::Memory)));
        assert!(budget.admit_steps(3).is_ok());
        assert!(matches!(budget.admit_steps(4), Err(Fault::Memory)));
        assert!(matches!(budget.admit_steps(usize::MAX), Err(Fault::Memory)));
    }

    #[test]
    fn the_meter_shows_what_is_held_and_was_read() {
        let meter = Arc::<Meter>::default();
        let bounds = Bounds { samples_max: 10, memory_bytes_max: 100 };
        let mut budget =
            Budget::new(bounds, Arc::new(MemoryPool::new(1 << 20)), Arc::clone(&meter));
        let before = budget.held();
        assert!(budget.take_samples(3).is_ok() && budget.take_bytes(24).is_ok());
        budget.touch(9, 5);
        assert_eq!((meter.samples(), meter.bytes(), meter.samples_read()), (3, 24, 5));
        budget.release_to(before);
        assert_eq!((meter.samples(), meter.bytes(), meter.samples_read()), (0, 0, 5));
    }

    #[test]
    fn queries_together_are_bounded() {
        let pool = Arc::new(MemoryPool::new(2 << 20));
        let bounds = Bounds { samples_max: 10, memory_bytes_max: 1 << 30 };
        let mut one = Budget::new(bounds, Arc::clone(&pool), Arc::default());
        let mut two = Budget::new(bounds, Arc::clone(&pool), Arc::default());
        assert!(one.take_bytes(1 << 20).is_ok());
        assert!(two.take_bytes(1).is_ok());
        let refused = two.take_bytes(1 << 20);
        assert!(matches!(refused, Err(Fault::SharedMemory { bytes_max }) if bytes_max == 2 << 20));
        drop(one);
        assert!(two.take_bytes(0).is_ok());
    }
}
