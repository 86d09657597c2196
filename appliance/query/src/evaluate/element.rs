//! Binary operators between two samples, floats or native histograms, and between columns.

use std::sync::Arc;

use model::bitmap::Bitmap;
use model::native_histogram::{CounterResetHint, NativeHistogram};

use crate::annotation::Annotations;
use crate::ast::{BinaryOp, Span};
use crate::evaluate::column::Column;
use crate::evaluate::native::{info_reconciled, warn_collision};
use crate::evaluate::operator::{arithmetic, holds, trims};
use crate::native::reset::same;
use crate::native::trim::trimmed;
use crate::native::wide::{Adding, Wide};

/// A binary operator as written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator {
    /// Which.
    pub(crate) op: BinaryOp,
    /// Comparisons give 0 or 1 instead of filtering.
    pub(crate) return_bool: bool,
    /// Place of the whole expression.
    pub(crate) span: Span,
}

/// One sample of an operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand<'a> {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(&'a Arc<NativeHistogram>),
}

impl<'a> Operand<'a> {
    /// What `column` holds at `step`.
    pub(crate) fn of(column: &'a Column, step: usize) -> Option<Operand<'a>> {
        match column.float(step) {
            Some(value) => Some(Operand::Float(value)),
            None => column.histogram(step).map(Operand::Histogram),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Operand::Float(_) => "float",
            Operand::Histogram(_) => "histogram",
        }
    }
}

/// What an operator makes of two samples.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A float, and whether a filter keeps it.
    Float(f64, bool),
    /// A histogram, and whether a filter keeps it.
    Histogram(Arc<NativeHistogram>, bool),
    /// The operator does not know these types; an annotation says so.
    Incompatible,
}

/// What the pairs of two vectors have to say: of each step only the last word is heard, as
/// upstream keeps one error of a step's pairs.
#[derive(Debug, Default)]
pub(crate) struct LastNotes {
    /// The different words; there are as many as kinds of pairs.
    words: Vec<Annotations>,
    /// By step the word, counted from 1; 0 is silence. Empty until the first word.
    last: Vec<u8>,
}

impl LastNotes {
    fn put(&mut self, step: usize, steps: usize, word: Annotations) {
        if word.is_empty() {
            return;
        }
        let known = self.words.iter().position(|known| *known == word);
        let at = known.unwrap_or(self.words.len());
        if known.is_none() {
            self.words.push(word);
        }
        self.last.resize(steps, 0);
        self.last[step] = u8::try_from(at + 1).expect("an operator has few texts");
    }

    /// Adds what is heard to `notes`.
    pub(crate) fn tell(self, notes: &mut Annotations) {
        for (at, word) in self.words.into_iter().enumerate() {
            if self.last.iter().any(|last| usize::from(*last) == at + 1) {
                notes.merge(word);
            }
        }
    }
}

