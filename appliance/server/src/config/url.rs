//! Url: the parts of a URL that checks ask for, refused where Go's parser refuses it.

use model::label_name::quote;

/// What checks ask of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlParts {
    /// In lower case, "" when there is none.
    pub scheme: String,
    /// With the port, "" when there is none.
    pub host: String,
}

/// The parts of `text`.
///
/// # Errors
/// It is no URL, in the words of Go's `url.Parse`.
pub fn parts(text: &str) -> Result<UrlParts, String> {
    let fault = |what: &str| format!("parse {}: {what}", quote(text));
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err(fault("net/url: invalid control character in URL"));
    }
    let (text, _) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = scheme(text).ok_or_else(|| fault("missing protocol scheme"))?;
    let (path, _) = rest.split_once('?').unwrap_or((rest, ""));
    let mut host = String::new();
    if let Some(authority) = path.strip_prefix("//") {
        let end = authority.find('/').unwrap_or(authority.len());
        let (user, name) = authority[..end].rsplit_once('@').unwrap_or(("", &authority[..end]));
        check_host(name).and_then(|()| check_escapes(user)).map_err(|what| fault(&what))?;
        check_escapes(&authority[end..]).map_err(|what| fault(&what))?;
        name.clone_into(&mut host);
    } else {
        let first = path.split('/').next().unwrap_or("");
        if scheme.is_empty() && first.contains(':') {
            return Err(fault("first path segment in URL cannot contain colon"));
        }
        check_escapes(path).map_err(|what| fault(&what))?;
    }
    Ok(UrlParts { scheme, host })
}

/// The scheme and what follows its colon; `None` when a colon comes first.
fn scheme(text: &str) -> Option<(String, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    match text[end..].strip_prefix(':') {
        Some(_) if end == 0 => None,
        Some(rest) if text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Some((text[..end].to_ascii_lowercase(), rest))
        }
        _ => Some((String::new(), text)),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let after = match host.strip_prefix('[') {
        Some(literal) => literal.split_once(']').ok_or("missing ']' in host")?.1,
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let is_port =
        after.strip_prefix(':').is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let is_end = after.is_empty() || after.starts_with(':');
    if !is_port || !is_end {
        return Err(format!("invalid port {} after host", quote(after)));
    }
    if let Some(bad) = host.chars().find(|c| " <>\"\\^`{|}".contains(*c)) {
        return Err(format!("invalid character {} in host name", quote(&bad.to_string())));
    }
    check_escapes(host)
}

fn check_escapes(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let escape = text.as_bytes().get(at..at + 3);
        if !escape.is_some_and(|escape| escape[1..].iter().all(u8::is_ascii_hexdigit)) {
            let shown: String = text[at..].chars().take(3).collect();
            return Err(format!("invalid URL escape {}", quote(&shown)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match parts(text) {
            Ok(UrlParts { scheme, host }) => format!("{scheme} {host}"),
            Err(error) => error,
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn urls_have_a_scheme_and_a_host() {
        check("http://remote1/push", "http remote1");
        check("HTTPS://u:p@a.b:443/x?y#z", "https a.b:443");
        check("unix:///var/run/docker.sock", "unix ");
        check("http://[::1]:80", "http [::1]:80");
        check("localhost/path", " ");
        check("", " ");
        check("http:", "http ");
    }

    #[test]
    fn what_go_refuses_is_refused() {
        check(":a", "parse \":a\": missing protocol scheme");
        check("1:a", "parse \"1:a\": first path segment in URL cannot contain colon");
        check("http://a:b/", "parse \"http://a:b/\": invalid port \":b\" after host");
        check("http://a b/", "parse \"http://a b/\": invalid character \" \" in host name");
        check("http://a/%zz", "parse \"http://a/%zz\": invalid URL escape \"%zz\"");
        check("http://[::1/", "parse \"http://[::1/\": missing ']' in host");
    }
}
