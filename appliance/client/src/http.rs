//! HTTP: requests of discovery, exporters and other parts of the service, by `http_config`.
//!
//! Path: discovery → **http** → `access`, `transport` → servers.
//! Never: waits past the deadline, keeps more of a body than its bound, gives credentials to
//! another host than the one that was asked first.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response as HyperResponse};
use scrape::fetch::{FetchFault, REDIRECTS_MAX};
use scrape::http_options::HttpOptions;
use scrape::target::Scheme;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::access::{Access, Keeper};
use crate::location::Place;
use crate::transport::{Route, Transport, fault};

/// User-Agent of requests that name none.
const USER_AGENT: &str = concat!("Cresset/", env!("CARGO_PKG_VERSION"));

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// GET, POST or another.
    pub method: Method,
    /// Absolute http or https URL.
    pub url: String,
    /// Headers besides those of the options.
    pub headers: Vec<(String, String)>,
    /// The body, empty for none.
    pub body: Bytes,
    /// Longest time until the head of the response is there, redirects included.
    pub head_within: Duration,
}

impl Ask {
    /// A GET of `url`.
    #[must_use]
    pub fn get(url: &str, head_within: Duration) -> Ask {
        let (method, headers, body) = (Method::GET, Vec::new(), Bytes::new());
        Ask { method, url: url.to_owned(), headers, body, head_within }
    }

    /// A POST of `body` to `url`.
    #[must_use]
    pub fn post(url: &str, content_type: &str, body: Bytes, head_within: Duration) -> Ask {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Ask { method: Method::POST, url: url.to_owned(), headers, body, head_within }
    }

    /// The same with another header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Why there is no response. The text is upstream's: `Get "http://a/": dial tcp …`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} \"{url}\": {fault}", Verb(.method))]
pub struct AskError {
    /// Method of the request.
    pub method: Method,
    /// Its URL.
    pub url: String,
    /// The cause.
    pub fault: FetchFault,
}

/// A method as Go's errors write it: `Get`.
struct Verb<'a>(&'a Method);

impl fmt::Display for Verb<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_str();
        f.write_str(name.get(..1).unwrap_or_default())?;
        f.write_str(&name.get(1..).unwrap_or_default().to_ascii_lowercase())
    }
}

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    body: Incoming,
}

impl Answer {
    /// The value of a header, "" when absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The next piece of the body, `None` at its end. For bodies without end, such as watches; the
    /// caller bounds how long it waits.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, FetchFault> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| fault(&error))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The whole body.
    ///
    /// # Errors
    /// It is longer than `bytes_max`, is not there at `deadline`, or the connection broke.
    pub async fn body(mut self, bytes_max: u64, deadline: Instant) -> Result<Vec<u8>, FetchFault> {
        if bytes_max < self.body.size_hint().lower() {
            return Err(FetchFault::BodyTooLarge { bytes_max });
        }
        let mut body = Vec::new();
        loop {
            let piece = timeout_at(deadline, self.piece()).await;
            let Some(piece) = piece.map_err(|_| FetchFault::Deadline)?? else { return Ok(body) };
            if bytes_max < (body.len() + piece.len()) as u64 {
                return Err(FetchFault::BodyTooLarge { bytes_max });
            }
            body.extend_from_slice(&piece);
        }
    }
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Asks over HTTP as some options say. Connections, tokens and certificates are kept from one
/// request to the next.
#[derive(Debug)]
pub struct HttpClient {
    keeper: Keeper,
    socket: Option<PathBuf>,
    transport: Option<(u64, Transport)>,
}

impl HttpClient {
    /// A client without connections.
    #[must_use]
    pub fn new(options: Arc<HttpOptions>) -> HttpClient {
        HttpClient { keeper: Keeper::new(options), socket: None, transport: None }
    }

    /// The same over a socket of this machine; the host of URLs is only a name then.
    #[must_use]
    pub fn at_socket(mut self, path: PathBuf) -> HttpClient {
        self.socket = Some(path);
        self
    }

