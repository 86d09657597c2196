//! Answers of two evaluators in one form, and whether they are equal.
//!
//! Never: looks at the order of series, at annotations or at statistics.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::{NativeHistogram, Span};
use query::value::{Point, Value};
use serde::Deserialize;

/// An answer: its type, and points by label set and time. A scalar has the empty label set.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// `matrix`, `vector`, `scalar`, `string`.
    pub kind: &'static str,
    /// The text of a string.
    pub text: String,
    /// The points.
    pub points: BTreeMap<LabelSet, Vec<(i64, Point)>>,
}

/// `data` of the HTTP API's JSON about floats.
#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Reply {
    /// Series with points.
    Matrix(Vec<MatrixSeries>),
    /// Series with a point each.
    Vector(Vec<VectorSample>),
    /// One point.
    Scalar((f64, String)),
    /// A text.
    String((f64, String)),
}

/// A series of a matrix.
#[derive(Deserialize)]
pub struct MatrixSeries {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// A sample of a vector.
#[derive(Deserialize)]
pub struct VectorSample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Reply {
    /// The answer.
    ///
    /// # Errors
    /// A time or a value is none.
    pub fn answer(&self) -> Result<Answer, String> {
        let labels = |metric: &BTreeMap<String, String>| {
            LabelSet::new(metric.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        };
        let mut points = BTreeMap::new();
        let mut text = String::new();
        let kind = match self {
            Reply::Matrix(series) => {
                // Version 2 lists series whose samples are all staleness markers.
                for one in series.iter().filter(|one| !one.values.is_empty()) {
                    let values = one.values.iter().map(point).collect::<Result<Vec<_>, _>>()?;
                    points.insert(labels(&one.metric), values);
                }
                "matrix"
            }
            Reply::Vector(samples) => {
                for one in samples {
                    points.insert(labels(&one.metric), vec![point(&one.value)?]);
                }
                "vector"
            }
            Reply::Scalar(value) => {
                points.insert(LabelSet::empty(), vec![point(value)?]);
                "scalar"
            }
            Reply::String((_, own)) => {
                text.clone_from(own);
                "string"
            }
        };
        Ok(Answer { kind, text, points })
    }
}

fn point((seconds, value): &(f64, String)) -> Result<(i64, Point), String> {
    let ms = (seconds * 1000.0).round();
    if !(0.0..1e15).contains(&ms) {
        return Err(format!("{seconds} s is no time of an answer"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded and rounded above")]
    let ms = ms as i64;
    let value = value.parse().map_err(|_| format!("{value:?} is no value"))?;
    Ok((ms, Point::Float(value)))
}

impl Answer {
    /// The answer of our engine.
    ///
    /// # Errors
    /// Two series have the same labels, or a series two points at one time.
    pub fn of(value: Value) -> Result<Answer, String> {
        let mut points = BTreeMap::new();
        let mut text = String::new();
        let mut put = |labels: LabelSet, own: Vec<(i64, Point)>| {
            if own.windows(2).any(|pair| pair[1].0 <= pair[0].0) {
                return Err(format!("{labels} has two points at one time"));
            }
            match points.insert(labels, own) {
                None => Ok(()),
                Some(_) => Err("two series have the same labels".to_owned()),
            }
        };
        let kind = match value {
            Value::Matrix(series) => {
                for one in series {
                    let floats = one.points.floats.into_iter();
                    let mut own: Vec<(i64, Point)> =
                        floats.map(|(time, value)| (time.0, Point::Float(value))).collect();
                    let histograms = one.points.histograms.into_iter();
                    own.extend(histograms.map(|(time, value)| (time.0, Point::Histogram(value))));
                    own.sort_by_key(|(time, _)| *time);
                    put(one.labels, own)?;
                }
                "matrix"
            }
            Value::Vector(samples) => {
                for sample in samples {
                    put(sample.labels, vec![(sample.timestamp.0, sample.value)])?;
                }
                "vector"
            }
            Value::Scalar(time, value) => {
                put(LabelSet::empty(), vec![(time.0, Point::Float(value))])?;
                "scalar"
            }
            Value::String(_, own) => {
                text = own;
                "string"
            }
        };
        Ok(Answer { kind, text, points })
    }

    /// Whether `found` is equal to this, the expected one, by `tolerance`.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn compare(&self, found: &Answer, tolerance: Tolerance) -> Result<(), String> {
        if (self.kind, &self.text) != (found.kind, &found.text) {
            let (expected, text) = (self.kind, &self.text);
            return Err(format!(
                "expected a {expected} {text}, got a {} {}",
                found.kind, found.text
            ));
        }
        if let Some(labels) = found.points.keys().find(|one| !self.points.contains_key(*one)) {
            return Err(format!("unexpected series {labels} {:?}", found.points[labels]));
        }
        for (labels, expected) in &self.points {
            let Some(found) = found.points.get(labels) else {
                return Err(format!("series {labels} {expected:?} is missing"));
            };
            compare_points(expected, found, tolerance)
                .map_err(|reason| format!("{labels}: {reason}"))?;
        }
        Ok(())
    }
}

fn compare_points(
    expected: &[(i64, Point)],
    found: &[(i64, Point)],
    tolerance: Tolerance,
) -> Result<(), String> {
    for (expected, found) in expected.iter().zip(found) {
        if expected.0 != found.0 || !tolerance.is_same(&expected.1, &found.1) {
            return Err(format!("expected {expected:?}, got {found:?}"));
        }
    }
    if expected.len() != found.len() {
        let (expected, found) = (expected.len(), found.len());
        return Err(format!("expected {expected} points, got {found}"));
    }
    Ok(())
}

/// What may differ between equal values.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// As a part of the smaller value.
    pub relative: f64,
    /// Of the values themselves.
    pub absolute: f64,
}

impl Tolerance {
    /// NaN equals NaN, infinities only themselves.
    #[must_use]
    pub fn is_close(&self, expected: f64, found: f64) -> bool {
        if expected == found || (expected.is_nan() && found.is_nan()) {
            return true;
        }
        let smaller = expected.abs().min(found.abs());
        let difference = (expected - found).abs();
        let finite = expected.is_finite() && found.is_finite();
        finite && (difference <= self.relative * smaller || difference <= self.absolute)
    }

    fn is_same(&self, expected: &Point, found: &Point) -> bool {
        match (expected, found) {
            (Point::Float(expected), Point::Float(found)) => self.is_close(*expected, *found),
            (Point::Histogram(expected), Point::Histogram(found)) => {
                self.is_same_histogram(expected, found)
            }
            (Point::Float(_), Point::Histogram(_)) | (Point::Histogram(_), Point::Float(_)) => {
                false
            }
        }
    }

    fn is_same_histogram(&self, a: &Arc<NativeHistogram>, b: &Arc<NativeHistogram>) -> bool {
        let fields = [
            (a.zero_threshold, b.zero_threshold),
            (a.zero_count, b.zero_count),
            (a.count, b.count),
            (a.sum, b.sum),
        ];
        a.schema == b.schema
            && a.custom_values == b.custom_values
            && fields.iter().all(|(a, b)| self.is_close(*a, *b))
            && self.same_buckets(
                &filled(&a.positive_spans, &a.positive_buckets),
                &filled(&b.positive_spans, &b.positive_buckets),
            )
            && self.same_buckets(
                &filled(&a.negative_spans, &a.negative_buckets),
                &filled(&b.negative_spans, &b.negative_buckets),
            )
    }

    /// A bucket that is only in one is empty there.
    fn same_buckets(&self, a: &BTreeMap<i64, f64>, b: &BTreeMap<i64, f64>) -> bool {
        let count = |of: &BTreeMap<i64, f64>, index: &i64| of.get(index).copied().unwrap_or(0.0);
        a.keys().chain(b.keys()).all(|index| self.is_close(count(a, index), count(b, index)))
    }
}

/// Counts by bucket index.
fn filled(spans: &[Span], counts: &[f64]) -> BTreeMap<i64, f64> {
    let mut indexes = Vec::new();
    let mut next = 0_i64;
    for span in spans {
        next += i64::from(span.offset);
        indexes.extend((0..span.length).map(|at| next + i64::from(at)));
        next += i64::from(span.length);
    }
    indexes.into_iter().zip(counts.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Tolerance = Tolerance { relative: 1e-5, absolute: 0.0 };

    #[test]
    fn only_close_values_are_equal() {
        let is_close = |a, b| TOLERANCE.is_close(a, b);
        assert!(is_close(f64::NAN, f64::NAN));
        assert!(is_close(100_000.0, 100_000.9));
        assert!(!is_close(100_000.0, 100_001.1));
        assert!(!is_close(0.0, 1e-300));
        assert!(Tolerance { absolute: 1e-200, ..TOLERANCE }.is_close(0.0, 1e-300));
        assert!(is_close(f64::INFINITY, f64::INFINITY));
        assert!(!is_close(f64::INFINITY, f64::MAX));
        assert!(!is_close(f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn replies_are_read() {
        let reply = r#"{"resultType":"vector","result":[{"metric":{"a":"b"},
            "value":[1.137,"+Inf"]}]}"#;
        let reply: Reply = serde_json::from_str(reply).expect("a reply");
        let answer = reply.answer().expect("an answer");
        let points = vec![(1137, Point::Float(f64::INFINITY))];
        assert_eq!(answer.points, BTreeMap::from([(LabelSet::new([("a", "b")]), points)]));
    }

    #[test]
    fn empty_buckets_make_no_difference() {
        let spans = |offset, length| vec![Span { offset, length }];
        let one = NativeHistogram {
            positive_spans: spans(1, 1),
            positive_buckets: vec![3.0],
            ..NativeHistogram::default()
        };
        let other = NativeHistogram {
            positive_spans: spans(0, 2),
            positive_buckets: vec![0.0, 3.0],
            ..NativeHistogram::default()
        };
        let third = NativeHistogram { positive_buckets: vec![3.0, 0.0], ..other.clone() };
        let [one, other, third] = [one, other, third].map(Arc::new);
        assert!(TOLERANCE.is_same_histogram(&one, &other));
        assert!(!TOLERANCE.is_same_histogram(&one, &third));
    }
}
