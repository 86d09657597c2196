//! Names of labels and metrics: which are legal where, how they are quoted and escaped.
//!
//! Names may be any UTF-8 text. The classic alphabet decides which need quotes in PromQL, and the
//! escaped form `U__…` carries the others through URL paths and old protocols. Quotes are those of
//! Go's `strconv`, which Prometheus prints and PromQL reads.
//!
//! Invariants
//! - E1: unescaping an escaped name gives the name, below plane 16 of Unicode.
//! - E2: unquoting a quoted text gives the text.

use std::fmt::Write;
use std::sync::OnceLock;

use regex_syntax::hir::{Class, ClassUnicode, HirKind};
use thiserror::Error;

/// Mark of an escaped name.
const ESCAPED_PREFIX: &str = "U__";
/// Hexadecimal digits an escaped character may have before Prometheus stops reading; characters of
/// plane 16 have six, so it never reads those back, and neither do we.
const ESCAPED_DIGITS_MAX: usize = 5;

/// Whether `name` is a label name of the classic alphabet: `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_legacy_label_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_')
}

/// Whether `name` is a metric name of the classic alphabet: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[must_use]
pub fn is_legacy_metric_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_' || byte == b':')
}

fn is_name(name: &str, extra: impl Fn(u8) -> bool) -> bool {
    let starts = |byte: u8| byte.is_ascii_alphabetic() || extra(byte);
    let mut bytes = name.bytes();
    bytes.next().is_some_and(starts) && bytes.all(|byte| starts(byte) || byte.is_ascii_digit())
}

/// `text` in double quotes, escaped as Go's `strconv.Quote` does.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{b}' => quoted.push_str("\\v"),
            c if is_printable(c) => quoted.push(c),
            c => push_code_point(&mut quoted, u32::from(c)),
        }
    }
    quoted.push('"');
    debug_assert!(unquote(&quoted).as_deref() == Ok(text), "E2: {quoted} does not read back");
    quoted
}

fn push_code_point(quoted: &mut String, code_point: u32) {
    let written = match code_point {
        0..0x80 => write!(quoted, "\\x{code_point:02x}"),
        0x80..0x1_0000 => write!(quoted, "\\u{code_point:04x}"),
        _ => write!(quoted, "\\U{code_point:08x}"),
    };
    written.expect("a String takes what is written");
}

/// Whether Go prints `c` as it is: letters, marks, numbers, punctuation, symbols, and of the spaces
/// only the ASCII one.
fn is_printable(c: char) -> bool {
    static PRINTABLE: OnceLock<ClassUnicode> = OnceLock::new();
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    let class = PRINTABLE.get_or_init(|| {
        let hir = regex_syntax::parse(r"[\pL\pM\pN\pP\pS]").expect("a constant pattern");
        match hir.into_kind() {
            HirKind::Class(Class::Unicode(class)) => class,
            _ => unreachable!("a constant pattern that is a class"),
        }
    });
    let before = class.ranges().partition_point(|range| range.end() < c);
    class.ranges().get(before).is_some_and(|range| range.start() <= c)
}

/// Why a text in quotes is no Go string, and at which byte of it, the quotes counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnquoteError {
    /// The text is not enclosed in two equal quotes: `"`, `'` or a backquote.
    #[error("missing quotes")]
    Quotes,
    /// A quote or a line break that ought to be escaped.
    #[error("unescaped {c:?} at byte {offset}")]
    Unescaped {
        /// Where it stands.
        offset: usize,
        /// The character.
        c: char,
    },
    /// An escape that Go does not know, or one with too few digits.
    #[error("unknown escape sequence at byte {offset}")]
    Escape {
        /// Where its backslash stands.
        offset: usize,
    },
    /// An escape whose number is no character or, in `\377`, no byte.
    #[error("escape sequence at byte {offset} is no valid code point")]
    CodePoint {
        /// Where its backslash stands.
        offset: usize,
    },
    /// Escaped bytes that together are no UTF-8 text.
    #[error("escaped bytes are no valid UTF-8")]
    Utf8,
}

