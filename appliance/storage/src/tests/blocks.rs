//! Blocks over a disk in memory: compaction, deletion and retention are invisible to queries but
//! for what they are for.

use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;

use crate::block::gather::Gathered;
use crate::block::writer::{Header, Writer};
use crate::cells::{Cell, Cells};
use crate::compaction::{Aggregate, BlockSummary, Resolution, Tier};
use crate::effect::Event;
use crate::names::FileName;
use crate::options::Options;
use crate::row::{ColumnKind, Rank, Row, Slot};
use crate::tests::world::{World, decoded};

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

/// Counters are kept for so many hours: raw, at five minutes, at an hour.
fn tiered(raw: u64, five_minutes: u64, hour: u64) -> World {
    let tier = |(resolution, hours): (Resolution, u64)| Tier {
        matchers: vec![Matcher::new("__name__", MatchOp::Equal, "counter").unwrap()],
        resolution,
        keep_ms: hours * 60 * MINUTE_MS,
    };
    let tiers =
        [(Resolution::Raw, raw), (Resolution::FiveMinutes, five_minutes), (Resolution::Hour, hour)];
    let tiers = tiers.into_iter().filter(|(_, hours)| 0 < *hours).map(tier).collect();
    World::new(Options { tiers, ..options() })
}

fn wait(world: &mut World, hours: u64) {
    world.advance_ms(hours * 60 * MINUTE_MS);
    for _ in 0..8 {
        world.advance_ms(MINUTE_MS);
        world.settle();
    }
}

#[test]
fn raw_samples_speak_where_they_are_kept_and_coarser_ones_where_not() {
    let mut world = tiered(50, 500, 0);
    run(&mut world, 60);
    let before = world.contents();
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

#[test]
fn b3_tile_files_of_a_job_do_not_expire() {
    let hour_ms = 60 * MINUTE_MS;
    let mut world = World::new(Options { retention_ms: hour_ms, ..options() });
    run(&mut world, 20);
    while world.compaction.is_none() {
        world.advance_ms(MINUTE_MS);
        while world.prepare() || world.commit(true) || world.file(true) {}
    }
    world.advance_ms(2 * hour_ms);
    while world.prepare() || world.commit(true) || world.file(true) {}
    assert_ne!(files(&world, is_tile), 0, "the job reads it");
    world.settle();
    assert_eq!(world.store.blocks.counts.compactions_failed, 0);
    for _ in 0..3 {
        world.advance_ms(MINUTE_MS);
        world.settle();
    }
    assert_eq!((files(&world, is_tile), files(&world, is_block)), (0, 0));
}

#[test]
fn cleaning_begins_at_once() {
    let mut world = World::new(options());
    run(&mut world, 20);
    for _ in 0..4 {
        world.advance_ms(MINUTE_MS);
        world.settle();
    }
    let all = Matcher::new("__name__", MatchOp::Equal, "counter").unwrap();
    assert_eq!(world.store.may_delete(), Ok(()));
    assert_eq!(world.store.delete(vec![all], TimestampMs::MIN, TimestampMs::MAX), Ok(1));
    world.event(Event::Due);
    world.settle();
    assert_eq!(blocks_of(&world)[0].tombstone, 0);
    world.store.clean_tombstones();
    world.event(Event::Due);
    world.settle();
    assert_eq!(blocks_of(&world)[0].tombstone, 1);
}

/// How much the counter of the first group rose, how many samples it has and what they add up to.
fn counted(world: &World) -> (f64, f64, f64) {
    let labels = "{__name__=\"counter\", instance=\"0\"}";
    let of = |aggregate| decoded(&world.store, &world.disk, aggregate).remove(labels).unwrap();
    let (counter, sums) = (of(Aggregate::Counter), of(Aggregate::Sum));
    let rises = counter.values.windows(2);
    let rises = rises.map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] });
    let mut counts = sums.counts.clone();
    counts.resize(sums.len(), 1.0);
    (rises.sum(), counts.iter().sum(), sums.values.iter().sum())
}

/// A row of one series, whichever group it is in: one without data is made anew.
fn counter_row(world: &mut World, value: f64) {
    let group = world.group(0);
    let labels = LabelSet::new([("__name__", "counter"), ("instance", "0")]);
    let column = world.store.column(group, &labels, ColumnKind::Float).unwrap();
    let mut cells = Cells::new(world.store.columns(group));
    cells.set(column.0 as usize, Cell::Present(value));
    let (timestamp, rank) = (world.now.wall, Rank::Owner);
    let row = Row { group, slot: Slot(timestamp.0), timestamp, rank, cells: &cells };
    let mut effects = Vec::new();
    world.store.append(world.now, &row, &mut effects).unwrap();
    world.take(effects);
}

#[test]
fn counters_and_counts_go_on_across_blocks_and_resolutions() {
    let mut world = tiered(50, 300, 5000);
    let mut expected = (0.0, 0.0, 0.0);
    let mut last = None;
    let mut resolutions = Vec::new();
    // Each resolution is made before the finer one ends.
    for waits in [&[41, 205][..], &[41, 20], &[1], &[0]] {
        for _ in 0..20 {
            // A sample every half minute; the counter is reset every 1,000 seconds.
            let value = (world.now.wall.0 % 1_000_000) as f64;
            counter_row(&mut world, value);
            let rise = last.map_or(0.0, |last| if value < last { value } else { value - last });
            expected = (expected.0 + rise, expected.1 + 1.0, expected.2 + value);
            last = Some(value);
            world.advance_ms(30_000);
            world.settle();
        }
        for hours in waits {
            wait(&mut world, *hours);
            assert_eq!(counted(&world), expected, "{hours} hours later");
        }
        resolutions = blocks_of(&world).iter().map(|block| block.resolution).collect();
    }
    for resolution in [Resolution::Raw, Resolution::FiveMinutes, Resolution::Hour] {
        assert!(resolutions.contains(&resolution), "{resolutions:?}");
    }
}
