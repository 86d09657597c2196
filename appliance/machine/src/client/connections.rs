//! Connections: opened, kept for the next fetch, and closed, within their bound.
//!
//! Invariants
//! - C2: connections, idle ones included, never exceed `connections_max`.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use model::time::Tick;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use crate::client::idle::{IdleConnections, Link};
use crate::client::route::Route;
use crate::operation::FileKey;
use crate::reactor::Reactor;

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections opened.
    pub opened: u64,
    /// Connections used again.
    pub reused: u64,
    /// Idle connections closed to make room.
    pub evicted: u64,
    /// Connections refused because every one was busy.
    pub refused: u64,
}

/// All connections of one client.
pub struct Connections {
    idle: IdleConnections,
    count: usize,
    count_max: usize,
    counters: Counters,
}

impl Connections {
    /// None yet, at most `count_max`.
    #[must_use]
    pub fn new(count_max: usize) -> Connections {
        let (idle, counters) = (IdleConnections::default(), Counters::default());
        Connections { idle, count: 0, count_max, counters }
    }

    /// A kept connection that serves `route` and that the peer has left alone.
    pub fn take(&mut self, route: &Route, reactor: &mut Reactor) -> Option<Link> {
        loop {
            let link = self.idle.take(route)?;
            if is_quiet(reactor, link.file) {
                self.counters.reused += 1;
                return Some(link);
            }
            // Closed by the peer, or it said something nobody asked for.
            self.close(link.file, reactor);
        }
    }

    /// Keeps a connection for the next fetch.
    pub fn keep(&mut self, now: Tick, route: Route, link: Link) {
        self.idle.put(now, route, link);
    }

    /// A new socket for `address`, not connected.
    ///
    /// # Errors
    /// `EMFILE` when every connection is busy, or the kernel's refusal.
    pub fn open(&mut self, address: SocketAddr, reactor: &mut Reactor) -> Result<FileKey, Errno> {
        self.make_room(reactor)?;
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, reactor.socket_flags(), None)?;
        self.attach(socket, reactor)
    }

    /// Connects to a socket of this machine: that does not wait.
    ///
    /// # Errors
    /// As [`Connections::open`], or why nobody is there.
    pub fn connect_socket(&mut self, path: &str, reactor: &mut Reactor) -> Result<FileKey, Errno> {
        self.make_room(reactor)?;
        let address = SocketAddrUnix::new(path)?;
        let flags = reactor.socket_flags();
        let with = flags | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, with, None)?;
        rustix::net::connect(&socket, &address)?;
        rustix::io::ioctl_fionbio(&socket, flags.contains(SocketFlags::NONBLOCK))?;
        self.attach(socket, reactor)
    }

    /// Closes a connection that was taken or opened.
    pub fn close(&mut self, file: FileKey, reactor: &mut Reactor) {
        reactor.close(file);
        self.count -= 1;
    }

    /// Closes those that have idled too long.
    pub fn expire(&mut self, now: Tick, reactor: &mut Reactor) {
        while let Some(link) = self.idle.take_expired(now) {
            self.close(link.file, reactor);
        }
    }

    /// When [`Connections::expire`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.idle.next_deadline()
    }

    /// Open connections, and how many of them are idle.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.count, self.idle.count())
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn make_room(&mut self, reactor: &mut Reactor) -> Result<(), Errno> {
        if self.count_max <= self.count {
            let Some(oldest) = self.idle.take_oldest() else {
                self.counters.refused += 1;
                return Err(Errno::MFILE);
            };
            self.counters.evicted += 1;
            self.close(oldest.file, reactor);
        }
        Ok(())
    }

    fn attach(&mut self, socket: OwnedFd, reactor: &mut Reactor) -> Result<FileKey, Errno> {
        let file = reactor.attach(socket)?;
        self.count += 1;
        self.counters.opened += 1;
        assert!(self.count <= self.count_max, "C2: too many connections");
        Ok(file)
    }
}

/// Whether the peer of an idle connection has neither closed it nor sent anything.
fn is_quiet(reactor: &Reactor, file: FileKey) -> bool {
    let Some(fd) = reactor.file(file) else { return false };
    let peeked = rustix::net::recv(fd, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(Errno::AGAIN))
}
