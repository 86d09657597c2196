//! Label names in paths: `U__` marks a name whose other characters are written as code points.
//!
//! Source: `UnescapeName` with `ValueEncodingEscaping` of prometheus/common `model/metric.go`.

/// Most hexadecimal digits of one code point; more is no escape.
const DIGITS_MAX: usize = 6;

/// The name that `escaped` stands for: with the prefix `U__`, `__` is an underscore and `_2e_`
/// the character U+002E. A text that is no valid escape stands for itself.
#[must_use]
pub fn unescape(escaped: &str) -> String {
    let Some(body) = escaped.strip_prefix("U__") else {
        return escaped.to_owned();
    };
    unescape_body(body).unwrap_or_else(|| escaped.to_owned())
}

fn unescape_body(body: &str) -> Option<String> {
    let mut name = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('_') {
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            name.push('_');
            rest = after;
            continue;
        }
        let end = rest.find('_')?;
        let hexadecimal = &rest[..end];
        let digits = (1..=DIGITS_MAX).contains(&end);
        if !digits || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        name.push(char::from_u32(u32::from_str_radix(hexadecimal, 16).ok()?)?);
        rest = &rest[end + 1..];
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(escaped: &str, name: &str) {
        assert_eq!(unescape(escaped), name);
    }

    #[test]
    fn escaped_names_are_restored() {
        check("job", "job");
        check("U__no:escaping_required", "U__no:escaping_required");
        check("U__no:escaping__required", "no:escaping_required");
        check("U__mysystem_2e_prod_2e_west_2e_cpu_2e_load", "mysystem.prod.west.cpu.load");
        check("U__http_2e_status:sum", "http.status:sum");
        check("U___2200_", "\u{2200}");
        check("U__", "");
    }

    #[test]
    fn bad_escapes_stand_for_themselves() {
        for text in ["U__a_", "U__a_zz_", "U__a_1234567_", "U__a_d800_", "U__a_2e"] {
            check(text, text);
        }
    }
}
