//! Clients: how many connections each address has, so that none keeps the others out.
//!
//! Path: `web` accepts → **clients** → the connection goes on, or is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Connections by address.
#[derive(Debug, Default)]
pub struct Clients {
    connections: watch::Sender<HashMap<IpAddr, usize>>,
    refused: AtomicU64,
}

impl Clients {
    /// A place for one more connection of `address`, unless it has `connections_max`; that is
    /// counted.
    #[must_use]
    pub fn take(self: &Arc<Clients>, address: IpAddr, connections_max: usize) -> Option<Place> {
        let mut has_room = false;
        self.connections.send_modify(|connections| {
            let count = connections.entry(address).or_default();
            has_room = *count < connections_max;
            *count += usize::from(has_room);
        });
        if !has_room {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Place { clients: Arc::clone(self), address })
    }

    /// Connections that were closed because their address had too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// The place of one connection.
#[derive(Debug)]
pub struct Place {
    clients: Arc<Clients>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.connections.send_modify(|connections| {
            let left = connections.get(&self.address).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                connections.remove(&self.address);
            } else {
                connections.insert(self.address, left);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bound_and_no_more_than_its_own() {
        let clients = Arc::new(Clients::default());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = clients.take(one, 2);
        let second = clients.take(one, 2);
        assert!(first.is_some() && second.is_some());
        assert!(clients.take(one, 2).is_none());
        assert!(clients.take(other, 2).is_some());
        drop(first);
        assert!(clients.take(one, 2).is_some());
        drop(second);
        assert_eq!((clients.refused(), clients.connections.borrow().len()), (1, 0));
    }
}
