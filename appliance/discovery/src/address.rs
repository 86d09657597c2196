//! Address: names and addresses as labels carry them.

use std::fmt::Write as _;

/// As Go's `net.JoinHostPort`.
#[must_use]
pub fn join(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// `name` as the end of a label name: what is neither letter, digit nor `_` becomes `_`.
#[must_use]
pub fn sanitized(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    name.chars().map(plain).collect()
}

/// `text` as part of a URL, percent-encoded.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            other => {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "%{other:02X}");
            }
        }
    }
    escaped
}

/// `parts` between separators, one at each end too, so that patterns need not know about places;
/// "" when there are none.
#[must_use]
pub fn surrounded(parts: &[String], separator: &str) -> String {
    if parts.is_empty() {
        return String::new();
    }
    format!("{separator}{}{separator}", parts.join(separator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_written_as_upstream_does() {
        assert_eq!(join("a", 1), "a:1");
        assert_eq!(join("::1", "2"), "[::1]:2");
        assert_eq!(sanitized("app.kubernetes.io/näme-1"), "app_kubernetes_io_n_me_1");
        assert_eq!(escaped("a b/ü~"), "a%20b%2F%C3%BC~");
        assert_eq!(surrounded(&["a".to_owned(), "b".to_owned()], ","), ",a,b,");
        assert_eq!(surrounded(&[], ","), "");
    }
}
