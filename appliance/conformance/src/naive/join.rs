//! Binary operators between numbers, vectors and both.

use std::collections::BTreeMap;

use model::label_set::{Builder, LabelSet, METRIC_NAME};
use query::ast::{BinaryExpr, BinaryOp, Cardinality, VectorMatching};

use crate::naive::value::{Fault, Sample, Vector, nameless, unique};

/// `left op right` of numbers; a comparison gives 0 or 1.
pub(crate) fn numbers(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => f64::from(u8::from(holds(op, left, right))),
    }
}

fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Less => left < right,
        BinaryOp::LessEqual => left <= right,
        BinaryOp::Greater => left > right,
        BinaryOp::GreaterEqual => left >= right,
        _ => false,
    }
}

/// What two samples give: the value, and whether a filter keeps it; `None` of what does not mix.
fn samples(op: BinaryOp, left: &Sample, right: &Sample) -> Result<Option<(Sample, bool)>, Fault> {
    use Sample::{Float, Histogram};
    Ok(match (left, right) {
        (Float(left), Float(right)) if op.is_comparison() => {
            Some((Float(*left), holds(op, *left, *right)))
        }
        (Float(_), _) | (_, Float(_))
            if matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) =>
        {
            if matches!((left, right), (Histogram(_), Float(_))) {
                return Err(Fault::Unknown);
            }
            None
        }
        (Float(left), Float(right)) => Some((Float(numbers(op, *left, *right)), true)),
        (Histogram(one), Float(by)) if op == BinaryOp::Mul => {
            Some((Histogram(one.map(|n| n * by)), true))
        }
        (Float(by), Histogram(one)) if op == BinaryOp::Mul => {
            Some((Histogram(one.map(|n| n * by)), true))
        }
        (Histogram(one), Float(by)) if op == BinaryOp::Div => {
            Some((Histogram(one.divided(*by)), true))
        }
        (Histogram(left), Histogram(right)) => match op {
            BinaryOp::Add => left.plus(right, 1.0).map(|sum| (Histogram(sum), true)),
            BinaryOp::Sub => left.plus(right, -1.0).map(|sum| (Histogram(sum), true)),
            // Equal histograms have equal spans, which are not kept here.
            BinaryOp::Equal | BinaryOp::NotEqual => return Err(Fault::Unknown),
            _ => None,
        },
        _ => None,
    })
}

fn result_of(
    binary: &BinaryExpr,
    left: &Sample,
    right: &Sample,
) -> Result<Option<(Sample, bool)>, Fault> {
    let found = samples(binary.op, left, right)?;
    if !binary.return_bool {
        return Ok(found);
    }
    Ok(found.map(|(_, holds)| (Sample::Float(f64::from(u8::from(holds))), true)))
}

fn drops_name(binary: &BinaryExpr) -> bool {
    binary.return_bool || !(binary.op.is_comparison() || binary.op.is_set())
}

/// A vector and a number, the number `on_left` or right.
pub(crate) fn with_scalar(
    binary: &BinaryExpr,
    vector: Vector,
    scalar: f64,
    on_left: bool,
) -> Result<Vector, Fault> {
    let mut result = Vector::new();
    let scalar = Sample::Float(scalar);
    for (labels, sample) in vector {
        let sides = if on_left { (&scalar, &sample) } else { (&sample, &scalar) };
        let Some((value, kept)) = result_of(binary, sides.0, sides.1)? else { continue };
        if !kept {
            continue;
        }
        // A filter passes the vector's own value.
        let filters = binary.op.is_comparison() && !binary.return_bool;
        let value = if filters { sample } else { value };
        let labels = if drops_name(binary) { nameless(&labels) } else { labels };
        result.push((labels, value));
    }
    unique(result)
}

/// The labels by which two samples meet.
fn signature(matching: &VectorMatching, labels: &LabelSet) -> LabelSet {
    let mut builder = Builder::from(labels);
    builder.retain(|name| {
        let named = matching.labels.iter().any(|label| label == name);
        if matching.on { named } else { !named && name != METRIC_NAME }
    });
    builder.build()
}

