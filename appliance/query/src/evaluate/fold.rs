//! Folding aggregations: `sum`, `avg`, `min`, ... hold groups × steps, never series × steps.
//!
//! Each series is folded into its group as soon as it is computed, in loops over whole columns.

use std::sync::Arc;

use model::bitmap::Bitmap;
use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;

use crate::annotation::Annotations;
use crate::ast::{AggregateOp, Span};
use crate::evaluate::column::Column;
use crate::evaluate::histogram_fold::HistogramFold;
use crate::evaluate::join::add;
use crate::evaluate::native::{info_reconciled, warn_collision, warn_layouts};
use crate::kahan;

/// One group of a folding aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    op: AggregateOp,
    /// Sum, extreme, mean or sum of squares.
    values: Vec<f64>,
    /// Compensation of a sum, mean of a deviation.
    extras: Vec<f64>,
    counts: Vec<f64>,
    /// Steps at which a mean is computed incrementally, for the sum would overflow.
    incremental: Bitmap,
    floats: Bitmap,
    histograms: Bitmap,
    /// Sums and means of histograms by step; empty until the first.
    wides: Vec<Option<Box<HistogramFold>>>,
    /// Steps at which the metric name is to go.
    drops: Bitmap,
}

impl Fold {
    /// A group that nothing was folded into.
    pub(crate) fn new(op: AggregateOp, steps: usize) -> Fold {
        let first = match op {
            AggregateOp::Min | AggregateOp::Max => f64::NAN,
            AggregateOp::Sum | AggregateOp::Avg => kahan::Sum::NOTHING.sum,
            _ => 0.0,
        };
        let column = |needed: bool| if needed { vec![0.0; steps] } else { Vec::new() };
        let deviates = matches!(op, AggregateOp::Stddev | AggregateOp::Stdvar);
        let sums = matches!(op, AggregateOp::Sum | AggregateOp::Avg);
        let counts = deviates || matches!(op, AggregateOp::Avg | AggregateOp::Count);
        Fold {
            op,
            values: vec![first; steps],
            extras: column(deviates || sums),
            counts: column(counts),
            incremental: Bitmap::new(steps),
            floats: Bitmap::new(steps),
            histograms: Bitmap::new(steps),
            wides: Vec::new(),
            drops: Bitmap::new(steps),
        }
    }

    /// Bytes behind a group of `steps` steps.
    pub(crate) fn heap_bytes(steps: usize) -> u64 {
        steps as u64 * 25
    }

    /// Bytes that the group will take for histograms where it held none so far.
    pub(crate) fn histogram_bytes(&self, column: &Column) -> u64 {
        if !matches!(self.op, AggregateOp::Sum | AggregateOp::Avg) || column.histograms.is_empty() {
            return 0;
        }
        let slots = if self.wides.is_empty() { self.values.len() as u64 * 8 } else { 0 };
        let first = |step: usize| self.wides.get(step).is_none_or(Option::is_none);
        let folds = column.iter_histograms().filter(|(step, _)| first(*step));
        slots + folds.map(|(_, histogram)| HistogramFold::heap_bytes(histogram)).sum::<u64>()
    }

    /// Folds a series into the group.
    pub(crate) fn add(
        &mut self,
        column: &Column,
        labels: &LabelSet,
        drop_name: bool,
        span: Span,
        notes: &mut Annotations,
    ) {
        assert_eq!(column.steps(), self.values.len(), "a column has the grid's steps");
        if !column.histograms.is_empty() {
            self.add_histograms(column, labels, span, notes);
        }
        if drop_name {
            add(&mut self.drops, &column.occupied());
        }
        match self.op {
            AggregateOp::Sum => self.sum(column),
            AggregateOp::Avg => self.mean(column),
            AggregateOp::Min => self.extreme(column, |known, value| value < known),
            AggregateOp::Max => self.extreme(column, |known, value| known < value),
            AggregateOp::Count => {
                for step in column.present.iter_ones() {
                    self.counts[step] += 1.0;
                }
            }
            AggregateOp::Stddev | AggregateOp::Stdvar => self.deviation(column),
            _ => {}
        }
        add(&mut self.floats, &column.present);
    }

    fn add_histograms(
        &mut self,
        column: &Column,
        labels: &LabelSet,
        span: Span,
        notes: &mut Annotations,
    ) {
        for (step, histogram) in column.iter_histograms() {
            match self.op {
                AggregateOp::Group => self.floats.set(step),
                AggregateOp::Count => {
                    self.counts[step] += 1.0;
                    self.floats.set(step);
                }
                AggregateOp::Sum | AggregateOp::Avg => {
                    self.histograms.set(step);
                    if self.add_histogram(step, histogram) {
                        warn_layouts(span, labels, notes);
                    }
                }
                _ => {
                    let text = format!("ignored histogram in {} aggregation", self.op.text());
                    notes.inform(span, text);
                }
            }
        }
    }

    /// Adds a histogram to its step; `true` when it is the first that does not fit.
    fn add_histogram(&mut self, step: usize, histogram: &NativeHistogram) -> bool {
        if self.wides.is_empty() {
            self.wides.resize_with(self.values.len(), || None);
        }
        match &mut self.wides[step] {
            Some(fold) => fold.add(histogram),
            empty => {
                let is_mean = self.op == AggregateOp::Avg;
                *empty = Some(Box::new(HistogramFold::new(histogram, is_mean)));
                false
            }
        }
    }

