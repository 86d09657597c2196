//! Proxy: which requests go by way of which proxy.
//!
//! Source: Go's `golang.org/x/net/http/httpproxy`.

use std::net::IpAddr;

use scrape::http_options::{ProxyChoice, ProxyOptions};
use scrape::target::Scheme;

use crate::base64;
use crate::location::Place;

/// A proxy that is reached over plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Value of Proxy-Authorization.
    pub authorization: Option<String>,
    /// Headers of CONNECT.
    pub connect_headers: Vec<(String, String)>,
}

/// The proxies of some options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exempt: Exempt,
}

/// What is reached directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Exempt {
    /// Nothing: a `proxy_url` alone means every host, this machine too.
    #[default]
    Nothing,
    /// This machine, and what matches a rule.
    ThisHostAnd(Vec<Rule>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    All,
    Address(IpAddr, Option<u16>),
    Network(IpAddr, u8),
    /// A domain with what lies in it; the name itself too unless it was written with a dot.
    Domain {
        name: String,
        port: Option<u16>,
        itself: bool,
    },
}

impl Proxies {
    /// The proxies that `options` name; `variable` reads the environment.
    ///
    /// # Errors
    /// A URL is none, or is of a proxy that is not reached over HTTP.
    pub fn new(
        options: &ProxyOptions,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Proxies, String> {
        let of = |url: &str| parse(url, options).map(Some);
        match &options.choice {
            ProxyChoice::Direct => Ok(Proxies::default()),
            ProxyChoice::Url { url, no_proxy } => {
                let proxy = of(&url.0)?;
                let exempt = match no_proxy.as_str() {
                    "" => Exempt::Nothing,
                    rules => Exempt::ThisHostAnd(parse_rules(rules)),
                };
                Ok(Proxies { http: proxy.clone(), https: proxy, exempt })
            }
            ProxyChoice::Environment => {
                let named = |upper: &str| {
                    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
                    set(upper).or_else(|| set(&upper.to_lowercase()))
                };
                let proxy = |name| named(name).map_or(Ok(None), |url| of(&url));
                let rules = named("NO_PROXY").unwrap_or_default();
                Ok(Proxies {
                    http: proxy("HTTP_PROXY")?,
                    https: proxy("HTTPS_PROXY")?,
                    exempt: Exempt::ThisHostAnd(parse_rules(&rules)),
                })
            }
        }
    }

    /// The proxy for a request, `None` when it goes directly.
    #[must_use]
    pub fn find(&self, scheme: Scheme, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = match scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        };
        proxy.filter(|_| !self.exempt.matches(host, port))
    }
}

impl Exempt {
    fn matches(&self, host: &str, port: u16) -> bool {
        let Exempt::ThisHostAnd(rules) = self else { return false };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        rules.iter().any(|rule| rule.matches(&host, address, port))
    }
}

