//! Times and durations in parameters and answers: Unix seconds, RFC 3339, Prometheus durations.
//!
//! Source: `parseTime` and `parseDuration` of Prometheus's `web/api/v1/api.go`; RFC 3339.

use model::duration::parse_duration_ms;
use model::label_name::quote;
use model::time::TimestampMs;

/// Earliest time of the HTTP API, -292273086-05-16T16:47:06Z: whole seconds of the smallest
/// 64-bit millisecond, moved by the seconds from year 1 to 1970 as Go's `time.Time` needs.
pub const TIME_MIN: TimestampMs = TimestampMs((i64::MIN / 1000 + 62_135_596_801) * 1000);
/// Latest time of the HTTP API, +292277025-08-18T07:12:54.999999999Z.
pub const TIME_MAX: TimestampMs = TimestampMs((i64::MAX / 1000 - 62_135_596_801) * 1000 + 999);

const TIME_MIN_TEXT: &str = "-292273086-05-16T16:47:06Z";
const TIME_MAX_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";

const SECONDS_A_DAY: i64 = 86_400;

/// Time of a parameter: Unix seconds with a fraction, RFC 3339, or one of the two extreme times.
///
/// # Errors
/// The text is none of these; the message is Prometheus's.
pub fn parse_time(text: &str) -> Result<TimestampMs, String> {
    if let Some(seconds) = parse_float(text) {
        return Ok(time_of_seconds(seconds));
    }
    if let Some(time) = parse_rfc3339(text) {
        return Ok(time);
    }
    match text.strip_prefix('+').unwrap_or(text) {
        TIME_MIN_TEXT => Ok(TIME_MIN),
        TIME_MAX_TEXT => Ok(TIME_MAX),
        _ => Err(format!("cannot parse {} to a valid timestamp", quote(text))),
    }
}

/// Nanoseconds of a duration parameter: seconds with a fraction, or Prometheus's notation. Every
/// result fits 64 bits.
///
/// # Errors
/// The text is neither; the message is Prometheus's.
pub fn parse_duration_nanos(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text) {
        let nanos = seconds * 1e9;
        // 2^63 is exact in a float; every float below it fits an i64.
        if nanos.is_nan() || nanos.abs() >= 9_223_372_036_854_775_808.0 {
            let overflow = "to a valid duration. It overflows int64";
            return Err(format!("cannot parse {} {overflow}", quote(text)));
        }
        return Ok(whole(nanos));
    }
    match parse_duration_ms(text) {
        Ok(ms) => Ok(ms.saturating_mul(1_000_000)),
        Err(_) => Err(format!("cannot parse {} to a valid duration", quote(text))),
    }
}

fn parse_float(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Seconds are split first, so that a fraction of a large number keeps its milliseconds.
fn time_of_seconds(seconds: f64) -> TimestampMs {
    if seconds.is_nan() {
        return TIME_MIN;
    }
    let ms = whole(seconds.trunc()).saturating_mul(1000);
    let fraction_ms = whole((seconds.fract() * 1000.0).round());
    TimestampMs(ms.saturating_add(fraction_ms)).clamp(TIME_MIN, TIME_MAX)
}

/// The whole part of `number`, held at the ends of 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "`as` from float to integer saturates")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// Milliseconds of an RFC 3339 time; digits beyond milliseconds are cut, as Prometheus cuts them.
fn parse_rfc3339(text: &str) -> Option<TimestampMs> {
    let bytes = text.as_bytes();
    let sign = |at: usize, sign: u8| (*bytes.get(at)? == sign).then_some(());
    sign(4, b'-').and(sign(7, b'-')).and(sign(10, b'T')).and(sign(13, b':')).and(sign(16, b':'))?;
    let (year, month, day) = (digits(text, 0, 4)?, digits(text, 5, 2)?, digits(text, 8, 2)?);
    let (hour, minute, second) = (digits(text, 11, 2)?, digits(text, 14, 2)?, digits(text, 17, 2)?);
    if !(1..=12).contains(&month) || day < 1 || days_of_month(year, month) < day {
        return None;
    }
    if 23 < hour || 59 < minute || 59 < second {
        return None;
    }
    let mut rest = &text[19..];
    let mut fraction_ms = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return None;
        }
        let padded = format!("{:0<3}", &fraction[..count.min(3)]);
        fraction_ms = padded.parse::<i64>().ok()?;
        rest = &fraction[count..];
    }
    let offset_seconds = offset(rest)?;
    let days = days_since_epoch(year, month, day);
    let seconds = days * SECONDS_A_DAY + hour * 3600 + minute * 60 + second - offset_seconds;
    Some(TimestampMs(seconds * 1000 + fraction_ms))
}

