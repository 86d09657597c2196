//! Loader: brings the programs into the kernel and reads what they counted.
//!
//! Path: server start → **loader** → kernel; `/metrics/host` → **loader** → `read`.
//! Owns: the programs; dropping it takes them out of the kernel.
//!
//! Loading wants CAP_BPF and CAP_PERFMON, reading wants nothing: load early, then drop them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Error, ErrorKind};
use std::os::fd::OwnedFd;

use aya::maps::MapError;
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, BtfError, Ebpf, EbpfError, EbpfLoader};
use exposition::metrics::Collected;

use crate::abi::OomKill;
use crate::btf::enumeration;
use crate::cgroup_names::CgroupNames;
use crate::collector::Collector;
use crate::names::reason as short;
use crate::pressure::{self, Pressure};
use crate::read::tcp::Reasons;
use crate::read::{block, calls, irq, mm, sched, tcp};

/// Kills that wait to be told of; more are counted only.
const PENDING_MAX: usize = 1024;
/// Cgroups whose kills are told apart; further ones are counted without their name.
const KILLED_MAX: usize = 1024;
const BTF_FILE: &str = "/sys/kernel/btf/vmlinux";

/// Why a collector or a program is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is there.
    Ok,
    /// CAP_BPF or CAP_PERFMON is missing.
    NoCapability,
    /// The kernel gives no type information (CONFIG_DEBUG_INFO_BTF).
    NoBtf,
    /// The kernel has no such tracepoint.
    NoHook,
    /// The kernel's verifier refused the program.
    Verifier,
    /// The kernel is locked down.
    Lockdown,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Ok => "ok",
            Reason::NoCapability => "no_capability",
            Reason::NoBtf => "no_btf",
            Reason::NoHook => "no_hook",
            Reason::Verifier => "verifier",
            Reason::Lockdown => "lockdown",
        })
    }
}

/// What became of one collector.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which one.
    pub collector: Collector,
    /// Whether it counts, and if not, why.
    pub reason: Reason,
    /// The kernel's text; empty when there is nothing to say.
    pub detail: String,
    /// Its programs that could not be attached, and why.
    pub missing: Vec<(&'static str, Reason)>,
}

/// The programs in the kernel.
pub struct Loaded {
    statuses: Vec<Status>,
    programs: BTreeMap<Collector, Ebpf>,
    cgroups: CgroupNames,
    reasons: Reasons,
    /// Kills that nobody was told of yet, at most `PENDING_MAX`.
    pending: Vec<(OomKill, String)>,
    /// Kills by the path of their cgroup, which may be gone when they are asked for.
    killed: BTreeMap<String, u64>,
}

impl Loaded {
    /// Loads and attaches `collectors`, each as far as kernel and capabilities let it.
    #[must_use]
    pub fn new(collectors: &[Collector]) -> Loaded {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mut loaded = Loaded {
            statuses: Vec::new(),
            programs: BTreeMap::new(),
            cgroups: CgroupNames::new(&mounts),
            reasons: Reasons::default(),
            pending: Vec::new(),
            // The one without a name is there from the start: its first kill is an increase.
            killed: BTreeMap::from([(String::new(), 0)]),
        };
        let btf = match Btf::from_sys_fs() {
            Ok(btf) => btf,
            Err(error) => {
                for collector in collectors {
                    loaded.statuses.push(refused(*collector, Reason::NoBtf, error.to_string()));
                }
                return loaded;
            }
        };
        for collector in collectors {
            let status = match load(*collector, &btf) {
                Ok((ebpf, status)) => {
                    if status.reason == Reason::Ok {
                        loaded.programs.insert(*collector, ebpf);
                    }
                    status
                }
                Err(error) => refused(*collector, reason_of(&error), chain(&error)),
            };
            loaded.statuses.push(status);
        }
        if loaded.programs.contains_key(&Collector::Tcp) {
            loaded.reasons = reasons();
        }
        loaded
    }

    /// What became of each collector, in the order asked for.
    #[must_use]
    pub fn statuses(&self) -> &[Status] {
        &self.statuses
    }

    /// Adds everything that was counted since the programs were loaded.
    pub fn collect(&mut self, into: &mut Collected) {
        self.drain_kills();
        for status in &self.statuses {
            let labels =
                [("collector", status.collector.name()), ("reason", &*status.reason.to_string())];
            into.gauge(
                "cresset_host_collector_available",
                "Whether a collector of kernel events counts, and why not.",
                &labels,
                if status.reason == Reason::Ok { 1.0 } else { 0.0 },
            );
        }
        self.collect_programs(into);
        for (collector, ebpf) in &mut self.programs {
            match collector {
                Collector::Sched => sched::collect(ebpf, &mut self.cgroups, into),
                Collector::Block => block::collect(ebpf, &read("/proc/diskstats"), into),
                Collector::Tcp => tcp::collect(ebpf, &self.reasons, into),
                Collector::Irq => irq::collect(ebpf, &read("/proc/interrupts"), into),
                Collector::Mm => mm::collect(ebpf, &self.killed, into),
                Collector::Fs => mm::collect_fs(ebpf, into),
                Collector::Sys => calls::collect(ebpf, into),
            }
        }
    }

    /// What was counted of `cpus` and `disk` by collectors all of whose programs run.
    #[must_use]
    pub fn pressure(&self, cpus: &[usize], disk: Option<(u32, u32)>) -> Pressure {
        Pressure {
            waiting_nanos: self.whole(Collector::Sched).and_then(|e| pressure::waiting(e, cpus)),
            interrupt_nanos: self.whole(Collector::Irq).and_then(|e| pressure::interrupts(e, cpus)),
            requests: self
                .whole(Collector::Block)
                .zip(disk)
                .map(|(ebpf, disk)| pressure::requests(ebpf, disk)),
        }
    }

