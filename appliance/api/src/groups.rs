//! Groups: what batch jobs pushed, which stays current until it is replaced or deleted.
//!
//! Path: `push` reads a body → **groups** → what is to be stored, at which time.
//! Never: waits; holds more than its bounds; gives a group the same time twice.
//! Source: the README of Prometheus's Pushgateway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::label_set::{Builder as Labels, LabelSet, METRIC_NAME};
use model::native_histogram::NativeHistogram;
use model::staleness::stale_nan;
use storage::metadata::Family;

/// Groups at once: a batch job, or an instance of one, each.
pub const GROUPS_MAX: usize = 10_000;
/// Bytes of all groups: some hundred thousand series.
pub const GROUPS_BYTES_MAX: usize = 64 << 20;
/// What a series takes beside its labels and buckets.
const SERIES_BYTES: usize = 128;

/// When a group was pushed last.
pub const PUSH_TIME: &str = "push_time_seconds";
/// When a push of a group failed last.
pub const FAILURE_TIME: &str = "push_failure_time_seconds";

const MS_PER_SECOND: f64 = 1e3;

/// Value of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum PushedValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Native(Arc<NativeHistogram>),
}

/// Series and their values.
type Series = Vec<(LabelSet, PushedValue)>;

/// What a body has, by metric family.
#[derive(Clone, Debug, Default)]
pub struct Families {
    /// Series by name of their family, with the labels of the group.
    pub series: BTreeMap<Box<str>, Series>,
    /// What is said of families.
    pub described: Vec<Family>,
}

/// What becomes of a group.
#[derive(Debug)]
pub enum Change {
    /// Its families are replaced: all of them, or those of the same name.
    Put {
        /// The new ones.
        families: Families,
        /// Whether others end.
        replaces_all: bool,
    },
    /// A body made no sense.
    Fail,
    /// It ends.
    Delete,
}

/// Samples of one group to be stored.
#[derive(Clone, Debug, Default)]
pub struct Stamped {
    /// Their time.
    pub at_ms: i64,
    /// Their series and values; staleness markers for series that ended.
    pub series: Series,
    /// What was said of families.
    pub described: Vec<Family>,
}

/// There is no room for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "pushed groups hold as much as they may ({GROUPS_MAX} groups, {GROUPS_BYTES_MAX} bytes): \
     delete those that are done"
)]
pub struct Full;

/// One group.
#[derive(Clone, Debug, Default)]
struct Group {
    families: BTreeMap<Box<str>, Series>,
    pushed_ms: i64,
    failed_ms: i64,
    stamped_ms: i64,
}

/// All of them, by their grouping labels.
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<LabelSet, Group>,
    bytes: usize,
}

impl Groups {
    /// Changes the group of these labels; gives what is to be stored.
    ///
    /// # Errors
    /// See [`Full`]; the group is as it was.
    pub fn change(&mut self, key: &LabelSet, change: Change, now_ms: i64) -> Result<Stamped, Full> {
        match change {
            Change::Put { families, replaces_all } => self.put(key, families, replaces_all, now_ms),
            Change::Fail => {
                self.check_room(key, 0)?;
                let group = self.groups.entry(key.clone()).or_default();
                group.failed_ms = now_ms;
                Ok(group.stamp(key, now_ms, Vec::new()))
            }
            Change::Delete => Ok(self.delete(key, now_ms)),
        }
    }

    fn put(
        &mut self,
        key: &LabelSet,
        families: Families,
        replaces_all: bool,
        now_ms: i64,
    ) -> Result<Stamped, Full> {
        let Families { series, described } = families;
        let is_replaced = |name: &str| replaces_all || series.contains_key(name);
        let replaced = self.groups.get(key).map_or(0, |group| {
            let gone = group.families.iter().filter(|(name, _)| is_replaced(name));
            gone.map(|(_, series)| bytes_of(series)).sum()
        });
        let added: usize = series.values().map(|series| bytes_of(series)).sum();
        self.bytes -= replaced;
        if let Err(full) = self.check_room(key, added) {
            self.bytes += replaced;
            return Err(full);
        }
        self.bytes += added;
        let group = self.groups.entry(key.clone()).or_default();
        let (gone, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut group.families)
            .into_iter()
            .partition(|(name, _)| is_replaced(name));
        let stay: BTreeSet<&LabelSet> = series.values().flatten().map(|(l, _)| l).collect();
        let ended = gone.into_values().flatten().map(|(labels, _)| labels);
        let ended = ended.filter(|labels| !stay.contains(labels)).collect();
        group.families = kept;
        group.families.extend(series);
        group.pushed_ms = now_ms;
        Ok(Stamped { described, ..group.stamp(key, now_ms, ended) })
    }

    fn delete(&mut self, key: &LabelSet, now_ms: i64) -> Stamped {
        let Some(mut group) = self.groups.remove(key) else { return Stamped::default() };
        self.bytes -= group.families.values().map(|series| bytes_of(series)).sum::<usize>();
        let last = group.stamp(key, now_ms, Vec::new());
        let end = |(labels, _)| (labels, PushedValue::Float(stale_nan()));
        Stamped { series: last.series.into_iter().map(end).collect(), ..last }
    }

    /// Every group once more, with a new time.
    pub fn stamp_all(&mut self, now_ms: i64) -> Vec<Stamped> {
        let stamp = |(key, group): (&LabelSet, &mut Group)| group.stamp(key, now_ms, Vec::new());
        self.groups.iter_mut().map(stamp).collect()
    }

