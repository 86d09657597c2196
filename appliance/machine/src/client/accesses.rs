//! Accesses: what a shard's client knows of credentials and certificates, and who waits for them.

use std::collections::HashMap;
use std::sync::Arc;

use client::access::Access;
use model::time::Tick;
use scrape::http_options::HttpOptions;

use crate::mailbox::Prepared;
use crate::slab::Key;

/// Accesses kept; when full, those whose time has passed go, and all when none has.
const ACCESSES_MAX: usize = 4096;

struct Known {
    /// Held so that its address names these options and no others.
    options: Arc<HttpOptions>,
    access: Result<Arc<Access>, String>,
    until: Tick,
}

/// What is known of some options.
pub enum Found {
    /// The access, or why there is none.
    Known(Result<Arc<Access>, String>),
    /// It is being made: wait.
    Waiting,
    /// It has to be made: ask, wait.
    Ask,
}

/// Accesses of one client, by the address of their options.
#[derive(Default)]
pub struct Accesses {
    known: HashMap<usize, Known>,
    waiting: HashMap<usize, (Arc<HttpOptions>, Vec<Key>)>,
}

impl Accesses {
    /// What is known of `options`; unless that settles it, `fetch` waits from here on.
    pub fn find(&mut self, now: Tick, options: &Arc<HttpOptions>, fetch: Key) -> Found {
        let address = Arc::as_ptr(options).addr();
        if let Some(known) = self.known.get(&address).filter(|known| now < known.until) {
            return Found::Known(known.access.clone());
        }
        if let Some((_, waiting)) = self.waiting.get_mut(&address) {
            waiting.push(fetch);
            return Found::Waiting;
        }
        self.waiting.insert(address, (Arc::clone(options), vec![fetch]));
        Found::Ask
    }

    /// Takes what was made; gives the fetches that waited for it, with their options.
    pub fn learn(&mut self, now: Tick, prepared: &Prepared) -> Vec<Key> {
        let Prepared { options, access, until } = prepared;
        // Equal options of other jobs or of the configuration before were asked for on their own.
        let address = Arc::as_ptr(options).addr();
        let mut woken = Vec::new();
        let same: Vec<usize> = self
            .waiting
            .iter()
            .filter(|(at, (waiting, _))| **at == address || waiting == options)
            .map(|(at, _)| *at)
            .collect();
        for at in same {
            let Some((options, keys)) = self.waiting.remove(&at) else { continue };
            woken.extend(keys);
            if ACCESSES_MAX <= self.known.len() {
                self.known.retain(|_, known| now < known.until);
            }
            if ACCESSES_MAX <= self.known.len() {
                self.known.clear();
            }
            let known = Known { options, access: access.clone(), until: *until };
            assert_eq!(
                Arc::as_ptr(&known.options).addr(),
                at,
                "the address is that of the options"
            );
            self.known.insert(at, known);
        }
        woken
    }

    /// Nobody makes the access of `options` after all.
    pub fn forget(&mut self, options: &Arc<HttpOptions>) {
        self.waiting.remove(&Arc::as_ptr(options).addr());
    }
}
