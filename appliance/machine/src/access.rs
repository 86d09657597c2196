//! Access: makes what requests need of files and tokens, and fetches what wants HTTP/2, on a thread
//! of its own, since both wait.
//!
//! Path: `client` → **access** → `mailbox` → `client`.
//! Never: keeps a shard waiting; a queue that is full refuses.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::access::{Access, Keeper, Until};
use client::http::{Ask as HttpAsk, follow};
use client::transport::{Route, Transport};
use exposition::metrics::Collected;
use model::time::Tick;
use scrape::fetch::{FetchFault, FetchRequest};
use scrape::http_options::HttpOptions;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::handle::{Gauges, Worker};
use crate::http::inflate::Inflate;
use crate::mailbox::{Done, Elsewhere, Postbox, Prepared};
use crate::own::Own;
use crate::worker::spawn;

/// Requests that may wait for the thread, and for each of its tasks.
const WAITING_MAX: usize = 1024;
/// Options whose keeper is remembered.
const KEEPERS_MAX: usize = 4096;
/// Pools of HTTP/2 connections that are remembered.
const TRANSPORTS_MAX: usize = 1024;
/// A keeper that nobody asked for so long forgets what it read.
const KEEPER_IDLE: Duration = Duration::from_secs(15 * 60);
/// How long what lies in files is used without reading it again.
const READ_MS: u64 = 1_000;
/// How long a failure is believed.
const FAILED_MS: u64 = 1_000;

/// What makes pools of connections the same: TLS, options, socket.
type TransportKey = (u64, Arc<HttpOptions>, Option<String>);

/// Scrapes of this process by itself that may wait.
const OWN_MAX: usize = 64;

/// What the thread is asked.
enum Ask {
    Prepare { options: Arc<HttpOptions>, postbox: Postbox },
    Fetch { errand: Box<Errand>, postbox: Postbox },
}

/// A fetch by the library's client.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Comes back with the outcome.
    pub token: u64,
    /// What to fetch.
    pub request: Arc<FetchRequest>,
    /// The URL of it.
    pub url: String,
    /// Whether credentials go along.
    pub with_secrets: bool,
    /// By which means; none for a page of this process.
    pub access: Option<Arc<Access>>,
    /// Milliseconds left.
    pub timeout_ms: u64,
}

/// Asks the thread; cheap to clone.
#[derive(Clone)]
pub struct Office {
    asks: Sender<Ask>,
    own_asks: Sender<(Errand, Postbox)>,
    own: Own,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    prepared: AtomicU64,
    failed: AtomicU64,
    fetched: AtomicU64,
    own: AtomicU64,
    refused: AtomicU64,
}

impl Gauges for Counters {
    fn collect(&self, into: &mut Collected) {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        into.counter(
            "cresset_access_prepared_total",
            "Times that credentials, certificates and proxies were made ready.",
            &[],
            value(&self.prepared),
        );
        into.counter(
            "cresset_access_failures_total",
            "Times that they could not be: a file, a certificate or a token is missing.",
            &[],
            value(&self.failed),
        );
        into.counter(
            "cresset_access_fetches_total",
            "Fetches over HTTP/2, for targets that speak nothing else.",
            &[],
            value(&self.fetched),
        );
        into.counter(
            "cresset_access_own_pages_total",
            "Scrapes of this process by itself, answered without a socket.",
            &[],
            value(&self.own),
        );
        into.counter(
            "cresset_access_refused_total",
            "Requests refused because too many waited.",
            &[],
            value(&self.refused),
        );
    }
}

/// Starts the thread; it ends with the last [`Office`].
///
/// # Errors
/// The system has no thread left.
pub fn start(own: Own) -> io::Result<(Office, Worker, Arc<dyn Gauges>)> {
    let (sender, receiver) = channel(WAITING_MAX);
    let (own_asks, own_errands) = channel(OWN_MAX);
    let pages = own.clone();
    let counters = Arc::new(Counters::default());
    let shared = Arc::clone(&counters);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let worker = spawn("access", move || {
        runtime.spawn(serve_own(own_errands, pages, Arc::clone(&shared)));
        runtime.block_on(serve(receiver, shared));
    })?;
    let gauges: Arc<dyn Gauges> = Arc::clone(&counters) as Arc<dyn Gauges>;
    Ok((Office { asks: sender, own_asks, own, counters }, worker, gauges))
}

impl Office {
    /// Makes the access of `options`; it comes as [`Done::Prepared`]. False when too many wait.
    #[must_use]
    pub fn prepare(&self, options: &Arc<HttpOptions>, postbox: &Postbox) -> bool {
        let (options, postbox) = (Arc::clone(options), postbox.clone());
        self.ask(Ask::Prepare { options, postbox })
    }

    /// Fetches; the outcome comes as [`Done::Elsewhere`]. False when too many wait.
    #[must_use]
    pub fn fetch(&self, errand: Errand, postbox: &Postbox) -> bool {
        if errand.access.is_none() {
            return self.own_asks.try_send((errand, postbox.clone())).is_ok();
        }
        self.ask(Ask::Fetch { errand: Box::new(errand), postbox: postbox.clone() })
    }

    /// Whether `request` asks for a page of this process.
    #[must_use]
    pub fn has_own(&self, request: &FetchRequest) -> bool {
        self.own.of(request).is_some()
    }

