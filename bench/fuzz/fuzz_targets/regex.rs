//! Patterns by Go's rules: a pattern, a line feed, a text.
#![no_main]

use model::regex::GoRegex;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, subject) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(regex) = GoRegex::anchored(pattern) else { return };
    let matches = regex.is_match(subject);
    if matches {
        assert!(subject.starts_with(regex.prefix()), "{pattern:?} {subject:?}");
    }
    if let Some(literals) = regex.literals() {
        assert_eq!(matches, literals.iter().any(|literal| literal == subject), "{pattern:?}");
    }
});
