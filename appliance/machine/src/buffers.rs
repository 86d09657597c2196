//! Buffers: a pool of receive buffers, last in first out, so that warm memory is used again.
//!
//! Invariants
//! - B1: the pool never keeps more than `bytes_max`.

/// Capacity of a new buffer: a usual exposition fits after one or two doublings.
const BUFFER_BYTES: usize = 64 * 1024;
/// Share of the bound that one buffer may have; a larger one is freed after its use.
const SHARE: usize = 4;

/// Counters of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Buffers taken that had been used before.
    pub reused: u64,
    /// Buffers made new.
    pub made: u64,
    /// Buffers freed since the pool was full or they were too large.
    pub freed: u64,
}

/// Buffers to be used again.
#[derive(Debug)]
pub struct Pool {
    idle: Vec<Vec<u8>>,
    idle_bytes: usize,
    bytes_max: usize,
    counters: Counters,
}

impl Pool {
    /// A pool that keeps at most `bytes_max`.
    #[must_use]
    pub fn new(bytes_max: usize) -> Pool {
        Pool { idle: Vec::new(), idle_bytes: 0, bytes_max, counters: Counters::default() }
    }

    /// An empty buffer with some capacity.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        if let Some(buffer) = self.idle.pop() {
            self.idle_bytes -= buffer.capacity();
            self.counters.reused += 1;
            return buffer;
        }
        self.counters.made += 1;
        Vec::with_capacity(BUFFER_BYTES)
    }

    /// Takes a buffer back.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes == 0 {
            return;
        }
        let fits = self.idle_bytes + bytes <= self.bytes_max;
        if !fits || self.bytes_max / SHARE < bytes {
            self.counters.freed += 1;
            return;
        }
        buffer.clear();
        self.idle_bytes += bytes;
        self.idle.push(buffer);
        assert!(self.idle_bytes <= self.bytes_max, "B1: the pool keeps too much");
    }

    /// Bytes kept.
    #[must_use]
    pub fn idle_bytes(&self) -> usize {
        self.idle_bytes
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_what_does_not_fit_is_freed() {
        let mut pool = Pool::new(8 * BUFFER_BYTES);
        let buffers: Vec<_> = (0..9).map(|_| pool.take()).collect();
        buffers.into_iter().for_each(|buffer| pool.give(buffer));
        pool.give(Vec::with_capacity(4 * BUFFER_BYTES));
        assert_eq!(pool.counters(), Counters { reused: 0, made: 9, freed: 2 });
        assert_eq!(pool.idle_bytes(), 8 * BUFFER_BYTES);
    }

    #[test]
    fn the_last_given_is_taken_first() {
        let mut pool = Pool::new(8 * BUFFER_BYTES);
        pool.give(Vec::with_capacity(10));
        pool.give(vec![1; 20]);
        let buffer = pool.take();
        assert_eq!((buffer.len(), buffer.capacity()), (0, 20));
    }
}