    /// Sends a request and reads the whole response, within `ask.head_within` together.
    ///
    /// # Errors
    /// Why there is none. A status such as 500 is no error.
    pub async fn send(&mut self, ask: &Ask, body_bytes_max: u64) -> Result<Response, AskError> {
        let deadline = Instant::now() + ask.head_within;
        let answer = self.open(ask).await?;
        let (status, headers) = (answer.status, answer.headers.clone());
        let body = answer.body(body_bytes_max, deadline).await;
        let body = body.map_err(|fault| error_of(ask, fault))?;
        Ok(Response { status, headers, body })
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(&mut self, ask: &Ask) -> Result<Answer, AskError> {
        let deadline = Instant::now() + ask.head_within;
        let opened = timeout_at(deadline, self.open_within(ask)).await;
        opened.unwrap_or(Err(FetchFault::Deadline)).map_err(|fault| error_of(ask, fault))
    }

    async fn open_within(&mut self, ask: &Ask) -> Result<Answer, FetchFault> {
        let access = self.keeper.access().await.map_err(FetchFault::Cause)?;
        let transport = self.transport(&access);
        let redirects = self.keeper.options().follow_redirects;
        follow(&transport, &access, redirects, self.socket.is_some(), ask).await
    }

    /// The pool of connections; a new one when certificates have changed.
    fn transport(&mut self, access: &Access) -> Transport {
        if let Some((id, transport)) = &self.transport
            && *id == access.tls.id
        {
            return transport.clone();
        }
        let transport = Transport::new(Route {
            tls: Arc::clone(&access.tls),
            proxies: Arc::clone(&access.proxies),
            http2: self.keeper.options().http2,
            socket: self.socket.clone(),
        });
        self.transport = Some((access.tls.id, transport.clone()));
        transport
    }
}

/// Sends `ask` and follows redirects where they are to be followed, the secrets of `access` left
/// behind at the first other host. `direct` means that no proxy is used whatever the access says.
///
/// # Errors
/// Why there is no response; the caller has the deadline.
pub async fn follow(
    transport: &Transport,
    access: &Access,
    redirects: bool,
    direct: bool,
    ask: &Ask,
) -> Result<Answer, FetchFault> {
    let mut place = Place::parse(&ask.url)?;
    let first_host = place.host.clone();
    let (mut method, mut body) = (ask.method.clone(), ask.body.clone());
    let mut with_secrets = true;
    for _ in 0..=REDIRECTS_MAX {
        let asked = Asked { method: &method, place: &place, body: &body, with_secrets };
        let response = transport.send(request(&asked, ask, access, direct)?).await?;
        let status = response.status().as_u16();
        let location = response.headers().get("location").filter(|_| redirects);
        let next = match (status, location) {
            (301 | 302 | 303 | 307 | 308, Some(location)) => place.follow(location.as_bytes())?,
            _ => return Ok(answer_of(response)),
        };
        if !matches!(status, 307 | 308) && method != Method::HEAD {
            (method, body) = (Method::GET, Bytes::new());
        }
        with_secrets &= next.host == first_host;
        place = next;
    }
    Err(FetchFault::Redirects)
}

fn request(
    asked: &Asked<'_>,
    ask: &Ask,
    access: &Access,
    direct: bool,
) -> Result<hyper::Request<Full<Bytes>>, FetchFault> {
    let Asked { method, place, body, with_secrets } = *asked;
    let mut request = hyper::Request::new(Full::new(body.clone()));
    *request.method_mut() = method.clone();
    *request.uri_mut() = place.url().parse().map_err(|_| FetchFault::Malformed("invalid URL"))?;
    let headers = request.headers_mut();
    let secret = access.headers.secret.iter().filter(|_| with_secrets);
    for (name, value) in ask.headers.iter().chain(&access.headers.public).chain(secret) {
        add(headers, name, value)?;
    }
    if !headers.contains_key("user-agent") {
        add(headers, "User-Agent", USER_AGENT)?;
    }
    let proxy = access.proxies.find(place.scheme, &place.host, place.port);
    let proxy = proxy.filter(|_| place.scheme == Scheme::Http && !direct);
    if let Some(value) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        add(headers, "Proxy-Authorization", value)?;
    }
    Ok(request)
}

/// One request of several that redirects make of one.
#[derive(Clone, Copy)]
struct Asked<'a> {
    method: &'a Method,
    place: &'a Place,
    body: &'a Bytes,
    with_secrets: bool,
}

fn answer_of(response: HyperResponse<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

fn error_of(ask: &Ask, fault: FetchFault) -> AskError {
    AskError { method: ask.method.clone(), url: ask.url.clone(), fault }
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), FetchFault> {
    let invalid = || FetchFault::Unsupported(format!("header field {name:?}"));
    let key: HeaderName = name.parse().map_err(|_| invalid())?;
    let value: HeaderValue = value.parse().map_err(|_| invalid())?;
    headers.append(key, value);
    Ok(())
}
