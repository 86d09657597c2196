//! What operations on native histograms tell, and the numbers that describe one.

use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::native::describe::variance_of;
use crate::native::wide::{Adding, Wide};
use crate::plan::node::HistogramFunction;

/// A number that describes a histogram.
pub(crate) fn statistic(function: HistogramFunction, histogram: &NativeHistogram) -> f64 {
    match function {
        HistogramFunction::Count => histogram.count,
        HistogramFunction::Sum => histogram.sum,
        HistogramFunction::Avg => histogram.sum / histogram.count,
        HistogramFunction::Stdvar => variance_of(histogram),
        HistogramFunction::Stddev => variance_of(histogram).sqrt(),
    }
}

/// Warns that exponential and custom buckets meet.
pub(crate) fn warn_layouts(span: Span, labels: &LabelSet, notes: &mut Annotations) {
    let name = model::label_name::quote(labels.metric_name());
    let text = format!(
        "vector contains a mix of histograms with exponential and custom buckets schemas for \
         metric name {name}"
    );
    notes.warn(span, text);
}

/// Tells that custom bounds differed in an addition, subtraction or aggregation.
pub(crate) fn info_reconciled(span: Span, operation: &str, notes: &mut Annotations) {
    notes.inform(span, format!("mismatched custom buckets were reconciled during {operation}"));
}

/// Warns that what is known of resets differs.
pub(crate) fn warn_collision(span: Span, operation: &str, notes: &mut Annotations) {
    notes.warn(span, format!("conflicting counter resets during histogram {operation}"));
}

/// Warns that a gauge is taken for a counter, or a counter for a gauge.
pub(crate) fn warn_kind(span: Span, labels: &LabelSet, kind: &str, notes: &mut Annotations) {
    let name = model::label_name::quote(labels.metric_name());
    notes.warn(span, format!("this native histogram metric is not a {kind}: {name}"));
}

/// Adds or subtracts; `None` when the layouts are incompatible, which a warning says.
pub(crate) fn add_told(
    (span, labels): (Span, &LabelSet),
    wide: &mut Wide,
    other: &NativeHistogram,
    adding: Adding,
    notes: &mut Annotations,
) -> Option<()> {
    let Ok(told) = wide.add(other, adding) else {
        warn_layouts(span, labels, notes);
        return None;
    };
    if told.bounds_reconciled {
        let name = if adding == Adding::Negative { "subtraction" } else { "addition" };
        info_reconciled(span, name, notes);
    }
    Some(())
}
