//! Memory: what all queries of a process together may hold.
//!
//! Path: the budget of a query → **memory** ← `/metrics`.
//!
//! Invariants
//! - M1: shares never hold more than the pool has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes by which shares grow and shrink, so that the queries of a busy process seldom meet here.
const SLAB_BYTES: u64 = 1 << 20;

/// The memory that queries share.
#[derive(Debug)]
pub struct MemoryPool {
    bytes_max: u64,
    taken: AtomicU64,
    refusals: AtomicU64,
}

impl MemoryPool {
    /// A pool of `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> MemoryPool {
        MemoryPool { bytes_max, taken: AtomicU64::new(0), refusals: AtomicU64::new(0) }
    }

    /// Bytes of the pool.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Bytes that are taken, in slabs of a mebibyte.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How often a share could not grow.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let grown = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        if taken.is_err() {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        let before = self.taken.fetch_sub(bytes, Ordering::Relaxed);
        assert!(bytes <= before, "M1: {bytes} bytes come back of {before}");
    }
}

/// What one query has of the pool; comes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    pool: Arc<MemoryPool>,
    bytes: u64,
}

impl Share {
    /// An empty share of `pool`.
    pub(crate) fn new(pool: Arc<MemoryPool>) -> Share {
        Share { pool, bytes: 0 }
    }

    /// Makes room for `held` bytes, or gives back what they leave over; `false` where the pool has
    /// no more.
    #[inline]
    pub(crate) fn fit(&mut self, held: u64) -> bool {
        if held <= self.bytes && self.bytes - held < 2 * SLAB_BYTES {
            return true;
        }
        self.resize(held)
    }

    fn resize(&mut self, held: u64) -> bool {
        let wanted = held.div_ceil(SLAB_BYTES).saturating_mul(SLAB_BYTES);
        if self.bytes < wanted {
            if !self.pool.take(wanted - self.bytes) {
                return false;
            }
        } else {
            self.pool.give_back(self.bytes - wanted);
        }
        self.bytes = wanted;
        true
    }

    /// Another share of the same pool, of `bytes`; `None` where it has no more.
    pub(crate) fn beside(&self, bytes: u64) -> Option<Share> {
        let mut share = Share::new(Arc::clone(&self.pool));
        share.fit(bytes).then_some(share)
    }

    /// Bytes of the whole pool.
    pub(crate) fn pool_bytes_max(&self) -> u64 {
        self.pool.bytes_max
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.pool.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_shares_are_bounded_together_and_come_back() {
        let pool = Arc::new(MemoryPool::new(4 * SLAB_BYTES));
        let mut one = Share::new(Arc::clone(&pool));
        assert!(one.fit(SLAB_BYTES + 1), "M1");
        assert_eq!(pool.taken(), 2 * SLAB_BYTES);
        let mut two = Share::new(Arc::clone(&pool));
        assert!(!two.fit(3 * SLAB_BYTES));
        assert_eq!(pool.refusals(), 1);
        assert!(two.fit(2 * SLAB_BYTES));
        assert!(two.beside(1).is_none());
        assert!(one.fit(0));
        assert_eq!(pool.taken(), 2 * SLAB_BYTES);
        drop((one, two));
        assert_eq!(pool.taken(), 0);
    }
}