    fn ask(&self, ask: Ask) -> bool {
        let taken = self.asks.try_send(ask).is_ok();
        if !taken {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

async fn serve_own(mut errands: Receiver<(Errand, Postbox)>, own: Own, counters: Arc<Counters>) {
    while let Some((errand, postbox)) = errands.recv().await {
        counters.own.fetch_add(1, Ordering::Relaxed);
        let Errand { token, request, timeout_ms, .. } = errand;
        let Some(pages) = own.of(&request) else { continue };
        let page = pages.page(request);
        tokio::spawn(async move {
            let given = timeout(Duration::from_millis(timeout_ms), page).await;
            let outcome = given.unwrap_or(Err(FetchFault::Deadline));
            postbox.done(Done::Elsewhere { token, outcome });
        });
    }
}

async fn serve(mut asks: Receiver<Ask>, counters: Arc<Counters>) {
    let mut keepers: HashMap<Arc<HttpOptions>, Sender<Postbox>> = HashMap::new();
    let mut transports: HashMap<TransportKey, Transport> = HashMap::new();
    while let Some(ask) = asks.recv().await {
        match ask {
            Ask::Prepare { options, postbox } => {
                if KEEPERS_MAX <= keepers.len() {
                    keepers.retain(|_, keeper| !keeper.is_closed());
                }
                let keeper = keepers.get(&options).filter(|keeper| !keeper.is_closed());
                let keeper = match keeper {
                    Some(keeper) => keeper.clone(),
                    None => {
                        let (sender, receiver) = channel(WAITING_MAX);
                        let keeper = Keeper::new(Arc::clone(&options));
                        tokio::spawn(keep(keeper, receiver, Arc::clone(&counters)));
                        keepers.insert(Arc::clone(&options), sender.clone());
                        sender
                    }
                };
                if let Err(refused) = keeper.try_send(postbox) {
                    counters.refused.fetch_add(1, Ordering::Relaxed);
                    let access = Err("too many requests wait for credentials".to_owned());
                    let until = clock::tick().after_ms(FAILED_MS);
                    refused.into_inner().done(Done::Prepared(Prepared { options, access, until }));
                }
            }
            Ask::Fetch { errand, postbox } => {
                let Some(access) = errand.access.clone() else { continue };
                counters.fetched.fetch_add(1, Ordering::Relaxed);
                if TRANSPORTS_MAX <= transports.len() {
                    transports.clear();
                }
                let options = &errand.request.http;
                let socket = errand.request.socket.clone();
                let key = (access.tls.id, Arc::clone(options), socket);
                let transport = transports.entry(key).or_insert_with(|| {
                    Transport::new(Route {
                        tls: Arc::clone(&access.tls),
                        proxies: Arc::clone(&access.proxies),
                        http2: options.http2,
                        socket: errand.request.socket.as_ref().map(Into::into),
                    })
                });
                tokio::spawn(run(*errand, access, transport.clone(), postbox));
            }
        }
    }
}

/// Keeps the access of some options until nobody asks for it any more.
async fn keep(mut keeper: Keeper, mut asks: Receiver<Postbox>, counters: Arc<Counters>) {
    while let Ok(Some(postbox)) = timeout(KEEPER_IDLE, asks.recv()).await {
        let access = keeper.access().await;
        let counter = if access.is_ok() { &counters.prepared } else { &counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        let now = clock::tick();
        let until = match access.as_ref().map(|access| access.until) {
            Err(_) => now.after_ms(FAILED_MS),
            Ok(Until::Always) => Tick(u64::MAX),
            Ok(Until::Once) => now.after_ms(READ_MS),
            Ok(Until::Tick(instant)) => {
                let left = instant.saturating_duration_since(Instant::now());
                now.after_ms(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(READ_MS))
            }
        };
        let options = Arc::clone(keeper.options());
        let access = access.map(Arc::new);
        postbox.done(Done::Prepared(Prepared { options, access, until }));
    }
}

async fn run(errand: Errand, access: Arc<Access>, transport: Transport, postbox: Postbox) {
    let token = errand.token;
    let left = Duration::from_millis(errand.timeout_ms);
    let outcome = timeout(left, fetch(errand, &access, transport)).await;
    let outcome = outcome.unwrap_or(Err(FetchFault::Deadline));
    postbox.done(Done::Elsewhere { token, outcome });
}

async fn fetch(
    errand: Errand,
    access: &Access,
    transport: Transport,
) -> Result<Elsewhere, FetchFault> {
    let left = Duration::from_millis(errand.timeout_ms);
    let deadline = Instant::now() + left;
    let request = &errand.request;
    let mut ask = HttpAsk::get(&errand.url, left);
    ask.headers.clone_from(&request.headers);
    let mut access = access.clone();
    if !errand.with_secrets {
        access.headers.secret.clear();
    }
    let direct = request.socket.is_some();
    let answer = follow(&transport, &access, request.http.follow_redirects, direct, &ask).await?;
    let status = answer.status;
    let content_type = answer.header("content-type").to_owned();
    let is_gzip = answer.header("content-encoding").eq_ignore_ascii_case("gzip");
    let wire = answer.body(request.body_bytes_max, deadline).await?;
    let wire_bytes = wire.len() as u64;
    let body = if is_gzip {
        let mut body = Vec::new();
        let mut inflate = Inflate::new(request.body_bytes_max);
        inflate.take(&wire, &mut body)?;
        inflate.end(&mut body, !wire.is_empty())?;
        body
    } else {
        wire
    };
    Ok(Elsewhere { status, content_type, body, wire_bytes })
}
