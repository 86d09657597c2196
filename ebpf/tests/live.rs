//! The programs in this kernel, each driven by a real load and compared with the kernel's own
//! counters. Without root or capabilities each test says what is missing and ends.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use ebpf::collector::Collector;
use ebpf::loader::{Loaded, Reason};
use exposition::metrics::Collected;

/// The collector, or `None` said aloud.
fn loaded(collector: Collector) -> Option<Loaded> {
    let loaded = Loaded::new(&[collector]);
    let status = &loaded.statuses()[0];
    if status.reason == Reason::Ok {
        return Some(loaded);
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    println!("skipped: {}: {} {}", collector.name(), status.reason, status.detail);
    let kernel_refuses =
        matches!(status.reason, Reason::NoBtf | Reason::NoCapability | Reason::Lockdown);
    assert!(!root || kernel_refuses, "root can load {}: {}", collector.name(), status.detail);
    None
}

fn text(loaded: &mut Loaded) -> String {
    let mut collected = Collected::default();
    loaded.collect(&mut collected);
    collected.to_text()
}

/// Sum of the samples whose line begins with `start`.
fn value(text: &str, start: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(start));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Files that are written and synced.
const SYNCS: u32 = 8;

fn proc_counter(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).expect("the test machine does this");
    let line = text
        .lines()
        .find(|line| line.split(' ').next() == Some(name))
        .expect("the test machine does this");
    line.rsplit(' ')
        .next()
        .expect("the test machine does this")
        .parse()
        .expect("the test machine does this")
}

#[test]
fn context_switches_fill_the_run_queue() {
    let Some(mut loaded) = loaded(Collector::Sched) else { return };
    let switches = proc_counter("/proc/stat", "ctxt");
    let before = text(&mut loaded);
    for _ in 0..20 {
        assert!(Command::new("true").status().expect("the test machine does this").success());
    }
    let failed = Command::new("false").status().expect("the test machine does this");
    assert!(!failed.success());
    let after = text(&mut loaded);
    let switches = proc_counter("/proc/stat", "ctxt") - switches;
    let grew = |start: &str| value(&after, start) - value(&before, start);
    let ran = grew("ebpf_run_queue_latency_seconds_count");
    assert!(20.0 <= ran, "{after}");
    // Every wait ends with a switch; switches to the idle task end none.
    assert!(ran <= 1.05 * switches + 100.0, "{ran} waits, {switches} switches by /proc/stat");
    assert!(21.0 <= grew("ebpf_process_execs_total"), "{after}");
    assert!(20.0 <= grew("ebpf_process_exits_total{outcome=\"ok\"}"), "{after}");
    assert!(1.0 <= grew("ebpf_process_exits_total{outcome=\"failed\"}"), "{after}");
    assert!(21.0 <= grew("ebpf_process_lifetime_seconds_count"), "{after}");
}

#[test]
fn waiting_for_a_processor_is_counted_by_processor() {
    let Some(loaded) = loaded(Collector::Sched) else { return };
    let waited = || loaded.pressure(&[0], None).waiting_nanos.expect("every program runs");
    let before = waited();
    // Two that never rest, on one processor: one of them always waits.
    let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let run = || Command::new("taskset").args(["-c", "0", "sh", "-c", busy]).spawn();
    let (Ok(mut one), Ok(mut other)) = (run(), run()) else {
        println!("skipped: no taskset");
        return;
    };
    let ended = [one.wait(), other.wait()];
    assert!(ended.iter().flatten().all(std::process::ExitStatus::success), "{ended:?}");
    let waited = waited() - before;
    assert!(50_000_000 < waited, "two tasks of one processor waited {waited} ns");
}

#[test]
fn cpu_time_goes_to_a_cgroup() {
    let Some(mut loaded) = loaded(Collector::Sched) else { return };
    let before = text(&mut loaded);
    let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    assert!(
        Command::new("sh")
            .args(["-c", busy])
            .status()
            .expect("the test machine does this")
            .success()
    );
    let after = text(&mut loaded);
    let grew = value(&after, "ebpf_cgroup_cpu_seconds_total")
        - value(&before, "ebpf_cgroup_cpu_seconds_total");
    assert!(0.01 < grew, "a busy loop ran for {grew} s");
}

#[test]
fn writes_to_a_disk_are_those_of_diskstats() {
    let Some(mut loaded) = loaded(Collector::Block) else { return };
    let directory =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the test machine does this");
    let file = directory.path().join("direct");
    let before = (text(&mut loaded), completed_writes());
    let written = Command::new("dd")
        .args(["if=/dev/zero", &format!("of={}", file.display()), "bs=4096", "count=500"])
        .args(["oflag=direct", "status=none"])
        .status()
        .expect("the test machine does this");
    if !written.success() {
        println!("skipped: the file system of the target directory has no direct writes");
        return;
    }
    let after = (text(&mut loaded), completed_writes());
    let name = "ebpf_block_io_duration_seconds_count";
    let writes = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with(name));
        let lines = lines.filter(|line| line.contains("operation=\"write\""));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let (ours, kernels) = (writes(&after.0) - writes(&before.0), after.1 - before.1);
    assert!(500.0 <= ours, "{ours} writes seen");
    // Others write meanwhile, between the two reads of each side: a tenth, and twenty.
    assert!((ours - kernels).abs() <= 0.1 * kernels + 20.0, "{ours} of {kernels}");
}

