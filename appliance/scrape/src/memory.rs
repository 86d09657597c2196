//! Memory: where the samples of a target went last time, so that the next scrape only copies.
//!
//! Path: `ingest` asks for each sample's place → **memory** ← `ingest` teaches new ones.
//!
//! A layout's ordinals mostly map to columns in the same order: such stretches are kept as runs, so
//! that a body which the layout predicts is copied, run by run. Series that the layout does not
//! have are found by the hash of their text.
//!
//! Invariants
//! - ME1: runs rise by ordinal and do not overlap in ordinals.

use std::sync::Arc;

use exposition::layout::Layout;
use exposition::scan::Scan;
use hashbrown::HashMap;
use model::bitmap::Bitmap;
use storage::cells::Cells;
use xxhash_rust::xxh3::xxh3_128;

/// Series outside the layout that are remembered at least, whatever the size of the target.
const STRAYS_MIN: usize = 4_096;
/// A layout is learned anew when the samples that it did not predict since add up to this part of
/// a scrape: one of them costs about as much as reading the body costs a few.
const RELEARN_PART: usize = 4;

/// A layout learned anew within this many scrapes was not worth it: patience doubles.
const RELEARN_SCRAPES: u32 = 8;
/// Most doublings of patience: a layout is then learned anew every 32nd hopeless scrape.
const PATIENCE_MAX: u32 = 7;

/// Where a sample goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Metric relabelling drops the series.
    Dropped,
    /// This column of the target's group.
    Column(u32),
}

/// Consecutive ordinals that go to consecutive columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    ordinal: u32,
    column: u32,
    count: u32,
}

impl Run {
    fn is_followed_by(self, ordinal: u32, column: u32) -> bool {
        self.ordinal + self.count == ordinal && self.column + self.count == column
    }
}

/// What a target's series text became.
#[derive(Default)]
pub struct Memory {
    layout: Option<Arc<Layout>>,
    runs: Vec<Run>,
    /// Two ordinals go to one column: the first in the body counts.
    overlapping: bool,
    strays: HashMap<u128, Place, foldhash::fast::FixedState>,
    /// Cells that the runs reach.
    columns: usize,
    /// Unpredicted samples since the layout was learned.
    unpredicted: usize,
    /// Scrapes since the layout was learned.
    scrapes: u32,
    /// Doublings of the unpredicted samples that are borne: a body whose order changes at each
    /// scrape is not worth learning each time.
    patience: u32,
}

/// How many samples of a scan were placed by the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Cells that have their value.
    pub placed: usize,
    /// Samples whose cell had a value already.
    pub duplicates: usize,
}

/// Hash that names a series text; wide enough that no two texts of a target share it.
#[must_use]
pub fn text_hash(series: &[u8]) -> u128 {
    xxh3_128(series)
}

impl Memory {
    /// The layout by which the next body is read; `None` before the first.
    #[must_use]
    pub fn layout(&self) -> Option<&Arc<Layout>> {
        self.layout.as_ref()
    }

    /// Place of a series that the layout does not have; `None` when it is new.
    #[must_use]
    pub fn stray(&self, hash: u128) -> Option<Place> {
        self.strays.get(&hash).copied()
    }

    /// Place of `ordinal` of the layout.
    #[must_use]
    pub fn place(&self, ordinal: u32) -> Place {
        let at = self.runs.partition_point(|run| run.ordinal + run.count <= ordinal);
        match self.runs.get(at).filter(|run| run.ordinal <= ordinal) {
            Some(run) => Place::Column(run.column + (ordinal - run.ordinal)),
            None => Place::Dropped,
        }
    }

    /// Makes room before a scrape of `samples` is placed: at the bound everything outside the
    /// layout is forgotten, to be resolved again. Within a scrape nothing is forgotten.
    pub fn make_room(&mut self, samples: usize) {
        if STRAYS_MIN.max(samples.saturating_mul(2)) <= self.strays.len() {
            self.strays.clear();
        }
    }

    /// Remembers the place of a series that the layout does not have.
    pub fn remember_stray(&mut self, hash: u128, place: Place) {
        self.strays.insert(hash, place);
    }

