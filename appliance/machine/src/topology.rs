//! Topology: the processors that this process may use, and how they lie.
//!
//! Path: `/sys`, the affinity mask → **topology** → `plan`.

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
}

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
    numbers.map(|number| describe(sys, number)).collect()
}

fn describe(sys: &Path, number: usize) -> Cpu {
    let siblings = sys.join(format!("cpu/cpu{number}/topology/thread_siblings_list"));
    let siblings = fs::read_to_string(siblings).map(|text| parse_list(&text));
    let core = siblings.ok().and_then(|list| list.first().copied()).unwrap_or(number);
    Cpu { number, core, node: node_of(&sys.join("node"), number) }
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
fn parse_list(text: &str) -> Vec<usize> {
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
    fn this_machine_has_a_processor() {
        let cpus = allowed();
        assert!(!cpus.is_empty());
        assert!(cpus.windows(2).all(|pair| pair[0].number < pair[1].number));
    }
}
