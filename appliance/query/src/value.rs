//! Values: what a query answers, for the HTTP API, rules and tests.
//!
//! Never: labels that the query dropped, staleness markers.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;
use model::time::TimestampMs;

/// The answer of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number at the time of an instant query.
    Scalar(TimestampMs, f64),
    /// A text at the time of an instant query.
    String(TimestampMs, String),
    /// Samples at the time of an instant query, in the order that the query gave them.
    Vector(Vec<Sample>),
    /// Series, sorted by label set: every range query, and an instant query of a range vector.
    Matrix(Vec<SeriesPoints>),
}

/// A number or a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

/// One sample of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: LabelSet,
    /// Time of the query.
    pub timestamp: TimestampMs,
    /// Its value.
    pub value: Point,
}

/// One series of a matrix; floats and histograms apart, each in order of time. No time is in both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// Numbers.
    pub floats: Vec<(TimestampMs, f64)>,
    /// Native histograms.
    pub histograms: Vec<(TimestampMs, Arc<NativeHistogram>)>,
}

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPoints {
    /// Its labels.
    pub labels: LabelSet,
    /// Its points.
    pub points: Points,
}
