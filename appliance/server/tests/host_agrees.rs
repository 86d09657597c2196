//! `/metrics/host` beside Debian's node_exporter on this machine: same names, labels, types and
//! values, but for what the page about the machine names; and what dashboards and alerts ask for.
//!
//! A peer or test data that is not there is said aloud.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use exposition::metrics::Collected;
use model::time::TimestampMs;

use crate::server::{Server, request, wait_for};

#[path = "process/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

const PAGE: &str = include_str!("../../docs/operating/host.md");
/// How the families of the collectors begin that we have.
const OURS: [&str; 20] = [
    "node_arp_",
    "node_boot_time_",
    "node_context_switches_",
    "node_cpu_",
    "node_disk_",
    "node_entropy_",
    "node_filefd_",
    "node_filesystem_",
    "node_forks_",
    "node_intr_",
    "node_load",
    "node_memory_",
    "node_netstat_",
    "node_network_",
    "node_os_",
    "node_pressure_",
    "node_procs_",
    "node_schedstat_",
    "node_sockstat_",
    "node_softnet_",
];
const MORE: [&str; 5] =
    ["node_textfile_", "node_time_", "node_uname_", "node_vmstat_", "node_nf_conntrack_"];
/// Values that others change at any moment: their series are compared alone.
const RESTLESS: [&str; 9] = [
    "node_procs_",
    "node_sockstat_",
    "node_disk_io_now",
    "node_filefd_allocated",
    "node_load",
    "node_netstat_Tcp_CurrEstab",
    "node_entropy_available_bits",
    "node_arp_",
    "node_nf_conntrack_entries",
];
/// Part of the total by which memory and file systems may change between two readings.
const SLACK: f64 = 0.10;

/// Series and values, and the types of families.
#[derive(Debug, Default)]
struct Page {
    values: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Page {
    fn read(text: &str) -> Page {
        let mut page = Page::default();
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
            {
                page.types.insert(name.to_owned(), kind.to_owned());
            } else if let Some((series, value)) = line.rsplit_once(' ')
                && is_ours(series)
            {
                let series = series.replace("device_error=\"\",", "");
                page.values.insert(series, value.parse().unwrap_or(f64::NAN));
            }
        }
        page
    }
}

fn is_ours(series: &str) -> bool {
    OURS.iter().chain(&MORE).any(|start| series.starts_with(start))
}

fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

fn own() -> Page {
    let mut collected = Collected::default();
    let directory = tempfile::tempdir().expect("a directory");
    let (proc, sys) = (Path::new("/proc"), Path::new("/sys"));
    ::server::host::collect(proc, sys, TimestampMs(0), &mut collected);
    ::server::host::textfile::collect(directory.path(), &mut collected);
    Page::read(&collected.to_text())
}

/// node_exporter; it ends with the test.
struct Exporter(Child);

