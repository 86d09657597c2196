//! Sample values as text: the decimal fast path, and everything that Go's `ParseFloat` takes.
//!
//! Source: D. Lemire, "Number parsing at a gigabyte per second" (2021), for Clinger's fast path:
//! a mantissa below 2^53 and a power of ten up to 22 are both exact doubles, so one multiplication
//! or division rounds once, as the exact result would.
//!
//! Invariants
//! - N1: a value read by the fast path has the bits that `str::parse` gives.

/// Powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// Integers up to here are exact doubles.
const MANTISSA_MAX: u64 = 1 << 53;
/// Digits that surely fit `u64`.
const DIGITS_MAX: usize = 19;
/// Digits of an exponent that the fast path reads.
const EXPONENT_DIGITS_MAX: usize = 4;

/// Why a value is refused; the texts are Go's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Hexadecimal floats and digit separators are newer than the format.
    #[error("unsupported character in float")]
    Unsupported,
    /// Not a number.
    #[error("invalid syntax")]
    Syntax,
    /// Larger than the largest double.
    #[error("value out of range")]
    Range,
}

/// The decimal number at the start of `text` and the number of its bytes, when the fast path
/// reaches it; the caller looks at the byte behind it. `None` says nothing about `text`.
#[must_use]
#[inline]
pub fn parse_decimal_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let negative = text.first() == Some(&b'-');
    let digits_start = usize::from(negative);
    let mut mantissa = 0_u64;
    let mut at = take_digits(text, digits_start, &mut mantissa);
    let mut digits = at - digits_start;
    let mut exponent = 0;
    if text.get(at) == Some(&b'.') {
        let fraction_start = at + 1;
        at = take_digits(text, fraction_start, &mut mantissa);
        exponent = -i64::try_from(at - fraction_start).ok()?;
        digits += at - fraction_start;
    }
    if digits == 0 || DIGITS_MAX < digits || MANTISSA_MAX < mantissa {
        return None;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let (explicit, end) = take_exponent(text, at + 1)?;
        exponent += explicit;
        at = end;
    }
    let magnitude = scaled(mantissa, exponent)?;
    Some((if negative { -magnitude } else { magnitude }, at))
}

