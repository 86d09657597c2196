//! What comes from outside: no text of a parameter, a path or a form makes the API panic.

use api::label_escape::unescape;
use api::parameters::{Parameters, decode_segment};
use api::selector::parse_selector;
use api::timestamp::{TIME_MAX, TIME_MIN, format_rfc3339, parse_duration_nanos, parse_time};
use model::time::TimestampMs;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_text_is_a_time_or_none(text in "\\PC{0,40}") {
        let _ = parse_time(&text);
        let _ = parse_duration_nanos(&text);
    }

    #[test]
    fn any_text_like_a_time_is_a_time_or_none(
        text in "[0-9é]{4}-[0-9]{2}-[0-9é]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.+Zé:0-9-]{0,9}",
    ) {
        if let Ok(time) = parse_time(&text) {
            prop_assert!(TIME_MIN <= time && time <= TIME_MAX);
        }
    }

    #[test]
    fn any_number_is_a_time_in_range(seconds in any::<f64>()) {
        let time = parse_time(&seconds.to_string()).expect("a number is a time");
        prop_assert!(TIME_MIN <= time && time <= TIME_MAX);
    }

    #[test]
    fn times_of_four_digit_years_read_back(ms in -62_135_596_800_000i64..253_402_300_800_000) {
        let time = TimestampMs(ms);
        prop_assert_eq!(parse_time(&format_rfc3339(time)), Ok(time));
    }

    #[test]
    fn any_bytes_are_a_form(
        query in "\\PC{0,60}",
        form in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let parameters = Parameters::new(&query, &form);
        let _ = (parameters.first("a"), parameters.limit("a"), parameters.time("a", TIME_MIN));
    }

    #[test]
    fn any_text_is_a_path_part_or_none(text in "\\PC{0,40}") {
        if let Some(part) = decode_segment(&text) {
            let _ = unescape(&part);
        }
        let _ = unescape(&format!("U__{text}"));
        let _ = parse_selector(&text);
    }
}