/// Writes of all disks by the kernel's own count.
fn completed_writes() -> f64 {
    let text = fs::read_to_string("/proc/diskstats").expect("the test machine does this");
    let disks = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    // Partitions count what their disk counts already.
    let whole =
        disks.filter(|words| fs::exists(format!("/sys/block/{}", words[2])).unwrap_or(false));
    whole.map(|words| words[7].parse::<f64>().expect("the test machine does this")).sum()
}

#[test]
fn connects_and_refusals_are_counted() {
    let Some(mut loaded) = loaded(Collector::Tcp) else { return };
    let before = text(&mut loaded);
    let listener = TcpListener::bind("127.0.0.1:0").expect("the test machine does this");
    let address = listener.local_addr().expect("the test machine does this");
    for _ in 0..10 {
        let mut client = TcpStream::connect(address).expect("the test machine does this");
        let (server, _) = listener.accept().expect("the test machine does this");
        client.write_all(b"x").expect("the test machine does this");
        drop((client, server));
    }
    drop(listener);
    for _ in 0..5 {
        assert!(TcpStream::connect(address).is_err());
    }
    let after = text(&mut loaded);
    let grew = |start: &str| value(&after, start) - value(&before, start);
    assert!(10.0 <= grew("ebpf_tcp_connect_duration_seconds_count"), "{after}");
    assert!(5.0 <= grew("ebpf_tcp_connect_failures_total"), "{after}");
    assert!(5.0 <= grew("ebpf_tcp_resets_total{direction=\"sent\""), "{after}");
    assert!(after.contains("ebpf_packet_drops_total{reason=\"no_socket\"}"), "{after}");
}

/// Set in the process that runs a test again inside of something.
const INSIDE: &str = "CRESSET_TEST_INSIDE";

/// Runs the test `name` of this program again by `command`, and gives what it printed.
fn inside(command: &[&str], name: &str) -> Option<String> {
    let program = std::env::current_exe().expect("the test machine does this");
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(program)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        other => {
            println!("skipped: {} does not run {name}: {other:?}", command.join(" "));
            None
        }
    }
}

/// The second line of a pair in `/proc/net/snmp`, by the first one's names.
fn tcp_counter(name: &str) -> f64 {
    let text = fs::read_to_string("/proc/net/snmp").expect("the test machine does this");
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let mut pairs = names.split(' ').zip(values.split(' '));
    let value = pairs.find(|(own, _)| *own == name).map(|(_, value)| value.parse());
    value.expect("the kernel counts it").expect("a number")
}

/// Connects to an address that nobody has behind a link that is up, and prints how often that was
/// sent again.
fn connect_into_the_void() {
    let commands = "ip link add v0 type veth peer name v1 && ip link set v1 up \
                    && ip link set v0 up && ip addr add 10.9.0.1/24 dev v0 \
                    && ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:09 dev v0";
    let done = Command::new("sh").args(["-c", commands]).status();
    assert!(done.expect("the test machine does this").success(), "{commands}");
    let nobody = "10.9.0.2:9".parse().expect("an address");
    // The kernel sends again after one second, and then once or several times more.
    let connected = TcpStream::connect_timeout(&nobody, Duration::from_millis(3500));
    assert!(connected.is_err(), "nobody answers");
    println!("sent again: {}", tcp_counter("RetransSegs"));
}

#[test]
fn retransmissions_of_a_namespace_are_seen_here() {
    if std::env::var_os(INSIDE).is_some() {
        return connect_into_the_void();
    }
    let Some(mut loaded) = loaded(Collector::Tcp) else { return };
    let name = "retransmissions_of_a_namespace_are_seen_here";
    let before = (text(&mut loaded), tcp_counter("RetransSegs"));
    let Some(said) = inside(&["unshare", "--net"], name) else { return };
    let after = (text(&mut loaded), tcp_counter("RetransSegs"));
    let there = said.lines().find_map(|line| line.split("sent again: ").nth(1)?.parse().ok());
    let there: f64 = there.expect("it prints what it sent again");
    assert!(1.0 <= there, "nothing was sent again: {said}");
    let start = "ebpf_tcp_retransmits_total";
    let ours = value(&after.0, start) - value(&before.0, start);
    let here = after.1 - before.1;
    // Other namespaces may send again meanwhile; a call may send several segments.
    assert!(
        there / 2.0 <= ours && ours <= 2.0 * (there + here) + 20.0,
        "{ours} of {there} + {here}"
    );
    println!("{ours} seen, {there} by that namespace's /proc, {here} by ours");
}

