//! Head of a response: status line and the few fields that the client acts on.

use std::ops::Range;

use scrape::fetch::FetchFault;

/// Most header fields of a response.
const FIELDS_MAX: usize = 256;

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// What a response head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection may serve another request afterwards.
    pub keep_alive: bool,
    /// Whether the body is compressed by gzip.
    pub gzip: bool,
    /// Where in the head the value of Content-Type stands.
    pub content_type: Range<usize>,
    /// Where in the head the value of Location stands; empty when there is none.
    pub location: Range<usize>,
}

/// End of the head in `bytes` — the offset behind its empty line — looking from `from` on.
#[must_use]
pub fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(newline) = bytes.get(at..)?.iter().position(|byte| *byte == b'\n') {
        let next = at + newline + 1;
        match bytes.get(next..)? {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

/// Whether `bytes` can still become an HTTP/1 response.
#[must_use]
pub fn begins_well(bytes: &[u8]) -> bool {
    let version = b"HTTP/1.";
    let seen = bytes.len().min(version.len());
    bytes[..seen] == version[..seen]
}

/// Reads a complete head, the bytes before [`head_end`].
///
/// # Errors
/// `Malformed` when it is none, `Unsupported` for codings that are not spoken.
pub fn parse_head(bytes: &[u8]) -> Result<Head, FetchFault> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(FetchFault::Malformed("head ends too early")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(FetchFault::Malformed("too many header fields"));
        }
        Err(_) => return Err(FetchFault::Malformed("invalid response head")),
    }
    let status = response.code.ok_or(FetchFault::Malformed("no status code"))?;
    if !(100..1000).contains(&status) {
        return Err(FetchFault::Malformed("invalid status code"));
    }
    let place = |value: &[u8]| {
        let start = value.as_ptr().addr() - bytes.as_ptr().addr();
        start..start + value.len()
    };
    let mut seen = Seen { is_1_1: response.version == Some(1), ..Seen::default() };
    let (mut content_type, mut location) = (0..0, 0..0);
    for field in response.headers.iter() {
        let value = field.value.trim_ascii();
        match field.name {
            name if name.eq_ignore_ascii_case("content-type") => content_type = place(value),
            name if name.eq_ignore_ascii_case("location") => location = place(value),
            name => seen.take(name, value)?,
        }
    }
    let empty = status < 200 || status == 204 || status == 304;
    Ok(Head {
        status,
        framing: seen.framing(empty),
        keep_alive: seen.keep_alive(empty),
        gzip: seen.gzip,
        content_type,
        location,
    })
}

/// Fields seen so far that decide about the body and the connection.
#[derive(Default)]
struct Seen {
    is_1_1: bool,
    length: Option<u64>,
    chunked: bool,
    gzip: bool,
    close: bool,
    keep_alive: bool,
}

impl Seen {
    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), FetchFault> {
        if name.eq_ignore_ascii_case("content-length") {
            let length = content_length(value)?;
            if self.length.is_some_and(|other| other != length) {
                return Err(FetchFault::Malformed("two different content lengths"));
            }
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(unsupported("transfer encoding", value));
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("content-encoding") {
            let gzip = value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip");
            if !(gzip || value.is_empty() || value.eq_ignore_ascii_case(b"identity")) {
                return Err(unsupported("content encoding", value));
            }
            if gzip && self.gzip {
                return Err(unsupported("content encoding", b"gzip, gzip"));
            }
            self.gzip |= gzip;
        } else if name.eq_ignore_ascii_case("connection") {
            for token in value.split(|byte| *byte == b',') {
                self.close |= token.trim_ascii().eq_ignore_ascii_case(b"close");
                self.keep_alive |= token.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    fn framing(&self, empty: bool) -> Framing {
        match (empty, self.chunked, self.length) {
            (true, _, _) => Framing::Length(0),
            (_, true, _) => Framing::Chunked,
            (_, _, Some(length)) => Framing::Length(length),
            (_, _, None) => Framing::UntilClose,
        }
    }

    fn keep_alive(&self, empty: bool) -> bool {
        // Both framings at once is how requests are smuggled: RFC 9112, 6.3 ends the connection.
        let clear = !(self.chunked && (self.length.is_some() || !self.is_1_1));
        let wanted = if self.is_1_1 { !self.close } else { self.keep_alive && !self.close };
        let framed = empty || self.chunked || self.length.is_some();
        clear && wanted && framed
    }
}

fn content_length(value: &[u8]) -> Result<u64, FetchFault> {
    let bad = FetchFault::Malformed("bad Content-Length");
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits).ok_or_else(|| bad.clone())?;
    text.parse().map_err(|_| bad)
}

fn unsupported(what: &str, value: &[u8]) -> FetchFault {
    let value: String = String::from_utf8_lossy(value).chars().take(80).collect();
    FetchFault::Unsupported(format!("{what} {value:?}"))
}
