//! A tree on one line, as Prometheus prints it; the text parses to the same tree.

use std::fmt::{self, Display, Formatter, Write as _};

use model::duration::format_duration_ms;
use model::label_name::{is_legacy_label_name, quote};
use model::label_set::METRIC_NAME;
use model::matcher::MatchOp;
use model::number::{format_general, format_plain};

use crate::ast::{
    AggregateExpr, At, BinaryExpr, Cardinality, Duration, DurationExpr, DurationExprKind, Expr,
    ExprKind, LabelMatcher, MatrixSelector, Modifiers, NumberLiteral, SubqueryExpr, VectorMatching,
    VectorSelector,
};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => f.write_str(&quoted(text)),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary(unary) => {
                write!(f, "{}{}", if unary.negative { '-' } else { '+' }, unary.expr)
            }
            ExprKind::Binary(binary) => {
                write!(f, "{} ", binary.left)?;
                write_operator(f, binary)?;
                write!(f, " {}", binary.right)
            }
            ExprKind::Aggregate(aggregate) => {
                write_aggregate_head(f, aggregate)?;
                f.write_char('(')?;
                if let Some(parameter) = &aggregate.parameter {
                    write!(f, "{parameter}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (at, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if at == 0 { "" } else { ", " })?;
                }
                f.write_char(')')
            }
            ExprKind::Vector(selector) => write_vector(f, selector),
            ExprKind::Matrix(matrix) => write_matrix(f, matrix),
            ExprKind::Subquery(subquery) => {
                subquery.expr.fmt(f)?;
                write_subquery_suffix(f, subquery)
            }
        }
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.is_duration {
            return f.write_str(&format_plain(self.value));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as is meant")]
        let ms = (self.value.abs() * 1e9) as i64 / 1_000_000;
        let sign = if self.value < 0.0 { "-" } else { "" };
        write!(f, "{sign}{}", format_duration_ms(ms))
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationExprKind::Number(number) => number.fmt(f),
            DurationExprKind::Paren(inner) => write!(f, "({inner})"),
            DurationExprKind::Unary { negative, expr } => {
                write!(f, "{}{expr}", if *negative { "-" } else { "" })
            }
            DurationExprKind::Binary { op, left, right } => {
                write!(f, "{left} {} {right}", op.text())
            }
            DurationExprKind::Step => f.write_str("step()"),
            DurationExprKind::Range => f.write_str("range()"),
            DurationExprKind::Min(left, right) => write!(f, "min_of({left}, {right})"),
            DurationExprKind::Max(left, right) => write!(f, "max_of({left}, {right})"),
        }
    }
}

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Duration::Ms(ms) => f.write_str(&format_duration_ms(*ms)),
            Duration::Expr(expr) => expr.fmt(f),
        }
    }
}

impl Display for LabelMatcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_label(f, &self.name)?;
        write!(f, "{}{}", self.op.text(), quoted(&self.value))
    }
}

impl Display for VectorMatching {
    /// With a space before each part.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let group = match self.cardinality {
            Cardinality::ManyToOne => Some("group_left"),
            Cardinality::OneToMany => Some("group_right"),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        if !self.labels.is_empty() || self.on || group.is_some() {
            f.write_str(if self.on { " on (" } else { " ignoring (" })?;
            write_labels(f, &self.labels)?;
            f.write_char(')')?;
        }
        if let Some(group) = group {
            write!(f, " {group} (")?;
            write_labels(f, &self.include)?;
            f.write_char(')')?;
        }
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left == right => {
                write!(f, " fill ({})", format_general(left))
            }
            (left, right) => {
                if let Some(left) = left {
                    write!(f, " fill_left ({})", format_general(left))?;
                }
                if let Some(right) = right {
                    write!(f, " fill_right ({})", format_general(right))?;
                }
                Ok(())
            }
        }
    }
}

/// The operator with `bool` and how the sides match.
pub(crate) fn write_operator(f: &mut impl fmt::Write, binary: &BinaryExpr) -> fmt::Result {
    f.write_str(binary.op.text())?;
    if binary.return_bool {
        f.write_str(" bool")?;
    }
    match &binary.matching {
        Some(matching) => write!(f, "{matching}"),
        None => Ok(()),
    }
}