#[test]
fn without_capabilities_every_collector_says_so() {
    if std::env::var_os(INSIDE).is_some() {
        let loaded = Loaded::new(&Collector::DEFAULT);
        for status in loaded.statuses() {
            println!("{}: {}", status.collector.name(), status.reason);
        }
        return;
    }
    let name = "without_capabilities_every_collector_says_so";
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let Some(said) = inside(&nobody, name) else { return };
    for collector in Collector::DEFAULT {
        let line = |reason| said.contains(&format!("{}: {reason}", collector.name()));
        assert!(line(Reason::NoCapability) || line(Reason::NoBtf), "{said}");
    }
}

#[test]
fn software_interrupts_are_timed() {
    let Some(mut loaded) = loaded(Collector::Irq) else { return };
    let before = text(&mut loaded);
    let listener = TcpListener::bind("127.0.0.1:0").expect("the test machine does this");
    for _ in 0..50 {
        drop(
            TcpStream::connect(listener.local_addr().expect("the test machine does this"))
                .expect("the test machine does this"),
        );
    }
    let after = text(&mut loaded);
    let start = "ebpf_softirq_duration_seconds_count{vector=\"net_rx\"}";
    assert!(50.0 <= value(&after, start) - value(&before, start), "{after}");
}

#[test]
fn pages_enter_the_cache_and_syncs_are_timed() {
    let Some(mut memory) = loaded(Collector::Mm) else { return };
    let Some(mut files) = loaded(Collector::Fs) else { return };
    let before = (text(&mut memory), text(&mut files));
    let directory =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the test machine does this");
    for number in 0..SYNCS {
        let path = directory.path().join(format!("cached-{number}"));
        let synced = Command::new("dd")
            .args(["if=/dev/zero", &format!("of={}", path.display()), "bs=65536", "count=8"])
            .args(["conv=fsync", "status=none"])
            .status()
            .expect("the test machine does this");
        assert!(synced.success());
    }
    let after = (text(&mut memory), text(&mut files));
    let start = "ebpf_page_cache_insertions_total";
    // Eight files of 128 pages each; a folio may hold several.
    assert!(f64::from(SYNCS) <= value(&after.0, start) - value(&before.0, start), "{}", after.0);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the test machine does this");
    if mounts.contains(" ext4 ") {
        let start = "ebpf_fsync_duration_seconds_count";
        let seen = value(&after.1, start) - value(&before.1, start);
        assert!(f64::from(SYNCS) <= seen, "{seen} of {SYNCS} syncs: {}", after.1);
    }
}

#[test]
fn a_kill_for_want_of_memory_is_counted_and_named() {
    let Some(mut loaded) = loaded(Collector::Mm) else { return };
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the test machine does this");
    let memory = mounts.lines().find(|line| {
        line.contains(" cgroup ") && line.split(' ').nth(3).is_some_and(|o| o.contains("memory"))
    });
    let Some(root) = memory.and_then(|line| line.split(' ').nth(1)) else {
        println!("skipped: no memory cgroup of the first version to confine the victim in");
        return;
    };
    let group = format!("{root}/cresset-test-{}", std::process::id());
    if fs::create_dir(&group).is_err() {
        println!("skipped: {root} cannot be written");
        return;
    }
    fs::write(format!("{group}/memory.limit_in_bytes"), "33554432")
        .expect("the test machine does this");
    let before = (text(&mut loaded), proc_counter("/proc/vmstat", "oom_kill"));
    let script = format!(
        "echo $$ > {group}/cgroup.procs; exec dd if=/dev/zero of=/dev/null bs=200M count=1"
    );
    let victim =
        Command::new("sh").args(["-c", &script]).output().expect("the test machine does this");
    let after = (text(&mut loaded), proc_counter("/proc/vmstat", "oom_kill"));
    let _ = fs::remove_dir(&group);
    assert!(!victim.status.success(), "the victim is killed");
    let grew = value(&after.0, "ebpf_oom_kills_total") - value(&before.0, "ebpf_oom_kills_total");
    assert_eq!(grew, after.1 - before.1, "as the kernel counts");
    assert!(after.0.contains("ebpf_oom_kills_total{cgroup=\""), "by cgroup: {}", after.0);
    let kills = loaded.kills();
    assert!(kills.iter().any(|(kill, _)| kill.comm == "dd"), "{kills:?}");
}

#[test]
fn nothing_stays_behind() {
    let Some(first) = loaded(Collector::Fs) else { return };
    drop(first);
    let Some(mut again) = loaded(Collector::Fs) else { return };
    let start = "ebpf_fsync_duration_seconds_count";
    // A map that had outlived its programs would not begin at nothing; others may sync meanwhile.
    assert!(value(&text(&mut again), start) < 1000.0);
}
