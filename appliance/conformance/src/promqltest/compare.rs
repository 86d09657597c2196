//! Compares answers with what a script expects, with upstream's tolerance.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, Span};
use query::parse::series::SequenceValue;
use query::value::{Point, Sample, SeriesPoints, Value};

use crate::promqltest::script::Eval;

/// Relative difference of values that is taken for equal.
const TOLERANCE: f64 = 1e-6;

/// Compares a value.
///
/// # Errors
/// What differs.
pub fn compare_value(eval: &Eval, value: &Value) -> Result<(), String> {
    match value {
        Value::Scalar(_, found) => match eval.scalar {
            Some(expected) if is_close(expected, *found) => Ok(()),
            Some(expected) => Err(format!("expected scalar {expected}, got {found}")),
            None => Err(format!("expected no scalar, got {found}")),
        },
        Value::String(_, found) => match &eval.string {
            Some(expected) if expected == found => Ok(()),
            expected => Err(format!("expected {expected:?}, got text {found:?}")),
        },
        Value::Vector(_) | Value::Matrix(_) if eval.scalar.is_some() => {
            Err(format!("expected a scalar, got {value:?}"))
        }
        Value::Vector(samples) => compare_vector(eval, samples),
        Value::Matrix(series) => compare_matrix(eval, series),
    }
}

/// Compares an instant vector.
///
/// # Errors
/// What differs.
pub fn compare_vector(eval: &Eval, samples: &[Sample]) -> Result<(), String> {
    for (at, sample) in samples.iter().enumerate() {
        let labels = &sample.labels;
        let Some((position, values)) = eval.expected.get(labels) else {
            return Err(format!("unexpected {labels} {:?}", sample.value));
        };
        if eval.notes.ordered() && *position != at + 1 {
            return Err(format!("{labels} at position {} instead of {position}", at + 1));
        }
        let expected = values.first().ok_or("no value expected")?;
        let equal = match (expected, &sample.value) {
            (SequenceValue::Float(expected), Point::Float(found)) => is_close(*expected, *found),
            (SequenceValue::Histogram { histogram, hint_given }, Point::Histogram(found)) => {
                same_histogram(histogram, found, *hint_given)
            }
            _ => false,
        };
        if !equal {
            return Err(format!("{labels}: expected {expected:?}, got {:?}", sample.value));
        }
    }
    let missing =
        eval.expected.keys().find(|labels| !samples.iter().any(|known| known.labels == **labels));
    missing.map_or(Ok(()), |labels| Err(format!("{labels} is missing in {samples:?}")))
}

fn compare_matrix(eval: &Eval, matrix: &[SeriesPoints]) -> Result<(), String> {
    if eval.notes.ordered() {
        return Err("expected an ordered vector, got a matrix".to_owned());
    }
    if !matrix.is_sorted_by(|a, b| a.labels <= b.labels) {
        return Err("the matrix is not sorted".to_owned());
    }
    for series in matrix {
        let labels = &series.labels;
        let Some((_, values)) = eval.expected.get(labels) else {
            return Err(format!("unexpected {labels} {:?}", series.points));
        };
        compare_points(eval, values, series)
            .map_err(|reason| format!("{labels}: {reason}, got {:?}", series.points))?;
    }
    let missing =
        eval.expected.keys().find(|labels| !matrix.iter().any(|known| known.labels == **labels));
    missing.map_or(Ok(()), |labels| Err(format!("{labels} is missing")))
}

fn compare_points(
    eval: &Eval,
    values: &[SequenceValue],
    series: &SeriesPoints,
) -> Result<(), String> {
    let mut floats = series.points.floats.iter();
    let mut histograms = series.points.histograms.iter();
    let mut time = eval.start_ms;
    for value in values {
        if eval.end_ms < time {
            return Err("more values expected than the range has steps".to_owned());
        }
        match value {
            SequenceValue::Omitted => {}
            SequenceValue::Float(expected) => match floats.next() {
                Some((at, found)) if at.0 == time && is_close(*expected, *found) => {}
                found => return Err(format!("expected {expected} at {time}, got {found:?}")),
            },
            SequenceValue::Histogram { histogram, hint_given } => match histograms.next() {
                Some((at, found))
                    if at.0 == time && same_histogram(histogram, found, *hint_given) => {}
                _ => return Err(format!("expected {histogram:?} at {time}")),
            },
        }
        time += eval.step_ms;
    }
    match (floats.next(), histograms.next()) {
        (None, None) => Ok(()),
        (float, histogram) => Err(format!("unexpected points {float:?} {histogram:?}")),
    }
}

/// Whether two values are equal within the tolerance; NaN equals NaN.
fn is_close(left: f64, right: f64) -> bool {
    if left == right || (left.is_nan() && right.is_nan()) {
        return true;
    }
    let sum = left.abs() + right.abs();
    let difference = (left - right).abs();
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn same_histogram(expected: &Arc<NativeHistogram>, found: &NativeHistogram, hint: bool) -> bool {
    let custom = |histogram: &NativeHistogram| match histogram.schema {
        CUSTOM_BUCKETS_SCHEMA => histogram.custom_values.to_vec(),
        _ => Vec::new(),
    };
    expected.schema == found.schema
        && is_close(expected.count, found.count)
        && is_close(expected.sum, found.sum)
        && expected.zero_threshold == found.zero_threshold
        && is_close(expected.zero_count, found.zero_count)
        && custom(expected) == custom(found)
        && same_buckets(
            &buckets(&expected.positive_spans, &expected.positive_buckets),
            &buckets(&found.positive_spans, &found.positive_buckets),
        )
        && same_buckets(
            &buckets(&expected.negative_spans, &expected.negative_buckets),
            &buckets(&found.negative_spans, &found.negative_buckets),
        )
        && (!hint || expected.counter_reset_hint == found.counter_reset_hint)
}

/// Counts by index of bucket, empty ones left out.
fn buckets(spans: &[Span], counts: &[f64]) -> BTreeMap<i64, f64> {
    let mut found = BTreeMap::new();
    let mut index = 0;
    let mut counts = counts.iter();
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(usize::try_from(span.length).unwrap_or(0)) {
            if *count != 0.0 {
                found.insert(index, *count);
            }
            index += 1;
        }
    }
    found
}

fn same_buckets(expected: &BTreeMap<i64, f64>, found: &BTreeMap<i64, f64>) -> bool {
    expected.len() == found.len()
        && expected.iter().zip(found).all(|(a, b)| a.0 == b.0 && is_close(*a.1, *b.1))
}
