//! File names: every name under a shard's directory is made and read here.
//!
//! Path: `store`, `recovery` → **names** → effects; the machine joins them to its directory.
//! Never: touches a file, knows the directory.

use std::fmt;

/// Number of a log segment; also the generation its frames carry. The first one is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The segment after this one.
    #[must_use]
    pub fn next(self) -> SegmentId {
        SegmentId(self.0 + 1)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A file of one shard; [`fmt::Display`] gives its path below the shard's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `catalog.<n>`
    Catalog(u64),
    /// `manifest.<n>`
    Manifest(u64),
    /// `blocks/<20 digits>.block`
    Block(u64),
    /// `tiles/<20 digits>.tile`
    Tile(u64),
    /// `wal/<20 digits>.wal`
    Segment(SegmentId),
}

/// Directories that must exist below the shard's directory.
pub const DIRECTORIES: [&str; 3] = ["wal", "tiles", "blocks"];

const NUMBER_DIGITS: usize = 20;

impl FileName {
    /// The file of `path` below the shard's directory; `None` when no such path is ever made here.
    #[must_use]
    pub fn parse(path: &str) -> Option<FileName> {
        if let Some(number) = path.strip_prefix("catalog.") {
            let name = FileName::Catalog(number.parse().ok()?);
            return (name.to_string() == path).then_some(name);
        }
        if let Some(number) = path.strip_prefix("manifest.") {
            let name = FileName::Manifest(number.parse().ok()?);
            return (name.to_string() == path).then_some(name);
        }
        if let Some(number) = fixed_number(path, "blocks/", ".block") {
            return Some(FileName::Block(number));
        }
        if let Some(number) = fixed_number(path, "tiles/", ".tile") {
            return Some(FileName::Tile(number));
        }
        fixed_number(path, "wal/", ".wal").map(|number| FileName::Segment(SegmentId(number)))
    }
}

fn fixed_number(path: &str, before: &str, after: &str) -> Option<u64> {
    let digits = path.strip_prefix(before)?.strip_suffix(after)?;
    let plain = digits.len() == NUMBER_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Catalog(number) => write!(f, "catalog.{number}"),
            FileName::Manifest(number) => write!(f, "manifest.{number}"),
            FileName::Block(number) => write!(f, "blocks/{number:020}.block"),
            FileName::Tile(number) => write!(f, "tiles/{number:020}.tile"),
            FileName::Segment(segment) => write!(f, "wal/{:020}.wal", segment.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in [
            FileName::Catalog(0),
            FileName::Catalog(u64::MAX),
            FileName::Manifest(1),
            FileName::Block(77),
            FileName::Tile(7),
            FileName::Segment(SegmentId(u64::MAX)),
        ] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        assert_eq!(FileName::Tile(1).to_string(), "tiles/00000000000000000001.tile");
    }

    #[test]
    fn other_names_are_refused() {
        for path in [
            "",
            "catalog.",
            "catalog.01",
            "catalog.+1",
            "manifest.00",
            "blocks/1.block",
            "tiles/1.tile",
            "tiles/0000000000000000000a.tile",
            "wal/99999999999999999999.wal",
            "wal/00000000000000000001.wal.new",
        ] {
            assert_eq!(FileName::parse(path), None, "{path}");
        }
    }
}
