//! Exact sums over moving windows: floats as whole numbers of one unit, so that a sum is carried
//! from step to step without a rounding, and rounded once.
//!
//! A window's sum is a function of its samples alone: which samples were in the windows before, and
//! where in a query's range it stands, leaves no trace in its bits. Against Prometheus's
//! compensated sums, which are mostly this very number, it differs by the last bit at most.
//!
//! Never: sums of windows whose floats lie too far apart for one unit, or that are not finite:
//! the caller adds those up one by one.
//!
//! Invariants
//! - X1: what fits a unit as a whole fits it in every part.

/// Bits that a whole number of a sum may have: with 2^24 samples to a window sums stay in 62.
const WHOLE_BITS: i32 = 38;
/// Samples of a series of which windows are summed exactly.
const SAMPLES_MAX: usize = 1 << 24;
/// Binary places between the largest and the least float of one unit.
const PLACES_MAX: u64 = 44;
/// Bounds of what is summed exactly, so that no unit and no sum leaves the normal floats.
const LEAST: f64 = 1e-270;
const MOST: f64 = 1e270;

const MANTISSA_BITS: u32 = 52;
const EXPONENT_MASK: u64 = 0x7ff;

/// How floats are written as whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// They are whole numbers of at most 2^38.
    One,
    /// As multiples of a power of two: its biased exponent.
    Power(u64),
}

/// A sum, rounded, and what rounding took from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rounded {
    /// The float that is nearest to the sum.
    pub(crate) sum: f64,
    /// The rest, rounded.
    pub(crate) rest: f64,
}

/// The unit of `values`, if there is one.
pub(crate) fn unit_of(values: &[f64]) -> Option<Unit> {
    if SAMPLES_MAX < values.len() {
        return None;
    }
    if values.chunks(64).all(are_whole) {
        return Some(Unit::One);
    }
    let (least, most) = values.iter().fold((MOST, LEAST), |(least, most), value| {
        let size = value.abs();
        // A zero is a multiple of everything.
        let low = if size == 0.0 { MOST } else { size };
        (if least < low { least } else { low }, if size < most { most } else { size })
    });
    let finite = values.iter().fold(0.0, |sum, value| sum + value * 0.0) == 0.0;
    if !finite || least < LEAST || MOST < most {
        return None;
    }
    let unit = exponent_of(least);
    (exponent_of(most) - unit.min(exponent_of(most)) <= PLACES_MAX).then_some(Unit::Power(unit))
}

/// Whether all are whole numbers of at most [`WHOLE_BITS`] bits.
fn are_whole(values: &[f64]) -> bool {
    let limit = 2.0f64.powi(WHOLE_BITS);
    let is_whole = |value: &f64| (value.abs() <= limit) & (as_whole(*value) == *value);
    values.iter().fold(true, |all, value| all & is_whole(value))
}

/// Rounded to a whole number by adding and taking away so much that nothing else has room.
#[inline]
fn as_whole(value: f64) -> f64 {
    const ROOM: f64 = 6_755_399_441_055_744.0; // 1.5 × 2^52
    (value + ROOM) - ROOM
}

fn exponent_of(value: f64) -> u64 {
    value.to_bits() >> MANTISSA_BITS & EXPONENT_MASK
}

/// A sum that floats of one unit enter and leave.
pub(crate) trait Running {
    /// Adds a float.
    fn enter(&mut self, value: f64);
    /// Takes a float back.
    fn leave(&mut self, value: f64);
    /// Makes it the sum of nothing.
    fn clear(&mut self);
    /// The sum.
    fn rounded(&self) -> Rounded;
}

/// A sum of whole numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whole(i64);

impl Whole {
    fn of(value: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and at most 2^38")]
        let whole = value as i64;
        whole
    }
}

impl Running for Whole {
    #[inline]
    fn enter(&mut self, value: f64) {
        self.0 += Whole::of(value);
    }

    #[inline]
    fn leave(&mut self, value: f64) {
        self.0 -= Whole::of(value);
    }

    fn clear(&mut self) {
        self.0 = 0;
    }

    #[inline]
    fn rounded(&self) -> Rounded {
        #[expect(clippy::cast_precision_loss, reason = "what rounding takes is kept beside")]
        let sum = self.0 as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a sum has at most 62 bits")]
        let rest = self.0 - sum as i64;
        #[expect(clippy::cast_precision_loss, reason = "the rest of a rounding is small")]
        let rest = rest as f64;
        Rounded { sum, rest }
    }
}

/// A sum of multiples of a power of two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Multiples {
    sum: i128,
    /// Biased exponent of the least float.
    exponent: u64,
    /// What one is worth.
    unit: f64,
}

impl Multiples {
    /// The sum of nothing, for floats of this unit.
    pub(crate) fn new(exponent: u64) -> Multiples {
        // The last bit of the least float is one.
        let unit = f64::from_bits(exponent << MANTISSA_BITS) * f64::EPSILON;
        Multiples { sum: 0, exponent, unit }
    }