/// Two vectors.
pub(crate) fn vectors(binary: &BinaryExpr, left: Vector, right: Vector) -> Result<Vector, Fault> {
    let matching = binary.matching.clone().unwrap_or_default();
    if binary.op.is_set() {
        return Ok(sets(binary.op, &matching, left, right));
    }
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if !fills && (left.is_empty() || right.is_empty()) {
        return Ok(Vector::new());
    }
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    // Fills are named by the sides of the text.
    let (fill_many, fill_one) = if swapped {
        (matching.fill_right, matching.fill_left)
    } else {
        (matching.fill_left, matching.fill_right)
    };
    if swapped && fills {
        // Upstream fills by sides of the join, which it swaps or not: not said here.
        return Err(Fault::Unknown);
    }
    let mut ones: BTreeMap<LabelSet, &(LabelSet, Sample)> = BTreeMap::new();
    for sample in &one {
        if ones.insert(signature(&matching, &sample.0), sample).is_some() {
            return Err(Fault::Execution);
        }
    }
    let mut met =
        Met { binary, matching: &matching, swapped, taken: Vec::new(), result: Vec::new() };
    for (labels, sample) in &many {
        let signature = signature(&matching, labels);
        let filled;
        let partner = match (ones.get(&signature), fill_one) {
            (Some(partner), _) => *partner,
            (None, Some(fill)) => {
                filled = (signature.clone(), Sample::Float(fill));
                &filled
            }
            (None, None) => continue,
        };
        met.meet(&signature, (labels, sample), (&partner.0, &partner.1))?;
    }
    if let Some(fill) = fill_many {
        for (labels, sample) in &one {
            let signature = signature(&matching, labels);
            if !met.taken.iter().any(|(known, _)| *known == signature) {
                let filled = Sample::Float(fill);
                met.meet(&signature, (&signature, &filled), (labels, sample))?;
            }
        }
    }
    unique(met.result)
}

/// A join under way.
struct Met<'a> {
    binary: &'a BinaryExpr,
    matching: &'a VectorMatching,
    swapped: bool,
    /// Signatures and, where many meet one, labels of what met.
    taken: Vec<(LabelSet, Option<LabelSet>)>,
    result: Vector,
}

impl Met<'_> {
    fn meet(
        &mut self,
        signature: &LabelSet,
        many: (&LabelSet, &Sample),
        one: (&LabelSet, &Sample),
    ) -> Result<(), Fault> {
        let (left, right) = if self.swapped { (one.1, many.1) } else { (many.1, one.1) };
        let Some((value, kept)) = result_of(self.binary, left, right)? else { return Ok(()) };
        let labels = self.labels(many.0, one.0);
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        let key = (signature.clone(), (!one_to_one).then(|| labels.clone()));
        if self.taken.contains(&key) {
            return Err(Fault::Execution);
        }
        self.taken.push(key);
        if kept {
            self.result.push((labels, value));
        }
        Ok(())
    }

    fn labels(&self, many: &LabelSet, one: &LabelSet) -> LabelSet {
        let mut builder = Builder::from(many);
        if drops_name(self.binary) {
            builder.remove(METRIC_NAME);
        }
        let named = |name: &str| self.matching.labels.iter().any(|label| label == name);
        if self.matching.cardinality == Cardinality::OneToOne {
            builder.retain(|name| named(name) == self.matching.on);
        }
        for name in &self.matching.include {
            builder.set(name, one.value(name));
        }
        builder.build()
    }
}

fn sets(op: BinaryOp, matching: &VectorMatching, left: Vector, right: Vector) -> Vector {
    let signatures = |vector: &Vector| -> Vec<LabelSet> {
        vector.iter().map(|(labels, _)| signature(matching, labels)).collect()
    };
    let (of_left, of_right) = (signatures(&left), signatures(&right));
    let in_right = |labels: &LabelSet| of_right.contains(&signature(matching, labels));
    match op {
        BinaryOp::And => left.into_iter().filter(|(labels, _)| in_right(labels)).collect(),
        BinaryOp::Unless => left.into_iter().filter(|(labels, _)| !in_right(labels)).collect(),
        _ => {
            let more = right.into_iter().zip(of_right.iter());
            let more = more.filter(|(_, signature)| !of_left.contains(signature));
            left.iter().cloned().chain(more.map(|(sample, _)| sample)).collect()
        }
    }
}
