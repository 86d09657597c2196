//! Retention takes files away while others still speak of them.

use model::matcher::MatchOp;
use model::samples::Samples;
use model::time::TimestampMs;

use crate::cells::Cell;
use crate::effect::Event;
use crate::names::FileName;
use crate::options::Options;
use crate::recovery::OpenError;
use crate::row::Rank;
use crate::selection::TileCache;
use crate::tests::world::{START_MS, World, recover, request};
use crate::tile::layout::HEADER_BYTES;

const HOUR_MS: u64 = 3_600_000;

fn options() -> Options {
    Options {
        segment_bytes: 1 << 20,
        tile_rows: 2,
        tile_file_ms: 60_000,
        compaction: false,
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
    let selected = world.store.select(&request("__name__", MatchOp::Equal, "up")).unwrap().series;
    world.advance_ms(120_000);
    world.settle();
    assert_eq!(tile_files(&world), 1, "the older file passed retention");
    let mut found = Samples::default();
    let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
    let mut cache = TileCache::default();
    selected[0]
        .decode(&world.disk, &mut cache, after, until, &mut found)
        .expect("what passed retention is no longer there, what has not is");
    assert_eq!(found.values, [1.5; 3]);
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

#[test]
fn a_tile_file_that_does_not_read_is_told_of() {
    let mut world = World::new(options());
    rows(&mut world, 2);
    let file = *world.disk.files.keys().find(|file| matches!(file, FileName::Tile(_))).unwrap();
    let mut newer = world.disk.clone();
    // The version is the last byte but one of the header.
    newer.files.get_mut(&file).unwrap()[HEADER_BYTES - 2] = 2;
    let refused = recover(&world.options, &newer).map(|_| ()).unwrap_err();
    assert_eq!(refused, OpenError::Version { file, offset: 0, version: 2 });
    for damaged in [8, 40, HEADER_BYTES + 1] {
        let mut disk = world.disk.clone();
        disk.files.get_mut(&file).unwrap()[damaged] ^= 1;
        let (_, report) = recover(&world.options, &disk).unwrap();
        assert_eq!(report.damages.len(), 1, "{:?}", report.damages);
        assert!(report.damages[0].ends_with(", the rest is left out"), "{:?}", report.damages);
    }
}

#[test]
fn columns_that_went_take_no_room_in_the_log() {
    let mut world = World::new(options());
    let group = world.group(0);
    for name in 0..60_000 {
        world.column(group, &format!("m{name}"));
    }
    rows(&mut world, 1);
    let used = |world: &World| world.retired.len() + world.store.log.live_segments();
    let before = used(&world);
    // A row of each of 60,000 columns would take 960 kB of a segment of 1 MiB.
    for _ in 0..120 {
        world.advance_ms(1000);
        rows(&mut world, 1);
    }
    let more = used(&world) - before;
    assert!(more <= 2, "120 commits of a few blocks took {more} segments");
}

#[test]
fn a_clock_a_year_ahead_expires_nothing_and_its_return_loses_nothing() {
    let options = Options { retention_ms: 360 * HOUR_MS, compaction: true, ..options() };
    let mut world = World::new(options.clone());
    for _ in 0..90 {
        rows(&mut world, 2);
        world.advance_ms(60_000);
    }
    let series = "{__name__=\"up\", instance=\"0\"}";
    let held = |world: &World| world.contents().remove(series).map_or(0, |samples| samples.len());
    assert_eq!(held(&world), 180);
    let year_ms = 365 * 24 * HOUR_MS.cast_signed();
    world.now.wall.0 += year_ms;
    // Half an hour of it, in the middle of which the server is started again.
    for minute in 0..30 {
        if minute == 15 {
            world.settle();
            let (disk, wall) = (world.disk.clone(), world.now.wall.0);
            world = World::open_at(options.clone(), disk, wall).unwrap();
        }
        rows(&mut world, 2);
        world.advance_ms(60_000);
    }
    world.event(Event::Due);
    world.settle();
    assert_eq!(held(&world), 240, "nothing passed retention");
    world.now.wall.0 -= year_ms;
    for _ in 0..120 {
        rows(&mut world, 2);
        world.advance_ms(60_000);
    }
    world.settle();
    assert_eq!(held(&world), 480, "rows of the right time are taken, and none was lost");
    let again = World::open_at(options, world.disk.clone(), world.now.wall.0).unwrap();
    assert_eq!(held(&again), 480);
}
