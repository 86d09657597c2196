//! Texts as float numbers, read as Go's strconv reads them.
//!
//! Path: PromQL, exposition, bucket bounds → **float_text**. `number` writes what this reads.
//!
//! Source: Go 1.27 `strconv` (`ParseFloat`, `ParseInt` with base 0, `underscoreOK`).

/// The float that Go's `strconv.ParseFloat(text, 64)` gives: decimal or hexadecimal, single
/// underscores between digits, `Inf`, `Infinity` and `NaN` in any case. `None` where Go gives an
/// error, so also for a number above the largest float.
#[must_use]
pub fn parse_go_float(text: &str) -> Option<f64> {
    if let Some(special) = special(text) {
        return Some(special);
    }
    let (negative, digits) = sign(text);
    let plain;
    let digits = if digits.contains('_') {
        plain = without_underscores(digits)?;
        plain.as_str()
    } else {
        digits
    };
    let size = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => parse_hexadecimal(hexadecimal)?,
        None => parse_decimal(digits)?,
    };
    let finite = size.is_finite().then_some(size)?;
    Some(if negative { -finite } else { finite })
}

/// The float of a sample value in exposition text: as [`parse_go_float`], but underscores and
/// hexadecimal notation are refused, as Prometheus does.
#[must_use]
pub fn parse_exposition_float(text: &str) -> Option<f64> {
    let refused = text.bytes().any(|byte| matches!(byte, b'_' | b'p' | b'P'));
    if refused { None } else { parse_go_float(text) }
}

/// The value of a PromQL number: an integer of any Go notation (`0x1F`, `0b1`, `0o7`, `017`), else
/// as [`parse_go_float`].
#[must_use]
pub fn parse_promql_number(text: &str) -> Option<f64> {
    parse_integer(text).or_else(|| parse_go_float(text))
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn special(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let (negative, name) = sign(text);
    let infinite = name.eq_ignore_ascii_case("inf") || name.eq_ignore_ascii_case("infinity");
    infinite.then_some(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
}

/// `digits` without its underscores, when each stands between two digits or after a base prefix.
fn without_underscores(digits: &str) -> Option<String> {
    let bytes = digits.as_bytes();
    let prefixed = matches!(bytes, [b'0', b'b' | b'B' | b'o' | b'O' | b'x' | b'X', ..]);
    let hexadecimal = prefixed && matches!(bytes[1], b'x' | b'X');
    let is_digit = |byte: u8| byte.is_ascii_digit() || hexadecimal && byte.is_ascii_hexdigit();
    let first = if prefixed { 2 } else { 0 };
    for (at, byte) in bytes.iter().enumerate().skip(first) {
        let before = at > 0 && (is_digit(bytes[at - 1]) || prefixed && at == first);
        let after = bytes.get(at + 1).is_some_and(|byte| is_digit(*byte));
        if *byte == b'_' && !(before && after) {
            return None;
        }
    }
    Some(digits.chars().filter(|c| *c != '_').collect())
}

/// A decimal number without sign; Rust's own reader takes the same notation but for the words.
fn parse_decimal(digits: &str) -> Option<f64> {
    let starts = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    digits.bytes().next().filter(|byte| starts(*byte))?;
    digits.parse().ok()
}

/// What follows `0x`: hexadecimal mantissa, then `p` and a decimal exponent, which Go demands.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa_text, exponent_text) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa_text.split_once('.').unwrap_or((mantissa_text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut exponent: i64 = 0;
    let mut sticky = false;
    for (at, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        exponent -= if at < whole.len() { 0 } else { 4 };
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            sticky |= digit != 0;
            exponent += 4;
        }
    }
    let (negative, digits) = sign(exponent_text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Beyond a million the result is 0 or too large whatever the mantissa.
    let power: i64 = digits.parse().unwrap_or(EXPONENT_MAX).min(EXPONENT_MAX);
    exponent += if negative { -power } else { power };
    Some(round_to_float(mantissa, exponent, sticky))
}

const EXPONENT_MAX: i64 = 1 << 40;
/// Bits of a float's mantissa with the hidden one.
const MANTISSA_BITS: i64 = 53;
/// Exponent of the smallest float, 2^-1074.
const EXPONENT_MIN: i64 = -1074;

/// `mantissa` (and something below its last bit, if `sticky`) times two to the power of
/// `exponent`, rounded to the nearest float, ties to even; infinite when too large.
fn round_to_float(mantissa: u64, exponent: i64, sticky: bool) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let bits = i64::from(u64::BITS - mantissa.leading_zeros());
    // Bits cut off so that 53 are left, or more where the float is subnormal.
    let cut = (bits - MANTISSA_BITS).max(EXPONENT_MIN - exponent);
    let kept = if cut <= 0 {
        mantissa
    } else if cut > 64 {
        0
    } else {
        let cut_wide = u128::from(mantissa);
        let half = 1u128 << (cut - 1);
        let below = cut_wide & ((half << 1) - 1);
        let kept = u64::try_from(cut_wide >> cut).expect("a shifted u64");
        let up = half < below || half == below && (sticky || kept & 1 == 1);
        kept + u64::from(up)
    };
    let exponent = exponent + cut.max(0);
    if 1100 < exponent {
        return f64::INFINITY;
    }
    scale(kept, exponent)
}

