//! Scheduler metrics.

use aya::Ebpf;
use exposition::metrics::Collected;

use crate::abi::{CgroupTimes, HISTOGRAM_WORDS};
use crate::cgroup_names::CgroupNames;
use crate::histogram::{Histogram, Scale};
use crate::per_cpu::{forget, total, totals};

const NANOS_PER_SECOND: f64 = 1e9;

/// Metrics of a cgroup, in order of its words.
const CGROUP: [(&str, &str); 3] = [
    ("ebpf_cgroup_cpu_seconds_total", "Time that tasks of the cgroup ran."),
    (
        "ebpf_cgroup_run_queue_wait_seconds_total",
        "Time that tasks of the cgroup could have run and waited for a CPU.",
    ),
    (
        "ebpf_cgroup_off_cpu_seconds_total",
        "Time that tasks of the cgroup were blocked before they were woken.",
    ),
];

/// Adds run queue and processes, and the times of every cgroup that still has a name; the others
/// are forgotten.
pub(crate) fn collect(ebpf: &mut Ebpf, cgroups: &mut CgroupNames, into: &mut Collected) {
    let run_queue = total::<HISTOGRAM_WORDS>(ebpf, "run_queue", 0);
    Histogram::new(&run_queue).show(
        Scale::Duration,
        "ebpf_run_queue_latency_seconds",
        "Time from being runnable to running, of all tasks.",
        &[],
        into,
    );
    let lifetimes = total::<HISTOGRAM_WORDS>(ebpf, "lifetimes", 0);
    Histogram::new(&lifetimes).show(
        Scale::Duration,
        "ebpf_process_lifetime_seconds",
        "Time from birth to exit of processes.",
        &[],
        into,
    );
    let counters: Vec<f64> = (0..5).map(|at| total::<1>(ebpf, "counters", at)[0] as f64).collect();
    into.counter("ebpf_process_execs_total", "Programs that were executed.", &[], counters[0]);
    for (outcome, count) in [("ok", counters[1]), ("failed", counters[2]), ("signal", counters[3])]
    {
        into.counter(
            "ebpf_process_exits_total",
            "Processes that ended, by how: status 0, another status, a signal.",
            &[("outcome", outcome)],
            count,
        );
    }
    into.counter(
        "ebpf_map_full_total",
        "Events that found no place in a map.",
        &[("map", "cgroups")],
        counters[4],
    );
    collect_cgroups(ebpf, cgroups, into);
}

fn collect_cgroups(ebpf: &mut Ebpf, cgroups: &mut CgroupNames, into: &mut Collected) {
    let times: Vec<(u64, CgroupTimes)> = totals(ebpf, "cgroups");
    if times.iter().any(|(id, _)| cgroups.path(*id).is_none()) {
        cgroups.refresh();
    }
    let mut removed = Vec::new();
    for (id, words) in times {
        let Some(path) = cgroups.path(id) else {
            removed.push(id);
            continue;
        };
        for ((name, help), nanos) in CGROUP.into_iter().zip(words) {
            into.counter(name, help, &[("cgroup", path)], nanos as f64 / NANOS_PER_SECOND);
        }
    }
    forget::<u64, 3>(ebpf, "cgroups", &removed);
}
