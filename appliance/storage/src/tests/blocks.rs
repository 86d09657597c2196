//! Blocks over a disk in memory: compaction, deletion and retention are invisible to queries but
//! for what they are for.

use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;

use crate::block::gather::Gathered;
use crate::block::writer::{Header, Writer};
use crate::cells::Cell;
use crate::compaction::{BlockSummary, Resolution, Tier};
use crate::names::FileName;
use crate::options::Options;
use crate::row::Rank;
use crate::tests::world::World;

const MINUTE_MS: u64 = 60_000;

fn options() -> Options {
    Options {
        segment_bytes: 1 << 16,
        tile_rows: 8,
        tile_file_ms: MINUTE_MS,
        tile_age_ms_max: MINUTE_MS,
        replaced_keep_ms: 0,
        compaction: true,
        ..Options::default()
    }
}

fn files(world: &World, wanted: fn(&FileName) -> bool) -> usize {
    world.disk.files.keys().filter(|file| wanted(file)).count()
}

fn is_tile(file: &FileName) -> bool {
    matches!(file, FileName::Tile(_))
}

fn is_block(file: &FileName) -> bool {
    matches!(file, FileName::Block(_))
}

/// Rows of two groups, one a second, for a while.
fn run(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        let now = world.now.wall.0;
        let value = (now % 1_000_000) as f64 / 1000.0;
        let cells = [("counter", Cell::Present(value)), ("constant", Cell::Present(1.0))];
        world.row(0, now, Rank::Owner, &cells).unwrap();
        world.row(1, now + 3, Rank::StandIn, &cells[..1]).unwrap();
        world.advance_ms(1000);
        world.settle();
    }
}

#[test]
fn tile_files_become_a_block() {
    let mut world = World::new(options());
    run(&mut world, 60);
    let before = world.contents();
    assert_eq!(before.values().map(std::collections::BTreeMap::len).sum::<usize>(), 180);
    world.advance_ms(10 * MINUTE_MS);
    world.settle();
    assert_eq!(world.contents(), before);
    for _ in 0..20 {
        world.advance_ms(MINUTE_MS);
        world.settle();
        assert_eq!(world.contents(), before);
    }
    assert_eq!((files(&world, is_tile), files(&world, is_block)), (0, 1));
    let again = World::open(options(), world.disk.clone()).unwrap();
    assert_eq!(again.contents(), before);
}

fn blocks_of(world: &World) -> Vec<BlockSummary> {
    world.store.blocks.live().map(|block| *block.summary()).collect()
}

/// A job that is asked for, and the world around it; its inputs are the tiles of a minute.
fn with_job() -> World {
    let mut world = World::new(Options { replaced_keep_ms: 60_000, ..options() });
    run(&mut world, 40);
    while world.compaction.is_none() {
        world.advance_ms(MINUTE_MS);
        while world.prepare() || world.commit(true) || world.file(true) {}
    }
    world
}

#[test]
fn b1_inputs_go_only_after_the_manifest() {
    let mut world = with_job();
    let (before, tiles) = (world.contents(), files(&world, is_tile));
    assert!(world.compact(usize::MAX));
    assert_eq!((files(&world, is_tile), files(&world, is_block)), (tiles, 1));
    assert!(blocks_of(&world).is_empty(), "the manifest is not durable");
    while world.file(true) {}
    assert_eq!(blocks_of(&world).len(), 1);
    assert_eq!(files(&world, is_tile), tiles, "queries may still read it");
    assert_eq!(world.contents(), before);
    for _ in 0..4 {
        world.advance_ms(2 * MINUTE_MS);
        world.settle();
        assert_eq!(world.contents(), before);
    }
    assert_eq!(files(&world, is_tile), 0);
}

