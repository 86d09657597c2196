//! Last row: what the next row of a group is compared with, for the log and for the open tile.
//!
//! Path: `head`, `log` → **last_row**.

use std::sync::Arc;

use model::bitmap::Bitmap;
use model::native_histogram::NativeHistogram;

use crate::cells::Cells;
use crate::histogram;

const WORD_BITS: usize = 64;

/// State after the last row of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastRow {
    /// Last value that the column had; 0 before its first.
    pub(crate) values: Vec<f64>,
    /// Code of the decimal form that the log writes deltas in, see `log::row_write`.
    pub(crate) codes: Vec<u8>,
    pub(crate) present: Bitmap,
    pub(crate) stale: Bitmap,
    /// Last value of each histogram column that had one, by column.
    histograms: Vec<(u32, Arc<NativeHistogram>)>,
    pub(crate) slot: i64,
}

impl LastRow {
    /// Adds absent columns until there are `columns`.
    pub(crate) fn grow(&mut self, columns: usize) {
        if self.values.len() < columns {
            self.values.resize(columns, 0.0);
            self.codes.resize(columns, 0);
            self.present.resize(columns);
            self.stale.resize(columns);
        }
    }

    /// Bytes of memory behind it.
    pub(crate) fn heap_bytes(&self) -> usize {
        let words = self.present.words().len() + self.stale.words().len();
        let histograms = self.histograms.iter().map(|(_, last)| histogram::heap_bytes(last));
        self.values.capacity() * size_of::<f64>()
            + self.codes.capacity()
            + words * 8
            + self.histograms.capacity() * size_of::<(u32, Arc<NativeHistogram>)>()
            + histograms.sum::<usize>()
    }

    /// Last value of a histogram column.
    pub(crate) fn histogram(&self, column: u32) -> Option<&Arc<NativeHistogram>> {
        let at = self.histograms.binary_search_by_key(&column, |(other, _)| *other).ok()?;
        Some(&self.histograms[at].1)
    }

    /// Takes over the value of a histogram column.
    pub(crate) fn put_histogram(&mut self, column: u32, value: &Arc<NativeHistogram>) {
        match self.histograms.binary_search_by_key(&column, |(other, _)| *other) {
            Ok(at) => self.histograms[at].1 = Arc::clone(value),
            Err(at) => self.histograms.insert(at, (column, Arc::clone(value))),
        }
    }

    /// Columns whose state or value in `cells` is another, rising.
    pub(crate) fn changes(&self, cells: &Cells, changed: &mut Vec<u32>) {
        changed.clear();
        for word in 0..self.present.words().len() {
            let (present, stale) = states(cells, word);
            let mask = (self.present.words()[word] ^ present) | (self.stale.words()[word] ^ stale);
            let start = word * WORD_BITS;
            let end = (start + WORD_BITS).min(cells.values.len()).max(start);
            let old = &self.values[start.min(self.values.len())..end.min(self.values.len())];
            let new = cells.values.get(start..end).unwrap_or(&[]);
            push_ones(mask | (differing(old, new) & present), start, changed);
        }
        if !cells.histograms.is_empty() {
            self.histogram_changes(cells, changed);
        }
    }

    /// Adds the columns whose histogram is another.
    fn histogram_changes(&self, cells: &Cells, changed: &mut Vec<u32>) {
        let others = cells.histograms.iter().filter(|(column, value)| {
            let last = self.histogram(*column);
            !last.is_some_and(|last| Arc::ptr_eq(last, value) || histogram::same(last, value))
        });
        changed.extend(others.map(|(column, _)| *column));
        changed.sort();
        changed.dedup();
    }

    /// Columns that are not absent in `cells`, rising.
    pub(crate) fn occupied(&self, cells: &Cells, changed: &mut Vec<u32>) {
        changed.clear();
        for word in 0..self.present.words().len() {
            let (present, stale) = states(cells, word);
            push_ones(present | stale, word * WORD_BITS, changed);
        }
    }

    /// Most columns that [`LastRow::changes`] or [`LastRow::occupied`] can give.
    pub(crate) fn changes_max(&self, cells: &Cells) -> usize {
        let words = 0..self.present.words().len();
        let occupied = words.map(|word| {
            let (present, stale) = states(cells, word);
            present | stale | self.present.words()[word] | self.stale.words()[word]
        });
        occupied.map(|word| word.count_ones() as usize).sum()
    }

    /// Changes the state of one column.
    pub(crate) fn set_state(&mut self, column: usize, present: bool, stale: bool) {
        let put = |bitmap: &mut Bitmap, is_set: bool| {
            if is_set { bitmap.set(column) } else { bitmap.clear(column) }
        };
        put(&mut self.present, present);
        put(&mut self.stale, stale);
    }

    /// Takes over the state (not the values) of `cells`.
    pub(crate) fn take_states(&mut self, cells: &Cells) {
        for word in 0..self.present.words().len() {
            let (present, stale) = states(cells, word);
            self.present.words_mut()[word] = present;
            self.stale.words_mut()[word] = stale;
        }
    }
}

/// Words of present (and not stale) and of stale cells; absent past the end.
pub(crate) fn states(cells: &Cells, word: usize) -> (u64, u64) {
    let present = cells.present.words().get(word).copied().unwrap_or(0);
    let stale = cells.stale.words().get(word).copied().unwrap_or(0);
    (present & !stale, stale)
}

/// A bit for each of up to 64 pairs whose bits differ.
fn differing(old: &[f64], new: &[f64]) -> u64 {
    let mut mask = 0;
    for (at, (old, new)) in old.iter().zip(new).enumerate() {
        mask |= u64::from(old.to_bits() != new.to_bits()) << at;
    }
    mask
}

fn push_ones(mut mask: u64, start: usize, out: &mut Vec<u32>) {
    let start = u32::try_from(start).expect("columns of a group are bounded");
    while mask != 0 {
        out.push(start + mask.trailing_zeros());
        mask &= mask - 1;
    }
}
