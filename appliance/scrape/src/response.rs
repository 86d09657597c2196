//! Response: whether a response may be read as samples.

use exposition::body::Format;
use exposition::dialect::Dialect;

use crate::error::ScrapeError;
use crate::fetch::Fetched;
use crate::protocol::Protocol;

const OK: u16 = 200;

/// The format in which the body of `fetched` is to be read; an empty body has no samples in any.
///
/// # Errors
/// The status is not 200, or the Content-Type is missing, malformed or not read and there is no
/// fallback.
pub fn format(fetched: &Fetched<'_>, fallback: Option<Protocol>) -> Result<Format, ScrapeError> {
    if fetched.status != OK {
        let reason = reason(fetched.status);
        return Err(ScrapeError::Status { code: fetched.status, reason });
    }
    let content_type = fetched.content_type;
    let media = media_type(content_type);
    match media.as_deref() {
        Some("text/plain") => return Ok(Format::Text(Dialect::Text)),
        Some("application/openmetrics-text") => return Ok(Format::Text(Dialect::OpenMetrics)),
        Some("application/vnd.google.protobuf") => return Ok(Format::Protobuf),
        _ => {}
    }
    if let Some(fallback) = fallback {
        return Ok(fallback.format());
    }
    if fetched.body.is_empty() {
        return Ok(Format::Text(Dialect::Text));
    }
    let owned = content_type.to_owned();
    Err(match media {
        _ if content_type.is_empty() => ScrapeError::ContentTypeBlank,
        None => ScrapeError::ContentTypeMalformed(owned),
        Some(_) => ScrapeError::ContentTypeUnsupported(owned),
    })
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
    fn check(status: u16, content_type: &str, fallback: Option<Protocol>, expected: &str) {
        let fetched = Fetched { status, content_type, body: b"up 1\n", wire_bytes: 5 };
        let found = format(&fetched, fallback);
        let text = found.map_or_else(|error| error.to_string(), |format| format!("{format:?}"));
        assert_eq!(text, expected);
    }

    #[test]
    fn status_and_content_type_are_checked_in_upstreams_words() {
        check(200, "text/plain; version=0.0.4; charset=utf-8", None, "Text(Text)");
        check(200, "TEXT/PLAIN", None, "Text(Text)");
        check(200, "application/openmetrics-text; version=1.0.0", None, "Text(OpenMetrics)");
        check(200, "application/vnd.google.protobuf; proto=x", None, "Protobuf");
        check(500, "text/plain", None, "server returned HTTP status 500 Internal Server Error");
        check(
            200,
            "",
            None,
            "non-compliant scrape target sending blank Content-Type and no \
             fallback_scrape_protocol specified for target",
        );
        check(
            200,
            "text/html",
            None,
            "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol \
             specified for target",
        );
        check(
            200,
            "text//plain",
            None,
            "cannot parse Content-Type \"text//plain\" and no fallback_scrape_protocol for target",
        );
        check(200, "", Some(Protocol::Text0), "Text(Text)");
        check(200, "text/html", Some(Protocol::Protobuf), "Protobuf");
        check(200, "text//html", Some(Protocol::OpenMetrics0), "Text(OpenMetrics)");
        // A type that is known is believed.
        check(200, "text/plain", Some(Protocol::Protobuf), "Text(Text)");
    }

    #[test]
    fn an_empty_body_needs_no_content_type() {
        let fetched = Fetched { status: 200, content_type: "", body: b"", wire_bytes: 0 };
        assert_eq!(format(&fetched, None), Ok(Format::Text(Dialect::Text)));
    }
}
