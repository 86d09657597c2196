//! Forms, paths and times of the HTTP API: any text is one or none.

#![no_main]

use api::label_escape::unescape;
use api::parameters::{Parameters, decode_segment};
use api::selector::parse_selector;
use api::timestamp::{parse_duration_nanos, parse_time};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parameters = Parameters::new(text, text.as_bytes());
    for name in ["a", "time", "match[]"] {
        let value = parameters.first(name);
        let _ = (parse_time(value), parse_duration_nanos(value), parse_selector(value));
    }
    let _ = (parse_time(text), parse_duration_nanos(text), parse_selector(text));
    if let Some(part) = decode_segment(text) {
        let _ = unescape(&part);
    }
});
