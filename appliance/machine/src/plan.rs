//! Plan: which thread runs on which core.
//!
//! Path: `topology` → **plan** → `start`, which binds each thread as it begins.

use std::fmt;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::topology::Cpu;

/// Shards at most by default: beyond it a shard has too few targets to be busy.
const SHARDS_MAX: usize = 16;
/// Nice value of the log's thread: a commit is short, and everyone waits for it.
const WAL_NICE: i32 = -12;

/// Which thread runs where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Processor of each shard; more shards than processors share in turn.
    pub shards: Vec<usize>,
    /// Processors of everything else: the log, files, queries, service.
    pub service: Vec<usize>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shards on {:?}, everything else on {:?}", self.shards, self.service)
    }
}

/// The plan for these processors. Whole cores are dealt where there are two: the first, which
/// takes most interrupts, serves; half of the others (all, up to four cores) each carry a shard,
/// and their siblings stay idle. Processors of one core are dealt like cores.
#[must_use]
pub fn plan(cpus: &[Cpu]) -> Plan {
    let mut cores: Vec<Vec<usize>> = Vec::new();
    let mut seen: Vec<usize> = Vec::new();
    let mut by_node: Vec<&Cpu> = cpus.iter().collect();
    by_node.sort_by_key(|cpu| (cpu.node, cpu.core, cpu.number));
    for cpu in by_node {
        match seen.iter().position(|core| *core == cpu.core) {
            Some(at) => cores[at].push(cpu.number),
            None => {
                seen.push(cpu.core);
                cores.push(vec![cpu.number]);
            }
        }
    }
    if cores.len() == 1 {
        cores = cpus.iter().map(|cpu| vec![cpu.number]).collect();
    }
    let count = match cores.len() {
        0 | 1 => {
            let only: Vec<usize> = cores.concat();
            return Plan { shards: only.clone(), service: only };
        }
        cores @ 2..=4 => cores - 1,
        cores => (cores / 2).min(SHARDS_MAX),
    };
    let (service, shards) = cores.split_at(cores.len() - count);
    Plan { shards: shards.iter().map(|core| core[0]).collect(), service: service.concat() }
}

/// Binds the calling thread to `cpus`.
///
/// # Errors
/// The kernel's, when none of them is allowed.
pub fn bind(cpus: &[usize]) -> Result<(), rustix::io::Errno> {
    let mut mask = CpuSet::new();
    cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| mask.set(*cpu));
    sched_setaffinity(None, &mask)
}

/// Raises the calling thread above the others.
///
/// # Errors
/// The kernel's, without CAP_SYS_NICE.
pub(crate) fn raise() -> Result<(), rustix::io::Errno> {
    rustix::process::setpriority_process(None, WAL_NICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cores: &[usize], expected: &str) {
        let cpus: Vec<Cpu> = cores
            .iter()
            .enumerate()
            .map(|(number, core)| Cpu { number, core: *core, node: 0 })
            .collect();
        assert_eq!(plan(&cpus).to_string(), expected);
    }

    #[test]
    fn cores_are_dealt() {
        check(&[0], "shards on [0], everything else on [0]");
        check(&[0, 1], "shards on [1], everything else on [0]");
        check(&[0, 0], "shards on [1], everything else on [0]");
        check(&[0, 0, 2, 2], "shards on [2], everything else on [0, 1]");
        check(&[0, 1, 2, 3], "shards on [1, 2, 3], everything else on [0]");
        check(&[0, 1, 2, 3, 4, 5], "shards on [3, 4, 5], everything else on [0, 1, 2]");
    }
}
