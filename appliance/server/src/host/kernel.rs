//! Kernel: processors, memory, load, pressure and counters of the kernel itself.

use exposition::metrics::Collected;

use crate::host::lines::{LINES_MAX, number};

/// Ticks a second of the counters in `/proc/stat`; the kernel's interface fixes it.
const TICKS_PER_SECOND: f64 = 100.0;

/// Those of virtual machines, whose time `user` and `nice` hold too.
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// Keys of `/proc/meminfo` and the metrics they become; values are kilobytes unless the key counts
/// pages.
const MEMORY: [(&str, &str); 58] = [
    ("HardwareCorrupted", "node_memory_HardwareCorrupted_bytes"),
    ("CmaTotal", "node_memory_CmaTotal_bytes"),
    ("CmaFree", "node_memory_CmaFree_bytes"),
    ("Unaccepted", "node_memory_Unaccepted_bytes"),
    ("MemTotal", "node_memory_MemTotal_bytes"),
    ("MemFree", "node_memory_MemFree_bytes"),
    ("MemAvailable", "node_memory_MemAvailable_bytes"),
    ("Buffers", "node_memory_Buffers_bytes"),
    ("Cached", "node_memory_Cached_bytes"),
    ("SwapCached", "node_memory_SwapCached_bytes"),
    ("Active", "node_memory_Active_bytes"),
    ("Inactive", "node_memory_Inactive_bytes"),
    ("Active(anon)", "node_memory_Active_anon_bytes"),
    ("Inactive(anon)", "node_memory_Inactive_anon_bytes"),
    ("Active(file)", "node_memory_Active_file_bytes"),
    ("Inactive(file)", "node_memory_Inactive_file_bytes"),
    ("Unevictable", "node_memory_Unevictable_bytes"),
    ("Mlocked", "node_memory_Mlocked_bytes"),
    ("SwapTotal", "node_memory_SwapTotal_bytes"),
    ("SwapFree", "node_memory_SwapFree_bytes"),
    ("Dirty", "node_memory_Dirty_bytes"),
    ("Writeback", "node_memory_Writeback_bytes"),
    ("AnonPages", "node_memory_AnonPages_bytes"),
    ("Mapped", "node_memory_Mapped_bytes"),
    ("Shmem", "node_memory_Shmem_bytes"),
    ("KReclaimable", "node_memory_KReclaimable_bytes"),
    ("Slab", "node_memory_Slab_bytes"),
    ("SReclaimable", "node_memory_SReclaimable_bytes"),
    ("SUnreclaim", "node_memory_SUnreclaim_bytes"),
    ("KernelStack", "node_memory_KernelStack_bytes"),
    ("PageTables", "node_memory_PageTables_bytes"),
    ("CommitLimit", "node_memory_CommitLimit_bytes"),
    ("Committed_AS", "node_memory_Committed_AS_bytes"),
    ("VmallocTotal", "node_memory_VmallocTotal_bytes"),
    ("VmallocUsed", "node_memory_VmallocUsed_bytes"),
    ("Percpu", "node_memory_Percpu_bytes"),
    ("AnonHugePages", "node_memory_AnonHugePages_bytes"),
    ("Hugepagesize", "node_memory_Hugepagesize_bytes"),
    ("Hugetlb", "node_memory_Hugetlb_bytes"),
    ("HugePages_Total", "node_memory_HugePages_Total"),
    ("HugePages_Free", "node_memory_HugePages_Free"),
    ("DirectMap2M", "node_memory_DirectMap2M_bytes"),
    ("Bounce", "node_memory_Bounce_bytes"),
    ("NFS_Unstable", "node_memory_NFS_Unstable_bytes"),
    ("WritebackTmp", "node_memory_WritebackTmp_bytes"),
    ("VmallocChunk", "node_memory_VmallocChunk_bytes"),
    ("SecPageTables", "node_memory_SecPageTables_bytes"),
    ("ShmemHugePages", "node_memory_ShmemHugePages_bytes"),
    ("ShmemPmdMapped", "node_memory_ShmemPmdMapped_bytes"),
    ("FileHugePages", "node_memory_FileHugePages_bytes"),
    ("FilePmdMapped", "node_memory_FilePmdMapped_bytes"),
    ("Balloon", "node_memory_Balloon_bytes"),
    ("Zswap", "node_memory_Zswap_bytes"),
    ("Zswapped", "node_memory_Zswapped_bytes"),
    ("DirectMap4k", "node_memory_DirectMap4k_bytes"),
    ("DirectMap1G", "node_memory_DirectMap1G_bytes"),
    ("HugePages_Rsvd", "node_memory_HugePages_Rsvd"),
    ("HugePages_Surp", "node_memory_HugePages_Surp"),
];

