//! Resolve: names to addresses, on one thread, since the system's resolver blocks.
//!
//! Path: `client` → **resolve** → `mailbox` → `client`.
//! Never: answers from memory; each shard's client keeps what it learned.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use client::words;
use crossbeam::channel::{Receiver, Sender, bounded};
use exposition::metrics::Collected;

use crate::handle::{Gauges, Worker};
use crate::mailbox::{Done, Postbox};
use crate::worker::spawn;

/// Lookups that may wait for the thread.
const WAITING_MAX: usize = 1024;

struct Lookup {
    name: String,
    postbox: Postbox,
}

/// Asks the thread; cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    lookups: Sender<Lookup>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    lookups: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl Gauges for Counters {
    fn collect(&self, into: &mut Collected) {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        into.counter(
            "cresset_resolve_lookups_total",
            "Names looked up by the system's resolver.",
            &[],
            value(&self.lookups),
        );
        into.counter(
            "cresset_resolve_failures_total",
            "Lookups that gave no address.",
            &[],
            value(&self.failed),
        );
        into.counter(
            "cresset_resolve_refused_total",
            "Lookups refused because too many waited.",
            &[],
            value(&self.refused),
        );
    }
}

/// Starts the thread; it ends with the last [`Resolver`].
///
/// # Errors
/// The system has no thread left.
pub fn start() -> io::Result<(Resolver, Worker, Arc<dyn Gauges>)> {
    let (sender, receiver) = bounded(WAITING_MAX);
    let counters = Arc::new(Counters::default());
    let shared = Arc::clone(&counters);
    let worker = spawn("resolve", move || turn(&receiver, &shared))?;
    let gauges: Arc<dyn Gauges> = Arc::clone(&counters) as Arc<dyn Gauges>;
    Ok((Resolver { lookups: sender, counters }, worker, gauges))
}

impl Resolver {
    /// Looks `name` up; the addresses come as [`Done::Resolved`]. False when too many wait.
    #[must_use]
    pub fn ask(&self, name: &str, postbox: &Postbox) -> bool {
        let lookup = Lookup { name: name.to_owned(), postbox: postbox.clone() };
        let taken = self.lookups.try_send(lookup).is_ok();
        if !taken {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

fn turn(lookups: &Receiver<Lookup>, counters: &Counters) {
    while let Ok(Lookup { name, postbox }) = lookups.recv() {
        counters.lookups.fetch_add(1, Ordering::Relaxed);
        let addresses = look_up(&name);
        if addresses.is_err() {
            counters.failed.fetch_add(1, Ordering::Relaxed);
        }
        postbox.done(Done::Resolved { name, addresses });
    }
}

/// The addresses of `name` in the system's order, each once.
fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let found = (name, 0).to_socket_addrs().map_err(|cause| words::lookup(&cause))?;
    for address in found {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    if addresses.is_empty() { Err("no such host".to_owned()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_has_an_address_and_nonsense_has_none() {
        let local = look_up("localhost").unwrap();
        assert!(local.iter().all(IpAddr::is_loopback), "{local:?}");
        assert!(look_up("no-such-host.invalid").is_err());
        assert!(look_up("").is_err());
    }
}
