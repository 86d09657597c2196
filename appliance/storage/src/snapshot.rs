//! Snapshot: in which order the files of a shard are copied while it writes them, and whether the
//! copy is whole.
//!
//! Path: the machine copies, or the simulator → **snapshot**.
//! The log comes first: what it lacks later is in tiles, and what tiles lack later is in blocks.
//! The manifest comes last, so that it names no block that is not there.

use crate::names::FileName;

/// Files of the log, in the order of copying.
#[must_use]
pub fn log_files(names: &[FileName]) -> Vec<FileName> {
    let mut log: Vec<FileName> = names.iter().copied().filter(is_log).collect();
    log.sort_unstable();
    log
}

/// All other files, in the order of copying; without the tiles if `skip_head`.
#[must_use]
pub fn other_files(names: &[FileName], skip_head: bool) -> Vec<FileName> {
    let left_out =
        |name: &FileName| is_log(name) || (skip_head && matches!(name, FileName::Tile(_)));
    let mut rest: Vec<FileName> = names.iter().copied().filter(|name| !left_out(name)).collect();
    rest.sort_unstable_by_key(|name| match name {
        FileName::Segment(_) | FileName::Tile(_) => (0, *name),
        FileName::Block(_) => (1, *name),
        FileName::Catalog(_) => (2, *name),
        FileName::Manifest(_) => (3, *name),
    });
    rest
}

/// Whether what was copied is one store: no file has gone meanwhile, and no manifest has come.
#[must_use]
pub fn is_whole(copied: &[FileName], after: &[FileName]) -> bool {
    let is_manifest = |name: &FileName| matches!(name, FileName::Manifest(_));
    let newest = |names: &[FileName]| names.iter().copied().filter(is_manifest).max();
    newest(after) == newest(copied) && copied.iter().all(|name| after.contains(name))
}

fn is_log(name: &FileName) -> bool {
    matches!(name, FileName::Segment(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::SegmentId;

    #[test]
    fn the_log_comes_first_and_the_manifest_last() {
        let log = FileName::Segment(SegmentId(1));
        let names = [FileName::Manifest(2), FileName::Block(1), log, FileName::Tile(3)];
        assert_eq!(log_files(&names), [log]);
        let rest = [FileName::Tile(3), FileName::Block(1), FileName::Manifest(2)];
        assert_eq!(other_files(&names, false), rest);
        assert_eq!(other_files(&names, true), rest[1..]);
        assert!(is_whole(&names, &names));
        assert!(!is_whole(&names, &names[..3]), "a file has gone");
        let more = [&names[..], &[FileName::Manifest(3)]].concat();
        assert!(!is_whole(&names, &more), "another manifest has come");
    }
}
