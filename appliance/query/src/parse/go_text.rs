//! Texts as Go's `fmt` and `strconv` lay them out: Prometheus's messages are made of them.

use std::fmt::Write as _;

/// First character of `bytes` and its length; a byte that begins no UTF-8 sequence reads as
/// U+FFFD of length 1, as Go's `utf8.DecodeRune` has it.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((char::from(first), 1));
    }
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
    };
    Some(valid.chars().next().map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())))
}

/// `%q` of a text: in double quotes, escaped.
#[must_use]
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    let mut rest = bytes;
    while let Some((c, length)) = decode(rest) {
        if c == char::REPLACEMENT_CHARACTER && length == 1 {
            let _ = write!(quoted, "\\x{:02x}", rest[0]);
        } else {
            push_escaped(&mut quoted, c, '"');
        }
        rest = &rest[length..];
    }
    quoted.push('"');
    quoted
}

/// `%q` of a character: in single quotes, escaped; the end of the text reads as U+FFFD.
#[must_use]
pub(crate) fn quote_char(c: Option<char>) -> String {
    let mut quoted = String::from("'");
    push_escaped(&mut quoted, c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'');
    quoted.push('\'');
    quoted
}

/// `%#U` of a character: `U+002E '.'`.
#[must_use]
pub(crate) fn unicode_char(c: char) -> String {
    let number = u32::from(c);
    if is_printable(c) { format!("U+{number:04X} '{c}'") } else { format!("U+{number:04X}") }
}

fn push_escaped(text: &mut String, c: char, quote: char) {
    match c {
        c if c == quote || c == '\\' => {
            text.push('\\');
            text.push(c);
        }
        '\u{7}' => text.push_str("\\a"),
        '\u{8}' => text.push_str("\\b"),
        '\u{c}' => text.push_str("\\f"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\u{b}' => text.push_str("\\v"),
        c if is_printable(c) => text.push(c),
        c if c < ' ' || c == '\u{7f}' => {
            let _ = write!(text, "\\x{:02x}", u32::from(c));
        }
        c if u32::from(c) < 0x1_0000 => {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        }
        c => {
            let _ = write!(text, "\\U{:08x}", u32::from(c));
        }
    }
}

/// Go's `strconv.IsPrint` as far as the standard library knows categories: no control characters,
/// no spaces but the ASCII one, no private use, no format characters of the common blocks.
fn is_printable(c: char) -> bool {
    let format = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    let private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
    let space = c.is_whitespace() && c != ' ';
    !(c.is_control() || format || private || space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_go_does() {
        assert_eq!(quote_bytes("a\"b\\\n\u{1}é".as_bytes()), r#""a\"b\\\n\x01é""#);
        assert_eq!(quote_bytes(b"a\xffb\xc3"), r#""a\xffb\xc3""#);
        assert_eq!(quote_bytes("\u{a0}\u{e000}".as_bytes()), r#""\u00a0\ue000""#);
        assert_eq!(quote_char(Some('\'')), r"'\''");
        assert_eq!(quote_char(Some('"')), "'\"'");
        assert_eq!(quote_char(None), "'\u{fffd}'");
        assert_eq!(unicode_char('.'), "U+002E '.'");
        assert_eq!(unicode_char('\n'), "U+000A");
    }
}
