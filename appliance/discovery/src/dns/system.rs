//! System: which servers to ask for which names, as resolv.conf says it.
//!
//! Source: resolv.conf(5). Sorted lists and other options have no effect on lookups of one name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// Bytes of the file.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Servers that are asked.
const SERVERS_MAX: usize = 8;
/// Domains that are tried.
const DOMAINS_MAX: usize = 16;
const PORT: u16 = 53;

/// What the system says about lookups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Servers, the first asked first.
    pub servers: Vec<SocketAddr>,
    /// Domains that are put behind short names.
    pub domains: Vec<String>,
    /// Dots with which a name is no short one.
    pub dots: usize,
}

impl System {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The system's.
    pub fn read(path: &Path) -> io::Result<System> {
        let bytes = std::fs::read(path)?;
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FILE_BYTES_MAX)]);
        Ok(System::parse(&text))
    }

    /// Reads the text of such a file; what it does not know has no effect.
    #[must_use]
    pub fn parse(text: &str) -> System {
        let mut system = System { servers: Vec::new(), domains: Vec::new(), dots: 1 };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or("");
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => system.add_server(words.next().unwrap_or("")),
                Some("domain") => system.set_domains(words.take(1)),
                Some("search") => system.set_domains(words),
                Some("options") => {
                    let mut dots =
                        words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    system.dots = dots.next_back().map_or(system.dots, |dots: usize| dots.min(15));
                }
                _ => {}
            }
        }
        if system.servers.is_empty() {
            system.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        system
    }

    fn add_server(&mut self, text: &str) {
        // An address of the link may name its interface; the number of it is not ours to find.
        if let Ok(address) = text.parse::<IpAddr>()
            && self.servers.len() < SERVERS_MAX
        {
            self.servers.push(SocketAddr::new(address, PORT));
        }
    }

    fn set_domains<'a>(&mut self, domains: impl Iterator<Item = &'a str>) {
        let named = domains.map(|domain| domain.trim_end_matches('.').to_owned());
        self.domains = named.filter(|domain| !domain.is_empty()).take(DOMAINS_MAX).collect();
    }

    /// The names to try in turn for `name`, each ending in a dot.
    #[must_use]
    pub fn names(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let whole = format!("{name}.");
        let in_domains = self.domains.iter().map(|domain| format!("{name}.{domain}."));
        if self.dots <= name.matches('.').count() {
            std::iter::once(whole).chain(in_domains).collect()
        } else {
            in_domains.chain([whole]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str, servers: &str, names: &str) {
        let system = System::parse(text);
        let shown: Vec<String> = system.servers.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(" "), servers);
        assert_eq!(system.names(name).join(" "), names);
    }

    #[test]
    fn short_names_are_tried_in_domains_first() {
        check("", "a", "127.0.0.1:53", "a.");
        let text = "nameserver 192.0.2.1 # first\nnameserver ::1\nnameserver x\nsearch b.c d.\n";
        check(text, "a", "192.0.2.1:53 [::1]:53", "a.b.c. a.d. a.");
        check(text, "a.e", "192.0.2.1:53 [::1]:53", "a.e. a.e.b.c. a.e.d.");
        check(text, "a.", "192.0.2.1:53 [::1]:53", "a.");
        check("search b\noptions ndots:2 x\n", "a.e", "127.0.0.1:53", "a.e.b. a.e.");
        check("search b c\ndomain d\n", "a", "127.0.0.1:53", "a.d. a.");
    }
}
