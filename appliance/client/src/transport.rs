//! Transport: connections of the service runtime, by TLS, proxies and sockets of this machine.
//!
//! Owns: a pool of kept connections.
//! Never: follows a redirect, adds a credential; that is done above it.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use scrape::fetch::FetchFault;
use scrape::target::Scheme;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::location::Place;
use crate::proxy::{Proxies, Proxy};
use crate::tls::Tls;
use crate::words;

/// How long a connection may idle: upstream's five minutes.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// Idle connections a host.
const IDLE_MAX: usize = 16;
/// Longest time for TLS to agree (upstream's).
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Most bytes of a proxy's answer to CONNECT.
const TUNNEL_HEAD_BYTES_MAX: usize = 16 * 1024;

/// How connections are made.
#[derive(Clone, Debug)]
pub struct Route {
    /// TLS, for https.
    pub tls: Arc<Tls>,
    /// Proxies.
    pub proxies: Arc<Proxies>,
    /// Whether HTTP/2 is offered over TLS.
    pub http2: bool,
    /// A socket of this machine, instead of the host of the URL.
    pub socket: Option<PathBuf>,
}

/// A pool of connections that are made alike.
#[derive(Clone, Debug)]
pub struct Transport {
    client: Client<Connector, Full<Bytes>>,
}

impl Transport {
    /// An empty pool.
    #[must_use]
    pub fn new(route: Route) -> Transport {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new());
        Transport { client: builder.build(Connector { route: Arc::new(route) }) }
    }

    /// Sends `request` and waits for the head of the response; the caller has the deadline.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, FetchFault> {
        self.client.request(request).await.map_err(|error| fault(&error))
    }
}

/// The fault at the root of an error of hyper.
#[must_use]
pub fn fault(error: &(dyn std::error::Error + 'static)) -> FetchFault {
    let mut cause = Some(error);
    let mut last = error.to_string();
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<FetchFault>() {
            return fault.clone();
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_incomplete_message() {
                return FetchFault::Closed;
            }
            if error.is_parse() {
                return FetchFault::Malformed("invalid response");
            }
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return io_fault(error);
        }
        last = error.to_string();
        cause = error.source();
    }
    FetchFault::Cause(last)
}

fn io_fault(error: &io::Error) -> FetchFault {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return FetchFault::Tls(words::tls(error));
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => FetchFault::Closed,
        _ => FetchFault::Cause(words::system(error)),
    }
}

/// Connects by a route.
#[derive(Clone, Debug)]
struct Connector {
    route: Arc<Route>,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = FetchFault;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, FetchFault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(connect(Arc::clone(&self.route), uri))
    }
}

