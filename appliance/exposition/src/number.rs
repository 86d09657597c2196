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
    // At most 2^53, so exact either way; the conversion from a signed integer is one instruction.
    let magnitude = mantissa.cast_signed() as f64;
    let power = *POWERS_OF_TEN.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    let value = if exponent < 0 { magnitude / power } else { magnitude * power };
    Some((if negative { -value } else { value }, at))
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
    match parse_decimal_prefix(text) {
        Some((value, bytes)) if text.get(bytes) == Some(&b'\n') => Some((value, bytes + 1)),
        _ => parse_line_any(text),
    }
}

#[cold]
fn parse_line_any(text: &[u8]) -> Option<(f64, usize)> {
    let bytes = text.iter().position(|byte| matches!(byte, b'\n' | b' ' | b'\t' | b'{' | 0))?;
    let value = parse(&text[..bytes]).ok()?;
    (text[bytes] == b'\n').then_some((value, bytes + 1))
}
