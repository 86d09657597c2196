//! Names: what a shard's client has learned of names, and who waits for one.

use std::collections::HashMap;
use std::net::IpAddr;

use model::time::Tick;

use crate::slab::Key;

/// How long addresses are used without asking again: connections are kept alive, so a name is
/// asked for only when one breaks.
const FOUND_MS: u64 = 10_000;
/// How long a failure is believed: shorter than the shortest usual interval.
const FAILED_MS: u64 = 1_000;
/// Names kept; when full, those whose time has passed go.
const NAMES_MAX: usize = 16_384;

struct Known {
    addresses: Result<Vec<IpAddr>, String>,
    until: Tick,
}

/// What is known of a name.
pub enum Answer {
    /// Its addresses, or why it has none.
    Known(Result<Vec<IpAddr>, String>),
    /// It is being looked up: wait.
    Waiting,
    /// It has to be looked up: ask the resolver, wait.
    Ask,
}

/// Names of one client.
#[derive(Default)]
pub struct Names {
    known: HashMap<String, Known>,
    waiting: HashMap<String, Vec<Key>>,
}

impl Names {
    /// What is known of `name`; unless that settles it, `fetch` waits for it from here on.
    pub fn find(&mut self, now: Tick, name: &str, fetch: Key) -> Answer {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Answer::Known(Ok(vec![address]));
        }
        if let Some(known) = self.known.get(name).filter(|known| now < known.until) {
            return Answer::Known(known.addresses.clone());
        }
        if let Some(waiting) = self.waiting.get_mut(name) {
            waiting.push(fetch);
            return Answer::Waiting;
        }
        self.waiting.insert(name.to_owned(), vec![fetch]);
        Answer::Ask
    }

    /// Takes an answer of the resolver; gives the fetches that waited for it.
    pub fn learn(
        &mut self,
        now: Tick,
        name: String,
        addresses: Result<Vec<IpAddr>, String>,
    ) -> Vec<Key> {
        let waiting = self.waiting.remove(&name).unwrap_or_default();
        if NAMES_MAX <= self.known.len() {
            self.known.retain(|_, known| now < known.until);
        }
        if self.known.len() < NAMES_MAX {
            let ms = if addresses.is_ok() { FOUND_MS } else { FAILED_MS };
            self.known.insert(name, Known { addresses, until: now.after_ms(ms) });
        }
        waiting
    }

    /// Nobody looks `name` up after all.
    pub fn forget(&mut self, name: &str) {
        self.waiting.remove(name);
    }
}