async fn connect(route: Arc<Route>, uri: Uri) -> Result<Stream, FetchFault> {
    let place = Place::parse(&uri.to_string())?;
    if let Some(path) = &route.socket {
        let stream = UnixStream::connect(path).await.map_err(|cause| {
            let cause = words::system(&cause);
            FetchFault::Cause(format!("dial unix {}: connect: {cause}", path.display()))
        })?;
        return Ok(Stream::Unix(TokioIo::new(stream)));
    }
    let proxy = route.proxies.find(place.scheme, &place.host, place.port);
    let tcp = match proxy {
        None => dial(&place.host, place.port).await?,
        Some(proxy) => dial(&proxy.host, proxy.port)
            .await
            .map_err(|fault| FetchFault::Cause(format!("proxyconnect tcp: {fault}")))?,
    };
    match (place.scheme, proxy) {
        (Scheme::Http, proxy) => {
            Ok(Stream::Plain { stream: TokioIo::new(tcp), by_proxy: proxy.is_some() })
        }
        (Scheme::Https, None) => start_tls(&route, &place, tcp).await,
        (Scheme::Https, Some(proxy)) => {
            let tcp = tunnel(tcp, proxy, &place).await?;
            start_tls(&route, &place, tcp).await
        }
    }
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, FetchFault> {
    let found = lookup_host((host, port)).await;
    let addresses =
        found.map_err(|cause| FetchFault::Resolve(format!("{host}: {}", words::lookup(&cause))))?;
    let mut fault = FetchFault::Resolve(format!("{host}: no such host"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A request is written at once: waiting for more only delays it.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(cause) => {
                let cause = words::system(&cause);
                fault = FetchFault::Connect(format!("{address}: connect: {cause}"));
            }
        }
    }
    Err(fault)
}

/// Asks the proxy for a connection to `place`.
async fn tunnel(
    mut stream: TcpStream,
    proxy: &Proxy,
    place: &Place,
) -> Result<TcpStream, FetchFault> {
    let request = connect_request(proxy, place);
    let failed = |cause: io::Error| io_fault(&cause);
    stream.write_all(&request).await.map_err(failed)?;
    let mut head = Vec::new();
    // Byte by byte, so that nothing behind the head is taken: it is short and comes once.
    while !head.ends_with(b"\r\n\r\n") {
        if TUNNEL_HEAD_BYTES_MAX <= head.len() {
            return Err(FetchFault::Malformed("answer of the proxy is too long"));
        }
        head.push(stream.read_u8().await.map_err(failed)?);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    tunnel_status(line)?;
    Ok(stream)
}

/// The request for a tunnel to `place`.
#[must_use]
pub fn connect_request(proxy: &Proxy, place: &Place) -> Vec<u8> {
    let host =
        if place.host.contains(':') { format!("[{}]", place.host) } else { place.host.clone() };
    let to = format!("{host}:{}", place.port);
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    let authorization = proxy.authorization.iter().map(|value| ("Proxy-Authorization", value));
    let headers = proxy.connect_headers.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in headers.chain(authorization) {
        if !value.contains(['\r', '\n']) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// Whether the status line of a proxy opens the tunnel.
///
/// # Errors
/// The reason phrase, as Go shows it.
pub fn tunnel_status(line: &[u8]) -> Result<(), FetchFault> {
    let line = String::from_utf8_lossy(line);
    let mut parts = line.splitn(3, ' ');
    let (version, code, reason) = (parts.next(), parts.next(), parts.next());
    if !version.is_some_and(|version| version.starts_with("HTTP/1.")) {
        return Err(FetchFault::Malformed("answer of the proxy is no HTTP/1 response"));
    }
    match (code, reason) {
        (Some("200"), _) => Ok(()),
        (_, Some(reason)) if !reason.is_empty() => Err(FetchFault::Cause(reason.to_owned())),
        _ => Err(FetchFault::Cause("unknown status code".to_owned())),
    }
}

async fn start_tls(route: &Route, place: &Place, tcp: TcpStream) -> Result<Stream, FetchFault> {
    let config: &Arc<ClientConfig> = if route.http2 { &route.tls.http2 } else { &route.tls.http1 };
    let name = route.tls.name_for(&place.host).map_err(FetchFault::Tls)?;
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, tcp);
    match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
        Err(_) => Err(FetchFault::Cause("net/http: TLS handshake timeout".to_owned())),
        Ok(Err(cause)) => Err(io_fault(&cause)),
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(TokioIo::new(stream)))),
    }
}

/// A connection.
#[derive(Debug)]
enum Stream {
    Plain { stream: TokioIo<TcpStream>, by_proxy: bool },
    Unix(TokioIo<UnixStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// `each!(self, inner => call)`: the call on whatever is inside, pinned.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Plain { stream, .. } => {
                let $inner = Pin::new(stream);
                $call
            }
            Stream::Unix(stream) => {
                let $inner = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $inner = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, inner => inner.poll_read(cx, buf))
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => inner.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => inner.poll_shutdown(cx))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Stream::Plain { by_proxy, .. } => Connected::new().proxy(*by_proxy),
            Stream::Unix(_) => Connected::new(),
            Stream::Tls(stream) => {
                let (_, agreed) = stream.inner().get_ref();
                let connected = Connected::new();
                match agreed.alpn_protocol() {
                    Some(b"h2") => connected.negotiated_h2(),
                    _ => connected,
                }
            }
        }
    }
}
