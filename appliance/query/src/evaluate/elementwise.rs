//! Functions that map each float of an instant vector to a float; histograms are passed over.

use crate::evaluate::column::Column;
use crate::plan::node::MapFunction;

/// Maps the floats of `column` in place; `scalars` are the other arguments, by step.
pub(crate) fn map_column(function: MapFunction, scalars: &[Vec<f64>], column: &mut Column) {
    column.drop_histograms();
    match function {
        MapFunction::Round => {
            let nearest = scalars.first().map(Vec::as_slice);
            by_step(column, |step, value| {
                // Upstream multiplies by the inverse: it loses less.
                let inverse = 1.0 / nearest.map_or(1.0, |nearest| nearest[step]);
                (value * inverse + 0.5).floor() / inverse
            });
        }
        MapFunction::Clamp => clamp(column, Some(&scalars[0]), Some(&scalars[1])),
        MapFunction::ClampMin => clamp(column, Some(&scalars[0]), None),
        MapFunction::ClampMax => clamp(column, None, Some(&scalars[0])),
        _ => {
            let map = plain(function);
            for value in &mut column.values {
                *value = map(*value);
            }
        }
    }
}

fn by_step(column: &mut Column, map: impl Fn(usize, f64) -> f64) {
    for (step, value) in column.values.iter_mut().enumerate() {
        *value = map(step, *value);
    }
}

fn clamp(column: &mut Column, min: Option<&Vec<f64>>, max: Option<&Vec<f64>>) {
    for step in 0..column.steps() {
        let least = min.map_or(f64::NEG_INFINITY, |min| min[step]);
        let most = max.map_or(f64::INFINITY, |max| max[step]);
        if most < least {
            column.present.clear(step);
        } else {
            column.values[step] = go_max(least, go_min(most, column.values[step]));
        }
    }
}

/// The larger of two floats as Go has it: nothing is larger than +Inf, not even NaN; else NaN when
/// either is.
pub(crate) fn go_max(left: f64, right: f64) -> f64 {
    if left == f64::INFINITY || right == f64::INFINITY {
        return f64::INFINITY;
    }
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}

/// The smaller of two floats as Go has it: nothing is smaller than -Inf, not even NaN; else NaN
/// when either is.
pub(crate) fn go_min(left: f64, right: f64) -> f64 {
    if left == f64::NEG_INFINITY || right == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.min(right) }
}

fn plain(function: MapFunction) -> fn(f64) -> f64 {
    match function {
        MapFunction::Abs => f64::abs,
        MapFunction::Ceil => f64::ceil,
        MapFunction::Floor => f64::floor,
        MapFunction::Exp => f64::exp,
        MapFunction::Sqrt => f64::sqrt,
        MapFunction::Ln => f64::ln,
        MapFunction::Log2 => f64::log2,
        MapFunction::Log10 => f64::log10,
        MapFunction::Sin => f64::sin,
        MapFunction::Cos => f64::cos,
        MapFunction::Tan => f64::tan,
        MapFunction::Asin => f64::asin,
        MapFunction::Acos => f64::acos,
        MapFunction::Atan => f64::atan,
        MapFunction::Sinh => f64::sinh,
        MapFunction::Cosh => f64::cosh,
        MapFunction::Tanh => f64::tanh,
        MapFunction::Asinh => f64::asinh,
        MapFunction::Acosh => f64::acosh,
        MapFunction::Atanh => f64::atanh,
        MapFunction::Rad => |value| value * std::f64::consts::PI / 180.0,
        MapFunction::Deg => |value| value * 180.0 / std::f64::consts::PI,
        MapFunction::Sgn => |value| {
            if value < 0.0 {
                -1.0
            } else if 0.0 < value {
                1.0
            } else {
                value
            }
        },
        MapFunction::Round | MapFunction::Clamp | MapFunction::ClampMin | MapFunction::ClampMax => {
            unreachable!("these take scalars")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(function: MapFunction, scalars: &[f64], value: f64, expected: Option<f64>) {
        let mut column = Column::constant(1, value);
        let scalars: Vec<_> = scalars.iter().map(|scalar| vec![*scalar]).collect();
        map_column(function, &scalars, &mut column);
        assert_eq!(column.float(0), expected);
    }

    #[test]
    fn infinities_pass_bounds_that_are_no_numbers() {
        check(MapFunction::ClampMin, &[f64::NAN], f64::INFINITY, Some(f64::INFINITY));
        check(MapFunction::ClampMax, &[f64::NAN], f64::NEG_INFINITY, Some(f64::NEG_INFINITY));
    }

    #[test]
    fn floats_map_as_named() {
        check(MapFunction::Round, &[], 2.5, Some(3.0));
        check(MapFunction::Round, &[], -2.5, Some(-2.0));
        check(MapFunction::Round, &[0.1], 2.34, Some(2.3));
        check(MapFunction::Clamp, &[0.0, 1.0], 7.0, Some(1.0));
        check(MapFunction::Clamp, &[1.0, 0.0], 7.0, None);
        check(MapFunction::Sgn, &[], -0.0, Some(-0.0));
        check(MapFunction::Log2, &[], 8.0, Some(3.0));
    }
}
