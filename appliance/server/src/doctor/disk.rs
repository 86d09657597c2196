//! Disk: the file system of the data directory, its room, and what a sync takes.

use std::io;
use std::path::{Path, PathBuf};

use machine::clock::tick;
use rustix::fs::{CWD, Mode, OFlags, fdatasync, openat, statvfs, unlink};
use rustix::io::pwrite;

use crate::doctor::checkup::Check;
use crate::host::lines::read;

const MIB: u64 = 1 << 20;
/// Room below which a store soon stops.
const FREE_PERCENT_MIN: u64 = 10;
/// Syncs that are timed, and what each writes before it.
const SYNCS: usize = 50;
const BLOCK: [u8; 4096] = [0x5a; 4096];
/// A commit beyond this makes acknowledgements late.
const SYNC_NANOS_MAX: u64 = 50_000_000;
/// File systems on another machine, or in memory.
const FOREIGN: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"];

/// All findings about the disk under `directory`, which need not be there yet.
#[must_use]
pub fn examine(proc: &Path, directory: &Path) -> Vec<Check> {
    let there = existing(directory);
    let mounts = read(proc, "self/mounts").unwrap_or_default();
    let mut checks = vec![file_system(&mounts, &there)];
    match statvfs(&there) {
        Ok(found) => {
            let unit = found.f_frsize;
            checks.push(room(
                found.f_bavail.saturating_mul(unit),
                found.f_blocks.saturating_mul(unit),
            ));
        }
        Err(error) => checks.push(Check::fix("room", error.to_string(), "mount the directory")),
    }
    checks.push(sync(time_syncs(&there)));
    checks
}

/// The directory, or the nearest one above it that is there.
fn existing(directory: &Path) -> PathBuf {
    let whole = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let found = whole.ancestors().find(|path| path.is_dir()).map(Path::to_path_buf);
    found.unwrap_or_else(|| PathBuf::from("/"))
}

fn file_system(mounts: &str, directory: &Path) -> Check {
    let parsed = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?, words.next()?))
    });
    let under = parsed.filter(|(point, _, _)| directory.starts_with(point));
    let Some((point, kind, options)) = under.max_by_key(|(point, _, _)| point.len()) else {
        return Check::without("file system", "unknown", "look at the mounts of the directory");
    };
    let found = format!("{kind} on {point}");
    if FOREIGN.contains(&kind) {
        let advice = "a sync over the network is slow and may lie: use a local disk";
        return Check::fix("file system", found, advice);
    }
    if matches!(kind, "tmpfs" | "ramfs") {
        let advice = "samples are gone with the power: use a disk";
        return Check::fix("file system", found, advice);
    }
    let unsafe_option =
        options.split(',').find(|option| matches!(*option, "nobarrier" | "barrier=0"));
    if let Some(option) = unsafe_option {
        let advice =
            format!("power loss damages what was synced: mount -o remount,barrier {point}");
        return Check::fix("file system", format!("{found}, {option}"), &advice);
    }
    Check::ok("file system", found)
}

fn room(free: u64, total: u64) -> Check {
    let percent = free.saturating_mul(100) / total.max(1);
    let found = format!("{} MiB free of {} ({percent} %)", free / MIB, total / MIB);
    if FREE_PERCENT_MIN <= percent {
        return Check::ok("room", found);
    }
    let advice = "a full disk stops acknowledgements: lower --storage.tsdb.retention.time or add \
                  room";
    Check::fix("room", found, advice)
}

/// Nanoseconds of each write and sync of a block, sorted.
fn time_syncs(directory: &Path) -> io::Result<Vec<u64>> {
    let path = directory.join(format!(".cresset-doctor.{}", std::process::id()));
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)?;
    let timed = (0..SYNCS).map(|_| {
        let began = tick();
        pwrite(&file, &BLOCK, 0)?;
        fdatasync(&file)?;
        Ok(tick().since(began))
    });
    let timed: io::Result<Vec<u64>> = timed.collect();
    unlink(&path)?;
    let mut timed = timed?;
    timed.sort_unstable();
    Ok(timed)
}

fn sync(timed: io::Result<Vec<u64>>) -> Check {
    let timed = match timed {
        Ok(timed) => timed,
        Err(error) => {
            let advice = "let the account of the server write to the directory: chown";
            return Check::fix("sync", error.to_string(), advice);
        }
    };
    let at = |percent: usize| timed.get((timed.len() - 1) * percent / 100).copied().unwrap_or(0);
    let (median, worst) = (at(50), at(99));
    let found = format!("median {} us, p99 {} us", median / 1000, worst / 1000);
    if worst <= SYNC_NANOS_MAX {
        return Check::ok("sync", found);
    }
    let advice = "commits wait for the disk: move the directory to a faster one, or away from its \
                  noisy neighbours";
    Check::without("sync", found, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Verdict;

    #[test]
    fn the_nearest_mount_is_judged() {
        let mounts = "/dev/sda1 / ext4 rw,relatime 0 0\nhost:/x /data nfs4 rw 0 0\n\
                      tmpfs /data/memory tmpfs rw 0 0\n/dev/sdb /old ext4 rw,nobarrier 0 0\n";
        let judge = |path: &str| file_system(mounts, Path::new(path)).verdict;
        assert_eq!(judge("/var/lib/cresset"), Verdict::Ok);
        assert_eq!(judge("/data/samples"), Verdict::Fix);
        assert_eq!(judge("/data/memory/samples"), Verdict::Fix);
        assert_eq!(judge("/old"), Verdict::Fix);
        assert_eq!(judge("/database"), Verdict::Ok);
    }

    #[test]
    fn room_and_syncs_are_judged() {
        assert_eq!(room(5, 100).verdict, Verdict::Fix);
        assert_eq!(room(50, 100).verdict, Verdict::Ok);
        assert_eq!(sync(Ok(vec![1_000_000; 50])).verdict, Verdict::Ok);
        assert_eq!(sync(Ok(vec![90_000_000; 50])).verdict, Verdict::WorksWithout);
        assert_eq!(sync(Err(io::ErrorKind::PermissionDenied.into())).verdict, Verdict::Fix);
    }

    #[test]
    fn a_directory_that_is_not_there_stands_for_the_one_above() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(existing(&directory.path().join("a/b")), directory.path());
    }
}
