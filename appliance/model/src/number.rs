//! Float numbers as text, laid out and read as Go's strconv does.
//!
//! Path: query answers, alerts, exposition → **number**; the digits come from `zmij`, shortest that
//! read back, their layout from here. Nothing is allocated but the text written to.
//!
//! Invariants
//! - N1: what any layout writes reads back as the same float.

/// Integers up to this have at most 16 digits and are exact as floats.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// `value` as the HTTP API prints sample values: shortest digits that read back, without exponent
/// unless |x| < 1e-6 or 1e21 <= |x|; `NaN`, `+Inf`, `-Inf`.
#[must_use]
pub fn format_sample_value(value: f64) -> String {
    let mut text = String::new();
    write_sample_value(&mut text, value);
    text
}

/// Appends what [`format_sample_value`] gives.
pub fn write_sample_value(text: &mut String, value: f64) {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        write_exponent(text, value);
    } else {
        write_plain(text, value);
    }
}

/// `value` as Go's `%v` and `FormatFloat(value, 'g', -1, 64)` print it: `1e+06`, `0.0001`, `1e-05`.
/// PromQL prints its numbers so.
#[must_use]
pub fn format_general(value: f64) -> String {
    let mut text = String::new();
    write_general(&mut text, value);
    text
}

/// Appends what [`format_general`] gives.
pub fn write_general(text: &mut String, value: f64) {
    write_finite(text, value, |text, size| {
        // strconv decides by the precision 6 when the digits are the shortest.
        if size == 0.0 || (1e-4..1e6).contains(&size) {
            write_plain_size(text, size);
        } else {
            Decimal::shortest(size).write_exponent(text);
        }
    });
}

/// `value` as `FormatFloat(value, 'f', -1, 64)` prints it, never with an exponent: `count_values`.
#[must_use]
pub fn format_plain(value: f64) -> String {
    let mut text = String::new();
    write_plain(&mut text, value);
    text
}

/// Appends what [`format_plain`] gives.
pub fn write_plain(text: &mut String, value: f64) {
    if value.abs() <= EXACT_INTEGER_MAX && value.fract() == 0.0 && value != 0.0 {
        text.push_str(itoa::Buffer::new().format(exact_integer(value)));
    } else {
        write_finite(text, value, write_plain_size);
    }
}

/// Writes a finite number without sign and without exponent.
fn write_plain_size(text: &mut String, size: f64) {
    let mut buffer = zmij::Buffer::new();
    let printed = buffer.format_finite(size);
    // Between 1e-5 and 1e16 the digits come laid out as Go has them, but for whole numbers.
    if printed.contains('e') {
        Decimal::of(printed).write_plain(text);
    } else {
        text.push_str(printed.strip_suffix(".0").unwrap_or(printed));
    }
}

/// `value` as `FormatFloat(value, 'e', -1, 64)` prints it: `1.5e+03`.
#[must_use]
pub fn format_exponent(value: f64) -> String {
    let mut text = String::new();
    write_exponent(&mut text, value);
    text
}

/// Appends what [`format_exponent`] gives.
pub fn write_exponent(text: &mut String, value: f64) {
    write_finite(text, value, |text, size| Decimal::shortest(size).write_exponent(text));
}

/// Appends a time of the HTTP API: seconds, with exactly three decimals unless they are whole.
pub fn write_timestamp_ms(text: &mut String, timestamp_ms: i64) {
    if timestamp_ms < 0 {
        text.push('-');
    }
    let ms = timestamp_ms.unsigned_abs();
    text.push_str(itoa::Buffer::new().format(ms / 1000));
    let fraction = ms % 1000;
    if fraction != 0 {
        text.push_str(match fraction {
            0..10 => ".00",
            10..100 => ".0",
            _ => ".",
        });
        text.push_str(itoa::Buffer::new().format(fraction));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "callers pass whole values within 2^53")]
fn exact_integer(value: f64) -> i64 {
    debug_assert!(value.fract() == 0.0 && value.abs() <= EXACT_INTEGER_MAX);
    value as i64
}

/// Writes NaN and the infinities as Go does, else the sign, and calls `write` with the size.
fn write_finite(text: &mut String, value: f64, write: impl Fn(&mut String, f64)) {
    if value.is_nan() {
        text.push_str("NaN");
    } else if value.is_infinite() {
        text.push_str(if value < 0.0 { "-Inf" } else { "+Inf" });
    } else {
        let start = text.len();
        if value.is_sign_negative() {
            text.push('-');
        }
        write(text, value.abs());
        debug_assert_eq!(text[start..].parse(), Ok(value), "N1: reads back");
    }
}

/// Digits of the shortest decimal that reads back: 0.d₁d₂… times ten to the power of `point`.
#[derive(Debug)]
struct Decimal {
    digits: [u8; DIGITS_MAX],
    count: usize,
    point: i32,
}

