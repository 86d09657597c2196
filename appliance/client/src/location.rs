//! Location: where a request goes, and where a redirect leads from there.

use scrape::fetch::FetchFault;
use scrape::target::Scheme;

/// Where one request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// With or without TLS.
    pub scheme: Scheme,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Value of the Host header.
    pub authority: String,
    /// What follows GET.
    pub path_and_query: String,
}

impl Place {
    /// The place of an absolute URL.
    ///
    /// # Errors
    /// `Unsupported` for another scheme or credentials in the URL, `Malformed` for no URL.
    pub fn parse(url: &str) -> Result<Place, FetchFault> {
        let text = url.split('#').next().unwrap_or_default();
        match scheme(text) {
            Some((name, rest)) => match (scheme_of(name), rest.strip_prefix("//")) {
                (Some(scheme), Some(rest)) => absolute(scheme, rest),
                (None, _) => Err(FetchFault::Unsupported(format!("protocol scheme \"{name}\""))),
                (_, None) => Err(FetchFault::Malformed("URL without a host")),
            },
            None => Err(FetchFault::Malformed("URL without a scheme")),
        }
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme.text(), self.authority, self.path_and_query)
    }

    /// Where `location` leads when `self` answered with it.
    ///
    /// # Errors
    /// `Unsupported` for another scheme or credentials in the URL, `Malformed` for no URL.
    pub fn follow(&self, location: &[u8]) -> Result<Place, FetchFault> {
        let text = std::str::from_utf8(location)
            .map_err(|_| FetchFault::Malformed("Location is not UTF-8"))?;
        let text = text.split('#').next().unwrap_or_default();
        if let Some(rest) = text.strip_prefix("//") {
            return absolute(self.scheme, rest);
        }
        match scheme(text) {
            Some(_) => Place::parse(text),
            None => Ok(Place { path_and_query: self.join(text), ..self.clone() }),
        }
    }

    /// `reference` resolved against the path of `self` (RFC 3986, section 5.2).
    fn join(&self, reference: &str) -> String {
        let base = self.path_and_query.split('?').next().unwrap_or("/");
        let (path, query) = split_query(reference);
        let path = match path {
            "" if query.is_some() => base.to_owned(),
            "" => return self.path_and_query.clone(),
            path if path.starts_with('/') => without_dots(path),
            path => {
                let directory = base.rfind('/').map_or("/", |slash| &base[..=slash]);
                without_dots(&format!("{directory}{path}"))
            }
        };
        encoded(&path, query)
    }
}

/// Scheme and what follows its colon; `None` for a relative reference.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let colon = text.find(':')?;
    let (name, rest) = (&text[..colon], &text[colon + 1..]);
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (starts && plain).then_some((name, rest))
}

fn scheme_of(name: &str) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https].into_iter().find(|known| name.eq_ignore_ascii_case(known.text()))
}

/// A place from what follows `http://`.
fn absolute(scheme: Scheme, rest: &str) -> Result<Place, FetchFault> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, reference) = rest.split_at(end);
    if authority.contains('@') {
        return Err(FetchFault::Unsupported("credentials in the URL".to_owned()));
    }
    let odd = |b: u8| b <= b' ' || 0x7f <= b;
    if authority.is_empty() || authority.bytes().any(odd) {
        return Err(FetchFault::Malformed("URL without a valid host"));
    }
    let (host, port) = host_and_port(authority, scheme)?;
    let (path, query) = split_query(reference);
    let path = if path.is_empty() { "/".to_owned() } else { without_dots(path) };
    Ok(Place {
        scheme,
        host: host.to_owned(),
        port,
        authority: authority.to_owned(),
        path_and_query: encoded(&path, query),
    })
}

fn host_and_port(authority: &str, scheme: Scheme) -> Result<(&str, u16), FetchFault> {
    let bad = FetchFault::Malformed("URL without a valid host");
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(|| bad.clone())?;
            match after {
                "" => (host, None),
                after => (host, Some(after.strip_prefix(':').ok_or_else(|| bad.clone())?)),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        None | Some("") => scheme.port_default(),
        Some(port) => port.parse().map_err(|_| bad.clone())?,
    };
    if host.is_empty() || port == 0 { Err(bad) } else { Ok((host, port)) }
}

fn split_query(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    }
}

fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let last = path.rsplit('/').next().unwrap_or_default();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let slash = if matches!(last, "." | "..") && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

/// Path and query with the bytes encoded that would break the request's line.
fn encoded(path: &str, query: Option<&str>) -> String {
    let mut out = String::with_capacity(path.len() + query.map_or(0, str::len) + 1);
    let mut put = |text: &str| {
        for byte in text.bytes() {
            if byte <= b' ' || 0x7f <= byte {
                out.push_str(&format!("%{byte:02X}"));
            } else {
                out.push(char::from(byte));
            }
        }
    };
    put(path);
    if let Some(query) = query {
        put("?");
        put(query);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(location: &str, expected: &str) {
        let base = Place {
            scheme: Scheme::Http,
            host: "a".to_owned(),
            port: 9100,
            authority: "a:9100".to_owned(),
            path_and_query: "/b/c?d=1".to_owned(),
        };
        let rendered = match base.follow(location.as_bytes()) {
            Ok(place) => {
                format!("{} {} {}", place.host, place.port, place.url())
            }
            Err(fault) => fault.to_string(),
        };
        assert_eq!(rendered, expected, "{location:?}");
    }

    #[test]
    fn locations_lead_where_they_should() {
        check("/m", "a 9100 http://a:9100/m");
        check("m?x=1#top", "a 9100 http://a:9100/b/m?x=1");
        check("?x", "a 9100 http://a:9100/b/c?x");
        check("", "a 9100 http://a:9100/b/c?d=1");
        check("../../m/./n/..", "a 9100 http://a:9100/m/");
        check("http://x", "x 80 http://x/");
        check("HTTP://x:81?q", "x 81 http://x:81/?q");
        check("//[::1]:82/m n", "::1 82 http://[::1]:82/m%20n");
        check("m/a:b", "a 9100 http://a:9100/b/m/a:b");
        check("HTTPS://x/m", "x 443 https://x/m");
        check("/é", "a 9100 http://a:9100/%C3%A9");
    }

    #[test]
    fn bad_locations_are_refused() {
        check("file:/x", "unsupported protocol scheme \"file\"");
        check("http://u:p@x/", "unsupported credentials in the URL");
        for text in ["http:x", "http:///x", "http://x:0/", "http://x:65536/", "http://[::1/"] {
            let base = Place {
                scheme: Scheme::Http,
                host: String::new(),
                port: 1,
                authority: String::new(),
                path_and_query: "/".to_owned(),
            };
            let fault = base.follow(text.as_bytes());
            assert!(matches!(fault, Err(FetchFault::Malformed(_))), "{text:?}: {fault:?}");
        }
    }
}
