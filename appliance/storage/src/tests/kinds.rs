//! Columns of native histograms and of start timestamps, beside those of floats.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::MatchOp;
use model::native_histogram::NativeHistogram;
use model::samples::Samples;
use model::staleness::is_stale;
use model::time::TimestampMs;
use proptest::prelude::*;

use crate::cells::{Cell, Cells};
use crate::histogram::{same, tests::any_histogram};
use crate::options::Options;
use crate::row::{ColumnKind, Rank, Row, Slot};
use crate::selection::TileCache;
use crate::store::{Appended, RowError};
use crate::tests::world::{Disk, START_MS, World, request};
use crate::{effect::Effect, row::ColumnIndex, store::Store};

/// What one series says at one time.
#[derive(Clone, Debug)]
enum Said {
    Nothing,
    Float(f64),
    Histogram(Arc<NativeHistogram>),
    Stale,
}

const KINDS: [ColumnKind; 3] = [ColumnKind::Float, ColumnKind::Histogram, ColumnKind::Start];

impl World {
    fn columns_of(&mut self, name: &str) -> [ColumnIndex; 3] {
        let group = self.group(1);
        let labels = LabelSet::new([("__name__", name)]);
        KINDS.map(|kind| self.store.column(group, &labels, kind).unwrap())
    }

    /// Appends what `name` says, with a start timestamp an hour before.
    fn say(&mut self, name: &str, time_ms: i64, said: &Said) -> Result<Appended, RowError> {
        let [float, histogram, start] = self.columns_of(name);
        let group = self.group(1);
        let mut cells = Cells::new(self.store.columns(group));
        match said {
            Said::Nothing => {}
            Said::Float(value) => cells.set(float.0 as usize, Cell::Present(*value)),
            Said::Histogram(value) => cells.set_histogram(histogram.0, Arc::clone(value)),
            Said::Stale => cells.set(histogram.0 as usize, Cell::Stale),
        }
        if matches!(said, Said::Float(_) | Said::Histogram(_)) {
            let started = Cell::Present((time_ms - 3_600_000) as f64);
            cells.set(start.0 as usize, started);
        }
        let (slot, timestamp) = (Slot(time_ms), TimestampMs(time_ms));
        let row = Row { group, slot, timestamp, rank: Rank::Owner, cells: &cells };
        self.append(&row)
    }

    fn append(&mut self, row: &Row<'_>) -> Result<Appended, RowError> {
        let mut effects: Vec<Effect> = Vec::new();
        let appended = self.store.append(self.now, row, &mut effects);
        self.take(effects);
        appended
    }
}

fn decode(store: &Store, disk: &Disk, name: &str) -> Samples {
    let mut samples = Samples::default();
    for series in store.select(&request("__name__", MatchOp::Equal, name)).unwrap().series {
        let mut cache = TileCache::default();
        let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
        series.decode(disk, &mut cache, after, until, &mut samples).unwrap();
    }
    samples
}

fn check(samples: &Samples, model: &BTreeMap<i64, Said>) -> Result<(), TestCaseError> {
    prop_assert_eq!(&samples.timestamps_ms, &model.keys().copied().collect::<Vec<_>>());
    for (at, (time, said)) in model.iter().enumerate() {
        let histogram = samples.histograms.iter().find(|(other, _)| *other as usize == at);
        let started = samples.start_timestamps_ms.get(at).copied().unwrap_or(0);
        match said {
            Said::Nothing => unreachable!("the model has what was said"),
            Said::Float(value) => {
                prop_assert!(histogram.is_none());
                prop_assert_eq!(value.to_bits(), samples.values[at].to_bits());
                prop_assert_eq!(started, time - 3_600_000);
            }
            Said::Histogram(value) => {
                prop_assert!(histogram.is_some_and(|(_, found)| same(found, value)));
                prop_assert_eq!(started, time - 3_600_000);
            }
            Said::Stale => {
                prop_assert!(histogram.is_none() && is_stale(samples.values[at]));
                prop_assert_eq!(started, 0);
            }
        }
    }
    Ok(())
}

