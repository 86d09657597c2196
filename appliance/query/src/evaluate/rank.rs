//! `topk` and `bottomk`: the best samples of each group at each step.
//!
//! The heap moves as Go's container/heap does, so that among equal values the same ones stay.

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::evaluate::column::Column;

/// A sample in a heap: its value and the position of its series.
type Entry = (f64, usize);

/// The samples of one group at one step, the worst in front.
#[derive(Clone, Debug, Default)]
struct Heap {
    entries: Vec<Entry>,
}

impl Heap {
    fn push(&mut self, entry: Entry, top: bool) {
        self.entries.push(entry);
        let mut at = self.entries.len() - 1;
        while 0 < at {
            let parent = (at - 1) / 2;
            if !worse(self.entries[at].0, self.entries[parent].0, top) {
                break;
            }
            self.entries.swap(at, parent);
            at = parent;
        }
    }

    fn replace_worst(&mut self, entry: Entry, top: bool) {
        self.entries[0] = entry;
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if self.entries.len() <= child {
                break;
            }
            let right = child + 1;
            if right < self.entries.len()
                && worse(self.entries[right].0, self.entries[child].0, top)
            {
                child = right;
            }
            if !worse(self.entries[child].0, self.entries[at].0, top) {
                break;
            }
            self.entries.swap(at, child);
            at = child;
        }
    }

    /// Offers an entry; tells whether the heap grew.
    fn offer(&mut self, entry: Entry, k: usize, top: bool) -> bool {
        if self.entries.len() < k {
            self.push(entry, top);
            return true;
        }
        let worst = self.entries[0].0;
        let better = if top { worst < entry.0 } else { entry.0 < worst };
        if better || (worst.is_nan() && !entry.0.is_nan()) {
            self.replace_worst(entry, top);
        }
        false
    }

    /// The entries, best first.
    fn ranked(mut self, top: bool) -> Vec<Entry> {
        self.entries.sort_by(|a, b| {
            let before = worse(b.0, a.0, top);
            let after = worse(a.0, b.0, top);
            match (before, after) {
                (true, false) => std::cmp::Ordering::Less,
                (false, true) => std::cmp::Ordering::Greater,
                _ => std::cmp::Ordering::Equal,
            }
        });
        self.entries
    }
}

/// Whether the first value ranks below the second; NaN ranks lowest.
fn worse(left: f64, right: f64, top: bool) -> bool {
    left.is_nan() || if top { left < right } else { right < left }
}

/// The order in which `limitk` and `limit_ratio` list the samples of a group: upstream puts them
/// into the heap of `topk`, a histogram as 0.
pub(crate) fn heap_order(values: impl Iterator<Item = f64>) -> Vec<usize> {
    let mut heap = Heap::default();
    values.enumerate().for_each(|(at, value)| heap.push((value, at), true));
    heap.entries.into_iter().map(|(_, at)| at).collect()
}

/// A ranking under way.
#[derive(Debug)]
pub(crate) struct Ranking {
    top: bool,
    ks: Vec<usize>,
    /// One a group and step.
    heaps: Vec<Vec<Heap>>,
    /// Place of the aggregation.
    span: Span,
}

impl Ranking {
    /// A ranking of the `ks` best, by step.
    pub(crate) fn new(top: bool, ks: Vec<usize>, span: Span) -> Ranking {
        Ranking { top, ks, heaps: Vec::new(), span }
    }

    /// Whether a series of this group was added.
    pub(crate) fn knows(&self, group: usize) -> bool {
        group < self.heaps.len()
    }

    /// Offers the samples of the series at `position` to its group; tells by how many samples the
    /// ranking grew.
    pub(crate) fn add(
        &mut self,
        group: usize,
        position: usize,
        column: &Column,
        notes: &mut Annotations,
    ) -> usize {
        if self.heaps.len() <= group {
            self.heaps.resize_with(group + 1, || vec![Heap::default(); self.ks.len()]);
        }
        let heaps = &mut self.heaps[group];
        let mut entered = 0;
        for step in column.present.iter_ones() {
            if 0 < self.ks[step] {
                let entry = (column.values[step], position);
                entered += usize::from(heaps[step].offer(entry, self.ks[step], self.top));
            }
        }
        if column.iter_histograms().any(|(step, _)| 0 < self.ks[step]) {
            let op = if self.top { "topk" } else { "bottomk" };
            notes.inform(self.span, format!("ignored histogram in {op} aggregation"));
        }
        entered
    }

    /// Position, step and value of the samples that stay: by group, step and rank.
    pub(crate) fn finish(self) -> Vec<(usize, usize, f64)> {
        let mut kept = Vec::new();
        for heaps in self.heaps {
            for (step, heap) in heaps.into_iter().enumerate() {
                let ranked = heap.ranked(self.top);
                kept.extend(ranked.into_iter().map(|(value, position)| (position, step, value)));
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(top: bool, k: usize, values: &[f64], expected: &[usize]) {
        let mut ranking = Ranking::new(top, vec![k], Span::default());
        for (position, value) in values.iter().enumerate() {
            let column = Column::constant(1, *value);
            ranking.add(0, position, &column, &mut Annotations::default());
        }
        let kept: Vec<_> = ranking.finish().iter().map(|(position, ..)| *position).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn samples_that_stay_unranked_lie_as_in_a_heap() {
        assert_eq!(heap_order([2.0, 3.0, 1.0, f64::NAN].into_iter()), [3, 2, 0, 1]);
    }

    #[test]
    fn best_come_first_and_nan_last() {
        check(true, 2, &[1.0, 3.0, 2.0], &[1, 2]);
        check(false, 2, &[1.0, 3.0, 2.0], &[0, 2]);
        check(true, 3, &[f64::NAN, 1.0, 2.0], &[2, 1, 0]);
        check(false, 3, &[f64::NAN, 1.0, 2.0], &[1, 2, 0]);
        check(true, 1, &[f64::NAN, 1.0], &[1]);
        check(true, 2, &[5.0, 5.0, 5.0], &[0, 1]);
    }
}
