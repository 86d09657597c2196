//! Web: the service thread: sockets, connections and their limits, signals.
//!
//! Path: listeners → **web** → `api`'s router.
//! Never: computes or waits for a shard; both would keep every connection waiting.

use std::convert::Infallible;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use api::router::Peer;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use hyper::body::Incoming;
use hyper::header;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use listenfd::ListenFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use crate::clients::Clients;
use crate::gate::Gate;
use crate::own_backend::Orders;
use crate::request_id::{self, RequestIds};
use crate::request_line::{GROWTH_MAX, RequestLine};
use crate::web_config::Watched;

/// Headers of one request; beyond them it is refused.
const HEADERS_MAX: usize = 100;
/// Bytes of a connection's buffer: bounds the head of a request, long queries in URLs included.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Time for the head of a request. The clock starts when the connection falls idle: above the
/// minute at which most scrape, so that they keep their connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);
/// Time that a client may take to make room for the next bytes of an answer, during which a query
/// thread waits for it; and how many bytes these are, unless there are fewer. Two kilobytes a
/// second are less than any link gives.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const WRITE_BYTES_MIN: usize = 64 << 10;
/// Time for the answers under way when the process ends.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of the first line that are read at once.
const LINE_BYTES: usize = BUFFER_BYTES_MAX / 64 / GROWTH_MAX;
/// Pause after `accept` failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Threads for requests that ask shards or read files, without evaluating.
const ASK_THREADS: usize = 8;

/// What the service thread needs.
pub struct Web {
    /// Bound and listening.
    pub listeners: Vec<std::net::TcpListener>,
    /// The HTTP API.
    pub router: Router,
    /// Processors of the service thread; empty for any.
    pub cpus: Vec<usize>,
    /// Most connections at once; more wait unaccepted.
    pub connections_max: usize,
    /// Connections by address: each may have half of all.
    pub clients: Arc<Clients>,
    /// Names requests.
    pub ids: RequestIds,
    /// Longest silence of a connection.
    pub silence_max: Duration,
    /// Who may connect and ask.
    pub access: Watched,
    /// Asks for passwords.
    pub gate: Gate,
    /// Path below which the router answers; "" for all.
    pub prefix: String,
    /// Orders to the main thread.
    pub orders: Orders,
    /// Becomes true when the process ends.
    pub stopping: watch::Receiver<bool>,
}

/// The listening sockets: those that systemd handed over, if it did, else one an address.
///
/// # Errors
/// An address could not be bound, or what was handed over is no TCP socket; which one, and why.
pub fn listeners(addresses: &[SocketAddr]) -> anyhow::Result<Vec<std::net::TcpListener>> {
    let mut handed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for at in 0..handed.len() {
        let socket = handed.take_tcp_listener(at);
        let socket = socket.with_context(|| format!("take socket {at} of systemd"))?;
        listeners.extend(socket);
    }
    if listeners.is_empty() {
        for address in addresses {
            let listener = std::net::TcpListener::bind(address);
            listeners.push(listener.with_context(|| format!("listen on {address}"))?);
        }
    } else {
        tracing::info!("sockets are systemd's: --web.listen-address has no effect");
    }
    for listener in &listeners {
        listener.set_nonblocking(true).context("make a socket non-blocking")?;
    }
    Ok(listeners)
}

/// Serves until it is told to stop, then finishes the answers under way, for a while.
///
/// # Errors
/// The runtime or a listener could not be made.
pub fn run(web: Web) -> io::Result<()> {
    // A thread that cannot be bound runs anywhere: slower, not wrong.
    let _ = machine::plan::bind(&web.cpus);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(ASK_THREADS)
        .thread_name("ask")
        .build()?;
    let result = runtime.block_on(serve(web));
    runtime.shutdown_timeout(GRACE);
    result
}

async fn serve(web: Web) -> io::Result<()> {
    let Web { listeners, router, connections_max, silence_max, orders, mut stopping, .. } = web;
    let router = below(&web.prefix, router);
    let door = Door {
        router,
        access: web.access,
        gate: web.gate,
        silence_max,
        clients: web.clients,
        client_connections_max: connections_max.div_ceil(2),
        ids: Arc::new(web.ids),
    };
    spawn_signals(&orders)?;
    let slots = Arc::new(Semaphore::new(connections_max));
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        let accept = accept(listener, door.clone(), Arc::clone(&slots), stopping.clone());
        tokio::spawn(accept);
    }
    stopped(&mut stopping).await;
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    // Connections that do not end within the grace are cut.
    let _ = tokio::time::timeout(GRACE, slots.acquire_many(all)).await;
    Ok(())
}

/// Returns when the process is to end; a sender that is gone says so too.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|is_stopping| *is_stopping).await);
}

fn spawn_signals(orders: &Orders) -> io::Result<()> {
    let kinds = [
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::interrupt(), "SIGINT"),
        (SignalKind::hangup(), "SIGHUP"),
    ];
    for (kind, name) in kinds {
        let mut signals = signal(kind)?;
        let orders = orders.clone();
        tokio::spawn(async move {
            let mut is_stopping = false;
            while signals.recv().await.is_some() {
                if name == "SIGHUP" {
                    // A full queue reloads soon anyway.
                    let _ = orders.reload.try_send(None);
                } else if is_stopping {
                    eprintln!("{name} again: ending at once");
                    std::process::exit(130);
                } else {
                    is_stopping = true;
                    orders.stop(name);
                }
            }
        });
    }
    Ok(())
}

/// What stands behind every connection.
#[derive(Clone)]
struct Door {
    router: Router,
    access: Watched,
    gate: Gate,
    silence_max: Duration,
    clients: Arc<Clients>,
    client_connections_max: usize,
    ids: Arc<RequestIds>,
}

