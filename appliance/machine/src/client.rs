//! Client: the shard's scrapes over the network, from name to body.
//!
//! Path: effect `Fetch` → **client** → `reactor` → completions → **client** → event `Fetched`.
//! Owns: connections, buffers and deadlines of the fetches in flight.
//! Never: reuses a connection after a fault, waits, parses a body.
//!
//! Invariants
//! - C1: every fetch ends exactly once, at its deadline at the latest.
//! - C2: connections, idle ones included, never exceed `connections_max`.

pub mod idle;
pub mod names;
pub mod active;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use model::time::{Now, Tick};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketType, socket_with};
use scrape::fetch::{Fetch, FetchFault};
use scrape::target::Scheme;

use crate::buffers::Pool;
use crate::client::active::{Active, Attempt, Ended, Response, connect_text, read_fault};
use crate::client::idle::IdleConnections;
use crate::client::names::{Answer, Names};
use crate::http::request::write_request;
use crate::mailbox::Postbox;
use crate::operation::{Completion, FileKey, Kind, Op, OpKey, Payload};
use crate::reactor::Reactor;
use crate::resolve::Resolver;
use crate::slab::{Key, Slab};

/// Room for at least so much before a receive.
const RECV_BYTES_MIN: usize = 16 * 1024;
/// Room that a promised length may claim before any of it came.
const RECV_BYTES_MAX: usize = 256 * 1024;
/// Statuses that lead elsewhere.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Counters of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections opened.
    pub opened: u64,
    /// Requests sent on a connection that was kept alive.
    pub reused: u64,
    /// Requests sent anew because the kept connection had died.
    pub retried: u64,
    /// Idle connections closed to make room.
    pub evicted: u64,
    /// Fetches refused because every connection was busy.
    pub refused: u64,
    /// Fetches ended, faults included.
    pub fetches: u64,
    /// Fetches ended by their deadline.
    pub deadlines: u64,
}

/// All fetches of one shard.
pub struct Client {
    active: Slab<Active>,
    deadlines: BTreeSet<(Tick, Key)>,
    idle: IdleConnections,
    names: Names,
    pool: Pool,
    ended: VecDeque<Ended>,
    connections: usize,
    connections_max: usize,
    resolver: Resolver,
    postbox: Postbox,
    counters: Counters,
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(
        connections_max: usize,
        buffers_bytes_max: usize,
        resolver: Resolver,
        postbox: Postbox,
    ) -> Client {
        Client {
            active: Slab::new(1 << 20),
            deadlines: BTreeSet::new(),
            idle: IdleConnections::default(),
            names: Names::default(),
            pool: Pool::new(buffers_bytes_max),
            ended: VecDeque::new(),
            connections: 0,
            connections_max,
            resolver,
            postbox,
            counters: Counters::default(),
        }
    }

    /// Begins a fetch; it ends in [`Client::take_ended`].
    pub fn start(&mut self, now: Now, fetch: Fetch, reactor: &mut Reactor) {
        let deadline = fetch.deadline;
        let buffers = (self.pool.take(), Vec::new());
        let active = Active::new(now, fetch, buffers);
        let key = match self.active.insert(active) {
            Ok(key) => key,
            Err(active) => {
                self.counters.refused += 1;
                let fault = FetchFault::Cause("too many fetches in flight".to_owned());
                return self.ended.push_back(active.into_ended(Some(fault)).0);
            }
        };
        self.deadlines.insert((deadline, key));
        self.begin_hop(now, key, reactor);
    }

    /// Takes a completion of the reactor.
    pub fn on_completion(&mut self, now: Now, completion: Completion, reactor: &mut Reactor) {
        let key = Key::from_u64(completion.token);
        let current = self.active.get_mut(key).is_some_and(|active| {
            let place = active.pending(completion.kind);
            let current = *place == Some(completion.op);
            if current {
                *place = None;
            }
            current
        });
        if !current {
            // Of a fetch or a connection that has ended: only its buffer matters.
            if let Payload::Bytes(bytes) = completion.payload {
                self.pool.give(bytes);
            }
            return;
        }
        match (completion.kind, completion.payload) {
            (Kind::Connect, _) => self.on_connected(now, key, completion.result, reactor),
            (Kind::Send, Payload::Bytes(bytes)) => {
                self.on_sent(now, key, completion.result, bytes, reactor);
            }
            (Kind::Recv, Payload::Bytes(bytes)) => {
                self.on_received(now, key, completion.result, bytes, reactor);
            }
            (kind, payload) => unreachable!("{kind:?} came back with {payload:?}"),
        }
    }

