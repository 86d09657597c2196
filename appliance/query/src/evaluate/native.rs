//! Native histograms: comparisons that hold without arithmetic.

use model::native_histogram::NativeHistogram;

use crate::evaluate::fault::Fault;
use crate::plan::node::HistogramFunction;

/// The fault of an operation that native histograms do not know here.
pub(crate) fn unsupported(what: &str) -> Fault {
    Fault::execution(format!("native histograms in {what} are not implemented yet"))
}

/// Whether two histograms are the same, their counter reset hints apart.
pub(crate) fn same(left: &NativeHistogram, right: &NativeHistogram) -> bool {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    left.schema == right.schema
        && left.count.to_bits() == right.count.to_bits()
        && left.sum.to_bits() == right.sum.to_bits()
        && left.zero_threshold == right.zero_threshold
        && left.zero_count.to_bits() == right.zero_count.to_bits()
        && bits(&left.custom_values) == bits(&right.custom_values)
        && left.positive_spans == right.positive_spans
        && left.negative_spans == right.negative_spans
        && bits(&left.positive_buckets) == bits(&right.positive_buckets)
        && bits(&left.negative_buckets) == bits(&right.negative_buckets)
}

/// A number that describes a histogram.
///
/// # Errors
/// The number is not known here.
pub(crate) fn statistic(
    function: HistogramFunction,
    histogram: &NativeHistogram,
) -> Result<f64, Fault> {
    match function {
        HistogramFunction::Count => Ok(histogram.count),
        HistogramFunction::Sum => Ok(histogram.sum),
        HistogramFunction::Avg => Ok(histogram.sum / histogram.count),
        HistogramFunction::Stddev | HistogramFunction::Stdvar => {
            Err(unsupported("histogram_stddev() and histogram_stdvar()"))
        }
    }
}
