//! Set operators: `and`, `or`, `unless`, by the presence of signatures at each step.

use model::bitmap::Bitmap;

use crate::ast::{BinaryOp, VectorMatching};
use crate::evaluate::column::StepVector;
use crate::evaluate::join::{Signatures, add, both, is_zero, remove};

/// `left op right` of a set operator.
pub(crate) fn combine_sets(
    op: BinaryOp,
    matching: &VectorMatching,
    left: StepVector,
    right: StepVector,
    steps: usize,
) -> StepVector {
    let mut signatures = Signatures::new(matching);
    let left_of = signatures.of(&left);
    let right_of = signatures.of(&right);
    let count = signatures.count();
    if op == BinaryOp::Or {
        let present = presence(&left, &left_of, count, steps);
        let rest = filtered(right, &right_of, &present, false);
        return left.into_iter().chain(rest).collect();
    }
    let present = presence(&right, &right_of, count, steps);
    filtered(left, &left_of, &present, op == BinaryOp::And)
}

/// Steps at which any series of each signature holds something.
fn presence(series: &StepVector, of: &[usize], count: usize, steps: usize) -> Vec<Bitmap> {
    let mut present = vec![Bitmap::new(steps); count];
    for (one, signature) in series.iter().zip(of) {
        add(&mut present[*signature], &one.column.occupied());
    }
    present
}

/// The series at the steps where their signature is present, or where it is not.
fn filtered(series: StepVector, of: &[usize], present: &[Bitmap], wanted: bool) -> StepVector {
    let mut kept = Vec::with_capacity(series.len());
    for (mut one, signature) in series.into_iter().zip(of) {
        let mut bits = one.column.occupied();
        if wanted {
            bits = both(&bits, &present[*signature]);
        } else {
            remove(&mut bits, &present[*signature]);
        }
        if !is_zero(&bits) {
            one.column.retain(&bits);
            kept.push(one);
        }
    }
    kept
}
