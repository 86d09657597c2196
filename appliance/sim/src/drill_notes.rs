//! Drill notes: metadata and exemplars that a drill gives its store, and what must be left of them.
//!
//! Path: `drill` → **drill_notes** → `storage::annotate`.
//!
//! Metadata is a definition: what was durable is there after every crash, or what came after it.
//! Exemplars are kept as far as the log has them: what is found was given, each series in order.

use model::label_set::LabelSet;
use model::time::{Now, TimestampMs};
use storage::effect::LogPosition;
use storage::exemplars::Exemplar;
use storage::metadata::Family;
use storage::row::{ColumnKind, GroupKey};
use storage::selection::LabelRequest;
use storage::store::Store;

use crate::contents::Names;
use crate::prng::Prng;

/// Families that a group may tell of.
const FAMILIES: u64 = 3;
/// Series that may have exemplars.
const SERIES: u64 = 3;

/// Something given, and where it stands in the log.
#[derive(Clone, Debug)]
struct Given<T> {
    what: T,
    position: LogPosition,
}

/// What was given, oldest first.
#[derive(Clone, Debug)]
pub struct Notes {
    chance: Prng,
    number: u32,
    families: Vec<Given<(GroupKey, Family)>>,
    exemplars: Vec<Given<(LabelSet, Exemplar)>>,
}

impl Notes {
    /// The notes of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Notes {
        let chance = Prng::new(seed, "drill notes");
        Notes { chance, number: 0, families: Vec::new(), exemplars: Vec::new() }
    }

    /// Gives a family of a group and an exemplar of one of its series, which the store may refuse.
    pub fn give(
        &mut self,
        store: &mut Store,
        names: &mut Names,
        now: Now,
        groups: u32,
    ) -> LogPosition {
        let group = self.chance.below(u64::from(groups));
        let key = GroupKey(u128::from(group) << 7);
        let labels = LabelSet::new([("job", "drill"), ("instance", &group.to_string())]);
        let Ok(id) = store.group(key, &labels) else { return LogPosition(0) };
        self.number += 1;
        let family = Family {
            name: format!("family{}", self.chance.below(FAMILIES)).into(),
            help: format!("Text {}.", self.number).into(),
            ..Family::default()
        };
        if store.set_metadata(now, id, std::slice::from_ref(&family)).is_ok() {
            let position = store.position();
            self.families.push(Given { what: (key, family), position });
        }
        let series = self.chance.below(SERIES).to_string();
        let labels =
            LabelSet::new([("__name__", "own"), ("x", &group.to_string()), ("y", &series)]);
        // It has no samples, and is selected all the same.
        names.number(&labels);
        let Ok(column) = store.column(id, &labels, ColumnKind::Float) else {
            return store.position();
        };
        let back = i64::try_from(self.chance.below(3)).unwrap_or(0) * 1_000;
        let exemplar = Exemplar {
            labels: LabelSet::new([("trace", self.number.to_string().as_str())]),
            value: f64::from(self.number),
            timestamp: TimestampMs(now.wall.0 - back),
        };
        if store.add_exemplar(now, id, column, &exemplar) == Ok(true) {
            let position = store.position();
            self.exemplars.push(Given { what: (labels, exemplar), position });
        }
        store.position()
    }

    /// What came after this place never was, but that the catalog may be ahead of the log.
    pub fn cut(&mut self, position: LogPosition) {
        for given in self.families.iter_mut().filter(|given| position < given.position) {
            given.position = LogPosition(u64::MAX);
        }
        self.exemplars.retain(|given| given.position <= position);
    }

    /// Whether a store that has come to `position` has what it must, and nothing else. Groups that
    /// passed retention may have taken their metadata along if one `expires`.
    ///
    /// # Errors
    /// Names the first thing that is missing, or was never given.
    pub fn check(&self, store: &Store, position: LogPosition, expires: bool) -> Result<(), String> {
        self.check_families(store, position, expires)?;
        self.check_exemplars(store)
    }

    fn check_families(
        &self,
        store: &Store,
        position: LogPosition,
        expires: bool,
    ) -> Result<(), String> {
        for (at, given) in self.families.iter().enumerate() {
            let (key, family) = &given.what;
            let of_family = |other: &&Given<(GroupKey, Family)>| {
                other.what.0 == *key && other.what.1.name == family.name
            };
            let is_last = !self.families[at + 1..]
                .iter()
                .filter(of_family)
                .any(|other| other.position <= position);
            if position < given.position || !is_last {
                continue;
            }
            let found = store.group_metadata(*key);
            let found = found.iter().find(|other| other.name == family.name);
            let may_be = self.families[at..].iter().filter(of_family);
            let is_right = match found {
                Some(found) => may_be.into_iter().any(|other| other.what.1 == **found),
                None => expires,
            };
            if !is_right {
                return Err(format!("metadata of {key:?} is {found:?}, not {family:?}"));
            }
        }
        Ok(())
    }

    fn check_exemplars(&self, store: &Store) -> Result<(), String> {
        let wanted =
            LabelRequest { matcher_sets: Vec::new(), from: TimestampMs::MIN, to: TimestampMs::MAX };
        let found = store.exemplars(&wanted, usize::MAX - 1).map_err(|error| error.to_string())?;
        for series in found {
            let times: Vec<i64> = series.exemplars.iter().map(|one| one.timestamp.0).collect();
            if !times.is_sorted() {
                return Err(format!("exemplars of {} are out of order", series.labels));
            }
            for exemplar in &series.exemplars {
                let is_given = self
                    .exemplars
                    .iter()
                    .any(|given| given.what.0 == series.labels && given.what.1 == *exemplar);
                if !is_given {
                    return Err(format!("{exemplar:?} of {} was never given", series.labels));
                }
            }
        }
        Ok(())
    }
}