/// `/proc/stat`
pub fn stat(text: &str, into: &mut Collected) {
    for line in text.lines().take(LINES_MAX) {
        let mut words = line.split_ascii_whitespace();
        let Some(key) = words.next() else { continue };
        if let Some(cpu) = key.strip_prefix("cpu").filter(|cpu| !cpu.is_empty()) {
            processor(cpu, words, into);
            continue;
        }
        let Some(value) = number(words.next()) else { continue };
        match key {
            "btime" => {
                into.gauge("node_boot_time_seconds", "Node boot time, in unixtime.", &[], value);
            }
            "ctxt" => {
                let help = "Total number of context switches.";
                into.counter("node_context_switches_total", help, &[], value);
            }
            "intr" => {
                let help = "Total number of interrupts serviced.";
                into.counter("node_intr_total", help, &[], value);
            }
            "processes" => {
                into.counter("node_forks_total", "Total number of forks.", &[], value);
            }
            "procs_running" => {
                let help = "Number of processes in runnable state.";
                into.gauge("node_procs_running", help, &[], value);
            }
            "procs_blocked" => {
                let help = "Number of processes blocked waiting for I/O to complete.";
                into.gauge("node_procs_blocked", help, &[], value);
            }
            _ => {}
        }
    }
}

/// The numbers of one processor's line.
fn processor<'a>(cpu: &str, mut words: impl Iterator<Item = &'a str>, into: &mut Collected) {
    let (name, help) = ("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.");
    for (mode, ticks) in MODES.iter().zip(words.by_ref()) {
        if let Some(ticks) = number(Some(ticks)) {
            let labels = [("cpu", cpu), ("mode", *mode)];
            into.counter(name, help, &labels, ticks / TICKS_PER_SECOND);
        }
    }
    let name = "node_cpu_guest_seconds_total";
    let help = "Seconds the CPUs spent in guests (VMs) for each mode.";
    for (mode, ticks) in GUEST_MODES.iter().zip(words) {
        if let Some(ticks) = number(Some(ticks)) {
            let labels = [("cpu", cpu), ("mode", *mode)];
            into.counter(name, help, &labels, ticks / TICKS_PER_SECOND);
        }
    }
}

/// `/proc/schedstat`: time that tasks ran and waited, and how often they were let run.
pub fn schedstat(text: &str, into: &mut Collected) {
    for line in text.lines().take(LINES_MAX) {
        let mut words = line.split_ascii_whitespace();
        let Some(cpu) = words.next().and_then(|word| word.strip_prefix("cpu")) else { continue };
        let numbers: Vec<f64> = words.filter_map(|word| number(Some(word))).collect();
        let Some([running, waiting, slices]) = numbers.get(6..9) else { continue };
        let values = [
            ("node_schedstat_running_seconds_total", running / 1e9),
            ("node_schedstat_waiting_seconds_total", waiting / 1e9),
            ("node_schedstat_timeslices_total", *slices),
        ];
        for (name, value) in values {
            into.counter(name, "Scheduler statistics of a processor.", &[("cpu", cpu)], value);
        }
    }
}

/// Files with one number each.
pub fn single(name: &'static str, help: &'static str, text: Option<String>, into: &mut Collected) {
    if let Some(value) = number(text.as_deref().map(str::trim)) {
        into.gauge(name, help, &[], value);
    }
}

/// `/proc/loadavg`
pub fn loadavg(text: &str, into: &mut Collected) {
    let names = [
        ("node_load1", "1m load average."),
        ("node_load5", "5m load average."),
        ("node_load15", "15m load average."),
    ];
    for ((name, help), load) in names.into_iter().zip(text.split_ascii_whitespace()) {
        if let Some(load) = number(Some(load)) {
            into.gauge(name, help, &[], load);
        }
    }
}

/// `/proc/meminfo`
pub fn meminfo(text: &str, into: &mut Collected) {
    for line in text.lines().take(LINES_MAX) {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let Some((_, name)) = MEMORY.iter().find(|(known, _)| *known == key) else { continue };
        let mut words = rest.split_ascii_whitespace();
        let Some(value) = number(words.next()) else { continue };
        let unit = if words.next() == Some("kB") { 1024.0 } else { 1.0 };
        into.gauge(name, "Memory information field of /proc/meminfo.", &[], value * unit);
    }
}

