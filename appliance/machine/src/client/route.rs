//! Route: which connection serves a request, so that kept ones are used for no other.

use std::hash::{DefaultHasher, Hash, Hasher};

use client::access::Access;
use client::location::Place;
use client::proxy::Proxy;
use scrape::target::Scheme;

/// What a socket is connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dial {
    /// Name or address, and port.
    Host(String, u16),
    /// A socket of this machine.
    Socket(String),
}

/// What makes connections the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// What the socket is connected to: the target or a proxy.
    pub dial: Dial,
    /// Where the proxy's tunnel leads, and which credentials opened it.
    pub tunnel: Option<(String, u16, u64)>,
    /// Which TLS configuration.
    pub tls: Option<u64>,
}

impl Route {
    /// The route to `place`; `access` is there for https and wherever a proxy may be.
    #[must_use]
    pub fn new(place: &Place, socket: Option<&str>, access: Option<&Access>) -> Route {
        let direct = || Dial::Host(place.host.clone(), place.port);
        let proxy = access.and_then(|access| proxy_for(place, socket, access));
        let dial = match (socket, proxy) {
            (Some(path), _) => Dial::Socket(path.to_owned()),
            (None, Some(proxy)) => Dial::Host(proxy.host.clone(), proxy.port),
            (None, None) => direct(),
        };
        let is_tls = place.scheme == Scheme::Https;
        let tunnel =
            proxy.filter(|_| is_tls).map(|proxy| (place.host.clone(), place.port, hash_of(proxy)));
        let tls = access.filter(|_| is_tls).map(|access| access.tls.id);
        Route { dial, tunnel, tls }
    }
}

fn hash_of(proxy: &Proxy) -> u64 {
    let mut hasher = DefaultHasher::new();
    proxy.hash(&mut hasher);
    hasher.finish()
}

/// The proxy by which `place` is reached.
#[must_use]
pub fn proxy_for<'a>(place: &Place, socket: Option<&str>, access: &'a Access) -> Option<&'a Proxy> {
    let proxy = access.proxies.find(place.scheme, &place.host, place.port);
    proxy.filter(|_| socket.is_none())
}