    /// Counts samples that the layout did not predict in a scrape of `samples`; true when it is
    /// time to learn the layout anew.
    #[must_use]
    pub fn note_unpredicted(&mut self, unpredicted: usize, samples: usize) -> bool {
        self.unpredicted = self.unpredicted.saturating_add(unpredicted);
        self.scrapes = self.scrapes.saturating_add(1);
        let known = self.layout.as_ref().map_or(0, |layout| layout.samples());
        let patience = samples.max(known).max(1) << self.patience;
        0 < self.unpredicted && patience <= self.unpredicted.saturating_mul(RELEARN_PART)
    }

    /// Takes `layout`, the places of whose series `place_of` tells; false, and nothing is changed,
    /// when it does not know one.
    pub fn take_layout(
        &mut self,
        layout: Arc<Layout>,
        place_of: impl Fn(&Memory, &[u8]) -> Option<Place>,
    ) -> bool {
        let mut runs: Vec<Run> = Vec::new();
        for (ordinal, index) in (0..layout.samples()).zip(0_u32..) {
            let Some(place) = place_of(self, layout.series_text(ordinal)) else { return false };
            let Place::Column(column) = place else { continue };
            match runs.last_mut() {
                Some(run) if run.is_followed_by(index, column) => run.count += 1,
                _ => runs.push(Run { ordinal: index, column, count: 1 }),
            }
        }
        let rising = runs.windows(2).all(|two| two[0].ordinal + two[0].count <= two[1].ordinal);
        assert!(rising, "ME1: runs rise by ordinal");
        self.overlapping = overlap(&runs);
        self.columns = runs.iter().map(|run| (run.column + run.count) as usize).max().unwrap_or(0);
        runs.shrink_to_fit();
        self.runs = runs;
        let soon = self.layout.is_some() && self.scrapes < RELEARN_SCRAPES;
        self.layout = Some(layout);
        self.strays = HashMap::default();
        self.unpredicted = 0;
        self.patience = if soon { (self.patience + 1).min(PATIENCE_MAX) } else { 0 };
        self.scrapes = 0;
        true
    }

    /// Hash and column of the series whose column is set in `columns`, in order of column; each
    /// column once.
    #[must_use]
    pub fn series_of(&self, columns: &Bitmap) -> Vec<(u128, u32)> {
        let is_set =
            |column: u32| (column as usize) < columns.len() && columns.get(column as usize);
        let mut series: Vec<(u128, u32)> = Vec::new();
        if let Some(layout) = &self.layout {
            for run in &self.runs {
                let steps = (0..run.count).filter(|step| is_set(run.column + step));
                series.extend(steps.map(|step| {
                    let text = layout.series_text((run.ordinal + step) as usize);
                    (text_hash(text), run.column + step)
                }));
            }
        }
        series.extend(self.strays.iter().filter_map(|(hash, place)| match place {
            Place::Column(column) if is_set(*column) => Some((*hash, *column)),
            _ => None,
        }));
        series.sort_unstable_by_key(|(hash, column)| (*column, *hash));
        series.dedup_by_key(|(_, column)| *column);
        series
    }

    /// Forgets everything: the next scrape resolves every series anew.
    pub fn forget(&mut self) {
        *self = Memory::default();
    }

    /// Cells that [`Memory::fill`] can reach.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Puts the values that `scan` has by ordinal into their cells.
    ///
    /// # Panics
    /// `cells` has at least [`Memory::columns`] cells, and `scan` was made with the layout.
    pub fn fill(&self, scan: &Scan, cells: &mut Cells) -> Filled {
        assert!(self.columns() <= cells.len(), "cells for every column of the layout");
        let whole = scan.seen.count_ones() == scan.values.len() && !self.overlapping;
        if whole { self.copy_runs(scan, cells) } else { self.place_each(scan, cells) }
    }

    fn copy_runs(&self, scan: &Scan, cells: &mut Cells) -> Filled {
        let mut placed = 0;
        for run in &self.runs {
            let (from, to, count) = (run.ordinal as usize, run.column as usize, run.count as usize);
            cells.values[to..to + count].copy_from_slice(&scan.values[from..from + count]);
            set_range(&mut cells.present, to, count);
            placed += count;
        }
        Filled { placed, duplicates: 0 }
    }

    fn place_each(&self, scan: &Scan, cells: &mut Cells) -> Filled {
        let mut filled = Filled::default();
        for run in &self.runs {
            for step in 0..run.count as usize {
                let (ordinal, column) = (run.ordinal as usize + step, run.column as usize + step);
                if !scan.seen.get(ordinal) {
                    continue;
                }
                if cells.present.get(column) {
                    filled.duplicates += 1;
                } else {
                    cells.present.set(column);
                    cells.values[column] = scan.values[ordinal];
                    filled.placed += 1;
                }
            }
        }
        filled
    }

