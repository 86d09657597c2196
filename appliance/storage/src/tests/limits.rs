//! Bounds of the store, both sides of each.

use model::label_set::LabelSet;
use model::matcher::MatchOp;
use model::staleness::STALE_NAN_BITS;

use crate::cells::Cell;
use crate::options::Options;
use crate::row::{ColumnKind, GroupKey, Rank};
use crate::selection::SelectError;
use crate::store::{LimitError, RowError};
use crate::tests::world::{START_MS, World, request};

fn one(value: f64) -> [(&'static str, Cell); 1] {
    [("up", Cell::Present(value))]
}

#[test]
fn rows_are_logged_recovered_and_selected() {
    let mut world = World::new(Options { tile_rows: 4, ..Options::default() });
    for at in 0..11 {
        let cells = [
            ("up", Cell::Present(1.0)),
            ("seconds", Cell::Present(f64::from(at) * 0.1)),
            ("gone", if at < 5 { Cell::Present(3.0) } else { Cell::Stale }),
        ];
        world.row(1, START_MS + i64::from(at) * 1000, Rank::Owner, &cells).unwrap();
    }
    let before = world.contents();
    assert_eq!(before.len(), 3);
    assert_eq!(before.values().map(std::collections::BTreeMap::len).sum::<usize>(), 33);
    let gone = &before[r#"{__name__="gone", instance="0"}"#];
    assert_eq!(gone[&(START_MS + 10_000)], STALE_NAN_BITS);
    world.settle();
    assert_eq!(world.contents(), before, "sealed tiles are on disk");
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.contents(), before);
    assert_eq!(again.report.damages, Vec::<String>::new());
    assert!(again.report.tiles >= 2 && again.report.rows < 11, "{:?}", again.report);
}

#[test]
fn series_and_groups_over_the_limit_are_refused() {
    let options = Options { series_max: 2, groups_max: 1, ..Options::default() };
    let mut world = World::new(options);
    let group = world.group(1);
    world.column(group, "a");
    world.column(group, "b");
    world.column(group, "a");
    let labels = LabelSet::new([("__name__", "c")]);
    assert_eq!(world.store.column(group, &labels, ColumnKind::Float), Err(LimitError::Series(2)));
    assert_eq!(world.store.group(GroupKey(9), &labels), Err(LimitError::Groups(1)));
}

#[test]
fn a_full_backlog_slows_the_source_and_recovers() {
    let options = Options { log_backlog_bytes_max: 65_536, ..Options::default() };
    let mut world = World::new(options);
    let mut taken = 0;
    let refused = loop {
        let cells: Vec<(String, Cell)> =
            (0..200).map(|c| (format!("m{c}"), Cell::Present(0.1 + f64::from(taken)))).collect();
        let cells: Vec<(&str, Cell)> = cells.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        match world.row(1, START_MS + i64::from(taken) * 1000, Rank::Owner, &cells) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, RowError::Overloaded);
    world.settle();
    world.row(1, START_MS + i64::from(taken) * 1000, Rank::Owner, &one(1.0)).unwrap();
    let samples = world.contents().values().next().unwrap().len();
    assert_eq!(samples, usize::try_from(taken).unwrap());
}

#[test]
fn a_second_row_of_a_slot_counts_by_rank() {
    let mut world = World::new(Options::default());
    assert!(!world.row(1, START_MS, Rank::StandIn, &one(1.0)).unwrap().duplicate);
    assert!(world.row(1, START_MS, Rank::StandIn, &one(2.0)).unwrap().duplicate);
    assert!(!world.row(1, START_MS, Rank::Owner, &one(3.0)).unwrap().duplicate);
    assert!(world.row(1, START_MS, Rank::StandIn, &one(4.0)).unwrap().duplicate);
    let expected = Vec::from([(START_MS, 3.0f64.to_bits())]);
    let found = world.contents();
    assert_eq!(found.values().next().unwrap().clone().into_iter().collect::<Vec<_>>(), expected);
    world.settle();
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.contents(), found);
}

#[test]
fn late_rows_take_their_place_until_the_tile_is_sealed() {
    let mut world = World::new(Options { tile_rows: 2, ..Options::default() });
    for (time, value) in [(2000, 2.0), (1000, 1.0), (3000, 3.0)] {
        world.row(0, START_MS + time, Rank::Owner, &one(value)).unwrap();
    }
    let late = world.row(0, START_MS + 1500, Rank::Owner, &one(9.0));
    assert!(matches!(late, Err(RowError::TooOld { .. })), "{late:?}");
    let ancient = world.row(0, 5, Rank::Owner, &one(9.0));
    assert!(matches!(ancient, Err(RowError::TooOld { .. })), "{ancient:?}");
    assert_eq!(world.contents().values().next().unwrap().len(), 3);
}

