//! Own pages: what this process tells of itself, for its own scrapes, without a socket.
//!
//! Path: the machine's `own` → **own pages** → `api`'s router.
//! A scrape of this server by itself waits for no connection and no thread that others keep busy:
//! its own figures are there when they matter most.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::router::Peer;
use axum::Router;
use axum::body::{Body, to_bytes};
use hyper::Request;
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use machine::mailbox::Elsewhere;
use machine::own::Page;
use scrape::fetch::{FetchFault, FetchRequest};

/// The pages, below the prefix of the server's routes.
const PAGES: [&str; 2] = ["/metrics", "/metrics/host"];

/// The pages of a server.
pub struct OwnPages {
    /// The HTTP API.
    pub router: Router,
    /// Where the server listens.
    pub addresses: Vec<SocketAddr>,
    /// Path below which the router answers; "" for all.
    pub prefix: String,
}

impl OwnPages {
    fn page_of<'a>(&self, request: &'a FetchRequest) -> Option<&'a str> {
        let below = request.path_and_query.strip_prefix(&self.prefix)?;
        let path = below.split('?').next().unwrap_or("");
        PAGES.contains(&path).then_some(below)
    }

    /// Whether a connection to `host` would lead here.
    fn is_here(&self, host: &str, port: u16) -> bool {
        let bare = host.trim_matches(['[', ']']);
        let ip = if bare == "localhost" { None } else { Some(bare.parse::<IpAddr>()) };
        let ip = match ip {
            Some(Ok(ip)) => Some(ip),
            Some(Err(_)) => return false,
            None => None,
        };
        let is_loopback = ip.is_none_or(|ip| ip.is_loopback());
        self.addresses.iter().filter(|address| address.port() == port).any(|address| {
            let any = address.ip().is_unspecified() && is_loopback;
            any || ip.map_or(address.ip().is_loopback(), |ip| ip == address.ip())
        })
    }
}

impl machine::own::OwnPages for OwnPages {
    fn has(&self, request: &FetchRequest) -> bool {
        self.addresses.iter().any(|address| address.port() == request.port)
            && request.socket.is_none()
            && self.is_here(&request.host, request.port)
            && self.page_of(request).is_some()
    }

    fn page(&self, request: Arc<FetchRequest>) -> Page {
        let router = self.router.clone();
        let page = self.page_of(&request).unwrap_or("/").to_owned();
        Box::pin(async move {
            let mut asked = Request::get(page);
            let headers = request.headers.iter();
            for (name, value) in
                headers.filter(|(name, _)| !name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str()))
            {
                asked = asked.header(name, value);
            }
            let asked = asked.extension(Peer(SocketAddr::from(([127, 0, 0, 1], 0))));
            let cause = |error: &dyn std::fmt::Display| FetchFault::Cause(error.to_string());
            let asked = asked.body(Body::empty()).map_err(|error| cause(&error))?;
            let answer = TowerToHyperService::new(router).call(asked).await;
            let answer = answer.map_err(|error| cause(&error))?;
            let status = answer.status().as_u16();
            let content_type = answer.headers().get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or("").to_owned();
            let limit = usize::try_from(request.body_bytes_max).unwrap_or(usize::MAX);
            let body = to_bytes(answer.into_body(), limit).await;
            let body = body.map_err(|error| cause(&error))?.to_vec();
            let wire_bytes = body.len() as u64;
            Ok(Elsewhere { status, content_type, body, wire_bytes })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listen: &str, host: &str, port: u16, expected: bool) {
        let addresses = vec![listen.parse().expect("an address")];
        let pages = OwnPages { router: Router::new(), addresses, prefix: String::new() };
        assert_eq!(pages.is_here(host, port), expected, "{host}:{port} of {listen}");
    }

    #[test]
    fn only_what_would_lead_here_is_here() {
        check("0.0.0.0:9090", "localhost", 9090, true);
        check("0.0.0.0:9090", "127.0.0.1", 9090, true);
        check("[::]:9090", "[::1]", 9090, true);
        check("127.0.0.1:9090", "localhost", 9090, true);
        check("10.0.0.1:9090", "10.0.0.1", 9090, true);
        check("10.0.0.1:9090", "localhost", 9090, false);
        check("0.0.0.0:9090", "10.0.0.1", 9090, false);
        check("0.0.0.0:9090", "localhost", 9091, false);
        check("0.0.0.0:9090", "node-1", 9090, false);
    }
}
