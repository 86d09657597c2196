//! Request: the bytes of one GET.

use client::access::Access;
use client::location::Place;
use client::proxy::Proxy;
use scrape::fetch::{FetchFault, FetchRequest};
use scrape::target::Scheme;

/// By which means a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// Headers of the configuration, when there are any.
    pub access: Option<&'a Access>,
    /// False once a redirect led to another host: credentials stay behind.
    pub with_secrets: bool,
    /// The proxy that takes the request or the tunnel through it.
    pub proxy: Option<&'a Proxy>,
}

/// Writes the request for `place` onto `out`.
///
/// # Errors
/// `Unsupported` when a header field would break the request's lines.
pub fn write_request(
    request: &FetchRequest,
    place: &Place,
    means: Means<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FetchFault> {
    // A proxy is told the whole URL; through a tunnel the target itself is asked.
    let proxy = means.proxy.filter(|_| place.scheme == Scheme::Http);
    out.extend_from_slice(b"GET ");
    if proxy.is_some() {
        out.extend_from_slice(b"http://");
        out.extend_from_slice(place.authority.as_bytes());
    }
    out.extend_from_slice(place.path_and_query.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(place.authority.as_bytes());
    out.extend_from_slice(b"\r\n");
    let own = request.headers.iter();
    let public = means.access.iter().flat_map(|access| &access.headers.public);
    let secret = means.access.filter(|_| means.with_secrets);
    let secret = secret.iter().flat_map(|access| &access.headers.secret);
    for (name, value) in own.chain(public).chain(secret) {
        let breaks = |text: &str| text.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0));
        if breaks(name) || breaks(value) || name.contains(':') {
            return Err(FetchFault::Unsupported(format!("header field {name:?}")));
        }
        write_field(name, value, out);
    }
    if let Some(value) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        write_field("Proxy-Authorization", value, out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn write_field(name: &str, value: &str, out: &mut Vec<u8>) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
