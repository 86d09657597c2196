//! Limits of targets, jobs and tenants, and of the bytes of the head.

use exposition::metrics::Collected;
use model::label_set::LabelSet;

use crate::cells::Cell;
use crate::options::{Options, OwnerLimit};
use crate::owners::{OwnerKind, TENANT_LABEL};
use crate::row::{ColumnKind, GroupId, GroupKey, Rank};
use crate::store::LimitError;
use crate::tests::world::{START_MS, World};

fn group(world: &mut World, number: u32, job: &str, tenant: &str) -> GroupId {
    let instance = number.to_string();
    let labels =
        LabelSet::new([("job", job), (TENANT_LABEL, tenant), ("instance", instance.as_str())]);
    world.store.group(GroupKey(number.into()), &labels).unwrap()
}

/// Makes up to `count` series; how many there were until the refusal.
fn series(world: &mut World, group: GroupId, count: u32) -> (u32, Option<LimitError>) {
    for at in 0..count {
        let (instance, name) = (group.0.to_string(), format!("m{at}"));
        let labels = LabelSet::new([("__name__", name.as_str()), ("instance", instance.as_str())]);
        if let Err(error) = world.store.column(group, &labels, ColumnKind::Float) {
            return (at, Some(error));
        }
    }
    (count, None)
}

fn over(kind: OwnerKind, limit: u64, unit: &'static str) -> Option<LimitError> {
    Some(LimitError::Owner { kind, limit, unit })
}

#[test]
fn each_owner_has_its_own_limit_and_nobody_else_notices() {
    let of = |series_max| OwnerLimit { series_max, bytes_max: 0 };
    let options = Options {
        target_limit: of(10),
        job_limit: of(15),
        tenant_limit: of(25),
        ..Options::default()
    };
    let mut world = World::new(options);
    let a = group(&mut world, 1, "a", "t");
    let b = group(&mut world, 2, "a", "t");
    let c = group(&mut world, 3, "b", "t");
    let d = group(&mut world, 4, "c", "t");
    let e = group(&mut world, 5, "c", "u");
    assert_eq!(series(&mut world, a, 11), (10, over(OwnerKind::Target, 10, "series")));
    assert_eq!(series(&mut world, b, 10), (5, over(OwnerKind::Job, 15, "series")));
    assert_eq!(series(&mut world, c, 9), (9, None));
    assert_eq!(series(&mut world, d, 9), (1, over(OwnerKind::Tenant, 25, "series")));
    assert_eq!(series(&mut world, e, 10), (10, None));
    assert_eq!(series(&mut world, a, 10), (10, None), "what is there stays");
    let refused: Vec<_> = world.store.owners.refused().collect();
    let expected =
        [(OwnerKind::Target, "1", 1), (OwnerKind::Job, "a", 1), (OwnerKind::Tenant, "t", 1)];
    assert_eq!(refused, expected);
    let mut collected = Collected::default();
    world.store.collect(&mut collected);
}

#[test]
fn what_owners_have_is_known_after_a_start() {
    let limit = OwnerLimit { series_max: 3, bytes_max: 0 };
    let mut world = World::new(Options { job_limit: limit, ..Options::default() });
    let cells = [("a", Cell::Present(1.0)), ("b", Cell::Present(1.0)), ("c", Cell::Present(1.0))];
    world.row(1, START_MS, Rank::Owner, &cells).unwrap();
    world.settle();
    let mut again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    let group = again.group(1);
    let labels = LabelSet::new([("__name__", "d")]);
    let refused = again.store.column(group, &labels, ColumnKind::Float).unwrap_err();
    assert_eq!(refused.to_string(), "limit of 3 series of the job reached");
}

#[test]
fn bytes_are_limited_by_what_is_measured() {
    let bytes_max = 200_000;
    let limit = OwnerLimit { series_max: 0, bytes_max };
    let mut world = World::new(Options { target_limit: limit, ..Options::default() });
    let a = group(&mut world, 1, "a", "t");
    let (made, refused) = series(&mut world, a, 10_000);
    assert_eq!(refused, over(OwnerKind::Target, bytes_max, "bytes"));
    world.advance_ms(61_000);
    let measured = world.store.groups[0].as_ref().unwrap().usage.bytes;
    let by_series = measured / u64::from(made);
    assert!((20..400).contains(&by_series), "{by_series} bytes a series without samples");
    let b = group(&mut world, 2, "a", "t");
    assert_eq!(series(&mut world, b, 100), (100, None));

    let mut world = World::new(Options { head_bytes_max: bytes_max, ..Options::default() });
    let a = group(&mut world, 1, "a", "t");
    assert_eq!(series(&mut world, a, 10_000).1, Some(LimitError::Bytes(bytes_max)));
}