    /// Groups, and bytes of all.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        (self.groups.len(), self.bytes)
    }

    fn check_room(&self, key: &LabelSet, added: usize) -> Result<(), Full> {
        let is_one_too_many = GROUPS_MAX <= self.groups.len() && !self.groups.contains_key(key);
        let is_full = GROUPS_BYTES_MAX < self.bytes + added;
        if is_one_too_many || is_full { Err(Full) } else { Ok(()) }
    }
}

impl Group {
    /// Its series with a new time, and the ends of those that are no more.
    fn stamp(&mut self, key: &LabelSet, now_ms: i64, ended: Vec<LabelSet>) -> Stamped {
        self.stamped_ms = now_ms.max(self.stamped_ms + 1);
        let own = [(PUSH_TIME, self.pushed_ms), (FAILURE_TIME, self.failed_ms)];
        let own = own.map(|(name, ms)| {
            let mut labels = Labels::from(key);
            labels.set(METRIC_NAME, name);
            (labels.build(), PushedValue::Float(seconds(ms)))
        });
        let mut series: Series = self.families.values().flatten().cloned().collect();
        series.extend(own);
        let end = |labels| (labels, PushedValue::Float(stale_nan()));
        series.extend(ended.into_iter().map(end));
        Stamped { at_ms: self.stamped_ms, series, described: Vec::new() }
    }
}

/// Bytes that series take, about.
fn bytes_of(series: &[(LabelSet, PushedValue)]) -> usize {
    let bytes = |(labels, value): &(LabelSet, PushedValue)| {
        let buckets = match value {
            PushedValue::Float(_) => 0,
            PushedValue::Native(native) => {
                let spans = native.positive_spans.len() + native.negative_spans.len();
                let buckets = native.positive_buckets.len() + native.negative_buckets.len();
                8 * (2 * spans + buckets + native.custom_values.len()) + SERIES_BYTES
            }
        };
        labels.heap_bytes() + SERIES_BYTES + buckets
    };
    series.iter().map(bytes).sum()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / MS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use model::staleness::is_stale;

    use super::*;

    fn key() -> LabelSet {
        LabelSet::new([("job", "j")])
    }

    fn families(names: &[(&str, f64)]) -> Families {
        let mut families = Families::default();
        for (name, value) in names {
            let labels = LabelSet::new([(METRIC_NAME, *name), ("job", "j")]);
            let series = vec![(labels, PushedValue::Float(*value))];
            families.series.insert(Box::from(*name), series);
        }
        families
    }

    /// Names and values; an end is "-".
    fn shown(stamped: &Stamped) -> String {
        let value = |value: &PushedValue| match value {
            PushedValue::Float(value) if is_stale(*value) => "-".to_owned(),
            PushedValue::Float(value) => value.to_string(),
            PushedValue::Native(_) => "native".to_owned(),
        };
        let one = |(labels, v): &(LabelSet, PushedValue)| {
            format!("{} {}", labels.metric_name(), value(v))
        };
        let all: Vec<String> = stamped.series.iter().map(one).collect();
        format!("{}: {}", stamped.at_ms, all.join(", "))
    }

    #[track_caller]
    fn check(groups: &mut Groups, change: Change, now_ms: i64, expected: &str) {
        let stamped = groups.change(&key(), change, now_ms).expect("room");
        assert_eq!(shown(&stamped), expected);
    }

    #[test]
    fn post_replaces_families_and_put_the_whole_group() {
        let mut groups = Groups::default();
        let put = |names: &[(&str, f64)], replaces_all| Change::Put {
            families: families(names),
            replaces_all,
        };
        let own = "push_time_seconds 1, push_failure_time_seconds 0";
        let expected = format!("1000: a 1, b 2, {own}");
        check(&mut groups, put(&[("a", 1.0), ("b", 2.0)], false), 1000, &expected);
        // The same millisecond again: a time is given once.
        let expected = format!("1001: a 1, b 3, {own}");
        check(&mut groups, put(&[("b", 3.0)], false), 1000, &expected);
        let held = groups.held();
        let expected = format!("1002: b 4, {own}, a -");
        check(&mut groups, put(&[("b", 4.0)], true), 1000, &expected);
        assert!(groups.held().1 < held.1);
        let all = groups.stamp_all(2000);
        assert_eq!(shown(&all[0]), format!("2000: b 4, {own}"));
        let failed = "3000: b 4, push_time_seconds 1, push_failure_time_seconds 3";
        check(&mut groups, Change::Fail, 3000, failed);
        let ended = "4000: b -, push_time_seconds -, push_failure_time_seconds -";
        check(&mut groups, Change::Delete, 4000, ended);
        check(&mut groups, Change::Delete, 5000, "0: ");
        assert_eq!((groups.held(), groups.stamp_all(6000).len()), ((0, 0), 0));
    }

    #[test]
    fn groups_are_bounded_in_number_and_bytes() {
        let mut groups = Groups::default();
        let key = |number: usize| LabelSet::new([("job", number.to_string().as_str())]);
        let put = |value: &str| {
            let labels = LabelSet::new([(METRIC_NAME, "a"), ("b", value)]);
            let series = vec![(labels, PushedValue::Float(1.0))];
            let families = Families {
                series: BTreeMap::from([(Box::from("a"), series)]),
                ..Families::default()
            };
            Change::Put { families, replaces_all: true }
        };
        for number in 0..GROUPS_MAX {
            groups.change(&key(number), put("x"), 1).expect("room");
        }
        assert_eq!(groups.change(&key(GROUPS_MAX), put("x"), 1).err(), Some(Full));
        let held = groups.held();
        let huge = "x".repeat(GROUPS_BYTES_MAX);
        assert_eq!(groups.change(&key(0), put(&huge), 1).err(), Some(Full));
        assert_eq!(groups.held(), held);
        groups.change(&key(0), put("y"), 1).expect("room for one that is there");
    }
}