    /// Bytes of memory, the shared layout not counted.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let entry = size_of::<(u128, Place)>() + 1;
        self.runs.capacity() * size_of::<Run>() + self.strays.capacity() * entry
    }
}

/// Whether two runs share a column.
fn overlap(runs: &[Run]) -> bool {
    let mut by_column: Vec<&Run> = runs.iter().collect();
    by_column.sort_unstable_by_key(|run| run.column);
    by_column.windows(2).any(|two| two[1].column < two[0].column + two[0].count)
}

/// Makes `count` bits from `from` on 1, word by word.
fn set_range(bits: &mut Bitmap, from: usize, count: usize) {
    assert!(from + count <= bits.len(), "{count} bits from {from} of {}", bits.len());
    let (words, mut at, end) = (bits.words_mut(), from, from + count);
    while at < end {
        let (word, bit) = (at / 64, at % 64);
        let here = (64 - bit).min(end - at);
        let mask = if here == 64 { u64::MAX } else { ((1 << here) - 1) << bit };
        words[word] |= mask;
        at += here;
    }
}

#[cfg(test)]
mod tests {
    use exposition::dialect::Dialect;
    use exposition::layout::learn;
    use exposition::scan::scan;

    use super::*;

    fn taught(body: &str, places: &[Place]) -> Memory {
        let mut memory = Memory::default();
        let layout = Arc::new(learn(Dialect::Text, body.as_bytes()).unwrap());
        let learned = layout.clone();
        let taken = memory.take_layout(layout, |_, series| {
            learned.ordinal(series).map(|ordinal| places[ordinal])
        });
        assert!(taken);
        memory
    }

    #[track_caller]
    fn check(memory: &Memory, body: &str, columns: usize, expected: &str) {
        let mut found = Scan::default();
        scan(Dialect::Text, body.as_bytes(), memory.layout().unwrap(), &mut found).unwrap();
        let mut cells = Cells::new(columns);
        let filled = memory.fill(&found, &mut cells);
        let shown: Vec<String> = (0..columns)
            .map(|column| cells.get(column).value().map_or("-".into(), |v| v.to_string()))
            .collect();
        assert_eq!(format!("{} {}", shown.join(" "), filled.duplicates), expected);
    }

    #[test]
    fn me1_places_survive_as_runs() {
        use Place::{Column, Dropped};
        let places = [Column(2), Column(3), Dropped, Column(4), Column(0)];
        let memory = taught("a 1\nb 2\nc 3\nd 4\ne 5\n", &places);
        assert_eq!(memory.runs.len(), 3);
        for (ordinal, place) in (0..).zip(places) {
            assert_eq!(memory.place(ordinal), place);
        }
        check(&memory, "a 1\nb 2\nc 3\nd 4\ne 5\n", 6, "5 - 1 2 4 - 0");
        check(&memory, "a 1\nc 3\ne 5\n", 6, "5 - 1 - - - 0");
    }

    #[test]
    fn the_first_of_two_texts_for_one_column_counts() {
        let memory = taught("a 1\nb 2\n", &[Place::Column(0), Place::Column(0)]);
        check(&memory, "a 1\nb 2\n", 1, "1 1");
        check(&memory, "b 2\n", 1, "2 0");
    }

    #[test]
    fn ranges_of_bits_cross_words() {
        for (from, count) in [(0, 0), (0, 64), (3, 61), (3, 62), (60, 140), (199, 1)] {
            let mut bits = Bitmap::new(200);
            set_range(&mut bits, from, count);
            let expected: Vec<usize> = (from..from + count).collect();
            assert_eq!(bits.iter_ones().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn strays_are_bounded() {
        let mut memory = Memory::default();
        for hash in 0..10_000 {
            memory.make_room(1);
            memory.remember_stray(hash, Place::Dropped);
            assert!(memory.strays.len() <= STRAYS_MIN);
        }
    }

    #[test]
    fn layouts_are_learned_anew_when_misses_add_up() {
        let mut memory = taught("a 1\nb 2\nc 3\nd 4\ne 5\nf 6\ng 7\nh 8\n", &[Place::Dropped; 8]);
        assert!(!memory.note_unpredicted(0, 8));
        assert!(!memory.note_unpredicted(1, 8));
        assert!(memory.note_unpredicted(1, 8));
    }
}
