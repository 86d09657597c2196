//! Nodes of a plan.

use model::matcher::Matcher;

use crate::ast::{AggregateOp, BinaryOp, LabelMatcher, Span, VectorMatching};
use crate::grid::Grid;
use crate::source::WindowValue;

/// A planned expression and the place of its text.
#[derive(Clone, Debug)]
pub struct Node {
    /// Place of the expression, for annotations.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// Kinds of planned expression.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A constant scalar.
    Number(f64),
    /// A text.
    String(String),
    /// An instant vector selector.
    Selector(Selector),
    /// A range vector selector.
    Matrix(Matrix),
    /// An expression evaluated on its own grid, as a range vector.
    Subquery(Box<Subquery>),
    /// Parentheses that stay for their place.
    Paren(Box<Node>),
    /// `-expr`
    Negate(Box<Node>),
    /// `left op right`
    Binary(Box<Binary>),
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// A function call.
    Call(Call),
    /// The same at every step: evaluated once, at the first.
    Invariant(Box<Node>),
}

/// When the samples of a selector are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// `@`, milliseconds; the step's time when there is none.
    pub at_ms: Option<i64>,
    /// `offset`, milliseconds; positive looks back.
    pub offset_ms: i64,
}

impl Moved {
    /// The time to look at in a step at `time_ms`.
    #[must_use]
    pub fn reference_ms(&self, time_ms: i64) -> i64 {
        self.at_ms.unwrap_or(time_ms).saturating_sub(self.offset_ms)
    }
}

/// `anchored`, `smoothed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extension {
    /// Only samples of the range count.
    #[default]
    None,
    /// The last sample before the range counts too.
    Anchored,
    /// Values at the range's ends are interpolated.
    Smoothed,
}

/// An instant vector selector.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Where it stands.
    pub span: Span,
    /// Index into the plan's `selected`.
    pub selected: usize,
    /// Offset and `@`.
    pub moved: Moved,
    /// `smoothed`
    pub extension: Extension,
    /// Only sums and counts of histograms are looked at: resets between them are looked for once,
    /// when they are decoded, as upstream does.
    pub stats_only: bool,
    /// Matchers as written, for `absent` and `info`.
    pub matchers: Vec<LabelMatcher>,
}

/// A range vector selector.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Which series and when.
    pub selector: Selector,
    /// Milliseconds of the range.
    pub range_ms: i64,
}

/// A subquery.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Node,
    /// At which times.
    pub grid: Grid,
    /// Milliseconds of the range.
    pub range_ms: i64,
    /// Offset and `@`.
    pub moved: Moved,
}

/// `left op right`
#[derive(Clone, Debug)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// `bool`
    pub return_bool: bool,
    /// Left of it.
    pub left: Node,
    /// Whether the left side is a scalar.
    pub left_scalar: bool,
    /// Right of it.
    pub right: Node,
    /// Whether the right side is a scalar.
    pub right_scalar: bool,
    /// How vectors meet.
    pub matching: VectorMatching,
}

/// An aggregation.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// Its parameter.
    pub parameter: Option<Node>,
    /// What is aggregated.
    pub expr: Node,
    /// Labels of `by` or `without`, sorted, each once.
    pub grouping: Vec<String>,
    /// `without`
    pub without: bool,
}

/// A function call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which function.
    pub function: CallKind,
    /// Its name, for texts.
    pub name: &'static str,
    /// Its arguments.
    pub args: Vec<Node>,
}

/// Functions by the shape of their evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Of a range vector: one value a series and step.
    Range(RangeFunction),
    /// Of an instant vector: one value a sample.
    Map(MapFunction),
    /// Of a sample's time; the step's time without an argument.
    Date(DateFunction),
    /// Of native histograms: one value a sample.
    Histogram(HistogramFunction),
    /// Everything that has a shape of its own.
    Special(SpecialFunction),
}

/// Functions of range vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as PromQL names them")]
pub enum RangeFunction {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Deriv,
    PredictLinear,
    Resets,
    Changes,
    AvgOverTime,
    SumOverTime,
    CountOverTime,
    MinOverTime,
    MaxOverTime,
    StddevOverTime,
    StdvarOverTime,
    QuantileOverTime,
    MadOverTime,
    FirstOverTime,
    LastOverTime,
    PresentOverTime,
    AbsentOverTime,
    TsOfFirstOverTime,
    TsOfLastOverTime,
    TsOfMinOverTime,
    TsOfMaxOverTime,
    DoubleExponentialSmoothing,
}

/// Functions that map a float to a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as PromQL names them")]
pub enum MapFunction {
    Abs,
    Ceil,
    Floor,
    Exp,
    Sqrt,
    Ln,
    Log2,
    Log10,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Rad,
    Deg,
    Sgn,
    Round,
    Clamp,
    ClampMin,
    ClampMax,
}

/// Functions of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as PromQL names them")]
pub enum DateFunction {
    DaysInMonth,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Month,
    Year,
}

/// Functions that map a native histogram to a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as PromQL names them")]
pub enum HistogramFunction {
    Count,
    Sum,
    Avg,
    Stddev,
    Stdvar,
}

/// Functions with a shape of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as PromQL names them")]
pub enum SpecialFunction {
    Absent,
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    Info,
    LabelJoin,
    LabelReplace,
    MaxOf,
    MinOf,
    Scalar,
    Sort,
    SortDesc,
    SortByLabel,
    SortByLabelDesc,
    StartTimestamp,
    Time,
    Timestamp,
    Vector,
}

/// What the store is asked: series by matchers in a time range.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Compiled matchers.
    pub matchers: Vec<Matcher>,
    /// What is wanted of downsampled samples.
    pub window_value: WindowValue,
    /// Exclusive.
    pub after_ms: i64,
    /// Inclusive.
    pub until_ms: i64,
}
