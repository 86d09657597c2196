//! Response: whether a response may be read as samples.

use crate::error::ScrapeError;
use crate::fetch::Fetched;
use crate::target::Fallback;

const OK: u16 = 200;

/// Whether the body of `fetched` is to be read as Prometheus text. An empty body is, whatever its
/// Content-Type: it has no samples.
///
/// # Errors
/// The status is not 200, or the Content-Type is missing, malformed or not read and there is no
/// fallback.
pub fn check(fetched: &Fetched<'_>, fallback: Fallback) -> Result<(), ScrapeError> {
    if fetched.status != OK {
        let reason = reason(fetched.status);
        return Err(ScrapeError::Status { code: fetched.status, reason });
    }
    if fetched.body.is_empty() || fallback == Fallback::Text {
        // Upstream reads any media type that it does not know by the fallback; of those that it
        // knows, text is the only one read here.
        return Ok(());
    }
    let content_type = fetched.content_type;
    if content_type.is_empty() {
        return Err(ScrapeError::ContentTypeBlank);
    }
    match media_type(content_type) {
        None => Err(ScrapeError::ContentTypeMalformed(content_type.to_owned())),
        Some(media) if media == "text/plain" => Ok(()),
        Some(_) => Err(ScrapeError::ContentTypeUnsupported(content_type.to_owned())),
    }
}

/// The media type in lower case; `None` where Go's `mime.ParseMediaType` sees an error before the
/// parameters. Parameters are not looked at.
fn media_type(content_type: &str) -> Option<String> {
    let media = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let token = |text: &str| {
        let legal = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
        !text.is_empty() && text.bytes().all(legal)
    };
    let legal = match media.split_once('/') {
        Some((major, minor)) => token(major) && token(minor),
        None => token(&media),
    };
    legal.then_some(media)
}

/// The usual phrase of a status code (RFC 9110 and its register, as Go's `http.StatusText`).
fn reason(status: u16) -> &'static str {
    match status {
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request URI Too Long",
        415 => "Unsupported Media Type",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_text(status: u16, content_type: &str, fallback: Fallback, expected: &str) {
        let fetched = Fetched { status, content_type, body: b"up 1\n", wire_bytes: 5 };
        let text = check(&fetched, fallback).map_or_else(|error| error.to_string(), |()| "".into());
        assert_eq!(text, expected);
    }

    #[test]
    fn status_and_content_type_are_checked_in_upstreams_words() {
        check_text(200, "text/plain; version=0.0.4; charset=utf-8", Fallback::None, "");
        check_text(200, "TEXT/PLAIN", Fallback::None, "");
        check_text(
            500,
            "text/plain",
            Fallback::None,
            "server returned HTTP status 500 Internal Server Error",
        );
        check_text(
            200,
            "",
            Fallback::None,
            "non-compliant scrape target sending blank Content-Type and no \
             fallback_scrape_protocol specified for target",
        );
        check_text(
            200,
            "text/html",
            Fallback::None,
            "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol \
             specified for target",
        );
        check_text(
            200,
            "text//plain",
            Fallback::None,
            "cannot parse Content-Type \"text//plain\" and no fallback_scrape_protocol for target",
        );
        check_text(200, "", Fallback::Text, "");
        check_text(200, "text/html", Fallback::Text, "");
    }

    #[test]
    fn an_empty_body_needs_no_content_type() {
        let fetched = Fetched { status: 200, content_type: "", body: b"", wire_bytes: 0 };
        assert_eq!(check(&fetched, Fallback::None), Ok(()));
    }
}
