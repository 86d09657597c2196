//! Numbers as Go's `strconv` reads them.

/// Why a text is no number, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberFault {
    Syntax,
    Range,
}

impl NumberFault {
    pub(crate) fn text(self) -> &'static str {
        match self {
            NumberFault::Syntax => "invalid syntax",
            NumberFault::Range => "value out of range",
        }
    }
}

/// Reads `text` first as an integer of 64 bits (`0x1f`, octal `0755`, `1_000`), then as a float.
pub(crate) fn parse_number(text: &str) -> Result<f64, NumberFault> {
    if !underscores_separate_digits(text) {
        return Err(NumberFault::Syntax);
    }
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    let lower = digits.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        // A hexadecimal float needs an exponent, which the lexer does not let through.
        return i64::from_str_radix(hex, 16).map(to_float).map_err(|_| NumberFault::Syntax);
    }
    let octal = lower.len() > 1 && lower.starts_with('0');
    if let Ok(integer) = i64::from_str_radix(&lower, if octal { 8 } else { 10 }) {
        return Ok(to_float(integer));
    }
    match lower.parse::<f64>() {
        Ok(value) if value.is_infinite() && !lower.contains("inf") => Err(NumberFault::Range),
        Ok(value) => Ok(value),
        Err(_) => Err(NumberFault::Syntax),
    }
}

/// The nearest float of an integer.
pub(crate) fn to_float(integer: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rounding to the nearest float is meant")]
    let value = integer as f64;
    value
}

/// Go's rule: an underscore stands between two digits, or between the base's prefix and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = bytes.len() > 1 && bytes[0] == b'0' && bytes[1] | 0x20 == b'x';
    let is_digit = |byte: u8| byte.is_ascii_digit() || hex && byte.is_ascii_hexdigit();
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_').all(|(at, _)| {
        let before = at > 0 && (is_digit(bytes[at - 1]) || hex && at == 2);
        before && bytes.get(at + 1).is_some_and(|next| is_digit(*next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<f64, NumberFault>) {
        assert_eq!(parse_number(text), expected, "{text}");
    }

    #[test]
    fn numbers_read_as_go_reads_them() {
        check("0755", Ok(493.0));
        check("0789", Ok(789.0));
        check("0x1F", Ok(31.0));
        check("0x_1f", Ok(31.0));
        check("1_000", Ok(1000.0));
        check("1_000.5_0", Ok(1000.5));
        check("5.", Ok(5.0));
        check(".5e1", Ok(5.0));
        check("iNf", Ok(f64::INFINITY));
        check("99999999999999999999", Ok(1e20));
        check("1e400", Err(NumberFault::Range));
        check("0x", Err(NumberFault::Syntax));
        check("1e", Err(NumberFault::Syntax));
    }
}
