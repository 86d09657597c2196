//! Client: the shard's scrapes over the network, from name to body.
//!
//! Path: effect `Fetch` → **client** → `reactor` → completions → **client** → event `Fetched`.
//! Owns: connections, buffers and deadlines of the fetches in flight.
//! Never: reuses a connection after a fault, waits, parses a body.
//!
//! Invariants
//! - C1: every fetch ends exactly once, at its deadline at the latest.

pub mod route;
pub mod idle;
pub mod connections;
pub mod names;
pub mod accesses;
pub mod active;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use client::access::Access;
use client::transport::{connect_request, tunnel_status};
use model::time::{NANOS_PER_MS, Now, Tick};
use rustix::io::Errno;
use rustix::net::SendFlags;
use scrape::fetch::{Fetch, FetchFault};

use crate::access::{Errand, Office};
use crate::buffers::Pool;
use crate::channel::ChannelFault;
use crate::client::accesses::{Accesses, Found};
use crate::client::active::{Active, Attempt, Ended, Phase, Response, connect_text, read_fault};
use crate::client::connections::Connections;
use crate::client::idle::Link;
use crate::client::names::{Answer, Names};
use crate::client::route::{Dial, Route};
use crate::http::head::head_end;
use crate::mailbox::{Elsewhere, Postbox, Prepared};
use crate::operation::{Completion, Kind, Op, OpKey, Payload};
use crate::reactor::Reactor;
use crate::resolve::Resolver;
use crate::slab::{Key, Slab};

/// Routes remembered to servers that speak HTTP/2 only; all are forgotten when it is full.
const INSISTENT_MAX: usize = 4096;
/// Statuses that lead elsewhere.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Counters of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests sent anew because the kept connection had died.
    pub retried: u64,
    /// Fetches refused because as many were in flight as may be.
    pub refused: u64,
    /// Fetches ended, faults included.
    pub fetches: u64,
    /// Fetches ended by their deadline.
    pub deadlines: u64,
    /// TLS handshakes completed.
    pub handshakes: u64,
    /// Fetches handed to the library's client.
    pub elsewhere: u64,
}

