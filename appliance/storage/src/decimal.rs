//! Decimal form: a float as an integer and a power of ten, exact to the bit.
//!
//! Path: `chunk`, `log` → **decimal**.
//! Two forms, as exporters compute them: `i / 10^e` (what a printed decimal reads as) and
//! `i × 10^-e` (what `ms * 0.001` gives). The code of a form is on disk: never renumber.
//!
//! Invariants
//! - D1: `exact` gives an integer only if `value` turns it back into the very bits.

/// Largest exponent of either form. More digits than a float has bring nothing.
const EXPONENT_MAX: u8 = 15;
/// Codes from here on are the multiplied form.
const MULTIPLIED: u8 = 32;
/// Largest magnitude of an integer: floats count one by one up to here.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;
/// Largest magnitude that is rounded by adding a half, exactly.
const ROUNDED_MAX: f64 = 2_251_799_813_685_248.0;

/// Integers of smaller magnitude become floats by [`small_to_float`].
const SMALL: i64 = 1 << 51;
/// A float whose last place is 1, with room for [`SMALL`] on either side.
const BASE: f64 = 6_755_399_441_055_744.0;

const POWERS: [f64; 16] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
const FRACTIONS: [f64; 16] = [
    1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14,
    1e-15,
];

/// Form and exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(u8);

impl Code {
    /// Integers as they are.
    pub(crate) const INTEGER: Code = Code(0);
    /// One past the largest code.
    pub(crate) const END: u8 = MULTIPLIED + EXPONENT_MAX + 1;

    /// The code of `byte`, if it is one.
    pub(crate) fn from_byte(byte: u8) -> Option<Code> {
        let known = byte & !MULTIPLIED <= EXPONENT_MAX && byte != MULTIPLIED;
        known.then_some(Code(byte))
    }

    pub(crate) fn byte(self) -> u8 {
        self.0
    }

    fn exponent(self) -> usize {
        usize::from(self.0 & !MULTIPLIED)
    }
}

/// The integer whose value in this form is nearest `value`; 0 when there is none. Both sides of an
/// encoding use it as the base of deltas, so it depends on nothing but its arguments.
#[inline]
pub(crate) fn nearest(value: f64, code: Code) -> i64 {
    let scaled = value * POWERS[code.exponent()];
    if code == Code::INTEGER {
        return if scaled.abs() <= INTEGER_MAX { truncate(scaled) } else { 0 };
    }
    if scaled.abs() <= ROUNDED_MAX { truncate(scaled + 0.5_f64.copysign(scaled)) } else { 0 }
}

/// The float of `integer` in this form.
#[inline]
pub(crate) fn value(integer: i64, code: Code) -> f64 {
    if code.0 < MULTIPLIED {
        to_float(integer) / POWERS[code.exponent()]
    } else {
        to_float(integer) * FRACTIONS[code.exponent()]
    }
}

/// Appends the floats of `integers` in this form, as [`value`] gives them one by one.
pub(crate) fn extend_values(integers: &[i64], code: Code, out: &mut Vec<f64>) {
    let (power, fraction) = (POWERS[code.exponent()], FRACTIONS[code.exponent()]);
    let small = integers.iter().fold(0, |bits, integer| bits | integer.wrapping_add(SMALL));
    if (0..2 * SMALL).contains(&small) {
        match code {
            Code::INTEGER => out.extend(integers.iter().map(|i| small_to_float(*i))),
            Code(0..MULTIPLIED) => out.extend(integers.iter().map(|i| small_to_float(*i) / power)),
            Code(_) => out.extend(integers.iter().map(|i| small_to_float(*i) * fraction)),
        }
    } else {
        out.extend(integers.iter().map(|i| value(*i, code)));
    }
}

/// The integer that is exactly `wanted` in this form.
#[inline]
pub(crate) fn exact(wanted: f64, code: Code) -> Option<i64> {
    let integer = nearest(wanted, code);
    (value(integer, code).to_bits() == wanted.to_bits()).then_some(integer)
}

