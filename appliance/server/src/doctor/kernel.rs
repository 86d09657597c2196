//! Kernel: version, io_uring, what it tells and lets us load.

use std::path::Path;

use machine::probe::probe;
use rustix::thread::{CapabilitySet, capabilities};

use crate::doctor::checkup::Check;
use crate::host::lines::read;

/// Deferred completions of io_uring came with it.
const KERNEL_MIN: (u32, u32) = (6, 1);

/// All findings about the kernel itself.
#[must_use]
pub fn examine(proc: &Path, sys: &Path) -> Vec<Check> {
    let release = read(proc, "sys/kernel/osrelease").unwrap_or_default();
    vec![
        version(release.trim()),
        ring(probe().ring),
        types(sys.join("kernel/btf/vmlinux").exists()),
        pressure(proc.join("pressure/io").exists()),
    ]
}

/// Whether this process may load programs into the kernel; a running server has given that up.
#[must_use]
pub fn examine_programs(sys: &Path) -> Check {
    let lockdown = read(sys, "kernel/security/lockdown").unwrap_or_default();
    let may_load = capabilities(None)
        .is_ok_and(|held| held.effective.contains(CapabilitySet::BPF | CapabilitySet::PERFMON));
    loading(may_load, lockdown.contains("[confidentiality]"))
}

fn version(release: &str) -> Check {
    let mut numbers = release.split(['.', '-']).map(str::parse);
    let found = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    };
    if KERNEL_MIN <= found {
        return Check::ok("kernel", release);
    }
    let advice = "shards wake up more often than they must: run Linux 6.1 or later";
    Check::without("kernel", release, advice)
}

fn ring(found: Result<(), String>) -> Check {
    match found {
        Ok(()) => Check::ok("io_uring", "every operation is there"),
        Err(reason) => {
            let advice = "epoll takes over, with more system calls: allow io_uring_setup, _enter \
                          and _register, and sysctl -w kernel.io_uring_disabled=0";
            Check::without("io_uring", reason, advice)
        }
    }
}

fn types(there: bool) -> Check {
    if there {
        return Check::ok("kernel types", "/sys/kernel/btf/vmlinux");
    }
    let advice = "kernel events are not counted: use a kernel with CONFIG_DEBUG_INFO_BTF";
    Check::without("kernel types", "no BTF", advice)
}

fn loading(may_load: bool, locked_down: bool) -> Check {
    if locked_down {
        let advice = "kernel events are not counted while lockdown is in confidentiality mode";
        return Check::without("kernel programs", "locked down", advice);
    }
    if may_load {
        return Check::ok("kernel programs", "CAP_BPF and CAP_PERFMON");
    }
    let advice = "kernel events are not counted: AmbientCapabilities=CAP_BPF CAP_PERFMON, as \
                  systemd/cresset.service has it";
    Check::without("kernel programs", "no capability to load them", advice)
}

fn pressure(there: bool) -> Check {
    if there {
        return Check::ok("pressure", "/proc/pressure");
    }
    let advice = "stalls of the machine are not seen: boot with psi=1";
    Check::without("pressure", "not counted", advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Verdict;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("6.18.0-1-amd64").verdict, Verdict::Ok);
        assert_eq!(version("6.1.0").verdict, Verdict::Ok);
        assert_eq!(version("5.15.0-91-generic").verdict, Verdict::WorksWithout);
        assert_eq!(version("").verdict, Verdict::WorksWithout);
    }

    #[test]
    fn each_want_has_its_remedy() {
        let refused = ring(Err("forbidden by a seccomp filter".to_owned()));
        assert_eq!(refused.verdict, Verdict::WorksWithout);
        assert!(refused.advice.contains("io_uring_disabled=0"));
        assert!(loading(false, false).advice.contains("CAP_BPF"));
        assert!(loading(true, true).advice.contains("lockdown"));
        assert!(types(false).advice.contains("CONFIG_DEBUG_INFO_BTF"));
        assert!(pressure(false).advice.contains("psi=1"));
    }
}
