//! Active: one fetch on its way, and what it ends as.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use client::access::Access;
use client::location::Place;
use client::proxy::Proxy;
use client::words;
use model::time::{NANOS_PER_MS, Now, Tick};
use rustix::io::Errno;
use scrape::fetch::{Fetch, FetchFault, Fetched, Timings};
use scrape::target::{Scheme, TargetId};
use storage::row::Slot;

use crate::channel::Channel;
use crate::client::idle::Link;
use crate::client::route::{Route, proxy_for};
use crate::http::exchange::{Exchange, Limits};
use crate::http::request::{Means, write_request};
use crate::mailbox::Elsewhere;
use crate::operation::{FileKey, Kind, OpKey};

/// Room of a request at first.
const REQUEST_BYTES: usize = 512;
/// Room for at least so much before a receive.
const RECV_BYTES_MIN: usize = 16 * 1024;
/// Room that a promised length may claim before any of it came.
const RECV_BYTES_MAX: usize = 256 * 1024;
/// Least time that one of several addresses is given (Go's figure).
const ATTEMPT_MS_MIN: u64 = 2_000;

/// What was received, and what was inflated of it.
pub(crate) type Buffers = (Vec<u8>, Vec<u8>);

/// An attempt to connect to one address of several.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// When the next address is tried.
    pub deadline: Tick,
}

impl Attempt {
    /// The fair share of the time until `deadline`, with `others` addresses still to be tried.
    #[must_use]
    pub fn new(now: Tick, deadline: Tick, others: usize) -> Attempt {
        let left = deadline.since(now);
        let share = left / (others as u64 + 1);
        let share = share.max(ATTEMPT_MS_MIN * NANOS_PER_MS).min(left);
        Attempt { deadline: now + share }
    }
}

/// One fetch on its way.
pub(crate) struct Active {
    pub(crate) fetch: Fetch,
    pub(crate) timings: Timings,
    pub(crate) place: Place,
    pub(crate) secrets: bool,
    pub(crate) redirects_left: u8,
    pub(crate) addresses: VecDeque<SocketAddr>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) attempt: Option<Attempt>,
    /// Why the last address did not do.
    pub(crate) cause: Option<String>,
    /// What the current hop needs of files and tokens, once it is there.
    pub(crate) access: Option<Arc<Access>>,
    /// Which connection serves the current hop; set before one is taken or opened.
    pub(crate) route: Option<Route>,
    pub(crate) link: Option<Link>,
    pub(crate) phase: Phase,
    /// To be sent once the send in flight has ended.
    pub(crate) backlog: Vec<u8>,
    /// Whether the library's client has the fetch.
    pub(crate) elsewhere: bool,
    /// Whether the connection was opened for this request.
    pub(crate) fresh: bool,
    pub(crate) retried: bool,
    /// Whether sending failed: the connection is not used again.
    pub(crate) broken: bool,
    pub(crate) exchange: Exchange,
    pub(crate) buffer: Vec<u8>,
    pub(crate) inflated: Vec<u8>,
    pub(crate) connecting: Option<OpKey>,
    /// The send in flight and its first byte.
    pub(crate) sending: Option<(OpKey, usize)>,
    pub(crate) send_op: Option<OpKey>,
    pub(crate) receiving: Option<OpKey>,
}

impl Active {
    pub(crate) fn new(now: Now, fetch: Fetch, buffers: Buffers) -> Active {
        let request = &fetch.request;
        let place = Place {
            scheme: request.scheme,
            host: request.host.clone(),
            port: request.port,
            authority: request.authority.clone(),
            path_and_query: request.path_and_query.clone(),
        };
        Active {
            timings: Timings { began: now, ..Timings::default() },
            place,
            secrets: true,
            redirects_left: request.redirects_max,
            addresses: VecDeque::new(),
            address: None,
            attempt: None,
            cause: None,
            access: None,
            route: None,
            link: None,
            phase: Phase::Text,
            backlog: Vec::new(),
            elsewhere: false,
            fresh: false,
            retried: false,
            broken: false,
            exchange: exchange(&fetch),
            buffer: buffers.0,
            inflated: buffers.1,
            connecting: None,
            sending: None,
            send_op: None,
            receiving: None,
            fetch,
        }
    }

