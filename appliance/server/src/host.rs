//! Host: metrics of the machine, from `/proc`, under node_exporter's names.
//!
//! Path: `/metrics/host` → **host** → `kernel`, `devices`, `filesystems`, `textfile` → exposition.
//! Never: fails; what a kernel does not tell is left out, and its collector says so.

use std::path::Path;

use exposition::metrics::Collected;
use model::time::TimestampMs;

pub mod lines;

pub mod devices;
pub mod filesystems;
pub mod kernel;
pub mod network;
pub mod system;
pub mod textfile;

/// Adds the machine's metrics, read under `proc` (and `sys` beside it).
pub fn collect(proc: &Path, sys: &Path, now: TimestampMs, into: &mut Collected) {
    into.gauge(
        "node_time_seconds",
        "System time in seconds since epoch (1970).",
        &[],
        lines::float_signed(now.0) / 1000.0,
    );
    kernel::uname(into);
    system::clock_sources(sys, into);
    entries(proc, into);
    let collectors = [
        ("time", Some(())),
        ("uname", Some(())),
        ("schedstat", lines::read(proc, "schedstat").map(|text| kernel::schedstat(&text, into))),
        ("softnet", lines::read(proc, "net/softnet_stat").map(|t| network::softnet(&t, into))),
        ("arp", lines::read(proc, "net/arp").map(|text| network::arp(&text, into))),
        ("cpu", lines::read(proc, "stat").map(drop)),
        ("stat", lines::read(proc, "stat").map(|text| kernel::stat(&text, into))),
        ("loadavg", lines::read(proc, "loadavg").map(|text| kernel::loadavg(&text, into))),
        ("meminfo", lines::read(proc, "meminfo").map(|text| kernel::meminfo(&text, into))),
        ("pressure", pressure(proc, into)),
        ("filefd", lines::read(proc, "sys/fs/file-nr").map(|text| kernel::file_nr(&text, into))),
        ("diskstats", lines::read(proc, "diskstats").map(|text| devices::disks(&text, into))),
        ("netdev", lines::read(proc, "net/dev").map(|text| devices::network(&text, sys, into))),
        ("netstat", netstat(proc, into)),
        ("sockstat", sockstat(proc, into)),
        ("vmstat", lines::read(proc, "vmstat").map(|text| system::vmstat(&text, into))),
        ("os", lines::read(Path::new("/etc"), "os-release").map(|t| system::release(&t, into))),
        ("filesystem", lines::read(proc, "self/mounts").map(|text| filesystems::all(&text, into))),
    ];
    for (collector, done) in collectors {
        into.gauge(
            "node_scrape_collector_success",
            "Whether a collector succeeded.",
            &[("collector", collector)],
            if done.is_some() { 1.0 } else { 0.0 },
        );
    }
}

/// Tables of the kernel that may fill, each a file with one number.
fn entries(proc: &Path, into: &mut Collected) {
    let files = [
        (
            "node_nf_conntrack_entries",
            "Number of currently allocated flow entries for connection tracking.",
            "sys/net/netfilter/nf_conntrack_count",
        ),
        (
            "node_nf_conntrack_entries_limit",
            "Maximum size of connection tracking table.",
            "sys/net/netfilter/nf_conntrack_max",
        ),
        (
            "node_entropy_available_bits",
            "Bits of available entropy.",
            "sys/kernel/random/entropy_avail",
        ),
        ("node_entropy_pool_size_bits", "Bits of entropy pool.", "sys/kernel/random/poolsize"),
    ];
    for (name, help, file) in files {
        kernel::single(name, help, lines::read(proc, file), into);
    }
}

fn netstat(proc: &Path, into: &mut Collected) -> Option<()> {
    let paired: Vec<String> =
        ["net/netstat", "net/snmp"].iter().filter_map(|name| lines::read(proc, name)).collect();
    network::netstat(&paired, lines::read(proc, "net/snmp6").as_deref(), into);
    (!paired.is_empty()).then_some(())
}

fn sockstat(proc: &Path, into: &mut Collected) -> Option<()> {
    let names = ["net/sockstat", "net/sockstat6"];
    let texts: Vec<String> = names.iter().filter_map(|name| lines::read(proc, name)).collect();
    network::sockstat(&texts, into);
    (!texts.is_empty()).then_some(())
}

/// Present when any of the three files is.
fn pressure(proc: &Path, into: &mut Collected) -> Option<()> {
    let mut found = None;
    for resource in ["cpu", "memory", "io", "irq"] {
        if let Some(text) = lines::read(proc, &format!("pressure/{resource}")) {
            kernel::pressure(resource, &text, into);
            found = Some(());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_proc_still_has_a_time() {
        let nowhere = Path::new("/nonexistent");
        let mut collected = Collected::default();
        collect(nowhere, nowhere, TimestampMs(1_500), &mut collected);
        let text = collected.to_text();
        assert!(text.contains("node_time_seconds 1.5\n"), "{text}");
        assert!(text.contains("node_scrape_collector_success{collector=\"stat\"} 0\n"), "{text}");
    }

    #[test]
    fn this_machine_has_processors_and_memory() {
        let mut collected = Collected::default();
        collect(Path::new("/proc"), Path::new("/sys"), TimestampMs(0), &mut collected);
        let text = collected.to_text();
        for name in ["node_cpu_seconds_total{cpu=\"0\"", "node_memory_MemTotal_bytes", "node_load1"]
        {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
}