/// The operator with its labels, up to the parenthesis.
pub(crate) fn write_aggregate_head(
    f: &mut impl fmt::Write,
    aggregate: &AggregateExpr,
) -> fmt::Result {
    f.write_str(aggregate.op.text())?;
    if !aggregate.without && aggregate.grouping.is_empty() {
        return Ok(());
    }
    f.write_str(if aggregate.without { " without (" } else { " by (" })?;
    write_labels(f, &aggregate.grouping)?;
    f.write_str(") ")
}

/// `[range:step]` and the modifiers.
pub(crate) fn write_subquery_suffix(
    f: &mut impl fmt::Write,
    subquery: &SubqueryExpr,
) -> fmt::Result {
    write!(f, "[{}:", subquery.range)?;
    if let Some(step) = &subquery.step {
        write!(f, "{step}")?;
    }
    f.write_char(']')?;
    write_at(f, &subquery.modifiers)?;
    write_offset(f, &subquery.modifiers)
}

fn write_labels(f: &mut impl fmt::Write, labels: &[String]) -> fmt::Result {
    for (at, label) in labels.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { ", " })?;
        write_label(f, label)?;
    }
    Ok(())
}

fn write_label(f: &mut impl fmt::Write, label: &str) -> fmt::Result {
    if is_legacy_label_name(label) { f.write_str(label) } else { f.write_str(&quoted(label)) }
}

fn write_series(f: &mut impl fmt::Write, selector: &VectorSelector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or("");
    let is_name = |matcher: &&LabelMatcher| {
        matcher.name == METRIC_NAME
            && matcher.op == MatchOp::Equal
            && matcher.value == name
            && !name.is_empty()
    };
    let shown = selector.matchers.iter().filter(|matcher| !is_name(matcher));
    let mut shown: Vec<String> = shown.map(LabelMatcher::to_string).collect();
    shown.sort_unstable();
    f.write_str(name)?;
    if shown.is_empty() && !name.is_empty() {
        return Ok(());
    }
    // The braces of `info(x, {})` stay: Prometheus prints nothing there, which does not parse.
    write!(f, "{{{}}}", shown.join(","))
}

fn write_vector(f: &mut impl fmt::Write, selector: &VectorSelector) -> fmt::Result {
    write_series(f, selector)?;
    write_at(f, &selector.modifiers)?;
    write_extended(f, &selector.modifiers)?;
    write_offset(f, &selector.modifiers)
}

fn write_matrix(f: &mut impl fmt::Write, matrix: &MatrixSelector) -> fmt::Result {
    write_series(f, &matrix.selector)?;
    write!(f, "[{}]", matrix.range)?;
    write_extended(f, &matrix.selector.modifiers)?;
    write_at(f, &matrix.selector.modifiers)?;
    write_offset(f, &matrix.selector.modifiers)
}

fn write_extended(f: &mut impl fmt::Write, modifiers: &Modifiers) -> fmt::Result {
    if modifiers.anchored {
        f.write_str(" anchored")
    } else if modifiers.smoothed {
        f.write_str(" smoothed")
    } else {
        Ok(())
    }
}

fn write_at(f: &mut impl fmt::Write, modifiers: &Modifiers) -> fmt::Result {
    match modifiers.at {
        None => Ok(()),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
        Some(At::Time(ms)) => {
            // Whole seconds and thousandths apart: no rounding by a float.
            let sign = if ms < 0 { "-" } else { "" };
            let ms = ms.unsigned_abs();
            write!(f, " @ {sign}{}.{:03}", ms / 1000, ms % 1000)
        }
    }
}

fn write_offset(f: &mut impl fmt::Write, modifiers: &Modifiers) -> fmt::Result {
    match &modifiers.offset {
        Some(offset) => write!(f, " offset {offset}"),
        None => Ok(()),
    }
}

/// Quoted so that it parses: U+FFFD may stand in a query only as an escape.
fn quoted(text: &str) -> String {
    quote(text).replace(char::REPLACEMENT_CHARACTER, "\\ufffd")
}
