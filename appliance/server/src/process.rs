//! Process: what this process uses, under the names that every Prometheus client gives.

use std::path::Path;

use exposition::metrics::Collected;

use crate::host::lines::{float, number, read};

/// Ticks a second of the times in `/proc/self/stat`; the kernel's interface fixes it.
const TICKS_PER_SECOND: f64 = 100.0;
/// Field of `/proc/self/stat`, counted from 0 behind the name in brackets: user time, system time,
/// threads, start time, virtual bytes, resident pages (proc(5) counts them from 3).
const FIELDS: [usize; 6] = [11, 12, 17, 19, 20, 21];

/// Adds the process's metrics; what `/proc` does not tell is left out.
pub fn collect(into: &mut Collected) {
    let proc = Path::new("/proc");
    if let Some(stat) = read(proc, "self/stat") {
        collect_stat(&stat, boot_seconds(proc), into);
    }
    if let Some(status) = read(proc, "self/status") {
        collect_mapped(&status, into);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The listing itself has one open.
        let open = u64::try_from(open.count()).unwrap_or(0).saturating_sub(1);
        into.gauge("process_open_fds", "Number of open file descriptors.", &[], float(open));
    }
    if let Some(maximum) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let help = "Maximum number of open file descriptors.";
        into.gauge("process_max_fds", help, &[], float(maximum));
    }
}

/// Threads of the process, 0 when `/proc` does not tell.
#[must_use]
pub fn threads() -> u64 {
    let stat = read(Path::new("/proc"), "self/stat").unwrap_or_default();
    let field = fields(&stat).and_then(|fields| fields[2].parse().ok());
    field.unwrap_or(0)
}

fn boot_seconds(proc: &Path) -> Option<f64> {
    let stat = read(proc, "stat")?;
    number(stat.lines().find_map(|line| line.strip_prefix("btime ")))
}

/// The wanted fields; the name before them may hold spaces and brackets.
fn fields(stat: &str) -> Option<[&str; 6]> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let mut found = [""; 6];
    for (slot, field) in found.iter_mut().zip(FIELDS) {
        *slot = words.get(field)?;
    }
    Some(found)
}

fn collect_stat(stat: &str, boot_seconds: Option<f64>, into: &mut Collected) {
    let Some(fields) = fields(stat) else { return };
    let value = |at: usize| number(Some(fields[at])).unwrap_or(0.0);
    let help = "Total user and system CPU time spent in seconds.";
    into.counter("process_cpu_seconds_total", help, &[], (value(0) + value(1)) / TICKS_PER_SECOND);
    into.gauge("process_threads", "Number of threads.", &[], value(2));
    let help = "Virtual memory size in bytes.";
    into.gauge("process_virtual_memory_bytes", help, &[], value(4));
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let help = "Resident memory size in bytes.";
    into.gauge("process_resident_memory_bytes", help, &[], value(5) * float(page_bytes));
    if let Some(boot_seconds) = boot_seconds {
        let help = "Start time of the process since unix epoch in seconds.";
        let start = boot_seconds + value(3) / TICKS_PER_SECOND;
        into.gauge("process_start_time_seconds", help, &[], start);
    }
}

/// Adds resident memory that is not of the heap: the program itself, and rings.
fn collect_mapped(status: &str, into: &mut Collected) {
    for (field, purpose) in [("RssFile:", "program"), ("RssShmem:", "rings")] {
        let kilobytes = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = kilobytes.and_then(|line| line.split_ascii_whitespace().next());
        if let Some(kilobytes) = kilobytes.and_then(|number| number.parse::<u64>().ok()) {
            into.memory(purpose, kilobytes.saturating_mul(1024));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_behind_a_strange_name_are_found() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 0 0 9 0 500 8192 3 x";
        let mut collected = Collected::default();
        collect_stat(stat, Some(100.0), &mut collected);
        let text = collected.to_text();
        for line in [
            "process_cpu_seconds_total 2\n",
            "process_threads 9\n",
            "process_virtual_memory_bytes 8192\n",
            "process_start_time_seconds 105\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        collect_stat("garbage", None, &mut Collected::default());
    }

    #[test]
    fn this_process_has_descriptors_and_memory() {
        let mut collected = Collected::default();
        collect(&mut collected);
        let text = collected.to_text();
        for name in ["process_open_fds ", "process_max_fds ", "process_resident_memory_bytes "] {
            assert!(text.contains(name), "{name} in {text}");
        }
        assert!(threads() > 0);
    }
}