impl Operator {
    /// What the operator makes of two samples.
    pub(crate) fn combine(
        &self,
        left: Operand<'_>,
        right: Operand<'_>,
        notes: &mut Annotations,
    ) -> Outcome {
        let op = self.op;
        match (left, right) {
            (Operand::Float(a), Operand::Float(b)) if op.is_comparison() => {
                Outcome::Float(a, holds(op, a, b))
            }
            (Operand::Float(a), Operand::Float(b)) if !trims(op) => {
                Outcome::Float(arithmetic(op)(a, b), true)
            }
            (Operand::Histogram(a), Operand::Histogram(b))
                if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) =>
            {
                Outcome::Histogram(Arc::clone(a), same(a, b) == (op == BinaryOp::Equal))
            }
            (Operand::Histogram(a), Operand::Histogram(b))
                if matches!(op, BinaryOp::Add | BinaryOp::Sub) =>
            {
                self.add_histograms(a, b, notes)
            }
            (Operand::Histogram(a), Operand::Float(b)) if trims(op) => {
                Outcome::Histogram(Arc::new(trimmed(a, b, op == BinaryOp::TrimUpper)), true)
            }
            (Operand::Histogram(a), Operand::Float(b)) if op == BinaryOp::Div => {
                scaled(a, |wide| wide.divide(b))
            }
            (Operand::Histogram(histogram), Operand::Float(factor))
            | (Operand::Float(factor), Operand::Histogram(histogram))
                if op == BinaryOp::Mul =>
            {
                scaled(histogram, |wide| wide.multiply(factor))
            }
            _ => {
                self.note_incompatible(left, right, notes);
                Outcome::Incompatible
            }
        }
    }

    fn add_histograms(
        &self,
        left: &NativeHistogram,
        right: &NativeHistogram,
        notes: &mut Annotations,
    ) -> Outcome {
        let (adding, name) = match self.op {
            BinaryOp::Add => (Adding::Plain, "addition"),
            _ => (Adding::Negative, "subtraction"),
        };
        let mut sum = Wide::from(left);
        let Ok(told) = sum.add(right, adding) else {
            let op = self.op.text();
            let text = format!("incompatible bucket layout encountered for binary operator {op}");
            notes.warn(self.span, text);
            return Outcome::Incompatible;
        };
        if told.hints_collided {
            // Upstream takes this warning for a failure: the sample goes.
            warn_collision(self.span, name, notes);
            return Outcome::Incompatible;
        }
        if adding == Adding::Negative {
            sum.set_hint(CounterResetHint::Gauge);
        }
        if told.bounds_reconciled {
            info_reconciled(self.span, name, notes);
        }
        Outcome::Histogram(Arc::new(sum.finish(true)), true)
    }

    fn note_incompatible(&self, left: Operand<'_>, right: Operand<'_>, notes: &mut Annotations) {
        let op = self.op.text();
        let (left, right) = (left.type_name(), right.type_name());
        let text = format!(
            "incompatible sample types encountered for binary operator {}: {left} {op} {right}",
            model::label_name::quote(op)
        );
        notes.inform(self.span, text);
    }

    /// Puts an outcome into a step; `true` unless the types were incompatible.
    pub(crate) fn put(&self, outcome: Outcome, step: usize, into: &mut Column) -> bool {
        match outcome {
            Outcome::Incompatible => return false,
            Outcome::Float(_, kept) | Outcome::Histogram(_, kept) if self.return_bool => {
                into.set_float(step, f64::from(u8::from(kept)));
            }
            Outcome::Float(value, true) => into.set_float(step, value),
            Outcome::Histogram(value, true) => into.set_histogram(step, value),
            Outcome::Float(..) | Outcome::Histogram(..) => {}
        }
        true
    }

    /// Combines two columns at the steps of `mask`, where both hold something. Gives the result
    /// and the steps where the types were compatible.
    pub(crate) fn combine_columns(
        &self,
        left: &Column,
        right: &Column,
        mask: Bitmap,
        notes: &mut LastNotes,
    ) -> (Column, Bitmap) {
        let steps = left.steps();
        assert_eq!(steps, right.steps(), "both columns have the grid's steps");
        if left.histograms.is_empty() && right.histograms.is_empty() && !trims(self.op) {
            return (self.combine_floats(left, right, &mask), mask);
        }
        let mut result = Column::new(steps);
        let mut matched = Bitmap::new(steps);
        for step in mask.iter_ones() {
            let operands = Operand::of(left, step).zip(Operand::of(right, step));
            let Some((a, b)) = operands else { continue };
            let mut own = Annotations::default();
            let outcome = self.combine(a, b, &mut own);
            notes.put(step, steps, own);
            if self.put(outcome, step, &mut result) {
                matched.set(step);
            }
        }
        (result, matched)
    }

    fn combine_floats(&self, left: &Column, right: &Column, mask: &Bitmap) -> Column {
        let mut result =
            Column { values: left.values.clone(), present: mask.clone(), histograms: Vec::new() };
        if !self.op.is_comparison() {
            combine_values(self.op, &mut result.values, &right.values);
            return result;
        }
        for step in mask.iter_ones() {
            let kept = holds(self.op, left.values[step], right.values[step]);
            if self.return_bool {
                result.values[step] = f64::from(u8::from(kept));
            } else if !kept {
                result.present.clear(step);
            }
        }
        result
    }

    /// Combines every sample of `column` with the scalar of its step, in place.
    pub(crate) fn combine_scalar(
        &self,
        column: &mut Column,
        scalar: &[f64],
        scalar_left: bool,
        notes: &mut Annotations,
    ) {
        if column.histograms.is_empty() && !trims(self.op) {
            self.combine_float_scalar(column, scalar, scalar_left);
            return;
        }
        let source = std::mem::replace(column, Column::new(column.steps()));
        for (step, scalar) in scalar.iter().enumerate() {
            let Some(sample) = Operand::of(&source, step) else { continue };
            let scalar = Operand::Float(*scalar);
            let (left, right) = if scalar_left { (scalar, sample) } else { (sample, scalar) };
            let mut outcome = self.combine(left, right, notes);
            if self.op.is_comparison() && scalar_left {
                outcome = of_sample(outcome, sample);
            }
            self.put(outcome, step, column);
        }
    }

    fn combine_float_scalar(&self, column: &mut Column, scalar: &[f64], scalar_left: bool) {
        if !self.op.is_comparison() {
            if scalar_left {
                let mut values = scalar.to_vec();
                combine_values(self.op, &mut values, &column.values);
                column.values = values;
            } else {
                combine_values(self.op, &mut column.values, scalar);
            }
            return;
        }
        for (step, scalar) in scalar.iter().enumerate() {
            let value = column.values[step];
            let kept = if scalar_left {
                holds(self.op, *scalar, value)
            } else {
                holds(self.op, value, *scalar)
            };
            if self.return_bool {
                column.values[step] = f64::from(u8::from(kept));
            } else if !kept {
                column.present.clear(step);
            }
        }
    }
}

fn scaled(histogram: &NativeHistogram, scale: impl FnOnce(&mut Wide)) -> Outcome {
    let mut wide = Wide::from(histogram);
    scale(&mut wide);
    Outcome::Histogram(Arc::new(wide.finish(true)), true)
}

/// A comparison with the scalar on the left gives the sample's value all the same.
fn of_sample(outcome: Outcome, sample: Operand<'_>) -> Outcome {
    let (Outcome::Float(_, kept) | Outcome::Histogram(_, kept)) = outcome else {
        return outcome;
    };
    match sample {
        Operand::Float(value) => Outcome::Float(value, kept),
        Operand::Histogram(histogram) => Outcome::Histogram(Arc::clone(histogram), kept),
    }
}

/// `left[i] = left[i] op right[i]`, in loops that the compiler makes wide.
fn combine_values(op: BinaryOp, left: &mut [f64], right: &[f64]) {
    assert_eq!(left.len(), right.len(), "both operands have the grid's steps");
    let pairs = left.iter_mut().zip(right);
    match op {
        BinaryOp::Add => pairs.for_each(|(a, b)| *a += b),
        BinaryOp::Sub => pairs.for_each(|(a, b)| *a -= b),
        BinaryOp::Mul => pairs.for_each(|(a, b)| *a *= b),
        BinaryOp::Div => pairs.for_each(|(a, b)| *a /= b),
        _ => {
            let combine = arithmetic(op);
            pairs.for_each(|(a, b)| *a = combine(*a, *b));
        }
    }
}
