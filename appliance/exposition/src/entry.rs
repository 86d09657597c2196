//! Entries: what every format says, in the same words.
//!
//! Path: body → the parser of its format → **entry** → `layout`, `scan`, whoever reads bodies.
//! A series is named by its text in the text format, `name{label="value"}`; a format that has no
//! such text gets one made.

use std::borrow::Cow;

use model::native_histogram::NativeHistogram;
use model::time::TimestampMs;

use crate::metric_type::MetricType;

/// One entry of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// `# HELP name help`, both unescaped.
    Help {
        /// Name of the family.
        name: Cow<'a, str>,
        /// What it says of itself.
        help: Cow<'a, str>,
    },
    /// `# TYPE name type`.
    Type {
        /// Name of the family.
        name: Cow<'a, str>,
        /// Its type.
        metric_type: MetricType,
    },
    /// `# UNIT name unit`.
    Unit {
        /// Name of the family.
        name: Cow<'a, str>,
        /// Unit of its values; may be empty.
        unit: Cow<'a, str>,
    },
    /// Any other line that begins with `#`, without its end.
    Comment {
        /// From `#` on.
        text: &'a [u8],
    },
    /// A sample.
    Sample(Sample<'a>),
    /// A native histogram.
    Histogram(HistogramSample<'a>),
}

/// One sample whose value is a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Name and labels: `name{labels}`; read by [`crate::series::parse_series`].
    pub series: &'a [u8],
    /// Where `series` begins in the body; 0 where the body is no text.
    pub series_start: usize,
    /// Where the text of the value begins in the body; 0 where the body is no text.
    pub value_start: usize,
    /// The value; every `NaN` is the ordinary one.
    pub value: f64,
    /// Explicit timestamp.
    pub timestamp: Option<TimestampMs>,
    /// Type that the last `# TYPE` line above declared, whatever name it had;
    /// [`crate::series::parse_series`] wants it.
    pub metric_type: MetricType,
    /// An observation that the sample counted.
    pub exemplar: Option<Exemplar<'a>>,
    /// When the counting began, where it is known and was asked for.
    pub start: Option<TimestampMs>,
}

/// One native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample<'a> {
    /// Name and labels, as those of a [`Sample`].
    pub series: &'a [u8],
    /// The histogram, compact and valid.
    pub histogram: NativeHistogram,
    /// Explicit timestamp.
    pub timestamp: Option<TimestampMs>,
    /// Type of its family.
    pub metric_type: MetricType,
    /// Observations that it counted, in order of time; at most one a bucket.
    pub exemplars: Vec<Exemplar<'a>>,
    /// When the counting began, where it is known and was asked for.
    pub start: Option<TimestampMs>,
}

/// An observation that stands for those a sample counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar<'a> {
    /// Its labels with their braces; read by [`crate::series::parse_exemplar_labels`].
    pub labels: &'a [u8],
    /// Where they begin in the body; 0 where the body is no text.
    pub labels_start: usize,
    /// What was observed.
    pub value: f64,
    /// When.
    pub timestamp: Option<TimestampMs>,
}