#[test]
fn b2_one_job_is_in_flight_and_a_refused_one_is_asked_for_again() {
    let mut world = with_job();
    world.advance_ms(10 * MINUTE_MS);
    assert!(world.compact(0), "refused");
    assert!(world.compaction.is_none(), "not before a while");
    for _ in 0..3 {
        world.advance_ms(MINUTE_MS);
        while world.prepare() || world.commit(true) || world.file(true) {}
    }
    assert!(world.compact(2), "it ends in the middle");
    assert_eq!(world.store.blocks.counts.compactions_failed, 2);
    for _ in 0..3 {
        world.advance_ms(MINUTE_MS);
        world.settle();
    }
    assert_eq!(blocks_of(&world).len(), 1);
}

#[test]
fn b3_inputs_of_a_job_do_not_expire() {
    let hour_ms = 60 * MINUTE_MS;
    let mut world = World::new(Options { retention_ms: hour_ms, ..options() });
    run(&mut world, 20);
    world.advance_ms(2 * MINUTE_MS);
    world.settle();
    world.advance_ms(MINUTE_MS);
    world.settle();
    assert_eq!(blocks_of(&world).len(), 1);
    let all = Matcher::new("__name__", MatchOp::Equal, "counter").unwrap();
    let (from, to) = (TimestampMs::MIN, TimestampMs::MAX);
    assert_eq!(world.store.delete(vec![all], from, to), Ok(1));
    world.store.clean_tombstones();
    while world.compaction.is_none() {
        world.advance_ms(MINUTE_MS);
        while world.prepare() || world.commit(true) || world.file(true) {}
    }
    world.advance_ms(2 * hour_ms);
    while world.prepare() || world.commit(true) || world.file(true) {}
    assert_eq!(blocks_of(&world).len(), 1, "the job reads it");
    world.settle();
    world.advance_ms(MINUTE_MS);
    world.settle();
    assert!(blocks_of(&world).is_empty());
    assert_eq!(files(&world, is_block), 0);
}

#[test]
#[should_panic(expected = "K1: label sets of a block rise")]
fn k1_series_that_do_not_rise_are_a_bug() {
    let header = Header { number: 1, level: 1, resolution: Resolution::Raw, tombstone: 0 };
    let mut writer = Writer::new(header, vec!["a".into(), "b".into()]);
    let mut gathered = Gathered::default();
    gathered.push(1, 1.0, 0);
    writer.raw(&[(0, 1)], &gathered);
    writer.raw(&[(0, 0)], &gathered);
}

#[test]
fn raw_samples_speak_where_they_are_kept_and_coarser_ones_where_not() {
    let hour_ms = 60 * MINUTE_MS;
    let counters = || vec![Matcher::new("__name__", MatchOp::Equal, "counter").unwrap()];
    let tier = |resolution, hours: u64| Tier {
        matchers: counters(),
        resolution,
        keep_ms: hours * hour_ms,
    };
    let tiers = vec![tier(Resolution::Raw, 50), tier(Resolution::FiveMinutes, 500)];
    let mut world = World::new(Options { tiers, ..options() });
    run(&mut world, 60);
    let before = world.contents();
    let wait = |world: &mut World, hours: u64| {
        world.advance_ms(hours * hour_ms);
        for _ in 0..5 {
            world.advance_ms(MINUTE_MS);
            world.settle();
        }
    };
    wait(&mut world, 41);
    let resolutions = |world: &World| -> Vec<Resolution> {
        blocks_of(world).iter().map(|block| block.resolution).collect()
    };
    assert_eq!(resolutions(&world), [Resolution::Raw, Resolution::FiveMinutes]);
    assert_eq!(world.contents(), before, "both have the counters");
    wait(&mut world, 20);
    let after = world.contents();
    assert_eq!(after.len(), before.len());
    for (series, samples) in &after {
        if series.contains("counter") {
            let (times, had) = (samples.keys().last(), before[series].keys().last());
            assert!(samples.len() < 5 && times == had, "{series}: {samples:?}");
        } else {
            assert_eq!(samples, &before[series], "{series} is kept raw");
        }
    }
}