    /// The socket of the current hop.
    pub(crate) fn file(&self) -> Option<FileKey> {
        self.link.as_ref().map(|link| link.file)
    }

    /// Whether the current hop needs what only files and tokens tell.
    pub(crate) fn needs_access(&self) -> bool {
        self.place.scheme == Scheme::Https || !self.fetch.request.http.is_plain()
    }

    /// The proxy of the current hop.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        let socket = self.fetch.request.socket.as_deref();
        self.access.as_ref().and_then(|access| proxy_for(&self.place, socket, access))
    }

    /// By which means the request of the current hop goes.
    pub(crate) fn means(&self) -> Means<'_> {
        Means { access: self.access.as_deref(), with_secrets: self.secrets, proxy: self.proxy() }
    }

    /// The request of the current hop as it is sent.
    pub(crate) fn request_bytes(&mut self) -> Result<Vec<u8>, FetchFault> {
        let mut bytes = Vec::with_capacity(REQUEST_BYTES);
        write_request(&self.fetch.request, &self.place, self.means(), &mut bytes)?;
        let Some(channel) = self.link.as_mut().and_then(|link| link.channel.as_mut()) else {
            return Ok(bytes);
        };
        let mut sealed = Vec::new();
        channel.seal(&bytes, &mut sealed)?;
        Ok(sealed)
    }

    /// Speaks TLS on the connection from here on; `buffer` is for the text of the response, since
    /// what came behind a proxy's answer is TLS.
    pub(crate) fn open_channel(&mut self, buffer: Vec<u8>) -> Result<(), FetchFault> {
        let access = self.access.as_ref();
        let access = access.ok_or(FetchFault::Unsupported("scheme https".to_owned()))?;
        let name = access.tls.name_for(&self.place.host).map_err(FetchFault::Tls)?;
        let mut channel = Channel::new(&access.tls.http1, name)?;
        channel.put_buffer(std::mem::replace(&mut self.buffer, buffer));
        if let Some(link) = &mut self.link {
            link.channel = Some(Box::new(channel));
        }
        self.phase = Phase::Handshake;
        Ok(())
    }

    /// The buffer to receive onto, with room.
    pub(crate) fn take_receive_buffer(&mut self, fresh: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let wanted = self.exchange.bytes_wanted().clamp(RECV_BYTES_MIN, RECV_BYTES_MAX);
        let mut bytes = match self.link.as_mut().and_then(|link| link.channel.as_mut()) {
            None => std::mem::take(&mut self.buffer),
            Some(channel) => channel.take_buffer(),
        };
        if bytes.capacity() == 0 {
            bytes = fresh();
        }
        if bytes.capacity() - bytes.len() < wanted {
            bytes.reserve(wanted.max(bytes.len().min(RECV_BYTES_MAX)));
        }
        bytes
    }

    /// Takes the buffer back; true when what it holds is sealed by TLS.
    pub(crate) fn put_receive_buffer(&mut self, bytes: Vec<u8>) -> bool {
        match self.link.as_mut().and_then(|link| link.channel.as_mut()) {
            None => self.buffer = bytes,
            Some(channel) => {
                channel.put_buffer(bytes);
                return true;
            }
        }
        false
    }

    /// The operation of this kind that is in flight.
    pub(crate) fn pending(&mut self, kind: Kind) -> &mut Option<OpKey> {
        match kind {
            Kind::Connect => &mut self.connecting,
            Kind::Send => &mut self.send_op,
            Kind::Recv | Kind::Write | Kind::Sync => &mut self.receiving,
        }
    }

    /// Every operation in flight; the fetch forgets them.
    pub(crate) fn take_ops(&mut self) -> impl Iterator<Item = OpKey> + use<> {
        self.sending = None;
        self.backlog.clear();
        let ops = [self.connecting.take(), self.send_op.take(), self.receiving.take()];
        ops.into_iter().flatten()
    }

    /// Goes on to `place`.
    pub(crate) fn redirect(&mut self, place: Place) {
        self.redirects_left -= 1;
        self.secrets &= place.host == self.place.host;
        self.place = place;
        self.exchange = exchange(&self.fetch);
        self.buffer.clear();
        self.inflated.clear();
        self.route = None;
        (self.retried, self.broken, self.address) = (false, false, None);
    }

    /// Ends as the library's client says.
    pub(crate) fn into_ended_elsewhere(mut self, elsewhere: Elsewhere) -> (Ended, Buffers) {
        let buffers = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.inflated));
        let (target, slot, timings) = (self.fetch.target, self.fetch.slot, self.timings);
        let outcome = Ok(Response { source: Source::Elsewhere(elsewhere) });
        (Ended { target, slot, timings, outcome }, buffers)
    }

    /// What the fetch ends as, and its buffers when the end does not need them.
    pub(crate) fn into_ended(self, fault: Option<FetchFault>) -> (Ended, Option<Buffers>) {
        let (target, slot, timings) = (self.fetch.target, self.fetch.slot, self.timings);
        let (buffer, inflated) = (self.buffer, self.inflated);
        match fault {
            Some(fault) => {
                (Ended { target, slot, timings, outcome: Err(fault) }, Some((buffer, inflated)))
            }
            None => {
                let exchange = Box::new(self.exchange);
                let response = Response { source: Source::Own { exchange, buffer, inflated } };
                (Ended { target, slot, timings, outcome: Ok(response) }, None)
            }
        }
    }
}

