//! Retention takes files away while others still speak of them.

use model::matcher::MatchOp;
use model::time::TimestampMs;

use crate::cells::Cell;
use crate::effect::Event;
use crate::names::FileName;
use crate::options::Options;
use crate::row::Rank;
use crate::selection::TileCache;
use crate::tests::world::{START_MS, World, request};

const HOUR_MS: u64 = 3_600_000;

fn options() -> Options {
    Options {
        segment_bytes: 1 << 20,
        tile_rows: 2,
        tile_file_ms: 60_000,
        retention_ms: HOUR_MS,
        ..Options::default()
    }
}

fn rows(world: &mut World, count: i64) {
    for at in 0..count {
        let time_ms = world.now.wall.0 + at;
        world.row(0, time_ms, Rank::Owner, &[("up", Cell::Present(1.5))]).unwrap();
    }
    world.settle();
}

fn tile_files(world: &World) -> usize {
    world.disk.files.keys().filter(|file| matches!(file, FileName::Tile(_))).count()
}

#[test]
fn a_selection_outlives_the_file_of_its_oldest_tiles() {
    let mut world = World::new(options());
    rows(&mut world, 2);
    world.advance_ms(HOUR_MS - 30_000);
    rows(&mut world, 3);
    assert_eq!(tile_files(&world), 2);
    let selected = world.store.select(&request("__name__", MatchOp::Equal, "up")).unwrap();
    world.advance_ms(120_000);
    world.settle();
    assert_eq!(tile_files(&world), 1, "the older file passed retention");
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
    let mut cache = TileCache::default();
    selected[0]
        .decode(&world.disk, &mut cache, after, until, &mut times, &mut values)
        .expect("what passed retention is no longer there, what has not is");
    assert_eq!(values, [1.5; 3]);
}

#[test]
fn a_file_of_a_time_ahead_does_not_keep_those_behind_it() {
    let mut world = World::new(options());
    // The clock is two days ahead, then it is set right.
    world.now.wall = TimestampMs(START_MS + 48 * HOUR_MS.cast_signed());
    rows(&mut world, 4);
    world.now.wall = TimestampMs(START_MS);
    let cells = [("up", Cell::Present(2.5))];
    for at in 0..4 {
        world.row(1, START_MS + at, Rank::Owner, &cells).unwrap();
    }
    world.settle();
    assert_eq!(tile_files(&world), 2);
    world.advance_ms(2 * HOUR_MS);
    world.event(Event::Due);
    world.settle();
    assert_eq!(tile_files(&world), 1, "the file ahead is there, the expired one is not");
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    let ahead = again.contents().remove("{__name__=\"up\", instance=\"0\"}").unwrap();
    assert_eq!(ahead.len(), 4);
}
