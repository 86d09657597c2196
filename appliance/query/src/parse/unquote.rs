//! Text of a quoted string: `"..."` and `'...'` with Go's escapes, `` `...` `` as it stands.
//!
//! `model::label_name::unquote` refuses bytes that make no UTF-8; a query that holds them parses.

/// The text inside the quotes, escapes resolved; `None` when it is malformed. Bytes written as
/// `\xff` that make no UTF-8 become U+FFFD: texts are UTF-8 everywhere in the appliance.
pub(crate) fn unquote(quoted: &str) -> Option<String> {
    let quote = *quoted.as_bytes().first()?;
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if quoted.len() < 2 || quoted.as_bytes().last() != Some(&quote) {
        return None;
    }
    match quote {
        b'`' => return (!inner.contains('`')).then(|| inner.to_owned()),
        b'"' | b'\'' if inner.contains('\n') => return None,
        b'"' | b'\'' if !inner.contains('\\') => {
            return (!inner.as_bytes().contains(&quote)).then(|| inner.to_owned());
        }
        b'"' | b'\'' => {}
        _ => return None,
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match *first {
            byte if byte == quote => return None,
            b'\\' => unescape(tail, quote, &mut bytes)?,
            byte => {
                bytes.push(byte);
                tail
            }
        };
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Resolves the escape whose backslash stood before `rest`; gives what follows it.
fn unescape<'a>(rest: &'a [u8], quote: u8, bytes: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (letter, tail) = rest.split_first()?;
    let plain = match *letter {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        byte @ (b'\'' | b'"') if byte == quote => byte,
        b'0'..=b'7' => {
            let number = radix_number(rest.get(..3)?, 8)?;
            bytes.push(u8::try_from(number).ok()?);
            return rest.get(3..);
        }
        b'x' => {
            let number = radix_number(tail.get(..2)?, 16)?;
            bytes.push(u8::try_from(number).ok()?);
            return tail.get(2..);
        }
        long @ (b'u' | b'U') => {
            let digits = if long == b'u' { 4 } else { 8 };
            let number = radix_number(tail.get(..digits)?, 16)?;
            let c = char::from_u32(number)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return tail.get(digits..);
        }
        _ => return None,
    };
    bytes.push(plain);
    Some(tail)
}

fn radix_number(digits: &[u8], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0u32, |number, digit| {
        number.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(quoted: &str, expected: Option<&str>) {
        assert_eq!(unquote(quoted).as_deref(), expected, "{quoted}");
    }

    #[test]
    fn escapes_are_resolved() {
        check(r#""a\n\"b\\""#, Some("a\n\"b\\"));
        check(r"'it\'s'", Some("it's"));
        check(r"`\d+`", Some("\\d+"));
        check(r#""\x41\101\u00e9\U0001F600""#, Some("AA\u{e9}\u{1f600}"));
        check(r#""\xc3\xa9""#, Some("\u{e9}"));
        check(r#""\xff""#, Some("\u{fffd}"));
    }

    #[test]
    fn malformed_strings_are_none() {
        for quoted in ["", "\"", "\"a", "'a\"", "\"\\'\"", r#""\q""#, r#""\x4""#, r#""\400""#] {
            check(quoted, None);
        }
    }
}
