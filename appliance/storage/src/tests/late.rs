//! Rows behind the sealed ones, and clocks that jump.

use crate::cells::Cell;
use crate::effect::Event;
use crate::names::FileName;
use crate::options::Options;
use crate::row::Rank;
use crate::store::RowError;
use crate::tests::world::{START_MS, World};
use crate::tile::layout::HEADER_BYTES;

const HOUR_MS: i64 = 3_600_000;

fn up(value: f64) -> [(&'static str, Cell); 2] {
    [("other", Cell::Present(7.0)), ("up", Cell::Present(value))]
}

fn times(world: &World) -> Vec<i64> {
    let contents = world.contents();
    let (_, samples) = contents.iter().find(|(name, _)| name.contains("up")).unwrap();
    samples.keys().map(|time| time - START_MS).collect()
}

#[test]
fn late_rows_within_the_window_go_to_a_side_group() {
    let options =
        Options { tile_rows: 2, out_of_order_time_window_ms: 60_000, ..Options::default() };
    let mut world = World::new(options);
    for at in 0..20 {
        world.row(0, START_MS + at * 10_000, Rank::Owner, &up(1.0)).unwrap();
    }
    let newest = 190_000;
    world.advance_ms(190_000);
    for late in [newest - 59_999, newest - 1, newest - 30_001, newest - 30_001, newest - 5] {
        world.row(0, START_MS + late, Rank::Owner, &[("up", Cell::Present(2.0))]).unwrap();
    }
    let refused = world.row(0, START_MS + newest - 60_001, Rank::Owner, &up(2.0));
    assert!(matches!(refused, Err(RowError::TooOld { .. })), "{refused:?}");
    assert_eq!(world.store.counts.samples_too_old, 2);
    let found = times(&world);
    assert_eq!(found.len(), 24);
    assert!(found.contains(&(newest - 59_999)) && found.contains(&(newest - 1)));
    world.settle();
    assert_eq!(times(&world), found);
    let mut again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!((times(&again), &again.report.damages), (found.clone(), &Vec::new()));
    // The side group is known again: more goes to it, and the catalog of this start has it.
    again.row(0, START_MS + newest - 7, Rank::Owner, &up(2.0)).unwrap();
    again.settle();
    let third = World::open(again.options.clone(), again.disk.clone()).unwrap();
    assert_eq!(times(&third).len(), found.len() + 1);
    assert_eq!(third.store.group_keys.len(), 1, "a side group is no group of its own");
}

#[test]
fn a_late_row_in_the_log_is_found_when_later_ones_are_in_a_block() {
    let options = Options {
        tile_rows: 2,
        tile_file_ms: 60_000,
        out_of_order_time_window_ms: 3_600_000,
        replaced_keep_ms: 0,
        compaction: true,
        ..Options::default()
    };
    let mut world = World::new(options);
    for at in [0, 10, 20, 30, 25, 26] {
        world.row(0, START_MS + at * 1000, Rank::Owner, &up(1.0)).unwrap();
    }
    for _ in 0..10 {
        world.advance_ms(60_000);
        world.settle();
    }
    let in_blocks = world.store.blocks.live().count();
    assert_eq!(in_blocks, 1, "the sealed rows, late ones among them");
    world.row(0, START_MS + 5_000, Rank::Owner, &up(2.0)).unwrap();
    world.settle();
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.contents(), world.contents());
}

#[test]
fn a_side_group_goes_with_its_group() {
    let options = Options {
        tile_rows: 2,
        tile_file_ms: 60_000,
        retention_ms: 3_600_000,
        out_of_order_time_window_ms: 60_000,
        ..Options::default()
    };
    let mut world = World::new(options);
    for at in [0, 10, 20, 30, 5, 6] {
        world.row(0, START_MS + at, Rank::Owner, &up(1.0)).unwrap();
    }
    world.settle();
    for _ in 0..90 {
        world.advance_ms(120_000);
        world.settle();
    }
    let store = &world.store;
    assert_eq!((store.group_keys.len(), store.side_keys.len(), store.index.len()), (0, 0, 0));
}

#[test]
fn rows_are_taken_when_a_clock_that_was_ahead_comes_back() {
    let mut world = World::new(Options { tile_rows: 2, ..Options::default() });
    world.row(0, START_MS, Rank::Owner, &up(1.0)).unwrap();
    // The clock is two days ahead for some scrapes, and tiles of that time are sealed.
    for at in 0..5 {
        world.row(0, START_MS + 48 * HOUR_MS + at * 1000, Rank::Owner, &up(1.0)).unwrap();
    }
    world.settle();
    for at in 1..6 {
        world.row(0, START_MS + at * 1000, Rank::Owner, &up(1.0)).unwrap();
    }
    assert_eq!(times(&world)[..6], [0, 1000, 2000, 3000, 4000, 5000]);
    world.settle();
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(times(&again), times(&world));
}