/// Seconds east of Greenwich of `Z` or `+hh:mm`.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(zone, 1, 2)?, digits(zone, 4, 2)?);
    let shaped = zone.len() == 6 && zone.as_bytes()[3] == b':' && hours <= 24 && minutes < 60;
    shaped.then_some(sign * (hours * 3600 + minutes * 60))
}

fn digits(text: &str, from: usize, count: usize) -> Option<i64> {
    let part = text.get(from..from + count)?;
    part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; Howard Hinnant's `days_from_civil`.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `time` in RFC 3339, UTC, with milliseconds unless they are 0; Go's zero time for a time
/// before the year 1.
#[must_use]
pub fn format_rfc3339(time: TimestampMs) -> String {
    let seconds = time.0.div_euclid(1000);
    let ms = time.0.rem_euclid(1000);
    let (year, month, day) = civil_of_days(seconds.div_euclid(SECONDS_A_DAY));
    if year < 1 {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    let of_day = seconds.rem_euclid(SECONDS_A_DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let date = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let fraction = format!(".{ms:03}");
    let fraction = if ms == 0 { "" } else { fraction.trim_end_matches('0') };
    format!("{date}{fraction}Z")
}

/// Year, month and day of a count of days since 1970-01-01; the inverse of [`days_since_epoch`].
fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let parsed = match parse_time(text) {
            Ok(time) => time.to_string(),
            Err(error) => error,
        };
        assert_eq!(parsed, expected, "{text}");
    }

    #[test]
    fn times_are_seconds_or_rfc3339() {
        check("1435781451.781", "1435781451781");
        check("1435781451", "1435781451000");
        check("1.5e3", "1500000");
        check("-1.5", "-1500");
        check("2015-06-03T13:21:58.555Z", "1433337718555");
        check("2015-06-03T14:21:58.555+01:00", "1433337718555");
        check("1969-12-31T23:59:59.9999Z", "-1");
        check("2024-02-29T00:00:00Z", "1709164800000");
        check("", "cannot parse \"\" to a valid timestamp");
        check("30s", "cannot parse \"30s\" to a valid timestamp");
        check(
            "2015-06-03T14:21:58.555",
            "cannot parse \"2015-06-03T14:21:58.555\" to a valid timestamp",
        );
        check("2023-02-29T00:00:00Z", "cannot parse \"2023-02-29T00:00:00Z\" to a valid timestamp");
        check("2023-02-2éT00:00:00Z", "cannot parse \"2023-02-2éT00:00:00Z\" to a valid timestamp");
    }

    #[test]
    fn extreme_times_parse() {
        check("-292273086-05-16T16:47:06Z", "-9223309901257974000");
        check("+292277025-08-18T07:12:54.999999999Z", "9223309901257974999");
        check("292277025-08-18T07:12:54.999999999Z", "9223309901257974999");
        check("1e300", "9223309901257974999");
        check("NaN", "-9223309901257974000");
    }

    #[test]
    fn durations_are_seconds_or_prometheus_notation() {
        assert_eq!(parse_duration_nanos("0.0005"), Ok(500_000));
        assert_eq!(parse_duration_nanos("1m30s"), Ok(90_000_000_000));
        assert_eq!(parse_duration_nanos("-1"), Ok(-1_000_000_000));
        let overflow = "cannot parse \"1e10\" to a valid duration. It overflows int64";
        assert_eq!(parse_duration_nanos("1e10"), Err(overflow.to_owned()));
        let invalid = "cannot parse \"foo\" to a valid duration";
        assert_eq!(parse_duration_nanos("foo"), Err(invalid.to_owned()));
    }

    #[test]
    fn rfc3339_is_written_and_read_back() {
        for ms in
            [0, -1, 1_433_337_718_555, 1_433_337_718_000, 951_782_400_001, 253_402_300_799_999]
        {
            assert_eq!(parse_time(&format_rfc3339(TimestampMs(ms))), Ok(TimestampMs(ms)));
        }
        assert_eq!(format_rfc3339(TimestampMs(1_433_337_718_550)), "2015-06-03T13:21:58.55Z");
        assert_eq!(format_rfc3339(TimestampMs(i64::MIN)), "0001-01-01T00:00:00Z");
    }
}
