//! Pressure: what the programs counted of some processors and of one disk, as sums that only rise.
//!
//! Path: `loader` → **pressure** → the machine's controller.

use aya::Ebpf;

use crate::abi::{BLOCK_ERRORS, BLOCK_SERVICE, BlockKey, HISTOGRAM_WORDS, SLOTS};
use crate::names::VECTORS;
use crate::per_cpu::{element, elements, totals};

/// Sums since the programs were loaded; `None` where they are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Nanoseconds that tasks waited for a processor, mean of processors.
    pub waiting_nanos: Option<u64>,
    /// Nanoseconds that a processor spent in interrupts, mean of processors.
    pub interrupt_nanos: Option<u64>,
    /// Requests to the disk, and nanoseconds from their dispatch to their completion.
    pub requests: Option<(u64, u64)>,
}

/// Time that tasks waited for one of `cpus`.
pub(crate) fn waiting(ebpf: &Ebpf, cpus: &[usize]) -> Option<u64> {
    let histograms = element::<HISTOGRAM_WORDS>(ebpf, "run_queue", 0);
    sum_of(&histograms, cpus).checked_div(cpus.len() as u64)
}

/// Time that `cpus` spent in hard and soft interrupts.
pub(crate) fn interrupts(ebpf: &Ebpf, cpus: &[usize]) -> Option<u64> {
    let vectors = (0..).zip(VECTORS).map(|(at, _)| element(ebpf, "vectors", at));
    let lines = elements::<u32, HISTOGRAM_WORDS>(ebpf, "lines").into_iter();
    let all = vectors.chain(lines.map(|(_, histograms)| histograms));
    all.map(|histograms| sum_of(&histograms, cpus))
        .fold(0, u64::saturating_add)
        .checked_div(cpus.len() as u64)
}

/// Requests to one disk, of every operation.
pub(crate) fn requests(ebpf: &Ebpf, disk: (u32, u32)) -> (u64, u64) {
    let mut sum = (0u64, 0u64);
    for ([major, minor, _], words) in totals::<BlockKey, { BLOCK_ERRORS + 1 }>(ebpf, "devices") {
        if (major, minor) == disk {
            let slots = &words[BLOCK_SERVICE..BLOCK_SERVICE + SLOTS];
            sum.0 = slots.iter().copied().fold(sum.0, u64::saturating_add);
            sum.1 = sum.1.saturating_add(words[BLOCK_SERVICE + SLOTS]);
        }
    }
    sum
}

/// Sums of the histograms of `cpus`, of which there is one a possible processor.
fn sum_of(histograms: &[[u64; HISTOGRAM_WORDS]], cpus: &[usize]) -> u64 {
    let own = cpus.iter().filter_map(|cpu| histograms.get(*cpu));
    own.map(|words| words[SLOTS]).fold(0, u64::saturating_add)
}
