//! A tree laid out for reading, as Prometheus's `format_query` lays it out: what is longer than a
//! line is split into its parts, indented by two spaces a level.

use std::fmt::{self, Write as _};

use crate::ast::{AggregateExpr, BinaryExpr, Expr, ExprKind, SubqueryExpr};
use crate::print::line::{write_aggregate_head, write_operator, write_subquery_suffix};

/// Bytes of a line beyond which an expression is split, in Prometheus's API.
pub const LINE_BYTES_MAX: usize = 100;
/// Bytes of a layout; what would need more, by deep indentation, is given on one line.
const LAYOUT_BYTES_MAX: usize = 1 << 24;

/// `expr` in lines of at most `line_bytes_max` bytes where it can be split.
#[must_use]
pub fn pretty(expr: &Expr, line_bytes_max: usize) -> String {
    let mut layout = Layout { text: String::new(), line_bytes_max };
    match layout.expr(expr, 0) {
        Ok(()) => layout.text,
        Err(fmt::Error) => expr.to_string(),
    }
}

struct Layout {
    text: String,
    line_bytes_max: usize,
}

impl fmt::Write for Layout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if LAYOUT_BYTES_MAX - self.text.len() < text.len() {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// Counts down and fails when more is written than fits.
struct Room(usize);

impl fmt::Write for Room {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

impl Layout {
    /// Writes `expr` at this level; level 0 is not indented.
    fn expr(&mut self, expr: &Expr, level: usize) -> fmt::Result {
        let fits = write!(Room(self.line_bytes_max), "{expr}").is_ok();
        match &expr.kind {
            // Prometheus does not indent a subquery that fits.
            ExprKind::Subquery(_) if fits => write!(self, "{expr}"),
            ExprKind::Subquery(subquery) => self.subquery(subquery, level),
            ExprKind::Unary(unary) => {
                self.indent(level)?;
                self.write_char(if unary.negative { '-' } else { '+' })?;
                let start = self.text.len();
                self.expr(&unary.expr, level)?;
                // The operand's own indentation would stand behind the sign.
                let operand = self.text.split_off(start);
                self.write_str(operand.trim())
            }
            ExprKind::Binary(binary) if !fits => self.binary(binary, level),
            ExprKind::Aggregate(aggregate) if !fits => self.aggregate(aggregate, level),
            ExprKind::Paren(inner) if !fits => {
                self.indent(level)?;
                self.write_str("(\n")?;
                self.expr(inner, level + 1)?;
                self.close(level)
            }
            ExprKind::Call(call) if !fits => {
                self.indent(level)?;
                writeln!(self, "{}(", call.function.name)?;
                for (at, arg) in call.args.iter().enumerate() {
                    self.write_str(if at == 0 { "" } else { ",\n" })?;
                    self.expr(arg, level + 1)?;
                }
                self.close(level)
            }
            _ => {
                self.indent(level)?;
                write!(self, "{expr}")
            }
        }
    }

    fn binary(&mut self, binary: &BinaryExpr, level: usize) -> fmt::Result {
        self.expr(&binary.left, level + 1)?;
        self.write_char('\n')?;
        self.indent(level)?;
        write_operator(self, binary)?;
        self.write_char('\n')?;
        self.expr(&binary.right, level + 1)
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr, level: usize) -> fmt::Result {
        self.indent(level)?;
        write_aggregate_head(self, aggregate)?;
        self.write_str("(\n")?;
        if let Some(parameter) = &aggregate.parameter {
            self.expr(parameter, level + 1)?;
            self.write_str(",\n")?;
        }
        self.expr(&aggregate.expr, level + 1)?;
        self.close(level)
    }

    fn subquery(&mut self, subquery: &SubqueryExpr, level: usize) -> fmt::Result {
        self.expr(&subquery.expr, level)?;
        write_subquery_suffix(self, subquery)
    }

    fn close(&mut self, level: usize) -> fmt::Result {
        self.write_char('\n')?;
        self.indent(level)?;
        self.write_char(')')
    }

    fn indent(&mut self, level: usize) -> fmt::Result {
        (0..level).try_for_each(|_| self.write_str("  "))
    }
}