impl Drop for Exporter {
    fn drop(&mut self) {
        // One that has ended already is no fault.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The page of node_exporter; `None` where it is not installed, which is said.
fn exported() -> Option<Page> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address: SocketAddr = listener.local_addr().expect("an address");
    drop(listener);
    let directory = tempfile::tempdir().expect("a directory");
    let started = Command::new("prometheus-node-exporter")
        .arg(format!("--web.listen-address={address}"))
        .arg(format!("--collector.textfile.directory={}", directory.path().display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else {
        println!("skipped: prometheus-node-exporter is not installed");
        return None;
    };
    let _exporter = Exporter(child);
    let text = wait_for("node_exporter", || match request(address, "GET", "/metrics") {
        Ok((200, body)) => Ok(body),
        other => Err(format!("{other:?}")),
    });
    Some(Page::read(&text))
}

/// Whether the page about the machine names the difference.
fn is_named(series: &str) -> bool {
    let name = name_of(series);
    let zram = series.contains("device=\"zram") && name.starts_with("node_disk_");
    let loopback = series.contains("device=\"lo\"") && name.starts_with("node_network_");
    // node_exporter looks at the mounts of process 1, we at our own.
    let first = std::fs::read_to_string("/proc/1/mounts").unwrap_or_default();
    let place = series.split("mountpoint=\"").nth(1).and_then(|rest| rest.split('"').next());
    let place = format!(" {} ", place.unwrap_or_default());
    // Debian's leaves out what lies below these.
    let kept_out = ["/mnt", "/media", "/run"].iter().any(|root| place.trim().starts_with(root));
    let elsewhere = name.starts_with("node_filesystem_") && (kept_out || !first.contains(&place));
    let families = ["node_disk_info", "node_time_zone_offset_seconds"].contains(&name);
    // Of these collectors we have what is named, and the rest is left out.
    let netclass = name.starts_with("node_network_")
        && !["_carrier", "_mtu_bytes", "_speed_bytes", "_up"].iter().any(|end| name.ends_with(end))
        && !name.ends_with("_total");
    let netclass = netclass || name.contains("_carrier_") || name.ends_with("_nohandler_total");
    let conntrack = name.starts_with("node_nf_conntrack_stat_");
    let fields = ["OutErrors", "TCPOFOQueue", "TCPRcvQDrop"].iter().any(|end| name.ends_with(end));
    zram || loopback || elsewhere || families || netclass || conntrack || fields
}

#[test]
fn node_exporter_says_the_same() {
    let before = own();
    let Some(theirs) = exported() else { return };
    let after = own();
    let mut wrong = Vec::new();
    for series in theirs.values.keys().filter(|series| !is_named(series)) {
        if !after.values.contains_key(series) {
            wrong.push(format!("only node_exporter has {series}"));
        }
    }
    for series in after.values.keys().filter(|series| !is_named(series)) {
        // A mount or a device may come while they are asked.
        if before.values.contains_key(series) && !theirs.values.contains_key(series) {
            wrong.push(format!("only we have {series}"));
        }
    }
    for (series, value) in &theirs.values {
        let (Some(first), Some(last)) = (before.values.get(series), after.values.get(series))
        else {
            continue;
        };
        let kind = theirs.types.get(name_of(series));
        if kind != after.types.get(name_of(series)) {
            let own = after.types.get(name_of(series));
            wrong.push(format!("{series} is {own:?}, theirs {kind:?}"));
        }
        if !is_between(series, *first, *value, *last, &after) {
            wrong.push(format!("{series}: {first}, then theirs {value}, then {last}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(300 < theirs.values.len(), "{} series", theirs.values.len());
    println!("{} series of node_exporter, {} ours", theirs.values.len(), after.values.len());
}

/// Whether what was read between two of our readings lies between their values.
fn is_between(series: &str, first: f64, value: f64, last: f64, page: &Page) -> bool {
    if RESTLESS.iter().any(|start| series.starts_with(start)) {
        return true;
    }
    let total = |name: &str| page.values.get(name).copied().unwrap_or(0.0);
    let slack = if series.starts_with("node_memory_") {
        SLACK * total("node_memory_MemTotal_bytes")
    } else if series.starts_with("node_filesystem_") {
        SLACK * last.abs()
    } else if series.starts_with("node_time_seconds") {
        f64::INFINITY
    } else {
        // Idle time of processors goes back by a tick at times.
        0.02
    };
    first.min(last) - slack <= value && value <= first.max(last) + slack
}

/// Metrics of node_exporter in the files below the test data.
fn asked_for(file: &str) -> Option<BTreeSet<String>> {
    let Some(root) = std::env::var_os("CRESSET_TESTDATA").map(PathBuf::from) else {
        println!("skipped {file}: CRESSET_TESTDATA names no test data");
        return None;
    };
    let Ok(text) = std::fs::read_to_string(root.join(file)) else {
        println!("skipped: no {file} in {}", root.display());
        return None;
    };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    Some(words.filter(|word| word.starts_with("node_")).map(str::to_owned).collect())
}

/// Metrics that the page about the machine says are not there, by how they begin; further what
/// this kernel or machine may not have.
const NOT_THERE: [&str; 15] = [
    "node_memory_HardwareCorrupted_bytes",
    "node_bonding_",
    "node_cooling_device_",
    "node_cpu_scaling_frequency_hertz",
    "node_hwmon_",
    "node_md_",
    "node_power_supply_",
    "node_processes_",
    "node_softnet_received_rps_total",
    "node_systemd_",
    "node_tcp_connection_states",
    "node_timex_",
    "node_udp_queues",
    "node_pressure_irq_",
    "node_schedstat_",
];

#[test]
fn dashboards_and_alerts_find_their_metrics() {
    let page = own();
    let names: BTreeSet<&str> = page.values.keys().map(|series| name_of(series)).collect();
    for file in [
        "rfmoz-grafana-dashboards/queries/node-exporter-full.json",
        "monitoring-mixins/rules/node-exporter.alerts.yaml",
    ] {
        let Some(asked) = asked_for(file) else { continue };
        assert!(20 < asked.len(), "{file} asks for {} metrics", asked.len());
        // Recording rules and jobs are called node_ too, and a name with `:` is cut there.
        let missing = asked.iter().filter(|name| !names.contains(name.as_str()));
        let missing: Vec<&String> = missing
            .filter(|name| !NOT_THERE.iter().any(|start| name.starts_with(start)))
            .filter(|name| name.contains("_exporter") || is_ours(name))
            .collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
    }
}

#[test]
fn the_page_names_what_is_not_there() {
    for start in ["node_timex_", "node_udp_queues", "node_processes_", "node_systemd_"] {
        assert!(PAGE.contains(start), "{start} is not on the page about the machine");
    }
}

#[test]
fn an_ordinary_user_has_everything_but_kernel_events() {
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let mut command = Command::new("setpriv");
    if root {
        std::fs::create_dir(&data).expect("a directory");
        let gave = Command::new("chown").args(["-R", "65534:65534"]).arg(directory.path()).status();
        assert!(gave.is_ok_and(|status| status.success()), "the directory is given away");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    } else {
        command.args(["--no-new-privs", "--"]);
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        println!("skipped: setpriv is not installed");
        return;
    }
    command
        .arg(env!("CARGO_BIN_EXE_cresset"))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let server = Server::spawn(&mut command);
    let refused =
        "cresset_host_collector_available{collector=\"sched\",reason=\"no_capability\"} 0";
    // Programs are tried while the server is ready already.
    let page = wait_for("kernel events", || match server.get("/metrics/host") {
        Ok((_, page)) if page.contains(refused) || page.contains("reason=\"no_btf\"") => Ok(page),
        other => Err(format!("{other:?}")),
    });
    assert!(page.contains("node_cpu_seconds_total{"), "{page}");
    let (_, own) = server.get("/metrics").expect("an answer");
    assert!(own.contains("cresset_pace_readings_total{signal=\"run_queue\"}"), "{own}");
    assert!(own.contains("cresset_core_role{"), "{own}");
}
