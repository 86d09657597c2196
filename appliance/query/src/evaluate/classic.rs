//! Classic histograms: series with an `le` label, grouped once for all steps.

use std::collections::HashMap;

use model::bitmap::Bitmap;
use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;

use crate::annotation::{Annotations, Monotonicity, general, with_metric_name};
use crate::ast::Span;
use crate::evaluate::bucket::{Bucket, fraction_of, join_equal_bounds, quantile_of};
use crate::evaluate::budget::Budget;
use crate::evaluate::column::{Column, StepSeries, StepVector};
use crate::evaluate::context::Context;
use crate::evaluate::fault::Fault;
use crate::evaluate::labels::{with, without_metadata};
use crate::evaluate::quantile::warn_quantile;
use crate::grid::Grid;
use crate::native::describe::{self, NanNote};

const BUCKET_LABEL: &str = "le";

/// What is asked of the histograms.
pub(crate) enum Asked {
    /// Quantiles by step, each with the place of its argument; `label` tells several apart.
    Quantiles {
        /// Quantiles.
        quantiles: Vec<(Vec<f64>, Span)>,
        /// Label that gets the quantile, if any.
        label: Option<String>,
    },
    /// The fraction between two values, by step.
    Fraction(Vec<f64>, Vec<f64>),
}

/// How histograms are asked.
pub(crate) struct Asking {
    /// What is asked.
    pub(crate) asked: Asked,
    /// Place of the vector.
    pub(crate) span: Span,
    /// Names go at the end of the query.
    pub(crate) delayed: bool,
}

/// Steps by the labels of histograms that are both classic and native there.
type Clashes = HashMap<LabelSet, Vec<usize>>;

/// One classic histogram: its labels without `le`, and its buckets sorted by bound.
struct Classic {
    labels: LabelSet,
    /// Bound, and position of the series.
    buckets: Vec<(f64, usize)>,
}

impl Asking {
    /// Answers for every histogram in `vector`, native ones first.
    ///
    /// # Errors
    /// The answers take too many bytes.
    pub(crate) fn answer(
        &self,
        context: &mut Context<'_>,
        vector: &StepVector,
        grid: &Grid,
    ) -> Result<StepVector, Fault> {
        let Context { notes, budget, .. } = context;
        self.check_quantiles(notes);
        let histograms = self.group(vector, notes);
        let clashes = self.clashes(vector, &histograms, notes);
        let natives: Vec<_> =
            vector.iter().filter(|series| !series.column.histograms.is_empty()).collect();
        let mut answers = Vec::new();
        match &self.asked {
            Asked::Fraction(lower, upper) => {
                for native in &natives {
                    let column = self.native_column(native, &clashes, notes, |step, histogram| {
                        describe::fraction_of(lower[step], upper[step], histogram)
                    });
                    answers.extend(self.series(native.labels.clone(), column));
                }
                for classic in &histograms {
                    let answer = |step: usize, buckets: &mut [Bucket]| {
                        fraction_of(lower[step], upper[step], buckets)
                    };
                    let column = by_step(classic, vector, grid, &clashes, answer);
                    answers.extend(self.series(classic.labels.clone(), column));
                }
            }
            Asked::Quantiles { quantiles, label } => {
                let mut repaired = vec![Bitmap::new(grid.count); histograms.len()];
                for (quantiles, _) in quantiles {
                    for native in &natives {
                        let column =
                            self.native_column(native, &clashes, notes, |step, histogram| {
                                describe::quantile_of(quantiles[step], histogram)
                            });
                        let labels = &native.labels;
                        let added = self.by_quantile(labels, quantiles, label, column, budget)?;
                        answers.extend(added);
                    }
                    for (classic, repaired) in histograms.iter().zip(&mut repaired) {
                        let answer =
                            self.quantile_answer(quantiles, classic, grid, repaired, notes);
                        let column = by_step(classic, vector, grid, &clashes, answer);
                        let labels = &classic.labels;
                        let added = self.by_quantile(labels, quantiles, label, column, budget)?;
                        answers.extend(added);
                    }
                }
            }
        }
        Ok(answers)
    }

    /// Steps at which a classic and a native histogram have the same labels: neither counts.
    fn clashes(
        &self,
        vector: &StepVector,
        histograms: &[Classic],
        notes: &mut Annotations,
    ) -> Clashes {
        let mut clashes = Clashes::new();
        for native in vector.iter().filter(|series| !series.column.histograms.is_empty()) {
            let same = histograms.iter().find(|classic| classic.labels == native.labels);
            let Some(classic) = same else { continue };
            for (step, _) in native.column.iter_histograms() {
                let mut positions = classic.buckets.iter().map(|(_, position)| *position);
                if positions.any(|position| vector[position].column.present.get(step)) {
                    let name = if self.delayed { native.labels.metric_name() } else { "" };
                    let text = "vector contains a mix of classic and native histograms";
                    notes.warn(self.span, with_metric_name(text, name));
                    clashes.entry(native.labels.clone()).or_default().push(step);
                }
            }
        }
        clashes
    }

    fn native_column(
        &self,
        native: &StepSeries,
        clashes: &Clashes,
        notes: &mut Annotations,
        answer: impl Fn(usize, &NativeHistogram) -> (f64, Option<NanNote>),
    ) -> Column {
        let mut column = Column::new(native.column.steps());
        let clashing = clashes.get(&native.labels);
        for (step, histogram) in native.column.iter_histograms() {
            if clashing.is_some_and(|steps| steps.contains(&step)) {
                continue;
            }
            let (value, note) = answer(step, histogram);
            column.set_float(step, value);
            let text = match note {
                None => continue,
                Some(NanNote::Result) => {
                    "input to histogram_quantile has NaN observations, result is NaN"
                }
                Some(NanNote::Skew) => {
                    "input to histogram_quantile has NaN observations, result is skewed higher"
                }
                Some(NanNote::Excluded) => {
                    "input to histogram_fraction has NaN observations, which are excluded from all \
                     fractions"
                }
            };
            let name = if self.delayed { native.labels.metric_name() } else { "" };
            notes.inform(self.span, with_metric_name(text, name));
        }
        column
    }