fn said() -> impl Strategy<Value = Said> {
    let idle = Arc::new(NativeHistogram { sum: 1.5, ..NativeHistogram::default() });
    prop_oneof![
        1 => Just(Said::Nothing),
        2 => (0u8..3).prop_map(|value| Said::Float(f64::from(value))),
        2 => Just(Said::Histogram(idle)),
        4 => any_histogram().prop_map(|value| Said::Histogram(Arc::new(value))),
        1 => Just(Said::Stale),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_kind_is_logged_sealed_recovered_and_selected(
        rows in prop::collection::vec((0i64..60, said(), said()), 1..40),
    ) {
        let options = Options {
            tile_rows: 8,
            segment_bytes: 32 << 10,
            block_bytes: 512,
            ..Options::default()
        };
        let mut world = World::new(options);
        let mut models = [BTreeMap::new(), BTreeMap::new()];
        for (at, a, b) in rows {
            for (series, said) in [a, b].into_iter().enumerate() {
                let time = START_MS + at * 1000 + i64::try_from(series).unwrap();
                let appended = world.say(["a", "b"][series], time, &said);
                let counts = appended.is_ok_and(|appended| !appended.duplicate);
                if counts && !matches!(said, Said::Nothing) {
                    models[series].insert(time, said);
                }
            }
        }
        world.settle();
        let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
        prop_assert_eq!(&again.report.damages, &Vec::<String>::new());
        for (name, model) in ["a", "b"].into_iter().zip(&models) {
            check(&decode(&world.store, &world.disk, name), model)?;
            check(&decode(&again.store, &again.disk, name), model)?;
        }
    }
}

#[test]
fn a_value_of_another_kind_is_refused() {
    let mut world = World::new(Options::default());
    let [_, histogram, _] = world.columns_of("a");
    let group = world.group(1);
    let mut cells = Cells::new(3);
    cells.set(histogram.0 as usize, Cell::Present(1.0));
    let (slot, timestamp) = (Slot(START_MS), TimestampMs(START_MS));
    let row = Row { group, slot, timestamp, rank: Rank::Owner, cells: &cells };
    let refused = world.append(&row).unwrap_err();
    assert_eq!(refused.to_string(), "column 1 of group 0: the column is of histograms");
}

#[test]
fn a_row_of_histograms_that_fits_no_segment_is_refused() {
    let options = Options { segment_bytes: 32 << 10, ..Options::default() };
    let mut world = World::new(options);
    let spans = vec![model::native_histogram::Span { offset: 0, length: 4000 }];
    let large = NativeHistogram {
        positive_spans: spans,
        positive_buckets: vec![0.5; 4000],
        ..NativeHistogram::default()
    };
    let refused = world.say("a", START_MS, &Said::Histogram(Arc::new(large)));
    assert!(matches!(refused, Err(RowError::Unfit { .. })), "{refused:?}");
    world.say("a", START_MS, &Said::Float(1.0)).unwrap();
}

#[test]
fn an_idle_histogram_costs_no_more_than_an_idle_float() {
    let mut world = World::new(Options::default());
    let value = Arc::new(NativeHistogram {
        positive_spans: vec![model::native_histogram::Span { offset: 0, length: 100 }],
        positive_buckets: vec![7.0; 100],
        ..NativeHistogram::default()
    });
    world.say("a", START_MS, &Said::Histogram(Arc::clone(&value))).unwrap();
    let logged = |world: &World| world.store.log.counts().record_bytes;
    let before = (logged(&world), world.store.memory().tiles);
    for at in 1..100 {
        let equal = Arc::new(NativeHistogram::clone(&value));
        world.say("a", START_MS + at * 1000, &Said::Histogram(equal)).unwrap();
    }
    let grown = (logged(&world) - before.0, world.store.memory().tiles - before.1);
    assert!(grown.0 < 100 * 24, "{} bytes of records", grown.0);
    assert!(grown.1 < 100 * 40, "{} bytes of memory", grown.1);
}
