//! TCP metrics.

use std::collections::BTreeMap;

use aya::Ebpf;
use exposition::metrics::Collected;

use crate::abi::{HISTOGRAM_WORDS, ResetKey, RetransmitKey};
use crate::histogram::{Histogram, Scale};
use crate::names;
use crate::per_cpu::{total, totals};

/// Names of the kernel's reasons, by number.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    pub(crate) drops: BTreeMap<u32, String>,
    pub(crate) resets: BTreeMap<u32, String>,
}

/// Adds retransmissions, connects, round trips, resets and drops.
pub(crate) fn collect(ebpf: &Ebpf, reasons: &Reasons, into: &mut Collected) {
    for ([family, state], [count]) in totals::<RetransmitKey, 1>(ebpf, "retransmits") {
        into.counter(
            "ebpf_tcp_retransmits_total",
            "Segments sent again, in all network namespaces.",
            &[("family", names::family(family)), ("state", names::tcp_state(state))],
            count as f64,
        );
    }
    let counter = |at| total::<1>(ebpf, "counters", at)[0] as f64;
    into.counter(
        "ebpf_tcp_synack_retransmits_total",
        "SYN-ACK segments sent again.",
        &[],
        counter(0),
    );
    into.counter(
        "ebpf_tcp_connect_failures_total",
        "Outgoing connections that failed.",
        &[],
        counter(1),
    );
    let durations = [
        ("ebpf_tcp_rtt_seconds", "Smoothed round trip time of connections when they close."),
        ("ebpf_tcp_connect_duration_seconds", "Time to connect outgoing connections."),
    ];
    for (at, (name, help)) in (0..).zip(durations) {
        let histogram = Histogram::new(&total::<HISTOGRAM_WORDS>(ebpf, "durations", at));
        histogram.show(Scale::Duration, name, help, &[], into);
    }
    for ([received, reason], [count]) in totals::<ResetKey, 1>(ebpf, "resets") {
        let direction = if received == 0 { "sent" } else { "received" };
        let reason = if received == 0 { named(&reasons.resets, reason) } else { String::new() };
        into.counter(
            "ebpf_tcp_resets_total",
            "Resets of TCP connections; the reason where the kernel gives one.",
            &[("direction", direction), ("reason", &reason)],
            count as f64,
        );
    }
    for (reason, [count]) in totals::<u32, 1>(ebpf, "drops") {
        into.counter(
            "ebpf_packet_drops_total",
            "Packets that were freed without being delivered, by reason.",
            &[("reason", &named(&reasons.drops, reason))],
            count as f64,
        );
    }
}

fn named(names: &BTreeMap<u32, String>, reason: u32) -> String {
    names.get(&reason).cloned().unwrap_or_else(|| reason.to_string())
}
