//! Golden bytes of each format: what a fixed history leaves on the disk, and that it still reads.
//!
//! `UPDATE_GOLDEN=1 cargo test -p storage golden` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;

use crate::block::cache::BlockCache;
use crate::block::reference::BlockRef;
use crate::cells::Cell;
use crate::compaction::{BlockSummary, CompactionPlan, Inputs, JobId, Keep, Resolution};
use crate::manifest::{LiveBlock, Manifest};
use crate::names::FileName;
use crate::options::Options;
use crate::row::Rank;
use crate::tests::fill::fill;
use crate::tests::world::{Disk, START_MS, World, contents, recover, request, run_job};
use crate::tombstones::{Tombstone, Tombstones};

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
    let time = START_MS + 9 * 15_000 + 5000;
    fill(&mut world, 2, time, &[("seconds_total", Cell::Present(20.25))]).unwrap();
    world.settle();
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

/// A block of the history's tiles, of this level, and its manifest.
fn compacted(level: u8) -> (Disk, BlockSummary) {
    let world = history();
    let mut disk = world.disk.clone();
    let bytes = |file| world.disk.files[&file].len() as u64;
    let plan = CompactionPlan {
        id: JobId(1),
        inputs: Inputs::Tiles {
            catalog: (1, bytes(FileName::Catalog(1))),
            files: vec![(1, bytes(FileName::Tile(1)))],
        },
        output: 1,
        level,
        resolution: Resolution::Raw,
        tombstones: Tombstones::default(),
        keep: Keep { otherwise_ms: Some(i64::MIN), ..Keep::default() },
        memory_bytes_max: 1 << 20,
        disk_bytes: 0,
    };
    let outcome = run_job(&plan, &mut disk, usize::MAX).expect("a job ends");
    assert_eq!(outcome.damages, Vec::<String>::new());
    (disk, outcome.block.expect("there are samples"))
}

fn manifest(summary: BlockSummary) -> Vec<u8> {
    let matchers = vec![Matcher::new("up", MatchOp::NotRegex, "b.*").unwrap()];
    let (from, to) = (TimestampMs(1), TimestampMs(2));
    let manifest = Manifest {
        next_block: 8,
        next_tombstone: 5,
        blocks: BTreeMap::from([(1, LiveBlock::new(summary))]),
        replaced: BTreeSet::from([1]),
        sealed: BTreeMap::from([(9, (START_MS, 4))]),
        tombstones: vec![Tombstone { id: 4, matchers, from, to }],
    };
    manifest.write(3)
}

#[test]
fn golden_blocks_and_manifests_are_written_and_read() {
    let (disk, summary) = compacted(1);
    let block = &disk.files[&FileName::Block(1)];
    let written = [("block.golden", block.clone()), ("manifest.golden", manifest(summary))];
    for (name, bytes) in &written {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path(name), bytes).unwrap();
        }
        let golden = std::fs::read(path(name)).unwrap();
        assert!(*bytes == golden, "{name} differs; see the head of this file");
    }
    let manifest = std::fs::read(path("manifest.golden")).unwrap();
    let manifest = Manifest::read(3, &manifest).unwrap();
    assert_eq!(manifest.blocks[&1].summary, summary);
    let mut disk = Disk::default();
    disk.files.insert(FileName::Block(1), std::fs::read(path("block.golden")).unwrap());
    let reference = Arc::new(BlockRef::new(0, summary, Tombstones::default()));
    let wanted = request("__name__", MatchOp::Equal, "counter_total");
    let found = reference.select(&disk, &mut BlockCache::default(), &wanted).unwrap();
    let names: Vec<String> = found.iter().map(|series| series.labels.to_string()).collect();
    assert_eq!(
        names,
        [
            "{__name__=\"counter_total\", instance=\"0\"}",
            "{__name__=\"counter_total\", instance=\"1\"}",
        ]
    );
}
