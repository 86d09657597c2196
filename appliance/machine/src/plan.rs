//! Plan: which thread runs on which core.
//!
//! Path: `topology`, the configuration → **plan** → `start`, which binds each thread as it begins.

use std::fmt;

use exposition::metrics::Collected;
use rustix::thread::{CpuSet, sched_setaffinity};
use thiserror::Error;

use crate::topology::Cpu;

/// Shards at most by default: beyond it a shard has too few targets to be busy.
const SHARDS_MAX: usize = 16;
/// Nice value of the log's thread: a commit is short, and everyone waits for it.
const WAL_NICE: i32 = -12;

/// What the configuration says of cores; `None` lets the plan decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Processors of the shards.
    pub shards: Option<Vec<usize>>,
    /// Processors of everything else.
    pub service: Option<Vec<usize>>,
}

/// The configuration names a processor that this process may not use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "cresset.cores.{role} names processor {cpu}, which this process may not use: it has \
     {allowed:?}; name some of these, or allow it in AllowedCPUs= or the cpuset of the container"
)]
pub struct PlanError {
    role: &'static str,
    cpu: usize,
    allowed: Vec<usize>,
}

/// Which thread runs where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Processor of each shard; more shards than processors share in turn.
    pub shards: Vec<usize>,
    /// Processors of everything else: the log, files, queries, service.
    pub service: Vec<usize>,
    /// Processors left idle: siblings of those that carry a shard.
    pub idle: Vec<usize>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shards on {:?}, everything else on {:?}", self.shards, self.service)?;
        if self.idle.is_empty() { Ok(()) } else { write!(f, ", idle {:?}", self.idle) }
    }
}

impl Plan {
    /// Processors on which anything of ours runs.
    #[must_use]
    pub fn used(&self) -> Vec<usize> {
        [&self.shards[..], &self.service[..]].concat()
    }

    /// Adds the role of every processor to `into`.
    pub fn collect(&self, into: &mut Collected) {
        let help = "Processors by what the plan of cores has them do.";
        let roles = [("shard", &self.shards), ("service", &self.service), ("idle", &self.idle)];
        for (role, cpus) in roles {
            for cpu in cpus {
                let labels = [("cpu", &*cpu.to_string()), ("role", role)];
                into.gauge("cresset_core_role", help, &labels, 1.0);
            }
        }
    }
}

/// A core and the processors on it.
#[derive(Clone, Debug)]
struct Core {
    cpus: Vec<usize>,
    node: usize,
    interrupts: u64,
}

/// The plan for these processors.
///
/// Whole cores are dealt where there are two: half of them, all but one up to four, each carry a
/// shard, and their siblings stay idle; the others serve. Processors of one core are dealt like
/// cores. Cores that take most of the interrupts serve first, then those of low number; shards are
/// taken from the memory nodes in turn, so that each node's memory carries its part.
///
/// # Errors
/// `wanted` names a processor that is not there.
pub fn plan(cpus: &[Cpu], wanted: &Wanted) -> Result<Plan, PlanError> {
    let allowed: Vec<usize> = cpus.iter().map(|cpu| cpu.number).collect();
    for (role, named) in [("shards", &wanted.shards), ("service", &wanted.service)] {
        if let Some(cpu) = named.iter().flatten().find(|cpu| !allowed.contains(cpu)) {
            return Err(PlanError { role, cpu: *cpu, allowed });
        }
    }
    let (shards, service) = match (&wanted.shards, &wanted.service) {
        (Some(shards), Some(service)) => (shards.clone(), service.clone()),
        (Some(shards), None) => {
            let rest = cores_without(cpus, shards).into_iter().flat_map(|core| core.cpus);
            (shards.clone(), rest.collect())
        }
        (None, Some(service)) => {
            let free = cores_without(cpus, service);
            let carriers = free.iter().map(|core| core.cpus[0]).take(SHARDS_MAX);
            (carriers.collect(), service.clone())
        }
        (None, None) => deal(cores_without(cpus, &[])),
    };
    // Where one side took everything, both share it.
    let or = |own: Vec<usize>, other: &[usize]| if own.is_empty() { other.to_vec() } else { own };
    let (shards, service) = (or(shards.clone(), &service), or(service, &shards));
    let used = |cpu: &usize| shards.contains(cpu) || service.contains(cpu);
    let idle = allowed.into_iter().filter(|cpu| !used(cpu)).collect();
    Ok(Plan { shards: sorted(shards), service: sorted(service), idle })
}

/// Cores on which no processor is `taken`; a single core is dealt by its processors.
fn cores_without(cpus: &[Cpu], taken: &[usize]) -> Vec<Core> {
    let mut cores: Vec<(usize, Core)> = Vec::new();
    for cpu in cpus {
        let interrupts = cpu.interrupts;
        match cores.iter_mut().find(|(number, _)| *number == cpu.core) {
            Some((_, core)) => {
                core.cpus.push(cpu.number);
                core.interrupts = core.interrupts.saturating_add(interrupts);
            }
            None => {
                let core = Core { cpus: vec![cpu.number], node: cpu.node, interrupts };
                cores.push((cpu.core, core));
            }
        }
    }
    let single = cores.len() == 1;
    let mut cores: Vec<Core> = if single {
        let one =
            |cpu: &Cpu| Core { cpus: vec![cpu.number], node: cpu.node, interrupts: cpu.interrupts };
        cpus.iter().map(one).collect()
    } else {
        cores.into_iter().map(|(_, core)| core).collect()
    };
    cores.retain(|core| !core.cpus.iter().any(|cpu| taken.contains(cpu)));
    cores
}

