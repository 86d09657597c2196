//! Memory and file system metrics.

use std::collections::BTreeMap;

use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use exposition::metrics::Collected;

use crate::abi::{HISTOGRAM_WORDS, OomKill};
use crate::histogram::{Histogram, Scale};
use crate::per_cpu::total;

/// Kills taken from the ring at once.
const KILLS_MAX: usize = 1024;

/// Metrics of the counters from the second on; it counts what found no place in the ring, whose
/// events the first one counts.
const COUNTERS: [(&str, &str); 4] = [
    ("ebpf_oom_kills_unread_total", "Kills that found no place in the ring of events."),
    ("ebpf_page_cache_lookups_total", "Lookups of pages in the page cache."),
    ("ebpf_page_cache_insertions_total", "Pages put into the page cache."),
    ("ebpf_page_cache_faults_total", "Page faults on mapped files."),
];

/// Adds kills by cgroup, counters and reclaim times.
pub(crate) fn collect(ebpf: &Ebpf, killed: &BTreeMap<String, u64>, into: &mut Collected) {
    for (cgroup, kills) in killed {
        let help = "Processes killed for want of memory, by cgroup.";
        into.counter("ebpf_oom_kills_total", help, &[("cgroup", cgroup)], *kills as f64);
    }
    for (at, (name, help)) in (1..).zip(COUNTERS) {
        into.counter(name, help, &[], total::<1>(ebpf, "counters", at)[0] as f64);
    }
    for (at, scope) in (0..).zip(["global", "cgroup"]) {
        let histogram = Histogram::new(&total::<HISTOGRAM_WORDS>(ebpf, "reclaims", at));
        histogram.show(
            Scale::Duration,
            "ebpf_direct_reclaim_duration_seconds",
            "Time that tasks spent reclaiming memory themselves.",
            &[("scope", scope)],
            into,
        );
    }
}

/// Adds the times of fsync.
pub(crate) fn collect_fs(ebpf: &Ebpf, into: &mut Collected) {
    let histogram = Histogram::new(&total::<HISTOGRAM_WORDS>(ebpf, "syncs", 0));
    histogram.show(
        Scale::Duration,
        "ebpf_fsync_duration_seconds",
        "Time in fsync and fdatasync.",
        &[("fs", "ext4")],
        into,
    );
}

/// Takes the kills that were not read.
pub(crate) fn kills(ebpf: &mut Ebpf) -> Vec<OomKill> {
    let Some(map) = ebpf.map_mut("kills") else { return Vec::new() };
    let Ok(mut ring) = RingBuf::<&mut MapData>::try_from(map) else { return Vec::new() };
    let mut kills = Vec::new();
    while kills.len() < KILLS_MAX {
        let Some(event) = ring.next() else { break };
        kills.extend(OomKill::read(&event));
    }
    kills
}
