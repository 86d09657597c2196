//! Block device metrics.

use aya::Ebpf;
use exposition::metrics::Collected;

use crate::abi::{BLOCK_ERRORS, BLOCK_QUEUE, BLOCK_SERVICE, BLOCK_SIZE, BlockKey, HISTOGRAM_WORDS};
use crate::histogram::{Histogram, Scale};
use crate::names;
use crate::per_cpu::{total, totals};

/// Histograms of a device: metric, help, scale, where it begins.
const HISTOGRAMS: [(&str, &str, Scale, usize); 3] = [
    (
        "ebpf_block_io_duration_seconds",
        "Time from dispatch to completion of block requests.",
        Scale::Duration,
        BLOCK_SERVICE,
    ),
    (
        "ebpf_block_io_queue_seconds",
        "Time that block requests waited for their dispatch.",
        Scale::Duration,
        BLOCK_QUEUE,
    ),
    ("ebpf_block_io_size_bytes", "Size of block requests.", Scale::Size, BLOCK_SIZE),
];

/// Adds every device and operation; `diskstats` names the devices.
pub(crate) fn collect(ebpf: &Ebpf, diskstats: &str, into: &mut Collected) {
    for (key, words) in totals::<BlockKey, { BLOCK_ERRORS + 1 }>(ebpf, "devices") {
        let [major, minor, operation] = key;
        let numbers = format!("{major}:{minor}");
        let device = names::disk(diskstats, major, minor).unwrap_or(&numbers);
        let labels = [("device", device), ("operation", names::block_operation(operation))];
        for (name, help, scale, start) in HISTOGRAMS {
            let histogram = Histogram::new(&words[start..start + HISTOGRAM_WORDS]);
            histogram.show(scale, name, help, &labels, into);
        }
        into.counter(
            "ebpf_block_io_errors_total",
            "Block requests that ended with an error.",
            &labels,
            words[BLOCK_ERRORS] as f64,
        );
    }
    into.counter(
        "ebpf_map_full_total",
        "Events that found no place in a map.",
        &[("map", "devices")],
        total::<1>(ebpf, "full", 0)[0] as f64,
    );
}
