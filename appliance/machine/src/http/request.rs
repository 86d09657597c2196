//! Request: the bytes of one GET.

use client::location::Place;
use scrape::fetch::{FetchFault, FetchRequest};

/// Writes the request for `place` onto `out`; `with_secrets` is false once a redirect led to
/// another host.
///
/// # Errors
/// `Unsupported` when a header field would break the request's lines.
pub fn write_request(
    request: &FetchRequest,
    place: &Place,
    with_secrets: bool,
    out: &mut Vec<u8>,
) -> Result<(), FetchFault> {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(place.path_and_query.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(place.authority.as_bytes());
    out.extend_from_slice(b"\r\n");
    let open = request.headers.len().saturating_sub(request.secret_headers);
    let count = if with_secrets { request.headers.len() } else { open };
    for (name, value) in &request.headers[..count] {
        let breaks = |text: &str| text.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0));
        if breaks(name) || breaks(value) || name.contains(':') {
            return Err(FetchFault::Unsupported(format!("header field {name:?}")));
        }
        for part in [name.as_str(), ": ", value.as_str(), "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}