fn exchange(fetch: &Fetch) -> Exchange {
    let request = &fetch.request;
    Exchange::new(Limits {
        head_bytes_max: request.head_bytes_max,
        body_bytes_max: request.body_bytes_max,
    })
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The proxy is asked for a tunnel.
    Tunnel,
    /// TLS is being agreed on.
    Handshake,
    /// The request is on its way, or its response.
    Text,
}

/// A complete response.
pub struct Response {
    source: Source,
}

enum Source {
    /// In the buffers it was received into.
    Own { exchange: Box<Exchange>, buffer: Vec<u8>, inflated: Vec<u8> },
    /// As the library's client read it.
    Elsewhere(Elsewhere),
}

impl Response {
    /// The response as the shard takes it.
    #[must_use]
    pub fn fetched(&self) -> Fetched<'_> {
        match &self.source {
            Source::Own { exchange, buffer, inflated } => Fetched {
                status: exchange.head().map_or(0, |head| head.status),
                content_type: exchange.content_type(buffer),
                body: exchange.body(buffer, inflated),
                wire_bytes: exchange.content_bytes(),
            },
            Source::Elsewhere(elsewhere) => Fetched {
                status: elsewhere.status,
                content_type: &elsewhere.content_type,
                body: &elsewhere.body,
                wire_bytes: elsewhere.wire_bytes,
            },
        }
    }

    pub(crate) fn into_buffers(self) -> Buffers {
        match self.source {
            Source::Own { buffer, inflated, .. } => (buffer, inflated),
            Source::Elsewhere(elsewhere) => (elsewhere.body, Vec::new()),
        }
    }
}

/// A fetch that has ended.
pub struct Ended {
    /// As in the `Fetch`.
    pub target: TargetId,
    /// As in the `Fetch`.
    pub slot: Slot,
    /// When it began and how long it took.
    pub timings: Timings,
    /// The response, or why there is none.
    pub outcome: Result<Response, FetchFault>,
}

/// Errors of connecting, in Go's words.
pub(crate) fn connect_text(cause: Errno) -> String {
    let known = match cause {
        Errno::CONNREFUSED => "connection refused",
        Errno::HOSTUNREACH => "no route to host",
        Errno::NETUNREACH => "network is unreachable",
        Errno::TIMEDOUT => "connection timed out",
        Errno::CONNRESET => "connection reset by peer",
        Errno::MFILE => "too many open connections",
        other => return words::system(&other.into()),
    };
    known.to_owned()
}

/// The fault of a receive that failed.
pub(crate) fn read_fault(cause: Errno) -> FetchFault {
    match cause {
        Errno::CONNRESET | Errno::PIPE | Errno::CANCELED => FetchFault::Closed,
        other => FetchFault::Cause(format!("read tcp: {}", connect_text(other))),
    }
}