/// Reads digits from `at` on into `mantissa` (which wraps beyond 19) and gives where they end.
#[inline]
fn take_digits(text: &[u8], at: usize, mantissa: &mut u64) -> usize {
    let mut end = at;
    while let Some(digit) = text.get(end).map(|byte| byte.wrapping_sub(b'0')) {
        if 9 < digit {
            break;
        }
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    end
}

fn take_exponent(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let signed = matches!(text.get(at), Some(b'+' | b'-'));
    let digits_start = at + usize::from(signed);
    let mut exponent = 0;
    let end = take_digits(text, digits_start, &mut exponent);
    if end == digits_start || EXPONENT_DIGITS_MAX < end - digits_start {
        return None;
    }
    let exponent = i64::try_from(exponent).ok()?;
    let exponent = if text[at] == b'-' { -exponent } else { exponent };
    Some((exponent, end))
}

/// The value that `text`, the whole of it, stands for. Infinities are `Inf` or `Infinity` in any
/// case with a sign or without, `NaN` in any case has none and gives the ordinary NaN.
///
/// # Errors
/// What Go's `ParseFloat` refuses, and hexadecimal floats and `_`, which upstream refuses.
pub fn parse(text: &[u8]) -> Result<f64, NumberError> {
    match parse_decimal_prefix(text) {
        Some((value, bytes)) if bytes == text.len() => Ok(value),
        _ => parse_any(text),
    }
}

fn parse_any(text: &[u8]) -> Result<f64, NumberError> {
    if text.iter().any(|byte| matches!(byte, b'p' | b'P' | b'_')) {
        return Err(NumberError::Unsupported);
    }
    if text.eq_ignore_ascii_case(b"nan") {
        return Ok(f64::from_bits(model::staleness::NORMAL_NAN_BITS));
    }
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Ok(if text[0] == b'-' { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if !matches!(unsigned.first(), Some(b'0'..=b'9' | b'.')) {
        return Err(NumberError::Syntax);
    }
    let value: f64 = fast_float2::parse(text).map_err(|_| NumberError::Syntax)?;
    if value.is_infinite() { Err(NumberError::Range) } else { Ok(value) }
}

/// Seconds as milliseconds, the fraction cut off as upstream does.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
pub fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1e3) as i64
}

/// `value` as the label values of `le` and `quantile` have it: Go's shortest `%g` form, with `.0`
/// where that has neither point nor exponent.
#[must_use]
pub fn format_label_float(value: f64) -> String {
    let text = format_shortest(value);
    let float = text.contains(['.', 'e']) || !value.is_finite();
    if float { text } else { text + ".0" }
}

/// `value` in Go's shortest `%g` form: the fewest digits that read back, an exponent of at least
/// two digits when it is below -4 or above 5; `NaN`, `+Inf`, `-Inf`.
#[must_use]
pub fn format_shortest(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-Inf" } else { "+Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("`:e` writes an exponent");
    let exponent: i32 = exponent.parse().expect("`:e` writes an integer as exponent");
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The value at the start of `text` and the number of its bytes with the line end, which must
/// stand directly behind it. `None` says nothing about `text`.
#[must_use]
#[inline]
pub fn parse_line(text: &[u8]) -> Option<(f64, usize)> {
    // A branch that is well predicted, unlike a length that is computed, lets the core begin with
    // the next line at once: bodies of zeros and ones are read nearly twice as fast (bench parse).
    if let Some(&[digit @ b'0'..=b'9', b'\n']) = text.first_chunk::<2>() {
        return Some((f64::from(digit - b'0'), 2));
    }
    if let Some(window) = text.first_chunk::<WINDOW_BYTES>()
        && let Some(parsed) = parse_window(window)
    {
        return Some(parsed);
    }
    parse_line_any(text)
}

/// Numbers that the fast path does not reach: many digits, other forms, the last line.
#[inline(never)]
fn parse_line_any(text: &[u8]) -> Option<(f64, usize)> {
    let number_start = usize::from(text.first() == Some(&b'-'));
    if matches!(text.get(number_start), Some(b'0'..=b'9' | b'.')) {
        let (value, bytes): (f64, usize) = fast_float2::parse_partial(text).ok()?;
        let whole = text.get(bytes) == Some(&b'\n') && value.is_finite();
        return whole.then_some((value, bytes + 1));
    }
    let bytes = text.iter().position(|byte| matches!(byte, b'\n' | b' ' | b'\t' | b'{' | 0))?;
    let value = parse(&text[..bytes]).ok()?;
    (text[bytes] == b'\n').then_some((value, bytes + 1))
}

/// Bytes that [`parse_window`] may look at: a sign, three groups of digits, a point, an exponent.
const WINDOW_BYTES: usize = 40;
/// Digits that are read at once.
const GROUP: usize = 8;
/// Powers of ten that shift a mantissa by up to a group.
const GROUP_POWERS: [u64; GROUP + 1] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The fast path without a loop over bytes: `[-]digits[.digits][e±dd]` and a line end.
#[inline]
fn parse_window(window: &[u8; WINDOW_BYTES]) -> Option<(f64, usize)> {
    let negative = window[0] == b'-';
    let start = usize::from(negative);
    let mut mantissa = 0;
    let mut at = take_groups(window, start, &mut mantissa)?;
    let mut digits = at - start;
    let mut exponent = 0;
    if window[at] != b'\n' {
        if window[at] == b'.' {
            let end = take_groups(window, at + 1, &mut mantissa)?;
            let places = end - at - 1;
            digits += places;
            exponent = -i64::try_from(places).ok()?;
            at = end;
        }
        if window[at] != b'\n' {
            let &[e, sign, tens, ones, ..] = window.get(at..)?.first_chunk::<5>()?;
            let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
            if e | 0x20 != b'e' || !matches!(sign, b'+' | b'-') || 9 < tens || 9 < ones {
                return None;
            }
            let explicit = i64::from(tens) * 10 + i64::from(ones);
            exponent += if sign == b'-' { -explicit } else { explicit };
            at += 4;
        }
    }
    if digits == 0 || DIGITS_MAX < digits || MANTISSA_MAX < mantissa || window[at] != b'\n' {
        return None;
    }
    let magnitude = scaled(mantissa, exponent)?;
    Some((if negative { -magnitude } else { magnitude }, at + 1))
}

/// Reads up to 16 digits in groups, and their end; `None` when there are more.
#[inline]
fn take_groups(window: &[u8; WINDOW_BYTES], at: usize, mantissa: &mut u64) -> Option<usize> {
    let (first, digits) = group(window, at)?;
    *mantissa = mantissa.wrapping_mul(GROUP_POWERS[digits]).wrapping_add(first);
    if digits < GROUP {
        return Some(at + digits);
    }
    let (second, digits) = group(window, at + GROUP)?;
    *mantissa = mantissa.wrapping_mul(GROUP_POWERS[digits]).wrapping_add(second);
    (digits < GROUP).then_some(at + GROUP + digits)
}

/// The digits at `at`, at most eight: the number they make and how many they are.
///
/// Source: D. Lemire, "Quickly parsing eight digits" (2018); the digits are moved to the high end,
/// so that zeros stand before them.
#[inline]
fn group(window: &[u8; WINDOW_BYTES], at: usize) -> Option<(u64, usize)> {
    let bytes = window.get(at..)?.first_chunk::<GROUP>()?;
    let digits = u64::from_le_bytes(*bytes) ^ 0x3030_3030_3030_3030;
    // A byte above 9 has its high bit set here; a carry only reaches bytes behind such a one.
    let others = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() / 8;
    let digits = digits.checked_shl(64 - 8 * count).unwrap_or(0);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some((low.wrapping_add(high) >> 32, count as usize))
}

/// `mantissa` times ten to the `exponent`, when that takes one exact step.
#[inline]
fn scaled(mantissa: u64, exponent: i64) -> Option<f64> {
    debug_assert!(mantissa <= MANTISSA_MAX, "N1: the mantissa is an exact double");
    // At most 2^53, so exact either way; the conversion from a signed integer is one instruction.
    let magnitude = mantissa.cast_signed() as f64;
    if exponent == 0 {
        return Some(magnitude);
    }
    let power = *POWERS_OF_TEN.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    Some(if exponent < 0 { magnitude / power } else { magnitude * power })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What upstream takes, by the standard library.
    fn expected(text: &str) -> Option<f64> {
        let value: f64 = text.parse().ok()?;
        let named = text.trim_start_matches(['+', '-']).starts_with(['i', 'I', 'n', 'N']);
        let signed_nan = value.is_nan() && !text.starts_with(['n', 'N']);
        (!signed_nan && (named || value.is_finite())).then_some(value)
    }

    #[track_caller]
    fn check(text: &str) {
        let expected = expected(text);
        let bits = |value: f64| if value.is_nan() { u64::MAX } else { value.to_bits() };
        assert_eq!(parse(text.as_bytes()).ok().map(bits), expected.map(bits), "{text:?}");
        for behind in ["\n", "\nup{a=\"b\",c=\"some longer text\"} 1234567890\n"] {
            let line = parse_line(format!("{text}{behind}").as_bytes());
            let wanted = expected.map(|value| (bits(value), text.len() + 1));
            let found = line.map(|(value, bytes)| (bits(value), bytes));
            assert_eq!(found, wanted, "line {text:?}");
        }
        for behind in ["", " ", "\t1\n", "_0\n", "{", "\r\n"] {
            assert_eq!(parse_line(format!("{text}{behind}").as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn n1_numbers_have_the_bits_of_the_standard_library() {
        let texts = "0 -0 1 -1 +1 1. .5 -.5 . - e5 1e 1e+ 1e5 1E5 1e+05 1e-05 1e22 1e23 1e-22 \
            1e-23 \
            9007199254740992 9007199254740993 12345678 123456789 1234567812345678 \
            12345678123456781 0.1234567812345678 1234567890123456789012 0.00000000000000000001 \
            1.7976931348623157e308 1e308 1e309 -1e400 4.9e-324 1e-400 0e400 0e99999999 1e0005 \
            1e-0005 NaN nan -nan +NaN Inf +inf -INF Infinity -infinity infin 1_000 1__0 0x1 1..2 \
            1.2.3 --1 +-1 1e5.5 ٣ 1: 1/ 8. 12345678. 1234567:";
        for text in texts.split(' ').chain(["", "1 "]) {
            check(text);
        }
    }

    #[test]
    fn what_upstream_refuses_by_its_characters() {
        for text in ["0x1p-3", "0X1P3", "1_2", "_"] {
            assert_eq!(parse(text.as_bytes()), Err(NumberError::Unsupported), "{text}");
        }
        assert_eq!(parse(b"1e400"), Err(NumberError::Range));
        assert_eq!(parse(b"true"), Err(NumberError::Syntax));
    }

    #[test]
    fn label_floats_have_a_point_or_an_exponent() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-1.0, "-1.0"),
            (0.25, "0.25"),
            (1e6, "1e+06"),
            (100_000.0, "100000.0"),
            (1_234_567.0, "1.234567e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_label_float(value), text);
        }
    }

    proptest! {
        #[test]
        fn n1_any_number_text(text in "[+-]?[0-9]{0,20}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{0,4})?") {
            check(&text);
        }

        #[test]
        fn n1_any_double(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                check(&format!("{value:e}"));
                check(&format_shortest(value));
            }
        }

        #[test]
        fn n1_any_decimal(mantissa in 0_u64..1 << 54, exponent in -25_i32..25) {
            check(&format!("{mantissa}e{exponent}"));
            check(&format!("{mantissa}e{exponent:+03}"));
        }

        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>) {
            let _ = (parse(&text), parse_line(&text), parse_decimal_prefix(&text));
        }
    }
}