/// All fetches of one shard.
pub struct Client {
    active: Slab<Active>,
    deadlines: BTreeSet<(Tick, Key)>,
    connections: Connections,
    names: Names,
    accesses: Accesses,
    /// Routes to servers that speak HTTP/2 only.
    insistent: HashSet<Route>,
    pool: Pool,
    ended: VecDeque<Ended>,
    resolver: Resolver,
    office: Office,
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
        office: Office,
        postbox: Postbox,
    ) -> Client {
        Client {
            active: Slab::new(1 << 20),
            deadlines: BTreeSet::new(),
            connections: Connections::new(connections_max),
            names: Names::default(),
            accesses: Accesses::default(),
            insistent: HashSet::new(),
            pool: Pool::new(buffers_bytes_max),
            ended: VecDeque::new(),
            resolver,
            office,
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

    /// Takes what requests need of files and tokens.
    pub fn on_prepared(&mut self, now: Now, prepared: &Prepared, reactor: &mut Reactor) {
        for key in self.accesses.learn(now.tick, prepared) {
            self.take_access(now, key, prepared.access.clone(), reactor);
        }
    }

    /// Takes the outcome of a fetch that the library's client had.
    pub fn on_elsewhere(
        &mut self,
        now: Now,
        token: u64,
        outcome: Result<Elsewhere, FetchFault>,
        reactor: &mut Reactor,
    ) {
        let key = Key::from_u64(token);
        // One that has ended meanwhile, by its deadline, wants nothing any more.
        if !self.active.get_mut(key).is_some_and(|active| active.elsewhere) {
            return;
        }
        match outcome {
            Err(fault) => self.fail(now, key, fault, reactor),
            Ok(elsewhere) => {
                let Some(active) = self.take_active(now, key) else { return };
                let (ended, buffers) = active.into_ended_elsewhere(elsewhere);
                self.pool.give(buffers.0);
                self.pool.give(buffers.1);
                self.ended.push_back(ended);
            }
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
        self.connections.expire(now.tick, reactor);
    }

    /// When [`Client::expire`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let fetch = self.deadlines.first().map(|(tick, _)| *tick);
        fetch.into_iter().chain(self.connections.next_deadline()).min()
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
        let (open, idle) = self.connections.sizes();
        (self.active.len(), open, idle)
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The connections, for their counters.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The pool of buffers, for its counters.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sends the request of the current place over a kept connection or a new one.
    fn begin_hop(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        if self.office.has_own(&active.fetch.request) {
            return self.send_elsewhere(now, key, reactor);
        }
        if active.needs_access() && active.access.is_none() {
            return self.find_access(now, key, reactor);
        }
        let socket = active.fetch.request.socket.as_deref();
        let route = Route::new(&active.place, socket, active.access.as_deref());
        active.route = Some(route.clone());
        if self.insistent.contains(&route) {
            return self.send_elsewhere(now, key, reactor);
        }
        // One that died before it saw the request may have companions: not twice.
        if !active.retried
            && let Some(link) = self.connections.take(&route, reactor)
        {
            (active.link, active.fresh, active.phase) = (Some(link), false, Phase::Text);
            return self.send_request(now, key, reactor);
        }
        match route.dial {
            Dial::Socket(path) => self.connect_socket(now, key, &path, reactor),
            Dial::Host(host, _) => match self.names.find(now.tick, &host, key) {
                Answer::Known(addresses) => self.take_addresses(now, key, addresses, reactor),
                Answer::Waiting => {}
                Answer::Ask => {
                    if !self.resolver.ask(&host, &self.postbox) {
                        self.names.forget(&host);
                        let fault = FetchFault::Resolve(format!("{host}: too many lookups wait"));
                        self.fail(now, key, fault, reactor);
                    }
                }
            },
        }
    }

    fn find_access(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let options = &active.fetch.request.http;
        match self.accesses.find(now.tick, options, key) {
            Found::Known(access) => self.take_access(now, key, access, reactor),
            Found::Waiting => {}
            Found::Ask => {
                if !self.office.prepare(options, &self.postbox) {
                    self.accesses.forget(options);
                    let text = "too many requests wait for credentials";
                    self.fail(now, key, FetchFault::Cause(text.to_owned()), reactor);
                }
            }
        }
    }

    fn take_access(
        &mut self,
        now: Now,
        key: Key,
        access: Result<Arc<Access>, String>,
        reactor: &mut Reactor,
    ) {
        let Some(active) = self.active.get_mut(key) else { return };
        match access {
            Ok(access) => {
                active.access = Some(access);
                self.begin_hop(now, key, reactor);
            }
            Err(cause) => self.fail(now, key, FetchFault::Cause(cause), reactor),
        }
    }

    /// Lets the library's client fetch, for a server that speaks HTTP/2 only, or for a page of this
    /// process.
    fn send_elsewhere(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let access = active.access.clone();
        active.elsewhere = true;
        self.counters.elsewhere += u64::from(access.is_some());
        let errand = Errand {
            token: key.to_u64(),
            request: Arc::clone(&active.fetch.request),
            url: active.place.url(),
            with_secrets: active.secrets,
            access,
            timeout_ms: active.fetch.deadline.since(now.tick) / NANOS_PER_MS,
        };
        if !self.office.fetch(errand, &self.postbox) {
            let text = "too many fetches by other means wait";
            self.fail(now, key, FetchFault::Cause(text.to_owned()), reactor);
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
                let port = match active.route.as_ref().map(|route| &route.dial) {
                    Some(Dial::Host(_, port)) => *port,
                    _ => active.place.port,
                };
                active.addresses =
                    addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                self.connect_next(now, key, reactor);
            }
            Err(cause) => {
                let host = active.proxy().map_or(&active.place.host, |proxy| &proxy.host);
                let fault = FetchFault::Resolve(format!("{host}: {cause}"));
                self.fail_dial(now, key, fault, reactor);
            }
        }
    }

    /// Connects to the next address of the name.
    fn connect_next(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let Some(address) = active.addresses.pop_front() else {
            let cause = active.cause.take().unwrap_or_else(|| "no such host".to_owned());
            return self.fail_dial(now, key, FetchFault::Connect(cause), reactor);
        };
        let attempt = Attempt::new(now.tick, active.fetch.deadline, active.addresses.len());
        active.attempt = Some(attempt);
        self.deadlines.insert((attempt.deadline, key));
        let opened = self.connections.open(address, reactor);
        let Some(active) = self.active.get_mut(key) else { return };
        let submitted = opened.and_then(|file| {
            active.link = Some(Link { file, channel: None });
            let connect = Op::Connect { file, address };
            reactor.submit(connect, key.to_u64()).map_err(|refused| refused.cause)
        });
        match submitted {
            Ok(op) => (active.connecting, active.address) = (Some(op), Some(address)),
            Err(cause) => {
                let cause = format!("{address}: socket: {}", connect_text(cause));
                self.fail_dial(now, key, FetchFault::Connect(cause), reactor);
            }
        }
    }

    /// Connects to a socket of this machine: that does not wait.
    fn connect_socket(&mut self, now: Now, key: Key, path: &str, reactor: &mut Reactor) {
        let connected = self.connections.connect_socket(path, reactor);
        let Some(active) = self.active.get_mut(key) else { return };
        match connected {
            Ok(file) => {
                active.link = Some(Link { file, channel: None });
                self.on_link(now, key, reactor);
            }
            Err(cause) => {
                let text = format!("dial unix {path}: connect: {}", connect_text(cause));
                self.fail(now, key, FetchFault::Cause(text), reactor);
            }
        }
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
                self.on_link(now, key, reactor);
            }
            Err(cause) => self.give_up_address(now, key, &connect_text(cause), reactor),
        }
    }

    /// The socket is connected: to the target, or to the proxy that has to be asked for it.
    fn on_link(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        active.fresh = true;
        active.timings.connect_ns = now.tick.since(active.timings.began.tick);
        let is_tunnel = active.route.as_ref().is_some_and(|route| route.tunnel.is_some());
        match active.proxy().filter(|_| is_tunnel) {
            None => self.begin_text(now, key, reactor),
            Some(proxy) => {
                let request = connect_request(proxy, &active.place);
                active.phase = Phase::Tunnel;
                self.transmit(now, key, request, reactor);
                self.receive(now, key, reactor);
            }
        }
    }

    /// What is connected is the target: its request may go, after TLS where that is spoken.
    fn begin_text(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        if active.route.as_ref().is_none_or(|route| route.tls.is_none()) {
            active.phase = Phase::Text;
            return self.send_request(now, key, reactor);
        }
        match active.open_channel(self.pool.take()) {
            Ok(()) => self.turn_channel(now, key, reactor),
            Err(fault) => self.fail(now, key, fault, reactor),
        }
    }

    /// Opens what was received over TLS.
    fn turn_channel(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let Some(link) = &mut active.link else { return };
        let Some(channel) = &mut link.channel else { return };
        let mut out = Vec::new();
        let progress = match channel.advance(&mut active.buffer, &mut out) {
            Ok(progress) => progress,
            Err(fault) => {
                // An alert; nothing waits for it.
                if let Some(socket) = reactor.file(link.file) {
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    let _ = rustix::net::send(socket, &out, flags);
                }
                return self.on_channel_fault(now, key, fault, reactor);
            }
        };
        let is_handshake = active.phase == Phase::Handshake;
        if !out.is_empty() {
            self.transmit(now, key, out, reactor);
        }
        if !is_handshake {
            self.take_text(now, key, progress.is_closed, reactor);
        } else if progress.is_open {
            self.counters.handshakes += 1;
            let Some(active) = self.active.get_mut(key) else { return };
            active.phase = Phase::Text;
            active.timings.connect_ns = now.tick.since(active.timings.began.tick);
            self.send_request(now, key, reactor);
        } else if progress.is_closed {
            self.fail(now, key, FetchFault::Cause("EOF".to_owned()), reactor);
        } else {
            self.receive(now, key, reactor);
        }
    }

    fn on_channel_fault(&mut self, now: Now, key: Key, fault: ChannelFault, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let insists = active.fetch.request.http.http2 && active.phase == Phase::Handshake;
        match fault {
            ChannelFault::Protocol if insists => {
                if INSISTENT_MAX <= self.insistent.len() {
                    self.insistent.clear();
                }
                self.insistent.extend(active.route.clone());
                self.release(now, key, false, reactor);
                self.send_elsewhere(now, key, reactor);
            }
            ChannelFault::Protocol => {
                let text = "remote error: tls: no application protocol".to_owned();
                self.fail(now, key, FetchFault::Tls(text), reactor);
            }
            ChannelFault::Fetch(fault) => self.fail(now, key, fault, reactor),
        }
    }

    /// Remembers why the current address does not do, and tries the next.
    fn give_up_address(&mut self, now: Now, key: Key, cause: &str, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        if let Some(address) = active.address.take() {
            active.cause = Some(format!("{address}: connect: {cause}"));
        }
        active.attempt = None;
        let link = active.link.take();
        let op = active.connecting.take();
        op.into_iter().for_each(|op| reactor.cancel(op));
        link.into_iter().for_each(|link| self.connections.close(link.file, reactor));
        self.connect_next(now, key, reactor);
    }

    fn send_request(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        match active.request_bytes() {
            Ok(bytes) => {
                self.transmit(now, key, bytes, reactor);
                self.receive(now, key, reactor);
            }
            Err(fault) => self.fail(now, key, fault, reactor),
        }
    }

    /// Sends `bytes`, after what is being sent.
    fn transmit(&mut self, now: Now, key: Key, bytes: Vec<u8>, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        if active.sending.is_some() {
            return active.backlog.extend_from_slice(&bytes);
        }
        let Some(file) = active.file() else { return };
        match reactor.submit(Op::Send { file, bytes, from: 0 }, key.to_u64()) {
            Ok(op) => (active.sending, active.send_op) = (Some((op, 0)), Some(op)),
            Err(refused) => {
                let fault = FetchFault::Cause(format!("send: {}", refused.cause));
                self.fail(now, key, fault, reactor);
            }
        }
    }

    fn receive(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let Some(file) = active.file() else { return };
        let bytes = active.take_receive_buffer(|| self.pool.take());
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
        let Some(file) = active.file() else { return };
        if bytes.len() <= from {
            let backlog = std::mem::take(&mut active.backlog);
            if !backlog.is_empty() {
                self.transmit(now, key, backlog, reactor);
            }
            return;
        }
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
        let is_sealed = active.put_receive_buffer(bytes);
        if active.timings.first_byte_ns == 0
            && active.phase == Phase::Text
            && matches!(result, Ok(1..))
        {
            active.timings.first_byte_ns = now.tick.since(active.timings.began.tick).max(1);
        }
        match (active.phase, result) {
            (Phase::Text, Err(cause)) => self.on_fault(now, key, read_fault(cause), reactor),
            // Over TLS an end that was not said is a cut.
            (Phase::Text, Ok(0)) if is_sealed => {
                self.on_fault(now, key, FetchFault::Closed, reactor);
            }
            (_, Err(cause)) => {
                let text = format!("read tcp: {}", connect_text(cause));
                self.fail(now, key, FetchFault::Cause(text), reactor);
            }
            (Phase::Tunnel | Phase::Handshake, Ok(0)) => {
                self.fail(now, key, FetchFault::Cause("EOF".to_owned()), reactor);
            }
            (Phase::Tunnel, Ok(_)) => self.take_tunnel(now, key, reactor),
            (_, Ok(_)) if is_sealed => self.turn_channel(now, key, reactor),
            (_, Ok(count)) => self.take_text(now, key, count == 0, reactor),
        }
    }

    /// Reads the proxy's answer as far as it is there.
    fn take_tunnel(&mut self, now: Now, key: Key, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let bytes_max = active.fetch.request.head_bytes_max;
        match head_end(&active.buffer, 0) {
            None if (bytes_max as usize) < active.buffer.len() => {
                self.fail(now, key, FetchFault::HeadTooLarge { bytes_max }, reactor);
            }
            None => self.receive(now, key, reactor),
            Some(end) => {
                let line = active.buffer.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let status = tunnel_status(line.trim_ascii_end());
                active.buffer.drain(..end);
                match status {
                    Ok(()) => self.begin_text(now, key, reactor),
                    Err(fault) => self.fail(now, key, fault, reactor),
                }
            }
        }
    }

    /// Reads on in the response; `closed` when no more will come.
    fn take_text(&mut self, now: Now, key: Key, closed: bool, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let mut outcome = active.exchange.advance(&mut active.buffer, &mut active.inflated);
        if closed && outcome == Ok(false) {
            outcome = active.exchange.close(&active.buffer, &mut active.inflated).map(|()| true);
        }
        match outcome {
            Ok(false) => self.receive(now, key, reactor),
            Ok(true) => self.on_response(now, key, closed, reactor),
            Err(fault) => self.on_fault(now, key, fault, reactor),
        }
    }

    /// A fault while the response is read: that of a kept connection may only mean that it is dead.
    fn on_fault(&mut self, now: Now, key: Key, fault: FetchFault, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let untouched = active.exchange.is_untouched();
        if untouched && !active.fresh && !active.retried {
            return self.retry(now, key, reactor);
        }
        let fault = match fault {
            FetchFault::Closed if untouched => FetchFault::Cause("EOF".to_owned()),
            other => other,
        };
        self.fail(now, key, fault, reactor);
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
        let keep = keep && active.backlog.is_empty();
        let redirect =
            REDIRECTS.contains(&head.status) && active.fetch.request.http.follow_redirects;
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
        let ops: Vec<OpKey> = active.take_ops().collect();
        let Some(mut link) = active.link.take() else { return };
        let mut is_drained = true;
        if let Some(channel) = &mut link.channel {
            is_drained = channel.is_drained();
            self.pool.give(channel.take_buffer());
        }
        match active.route.clone().filter(|_| keep && ops.is_empty() && is_drained) {
            Some(route) => self.connections.keep(now.tick, route, link),
            None => {
                ops.into_iter().for_each(|op| reactor.cancel(op));
                self.connections.close(link.file, reactor);
            }
        }
    }

    fn fail(&mut self, now: Now, key: Key, fault: FetchFault, reactor: &mut Reactor) {
        self.release(now, key, false, reactor);
        self.end(now, key, Some(fault));
    }

    /// No connection: to the proxy, where one is used, which the text says then.
    fn fail_dial(&mut self, now: Now, key: Key, fault: FetchFault, reactor: &mut Reactor) {
        let Some(active) = self.active.get_mut(key) else { return };
        let fault = match active.proxy() {
            Some(_) => FetchFault::Cause(format!("proxyconnect tcp: {fault}")),
            None => fault,
        };
        self.fail(now, key, fault, reactor);
    }

    fn end(&mut self, now: Now, key: Key, fault: Option<FetchFault>) {
        let Some(active) = self.take_active(now, key) else { return };
        match active.into_ended(fault) {
            (ended, None) => self.ended.push_back(ended),
            (ended, Some((buffer, inflated))) => {
                self.pool.give(buffer);
                self.pool.give(inflated);
                self.ended.push_back(ended);
            }
        }
    }

    /// Takes a fetch that ends off the books.
    fn take_active(&mut self, now: Now, key: Key) -> Option<Active> {
        let active = self.active.remove(key);
        assert!(active.is_some(), "C1: a fetch ends once");
        let mut active = active?;
        self.deadlines.remove(&(active.fetch.deadline, key));
        active.attempt.into_iter().for_each(|attempt| {
            self.deadlines.remove(&(attempt.deadline, key));
        });
        self.counters.fetches += 1;
        active.timings.total_ns = now.tick.since(active.timings.began.tick);
        Some(active)
    }
}