impl Rule {
    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let fits = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Rule::All => true,
            Rule::Address(own, wanted) => address == Some(*own) && fits(wanted),
            Rule::Network(network, bits) => {
                address.is_some_and(|address| is_within(address, *network, *bits))
            }
            Rule::Domain { name, port, itself } => {
                let within =
                    host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (within || *itself && host == name) && address.is_none() && fits(port)
            }
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shift = |width: u8| u32::from(width.saturating_sub(bits));
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differ = address.to_bits() ^ network.to_bits();
            differ.checked_shr(shift(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differ = address.to_bits() ^ network.to_bits();
            differ.checked_shr(shift(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn parse_rules(text: &str) -> Vec<Rule> {
    text.split(',').filter_map(|rule| parse_rule(&rule.trim().to_ascii_lowercase())).collect()
}

fn parse_rule(text: &str) -> Option<Rule> {
    if text.is_empty() {
        return None;
    }
    if text == "*" {
        return Some(Rule::All);
    }
    if let Some((network, bits)) = text.split_once('/')
        && let (Ok(network), Ok(bits)) = (network.parse(), bits.parse())
    {
        return Some(Rule::Network(network, bits));
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse() {
        return Some(Rule::Address(address, None));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Some(Rule::Address(address, port));
    }
    let name = host.strip_prefix('*').unwrap_or(host);
    let (name, itself) = name.strip_prefix('.').map_or((name, true), |name| (name, false));
    (!name.is_empty()).then(|| Rule::Domain { name: name.to_owned(), port, itself })
}

/// The proxy of `http://user:password@host:port`; without a scheme it is http.
fn parse(url: &str, options: &ProxyOptions) -> Result<Proxy, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    if scheme != "http" {
        return Err(format!("proxy scheme {scheme} is not spoken: use a proxy reached over http"));
    }
    let (user, rest) =
        rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    let place =
        Place::parse(&format!("http://{rest}")).map_err(|_| "invalid proxy address".to_owned())?;
    let authorization = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let pair = [decode(name), b":".to_vec(), decode(password)].concat();
        format!("Basic {}", base64::encode(&pair))
    });
    let connect_headers = options.connect_headers.iter();
    Ok(Proxy {
        host: place.host,
        port: place.port,
        authorization,
        connect_headers: connect_headers
            .map(|(name, value)| (name.clone(), value.0.clone()))
            .collect(),
    })
}

/// `%41` becomes `A`.
fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if *byte == b'%' => {
                decoded.push(value);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use scrape::http_options::Secret;

    use super::*;

    fn by_url(no_proxy: &str) -> Proxies {
        let url = Secret("http://me:p%40ss@proxy:3128".to_owned());
        let choice = ProxyChoice::Url { url, no_proxy: no_proxy.to_owned() };
        Proxies::new(&ProxyOptions { choice, connect_headers: Vec::new() }, |_| None).unwrap()
    }

    #[track_caller]
    fn check(no_proxy: &str, direct: &[&str], proxied: &[&str]) {
        let proxies = by_url(no_proxy);
        for (hosts, is_direct) in [(direct, true), (proxied, false)] {
            for host in hosts {
                let found = proxies.find(Scheme::Http, host, 80);
                assert_eq!(found.is_none(), is_direct, "{host} by {no_proxy:?}");
            }
        }
    }

    #[test]
    fn exemptions_are_gos() {
        check("", &[], &["localhost", "127.0.0.1", "a"]);
        check("x", &["localhost", "127.0.0.1", "::1", "x", "a.x", "X."], &["ax", "x.a"]);
        check(".x", &["a.x"], &["x"]);
        check("*.x", &["a.x"], &["x"]);
        check("*", &["a", "10.0.0.1"], &[]);
        check("10.0.0.0/8, ::1", &["10.1.2.3"], &["11.0.0.1", "a"]);
        check("10.0.0.1", &["10.0.0.1"], &["10.0.0.2"]);
        check("a:80,b:81,10.0.0.1:80", &["a", "10.0.0.1"], &["b"]);
        check("fd00::/8,[fe80::1]:80", &["fd12::1", "fe80::1"], &["fe80::2"]);
        check("0.0.0.0/0", &["10.1.2.3"], &["::2", "a"]);
    }

    #[test]
    fn credentials_of_the_url_become_a_header() {
        let proxies = by_url("");
        let proxy = proxies.find(Scheme::Https, "a", 443).unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy", 3128));
        let expected = format!("Basic {}", base64::encode(b"me:p@ss"));
        assert_eq!(proxy.authorization, Some(expected));
    }

    #[test]
    fn the_environment_names_proxies_a_scheme() {
        let options = ProxyOptions { choice: ProxyChoice::Environment, ..ProxyOptions::default() };
        let variables = |name: &str| match name {
            "HTTPS_PROXY" => Some("p:1".to_owned()),
            "no_proxy" => Some("a".to_owned()),
            _ => None,
        };
        let proxies = Proxies::new(&options, variables).unwrap();
        assert_eq!(proxies.find(Scheme::Http, "b", 80), None);
        assert_eq!(proxies.find(Scheme::Https, "b", 80).map(|proxy| proxy.port), Some(1));
        assert_eq!(proxies.find(Scheme::Https, "a", 80), None);
        let socks = |name: &str| (name == "HTTP_PROXY").then(|| "socks5://p".to_owned());
        let fault = Proxies::new(&options, socks).unwrap_err();
        assert_eq!(fault, "proxy scheme socks5 is not spoken: use a proxy reached over http");
    }
}
