//! Quantiles of plain values.

use std::cmp::Ordering;

use crate::annotation::{Annotations, general};
use crate::ast::Span;

/// The quantile `q` of `values`, interpolated between neighbours; the values are reordered.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if 1.0 < q {
        return f64::INFINITY;
    }
    let (lower, weight) = rank_of(q, values.len());
    let (_, low, above) = values.select_nth_unstable_by(lower, nan_first);
    let low = *low;
    let high = above.iter().copied().min_by(nan_first).unwrap_or(low);
    between(low, high, weight)
}

/// Where the quantile `q`, between 0 and 1, lies among `count` values in order: the index below
/// it, and how far it is from there to the next.
pub(crate) fn rank_of(q: f64, count: usize) -> (usize, f64) {
    let last = count - 1;
    #[expect(clippy::cast_precision_loss, reason = "counts of samples are far below 2^53")]
    let rank = q * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the rank lies between 0 and the last index"
    )]
    let lower = (rank.floor() as usize).min(last);
    (lower, rank - rank.floor())
}

/// The value so far from `low` to `high`.
pub(crate) fn between(low: f64, high: f64, weight: f64) -> f64 {
    low * (1.0 - weight) + high * weight
}

/// Order of floats in which NaN is least, and -0 below 0, so that equals are one and the same.
pub(crate) fn nan_first(left: &f64, right: &f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => left.total_cmp(right),
    }
}

/// Warns that `q` is no quantile.
pub(crate) fn warn_quantile(q: f64, span: Span, notes: &mut Annotations) {
    let text = format!("quantile value should be between 0 and 1, got {}", general(q, None));
    notes.warn(span, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(0.75, &mut [0.0, 1.0]), 0.75);
        assert_eq!(quantile(1.0, &mut [0.0, 7.0]), 7.0);
        assert_eq!(quantile(1.0, &mut [f64::NAN, 7.0]), 7.0);
        assert!(quantile(0.0, &mut [f64::NAN, 7.0]).is_nan());
        assert_eq!(quantile(-1.0, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(2.0, &mut [1.0]), f64::INFINITY);
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
    }
}