#[test]
fn a_clock_that_is_ahead_for_a_moment_deletes_nothing() {
    let options = Options {
        tile_rows: 2,
        tile_file_ms: 60_000,
        retention_ms: 24 * 3_600_000,
        ..Options::default()
    };
    let mut world = World::new(options);
    for at in 0..4 {
        world.row(0, START_MS + at * 1000, Rank::Owner, &up(1.0)).unwrap();
    }
    world.settle();
    for _ in 0..2 {
        world.advance_ms(61_000);
        world.now.wall.0 += 30 * 24 * HOUR_MS;
        world.event(Event::Due);
        world.settle();
        world.now.wall.0 -= 30 * 24 * HOUR_MS;
        assert_eq!(times(&world).len(), 4, "nothing has passed retention");
        // The same at a start.
        let disk = world.disk.clone();
        let mut again = World::open(world.options.clone(), disk).unwrap();
        again.now.wall.0 += 30 * 24 * HOUR_MS;
        again.advance_ms(61_000);
        again.event(Event::Due);
        again.settle();
        assert_eq!(times(&again).len(), 4, "nothing has passed retention");
    }
}

#[test]
fn a_tile_file_whose_first_header_rotted_stays() {
    let options = Options {
        tile_rows: 2,
        tile_file_ms: 60_000,
        retention_ms: 3_600_000,
        ..Options::default()
    };
    let mut world = World::new(options);
    for at in 0..4 {
        world.row(0, START_MS + at * 1000, Rank::Owner, &up(1.0)).unwrap();
    }
    world.settle();
    let is_tile = |file: &&FileName| matches!(file, FileName::Tile(_));
    let file = *world.disk.files.keys().find(is_tile).unwrap();
    let mut disk = world.disk.clone();
    disk.files.get_mut(&file).unwrap()[HEADER_BYTES - 30] ^= 1;
    let mut again = World::open(world.options.clone(), disk).unwrap();
    assert!(again.report.damages[0].starts_with(&file.to_string()), "it is named");
    again.settle();
    again.advance_ms(1_800_000);
    again.settle();
    assert!(again.disk.files.contains_key(&file), "a human may still read it");
    again.advance_ms(3_600_000);
    again.settle();
    assert!(!again.disk.files.contains_key(&file), "it has passed retention");
}

#[test]
fn files_of_a_newer_version_are_refused() {
    use crate::names::SegmentId;
    use crate::recovery::OpenError;
    use crate::tests::world::recover;

    let mut world = World::new(Options::default());
    world.row(0, START_MS, Rank::Owner, &up(1.0)).unwrap();
    world.settle();
    // The version stands behind the count of records.
    for file in [FileName::Catalog(1), FileName::Segment(SegmentId(1))] {
        let mut disk = world.disk.clone();
        let bytes = disk.files.get_mut(&file).unwrap();
        assert_eq!(bytes[36], 1);
        bytes[36] = 2;
        let refused = recover(&world.options, &disk).map(|_| ()).unwrap_err();
        assert_eq!(refused, OpenError::Version { file, offset: 0, version: 2 });
    }
}

#[test]
fn a_tile_is_sealed_before_it_grows_too_large() {
    use std::sync::Arc;

    use model::native_histogram::{NativeHistogram, Span};

    let mut world = World::new(Options { segment_bytes: 64 << 20, ..Options::default() });
    let group = world.group(1);
    let labels = model::label_set::LabelSet::new([("__name__", "h")]);
    let kind = crate::row::ColumnKind::Histogram;
    let column = world.store.column(group, &labels, kind).unwrap();
    let spans = vec![Span { offset: 0, length: 16_384 }];
    let sealed = (0..60).any(|at| {
        let buckets = vec![f64::from(at) + 0.1; 16_384];
        let histogram = NativeHistogram {
            positive_spans: spans.clone(),
            positive_buckets: buckets,
            ..NativeHistogram::default()
        };
        let before = world.store.counts.tiles_sealed;
        let mut cells = crate::cells::Cells::new(1);
        cells.set_histogram(column.0, Arc::new(histogram));
        let at = START_MS + i64::from(at);
        let (slot, timestamp) = (crate::row::Slot(at), model::time::TimestampMs(at));
        let row = crate::row::Row { group, slot, timestamp, rank: Rank::Owner, cells: &cells };
        world.store.append(world.now, &row, &mut Vec::new()).unwrap();
        let rows = world.store.groups[0].as_ref().unwrap().rows();
        before < world.store.counts.tiles_sealed && rows == 0
    });
    assert!(sealed);
}
