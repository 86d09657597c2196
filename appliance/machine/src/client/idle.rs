//! Idle connections: kept alive for the next scrape, the newest of a place used first.

use std::collections::{BTreeMap, HashMap};

use model::time::Tick;

use crate::channel::Channel;
use crate::client::route::Route;
use crate::operation::FileKey;

/// How long a connection may idle: upstream's five minutes.
const IDLE_MS_MAX: u64 = 5 * 60_000;

/// A connection.
pub struct Link {
    /// Its socket.
    pub file: FileKey,
    /// TLS, where it is spoken.
    pub channel: Option<Box<Channel>>,
}

struct Idle {
    link: Link,
    until: Tick,
    number: u64,
}

/// The idle connections of one client.
#[derive(Default)]
pub struct IdleConnections {
    by_route: HashMap<Route, Vec<Idle>>,
    by_age: BTreeMap<(Tick, u64), Route>,
    numbers: u64,
}

impl IdleConnections {
    /// Number of idle connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_age.len()
    }

    /// Keeps `link`, which serves `route`.
    pub fn put(&mut self, now: Tick, route: Route, link: Link) {
        let until = now.after_ms(IDLE_MS_MAX);
        self.numbers += 1;
        let idle = Idle { link, until, number: self.numbers };
        self.by_age.insert((until, self.numbers), route.clone());
        self.by_route.entry(route).or_default().push(idle);
    }

    /// The newest connection that serves `route`.
    pub fn take(&mut self, route: &Route) -> Option<Link> {
        let idle = self.by_route.get_mut(route)?.pop()?;
        if self.by_route.get(route).is_some_and(Vec::is_empty) {
            self.by_route.remove(route);
        }
        self.by_age.remove(&(idle.until, idle.number));
        Some(idle.link)
    }

    /// The oldest connection of all, to make room.
    pub fn take_oldest(&mut self) -> Option<Link> {
        let ((_, number), route) = self.by_age.pop_first()?;
        let idles = self.by_route.get_mut(&route)?;
        let at = idles.iter().position(|idle| idle.number == number)?;
        let idle = idles.remove(at);
        if idles.is_empty() {
            self.by_route.remove(&route);
        }
        Some(idle.link)
    }

    /// A connection whose time has passed.
    pub fn take_expired(&mut self, now: Tick) -> Option<Link> {
        if now < self.next_deadline()? { None } else { self.take_oldest() }
    }

    /// When the next connection's time passes.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.by_age.first_key_value().map(|((until, _), _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::route::Dial;
    use crate::slab::Key;

    fn link(index: u32) -> Link {
        Link { file: FileKey(Key { index, generation: 0 }), channel: None }
    }

    fn index(link: Option<Link>) -> Option<u32> {
        link.map(|link| link.file.0.index)
    }

    #[test]
    fn the_newest_of_a_route_is_used_and_the_oldest_of_all_evicted() {
        let mut idle = IdleConnections::default();
        let route =
            |name: &str| Route { dial: Dial::Host(name.to_owned(), 80), tunnel: None, tls: None };
        for (at, name) in ["a", "b", "a"].into_iter().enumerate() {
            idle.put(Tick(at as u64), route(name), link(u32::try_from(at).unwrap()));
        }
        let secure = Route { tls: Some(1), ..route("a") };
        assert_eq!(index(idle.take(&secure)), None);
        assert_eq!(index(idle.take(&route("a"))), Some(2));
        assert_eq!(index(idle.take_expired(Tick(5))), None);
        assert_eq!(index(idle.take_expired(Tick(0).after_ms(IDLE_MS_MAX))), Some(0));
        assert_eq!(index(idle.take(&route("a"))), None);
        assert_eq!(index(idle.take_oldest()), Some(1));
        assert_eq!((idle.count(), idle.next_deadline()), (0, None));
    }
}
