//! Aggregations of random queries.

use query::ast::{AggregateExpr, AggregateOp, Expr, ExprKind};

use crate::random::generator::{Generator, Level, Place, node, number, text, within};

const LABELS: &[&str] = &["job", "i", "mode", "code", "le", "none", "__name__"];

impl Generator<'_> {
    /// An aggregation.
    pub(crate) fn aggregate(&mut self, place: Place) -> Expr {
        use AggregateOp::{
            Avg, Bottomk, Count, CountValues, Group, LimitRatio, Limitk, Max, Min, Quantile,
            Stddev, Stdvar, Sum, Topk,
        };
        let exact = [Sum, Count, Min, Max, Group, Topk, Bottomk, CountValues];
        let close = [Sum, Sum, Avg, Avg, Count, Min, Max, Group, Stddev, Stdvar, Topk, Quantile];
        let op = match place.level {
            Level::Exact | Level::Same => self.pick(&exact),
            Level::Close => self.pick(&close),
        };
        let op =
            if self.is_whole() && self.percent(6) { self.pick(&[Limitk, LimitRatio]) } else { op };
        let level = match op {
            Sum if place.level == Level::Close => Level::Close,
            Sum | Stddev | Stdvar => Level::Exact,
            Avg | Count | Group | Limitk | LimitRatio => Level::Close,
            _ => Level::Same,
        };
        // What is passed on must be as equal as the place wants it.
        let level = match op {
            Min | Max | Topk | Bottomk | Limitk | LimitRatio => level.min(place.level),
            _ => level,
        };
        // Version 2 decides otherwise which of equal values stay.
        let ranks = matches!(op, Topk | Bottomk) && !self.is_whole();
        let below = place.at(level);
        let expr = if ranks { self.selector_of("u", below) } else { self.vector(below) };
        // The deviation of one NaN or infinity is 0 in version 2; that of large values that differ
        // by little is mostly rounding.
        let deviates = matches!(op, Stddev | Stdvar);
        let expr = if deviates { within(expr, 1e5) } else { expr };
        let parameter = self.parameter(op, place);
        let mut grouping: Vec<String> = Vec::new();
        for _ in 0..self.pick(&[0, 0, 1, 1, 1, 2]) {
            let label = self.pick(LABELS).to_owned();
            if !grouping.contains(&label) {
                grouping.push(label);
            }
        }
        let without = self.percent(35);
        node(ExprKind::Aggregate(Box::new(AggregateExpr {
            op,
            parameter,
            expr,
            grouping,
            without,
        })))
    }

    fn parameter(&mut self, op: AggregateOp, place: Place) -> Option<Expr> {
        let literal = match op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
                number(self.pick(&[0.0, 1.0, 2.0, 3.0, 1.9, -1.0]))
            }
            AggregateOp::Quantile => number(self.pick(&[0.5, 0.37, 0.913, 0.0, 1.0, -1.0, 2.0])),
            AggregateOp::LimitRatio => number(self.pick(&[0.5, -0.5, 0.1, 1.0, -0.9])),
            AggregateOp::CountValues => {
                return Some(text(self.pick(&["value", "job", "v", "i"])));
            }
            _ => return None,
        };
        let is_varying = op == AggregateOp::Quantile && self.percent(10);
        Some(if is_varying { self.scalar(place.at(Level::Same)) } else { literal })
    }
}