    /// Takes the addresses of a name that was looked up.
    pub fn on_resolved(
        &mut self,
        now: Now,
        name: String,
        addresses: Result<Vec<IpAddr>, String>,
        reactor: &mut Reactor,
    ) {
        let waiting = self.names.learn(now.tick, name, addresses.clone());
        for key in waiting {
            self.take_addresses(now, key, addresses.clone(), reactor);
        }
    }

    /// Ends what has come to its deadline.
    pub fn expire(&mut self, now: Now, reactor: &mut Reactor) {
        while let Some((tick, key)) = self.deadlines.first().copied() {
            if now.tick < tick {
                break;
            }
            self.deadlines.pop_first();
            let Some(active) = self.active.get_mut(key) else { continue };
            if active.fetch.deadline <= now.tick {
                self.counters.deadlines += 1;
                self.fail(now, key, FetchFault::Deadline, reactor);
            } else if active.attempt.is_some_and(|attempt| attempt.deadline <= now.tick) {
                self.give_up_address(now, key, "i/o timeout", reactor);
            }
        }
        while let Some(file) = self.idle.take_expired(now.tick) {
            self.close(file, reactor);
        }
    }

    /// When [`Client::expire`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let fetch = self.deadlines.first().map(|(tick, _)| *tick);
        fetch.into_iter().chain(self.idle.next_deadline()).min()
    }

    /// The next fetch that has ended.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// Whether [`Client::take_ended`] has one.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Takes the buffers of a response back.
    pub fn recycle(&mut self, response: Response) {
        let (buffer, inflated) = response.into_buffers();
        self.pool.give(buffer);
        self.pool.give(inflated);
    }

    /// Fetches in flight, and connections with the idle ones.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.active.len(), self.connections, self.idle.count())
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The pool of buffers, for its counters.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sends the request of the current place over a kept connection or a new one.
    fn begin_hop(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        if active.place.scheme == Scheme::Https {
            let fault = FetchFault::Unsupported("scheme https".to_owned());
            return self.fail(now, key, fault, reactor);
        }
        let place = active.place_key();
        while !active.retried {
            let Some(file) = self.idle.take(&place) else { break };
            if is_quiet(reactor, file) {
                self.counters.reused += 1;
                (active.file, active.fresh) = (Some(file), false);
                return self.send_request(now, key, reactor);
            }
            // Closed by the peer, or it said something nobody asked for.
            reactor.close(file);
            self.connections -= 1;
        }
        match self.names.find(now.tick, &place.0, key) {
            Answer::Known(addresses) => self.take_addresses(now, key, addresses, reactor),
            Answer::Waiting => {}
            Answer::Ask => {
                if !self.resolver.ask(&place.0, &self.postbox) {
                    self.names.forget(&place.0);
                    let fault = FetchFault::Resolve(format!("{}: too many lookups wait", place.0));
                    self.fail(now, key, fault, reactor);
                }
            }
        }
    }

    fn take_addresses(
        &mut self,
        now: Now,
        key: Key,
        addresses: Result<Vec<IpAddr>, String>,
        reactor: &mut Reactor,
    ) {
        let Some(active) = self.active.get_mut(key) else { return };
        match addresses {
            Ok(addresses) => {
                let port = active.place.port;
                active.addresses =
                    addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                self.connect_next(now, key, reactor);
            }
            Err(cause) => {
                let fault = FetchFault::Resolve(format!("{}: {cause}", active.place.host));
                self.fail(now, key, fault, reactor);
            }
        }
    }

    /// Connects to the next address of the name.
    fn connect_next(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let Some(address) = active.addresses.pop_front() else {
            let cause = active.cause.take().unwrap_or_else(|| "no such host".to_owned());
            return self.fail(now, key, FetchFault::Connect(cause), reactor);
        };
        let attempt = Attempt::new(now.tick, active.fetch.deadline, active.addresses.len());
        active.attempt = Some(attempt);
        self.deadlines.insert((attempt.deadline, key));
        let opened = self.open(address, reactor);
        let Some(active) = self.active.get_mut(key) else { return };
        let submitted = opened.and_then(|file| {
            active.file = Some(file);
            let connect = Op::Connect { file, address };
            reactor.submit(connect, key.to_u64()).map_err(|refused| refused.cause)
        });
        match submitted {
            Ok(op) => (active.connecting, active.address) = (Some(op), Some(address)),
            Err(cause) => {
                let cause = format!("{address}: socket: {}", connect_text(cause));
                self.fail(now, key, FetchFault::Connect(cause), reactor);
            }
        }
    }

    /// A new socket within the bound of connections.
    fn open(&mut self, address: SocketAddr, reactor: &mut Reactor) -> Result<FileKey, Errno> {
        if self.connections_max <= self.connections {
            let Some(oldest) = self.idle.take_oldest() else {
                self.counters.refused += 1;
                return Err(Errno::MFILE);
            };
            self.counters.evicted += 1;
            self.close(oldest, reactor);
        }
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, reactor.socket_flags(), None)?;
        let file = reactor.attach(socket)?;
        self.connections += 1;
        self.counters.opened += 1;
        assert!(self.connections <= self.connections_max, "C2: too many connections");
        Ok(file)
    }

    fn close(&mut self, file: FileKey, reactor: &mut Reactor) {
        reactor.close(file);
        self.connections -= 1;
    }

    fn on_connected(
        &mut self,
        now: Now,
        key: Key,
        result: Result<usize, Errno>,
        reactor: &mut Reactor,
    ) {
        match result {
            Ok(_) => {
                let Some(active) = self.active.get_mut(key) else { return };
                active.attempt = None;
                active.fresh = true;
                active.timings.connect_ns = now.tick.since(active.timings.began.tick);
                self.send_request(now, key, reactor);
            }
            Err(cause) => self.give_up_address(now, key, &connect_text(cause), reactor),
        }
    }

    /// Remembers why the current address does not do, and tries the next.
    fn give_up_address(&mut self, now: Now, key: Key, cause: &str, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        if let Some(address) = active.address.take() {
            active.cause = Some(format!("{address}: connect: {cause}"));
        }
        active.attempt = None;
        let file = active.file.take();
        let op = active.connecting.take();
        op.into_iter().for_each(|op| reactor.cancel(op));
        file.into_iter().for_each(|file| self.close(file, reactor));
        self.connect_next(now, key, reactor);
    }

    fn send_request(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let Some(file) = active.file else { return };
        let mut bytes = Vec::with_capacity(512);
        let request = &active.fetch.request;
        if let Err(fault) = write_request(request, &active.place, active.secrets, &mut bytes) {
            return self.fail(now, key, fault, reactor);
        }
        match reactor.submit(Op::Send { file, bytes, from: 0 }, key.to_u64()) {
            Ok(op) => {
                active.sending = Some((op, 0));
                active.send_op = Some(op);
            }
            Err(refused) => {
                let fault = FetchFault::Cause(format!("send: {}", refused.cause));
                return self.fail(now, key, fault, reactor);
            }
        }
        self.receive(now, key, reactor);
    }

    fn receive(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let Some(file) = active.file else { return };
        let mut bytes = std::mem::take(&mut active.buffer);
        let wanted = active.exchange.bytes_wanted().clamp(RECV_BYTES_MIN, RECV_BYTES_MAX);
        if bytes.capacity() - bytes.len() < wanted {
            bytes.reserve(wanted.max(bytes.len().min(RECV_BYTES_MAX)));
        }
        match reactor.submit(Op::Recv { file, bytes }, key.to_u64()) {
            Ok(op) => active.receiving = Some(op),
            Err(refused) => {
                let fault = FetchFault::Cause(format!("recv: {}", refused.cause));
                self.fail(now, key, fault, reactor);
            }
        }
    }

    fn on_sent(
        &mut self,
        now: Now,
        key: Key,
        result: Result<usize, Errno>,
        bytes: Vec<u8>,
        reactor: &mut Reactor,
    ) {
        let Some(active) = self.active.get_mut(key) else { return };
        let Some((_, from)) = active.sending.take() else { return };
        // A failed send is no end: the peer may have answered before it closed. The receive tells.
        let Ok(count) = result else {
            active.broken = true;
            return;
        };
        let from = from + count;
        if bytes.len() <= from {
            return;
        }
        let Some(file) = active.file else { return };
        match reactor.submit(Op::Send { file, bytes, from }, key.to_u64()) {
            Ok(op) => (active.sending, active.send_op) = (Some((op, from)), Some(op)),
            Err(refused) => {
                let fault = FetchFault::Cause(format!("send: {}", refused.cause));
                self.fail(now, key, fault, reactor);
            }
        }
    }

    fn on_received(
        &mut self,
        now: Now,
        key: Key,
        result: Result<usize, Errno>,
        bytes: Vec<u8>,
        reactor: &mut Reactor,
    ) {
        let Some(active) = self.active.get_mut(key) else { return };
        active.buffer = bytes;
        if active.timings.first_byte_ns == 0 && matches!(result, Ok(1..)) {
            active.timings.first_byte_ns = now.tick.since(active.timings.began.tick).max(1);
        }
        let outcome = match result {
            Ok(0) => active.exchange.close(&active.buffer, &mut active.inflated).map(|()| true),
            Ok(_) => active.exchange.advance(&mut active.buffer, &mut active.inflated),
            Err(cause) => Err(read_fault(cause)),
        };
        let untouched = active.exchange.is_untouched();
        match outcome {
            Ok(false) => self.receive(now, key, reactor),
            Ok(true) => self.on_response(now, key, result == Ok(0), reactor),
            Err(_) if untouched && !active.fresh && !active.retried => {
                self.retry(now, key, reactor)
            }
            Err(fault) => self.fail(now, key, fault, reactor),
        }
    }

    /// The kept connection had died before it saw the request: once more, on a new one.
    fn retry(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        self.counters.retried += 1;
        self.release(now, key, false, reactor);
        let Some(active) = self.active.get_mut(key) else { return };
        active.retried = true;
        self.begin_hop(now, key, reactor);
    }

    fn on_response(&mut self, now: Now, key: Key, closed: bool, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let Some(head) = active.exchange.head() else { return };
        let keep = head.keep_alive && !closed && active.sending.is_none() && !active.broken;
        let redirect = REDIRECTS.contains(&head.status) && active.fetch.request.follow_redirects;
        let location = active.exchange.location(&active.buffer).filter(|_| redirect);
        let next = location.map(|location| active.place.follow(location));
        let used_up = active.redirects_left == 0;
        match next {
            None => {
                self.release(now, key, keep, reactor);
                self.end(now, key, None);
            }
            Some(_) if used_up => self.fail(now, key, FetchFault::Redirects, reactor),
            Some(Err(fault)) => self.fail(now, key, fault, reactor),
            Some(Ok(place)) => {
                self.release(now, key, keep, reactor);
                let Some(active) = self.active.get_mut(key) else { return };
                active.redirect(place);
                self.begin_hop(now, key, reactor);
            }
        }
    }

    /// Takes the connection off the fetch: kept for the next one, or closed.
    fn release(&mut self, now: Now, key: Key, keep: bool, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let place = active.place_key();
        let ops: Vec<OpKey> = active.take_ops().collect();
        let Some(file) = active.file.take() else { return };
        if keep && ops.is_empty() {
            self.idle.put(now.tick, place, file);
        } else {
            ops.into_iter().for_each(|op| reactor.cancel(op));
            self.close(file, reactor);
        }
    }

    fn fail(&mut self, now: Now, key: Key, fault: FetchFault, reactor: &mut Reactor) {
        self.release(now, key, false, reactor);
        self.end(now, key, Some(fault));
    }

    fn end(&mut self, now: Now, key: Key, fault: Option<FetchFault>) {
        let active = self.active.remove(key);
        assert!(active.is_some(), "C1: a fetch ends once");
        let Some(mut active) = active else { return };
        self.deadlines.remove(&(active.fetch.deadline, key));
        active.attempt.into_iter().for_each(|attempt| {
            self.deadlines.remove(&(attempt.deadline, key));
        });
        self.counters.fetches += 1;
        active.timings.total_ns = now.tick.since(active.timings.began.tick);
        match active.into_ended(fault) {
            (ended, None) => self.ended.push_back(ended),
            (ended, Some((buffer, inflated))) => {
                self.pool.give(buffer);
                self.pool.give(inflated);
                self.ended.push_back(ended);
            }
        }
    }
}

/// Whether the peer of an idle connection has neither closed it nor sent anything.
fn is_quiet(reactor: &Reactor, file: FileKey) -> bool {
    let Some(fd) = reactor.file(file) else { return false };
    let peeked = rustix::net::recv(fd, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(Errno::AGAIN))
}
