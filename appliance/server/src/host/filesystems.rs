//! Filesystems: sizes of what is mounted from a local disk.

use exposition::metrics::Collected;
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::host::lines::float;

/// Mounts that are looked at.
const MOUNTS_MAX: usize = 1_024;

/// Kinds that hold nothing on a disk, and network ones, whose server may keep us waiting for ever.
const KINDS_SKIPPED: [&str; 32] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "9p",
    "afs",
    "glusterfs",
];

/// Places below which nothing is shown, as node_exporter leaves them out.
const PLACES_SKIPPED: [&str; 6] =
    ["/dev", "/proc", "/sys", "/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];

/// `/proc/self/mounts`
pub fn all(text: &str, into: &mut Collected) {
    for line in text.lines().take(MOUNTS_MAX) {
        let mut words = line.split(' ');
        let (Some(device), Some(place), Some(kind)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let place = unescape(place);
        if is_shown(&place, kind) {
            one(&unescape(device), &place, kind, into);
        }
    }
}

fn is_shown(place: &str, kind: &str) -> bool {
    let below = |skipped: &str| {
        place.strip_prefix(skipped).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_skipped_kind = KINDS_SKIPPED.contains(&kind) || kind.starts_with("fuse.");
    !is_skipped_kind && !PLACES_SKIPPED.iter().any(|skipped| below(skipped))
}

fn one(device: &str, place: &str, kind: &str, into: &mut Collected) {
    let labels = [("device", device), ("fstype", kind), ("mountpoint", place)];
    let state = statvfs(place);
    let help = "Whether an error occurred while getting statistics for the given device.";
    let failed = if state.is_ok() { 0.0 } else { 1.0 };
    into.gauge("node_filesystem_device_error", help, &labels, failed);
    let Ok(state) = state else { return };
    // Later versions of node_exporter than Debian's have the label on all but the error.
    let labels =
        [("device", device), ("device_error", ""), ("fstype", kind), ("mountpoint", place)];
    let block = float(state.f_frsize);
    let read_only = state.f_flag.contains(StatVfsMountFlags::RDONLY);
    let values = [
        ("node_filesystem_size_bytes", "Filesystem size in bytes.", float(state.f_blocks) * block),
        (
            "node_filesystem_free_bytes",
            "Filesystem free space in bytes.",
            float(state.f_bfree) * block,
        ),
        (
            "node_filesystem_avail_bytes",
            "Filesystem space available to non-root users in bytes.",
            float(state.f_bavail) * block,
        ),
        ("node_filesystem_files", "Filesystem total file nodes.", float(state.f_files)),
        ("node_filesystem_files_free", "Filesystem total free file nodes.", float(state.f_ffree)),
        (
            "node_filesystem_readonly",
            "Filesystem read-only status.",
            if read_only { 1.0 } else { 0.0 },
        ),
    ];
    for (name, help, value) in values {
        into.gauge(name, help, &labels, value);
    }
}

/// The kernel writes spaces and tabs of paths as octal numbers.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_disks_are_shown() {
        assert!(is_shown("/", "ext4") && is_shown("/devices", "xfs"));
        assert!(!is_shown("/", "overlay") && !is_shown("/dev/shm", "tmpfs"));
        assert!(!is_shown("/mnt", "nfs4") && !is_shown("/mnt", "fuse.sshfs"));
    }

    #[test]
    fn a_mount_has_its_size() {
        let mut collected = Collected::default();
        all("/dev/x\\040y / ext4 rw 0 0\nbad\nz /nonexistent xfs rw 0 0\n", &mut collected);
        let text = collected.to_text();
        let labels = "device=\"/dev/x y\",device_error=\"\",fstype=\"ext4\",mountpoint=\"/\"";
        assert!(text.contains(&format!("node_filesystem_size_bytes{{{labels}}}")), "{text}");
        let gone = "device=\"z\",fstype=\"xfs\",mountpoint=\"/nonexistent\"";
        let failed = format!("node_filesystem_device_error{{{gone}}} 1\n");
        assert!(text.contains(&failed), "{text}");
        assert!(!text.contains("size_bytes{device=\"z\""), "{text}");
    }
}
