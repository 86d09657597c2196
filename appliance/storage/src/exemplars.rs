//! Exemplars: the newest of a shard, in a ring.
//!
//! Path: `annotate` → **exemplars**.
//! Owns: the ring, and which entry is the newest of its series.
//!
//! Invariants
//! - X1: the ring has at most as many entries as options allow; the oldest makes way.

use std::cmp::Ordering;
use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;
use model::time::TimestampMs;
use thiserror::Error;

/// Most characters of the names and values of an exemplar's labels (OpenMetrics 1.0, "Exemplars").
pub const LABEL_CHARACTERS_MAX: usize = 128;

/// An example of what a sample counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its own labels, often a trace id.
    pub labels: LabelSet,
    /// Its value.
    pub value: f64,
    /// When it was.
    pub timestamp: TimestampMs,
}

/// Exemplars of one series, in order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplars {
    /// Labels of the series.
    pub labels: LabelSet,
    /// Its exemplars.
    pub exemplars: Vec<Exemplar>,
}

/// Why an exemplar was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExemplarError {
    /// Its labels have too many characters.
    #[error("labels of an exemplar have more than {LABEL_CHARACTERS_MAX} characters")]
    LabelsTooLong,
    /// The series has a newer one.
    #[error("exemplar is older than the newest of its series")]
    OutOfOrder,
    /// The log waits for the disk.
    #[error("the log waits for the disk")]
    Overloaded,
    /// Group or column was dropped after its last sample passed retention, or never made.
    #[error("column {column} of group {group} is unknown")]
    UnknownColumn {
        /// Its group.
        group: u32,
        /// Its column.
        column: u32,
    },
}

/// A column of a group.
pub(crate) type Place = (u32, u32);

#[derive(Debug)]
struct Entry {
    place: Place,
    exemplar: Exemplar,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) appended: u64,
    pub(crate) out_of_order: u64,
    pub(crate) refused: u64,
}

/// The ring.
#[derive(Debug)]
pub(crate) struct Exemplars {
    max: usize,
    entries: VecDeque<Entry>,
    /// Number of the first entry; they count up.
    first: u64,
    /// Number of the newest entry of each series.
    newest: HashMap<Place, u64, FixedState>,
    labels_bytes: usize,
    pub(crate) counts: Counts,
}

impl Exemplars {
    pub(crate) fn new(max: u32) -> Exemplars {
        Exemplars {
            max: max as usize,
            entries: VecDeque::new(),
            first: 0,
            newest: HashMap::default(),
            labels_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Whether it may come: `Ok(false)` when it is there already or none are kept. Of one time the
    /// larger value, then the larger hash of the labels comes after: a histogram's exemplars of
    /// one scrape are sent in that order.
    pub(crate) fn admit(&self, place: Place, exemplar: &Exemplar) -> Result<bool, ExemplarError> {
        if self.max == 0 {
            return Ok(false);
        }
        let characters: usize = exemplar
            .labels
            .iter()
            .map(|(name, value)| name.chars().count() + value.chars().count())
            .sum();
        if LABEL_CHARACTERS_MAX < characters {
            return Err(ExemplarError::LabelsTooLong);
        }
        let Some(number) = self.newest.get(&place) else { return Ok(true) };
        let at = usize::try_from(number - self.first).expect("the ring has the newest");
        let newest = &self.entries[at].exemplar;
        let hash = |of: &Exemplar| of.labels.hash64();
        let order = exemplar
            .timestamp
            .cmp(&newest.timestamp)
            .then(exemplar.value.total_cmp(&newest.value))
            .then(hash(exemplar).cmp(&hash(newest)));
        match order {
            Ordering::Less => Err(ExemplarError::OutOfOrder),
            Ordering::Equal => Ok(false),
            Ordering::Greater => Ok(true),
        }
    }

    /// Adds what [`Exemplars::admit`] let in.
    pub(crate) fn push(&mut self, place: Place, exemplar: Exemplar) {
        while self.max <= self.entries.len() {
            self.pop();
        }
        self.labels_bytes += exemplar.labels.heap_bytes();
        self.newest.insert(place, self.first + self.entries.len() as u64);
        self.entries.push_back(Entry { place, exemplar });
        self.counts.appended += 1;
        assert!(self.entries.len() <= self.max, "X1: the ring has more entries than it may");
    }

    fn pop(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.labels_bytes -= entry.exemplar.labels.heap_bytes();
        if self.newest.get(&entry.place) == Some(&self.first) {
            self.newest.remove(&entry.place);
        }
        self.first += 1;
    }

    /// Forgets the series that do not live: their numbers may be another's one day.
    pub(crate) fn retain(&mut self, lives: impl Fn(Place) -> bool) {
        if self.entries.iter().all(|entry| lives(entry.place)) {
            return;
        }
        let counts = self.counts;
        let kept: Vec<Entry> = self.entries.drain(..).filter(|entry| lives(entry.place)).collect();
        (self.first, self.labels_bytes) = (0, 0);
        self.newest.clear();
        kept.into_iter().for_each(|entry| self.push(entry.place, entry.exemplar));
        self.counts = counts;
    }

    /// All, in order of arrival.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Place, &Exemplar)> {
        self.entries.iter().map(|entry| (entry.place, &entry.exemplar))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Series that have one.
    pub(crate) fn series(&self) -> usize {
        self.newest.len()
    }

    /// Bytes of memory behind it.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.labels_bytes
            + self.newest.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(time: i64, value: f64) -> Exemplar {
        let labels = LabelSet::new([("trace_id", "abc")]);
        Exemplar { labels, value, timestamp: TimestampMs(time) }
    }

    #[test]
    fn x1_the_oldest_makes_way() {
        let mut ring = Exemplars::new(3);
        for at in 0..10i64 {
            let place = (0, u32::try_from(at % 2).unwrap());
            assert_eq!(ring.admit(place, &exemplar(at, 1.0)), Ok(true));
            ring.push(place, exemplar(at, 1.0));
        }
        let times: Vec<i64> = ring.iter().map(|(_, exemplar)| exemplar.timestamp.0).collect();
        assert_eq!((times, ring.series()), (vec![7, 8, 9], 2));
        ring.retain(|place| place.1 == 1);
        assert_eq!((ring.len(), ring.series()), (2, 1));
        assert_eq!(ring.admit((0, 0), &exemplar(0, 1.0)), Ok(true), "it is forgotten");
    }

    #[test]
    fn repeated_late_and_long_ones_are_not_kept() {
        let mut ring = Exemplars::new(3);
        ring.push((0, 0), exemplar(5, 2.0));
        assert_eq!(ring.admit((0, 0), &exemplar(5, 2.0)), Ok(false));
        assert_eq!(ring.admit((0, 0), &exemplar(5, 3.0)), Ok(true));
        assert_eq!(ring.admit((0, 0), &exemplar(5, 1.0)), Err(ExemplarError::OutOfOrder));
        assert_eq!(ring.admit((0, 0), &exemplar(4, 9.0)), Err(ExemplarError::OutOfOrder));
        let long = "é".repeat(LABEL_CHARACTERS_MAX);
        let labels = LabelSet::new([("a", long.as_str())]);
        let long = Exemplar { labels, ..exemplar(6, 1.0) };
        assert_eq!(ring.admit((0, 0), &long), Err(ExemplarError::LabelsTooLong));
        assert_eq!(Exemplars::new(0).admit((0, 0), &exemplar(5, 2.0)), Ok(false));
    }
}
