//! Probe: whether io_uring works here, and if not, why.
//!
//! Path: `start` → **probe** → `reactor`.

use std::fs;

use io_uring::{IoUring, Probe, opcode};
use rustix::io::Errno;

use crate::fault::Faults;
use crate::ring::{Flavor, Ring, Sizes};

const SIZES: Sizes = Sizes { entries: 8, ops_max: 8, files_max: 8 };
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether the ring works: if not, why.
    pub ring: Result<(), String>,
    /// What works less well than it could, a line each.
    pub notes: Vec<String>,
}

/// Tries a ring as shards and the log use it.
#[must_use]
pub fn probe() -> Found {
    let mut notes = Vec::new();
    let ring = match Ring::new(Flavor::Shard, SIZES, Faults::default()) {
        Ok(ring) => {
            if !ring.is_deferred() {
                notes.push("io_uring: before Linux 6.1, no deferred completions".to_owned());
            }
            missing_operation().map_or(Ok(()), |name| {
                Err(format!("the kernel's io_uring has no operation {name}"))
            })
        }
        Err(cause) => Err(reason(cause, fs::read_to_string(DISABLED).ok().as_deref())),
    };
    Found { ring, notes }
}

/// Why the kernel refused, in words an operator can act on.
fn reason(cause: Errno, disabled: Option<&str>) -> String {
    let disabled = disabled.map(str::trim);
    match (cause, disabled) {
        (Errno::PERM | Errno::ACCESS, Some("2")) => {
            "sysctl kernel.io_uring_disabled is 2: off for everyone".to_owned()
        }
        (Errno::PERM | Errno::ACCESS, Some("1")) => {
            "sysctl kernel.io_uring_disabled is 1: only for the group of \
             kernel.io_uring_group or CAP_SYS_ADMIN"
                .to_owned()
        }
        (Errno::PERM | Errno::ACCESS, _) => {
            "forbidden by a seccomp filter, as container runtimes set by default".to_owned()
        }
        (Errno::NOSYS, _) => "the kernel has no io_uring, or one before Linux 5.11".to_owned(),
        (Errno::NOMEM, _) => "the locked-memory limit is too low (LimitMEMLOCK)".to_owned(),
        (Errno::MFILE | Errno::NFILE, _) => "no file descriptor is left".to_owned(),
        (cause, _) => format!("{cause}"),
    }
}

fn missing_operation() -> Option<&'static str> {
    let ring = IoUring::new(2).ok()?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).ok()?;
    let needed = [
        ("connect", opcode::Connect::CODE),
        ("send", opcode::Send::CODE),
        ("recv", opcode::Recv::CODE),
        ("read", opcode::Read::CODE),
        ("write", opcode::Write::CODE),
        ("write_fixed", opcode::WriteFixed::CODE),
        ("fsync", opcode::Fsync::CODE),
        ("async_cancel", opcode::AsyncCancel::CODE),
    ];
    needed.into_iter().find(|(_, code)| !probe.is_supported(*code)).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_put_in_words() {
        for (cause, disabled, expected) in [
            (Errno::PERM, Some("2\n"), "is 2"),
            (Errno::PERM, Some("1\n"), "io_uring_group"),
            (Errno::PERM, Some("0\n"), "seccomp"),
            (Errno::NOSYS, None, "no io_uring"),
            (Errno::NOMEM, None, "LimitMEMLOCK"),
        ] {
            assert!(reason(cause, disabled).contains(expected), "{cause} {disabled:?}");
        }
    }

    #[test]
    fn a_probe_answers_either_way() {
        let found = probe();
        if let Err(reason) = &found.ring {
            eprintln!("NOT TESTED over io_uring, which this kernel forbids: {reason}");
            assert!(!reason.is_empty());
        }
    }
}
