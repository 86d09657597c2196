//! Binary operators of random queries, with every way in which vectors meet.

use query::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Cardinality, Expr, ExprKind, Span,
    VectorMatching,
};

use crate::random::generator::{Generator, Level, Place, call, grouped, node};

const COMPARISONS: &[BinaryOp] = &[
    BinaryOp::Equal,
    BinaryOp::NotEqual,
    BinaryOp::Less,
    BinaryOp::LessEqual,
    BinaryOp::Greater,
    BinaryOp::GreaterEqual,
];
const SETS: &[BinaryOp] = &[BinaryOp::And, BinaryOp::Or, BinaryOp::Unless];
const LABELS: &[&str] = &["job", "i", "job", "i", "job", "mode", "code", "le", "none"];

/// An operator and the places of its operands.
struct Chosen {
    op: BinaryOp,
    return_bool: bool,
    left: Place,
    right: Place,
}

impl Generator<'_> {
    /// Two scalars.
    pub(crate) fn scalar_binary(&mut self, place: Place) -> Expr {
        let chosen =
            if self.percent(70) { self.arithmetic(place) } else { self.comparison(place, true) };
        let left = self.scalar(chosen.left);
        let right = self.scalar(chosen.right);
        self.join(chosen.op, chosen.return_bool, left, right, None)
    }

    /// Two vectors, or a vector and a scalar.
    pub(crate) fn vector_binary(&mut self, place: Place) -> Expr {
        let roll = self.chance.below(100);
        let chosen = match roll {
            0..=49 => self.arithmetic(place),
            50..=79 => {
                let return_bool = self.percent(40);
                self.comparison(place, return_bool)
            }
            _ => {
                let right = place.at(Level::Close);
                Chosen { op: self.pick(SETS), return_bool: false, left: place.below(), right }
            }
        };
        if chosen.op == BinaryOp::Or {
            // Its values are those of both sides.
            let (left, right) = (self.vector(chosen.left), self.vector(chosen.left));
            let matching = self.set_matching();
            return self.join(chosen.op, false, left, right, Some(matching));
        }
        if chosen.op.is_set() {
            let (left, right) = (self.vector(chosen.left), self.vector(chosen.right));
            let matching = self.set_matching();
            return self.join(chosen.op, false, left, right, Some(matching));
        }
        if chosen.op == BinaryOp::Atan2 {
            return self.vector_join(&chosen);
        }
        match self.chance.below(10) {
            0..=1 => {
                let (left, right) = (self.scalar(chosen.left), self.vector(chosen.right));
                self.join(chosen.op, chosen.return_bool, left, right, None)
            }
            2..=4 => {
                let (left, right) = (self.vector(chosen.left), self.scalar(chosen.right));
                self.join(chosen.op, chosen.return_bool, left, right, None)
            }
            _ => self.vector_join(&chosen),
        }
    }

    fn vector_join(&mut self, chosen: &Chosen) -> Expr {
        let left = self.vector(chosen.left);
        // Sides of the same series meet more often than others. The difference of what is equal up
        // to rounding is rounding alone.
        let rounds = chosen.op == BinaryOp::Sub && chosen.left.level == Level::Close;
        let twin = chosen.right.level >= chosen.left.level && !rounds && self.percent(25);
        let right = if twin { left.clone() } else { self.vector(chosen.right) };
        if !self.is_whole() && chosen.op == BinaryOp::Atan2 {
            // Version 2 keeps the metric name; a function takes it away.
            let (left, right) = (call("abs", vec![left]), call("abs", vec![right]));
            let matching = self.matching();
            return self.join(chosen.op, false, left, right, Some(matching));
        }
        if !self.is_whole() && chosen.op.is_comparison() && !chosen.return_bool {
            return self.unique_comparison(chosen.op, left, right);
        }
        let matching = self.matching();
        self.join(chosen.op, chosen.return_bool, left, right, Some(matching))
    }

    /// A filter between sides of one series a group: where several would meet, version 2 counts
    /// only those that pass the filter.
    fn unique_comparison(&mut self, op: BinaryOp, left: Expr, right: Expr) -> Expr {
        let labels = self.labels();
        let side = |expr| {
            let (op, parameter, grouping) = (AggregateOp::Max, None, labels.clone());
            let aggregate = AggregateExpr { op, parameter, expr, grouping, without: false };
            node(ExprKind::Aggregate(Box::new(aggregate)))
        };
        let (left, right) = (side(left), side(right));
        let matching = VectorMatching { on: true, labels, ..VectorMatching::default() };
        self.join(op, false, left, right, Some(matching))
    }

    fn arithmetic(&mut self, place: Place) -> Chosen {
        use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub, TrimLower, TrimUpper};
        let below = place.below();
        let same = place.at(Level::Same);
        let (op, left, right) = match place.level {
            Level::Exact => (self.pick(&[Add, Sub]), below, below),
            Level::Same => (self.pick(&[Add, Sub, Mul, Div, Mod]), same, same),
            Level::Close => match self.pick(&[Add, Add, Sub, Sub, Mul, Div, Mod, Pow, Atan2]) {
                op @ (Mul | Add | Sub) => (op, below, below),
                Div => (Div, below, same),
                op => (op, same, same),
            },
        };
        if self.is_whole() && place.level == Level::Close && self.percent(3) {
            let op = self.pick(&[TrimLower, TrimUpper]);
            return Chosen { op, return_bool: false, left: same, right: same };
        }
        Chosen { op, return_bool: false, left, right }
    }

    fn comparison(&mut self, place: Place, return_bool: bool) -> Chosen {
        let same = place.at(Level::Same);
        // A filter passes the left side's values on.
        let left = if return_bool { same } else { place.at(place.level.min(Level::Same)) };
        // Between a scalar and a vector the vector's values are kept, whichever side it is on.
        let right = if return_bool { same } else { left };
        Chosen { op: self.pick(COMPARISONS), return_bool, left, right }
    }

    fn labels(&mut self) -> Vec<String> {
        let count = self.pick(&[0, 1, 1, 1, 2, 2, 3]);
        let mut labels: Vec<String> = Vec::new();
        for _ in 0..count {
            let label = self.pick(LABELS).to_owned();
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }

    fn set_matching(&mut self) -> VectorMatching {
        let cardinality = Cardinality::ManyToMany;
        if self.percent(40) {
            return VectorMatching { cardinality, ..VectorMatching::default() };
        }
        VectorMatching {
            cardinality,
            on: self.percent(60),
            labels: self.labels(),
            ..VectorMatching::default()
        }
    }

    fn matching(&mut self) -> VectorMatching {
        let mut matching = VectorMatching::default();
        if self.percent(75) {
            matching.on = self.percent(65);
            matching.labels = self.labels();
            if self.percent(45) {
                matching.cardinality = self.pick(&[Cardinality::ManyToOne, Cardinality::OneToMany]);
                let include = if self.percent(40) { self.labels() } else { Vec::new() };
                // A label of `on` cannot be in the group's list.
                let free = |label: &String| !matching.on || !matching.labels.contains(label);
                matching.include = include.into_iter().filter(free).collect();
            }
        }
        if self.is_whole() && self.percent(15) {
            matching.fill_left = self.percent(60).then(|| self.pick(&[0.0, 1.0, -2.5, f64::NAN]));
            matching.fill_right = self.percent(60).then(|| self.pick(&[0.0, 1.0, 3.0]));
        }
        matching
    }

    /// `left op right`, in parentheses where the grammar would read it otherwise, and sometimes
    /// where it would not.
    fn join(
        &mut self,
        op: BinaryOp,
        return_bool: bool,
        left: Expr,
        right: Expr,
        matching: Option<VectorMatching>,
    ) -> Expr {
        let own = strength(op);
        let left = match inner_op(&left) {
            Some(inner) if own < strength(inner) && self.percent(60) => left,
            Some(inner) if own == strength(inner) && op != BinaryOp::Pow && self.percent(60) => {
                left
            }
            _ => grouped(left),
        };
        let right = match inner_op(&right) {
            Some(inner) if own < strength(inner) && self.percent(60) => right,
            Some(BinaryOp::Pow) if op == BinaryOp::Pow && self.percent(60) => right,
            _ => grouped(right),
        };
        let op_span = Span::default();
        let binary = BinaryExpr { op, op_span, return_bool, left, right, matching };
        node(ExprKind::Binary(Box::new(binary)))
    }
}

fn inner_op(expr: &Expr) -> Option<BinaryOp> {
    match &expr.kind {
        ExprKind::Binary(binary) => Some(binary.op),
        _ => None,
    }
}

/// How strongly an operator binds, as the language defines it.
fn strength(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
        BinaryOp::Pow => 6,
        // Trimming binds as comparisons do.
        _ => 3,
    }
}
