//! The syntax tree of a PromQL expression; every node knows where it stands in the text.

use crate::function::Function;

/// Bytes `start..end` of the query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

/// An expression and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Its place in the text.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1f`, `1h30m` (a duration as seconds).
    Number(NumberLiteral),
    /// `"text"`, unescaped.
    String(String),
    /// `(expr)`
    Paren(Box<Expr>),
    /// `-expr`, `+expr`
    Unary(UnaryExpr),
    /// `left op right`
    Binary(Box<BinaryExpr>),
    /// `sum by (a) (expr)`
    Aggregate(Box<AggregateExpr>),
    /// `rate(x[5m])`
    Call(Call),
    /// `name{label="value"}`
    Vector(VectorSelector),
    /// `name{label="value"}[5m]`
    Matrix(MatrixSelector),
    /// `expr[1h:5m]`
    Subquery(Box<SubqueryExpr>),
}

/// A number as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberLiteral {
    /// Its value; a duration counts seconds.
    pub value: f64,
    /// Written as a duration, and so printed.
    pub is_duration: bool,
}

/// `+` or `-` before an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct UnaryExpr {
    /// Whether it is `-`.
    pub negative: bool,
    /// What it stands before.
    pub expr: Box<Expr>,
}

/// Operators between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the operators' names say it")]
pub enum BinaryOp {
    Pow,
    Mul,
    Div,
    Mod,
    Atan2,
    Add,
    Sub,
    /// `</`: histogram without the buckets above a bound
    TrimUpper,
    /// `>/`: histogram without the buckets below a bound
    TrimLower,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Unless,
    Or,
}

impl BinaryOp {
    /// The operator as PromQL writes it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            BinaryOp::Pow => "^",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::And => "and",
            BinaryOp::Unless => "unless",
            BinaryOp::Or => "or",
        }
    }

    /// `==`, `!=`, `<`, `<=`, `>`, `>=`
    #[must_use]
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }

    /// `and`, `or`, `unless`
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
}

/// How many series of each side may meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Cardinality {
    #[default]
    OneToOne,
    ManyToOne,
    OneToMany,
    ManyToMany,
}

impl Cardinality {
    /// The name that Prometheus prints.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Cardinality::OneToOne => "one-to-one",
            Cardinality::ManyToOne => "many-to-one",
            Cardinality::OneToMany => "one-to-many",
            Cardinality::ManyToMany => "many-to-many",
        }
    }
}

/// How the series of two vectors meet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    /// How many of each side may meet.
    pub cardinality: Cardinality,
    /// Labels of `on (...)` or `ignoring (...)`.
    pub labels: Vec<String>,
    /// `on` instead of `ignoring`.
    pub on: bool,
    /// Labels of `group_left (...)`, `group_right (...)`, taken from the one side.
    pub include: Vec<String>,
    /// `fill_left(x)`, or `fill(x)`: value of a left sample that is missing.
    pub fill_left: Option<f64>,
    /// `fill_right(x)`, or `fill(x)`: value of a right sample that is missing.
    pub fill_right: Option<f64>,
}

/// `left op right`
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryExpr {
    /// The operator.
    pub op: BinaryOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// `bool`: comparisons give 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// Left of the operator.
    pub left: Expr,
    /// Right of the operator.
    pub right: Expr,
    /// `Some` exactly where both sides are vectors.
    pub matching: Option<VectorMatching>,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the operators' names say it")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// The operator as PromQL writes it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    /// Whether it takes a parameter before the vector.
    #[must_use]
    pub fn takes_parameter(self) -> bool {
        use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Quantile, Topk};
        matches!(self, Topk | Bottomk | CountValues | Quantile | Limitk | LimitRatio)
    }
}

/// `op by (grouping) (parameter, expr)`
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateExpr {
    /// The operator.
    pub op: AggregateOp,
    /// k of topk, quantile, label name of count_values ...
    pub parameter: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
    /// Labels of `by` or `without`, in the order written.
    pub grouping: Vec<String>,
    /// `without` instead of `by`.
    pub without: bool,
}

/// A function call, its arguments checked against the function's signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function called.
    pub function: &'static Function,
    /// Arguments in the order written; those left out are not here.
    pub args: Vec<Expr>,
}

/// A matcher as written; regexes were checked, but are compiled when the query is planned.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMatcher {
    /// Label name.
    pub name: String,
    /// How it is compared.
    pub op: model::matcher::MatchOp,
    /// Text or pattern.
    pub value: String,
}

/// `offset`, `@`, `anchored`, `smoothed`: what moves or widens a selector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modifiers {
    /// `offset d`; positive looks back. `offset 0s` is as if not written.
    pub offset: Option<Duration>,
    /// `@ t`
    pub at: Option<At>,
    /// `anchored`
    pub anchored: bool,
    /// `smoothed`
    pub smoothed: bool,
}

/// `@ t`
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// Milliseconds since the Unix epoch.
    Time(i64),
    /// `start()`
    Start,
    /// `end()`
    End,
}

/// `name{matchers}` with its modifiers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorSelector {
    /// Metric name as written before the braces; one quoted inside them is only a matcher.
    pub name: Option<String>,
    /// Every matcher as written, then `__name__="name"` where `name` is some.
    pub matchers: Vec<LabelMatcher>,
    /// offset, @ ...
    pub modifiers: Modifiers,
}

/// `selector[range]`; the modifiers written after the range are the selector's.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// Which series; its span is that of the part before `[`.
    pub selector: VectorSelector,
    /// Place of the selector without the range.
    pub selector_span: Span,
    /// How far back.
    pub range: Duration,
}

/// `expr[range:step]`
#[derive(Clone, Debug, PartialEq)]
pub struct SubqueryExpr {
    /// What is evaluated at every step.
    pub expr: Expr,
    /// How far back.
    pub range: Duration,
    /// `None`: the server's default.
    pub step: Option<Duration>,
    /// offset, @
    pub modifiers: Modifiers,
}

/// A duration as written: a constant or arithmetic that is settled when the query is planned,
/// for `step()` and `range()` are the query's.
#[derive(Clone, Debug, PartialEq)]
pub enum Duration {
    /// Milliseconds.
    Ms(i64),
    /// `[5m + step()]`
    Expr(DurationExpr),
}

/// Arithmetic of durations.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationExpr {
    /// Its place in the text.
    pub span: Span,
    /// What it is.
    pub kind: DurationExprKind,
}

/// The kinds of duration arithmetic. Numbers are seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExprKind {
    /// A number of seconds or a duration.
    Number(NumberLiteral),
    /// `(expr)`
    Paren(Box<DurationExpr>),
    /// `-expr`, `+expr`
    Unary {
        /// Whether it is `-`.
        negative: bool,
        /// What it stands before.
        expr: Box<DurationExpr>,
    },
    /// `left op right`; only `+ - * / % ^`
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left of it.
        left: Box<DurationExpr>,
        /// Right of it.
        right: Box<DurationExpr>,
    },
    /// `step()`
    Step,
    /// `range()`
    Range,
    /// `min_of(a, b)`
    Min(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`
    Max(Box<DurationExpr>, Box<DurationExpr>),
}