#[test]
fn one_label_set_in_two_groups_is_one_series() {
    let mut world = World::new(Options::default());
    let labels = LabelSet::new([("__name__", "shared")]);
    for group in 0..2 {
        let group = world.group(group);
        assert_eq!(world.store.column(group, &labels, ColumnKind::Float).unwrap().0, 0);
    }
    for (group, time, rank, value) in [
        (0, 1, Rank::StandIn, 1.0),
        (1, 1, Rank::Owner, 2.0),
        (0, 2, Rank::Owner, 3.0),
        (1, 2, Rank::Owner, 4.0),
        (1, 0, Rank::StandIn, 0.0),
    ] {
        let id = world.group(group);
        let mut cells = crate::cells::Cells::new(1);
        cells.set(0, Cell::Present(value));
        let row = crate::row::Row {
            group: id,
            slot: crate::row::Slot(START_MS + time),
            timestamp: model::time::TimestampMs(START_MS + time),
            rank,
            cells: &cells,
        };
        world.store.append(world.now, &row, &mut Vec::new()).unwrap();
    }
    let found = world.contents();
    let values: Vec<f64> =
        found.values().next().unwrap().values().map(|b| f64::from_bits(*b)).collect();
    assert_eq!((found.len(), values), (1, vec![0.0, 2.0, 3.0]));
}

#[test]
fn a_selection_past_its_bound_is_refused() {
    let mut world = World::new(Options::default());
    let cells = [("a", Cell::Present(1.0)), ("b", Cell::Present(1.0))];
    world.row(0, START_MS, Rank::Owner, &cells).unwrap();
    let mut wanted = request("__name__", MatchOp::NotEqual, "");
    wanted.series_max = 1;
    assert_eq!(
        world.store.select(&wanted).unwrap_err(),
        SelectError::TooManySeries { series_max: 1 }
    );
    wanted.series_max = 2;
    assert_eq!(world.store.select(&wanted).unwrap().series.len(), 2);
}

#[test]
fn retention_takes_files_columns_and_groups_away() {
    let hour_ms = 3_600_000;
    let options = Options {
        retention_ms: hour_ms,
        tile_rows: 2,
        tile_file_ms: 600_000,
        ..Options::default()
    };
    let mut world = World::new(options);
    let both = [("a", Cell::Present(1.0)), ("b", Cell::Present(1.0))];
    for at in 0..3 {
        world.row(1, START_MS + at, Rank::Owner, &both).unwrap();
        world.row(2, START_MS + at, Rank::Owner, &both).unwrap();
    }
    for at in 1..=260 {
        world.advance_ms(60_000);
        let time = world.now.wall.0;
        world.row(1, time, Rank::Owner, &both[..1]).unwrap();
        world.settle();
        assert!(at < 70 || world.contents().values().all(|s| s.len() < 90));
    }
    let contents = world.contents();
    assert_eq!(contents.keys().collect::<Vec<_>>(), [r#"{__name__="a", instance="0"}"#]);
    assert_eq!(world.store.index.len(), 1, "series without data are gone");
    assert_eq!(world.store.group_keys.len(), 1, "silent groups are gone");
    let tile_files =
        |file: &&crate::names::FileName| matches!(file, crate::names::FileName::Tile(_));
    assert!(world.disk.files.keys().filter(tile_files).count() <= 9);
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    // The log is hardly written here, so that it still has rows that passed retention.
    let found = again.contents();
    assert!(contents.iter().all(|(labels, samples)| found.get(labels) == Some(samples)));
    // What was dropped can come back.
    world.row(1, world.now.wall.0 + 1, Rank::Owner, &both).unwrap();
    assert_eq!(world.contents().len(), 2);
}

#[test]
fn tiles_that_never_reached_the_disk_are_sealed_again_at_start() {
    let mut world = World::new(Options { tile_rows: 4, ..Options::default() });
    for at in 0..300 {
        // Every third row is late, so that the seams of the tiles matter.
        let late = if at % 3 == 2 { 1500 } else { 0 };
        let time = START_MS + at * 1000 - late;
        let _ = world.row(0, time, Rank::Owner, &one(at as f64));
        world.advance_ms(20);
        while world.prepare() || world.commit(true) {}
    }
    let contents = world.contents();
    assert!(200 < contents.values().next().unwrap().len());
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.report.damages, Vec::<String>::new());
    assert_eq!(again.contents(), contents);
}

#[test]
fn a_failing_disk_slows_the_source_and_answers_go_on() {
    let options = Options { log_backlog_bytes_max: 65_536, ..Options::default() };
    let mut world = World::new(options);
    world.row(0, START_MS, Rank::Owner, &one(1.0)).unwrap();
    world.settle();
    let mut at = 0;
    let refused = loop {
        at += 1;
        let appended = world.row(0, START_MS + at, Rank::Owner, &one(0.1 + at as f64));
        world.advance_ms(20);
        while world.prepare() || world.commit(false) {}
        if let Err(error) = appended {
            break error;
        }
    };
    assert_eq!(refused, RowError::Overloaded);
    assert!(!world.store.disk_faults.is_empty());
    assert_eq!(world.durable().0, 3, "nothing more was acknowledged");
    assert_eq!(world.contents().values().next().unwrap().len(), usize::try_from(at).unwrap());
    world.advance_ms(6000);
    world.settle();
    assert!(world.store.disk_faults.is_empty());
    assert_eq!(world.durable(), world.store.log.position());
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.contents(), world.contents());
}
