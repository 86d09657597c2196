//! Queries: what is read is printed, and read again.
#![no_main]

use query::parse::options::Options;
use query::parse::parse_bytes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(tree) = parse_bytes(data, &Options::ALL) else { return };
    let text = tree.to_string();
    let again = parse_bytes(text.as_bytes(), &Options::ALL);
    let again = again.unwrap_or_else(|fault| panic!("{text}: {fault}"));
    assert_eq!(again.to_string(), text);
});
