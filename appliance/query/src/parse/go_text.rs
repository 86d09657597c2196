//! Texts as Go's `fmt` and `strconv` lay them out: Prometheus's messages are made of them.

use std::fmt::Write as _;

use model::label_name::quote;

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

/// `%q` of a text: in double quotes, escaped; bytes that are no UTF-8 as `\xff`.
#[must_use]
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        quoted.push_str(&escaped(chunk.valid()));
        for byte in chunk.invalid() {
            write!(quoted, "\\x{byte:02x}").expect("a String takes what is written");
        }
    }
    quoted.push('"');
    quoted
}

/// `%q` of a character: in single quotes, escaped; the end of the text reads as U+FFFD.
#[must_use]
pub(crate) fn quote_char(c: Option<char>) -> String {
    match c.unwrap_or(char::REPLACEMENT_CHARACTER) {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => format!("'{}'", escaped(&c.to_string())),
    }
}

/// `%#U` of a character: `U+002E '.'`; the character only if it is printable.
#[must_use]
pub(crate) fn unicode_char(c: char) -> String {
    let number = u32::from(c);
    let printable = matches!(c, '"' | '\\') || escaped(&c.to_string()) == c.to_string();
    if printable { format!("U+{number:04X} '{c}'") } else { format!("U+{number:04X}") }
}

/// `text` escaped as within double quotes.
fn escaped(text: &str) -> String {
    let quoted = quote(text);
    quoted[1..quoted.len() - 1].to_owned()
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
        assert_eq!(unicode_char('"'), "U+0022 '\"'");
        assert_eq!(unicode_char('\n'), "U+000A");
    }
}