/// `/proc/pressure/<resource>`; the kernel counts microseconds.
pub fn pressure(resource: &str, text: &str, into: &mut Collected) {
    for line in text.lines().take(LINES_MAX) {
        let Some((kind, rest)) = line.split_once(' ') else { continue };
        let total = rest.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="));
        let Some(micros) = number(total) else { continue };
        let (name, help) = match (resource, kind) {
            ("cpu", "some") => (
                "node_pressure_cpu_waiting_seconds_total",
                "Total time in seconds that processes have waited for CPU time",
            ),
            ("memory", "some") => (
                "node_pressure_memory_waiting_seconds_total",
                "Total time in seconds that processes have waited for memory",
            ),
            ("memory", "full") => (
                "node_pressure_memory_stalled_seconds_total",
                "Total time in seconds no process could make progress due to memory congestion",
            ),
            ("io", "some") => (
                "node_pressure_io_waiting_seconds_total",
                "Total time in seconds that processes have waited due to IO congestion",
            ),
            ("io", "full") => (
                "node_pressure_io_stalled_seconds_total",
                "Total time in seconds no process could make progress due to IO congestion",
            ),
            ("irq", "full") => (
                "node_pressure_irq_stalled_seconds_total",
                "Total time in seconds no process could make progress due to IRQ congestion",
            ),
            _ => continue,
        };
        into.counter(name, help, &[], micros / 1e6);
    }
}

/// `/proc/sys/fs/file-nr`
pub fn file_nr(text: &str, into: &mut Collected) {
    let mut words = text.split_ascii_whitespace();
    let (allocated, maximum) = (number(words.next()), number(words.nth(1)));
    if let (Some(allocated), Some(maximum)) = (allocated, maximum) {
        let help = "File descriptor statistics: allocated.";
        into.gauge("node_filefd_allocated", help, &[], allocated);
        let help = "File descriptor statistics: maximum.";
        into.gauge("node_filefd_maximum", help, &[], maximum);
    }
}

/// What the kernel calls itself.
pub fn uname(into: &mut Collected) {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let help = "Labeled system information as provided by the uname system call.";
    into.gauge(
        "node_uname_info",
        help,
        &[
            ("sysname", &text(name.sysname())),
            ("release", &text(name.release())),
            ("version", &text(name.version())),
            ("machine", &text(name.machine())),
            ("nodename", &text(name.nodename())),
            ("domainname", &text(name.domainname())),
        ],
        1.0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(collect: impl Fn(&mut Collected), lines: &[&str]) {
        let mut collected = Collected::default();
        collect(&mut collected);
        let text = collected.to_text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, lines);
    }

    #[test]
    fn processors_are_counted_in_seconds() {
        let text =
            "cpu  1 2 3\ncpu0 100 0 250 x 0 0 0 0 50 0\nintr 7 1 2\nctxt 9\nbtime 5\nsoftirq 1\n";
        check(
            |into| stat(text, into),
            &[
                "node_boot_time_seconds 5",
                "node_context_switches_total 9",
                "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"nice\"} 0",
                "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"} 0.5",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"} 0",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"irq\"} 0",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"nice\"} 0",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"softirq\"} 0",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 0",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 2.5",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1",
                "node_intr_total 7",
            ],
        );
    }

    #[test]
    fn processors_run_and_wait_in_seconds() {
        check(
            |into| schedstat("version 17\ncpu0 0 0 1 2 3 4 2500000000 500000000 9\n", into),
            &[
                "node_schedstat_running_seconds_total{cpu=\"0\"} 2.5",
                "node_schedstat_timeslices_total{cpu=\"0\"} 9",
                "node_schedstat_waiting_seconds_total{cpu=\"0\"} 0.5",
            ],
        );
        check(|into| schedstat("cpu0 1 2\n", into), &[]);
    }

    #[test]
    fn memory_is_in_bytes() {
        let text = "MemTotal:  2 kB\nActive(anon): 1 kB\nHugePages_Total: 3\nStrange: 1 kB\nbad\n";
        check(
            |into| meminfo(text, into),
            &[
                "node_memory_Active_anon_bytes 1024",
                "node_memory_HugePages_Total 3",
                "node_memory_MemTotal_bytes 2048",
            ],
        );
    }

    #[test]
    fn pressure_is_in_seconds() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull total=1000000\n";
        check(
            |into| pressure("io", text, into),
            &[
                "node_pressure_io_stalled_seconds_total 1",
                "node_pressure_io_waiting_seconds_total 2.5",
            ],
        );
        check(|into| pressure("cpu", "garbage", into), &[]);
    }

    #[test]
    fn load_and_files_are_gauges() {
        check(
            |into| loadavg("0.5 1 1.5 1/2 3\n", into),
            &["node_load1 0.5", "node_load15 1.5", "node_load5 1"],
        );
        check(
            |into| file_nr("10\t0\t100\n", into),
            &["node_filefd_allocated 10", "node_filefd_maximum 100"],
        );
    }
}
