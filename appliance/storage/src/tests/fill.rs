//! Rows that come in parts, as pushed ones do.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::{NativeHistogram, Span};
use model::time::TimestampMs;
use proptest::prelude::*;

use crate::cells::{Cell, Cells};
use crate::fill::{Filled, Late, There};
use crate::options::Options;
use crate::row::{ColumnKind, Rank, Row, Slot};
use crate::store::RowError;
use crate::tests::world::{Contents, START_MS, World};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Fills a row with cells by metric name.
pub(super) fn fill(
    world: &mut World,
    group: u32,
    time_ms: i64,
    cells: &[(&str, Cell)],
) -> Result<Filled, RowError> {
    let group = world.group(group);
    let columns: Vec<_> = cells.iter().map(|(name, _)| world.column(group, name)).collect();
    let mut row = Cells::new(world.store.columns(group));
    for (column, (_, cell)) in columns.iter().zip(cells) {
        row.set(column.0 as usize, *cell);
    }
    let (slot, timestamp) = (Slot(time_ms), TimestampMs(time_ms));
    let row = Row { group, slot, timestamp, rank: Rank::Owner, cells: &row };
    let mut effects = Vec::new();
    let filled = world.store.fill(world.now, &row, Late::Always, &mut effects);
    world.take(effects);
    filled
}

fn labels(name: &str) -> String {
    let labels = LabelSet::new([("__name__", name), ("instance", "0")]);
    labels.to_string()
}

#[test]
fn the_first_cell_stays_and_the_same_again_is_no_conflict() {
    let mut world = World::new(Options::default());
    let value = |value| Cell::Present(value);
    let filled = fill(&mut world, 0, START_MS, &[("a", value(1.0)), ("b", value(2.0))]).unwrap();
    assert_eq!((filled.stored, filled.conflicts), (2, vec![]));
    let filled = fill(&mut world, 0, START_MS, &[("b", value(3.0)), ("c", value(4.0))]).unwrap();
    assert_eq!((filled.stored, filled.conflicts), (1, vec![1]));
    let again = fill(&mut world, 0, START_MS, &[("a", value(1.0)), ("c", value(4.0))]).unwrap();
    assert_eq!((again.stored, again.conflicts), (0, vec![]));
    assert!(filled.position <= again.position, "what is there is durable with the answer");
    let (group, column) = (world.group(0), crate::row::ColumnIndex(1));
    let there = |value| world.store.there(group, column, Slot(START_MS), value);
    assert_eq!((there(2.0), there(3.0)), (There::Same, There::Other));
    assert_eq!(world.store.there(group, column, Slot(1), 2.0), There::Nothing);
    assert_eq!(world.store.counts.samples, 3);
}

#[test]
fn parts_behind_a_sealed_row_are_taken() {
    let mut world = World::new(Options { tile_rows: 2, ..Options::default() });
    for at in 0..8 {
        fill(&mut world, 0, START_MS + at * 1000, &[("a", Cell::Present(1.0))]).unwrap();
    }
    for at in 0..8 {
        let filled =
            fill(&mut world, 0, START_MS + at * 1000, &[("b", Cell::Present(2.0))]).unwrap();
        assert_eq!(filled.stored, 1);
    }
    world.settle();
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.contents(), world.contents());
    assert_eq!(again.contents()[&labels("b")].len(), 8);
}

#[test]
fn histograms_fill_rows() {
    let mut world = World::new(Options::default());
    let group = world.group(0);
    let float = world.column(group, "a");
    let name = LabelSet::new([("__name__", "h")]);
    let native = world.store.column(group, &name, ColumnKind::Histogram).unwrap();
    for at in 0..3i64 {
        fill(&mut world, 0, START_MS + at, &[("a", Cell::Present(1.0))]).unwrap();
        let histogram = Arc::new(NativeHistogram {
            count: 2.0 + at as f64,
            sum: 1.0,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            positive_buckets: vec![2.0 + at as f64],
            ..NativeHistogram::default()
        });
        let mut cells = Cells::new(world.store.columns(group));
        cells.set_histogram(native.0, Arc::clone(&histogram));
        let (slot, timestamp) = (Slot(START_MS + at), TimestampMs(START_MS + at));
        let row = Row { group, slot, timestamp, rank: Rank::Owner, cells: &cells };
        let mut effects = Vec::new();
        let filled = world.store.fill(world.now, &row, Late::Always, &mut effects).unwrap();
        world.take(effects);
        assert_eq!((filled.stored, filled.conflicts), (1, vec![]));
    }
    assert_eq!(float.0, 0);
    world.settle();
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.report.damages, Vec::<String>::new());
    let found = again.store.groups[0].as_ref().unwrap();
    let count = |at: usize| found.histogram_at(native.0, at).count;
    assert_eq!([count(0), count(1), count(2)], [2.0, 3.0, 4.0]);
}

#[derive(Clone, Debug)]
enum Step {
    Part { back: i64, cells: Vec<(&'static str, Cell)> },
    Settle,
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    let cell = prop_oneof![
        4 => (0i64..9).prop_map(|i| Cell::Present(i as f64 / 4.0)),
        1 => any::<u64>().prop_map(|bits| Cell::Present(f64::from_bits(bits))),
        1 => Just(Cell::Stale),
    ];
    let cells = prop::collection::btree_map(prop::sample::select(&NAMES[..]), cell, 1..4);
    prop_oneof![
        12 => (0i64..4, cells)
            .prop_map(|(back, cells)| Step::Part { back, cells: cells.into_iter().collect() }),
        1 => Just(Step::Settle),
        1 => Just(Step::Again),
    ]
}

proptest! {
    #[test]
    fn parts_make_what_a_naive_store_has(steps in prop::collection::vec(step(), 1..80)) {
        let options =
            Options { tile_rows: 5, segment_bytes: 1 << 15, ..Options::default() };
        let mut world = World::new(options);
        let mut model: Contents = BTreeMap::new();
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Part { back, cells } => {
                    let time_ms = START_MS + (i64::try_from(at).unwrap() / 3 - back) * 1000;
                    world.prepare();
                    fill(&mut world, 0, time_ms, cells).unwrap();
                    for (name, cell) in cells {
                        let bits = cell.value().unwrap().to_bits();
                        let samples = model.entry(labels(name)).or_default();
                        samples.entry(time_ms).or_insert(bits);
                    }
                }
                Step::Settle => world.settle(),
                Step::Again => {
                    world.settle();
                    world = World::open(world.options.clone(), world.disk.clone()).unwrap();
                    prop_assert_eq!(&world.report.damages, &Vec::<String>::new());
                }
            }
            prop_assert_eq!(&world.contents(), &model);
        }
    }
}