/// `mantissa` of at most 53 bits times two to the power of `exponent`, both representable.
fn scale(mantissa: u64, exponent: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 2^53: exact")]
    let mut value = mantissa as f64;
    let mut left = exponent;
    while left != 0 && value.is_finite() && value != 0.0 {
        // In steps of powers that are floats themselves; no step before the last leaves the range
        // of normal floats, as the mantissa is whole.
        let step = left.clamp(-1000, 1000);
        value *= 2f64.powi(i32::try_from(step).expect("within 1000"));
        left -= step;
    }
    value
}

/// An integer as `strconv.ParseInt(text, 0, 64)` reads it, as a float.
#[expect(clippy::cast_precision_loss, reason = "PromQL converts integers to floats")]
fn parse_integer(text: &str) -> Option<f64> {
    let (negative, digits) = sign(text);
    let plain = without_underscores(digits)?;
    let lower = plain.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    let largest = i64::MAX.unsigned_abs() + u64::from(negative);
    let value = (size <= largest).then_some(size as f64)?;
    // Subtracted, not negated: the integer -0 is 0.
    Some(if negative { 0.0 - value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, go: Option<f64>, exposition: Option<f64>, promql: Option<f64>) {
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        assert_eq!(bits(parse_go_float(text)), bits(go), "{text}");
        assert_eq!(bits(parse_exposition_float(text)), bits(exposition), "{text}");
        assert_eq!(bits(parse_promql_number(text)), bits(promql), "{text}");
    }

    #[track_caller]
    fn check_all(text: &str, value: Option<f64>) {
        check(text, value, value, value);
    }

    #[test]
    fn numbers_are_read_as_go_does() {
        check_all("1", Some(1.0));
        check_all("-1.5e3", Some(-1500.0));
        check_all("+.5", Some(0.5));
        check_all("5.", Some(5.0));
        check_all("1e-400", Some(0.0));
        check_all("inf", Some(f64::INFINITY));
        check_all("-iNfInItY", Some(f64::NEG_INFINITY));
        check_all("NaN", Some(f64::NAN));
        for refused in ["", "-", ".", "e5", "1e", "+nan", "-nan", "infinit", "1e400", "1__0", "_1"]
        {
            check_all(refused, None);
        }
        for refused in ["1_", "--1", "+-1", "1 ", "0x", "0x.p1", "0x1p", "nan0", "0x-1", "0b2"] {
            check_all(refused, None);
        }
        check("1_000.5", Some(1000.5), None, Some(1000.5));
        check("0x1F", None, None, Some(31.0));
        check("0x_1F", None, None, Some(31.0));
        check("0b101", None, None, Some(5.0));
        check("0o17", None, None, Some(15.0));
        check("017", Some(17.0), Some(17.0), Some(15.0));
        check("08", Some(8.0), Some(8.0), Some(8.0));
        check("-0", Some(-0.0), Some(-0.0), Some(0.0));
        check("9223372036854775808", Some(2f64.powi(63)), Some(2f64.powi(63)), Some(2f64.powi(63)));
    }

    #[test]
    fn hexadecimal_floats_are_rounded_to_even() {
        for (text, expected) in [
            ("0x1p-2", Some(0.25)),
            ("-0X.8P0", Some(-0.5)),
            ("0x1_0p1", Some(32.0)),
            ("0x1.fffffffffffff8p0", Some(2.0)),
            ("0x1.00000000000008p0", Some(1.0)),
            ("0x1.000000000000080000000001p0", Some(1.0 + f64::EPSILON)),
            ("0x1.00000000000018p0", Some(1.0 + 2.0 * f64::EPSILON)),
            ("0x1p-1074", Some(f64::from_bits(1))),
            ("0x1p-1075", Some(0.0)),
            ("0x1.8p-1075", Some(f64::from_bits(1))),
            ("0x1.fffffffffffffp1023", Some(f64::MAX)),
            ("0x1.fffffffffffff8p1023", None),
            ("0x1p99999999999999999999", None),
            ("0x1p-99999999999999999999", Some(0.0)),
            ("0x0p99999999999999999999", Some(0.0)),
        ] {
            assert_eq!(parse_go_float(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hexadecimal_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite() && value != 0.0);
            let (fraction, biased) = (bits & ((1 << 52) - 1), bits >> 52 & 0x7ff);
            let lead = u64::from(biased != 0);
            let exponent = i64::try_from(biased.max(1)).expect("eleven bits") - 1023;
            let sign = if value < 0.0 { "-" } else { "" };
            let text = format!("{sign}0x{lead}.{fraction:013x}p{exponent}");
            prop_assert_eq!(parse_go_float(&text).map(f64::to_bits), Some(bits), "{}", text);
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[-+]?[0-9a-fxXob._pPeE+-]{0,12}") {
            let _ = (parse_go_float(&text), parse_promql_number(&text));
        }
    }
}