    fn check_quantiles(&self, notes: &mut Annotations) {
        let Asked::Quantiles { quantiles, .. } = &self.asked else { return };
        for (quantiles, span) in quantiles {
            for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                warn_quantile(*q, *span, notes);
            }
        }
    }

    fn group(&self, vector: &StepVector, notes: &mut Annotations) -> Vec<Classic> {
        let mut known: HashMap<LabelSet, usize> = HashMap::new();
        let mut histograms: Vec<Classic> = Vec::new();
        for (position, series) in vector.iter().enumerate() {
            if series.column.present.words().iter().all(|word| *word == 0) {
                continue;
            }
            let bound_text = series.labels.value(BUCKET_LABEL);
            let Ok(bound) = bound_text.parse::<f64>() else {
                self.warn_bound(&series.labels, bound_text, notes);
                continue;
            };
            let labels = with(&series.labels, BUCKET_LABEL, "");
            let at = *known.entry(labels.clone()).or_insert(histograms.len());
            if at == histograms.len() {
                histograms.push(Classic { labels, buckets: Vec::new() });
            }
            histograms[at].buckets.push((bound, position));
        }
        for classic in &mut histograms {
            classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        histograms
    }

    fn warn_bound(&self, labels: &LabelSet, bound: &str, notes: &mut Annotations) {
        let text = format!(
            "bucket label \"le\" is missing or has a malformed value of {}",
            model::label_name::quote(bound)
        );
        let name = if self.delayed { labels.metric_name() } else { "" };
        notes.warn(self.span, with_metric_name(&text, name));
    }

    /// The quantile of one step; the repair of a histogram is told once, with its first quantile.
    fn quantile_answer(
        &self,
        quantiles: &[f64],
        classic: &Classic,
        grid: &Grid,
        repaired: &mut Bitmap,
        notes: &mut Annotations,
    ) -> impl FnMut(usize, &mut [Bucket]) -> f64 {
        let name = if self.delayed { classic.labels.metric_name() } else { "" };
        move |step, buckets| {
            let (value, repair) = quantile_of(quantiles[step], buckets);
            if let Some(repair) = repair.filter(|_| !repaired.get(step)) {
                repaired.set(step);
                let time = grid.time_ms(step);
                let seen = Monotonicity {
                    times_ms: (time, time),
                    bounds: repair.bounds,
                    diff_max: repair.diff_max,
                    count: 1,
                };
                notes.monotonicity(self.span, name, seen);
            }
            value
        }
    }

    /// A histogram's quantiles; with a label, one series for each value that `q` takes.
    fn by_quantile(
        &self,
        labels: &LabelSet,
        quantiles: &[f64],
        label: &Option<String>,
        column: Column,
        budget: &mut Budget,
    ) -> Result<StepVector, Fault> {
        let Some(label) = label else {
            return Ok(self.series(labels.clone(), column).into_iter().collect());
        };
        let visible = self.visible(labels.clone());
        let mut known: HashMap<u64, usize> = HashMap::new();
        let mut answers = StepVector::new();
        for step in column.present.iter_ones() {
            let quantile = quantiles[step];
            let at = *known.entry(quantile.to_bits()).or_insert(answers.len());
            if at == answers.len() {
                let labels = with(&visible, label, &open_metrics(quantile));
                budget
                    .take_bytes(Column::new_bytes(column.steps()) + labels.heap_bytes() as u64)?;
                let column = Column::new(column.steps());
                answers.push(StepSeries { labels, drop_name: true, column });
            }
            answers[at].column.set_float(step, column.values[step]);
        }
        Ok(answers)
    }

    fn visible(&self, labels: LabelSet) -> LabelSet {
        if self.delayed { labels } else { without_metadata(&labels) }
    }

    fn series(&self, labels: LabelSet, column: Column) -> Option<StepSeries> {
        let labels = self.visible(labels);
        (!column.is_empty()).then_some(StepSeries { labels, drop_name: true, column })
    }
}

fn by_step(
    classic: &Classic,
    vector: &StepVector,
    grid: &Grid,
    clashes: &Clashes,
    mut answer: impl FnMut(usize, &mut [Bucket]) -> f64,
) -> Column {
    let mut column = Column::new(grid.count);
    let mut buckets = Vec::with_capacity(classic.buckets.len());
    let clashing = clashes.get(&classic.labels);
    for step in 0..grid.count {
        if clashing.is_some_and(|steps| steps.contains(&step)) {
            continue;
        }
        buckets.clear();
        for (bound, position) in &classic.buckets {
            if let Some(count) = vector[*position].column.float(step) {
                buckets.push(Bucket { bound: *bound, count });
            }
        }
        if !buckets.is_empty() {
            join_equal_bounds(&mut buckets);
            column.set_float(step, answer(step, &mut buckets));
        }
    }
    column
}

/// A float as OpenMetrics writes label values: `1.0`, `0.5`, `1e-05`.
fn open_metrics(value: f64) -> String {
    let text = general(value, None);
    let plain = value.is_finite() && !text.contains(['e', '.']);
    if plain { format!("{text}.0") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_labels_have_a_point() {
        assert_eq!(open_metrics(1.0), "1.0");
        assert_eq!(open_metrics(0.25), "0.25");
        assert_eq!(open_metrics(f64::NAN), "NaN");
    }
}
