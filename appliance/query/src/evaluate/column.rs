//! Column: what one series is at every step of a grid.
//!
//! Invariants
//! - E1: a step holds a float or a histogram, never both.

use std::sync::Arc;

use model::bitmap::Bitmap;
use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;

/// Values of one series, one a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    /// Floats; whatever where `present` says nothing.
    pub(crate) values: Vec<f64>,
    /// Steps that hold a float.
    pub(crate) present: Bitmap,
    /// Histograms by step; empty for most series.
    pub(crate) histograms: Vec<Option<Arc<NativeHistogram>>>,
}

impl Column {
    /// A column of `steps` steps that hold nothing.
    pub(crate) fn new(steps: usize) -> Column {
        Column { values: vec![0.0; steps], present: Bitmap::new(steps), histograms: Vec::new() }
    }

    /// Bytes behind a column of `steps` steps without histograms.
    pub(crate) fn new_bytes(steps: usize) -> u64 {
        (steps as u64).saturating_mul(8) + steps.div_ceil(64) as u64 * 8
    }

    /// A column with the same float at every step.
    pub(crate) fn constant(steps: usize, value: f64) -> Column {
        let mut column = Column::new(steps);
        column.values.fill(value);
        for step in 0..steps {
            column.present.set(step);
        }
        column
    }

    /// Makes the column hold nothing at `steps` steps, keeping its memory.
    pub(crate) fn reset(&mut self, steps: usize) {
        self.values.clear();
        self.values.resize(steps, 0.0);
        self.present.reset(steps);
        self.histograms.clear();
    }

    /// Number of steps.
    pub(crate) fn steps(&self) -> usize {
        self.values.len()
    }

    /// Puts a float into a step that holds nothing.
    pub(crate) fn set_float(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        self.present.set(step);
    }

    /// Puts a histogram into a step that holds nothing.
    pub(crate) fn set_histogram(&mut self, step: usize, histogram: Arc<NativeHistogram>) {
        debug_assert!(!self.present.get(step), "E1: step {step} holds a float already");
        if self.histograms.is_empty() {
            self.histograms.resize(self.values.len(), None);
        }
        self.histograms[step] = Some(histogram);
    }

    /// The float of a step.
    pub(crate) fn float(&self, step: usize) -> Option<f64> {
        self.present.get(step).then(|| self.values[step])
    }

    /// The histogram of a step.
    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<NativeHistogram>> {
        self.histograms.get(step)?.as_ref()
    }

    /// Whether no step holds anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.present.words().iter().all(|word| *word == 0)
            && self.histograms.iter().all(Option::is_none)
    }

    /// The steps that hold anything, as bits.
    pub(crate) fn occupied(&self) -> Bitmap {
        let mut bits = self.present.clone();
        for (step, histogram) in self.histograms.iter().enumerate() {
            if histogram.is_some() {
                bits.set(step);
            }
        }
        bits
    }

    /// Histograms with their steps.
    pub(crate) fn iter_histograms(
        &self,
    ) -> impl Iterator<Item = (usize, &Arc<NativeHistogram>)> + '_ {
        self.histograms.iter().enumerate().filter_map(|(step, h)| Some((step, h.as_ref()?)))
    }

    /// Forgets the histograms.
    pub(crate) fn drop_histograms(&mut self) {
        self.histograms.clear();
    }

    /// Empties the steps whose bit is 0.
    pub(crate) fn retain(&mut self, kept: &Bitmap) {
        for (word, keep) in self.present.words_mut().iter_mut().zip(kept.words()) {
            *word &= keep;
        }
        for (step, histogram) in self.histograms.iter_mut().enumerate() {
            if histogram.is_some() && !kept.get(step) {
                *histogram = None;
            }
        }
    }

    /// Takes what `other` holds; `false` when both hold something at one step.
    pub(crate) fn absorb(&mut self, other: &Column) -> bool {
        let (mine, theirs) = (self.occupied(), other.occupied());
        if mine.words().iter().zip(theirs.words()).any(|(a, b)| a & b != 0) {
            return false;
        }
        for step in other.present.iter_ones() {
            self.set_float(step, other.values[step]);
        }
        for (step, histogram) in other.iter_histograms() {
            self.set_histogram(step, Arc::clone(histogram));
        }
        true
    }

    /// Bytes behind the column of one step, repeated at `steps` steps.
    pub(crate) fn broadcast_bytes(&self, steps: usize) -> u64 {
        let histogram = if self.histograms.is_empty() { 0 } else { 8 };
        Column::new_bytes(steps).saturating_add((steps as u64).saturating_mul(histogram))
    }

    /// The column of one step, repeated at `steps` steps.
    pub(crate) fn broadcast(&self, steps: usize) -> Column {
        assert_eq!(self.steps(), 1, "only a single step can be repeated");
        let mut column = match self.float(0) {
            Some(value) => Column::constant(steps, value),
            None => Column::new(steps),
        };
        if let Some(histogram) = self.histogram(0) {
            column.histograms = vec![Some(Arc::clone(histogram)); steps];
        }
        column
    }

    /// Samples as Prometheus counts them: a histogram counts by its size.
    pub(crate) fn samples(&self) -> u64 {
        let floats: u32 = self.present.words().iter().map(|word| word.count_ones()).sum();
        let histograms: u64 =
            self.iter_histograms().map(|(_, histogram)| histogram_samples(histogram)).sum();
        u64::from(floats) + histograms
    }

    /// Bytes behind this column.
    pub(crate) fn heap_bytes(&self) -> u64 {
        let bytes = self.values.len() * 8 + self.present.words().len() * 8;
        let bytes = bytes + self.histograms.len() * 8;
        bytes as u64 + self.iter_histograms().map(|(_, h)| histogram_samples(h) * 16).sum::<u64>()
    }
}

/// Float samples (16 bytes each) that a histogram counts for, from the size of upstream's type.
pub(crate) fn histogram_samples(histogram: &NativeHistogram) -> u64 {
    let fixed = 168;
    let spans = 8 * (histogram.positive_spans.len() + histogram.negative_spans.len());
    let buckets = 8 * (histogram.positive_buckets.len() + histogram.negative_buckets.len());
    let custom = 8 * histogram.custom_values.len();
    ((fixed + spans + buckets + custom + 8) / 16) as u64
}

/// One series of an instant vector on a grid.
#[derive(Clone, Debug)]
pub(crate) struct StepSeries {
    /// Its labels; with delayed name removal the metric name too.
    pub(crate) labels: LabelSet,
    /// The metric name is to go at the end.
    pub(crate) drop_name: bool,
    /// Its values.
    pub(crate) column: Column,
}

/// An instant vector on a grid, in Prometheus's order.
pub(crate) type StepVector = Vec<StepSeries>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e1_columns_that_share_a_step_do_not_join() {
        let mut left = Column::new(3);
        left.set_float(0, 1.0);
        let mut right = Column::new(3);
        right.set_histogram(2, Arc::default());
        assert!(left.absorb(&right));
        assert_eq!(left.occupied().iter_ones().collect::<Vec<_>>(), [0, 2]);
        assert!(!left.absorb(&right));
    }
}