    /// The programs of a collector of which none is missing.
    fn whole(&self, collector: Collector) -> Option<&Ebpf> {
        let status = self.statuses.iter().find(|status| status.collector == collector)?;
        self.programs.get(&collector).filter(|_| status.missing.is_empty())
    }

    /// Runs and times of the programs, which the kernel counts while `kernel.bpf_stats_enabled`.
    fn collect_programs(&self, into: &mut Collected) {
        for ebpf in self.programs.values() {
            for (name, program) in ebpf.programs() {
                let Ok(found) = program.info() else { continue };
                if found.run_count() == 0 {
                    continue;
                }
                let labels = [("program", name)];
                into.counter(
                    "ebpf_program_runs_total",
                    "Runs of a program while the kernel counts them.",
                    &labels,
                    found.run_count() as f64,
                );
                into.counter(
                    "ebpf_program_run_seconds_total",
                    "Time in a program while the kernel counts it.",
                    &labels,
                    found.run_time().as_secs_f64(),
                );
            }
        }
    }

    /// Processes that were killed for want of memory since the last call, and their cgroups' names.
    pub fn kills(&mut self) -> Vec<(OomKill, String)> {
        self.drain_kills();
        std::mem::take(&mut self.pending)
    }

    /// Takes what the ring has, and names cgroups while they are there.
    fn drain_kills(&mut self) {
        let Some(ebpf) = self.programs.get_mut(&Collector::Mm) else { return };
        let kills = mm::kills(ebpf);
        if kills.iter().any(|kill| self.cgroups.path(kill.cgroup).is_none()) {
            self.cgroups.refresh();
        }
        for kill in kills {
            let path = self.cgroups.path(kill.cgroup).unwrap_or_default().to_owned();
            let known = self.killed.contains_key(&path) || self.killed.len() < KILLED_MAX;
            *self.killed.entry(if known { path.clone() } else { String::new() }).or_insert(0) += 1;
            if self.pending.len() < PENDING_MAX {
                self.pending.push((kill, path));
            }
        }
    }
}

/// Has the kernel count runs and times of programs, at some 50 ns a run, until what this gives is
/// dropped.
///
/// # Errors
/// The kernel's refusal: it takes CAP_SYS_ADMIN.
pub fn count_runs() -> std::io::Result<OwnedFd> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|error| error.io_error)
}

fn refused(collector: Collector, reason: Reason, detail: String) -> Status {
    let missing = collector.programs().iter().map(|program| (*program, reason)).collect();
    Status { collector, reason, detail, missing }
}

fn load(collector: Collector, btf: &Btf) -> Result<(Ebpf, Status), EbpfError> {
    let mut ebpf = EbpfLoader::new()
        .btf(Some(btf))
        // Task storage: the kernel knows it, the loader only passes it on.
        .allow_unsupported_maps()
        .load(collector.object())?;
    let mut status =
        Status { collector, reason: Reason::Ok, detail: String::new(), missing: Vec::new() };
    for name in collector.programs() {
        if let Err(error) = attach(&mut ebpf, name, btf) {
            let reason = reason_of_program(&error);
            status.detail = format!("{name}: {}", chain(&error));
            status.missing.push((*name, reason));
        }
    }
    if status.missing.len() == collector.programs().len() {
        status.reason = status.missing[0].1;
    }
    Ok((ebpf, status))
}

fn attach(ebpf: &mut Ebpf, name: &str, btf: &Btf) -> Result<(), ProgramError> {
    let program = ebpf.program_mut(name).expect("the object has every program of its table");
    let program: &mut BtfTracePoint = program.try_into()?;
    program.load(name, btf)?;
    program.attach()?;
    Ok(())
}

fn reason_of(error: &EbpfError) -> Reason {
    match error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => refusal(io_error),
        EbpfError::BtfError(_) => Reason::NoBtf,
        EbpfError::ProgramError(error) => reason_of_program(error),
        _ => Reason::Verifier,
    }
}

fn reason_of_program(error: &ProgramError) -> Reason {
    match error {
        ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }) => Reason::NoHook,
        // The verifier writes a log; a want of capability does not come that far.
        ProgramError::LoadError { io_error, verifier_log }
            if verifier_log.to_string().trim().is_empty() =>
        {
            refusal(io_error)
        }
        ProgramError::SyscallError(error) => refusal(&error.io_error),
        _ => Reason::Verifier,
    }
}

fn refusal(error: &Error) -> Reason {
    if error.kind() != ErrorKind::PermissionDenied {
        return Reason::Verifier;
    }
    let lockdown = read("/sys/kernel/security/lockdown");
    if lockdown.contains("[confidentiality]") { Reason::Lockdown } else { Reason::NoCapability }
}

/// The error and its causes, without the verifier's pages.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.lines().next().unwrap_or_default().to_owned()
}

fn reasons() -> Reasons {
    let btf = fs::read(BTF_FILE).unwrap_or_default();
    let names = |enumeration_name: &str, prefix: &str| {
        let values = enumeration(&btf, enumeration_name).into_iter();
        values.map(|(value, name)| (value, short(&name, prefix))).collect()
    };
    Reasons {
        drops: names("skb_drop_reason", "SKB_DROP_REASON_"),
        resets: names("sk_rst_reason", "SK_RST_REASON_"),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