/// A float has at most 17 significant digits; `zmij` may write zeros around them.
const DIGITS_MAX: usize = 24;

impl Decimal {
    fn shortest(size: f64) -> Decimal {
        Decimal::of(zmij::Buffer::new().format_finite(size))
    }

    /// Takes apart what `zmij` printed.
    fn of(printed: &str) -> Decimal {
        let mut decimal = Decimal { digits: [b'0'; DIGITS_MAX], count: 0, point: 0 };
        let (mantissa, exponent) = printed.split_once('e').unwrap_or((printed, "0"));
        let exponent: i32 = exponent.parse().expect("zmij writes a decimal exponent");
        let mut point_seen = false;
        for byte in mantissa.bytes() {
            if byte == b'.' {
                point_seen = true;
                continue;
            }
            let leading_zero = decimal.count == 0 && byte == b'0';
            if !leading_zero {
                decimal.digits[decimal.count] = byte;
                decimal.count += 1;
            }
            decimal.point += match (point_seen, leading_zero) {
                (true, true) => -1,
                (false, false) => 1,
                (true, false) | (false, true) => 0,
            };
        }
        decimal.point += exponent;
        while decimal.count > 0 && decimal.digits[decimal.count - 1] == b'0' {
            decimal.count -= 1;
        }
        if decimal.count == 0 {
            decimal.point = 1;
            decimal.count = 1;
        }
        decimal
    }

    fn digits(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.count]).expect("digits are ASCII")
    }

    fn write_plain(&self, text: &mut String) {
        let digits = self.digits();
        let whole = usize::try_from(self.point).unwrap_or(0);
        if whole == 0 {
            text.push_str("0.");
            push_zeros(text, usize::try_from(-self.point).unwrap_or(0));
            text.push_str(digits);
        } else if digits.len() <= whole {
            text.push_str(digits);
            push_zeros(text, whole - digits.len());
        } else {
            text.push_str(&digits[..whole]);
            text.push('.');
            text.push_str(&digits[whole..]);
        }
    }

    fn write_exponent(&self, text: &mut String) {
        let (first, rest) = self.digits().split_at(1);
        text.push_str(first);
        if !rest.is_empty() {
            text.push('.');
            text.push_str(rest);
        }
        let exponent = self.point - 1;
        text.push_str(if exponent < 0 { "e-" } else { "e+" });
        if exponent.abs() < 10 {
            text.push('0');
        }
        text.push_str(itoa::Buffer::new().format(exponent.unsigned_abs()));
    }
}

fn push_zeros(text: &mut String, count: usize) {
    text.extend(std::iter::repeat_n('0', count));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: f64, sample: &str, general: &str, plain: &str, exponent: &str) {
        let formatted = [
            format_sample_value(value),
            format_general(value),
            format_plain(value),
            format_exponent(value),
        ];
        assert_eq!(formatted, [sample, general, plain, exponent]);
    }

    #[test]
    fn layouts_are_those_of_go() {
        check(0.0, "0", "0", "0", "0e+00");
        check(-0.0, "-0", "-0", "-0", "-0e+00");
        check(1.0, "1", "1", "1", "1e+00");
        check(-1500.0, "-1500", "-1500", "-1500", "-1.5e+03");
        check(0.1, "0.1", "0.1", "0.1", "1e-01");
        check(1e6, "1000000", "1e+06", "1000000", "1e+06");
        check(123_456.5, "123456.5", "123456.5", "123456.5", "1.234565e+05");
        check(1e21, "1e+21", "1e+21", "1000000000000000000000", "1e+21");
        check(1e-7, "1e-07", "1e-07", "0.0000001", "1e-07");
        check(0.0001, "0.0001", "0.0001", "0.0001", "1e-04");
        check(1e-300, "1e-300", "1e-300", &format!("{:.300}", 1e-300), "1e-300");
        check(f64::NAN, "NaN", "NaN", "NaN", "NaN");
        check(f64::INFINITY, "+Inf", "+Inf", "+Inf", "+Inf");
        check(f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf", "-Inf");
    }

    #[test]
    fn times_have_three_decimals_or_none() {
        for (timestamp_ms, expected) in [
            (0, "0"),
            (1_435_781_451_781, "1435781451.781"),
            (1_435_781_451_000, "1435781451"),
            (1_435_781_451_020, "1435781451.020"),
            (-1, "-0.001"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            let mut text = String::new();
            write_timestamp_ms(&mut text, timestamp_ms);
            assert_eq!(text, expected);
        }
    }

    proptest! {
        #[test]
        fn n1_every_layout_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for format in [format_sample_value, format_general, format_plain, format_exponent] {
                let text = format(value);
                prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(bits), "N1: {}", text);
            }
        }
    }
}