    fn sum(&mut self, column: &Column) {
        let slots = self.values.iter_mut().zip(&mut self.extras).zip(&column.values);
        for_present(slots, &column.present, |((sum, lost), value)| {
            (*sum, *lost) = kahan::add(*value, *sum, *lost);
        });
    }

    fn mean(&mut self, column: &Column) {
        for step in column.present.iter_ones() {
            let value = column.values[step];
            self.counts[step] += 1.0;
            let count = self.counts[step];
            let (sum, lost) = (&mut self.values[step], &mut self.extras[step]);
            if !self.incremental.get(step) {
                let next = kahan::add(value, *sum, *lost);
                if !next.0.is_infinite() || count == 1.0 {
                    (*sum, *lost) = next;
                    continue;
                }
                self.incremental.set(step);
                *sum /= count - 1.0;
                *lost /= count - 1.0;
            }
            let share = (count - 1.0) / count;
            (*sum, *lost) = kahan::add(value / count, share * *sum, share * *lost);
        }
    }

    fn extreme(&mut self, column: &Column, beats: impl Fn(f64, f64) -> bool) {
        let slots = self.values.iter_mut().zip(&column.values);
        for_present(slots, &column.present, |(known, value)| {
            if beats(*known, *value) || known.is_nan() {
                *known = *value;
            }
        });
    }

    fn deviation(&mut self, column: &Column) {
        for step in column.present.iter_ones() {
            let value = column.values[step];
            self.counts[step] += 1.0;
            let delta = value - self.extras[step];
            self.extras[step] += delta / self.counts[step];
            self.values[step] += delta * (value - self.extras[step]);
        }
    }

    /// The group's value at every step, and whether its metric name is to go.
    pub(crate) fn finish(mut self, span: Span, notes: &mut Annotations) -> (Column, bool) {
        let mut occupied = self.floats.clone();
        add(&mut occupied, &self.histograms);
        let last = last_bit(&occupied);
        let drop_name = last.is_some_and(|step| self.drops.get(step));
        for step in 0..self.values.len() {
            self.values[step] = self.value(step);
        }
        let mut present = self.floats.clone();
        crate::evaluate::join::remove(&mut present, &self.histograms);
        let mut column = Column { values: self.values, present, histograms: Vec::new() };
        for (step, fold) in self.wides.into_iter().enumerate() {
            let Some(fold) = fold else { continue };
            if self.floats.get(step) {
                let text = "encountered a mix of histograms and floats for aggregation";
                notes.warn(span, text.to_owned());
                continue;
            }
            if fold.reconciled {
                info_reconciled(span, "aggregation", notes);
            }
            if fold.incompatible {
                continue;
            }
            if fold.collided() {
                warn_collision(span, "aggregation", notes);
            }
            column.set_histogram(step, Arc::new(fold.finish(true)));
        }
        (column, drop_name)
    }

    fn value(&self, step: usize) -> f64 {
        let value = self.values[step];
        match self.op {
            AggregateOp::Sum => value + self.extras[step],
            AggregateOp::Avg if self.incremental.get(step) => value + self.extras[step],
            AggregateOp::Avg => value / self.counts[step] + self.extras[step] / self.counts[step],
            AggregateOp::Count => self.counts[step],
            AggregateOp::Stdvar => value / self.counts[step],
            AggregateOp::Stddev => (value / self.counts[step]).sqrt(),
            AggregateOp::Group => 1.0,
            _ => value,
        }
    }
}

/// The last bit that is set.
pub(crate) fn last_bit(bits: &Bitmap) -> Option<usize> {
    let at = bits.words().iter().rposition(|word| *word != 0)?;
    let bit = 63 - bits.words()[at].leading_zeros();
    Some(at * 64 + usize::try_from(bit).ok()?)
}

/// Calls `fold` for the slots whose bit is set; runs without gaps go without looking at bits.
fn for_present<T>(slots: impl Iterator<Item = T>, present: &Bitmap, mut fold: impl FnMut(T)) {
    let full = present.count_ones() == present.len();
    if full {
        slots.for_each(fold);
        return;
    }
    for (step, slot) in slots.enumerate() {
        if present.get(step) {
            fold(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(op: AggregateOp, values: &[f64], expected: f64) {
        let mut fold = Fold::new(op, 1);
        let mut notes = Annotations::default();
        for value in values {
            let column = Column::constant(1, *value);
            fold.add(&column, &LabelSet::empty(), false, Span::default(), &mut notes);
        }
        let (column, _) = fold.finish(Span::default(), &mut notes);
        let got = column.float(0).expect("a value");
        assert!(got == expected || (got.is_nan() && expected.is_nan()), "{got} != {expected}");
    }

    #[test]
    fn floats_fold_as_named() {
        check(AggregateOp::Sum, &[2.0, 8.0, 1e100, -1e100], 10.0);
        check(AggregateOp::Avg, &[2.0, 8.0, 1e100, -1e100], 2.5);
        check(AggregateOp::Avg, &[f64::INFINITY, 0.0], f64::INFINITY);
        check(AggregateOp::Min, &[f64::NAN, 3.0, 1.0], 1.0);
        check(AggregateOp::Max, &[f64::NAN, f64::NAN], f64::NAN);
        check(AggregateOp::Count, &[f64::NAN, 1.0], 2.0);
        check(AggregateOp::Stdvar, &[1.0, 2.0], 0.25);
        check(AggregateOp::Stddev, &[f64::INFINITY], f64::NAN);
        check(AggregateOp::Group, &[7.0], 1.0);
    }
}
