//! Checks: what must hold between any two events of a node.
//!
//! They look and draw no chance, so that a run with them is the run without them.
//!
//! Invariants
//! - W1: the durable position never passes what was written and acknowledged.
//! - W2: an armed tick is not later than the store's deadline.
//! - W3: memory of a store stays below its bound.
//! - W4: a deadline that was served is not due again at once.

use model::time::Now;
use shard::shard::Shard;
use storage::effect::LogPosition;
use storage::stats::Stats;

use crate::network::Place;
use crate::node::Node;

/// What must hold between any two events of a node.
///
/// # Panics
/// An invariant is broken.
pub fn check_between(node: &Node, now: Now) {
    let Some(shard) = &node.shard else { return };
    check_durable(shard.store().durable(), node.acknowledged);
    if shard.is_stopped() {
        return;
    }
    shard.scraper().check();
    if let Some(due) = shard.store().next_deadline() {
        let in_time = shard.armed().is_some_and(|armed| armed <= due.max(now.tick));
        assert!(in_time, "W2: armed {:?}, due {}", shard.armed(), due.0);
    }
}

fn check_durable(durable: LogPosition, acknowledged: LogPosition) {
    assert!(durable <= acknowledged, "W1: durable {durable} passes acknowledged {acknowledged}");
}

/// A deadline that was served must not be due again at once: the loop would spin.
///
/// # Panics
/// It is.
pub fn check_progress(node: &Node, now: Now) {
    let Some(shard) = node.shard.as_ref().filter(|shard| !shard.is_stopped()) else { return };
    let deadlines = [shard.store().next_deadline(), shard.scraper().next_deadline()];
    for due in deadlines.into_iter().flatten() {
        assert!(now.tick < due, "W4: due at {} again, served at {}", due.0, now.tick.0);
    }
}

/// Whether everything that the node appended is durable.
#[must_use]
pub fn is_settled(node: &Node) -> bool {
    let durable = |shard: &Shard| shard.scraper().position() <= shard.store().durable();
    node.shard.as_ref().is_some_and(durable)
}

/// Whether storage refused the last scrape of a target.
#[must_use]
pub fn is_refused(node: &Node, place: &Place) -> bool {
    let Some(shard) = &node.shard else { return false };
    let statuses = shard.scraper().statuses();
    let own = statuses.iter().find(|status| status.spec.url.host == place.spec.url.host);
    own.is_some_and(|status| status.last_error.starts_with("storage refused"))
}

/// The store's memory must be within its bound.
///
/// # Panics
/// It is not.
pub fn check_memory(node: &Node, stats: &Stats) {
    let (bytes, max) = (stats.memory.total(), node.memory_bytes_max());
    assert!(bytes <= max, "W3: {bytes} bytes, bound {max}");
}

#[cfg(test)]
mod tests {
    use model::time::{Tick, TimestampMs};
    use storage::options::Options as StoreOptions;
    use storage::stats::MemoryBytes;
    use storage::store::Store;

    use super::*;

    /// A node whose shard has met no event: its store is due at once, and nothing is armed.
    fn idle() -> Node {
        let options = StoreOptions::default();
        let mut node = Node::new(0, options.clone(), Vec::new());
        node.shard = Some(Shard::new(shard::options::Options::default(), Store::new(options)));
        node
    }

    fn now() -> Now {
        Now { tick: Tick(1), wall: TimestampMs(0) }
    }

    #[test]
    #[should_panic(expected = "W1:")]
    fn w1_a_durable_position_nobody_acknowledged_is_found() {
        check_durable(LogPosition(7), LogPosition(6));
    }

    #[test]
    #[should_panic(expected = "W2:")]
    fn w2_a_deadline_without_an_armed_tick_is_found() {
        check_between(&idle(), now());
    }

    #[test]
    #[should_panic(expected = "W3:")]
    fn w3_memory_over_the_bound_is_found() {
        let memory = MemoryBytes { tiles: u64::MAX, ..MemoryBytes::default() };
        check_memory(&idle(), &Stats { memory, ..Stats::default() });
    }

    #[test]
    #[should_panic(expected = "W4:")]
    fn w4_a_deadline_that_stays_due_is_found() {
        check_progress(&idle(), now());
    }
}