    #[inline]
    fn of(&self, value: f64) -> i128 {
        let bits = value.to_bits();
        let exponent = bits >> MANTISSA_BITS & EXPONENT_MASK;
        if exponent == 0 {
            return 0;
        }
        let mantissa = bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS;
        debug_assert!(exponent - self.exponent <= PLACES_MAX, "X1: {value} is out of the unit");
        let size = i128::from(mantissa) << (exponent - self.exponent);
        if value.is_sign_negative() { -size } else { size }
    }
}

impl Running for Multiples {
    #[inline]
    fn enter(&mut self, value: f64) {
        self.sum += self.of(value);
    }

    #[inline]
    fn leave(&mut self, value: f64) {
        self.sum -= self.of(value);
    }

    fn clear(&mut self) {
        self.sum = 0;
    }

    #[inline]
    fn rounded(&self) -> Rounded {
        // Most sums have the bits of a word, and words are rounded by the processor.
        if let Ok(short) = i64::try_from(self.sum)
            && short.unsigned_abs() < 1 << 62
        {
            let Rounded { sum, rest } = Whole(short).rounded();
            return Rounded { sum: sum * self.unit, rest: rest * self.unit };
        }
        #[expect(clippy::cast_precision_loss, reason = "what rounding takes is kept beside")]
        let sum = self.sum as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a sum has at most 121 bits")]
        let rest = self.sum - sum as i128;
        #[expect(clippy::cast_precision_loss, reason = "the rest of a rounding is small")]
        let rest = rest as f64;
        Rounded { sum: sum * self.unit, rest: rest * self.unit }
    }
}

/// The exact sum of one window, if its floats have a unit.
pub(crate) fn sum_of(values: &[f64]) -> Option<Rounded> {
    match unit_of(values)? {
        Unit::One => Some(added(Whole::default(), values)),
        Unit::Power(exponent) => Some(added(Multiples::new(exponent), values)),
    }
}

fn added(mut sum: impl Running, values: &[f64]) -> Rounded {
    values.iter().for_each(|value| sum.enter(*value));
    sum.rounded()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kahan::Sum;

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            4 => (-1e6..1e6f64).boxed(),
            2 => (-1_000_000..1_000_000i32).prop_map(f64::from).boxed(),
            1 => Just(0.0).boxed(),
            1 => Just(-0.0).boxed(),
            1 => (0..1000u32).prop_map(|cents| f64::from(cents) / 100.0).boxed(),
        ];
        prop::collection::vec(value, 1..100)
    }

    proptest! {
        #[test]
        fn x1_sums_do_not_depend_on_what_was_there(values in values(), from in 0..100usize) {
            let from = from % values.len();
            let Some(unit) = unit_of(&values) else { return Ok(()) };
            let run = |mut sum: Box<dyn Running>| {
                values.iter().for_each(|value| sum.enter(*value));
                values[..from].iter().for_each(|value| sum.leave(*value));
                sum.rounded()
            };
            let slid = match unit {
                Unit::One => run(Box::<Whole>::default()),
                Unit::Power(exponent) => run(Box::new(Multiples::new(exponent))),
            };
            let part = sum_of(&values[from..]);
            prop_assert!(part.is_some(), "X1: a part has no unit");
            prop_assert_eq!(part.map(|part| part.sum.to_bits()), Some(slid.sum.to_bits()));
        }

        #[test]
        fn sums_are_compensated_sums_but_for_the_last_bit(values in values()) {
            let Some(exact) = sum_of(&values) else { return Ok(()) };
            let plain = values.iter().fold(Sum::default(), |sum, value| sum.add(*value)).total();
            let apart = exact.sum.to_bits().abs_diff(plain.to_bits());
            prop_assert!(apart <= 1, "{} and {}", exact.sum, plain);
        }
    }

    #[test]
    fn units_are_told() {
        assert_eq!(unit_of(&[1.0, -3.0, 0.0]), Some(Unit::One));
        assert_eq!(unit_of(&[0.5, 1e6]), Some(Unit::Power(1022)));
        assert_eq!(unit_of(&[0.5, 1e16]), None);
        assert_eq!(unit_of(&[0.5, f64::NAN]), None);
        assert_eq!(unit_of(&[0.5, f64::INFINITY]), None);
        assert_eq!(unit_of(&[0.5, 1e-300]), None);
        assert_eq!(unit_of(&[f64::MAX, f64::MAX]), None);
        assert_eq!(sum_of(&[1e12, 0.25, -1e12]).map(|sum| sum.sum), Some(0.25));
    }

    #[test]
    fn what_rounding_takes_is_kept() {
        let values: Vec<f64> = (0..1 << 20).map(|at| 2.0f64.powi(38) - f64::from(at % 2)).collect();
        let sum = sum_of(&values).expect("whole numbers");
        assert_eq!(sum.rest, 0.0 - (sum.sum - (2.0f64.powi(58) - f64::from(1 << 19))));
    }
}
