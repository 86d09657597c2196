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
/// # Errors
/// Names the invariant that is broken.
pub fn check_between(node: &Node, now: Now) -> Result<(), String> {
    let Some(shard) = &node.shard else { return Ok(()) };
    check_durable(shard.store().durable(), node.acknowledged)?;
    if shard.is_stopped() {
        return Ok(());
    }
    shard.scraper().check();
    if let Some(due) = shard.store().next_deadline() {
        let latest = due.max(now.tick);
        if shard.armed().is_none_or(|armed| latest < armed) {
            return Err(format!("W2: armed {:?}, due {}", shard.armed(), due.0));
        }
    }
    Ok(())
}

fn check_durable(durable: LogPosition, acknowledged: LogPosition) -> Result<(), String> {
    if acknowledged < durable {
        return Err(format!("W1: durable {durable} passes acknowledged {acknowledged}"));
    }
    Ok(())
}

/// A deadline that was served must not be due again at once: the loop would spin.
///
/// # Errors
/// Names the deadline.
pub fn check_progress(node: &Node, now: Now) -> Result<(), String> {
    let Some(shard) = &node.shard else { return Ok(()) };
    let deadlines = [shard.store().next_deadline(), shard.scraper().next_deadline()];
    match deadlines.into_iter().flatten().find(|due| *due <= now.tick) {
        Some(due) if !shard.is_stopped() => {
            Err(format!("W4: due at {} again after it was served at {}", due.0, now.tick.0))
        }
        _ => Ok(()),
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

/// Whether the store's memory is within its bound.
///
/// # Errors
/// Gives the bytes.
pub fn check_memory(node: &Node, stats: &Stats) -> Result<(), String> {
    let (bytes, max) = (stats.memory.total(), node.memory_bytes_max());
    if bytes <= max { Ok(()) } else { Err(format!("W3: {bytes} bytes, bound {max}")) }
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

    #[track_caller]
    fn check(held: Result<(), String>, id: &str) {
        assert!(held.is_err_and(|text| text.starts_with(id)));
    }

    #[test]
    fn w1_a_durable_position_nobody_acknowledged_is_found() {
        let position = LogPosition(7);
        check(check_durable(position, LogPosition(6)), "W1:");
        assert_eq!(check_durable(position, position), Ok(()));
    }

    #[test]
    fn w2_a_deadline_without_an_armed_tick_is_found() {
        check(check_between(&idle(), now()), "W2:");
    }

    #[test]
    fn w3_memory_over_the_bound_is_found() {
        let memory = MemoryBytes { tiles: u64::MAX, ..MemoryBytes::default() };
        check(check_memory(&idle(), &Stats { memory, ..Stats::default() }), "W3:");
    }

    #[test]
    fn w4_a_deadline_that_stays_due_is_found() {
        check(check_progress(&idle(), now()), "W4:");
    }
}
