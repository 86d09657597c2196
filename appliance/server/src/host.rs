//! Host: metrics of the machine, from `/proc`, under node_exporter's names.
//!
//! Path: `/metrics/host` → **host** → `kernel`, `devices`, `filesystems` → exposition.
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

/// Adds the machine's metrics, read under `proc` (and `sys` beside it).
pub fn collect(proc: &Path, sys: &Path, now: TimestampMs, into: &mut Collected) {
    into.gauge(
        "node_time_seconds",
        "System time in seconds since epoch (1970).",
        &[],
        lines::float_signed(now.0) / 1000.0,
    );
    kernel::uname(into);
    let collectors = [
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
    for resource in ["cpu", "memory", "io"] {
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
