//! Interrupt metrics.

use aya::Ebpf;
use exposition::metrics::Collected;

use crate::abi::HISTOGRAM_WORDS;
use crate::histogram::{Histogram, Scale};
use crate::names;
use crate::per_cpu::{total, totals};

/// Adds every vector and line; `interrupts` names the devices of lines.
pub(crate) fn collect(ebpf: &Ebpf, interrupts: &str, into: &mut Collected) {
    for (at, vector) in (0..).zip(names::VECTORS) {
        let histogram = Histogram::new(&total::<HISTOGRAM_WORDS>(ebpf, "vectors", at));
        histogram.show(
            Scale::Duration,
            "ebpf_softirq_duration_seconds",
            "Time in software interrupts.",
            &[("vector", vector)],
            into,
        );
    }
    for (line, words) in totals::<u32, HISTOGRAM_WORDS>(ebpf, "lines") {
        let histogram = Histogram::new(&words);
        let device = names::interrupt_device(interrupts, line).unwrap_or_default();
        histogram.show(
            Scale::Duration,
            "ebpf_irq_duration_seconds",
            "Time in interrupt handlers.",
            &[("irq", &line.to_string()), ("device", device)],
            into,
        );
    }
}
