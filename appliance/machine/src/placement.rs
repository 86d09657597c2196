//! Placement: which shard has which target: the one that its identity names, unless it was moved.
//!
//! Path: the server moves targets → **placement** → `handle` gives lists by it.

use std::collections::HashMap;

/// Targets that are elsewhere than their identity says; bounded by the number of targets.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    moved: HashMap<u128, usize>,
}

impl Placement {
    /// The shard, of `count`, that has the target `identity`.
    #[must_use]
    pub fn shard_of(&self, identity: u128, count: usize) -> usize {
        let moved = self.moved.get(&identity).copied().filter(|shard| *shard < count);
        moved.unwrap_or_else(|| home_of(identity, count))
    }

    /// Remembers that `shard` has the target.
    pub fn put(&mut self, identity: u128, shard: usize, count: usize) {
        if shard == home_of(identity, count) {
            self.moved.remove(&identity);
        } else {
            self.moved.insert(identity, shard);
        }
    }

    /// Forgets targets that are gone.
    pub fn keep(&mut self, is_there: impl Fn(u128) -> bool) {
        self.moved.retain(|identity, _| is_there(*identity));
    }

    /// Targets that are elsewhere than their identity says.
    #[must_use]
    pub fn moved(&self) -> usize {
        self.moved.len()
    }
}

/// Shard of an identity: its high bits scaled, so that no remainder favours low shards.
fn home_of(identity: u128, count: usize) -> usize {
    let scaled = ((identity >> 64) * count as u128) >> 64;
    usize::try_from(scaled).expect("less than the count of shards")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_spread_over_all_shards() {
        for count in [1, 2, 3, 7] {
            let ends = [0, u128::MAX];
            let placement = Placement::default();
            let found = ends.map(|identity| placement.shard_of(identity, count));
            assert_eq!(found, [0, count - 1]);
        }
    }

    #[test]
    fn a_moved_target_is_elsewhere_until_it_is_back_or_gone() {
        let mut placement = Placement::default();
        placement.put(0, 1, 2);
        placement.put(1, 1, 2);
        assert_eq!((placement.shard_of(0, 2), placement.shard_of(2, 2)), (1, 0));
        placement.put(0, 0, 2);
        assert_eq!((placement.shard_of(0, 2), placement.moved()), (0, 1));
        placement.keep(|identity| identity != 1);
        assert_eq!((placement.shard_of(1, 2), placement.moved()), (0, 0));
    }
}
