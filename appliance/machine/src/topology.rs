//! Topology: the processors that this process may use, how they lie, and what interrupts them.
//!
//! Path: `/sys`, `/proc`, the affinity mask → **topology** → `plan`.

use std::fs;
use std::path::Path;

use rustix::thread::{CpuSet, sched_getaffinity};

/// One processor of those allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub number: usize,
    /// Lowest number among the processors that share its core.
    pub core: usize,
    /// Its memory node.
    pub node: usize,
    /// Interrupts of devices that it took since the machine started, those of its own timers and
    /// of other processors left out.
    pub interrupts: u64,
}

/// Soft interrupts that devices cause.
const SOFT: [&str; 5] = ["NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET"];
/// Lines of a table that are looked at.
const LINES_MAX: usize = 65_536;

/// The processors that the affinity mask allows (a cgroup's cpuset narrows that mask too), by
/// number. Never empty.
#[must_use]
pub fn allowed() -> Vec<Cpu> {
    let mask = sched_getaffinity(None).unwrap_or_else(|_| {
        let mut first = CpuSet::new();
        first.set(0);
        first
    });
    let numbers = (0..CpuSet::MAX_CPU).filter(|number| mask.is_set(*number));
    let sys = Path::new("/sys/devices/system");
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut interrupts = Vec::new();
    // Hard ones have numbers for names; named ones are the processors' own.
    let of_device = |name: &str| name.parse::<u32>().is_ok();
    add_table(&read("/proc/interrupts"), of_device, &mut interrupts);
    add_table(&read("/proc/softirqs"), |name| SOFT.contains(&name), &mut interrupts);
    numbers.map(|number| describe(sys, number, &interrupts)).collect()
}

/// Adds the lines of a table with a column a processor whose name `wanted` accepts.
fn add_table(text: &str, wanted: impl Fn(&str) -> bool, into: &mut Vec<u64>) {
    let mut lines = text.lines().take(LINES_MAX);
    let header = lines.next().unwrap_or_default();
    let cpus: Vec<usize> = header
        .split_ascii_whitespace()
        .map_while(|word| word.strip_prefix("CPU")?.parse().ok())
        .filter(|cpu| *cpu < CpuSet::MAX_CPU)
        .collect();
    let count = cpus.iter().max().map_or(0, |last| last + 1).max(into.len());
    into.resize(count, 0);
    for line in lines {
        let Some((name, rest)) = line.split_once(':') else { continue };
        if !wanted(name.trim()) {
            continue;
        }
        for (cpu, word) in cpus.iter().zip(rest.split_ascii_whitespace()) {
            into[*cpu] = into[*cpu].saturating_add(word.parse().unwrap_or(0));
        }
    }
}

fn describe(sys: &Path, number: usize, interrupts: &[u64]) -> Cpu {
    let siblings = sys.join(format!("cpu/cpu{number}/topology/thread_siblings_list"));
    let siblings = fs::read_to_string(siblings).map(|text| parse_list(&text));
    let core = siblings.ok().and_then(|list| list.first().copied()).unwrap_or(number);
    let interrupts = interrupts.get(number).copied().unwrap_or(0);
    Cpu { number, core, node: node_of(&sys.join("node"), number), interrupts }
}

fn node_of(nodes: &Path, number: usize) -> usize {
    let Ok(entries) = fs::read_dir(nodes) else { return 0 };
    let found = entries.flatten().find_map(|entry| {
        let node: usize = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
        let list = fs::read_to_string(entry.path().join("cpulist")).ok()?;
        parse_list(&list).contains(&number).then_some(node)
    });
    found.unwrap_or(0)
}

/// A list as the kernel writes it: `0-3,8,10-11`. What is no number is left out.
#[must_use]
pub fn parse_list(text: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            numbers.extend(first..=last.min(first + CpuSet::MAX_CPU));
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert!(parse_list("").is_empty());
        assert_eq!(parse_list("x,2"), vec![2]);
    }

    #[test]
    fn interrupts_of_devices_are_added_up_by_processor() {
        let mut found = Vec::new();
        let hard = "           CPU0       CPU2       \n 24:  1  5  IO-APIC  5-edge  ACPI\n\
                    LOC: 9 9\nERR: 3\n";
        add_table(hard, |name| name.parse::<u32>().is_ok(), &mut found);
        let soft = "   CPU0   CPU1\n TIMER: 7 7\n NET_RX: 10 20\n BLOCK: x\n";
        add_table(soft, |name| SOFT.contains(&name), &mut found);
        assert_eq!(found, [11, 20, 5]);
    }

    #[test]
    fn this_machine_has_a_processor() {
        let cpus = allowed();
        assert!(!cpus.is_empty());
        assert!(cpus.windows(2).all(|pair| pair[0].number < pair[1].number));
    }
}
