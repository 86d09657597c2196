//! Doctor: what this machine lets the server do, and what to change: `cresset doctor`.
//!
//! Path: command line, or `boot` in brief → **doctor** → `kernel`, `limits`, `disk`, `processors`.
//! Never: changes anything but a file of its own in the data directory, which it takes away.

use std::path::Path;

pub mod checkup;

pub mod disk;
pub mod kernel;
pub mod limits;
pub mod processors;

use checkup::Check;

/// Looks at everything; `directory` is where samples are kept.
#[must_use]
pub fn examine(directory: &Path) -> Vec<Check> {
    let (proc, sys) = (Path::new("/proc"), Path::new("/sys"));
    let mut checks = kernel::examine(proc, sys);
    checks.push(kernel::examine_programs(sys));
    checks.extend(limits::examine());
    checks.extend(processors::examine(proc, sys));
    checks.extend(disk::examine(proc, directory));
    checks
}

/// What a server looks at when it starts: how many findings are well, and the others.
#[must_use]
pub fn brief() -> (usize, Vec<Check>) {
    let (proc, sys) = (Path::new("/proc"), Path::new("/sys"));
    let mut checks = kernel::examine(proc, sys);
    checks.extend(limits::examine());
    checks.extend(processors::examine(proc, sys));
    let all = checks.len();
    checks.retain(|check| check.verdict != checkup::Verdict::Ok);
    (all - checks.len(), checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_examined_whole_and_nothing_stays_behind() {
        let directory = tempfile::tempdir().unwrap();
        let checks = examine(directory.path());
        for name in ["kernel", "io_uring", "kernel types", "memlock", "file system", "sync"] {
            assert!(checks.iter().any(|check| check.name == name), "{name} in {checks:?}");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