/// The router below a path; the root leads there.
fn below(prefix: &str, router: Router) -> Router {
    if prefix.is_empty() {
        return router;
    }
    let root = format!("{prefix}/");
    let lead = move || {
        let root = root.clone();
        async move { ([(header::LOCATION, root)], StatusCode::FOUND) }
    };
    // A path alone, without the slash behind it, leads there too.
    Router::new()
        .route("/", get(lead.clone()))
        .route(prefix, get(lead))
        .nest_service(&format!("{prefix}/"), router)
}

async fn accept(
    listener: TcpListener,
    door: Door,
    slots: Arc<Semaphore>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep_until(Instant::now() + ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = door.clients.take(peer.ip(), door.client_connections_max) else {
            tracing::debug!(%peer, "closed: its address has half of all connections");
            continue;
        };
        let door = door.clone();
        let stopping = stopping.clone();
        tokio::spawn(async move {
            open((stream, peer), door, stopping).await;
            drop((slot, place));
        });
    }
}

/// Shakes hands where connections are encrypted.
async fn open(
    (stream, peer): (TcpStream, SocketAddr),
    door: Door,
    stopping: watch::Receiver<bool>,
) {
    // Answers are written whole: waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let access = door.access.at(Instant::now());
    let Some(tls) = access.tls.clone() else {
        return connection((stream, peer), door, stopping).await;
    };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => connection((stream, peer), door, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// Answers one request, if it may ask; the log and the answer name it alike.
async fn answer(
    door: Door,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let access = door.access.at(Instant::now());
    let (id, began) = (door.ids.of(request.headers()), Instant::now());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match door.gate.admit(&access, request.headers()).await {
        Ok(()) => TowerToHyperService::new(door.router).call(request).await?,
        Err(refusal) => *refusal,
    };
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    let shown = id.to_str().unwrap_or("");
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::warn!(id = shown, %peer, %method, path, status, ms, "a request failed");
    } else {
        tracing::debug!(id = shown, %peer, %method, path, status, ms, "a request");
    }
    for (name, value) in &access.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response.headers_mut().insert(request_id::HEADER, id);
    Ok(response)
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    (stream, peer): (S, SocketAddr),
    door: Door,
    mut stopping: watch::Receiver<bool>,
) {
    let stream = TokioIo::new(Patient::new(stream, door.silence_max));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        answer(door.clone(), peer, request)
    });
    let connection = builder.serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A stream that ends when its peer stays silent, or takes nothing, for too long.
struct Patient<S> {
    stream: S,
    silence_max: Duration,
    read: Pin<Box<Sleep>>,
    write: Option<Pin<Box<Sleep>>>,
    /// Bytes taken since the peer had to be waited for.
    taken: usize,
    line: RequestLine,
    /// Encoded bytes of the first line that found no room yet.
    waiting: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Patient<S> {
    fn new(stream: S, silence_max: Duration) -> Patient<S> {
        let read = Box::pin(tokio::time::sleep_until(Instant::now() + silence_max));
        let (line, waiting) = (RequestLine::default(), Vec::new());
        Patient { stream, silence_max, read, write: None, taken: 0, line, waiting }
    }

    /// Reads as the stream does, the first line encoded.
    fn poll_stream(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waiting.is_empty() {
            if self.line.is_over() {
                return Pin::new(&mut self.stream).poll_read(context, buffer);
            }
            let mut bytes = [0; LINE_BYTES];
            let mut piece = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
            self.line.encode(piece.filled(), &mut self.waiting);
        }
        let taken = self.waiting.len().min(buffer.remaining());
        buffer.put_slice(&self.waiting[..taken]);
        self.waiting.drain(..taken);
        Poll::Ready(Ok(()))
    }

    /// What a write came to; one that waits too long, or gets on too slowly, is an error.
    fn settle_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.taken += bytes;
            if WRITE_BYTES_MIN <= self.taken {
                self.all_taken();
            }
            self.read.as_mut().reset(Instant::now() + self.silence_max);
        }
        if written.is_ready() {
            return written;
        }
        let wait = self.write.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_TIMEOUT))
        });
        ready!(wait.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no more")))
    }

    /// The peer need not be waited for.
    fn all_taken(&mut self) {
        (self.write, self.taken) = (None, 0);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(result) = this.poll_stream(context, buffer) {
            this.read.as_mut().reset(Instant::now() + this.silence_max);
            return Poll::Ready(result);
        }
        ready!(this.read.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client is silent")))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.settle_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.settle_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.all_taken();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// What becomes of a megabyte whose reader takes `bytes` every ten seconds.
    async fn write_to_reader_of(bytes: usize) -> io::Result<()> {
        let (ours, mut theirs) = duplex(1024);
        let reader = tokio::spawn(async move {
            let mut piece = vec![0; bytes];
            let mut tick = tokio::time::interval(Duration::from_secs(10));
            loop {
                tick.tick().await;
                if theirs.read_exact(&mut piece).await.is_err() {
                    return;
                }
            }
        });
        let mut patient = Patient::new(ours, Duration::from_secs(300));
        let written = patient.write_all(&vec![b'x'; 1 << 20]).await;
        reader.abort();
        written
    }

    #[tokio::test(start_paused = true)]
    async fn readers_that_trickle_are_cut_and_slow_ones_get_all() {
        let cut = write_to_reader_of(512).await.map_err(|error| error.kind());
        assert_eq!(cut, Err(io::ErrorKind::TimedOut));
        let whole = write_to_reader_of(WRITE_BYTES_MIN).await;
        assert!(whole.is_ok(), "{whole:?}");
    }
}
