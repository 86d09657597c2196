//! Active: one fetch on its way, and what it ends as.

use std::collections::VecDeque;
use std::net::SocketAddr;

use client::location::Place;
use model::time::{NANOS_PER_MS, Now, Tick};
use rustix::io::Errno;
use scrape::fetch::{Fetch, FetchFault, Fetched, Timings};
use scrape::target::TargetId;
use storage::row::Slot;

use crate::http::exchange::{Exchange, Limits};
use crate::operation::{FileKey, Kind, OpKey};

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
    pub(crate) file: Option<FileKey>,
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
            file: None,
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

    /// Host and port of the current place.
    pub(crate) fn place_key(&self) -> (String, u16) {
        (self.place.host.clone(), self.place.port)
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
        (self.retried, self.broken, self.address) = (false, false, None);
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
                let response = Response { exchange: self.exchange, buffer, inflated };
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

/// A complete response in the buffers it was received into.
pub struct Response {
    exchange: Exchange,
    buffer: Vec<u8>,
    inflated: Vec<u8>,
}

impl Response {
    /// The response as the shard takes it.
    #[must_use]
    pub fn fetched(&self) -> Fetched<'_> {
        Fetched {
            status: self.exchange.head().map_or(0, |head| head.status),
            content_type: self.exchange.content_type(&self.buffer),
            body: self.exchange.body(&self.buffer, &self.inflated),
            wire_bytes: self.exchange.content_bytes(),
        }
    }

    pub(crate) fn into_buffers(self) -> Buffers {
        (self.buffer, self.inflated)
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
        other => return other.to_string(),
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