/// The text of a Go string literal in double, single or back quotes, as PromQL reads strings.
///
/// # Errors
/// See [`UnquoteError`].
pub fn unquote(quoted: &str) -> Result<String, UnquoteError> {
    let mark = quoted.chars().next().filter(|c| "\"'`".contains(*c)).ok_or(UnquoteError::Quotes)?;
    let inside = quoted[1..].strip_suffix(mark).ok_or(UnquoteError::Quotes)?;
    if mark == '`' {
        return match inside.find('`') {
            Some(at) => Err(UnquoteError::Unescaped { offset: at + 1, c: '`' }),
            None => Ok(inside.to_owned()),
        };
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(c) = rest.chars().next() {
        let offset = 1 + inside.len() - rest.len();
        rest = &rest[c.len_utf8()..];
        if c == mark || c == '\n' {
            return Err(UnquoteError::Unescaped { offset, c });
        }
        if c == '\\' {
            rest = unescape_sequence(rest, mark, offset, &mut bytes)?;
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    String::from_utf8(bytes).map_err(|_| UnquoteError::Utf8)
}

/// Appends what the escape after a backslash stands for; gives what follows it.
fn unescape_sequence<'a>(
    text: &'a str,
    mark: char,
    offset: usize,
    bytes: &mut Vec<u8>,
) -> Result<&'a str, UnquoteError> {
    let c = text.chars().next().ok_or(UnquoteError::Escape { offset })?;
    let simple = match c {
        'a' => Some(7),
        'b' => Some(8),
        't' => Some(9),
        'n' => Some(10),
        'v' => Some(11),
        'f' => Some(12),
        'r' => Some(13),
        '\\' => Some(b'\\'),
        '"' | '\'' if c == mark => Some(if c == '"' { b'"' } else { b'\'' }),
        _ => None,
    };
    if let Some(byte) = simple {
        bytes.push(byte);
        return Ok(&text[1..]);
    }
    let (start, count, radix) = match c {
        '0'..='7' => (0, 3, 8),
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        _ => return Err(UnquoteError::Escape { offset }),
    };
    let digits = text.get(start..start + count).ok_or(UnquoteError::Escape { offset })?;
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(UnquoteError::Escape { offset });
    }
    let invalid = UnquoteError::CodePoint { offset };
    let number = u32::from_str_radix(digits, radix).map_err(|_| invalid)?;
    if count <= 3 {
        bytes.push(u8::try_from(number).map_err(|_| invalid)?);
    } else {
        let c = char::from_u32(number).ok_or(invalid)?;
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(&text[start + count..])
}

/// `name` in classic letters: as it is where it is classic, else `U__` and the name with `_` as
/// `__` and other characters as `_<hexadecimal>_` (Prometheus's scheme `values`).
#[must_use]
pub fn escape_name(name: &str) -> String {
    if name.is_empty() || is_legacy_metric_name(name) {
        return name.to_owned();
    }
    let mut escaped = String::with_capacity(2 * name.len());
    escaped.push_str(ESCAPED_PREFIX);
    for (at, c) in name.char_indices() {
        match c {
            '_' => escaped.push_str("__"),
            ':' => escaped.push(c),
            c if c.is_ascii_alphabetic() || 0 < at && c.is_ascii_digit() => escaped.push(c),
            c => write!(escaped, "_{:x}_", u32::from(c)).expect("a String takes what is written"),
        }
    }
    debug_assert!(
        name.chars().any(|c| '\u{fffff}' < c) || unescape_name(&escaped) == name,
        "E1: {escaped} does not give {name} back"
    );
    escaped
}

/// The name that [`escape_name`] made `text` of; `text` itself when it is no escaped name.
#[must_use]
pub fn unescape_name(text: &str) -> String {
    text.strip_prefix(ESCAPED_PREFIX).and_then(unescape).unwrap_or_else(|| text.to_owned())
}

fn unescape(escaped: &str) -> Option<String> {
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((plain, after)) = rest.split_once('_') {
        name.push_str(plain);
        if let Some(after) = after.strip_prefix('_') {
            name.push('_');
            rest = after;
            continue;
        }
        let (digits, after) = after.split_once('_')?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hexadecimal || ESCAPED_DIGITS_MAX < digits.len() {
            return None;
        }
        name.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = after;
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classic_names_are_told_apart() {
        for (name, label, metric) in [
            ("up", true, true),
            ("_a9", true, true),
            ("job:up:sum", false, true),
            ("9a", false, false),
            ("", false, false),
            ("http.status", false, false),
            ("größe", false, false),
        ] {
            assert_eq!((is_legacy_label_name(name), is_legacy_metric_name(name)), (label, metric));
        }
    }

    #[test]
    fn texts_are_quoted_as_go_does() {
        for (text, quoted) in [
            ("a\"b\\c'", r#""a\"b\\c'""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\0\u{1f}\u{7f}", r#""\x00\x1f\x7f""#),
            ("\u{80}\u{a0}\u{200b}\u{2028}", r#""\u0080\u00a0\u200b\u2028""#),
            ("\u{e000}\u{f0000}", r#""\ue000\U000f0000""#),
            ("größe 花 😱 \u{301}", "\"größe 花 😱 \u{301}\""),
        ] {
            assert_eq!(quote(text), quoted);
            assert_eq!(unquote(quoted).as_deref(), Ok(text));
        }
    }

    #[track_caller]
    fn check_unquote(quoted: &str, expected: Result<&str, UnquoteError>) {
        assert_eq!(unquote(quoted), expected.map(str::to_owned), "{quoted}");
    }

    #[test]
    fn strings_are_unquoted_as_go_does() {
        check_unquote(r"'it\'s'", Ok("it's"));
        check_unquote(r"`a\n`", Ok(r"a\n"));
        check_unquote("`a\nb`", Ok("a\nb"));
        check_unquote(r#""\101\x41\u0041\U00000041""#, Ok("AAAA"));
        check_unquote(r#""\303\xa9""#, Ok("é"));
        check_unquote(r#""\"#, Err(UnquoteError::Quotes));
        check_unquote("\"", Err(UnquoteError::Quotes));
        check_unquote("a", Err(UnquoteError::Quotes));
        check_unquote("", Err(UnquoteError::Quotes));
        check_unquote("\"a'", Err(UnquoteError::Quotes));
        check_unquote(r#""a"b""#, Err(UnquoteError::Unescaped { offset: 2, c: '"' }));
        check_unquote("'\n'", Err(UnquoteError::Unescaped { offset: 1, c: '\n' }));
        check_unquote(r#""é\'""#, Err(UnquoteError::Escape { offset: 3 }));
        check_unquote(r#""\z""#, Err(UnquoteError::Escape { offset: 1 }));
        check_unquote(r#""\""#, Err(UnquoteError::Escape { offset: 1 }));
        check_unquote(r#""\x4""#, Err(UnquoteError::Escape { offset: 1 }));
        check_unquote(r#""\400""#, Err(UnquoteError::CodePoint { offset: 1 }));
        check_unquote(r#""\ud800""#, Err(UnquoteError::CodePoint { offset: 1 }));
        check_unquote(r#""\xff""#, Err(UnquoteError::Utf8));
    }

    #[track_caller]
    fn check(name: &str, escaped: &str) {
        assert_eq!(escape_name(name), escaped);
        assert_eq!(unescape_name(escaped), name);
    }

    #[test]
    fn names_are_escaped_as_prometheus_does() {
        check("", "");
        check("no:escaping_required", "no:escaping_required");
        check("mysystem.prod.west.cpu.load", "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load");
        check("mysystem.cpu_load", "U__mysystem_2e_cpu__load");
        check("http.status:sum", "U__http_2e_status:sum");
        check("9lives", "U___39_lives");
        check("label with 😱", "U__label_20_with_20__1f631_");
        check("花火", "U___82b1__706b_");
    }

    #[test]
    fn what_is_no_escaped_name_stays() {
        for text in ["up", "U_a", "U__a_", "U__a_zz_", "U__a_1234567_b", "U___d800_", "U__a_2e"] {
            assert_eq!(unescape_name(text), text);
        }
    }

    proptest! {
        #[test]
        fn e1_escaped_names_read_back(name in "[a-zA-Z0-9_:. \u{80}-\u{fffff}]{0,20}") {
            prop_assume!(!name.starts_with(ESCAPED_PREFIX));
            let escaped = escape_name(&name);
            prop_assert!(escaped.is_ascii());
            prop_assert_eq!(unescape_name(&escaped), name, "E1");
        }

        #[test]
        fn e2_quoted_texts_read_back(text in any::<String>()) {
            prop_assert_eq!(unquote(&quote(&text)), Ok(text), "E2");
        }

        #[test]
        fn any_text_is_unquoted_without_panic(text in "[\"'`][\\\\\"xuU0-9a-fé\n]{0,12}[\"'`]?") {
            let _ = unquote(&text);
        }

        #[test]
        fn any_text_is_unescaped_without_panic(text in "U__[_0-9a-fé]{0,12}") {
            let _ = unescape_name(&text);
        }
    }
}
