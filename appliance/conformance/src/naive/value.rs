//! Values of the naive evaluator at one time.

use model::label_set::{Builder, LabelSet, METRIC_NAME};

use crate::naive::histogram::Histogram;

/// A number or a histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(Histogram),
}

/// Samples by labels at one time.
pub type Vector = Vec<(LabelSet, Sample)>;

/// The samples of one series in a window.
#[derive(Clone, Debug)]
pub struct Ranged {
    /// Its labels.
    pub labels: LabelSet,
    /// Its samples by time, staleness markers left out.
    pub samples: Vec<(i64, Sample)>,
}

/// A value at one time.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// An instant vector.
    Vector(Vector),
    /// A range vector.
    Matrix(Vec<Ranged>),
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The query cannot be computed on this data.
    Execution,
    /// This evaluator does not say.
    Unknown,
}

/// The labels without the metric name.
#[must_use]
pub fn nameless(labels: &LabelSet) -> LabelSet {
    let mut builder = Builder::from(labels);
    builder.remove(METRIC_NAME);
    builder.build()
}

/// The vector, unless two of its samples have the same labels.
///
/// # Errors
/// They have.
pub fn unique(vector: Vector) -> Result<Vector, Fault> {
    let mut labels: Vec<&LabelSet> = vector.iter().map(|(labels, _)| labels).collect();
    labels.sort();
    if labels.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Fault::Execution);
    }
    Ok(vector)
}
