//! Durations in Prometheus's notation: `1h30m`, `15s`, `100ms`.

use std::fmt::Write;

use thiserror::Error;

use crate::label_name::quote;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("empty duration string")]
    Empty,
    /// The text is not a sequence of numbers and units in falling order of unit.
    #[error("not a valid duration string: {}", quote(.0))]
    Invalid(String),
    /// The duration is longer than 64 bits of nanoseconds hold.
    #[error("duration out of range")]
    OutOfRange,
}

/// Units, longest first, with their milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Longest duration, the 64-bit nanoseconds of Go's `time.Duration`, in milliseconds.
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// Milliseconds of a duration such as `1h30m`; `0` needs no unit.
///
/// # Errors
/// See [`DurationError`]; the texts are Prometheus's.
pub fn parse_duration_ms(text: &str) -> Result<i64, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(0);
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut units_left = &UNITS[..];
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit_end = digits
            + rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let unit = &rest[digits..unit_end];
        let at = units_left.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
        if digits == 0 {
            return Err(invalid());
        }
        let count: i64 = rest[..digits].parse().unwrap_or(i64::MAX);
        total = total.saturating_add(count.saturating_mul(units_left[at].1));
        units_left = &units_left[at + 1..];
        rest = &rest[unit_end..];
    }
    if DURATION_MS_MAX < total {
        return Err(DurationError::OutOfRange);
    }
    Ok(total)
}

/// The duration as Prometheus prints it: `90000` → `1m30s`, `0` → `0s`; years and weeks only where
/// they divide the whole, as 90d is easier to read than 12w6d.
#[must_use]
pub fn format_duration_ms(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest = ms.unsigned_abs();
    if ms < 0 {
        text.push('-');
    }
    for (unit, unit_ms) in UNITS {
        let unit_ms = unit_ms.unsigned_abs();
        let exact_only = matches!(unit, "y" | "w");
        if exact_only && !rest.is_multiple_of(unit_ms) {
            continue;
        }
        if unit_ms <= rest {
            write!(text, "{}{unit}", rest / unit_ms).expect("a String takes what is written to it");
            rest %= unit_ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, ms: i64, printed: &str) {
        assert_eq!(parse_duration_ms(text), Ok(ms));
        assert_eq!(format_duration_ms(ms), printed);
    }

    #[test]
    fn durations_parse_and_print() {
        check("0", 0, "0s");
        check("0s", 0, "0s");
        check("324ms", 324, "324ms");
        check("4d1h", 349_200_000, "4d1h");
        check("90d", 7_776_000_000, "90d");
        check("1w1ms", 604_800_001, "7d1ms");
        check("14d", 1_209_600_000, "2w");
        check("1h30m", 5_400_000, "1h30m");
        check("10y", 315_360_000_000, "10y");
    }

    #[test]
    fn bad_durations_are_refused() {
        for text in ["1", "1y1m1d", "-1w", "1.5d", "d", "", "1 s", "1ms1s", "1m1m"] {
            assert!(parse_duration_ms(text).is_err(), "{text:?}");
        }
        assert_eq!(parse_duration_ms("294y"), Err(DurationError::OutOfRange));
    }

    proptest! {
        #[test]
        fn printed_durations_read_back(ms in 0..=DURATION_MS_MAX) {
            prop_assert_eq!(parse_duration_ms(&format_duration_ms(ms)), Ok(ms));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[0-9ywdhms.é-]{0,12}") {
            let _ = parse_duration_ms(&text);
        }
    }
}
