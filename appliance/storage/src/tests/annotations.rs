//! Metadata and exemplars over restarts.

use exposition::metric_type::MetricType;
use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;

use crate::cells::Cell;
use crate::exemplars::{Exemplar, ExemplarError};
use crate::metadata::{Family, MetadataError, TEXT_BYTES_MAX};
use crate::options::Options;
use crate::row::{ColumnIndex, GroupKey, Rank};
use crate::selection::LabelRequest;
use crate::tests::world::{START_MS, World};

fn family(name: &str, help: &str) -> Family {
    let (name, help) = (name.into(), help.into());
    Family { name, metric_type: MetricType::Counter, help, unit: "seconds".into() }
}

fn key(group: u32) -> GroupKey {
    GroupKey(u128::from(group) << 7)
}

/// Helps of what a group says, by family.
fn said(world: &World, group: u32) -> Vec<(String, String)> {
    let families = world.store.group_metadata(key(group));
    families.iter().map(|family| (family.name.to_string(), family.help.to_string())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, help)| ((*name).to_owned(), (*help).to_owned())).collect()
}

#[test]
fn metadata_is_recovered_from_log_and_catalog() {
    let mut world = World::new(Options { tile_rows: 2, ..Options::default() });
    for (group, help) in [(1, "same"), (2, "same"), (3, "other")] {
        let id = world.group(group);
        let families = [family("b_total", help), family("a_total", "first")];
        world.store.set_metadata(world.now, id, &families).unwrap();
    }
    assert_eq!(world.store.metadata(None, 100).len(), 3, "each text once");
    assert_eq!(world.store.metadata(Some("b_total"), 100).len(), 2);
    world.settle();
    let changed = family("a_total", "second");
    let id = world.group(1);
    world.store.set_metadata(world.now, id, &[changed]).unwrap();
    let expected = pairs(&[("a_total", "second"), ("b_total", "same")]);
    assert_eq!(said(&world, 1), expected);
    world.settle();
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(said(&again, 1), expected);
    assert_eq!(said(&again, 3), pairs(&[("a_total", "first"), ("b_total", "other")]));
    // Once more, from the catalog that the start wrote.
    let mut again = again;
    again.settle();
    let third = World::open(again.options.clone(), again.disk.clone()).unwrap();
    assert_eq!(said(&third, 1), expected);
    assert_eq!(third.report.damages, Vec::<String>::new());
}

#[test]
fn metadata_is_bounded() {
    let options = Options { metadata_bytes_max: 4096, ..Options::default() };
    let mut world = World::new(options);
    let id = world.group(1);
    let long = family("a", &"x".repeat(TEXT_BYTES_MAX));
    let refused = world.store.set_metadata(world.now, id, &[long]);
    assert!(matches!(refused, Err(MetadataError::TooLong { .. })), "{refused:?}");
    let many: Vec<Family> = (0..100).map(|at| family(&format!("m{at:03}"), "help")).collect();
    assert_eq!(world.store.set_metadata(world.now, id, &many), Err(MetadataError::Full(4096)));
    let kept = said(&world, 1).len();
    assert!(0 < kept && kept < 100, "{kept}");
    assert!(world.store.memory().metadata <= 2 * 4096);
}

fn exemplars(world: &World, from: i64) -> Vec<(String, Vec<f64>)> {
    let matcher = Matcher::new("__name__", MatchOp::Equal, "up").unwrap();
    let request = LabelRequest {
        matcher_sets: vec![vec![matcher]],
        from: TimestampMs(from),
        to: TimestampMs(START_MS + 8000),
    };
    let found = world.store.exemplars(&request, 10).unwrap();
    let values = |exemplars: &[Exemplar]| exemplars.iter().map(|e| e.value).collect();
    found.iter().map(|series| (series.labels.to_string(), values(&series.exemplars))).collect()
}

#[test]
fn exemplars_are_kept_as_long_as_the_log_has_them() {
    let mut world = World::new(Options { exemplars_max: 6, ..Options::default() });
    let cells = [("up", Cell::Present(1.0)), ("down", Cell::Present(1.0))];
    for at in 0..10i32 {
        let time = START_MS + i64::from(at) * 1000;
        world.row(1, time, Rank::Owner, &cells).unwrap();
        let group = world.group(1);
        let exemplar = Exemplar {
            labels: LabelSet::new([("trace_id", at.to_string().as_str())]),
            value: f64::from(at),
            timestamp: TimestampMs(time),
        };
        for _ in 0..2 {
            world.store.add_exemplar(world.now, group, ColumnIndex(0), &exemplar).unwrap();
        }
        let unknown = world.store.add_exemplar(world.now, group, ColumnIndex(9), &exemplar);
        assert_eq!(unknown, Err(ExemplarError::UnknownColumn { group: 0, column: 9 }));
    }
    let name = "{__name__=\"up\", instance=\"0\"}".to_owned();
    let expected = vec![(name, vec![5.0, 6.0, 7.0, 8.0])];
    assert_eq!(exemplars(&world, START_MS + 5000), expected, "the ring holds 4 to 9");
    world.settle();
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(exemplars(&again, START_MS + 5000), expected);
}
