//! Glob: the files that a pattern names, as Go's `filepath.Glob` finds them.
//!
//! `*`, `?` and `[a-z]` stand within one part of a path; what cannot be read matches nothing.

use std::path::{Path, PathBuf};

/// The files that `pattern` names, in order of name.
///
/// # Errors
/// The pattern is none, or names more than `files_max` files; the text is for people.
pub fn files(pattern: &Path, files_max: usize) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let Some(text) = part.as_os_str().to_str().filter(|text| has_magic(text)) else {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let pattern: Vec<char> = text.chars().collect();
        check(&pattern)?;
        let mut deeper = Vec::new();
        for directory in &found {
            deeper.extend(matching(directory, &pattern));
            if files_max < deeper.len() {
                return Err(format!("pattern names more than {files_max} files"));
            }
        }
        found = deeper;
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    Ok(found)
}

/// Whether `name` is what `pattern` stands for; nothing is where the pattern is none.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    check(&pattern).is_ok() && is_match(&pattern, &name.chars().collect::<Vec<_>>())
}

fn has_magic(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// Entries of `directory` that match, in order of name.
fn matching(directory: &Path, pattern: &[char]) -> Vec<PathBuf> {
    let place = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let fits = |name: &String| is_match(pattern, &name.chars().collect::<Vec<_>>());
    let mut names: Vec<String> = names.filter(fits).collect();
    names.sort_unstable();
    names.into_iter().map(|name| directory.join(name)).collect()
}

/// Refuses a pattern that no name could be compared with.
fn check(pattern: &[char]) -> Result<(), String> {
    let mut at = 0;
    while at < pattern.len() {
        at = match token(&pattern[at..]) {
            Some((_, length)) => at + length,
            None => return Err("syntax error in pattern".to_owned()),
        };
    }
    Ok(())
}

/// What the beginning of a pattern stands for.
enum Token {
    Any,
    One,
    Character(char),
    Class { ranges: Vec<(char, char)>, is_negated: bool },
}

/// The first token and its length; `None` when it is malformed.
fn token(pattern: &[char]) -> Option<(Token, usize)> {
    match *pattern.first()? {
        '*' => Some((Token::Any, 1)),
        '?' => Some((Token::One, 1)),
        '\\' => Some((Token::Character(*pattern.get(1)?), 2)),
        '[' => class(pattern),
        other => Some((Token::Character(other), 1)),
    }
}

fn class(pattern: &[char]) -> Option<(Token, usize)> {
    let is_negated = pattern.get(1) == Some(&'^');
    let mut at = 1 + usize::from(is_negated);
    let mut ranges = Vec::new();
    while ranges.is_empty() || pattern.get(at) != Some(&']') {
        let low = class_character(pattern, &mut at)?;
        let mut high = low;
        if pattern.get(at) == Some(&'-') {
            at += 1;
            high = class_character(pattern, &mut at)?;
        }
        ranges.push((low, high));
    }
    Some((Token::Class { ranges, is_negated }, at + 1))
}

fn class_character(pattern: &[char], at: &mut usize) -> Option<char> {
    let found = *pattern.get(*at)?;
    *at += 1;
    match found {
        '-' | ']' => None,
        '\\' => {
            *at += 1;
            pattern.get(*at - 1).copied()
        }
        other => Some(other),
    }
}

/// Whether `name` is what a well-formed `pattern` stands for. Work is bounded by the product of
/// their lengths: a `*` that fails goes on where the last one stood.
fn is_match(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let fits = match token(&pattern[at..]) {
            Some((Token::Any, length)) => {
                at += length;
                star = Some((at, place));
                continue;
            }
            Some((found, length)) => {
                let fits = name.get(place).is_some_and(|c| takes(&found, *c));
                at += if fits { length } else { 0 };
                place += usize::from(fits);
                fits
            }
            None if place == name.len() => return true,
            None => false,
        };
        if fits {
            continue;
        }
        match star {
            Some((after, from)) if from < name.len() => {
                star = Some((after, from + 1));
                (at, place) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

fn takes(token: &Token, c: char) -> bool {
    match token {
        Token::Any | Token::One => true,
        Token::Character(wanted) => *wanted == c,
        Token::Class { ranges, is_negated } => {
            ranges.iter().any(|(low, high)| *low <= c && c <= *high) != *is_negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_match(pattern: &str, name: &str, expected: bool) {
        let pattern: Vec<char> = pattern.chars().collect();
        let name: Vec<char> = name.chars().collect();
        assert_eq!(is_match(&pattern, &name), expected);
    }

    #[test]
    fn names_match_patterns() {
        check_match("*.yml", "a.yml", true);
        check_match("*.yml", ".yml", true);
        check_match("*.yml", "a.yaml", false);
        check_match("a?c", "abc", true);
        check_match("a?c", "ac", false);
        check_match("[a-c]*[^x]", "b-y", true);
        check_match("[a-c]*[^x]", "b-x", false);
        check_match("a\\*", "a*", true);
        check_match("*a*b", "xaxxb", true);
        check_match("*a*b", "xbxxa", false);
        check_match("", "", true);
    }

    #[test]
    fn files_are_found_in_order() {
        let directory = tempfile::tempdir().expect("directory");
        for name in ["b.yml", "a.yml", "c.json"] {
            std::fs::write(directory.path().join(name), "").expect("write");
        }
        let names = |pattern: &str| {
            let found = files(&directory.path().join(pattern), 10).expect("pattern");
            let name = |path: PathBuf| path.file_name().expect("name").to_owned();
            found.into_iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names("*.yml"), ["a.yml", "b.yml"]);
        assert_eq!(names("c.json"), ["c.json"]);
        assert!(names("none/*").is_empty() && names("d.json").is_empty());
        assert!(files(&directory.path().join("[a"), 10).is_err());
        assert!(files(&directory.path().join("*.yml"), 1).is_err(), "too many");
        assert!(fits("[ab]?.json", "bc.json") && !fits("[ab", "a"));
    }
}
