//! Date functions, in UTC.

use crate::calendar::{civil_from_days, days_from_civil};
use crate::evaluate::column::Column;
use crate::plan::node::DateFunction;

const DAY_SECONDS: i64 = 86_400;

/// Replaces the floats of `column`, seconds since the epoch, by their part of the date.
pub(crate) fn map_dates(function: DateFunction, column: &mut Column) {
    column.drop_histograms();
    for value in &mut column.values {
        *value = date_part(function, whole_seconds(*value));
    }
}

/// A float as Go converts it to 64 bits: towards zero, and the least number where it does not fit.
fn whole_seconds(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if !(-LIMIT..LIMIT).contains(&value) {
        return i64::MIN;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let seconds = value as i64;
    seconds
}

/// A part of the date at `seconds` since the epoch.
pub(crate) fn date_part(function: DateFunction, seconds: i64) -> f64 {
    let days = seconds.div_euclid(DAY_SECONDS);
    let second = seconds.rem_euclid(DAY_SECONDS);
    let (year, month, day) = civil_from_days(days);
    let part = match function {
        DateFunction::Year => year,
        DateFunction::Month => month,
        DateFunction::DayOfMonth => day,
        DateFunction::DayOfWeek => (days + 4).rem_euclid(7),
        DateFunction::DayOfYear => days - days_from_civil(year, 1, 1) + 1,
        DateFunction::DaysInMonth => {
            let (next_year, next_month) =
                if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            days_from_civil(next_year, next_month, 1) - days_from_civil(year, month, 1)
        }
        DateFunction::Hour => second / 3_600,
        DateFunction::Minute => second / 60 % 60,
    };
    #[expect(clippy::cast_precision_loss, reason = "parts of a date are small")]
    let part = part as f64;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, expected: [f64; 8]) {
        use DateFunction::{
            DayOfMonth, DayOfWeek, DayOfYear, DaysInMonth, Hour, Minute, Month, Year,
        };
        let functions = [Year, Month, DayOfMonth, DayOfWeek, DayOfYear, DaysInMonth, Hour, Minute];
        assert_eq!(functions.map(|function| date_part(function, seconds)), expected);
    }

    #[test]
    fn dates_have_their_parts() {
        check(0, [1970.0, 1.0, 1.0, 4.0, 1.0, 31.0, 0.0, 0.0]);
        check(1_136_239_445, [2006.0, 1.0, 2.0, 1.0, 2.0, 31.0, 22.0, 4.0]);
        check(1_456_790_399, [2016.0, 2.0, 29.0, 1.0, 60.0, 29.0, 23.0, 59.0]);
        check(-1, [1969.0, 12.0, 31.0, 3.0, 365.0, 31.0, 23.0, 59.0]);
    }
}
