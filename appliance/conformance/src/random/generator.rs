//! Generator: chance, the language and what a place in a query may hold.
//!
//! What makes a difference between two right evaluators is kept out by construction: see
//! [`Level`] and [`Edge`].

use query::ast::{BinaryExpr, BinaryOp, Expr, ExprKind, NumberLiteral, Span, UnaryExpr};
use sim::prng::Prng;

use crate::random::world::Dialect;

/// How equal two right evaluators are about a value. Sums of floats depend on order and on
/// compensation, and what jumps (comparisons, rounding, divisors near zero) must not see that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Of few digits: sums of it are exact in any order.
    Exact,
    /// Bit for bit: single operations on exact values.
    Same,
    /// Up to rounding.
    Close,
}

/// Where the times at which an expression is evaluated fall. Version 2 counts a sample on the left
/// edge of a window, version 3 does not: in the shared language none is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Half seconds: the steps of a query.
    Half,
    /// Whole seconds: the steps of a subquery.
    Whole,
}

/// What a place in a query may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Levels of expressions left.
    pub(crate) depth: u32,
    /// How equal the value must be.
    pub(crate) level: Level,
    /// Where its times fall.
    pub(crate) edge: Edge,
    /// Subqueries around it.
    pub(crate) subqueries: u32,
}

impl Place {
    /// One level down.
    pub(crate) fn below(self) -> Place {
        Place { depth: self.depth.saturating_sub(1), ..self }
    }

    /// One level down, where the value must be at least as equal as `level`.
    pub(crate) fn at(self, level: Level) -> Place {
        Place { level, ..self.below() }
    }
}

/// Draws expressions.
pub(crate) struct Generator<'a> {
    /// Where choices come from.
    pub(crate) chance: &'a mut Prng,
    /// What may be drawn.
    pub(crate) dialect: Dialect,
}

impl Generator<'_> {
    /// True so often in a hundred.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.chance.below(100) < percent
    }

    /// Whether the language is all of version 3.
    pub(crate) fn is_whole(&self) -> bool {
        self.dialect == Dialect::Whole
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        self.chance.one_of(choices)
    }

    /// A number of `from..=to`.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        let bound = u64::try_from(to - from + 1).expect("from is not above to");
        from + i64::try_from(self.chance.below(bound)).expect("the bound fits")
    }

    /// A number literal.
    pub(crate) fn literal(&mut self, place: Place) -> Expr {
        let small = [0.0, 1.0, 2.0, 3.0, 0.5, -1.0, 10.0, 0.25];
        let any = [0.1, 60.0, 3.7, 1e-3, -7.3, 1e6];
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        match self.chance.below(20) {
            0 => number(self.pick(&odd)),
            1..=4 if place.level != Level::Exact => number(self.pick(&any)),
            _ => number(self.pick(&small)),
        }
    }

    /// A scalar.
    pub(crate) fn scalar(&mut self, place: Place) -> Expr {
        if place.depth == 0 || self.percent(45) {
            return if self.percent(80) { self.literal(place) } else { call("time", Vec::new()) };
        }
        match self.chance.below(10) {
            0..=3 => self.scalar_binary(place),
            4..=6 => {
                let vector = self.vector(place.below());
                call("scalar", vec![vector])
            }
            7 if place.level != Level::Exact => call("pi", Vec::new()),
            8 if self.is_whole() => self.whole_scalar(place),
            _ => {
                let inner = self.scalar(place.below());
                self.signed(inner)
            }
        }
    }

    /// `min_of(1, 2)`, `start()` and the like.
    fn whole_scalar(&mut self, place: Place) -> Expr {
        match self.chance.below(3) {
            0 => {
                let name = self.pick(&["min_of", "max_of"]);
                let place = place.at(place.level.min(Level::Same));
                let (left, right) = (self.scalar(place), self.scalar(place));
                call(name, vec![left, right])
            }
            _ => {
                let name = self.pick(&["start", "end", "step", "range"]);
                call(name, Vec::new())
            }
        }
    }

    /// `-expr` or `+expr`.
    pub(crate) fn signed(&mut self, inner: Expr) -> Expr {
        // The parser folds a sign into a number.
        if let ExprKind::Number(literal) = &inner.kind {
            return number(-literal.value);
        }
        let negative = self.percent(80);
        let expr = Box::new(grouped(inner));
        node(ExprKind::Unary(UnaryExpr { negative, expr }))
    }

    /// An instant vector.
    pub(crate) fn vector(&mut self, place: Place) -> Expr {
        if place.depth == 0 {
            return self.selector(place);
        }
        match self.chance.below(100) {
            0..=11 => self.selector(place),
            12..=41 => self.vector_binary(place),
            42..=63 => self.aggregate(place),
            64..=93 => self.vector_call(place),
            94..=96 => {
                // A sign takes the names of series that never meet: version 2 refuses what is then
                // twice there, version 3 joins it.
                let below = place.below();
                let inner = if self.is_whole() { self.vector(below) } else { self.selector(below) };
                self.signed(inner)
            }
            _ => {
                let inner = self.vector(place.below());
                node(ExprKind::Paren(Box::new(inner)))
            }
        }
    }
}

/// An expression without a place in a text.
pub(crate) fn node(kind: ExprKind) -> Expr {
    Expr { span: Span::default(), kind }
}

/// A number.
pub(crate) fn number(value: f64) -> Expr {
    node(ExprKind::Number(NumberLiteral { value, is_duration: false }))
}

/// A text.
pub(crate) fn text(text: &str) -> Expr {
    node(ExprKind::String(text.to_owned()))
}

/// A call of a function that there is.
pub(crate) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let function = query::function::lookup(name).expect("the generator calls known functions");
    node(ExprKind::Call(query::ast::Call { function, args }))
}

/// The values of a vector that are within ± `bound`; no NaN is.
pub(crate) fn within(expr: Expr, bound: f64) -> Expr {
    let filter = |left: Expr, op, bound| {
        let (op_span, right) = (Span::default(), number(bound));
        let (left, matching) = (grouped(left), None);
        let binary = BinaryExpr { op, op_span, return_bool: false, left, right, matching };
        node(ExprKind::Binary(Box::new(binary)))
    };
    filter(filter(expr, BinaryOp::Greater, -bound), BinaryOp::Less, bound)
}

/// In parentheses, unless it already stands for itself.
pub(crate) fn grouped(expr: Expr) -> Expr {
    let stands_alone = match &expr.kind {
        ExprKind::Binary(_) | ExprKind::Unary(_) => false,
        ExprKind::Number(number) => number.value.is_finite() && 0.0 <= number.value,
        _ => true,
    };
    if stands_alone { expr } else { node(ExprKind::Paren(Box::new(expr))) }
}
