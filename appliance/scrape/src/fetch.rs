//! Fetch: what a scrape asks of the machine, and what comes back.
//!
//! Path: `scraper` → **fetch** → the machine → **fetch** → `scraper`.
//! Never: opens a socket; these are the words of the seam, nothing else.

use std::fmt;
use std::sync::Arc;

use model::time::{Now, Tick};
use storage::row::Slot;

use crate::http_options::HttpOptions;
use crate::target::{Scheme, TargetId};

/// Most bytes that the head of a response may have, here and in every redirect before it.
pub const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// Most redirects followed in one scrape, as Go's client does.
pub const REDIRECTS_MAX: u8 = 10;

/// One GET to perform. Sent by the scraper, answered by exactly one `Fetched` event of the same
/// target and slot, at the deadline at the latest; bounded by `in_flight_max` of the scraper.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// Whose scrape this is; its connection may be kept alive under this id.
    pub target: TargetId,
    /// The slot that is being filled; to be given back.
    pub slot: Slot,
    /// When to give up with [`FetchFault::Deadline`].
    pub deadline: Tick,
    /// What to ask; the same `Arc` in every scrape of a target while its specification lasts.
    pub request: Arc<FetchRequest>,
}

/// A GET request, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// With or without TLS.
    pub scheme: Scheme,
    /// Name or address to connect to, without port; an IPv6 address without brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Value of the Host header.
    pub authority: String,
    /// What follows GET: path and query, percent-encoded.
    pub path_and_query: String,
    /// Further headers in the order to be sent, Host and those of `http` excluded.
    pub headers: Vec<(String, String)>,
    /// Most bytes of the body, dechunked and inflated; more is [`FetchFault::BodyTooLarge`].
    pub body_bytes_max: u64,
    /// Most bytes of a response head.
    pub head_bytes_max: u32,
    /// Most redirects to follow.
    pub redirects_max: u8,
    /// Credentials, certificates, proxies and whether redirects are followed.
    pub http: Arc<HttpOptions>,
    /// A socket of this machine that is connected to instead of host and port.
    pub socket: Option<String>,
}

/// A response read to its end.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'a> {
    /// Status code; any, also 500.
    pub status: u16,
    /// Value of Content-Type, "" when absent.
    pub content_type: &'a str,
    /// The body, dechunked and inflated.
    pub body: &'a [u8],
    /// Bytes of the body as they came over the wire.
    pub wire_bytes: u64,
}

/// When things happened in one fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// When the machine began: the row is stamped by it.
    pub began: Now,
    /// Until the connection stood, nanoseconds; 0 when it was kept alive.
    pub connect_ns: u64,
    /// From the beginning to the first byte of the response, nanoseconds; 0 when none came.
    pub first_byte_ns: u64,
    /// From the beginning to the end, nanoseconds.
    pub total_ns: u64,
}

/// Why there is no response. The text is the target's `lastError`, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchFault {
    /// No connection: address and cause, e.g. `127.0.0.1:80: connect: connection refused`.
    Connect(String),
    /// What else kept the request from being sent or answered, as it is to be shown: a credential
    /// that cannot be read, a token that is not given, a proxy that refuses.
    Cause(String),
    /// The name has no address: cause, e.g. `no such host`.
    Resolve(String),
    /// TLS failed: cause with its prefix, e.g. `remote error: tls: bad certificate`.
    Tls(String),
    /// The deadline passed before the response was complete.
    Deadline,
    /// The response head passed `head_bytes_max`.
    HeadTooLarge {
        /// The bound.
        bytes_max: u32,
    },
    /// The body passed `body_bytes_max`.
    BodyTooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// The bytes are no HTTP/1.1 response: what is wrong with them.
    Malformed(&'static str),
    /// More redirects than `redirects_max`.
    Redirects,
    /// The peer closed before the response was complete.
    Closed,
    /// The content encoding does not decode: cause.
    Encoding(String),
    /// The response or a redirect asks for something that is not spoken: what.
    Unsupported(String),
}

impl FetchFault {
    /// Whether no response head was seen: such faults carry the URL in their text, as upstream's.
    #[must_use]
    pub fn is_before_response(&self) -> bool {
        !matches!(
            self,
            FetchFault::BodyTooLarge { .. } | FetchFault::Encoding(_) | FetchFault::Closed
        )
    }
}

impl std::error::Error for FetchFault {}

impl fmt::Display for FetchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchFault::Connect(cause) => write!(f, "dial tcp {cause}"),
            FetchFault::Resolve(cause) => write!(f, "dial tcp: lookup {cause}"),
            FetchFault::Tls(cause) | FetchFault::Cause(cause) => f.write_str(cause),
            FetchFault::Deadline => f.write_str("context deadline exceeded"),
            FetchFault::HeadTooLarge { bytes_max } => {
                write!(f, "net/http: server response headers exceeded {bytes_max} bytes; aborted")
            }
            FetchFault::BodyTooLarge { .. } => f.write_str("body size limit exceeded"),
            FetchFault::Malformed(what) => write!(f, "malformed HTTP response: {what}"),
            FetchFault::Redirects => write!(f, "stopped after {REDIRECTS_MAX} redirects"),
            FetchFault::Closed => f.write_str("unexpected EOF"),
            FetchFault::Encoding(cause) => write!(f, "gzip: {cause}"),
            FetchFault::Unsupported(what) => write!(f, "unsupported {what}"),
        }
    }
}