/// Deals whole cores: processors of shards, processors of everything else.
fn deal(mut cores: Vec<Core>) -> (Vec<usize>, Vec<usize>) {
    let count = match cores.len() {
        0 | 1 => {
            let only: Vec<usize> = cores.into_iter().flat_map(|core| core.cpus).collect();
            return (only.clone(), only);
        }
        cores @ 2..=4 => cores - 1,
        cores => (cores / 2).min(SHARDS_MAX),
    };
    // Half more than their part: less is chance, and the plan should not change with it.
    let sum = cores.iter().fold(0u64, |sum, core| sum.saturating_add(core.interrupts));
    let mean = sum / cores.len() as u64;
    let is_busy = |core: &Core| mean.saturating_mul(3) / 2 < core.interrupts;
    // Calm cores of high number last: shards are taken from the end.
    cores.sort_by_key(|core| (!is_busy(core), core.cpus[0]));
    let mut shards = Vec::new();
    let mut nodes: Vec<usize> = cores.iter().map(|core| core.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    for node in nodes.iter().rev().cycle() {
        if shards.len() == count {
            break;
        }
        if let Some(at) = cores.iter().rposition(|core| core.node == *node) {
            shards.push(cores.remove(at).cpus[0]);
        }
    }
    (shards, cores.into_iter().flat_map(|core| core.cpus).collect())
}

fn sorted(mut cpus: Vec<usize>) -> Vec<usize> {
    cpus.sort_unstable();
    cpus.dedup();
    cpus
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

    fn cpu(number: usize, core: usize, node: usize, interrupts: u64) -> Cpu {
        Cpu { number, core, node, interrupts }
    }

    fn planned(cpus: &[Cpu], wanted: &Wanted) -> String {
        plan(cpus, wanted).map_or_else(|error| error.to_string(), |plan| plan.to_string())
    }

    #[track_caller]
    fn check(cores: &[usize], expected: &str) {
        let cpus: Vec<Cpu> =
            cores.iter().enumerate().map(|(number, core)| cpu(number, *core, 0, 0)).collect();
        assert_eq!(planned(&cpus, &Wanted::default()), expected);
    }

    #[test]
    fn cores_are_dealt() {
        check(&[0], "shards on [0], everything else on [0]");
        check(&[0, 1], "shards on [1], everything else on [0]");
        check(&[0, 0], "shards on [1], everything else on [0]");
        check(&[0, 0, 2, 2], "shards on [2], everything else on [0, 1], idle [3]");
        check(&[0, 1, 2, 3], "shards on [1, 2, 3], everything else on [0]");
        check(&[0, 1, 2, 3, 4, 5], "shards on [3, 4, 5], everything else on [0, 1, 2]");
    }

    #[test]
    fn cores_that_take_interrupts_serve() {
        // A virtual machine of two, whose disk interrupts the second.
        let cpus = [cpu(0, 0, 0, 16_000), cpu(1, 1, 0, 260_000)];
        assert_eq!(planned(&cpus, &Wanted::default()), "shards on [0], everything else on [1]");
        let even = [cpu(0, 0, 0, 100_000), cpu(1, 1, 0, 140_000)];
        assert_eq!(planned(&even, &Wanted::default()), "shards on [1], everything else on [0]");
    }

    #[test]
    fn siblings_of_eight_processors_stay_idle_beside_shards() {
        // Four cores of two, numbered as Linux does: siblings are four apart.
        let cpus: Vec<Cpu> = (0..8).map(|number| cpu(number, number % 4, 0, 0)).collect();
        assert_eq!(
            planned(&cpus, &Wanted::default()),
            "shards on [1, 2, 3], everything else on [0, 4], idle [5, 6, 7]"
        );
    }

    #[test]
    fn both_nodes_of_sixty_four_processors_carry_shards() {
        let cpus: Vec<Cpu> = (0..64).map(|number| cpu(number, number, number / 32, 0)).collect();
        let plan = plan(&cpus, &Wanted::default()).unwrap();
        let expected: Vec<usize> = (24..32).chain(56..64).collect();
        assert_eq!(plan.shards, expected);
        assert_eq!((plan.service.len(), plan.idle.len()), (48, 0));
    }

    #[test]
    fn a_cpuset_of_three_is_dealt_by_its_own_numbers() {
        let cpus = [cpu(2, 2, 0, 0), cpu(5, 5, 0, 0), cpu(7, 7, 1, 0)];
        assert_eq!(planned(&cpus, &Wanted::default()), "shards on [5, 7], everything else on [2]");
    }

    #[test]
    fn the_configuration_wins_and_is_held_to_what_is_allowed() {
        let cpus: Vec<Cpu> = (0..4).map(|number| cpu(number, number, 0, 0)).collect();
        let wanted = |shards: Option<&[usize]>, service: Option<&[usize]>| Wanted {
            shards: shards.map(<[usize]>::to_vec),
            service: service.map(<[usize]>::to_vec),
        };
        let shown = |wanted: Wanted| planned(&cpus, &wanted);
        let both = shown(wanted(Some(&[0]), Some(&[3])));
        assert_eq!(both, "shards on [0], everything else on [3], idle [1, 2]");
        let shards = shown(wanted(Some(&[0, 1]), None));
        assert_eq!(shards, "shards on [0, 1], everything else on [2, 3]");
        let service = shown(wanted(None, Some(&[2])));
        assert_eq!(service, "shards on [0, 1, 3], everything else on [2]");
        let all = shown(wanted(Some(&[0, 1, 2, 3]), None));
        assert_eq!(all, "shards on [0, 1, 2, 3], everything else on [0, 1, 2, 3]");
        let refused = shown(wanted(Some(&[9]), None));
        assert!(refused.contains("names processor 9") && refused.contains("[0, 1, 2, 3]"));
    }
}