/// The form with the fewest digits that gives `wanted` exactly, at least `from` if that is of the
/// divided form.
pub(crate) fn learn(wanted: f64, from: Code) -> Option<(Code, i64)> {
    let least = if from.0 < MULTIPLIED { from.0 } else { 0 };
    let divided = (least..=EXPONENT_MAX).map(Code);
    let multiplied = (MULTIPLIED + 1..Code::END).map(Code);
    let learned = divided
        .chain(multiplied)
        .find_map(|code| exact(wanted, code).map(|integer| (code, integer)));
    if let Some((code, integer)) = learned {
        let back = value(integer, code).to_bits();
        assert_eq!(back, wanted.to_bits(), "D1: a form does not give the value back");
    }
    learned
}

#[expect(clippy::cast_possible_truncation, reason = "the caller holds |value| <= 2^53")]
fn truncate(value: f64) -> i64 {
    value as i64
}

/// As [`to_float`], for integers from -[`SMALL`] to below [`SMALL`]: added to the bits of a float
/// whose last place is 1, an integer is added to the float. Vector units of x86-64 before AVX-512
/// know no conversion of 64-bit integers, but they know this.
fn small_to_float(integer: i64) -> f64 {
    f64::from_bits(BASE.to_bits().wrapping_add_signed(integer)) - BASE
}

#[expect(clippy::cast_precision_loss, reason = "what is lost makes `exact` refuse")]
fn to_float(integer: i64) -> f64 {
    integer as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: f64, expected: Option<(u8, i64)>) {
        let found = learn(value, Code::INTEGER).map(|(code, integer)| (code.byte(), integer));
        assert_eq!(found, expected, "{value:?}");
    }

    #[test]
    fn d1_values_are_exact_or_refused() {
        check(0.0, Some((0, 0)));
        check(-0.0, None);
        check(12345.67, Some((2, 1_234_567)));
        check(-0.001, Some((3, -1)));
        check(9_007_199_254_740_992.0, Some((0, 9_007_199_254_740_992)));
        check(1e300, None);
        check(f64::NAN, None);
        check(f64::INFINITY, None);
        check(3.0 * 1e-3, Some((3, 3)));
        check(1003.0 * 0.001, Some((35, 1003)));
        check(0.1 + 0.2, Some((33, 3)));
    }

    #[test]
    fn every_code_reads_back() {
        let codes = (0..=u8::MAX).filter_map(Code::from_byte).count();
        assert_eq!(codes, 31);
    }

    #[track_caller]
    fn check_twins(integers: &[i64]) {
        for code in (0..=u8::MAX).filter_map(Code::from_byte) {
            let mut found = Vec::new();
            extend_values(integers, code, &mut found);
            let found: Vec<u64> = found.iter().map(|value| value.to_bits()).collect();
            let plain: Vec<u64> = integers.iter().map(|i| value(*i, code).to_bits()).collect();
            assert_eq!(found, plain, "{code:?} {integers:?}");
        }
    }

    #[test]
    fn many_values_are_as_one_by_one_at_the_edges() {
        let edges = [0, 1, -1, SMALL - 1, SMALL, -SMALL, -SMALL - 1, i64::MAX, i64::MIN];
        check_twins(&edges);
        edges.iter().for_each(|edge| check_twins(&[*edge, 0, 7]));
    }

    proptest! {
        #[test]
        fn many_values_are_as_one_by_one(
            integers in prop::collection::vec(any::<i64>(), 0..40),
            shift in 0u32..64,
        ) {
            check_twins(&integers.iter().map(|integer| integer >> shift).collect::<Vec<_>>());
        }

        #[test]
        fn d1_learned_forms_give_the_bits_back(
            bits: u64,
            digits in -(1i64 << 50)..1i64 << 50,
            e in 0u8..16,
        ) {
            let multiplied = digits as f64 * FRACTIONS[usize::from(e)];
            for wanted in [f64::from_bits(bits), value(digits, Code(e)), multiplied] {
                if let Some((code, integer)) = learn(wanted, Code::INTEGER) {
                    prop_assert_eq!(value(integer, code).to_bits(), wanted.to_bits());
                }
            }
        }
    }
}
