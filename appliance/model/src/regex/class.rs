//! Character classes as Go's regexp/syntax defines them, written in the `regex` crate's notation.
//!
//! Source: Go 1.27 `regexp/syntax` (`perl_groups.go`, `parse.go`): Perl and POSIX classes are
//! ASCII, `\p` takes general categories and scripts only, names without regard to case, space, `_`
//! and `-`.

use std::fmt::Write;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Ranges of characters, both ends included.
type Ranges = &'static [(char, char)];

const DIGIT: Ranges = &[('0', '9')];
const SPACE_PERL: Ranges = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
const WORD: Ranges = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

const POSIX: [(&str, Ranges); 14] = [
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", DIGIT),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", WORD),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// A class that is being put together; under `(?i)` every member brings its other cases along.
#[derive(Debug)]
pub(super) struct Members {
    fold: bool,
    class: ClassUnicode,
}

impl Members {
    /// No member; `fold` says whether `(?i)` holds.
    pub(super) fn new(fold: bool) -> Members {
        Members { fold, class: ClassUnicode::empty() }
    }

    /// Adds the code points from `low` to `high`; surrogates are in no text and fall out.
    pub(super) fn add_range(&mut self, low: u32, high: u32) {
        let mut part = ClassUnicode::empty();
        for (from, to) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
            if let (true, Some(from), Some(to)) =
                (from <= to, char::from_u32(from), char::from_u32(to))
            {
                part.push(ClassUnicodeRange::new(from, to));
            }
        }
        self.add(part, false);
    }

    /// Adds a class, or all that is not in it; other cases are added before it is negated.
    pub(super) fn add(&mut self, mut part: ClassUnicode, negated: bool) {
        if self.fold {
            part.case_fold_simple();
        }
        if negated {
            part.negate();
        }
        self.class.union(&part);
    }

    /// The class, or its complement.
    pub(super) fn finish(mut self, negated: bool) -> ClassUnicode {
        if negated {
            self.class.negate();
        }
        self.class
    }
}

/// Class of `\d`, `\s`, `\w` and, negated, of `\D`, `\S`, `\W`.
pub(super) fn perl(letter: char) -> Option<(ClassUnicode, bool)> {
    let ranges = match letter.to_ascii_lowercase() {
        'd' => DIGIT,
        's' => SPACE_PERL,
        'w' => WORD,
        _ => return None,
    };
    Some((class_of(ranges), letter.is_ascii_uppercase()))
}

/// Class of a name between `[:` and `:]`, such as `alpha` or `^alpha`.
pub(super) fn posix(name: &str) -> Option<(ClassUnicode, bool)> {
    let (negated, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let (_, ranges) = POSIX.iter().find(|(posix, _)| *posix == name)?;
    Some((class_of(ranges), negated))
}

/// Class of a general category or script, such as `L`, `Lu`, `Greek`, `Any`.
pub(super) fn unicode(name: &str) -> Option<ClassUnicode> {
    let letters: String =
        name.chars().filter(|c| !" _-".contains(*c)).map(|c| c.to_ascii_lowercase()).collect();
    if letters.is_empty() || !letters.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    if matches!(letters.as_str(), "cs" | "surrogate") {
        return Some(ClassUnicode::empty());
    }
    ["gc", "sc"].iter().find_map(|property| {
        let hir = regex_syntax::parse(&format!("\\p{{{property}={letters}}}")).ok()?;
        match hir.into_kind() {
            HirKind::Class(Class::Unicode(class)) => Some(class),
            HirKind::Class(Class::Bytes(class)) => class.to_unicode_class(),
            HirKind::Literal(literal) => {
                let c = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
                Some(ClassUnicode::new([ClassUnicodeRange::new(c, c)]))
            }
            _ => None,
        }
    })
}

/// Appends `class` in the `regex` crate's notation.
pub(super) fn write(class: &ClassUnicode, out: &mut String) {
    match class.ranges() {
        [] => out.push_str("[a&&b]"),
        [one] if one.start() == one.end() => write_char(one.start(), out),
        ranges => {
            out.push('[');
            for range in ranges {
                write_char(range.start(), out);
                if range.start() != range.end() {
                    out.push('-');
                    write_char(range.end(), out);
                }
            }
            out.push(']');
        }
    }
}

/// Appends the character `c`, never read as an operator.
pub(super) fn write_char(c: char, out: &mut String) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() {
        out.push(c);
    } else {
        write!(out, "\\x{:02x}", u32::from(c)).expect("a String takes what is written to it");
    }
}

fn class_of(ranges: Ranges) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(from, to)| ClassUnicodeRange::new(*from, *to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(class: Option<ClassUnicode>, expected: &str) {
        let mut written = String::new();
        write(&class.expect("a known class"), &mut written);
        assert_eq!(written, expected);
    }

    #[test]
    fn classes_are_written_as_ranges() {
        check(perl('d').map(|(class, _)| class), "[0-9]");
        check(posix("^blank").map(|(class, _)| class), r"[\x09\x20]");
        check(unicode("lc").map(|_| ClassUnicode::empty()), "[a&&b]");
        check(unicode("Zl"), "\u{2028}");
        check(unicode("ascii"), r"[\x00-\x7f]");
        check(unicode("Cs"), "[a&&b]");
    }

    #[test]
    fn only_categories_and_scripts_have_names() {
        for name in ["L", "Lu", "Greek", "Any", "Letter", "old_italic", "Cn"] {
            assert!(unicode(name).is_some(), "{name}");
        }
        for name in ["", "Alphabetic", "sc=Greek", "gc:L", "age=3.0", "White_Space", "Ω"] {
            assert!(unicode(name).is_none(), "{name}");
        }
    }

    #[test]
    fn other_cases_come_before_the_negation() {
        let mut members = Members::new(true);
        members.add_range(u32::from('k'), u32::from('k'));
        check(Some(members.finish(false)), "[Kk\u{212a}]");
        let mut members = Members::new(false);
        members.add_range(0xd700, 0xe000);
        check(Some(members.finish(false)), "[\u{d700}-\u{d7ff}\u{e000}]");
    }
}
