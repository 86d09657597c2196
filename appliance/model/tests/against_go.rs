//! Answers of Go's own regexp, strconv and unicode packages, recorded in `golden/`, against ours.
//!
//! The files say how they were made. Only new characters of Unicode may differ.

use model::label_name::{quote, unquote};
use model::number::{format_exponent, format_general, format_plain};
use model::regex::GoRegex;

/// Characters that Unicode 17 added: Go 1.27 knows them, `regex-syntax` 0.8 does not yet.
const CHARACTERS_ADDED: usize = 4803;

#[test]
fn floats_are_written_as_go_writes_them() {
    let lines = include_str!("golden/float_go.txt").lines().skip(1);
    for line in lines {
        let fields: Vec<&str> = line.split(' ').collect();
        let bits = u64::from_str_radix(fields[0], 16).expect("bits in hexadecimal");
        let value = f64::from_bits(bits);
        let ours = [format_general(value), format_plain(value), format_exponent(value)];
        assert_eq!(ours, fields[1..], "{line}");
    }
}

#[test]
fn characters_are_printed_as_go_prints_them() {
    let mut runs = include_str!("golden/printable_go.txt").lines().skip(1).map(|line| {
        let (from, printable) = line.split_once(' ').expect("two fields");
        (u32::from_str_radix(from, 16).expect("a code point"), printable == "true")
    });
    let mut run = runs.next();
    let mut next = runs.next();
    let mut different = 0;
    for c in '\0'..=char::MAX {
        while next.is_some_and(|(from, _)| from <= u32::from(c)) {
            run = next;
            next = runs.next();
        }
        let go = run.is_some_and(|(_, printable)| printable) && !matches!(c, '"' | '\\');
        let ours = !quote(c.encode_utf8(&mut [0; 4])).starts_with("\"\\");
        assert!(go || !ours, "{c:?} is printable to us alone");
        different += usize::from(go != ours);
    }
    assert_eq!(different, CHARACTERS_ADDED);
}

#[test]
fn patterns_mean_what_they_mean_to_go() {
    let mut lines = include_str!("golden/regex_go.txt").lines().skip(2).peekable();
    let texts = strings(lines.next().and_then(|line| line.strip_prefix("texts ")).expect("texts"));
    let mut wrong = Vec::new();
    let mut patterns = 0;
    while let Some(line) = lines.next() {
        let mut fields = line.splitn(2, " error ");
        let pattern = unquote(fields.next().expect("a pattern")).expect("quoted by Go");
        let error = fields.next().map(|text| unquote(text).expect("quoted by Go"));
        let mut expected = Vec::new();
        while let Some(matched) = lines.peek().and_then(|line| line.strip_prefix("  ")) {
            // A group that took no part is empty in a template, which is all that we offer.
            expected.push(strings(&matched.replace(" -", " \"\"")));
            lines.next();
        }
        let groups = expected.first().map_or(1, Vec::len);
        patterns += 1;
        let ours = answers(&pattern, &texts, groups);
        let theirs = error.map_or(Ok(expected), Err);
        if ours != theirs {
            wrong.push(format!("{pattern:?}\n  go   {theirs:?}\n  ours {ours:?}"));
        }
    }
    assert!(500 < patterns, "the golden file holds {patterns} patterns");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The strings of a line in Go's quotes, with spaces between.
fn strings(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find('"') {
        let mut end = start + 1;
        while !rest[end..].starts_with('"') {
            end += if rest[end..].starts_with('\\') { 2 } else { 1 };
            while !rest.is_char_boundary(end) {
                end += 1;
            }
        }
        found.push(unquote(&rest[start..=end]).expect("quoted by Go"));
        rest = &rest[end + 1..];
    }
    found
}

/// What the golden file holds of a pattern: each text that matches, then its groups.
fn answers(pattern: &str, texts: &[String], groups: usize) -> Result<Vec<Vec<String>>, String> {
    let regex = GoRegex::anchored(pattern).map_err(|error| error.reason)?;
    let mut found = Vec::new();
    for text in texts {
        let expand = |group: usize| regex.expand(text, &format!("${{{group}}}"));
        assert_eq!(expand(0).is_some(), regex.is_match(text), "{pattern:?} on {text:?}");
        found.extend((0..groups).map(expand).collect::<Option<Vec<String>>>());
    }
    Ok(found)
}
