//! Shard: the order in which one core's events are met.
//!
//! Path: the machine's loop → **shard** → `scrape`, `storage` → effects → the machine.

use model::time::Now;
use storage::store::Store;

use crate::effect::Effect;
use crate::event::Event;
use crate::options::Options;

/// One core's targets and samples.
#[derive(Debug)]
pub struct Shard {
    options: Options,
    store: Store,
}

impl Shard {
    /// A shard without targets over `store`.
    #[must_use]
    pub fn new(options: Options, store: Store) -> Shard {
        Shard { options, store }
    }

    /// Meets one event; what is to be done is appended to `effects`.
    pub fn on_event(&mut self, now: Now, event: Event<'_>, effects: &mut Vec<Effect>) {
        let _ = (now, event, effects, &self.options, &self.store);
    }
}
