//! Golden bytes of each format: what a fixed history leaves on the disk, and that it still reads.
//!
//! `UPDATE_GOLDEN=1 cargo test -p storage golden` writes them anew.

use std::path::PathBuf;

use crate::cells::Cell;
use crate::names::FileName;
use crate::options::Options;
use crate::row::Rank;
use crate::tests::world::{Disk, START_MS, World, contents, recover};

/// A short history with every kind of record and chunk.
fn history() -> World {
    let options = Options { tile_rows: 4, block_bytes: 512, ..Options::default() };
    let mut world = World::new(options);
    for at in 0..10u32 {
        let time = START_MS + i64::from(at) * 15_000;
        let cells = [
            ("up", Cell::Present(1.0)),
            ("counter_total", Cell::Present(f64::from(1000 + at * at * 7))),
            ("seconds_total", Cell::Present(f64::from(at * at) * 0.25)),
            ("ratio", Cell::Present(std::f64::consts::PI / f64::from(at + 1))),
            ("sometimes", if at % 3 == 1 { Cell::Absent } else { Cell::Present(2.5) }),
            ("ending", if at < 3 { Cell::Present(f64::NAN) } else { Cell::Stale }),
        ];
        let rank = if at % 2 == 0 { Rank::Owner } else { Rank::StandIn };
        world.row(1, time, rank, &cells).unwrap();
        world.row(2, time + 5000, Rank::Owner, &cells[..2]).unwrap();
        world.settle();
    }
    world
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Golden file and the file of the disk that it is.
const GOLDEN: [(&str, FileName); 3] = [
    ("wal.golden", FileName::Segment(crate::names::SegmentId(1))),
    ("catalog.golden", FileName::Catalog(1)),
    ("tile.golden", FileName::Tile(1)),
];

/// The file without the zeros that a segment is filled with.
fn used(file: FileName, bytes: &[u8]) -> &[u8] {
    if !matches!(file, FileName::Segment(_)) {
        return bytes;
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

#[test]
fn golden_bytes_are_written() {
    let world = history();
    for (name, file) in GOLDEN {
        let bytes = used(file, &world.disk.files[&file]);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path(name), bytes).unwrap();
        }
        let golden = std::fs::read(path(name)).unwrap();
        assert!(bytes == golden, "{name} differs; see the head of this file");
    }
}

#[test]
fn golden_bytes_are_read() {
    let world = history();
    let expected = world.contents();
    let mut disk = Disk::default();
    for (name, file) in GOLDEN {
        disk.files.insert(file, std::fs::read(path(name)).unwrap());
    }
    let (store, report) = recover(&world.options, &disk).unwrap();
    assert_eq!(report.damages, Vec::<String>::new());
    assert_eq!(contents(&store, &disk), expected);
    // The log alone has it all too.
    disk.files.retain(|file, _| matches!(file, FileName::Segment(_)));
    let (store, report) = recover(&world.options, &disk).unwrap();
    assert_eq!((report.rows, contents(&store, &disk)), (20, expected));
}
