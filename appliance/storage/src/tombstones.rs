//! Tombstones: what was deleted, hidden from selections until compaction has taken it away.
//!
//! Path: `store` → **tombstones** → manifest; selections and compaction ask them.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::time::TimestampMs;

/// Samples of the series that fulfil all matchers, in a time range, are deleted.
#[derive(Clone, Debug)]
pub struct Tombstone {
    /// Rises from one to the next; a block knows the newest that was applied to it.
    pub id: u64,
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// First time that is deleted.
    pub from: TimestampMs,
    /// Last time that is deleted.
    pub to: TimestampMs,
}

/// Two are equal when they say the same; patterns are compared by their text.
impl PartialEq for Tombstone {
    fn eq(&self, other: &Tombstone) -> bool {
        let same = |(a, b): (&Matcher, &Matcher)| same_matcher(a, b);
        self.id == other.id
            && (self.from, self.to) == (other.from, other.to)
            && self.matchers.len() == other.matchers.len()
            && self.matchers.iter().zip(&other.matchers).all(same)
    }
}

impl Eq for Tombstone {}

/// Whether two matchers ask the same.
pub(crate) fn same_matcher(a: &Matcher, b: &Matcher) -> bool {
    a.name == b.name && a.op == b.op && a.value == b.value
}

/// Tombstones as they stood at one moment; shared by everything selected then.
pub type Tombstones = Arc<[Tombstone]>;

/// Closed time ranges that are deleted, in no order.
pub type Intervals = Vec<(i64, i64)>;

impl Tombstone {
    /// Whether it may touch samples between these times, both included.
    #[must_use]
    pub fn overlaps(&self, min_time_ms: i64, max_time_ms: i64) -> bool {
        self.from.0 <= max_time_ms && min_time_ms <= self.to.0
    }
}

/// What of the series is deleted by the tombstones after number `applied` that touch the times
/// between `min` and `max`.
#[must_use]
pub fn intervals(
    tombstones: &[Tombstone],
    applied: u64,
    labels: &LabelSet,
    (min, max): (i64, i64),
) -> Intervals {
    let touching = tombstones.iter().filter(|t| applied < t.id && t.overlaps(min, max));
    touching
        .filter(|t| t.matchers.iter().all(|matcher| matcher.matches_labels(labels)))
        .map(|t| (t.from.0, t.to.0))
        .collect()
}

/// Whether a sample of this time is deleted.
#[must_use]
pub fn is_deleted(intervals: &[(i64, i64)], time_ms: i64) -> bool {
    intervals.iter().any(|(from, to)| *from <= time_ms && time_ms <= *to)
}
