//! Index: the live series of a shard, by label set, by label value, by matcher.
//!
//! Path: `store` → **index** → `store::select`.
//! Owns: series numbers, symbols, postings.
//!
//! Invariants
//! - I1: a series is in the postings of each of its labels and of no other.

pub(crate) mod families;

pub(crate) mod postings;

pub(crate) mod series;

pub(crate) mod select;

#[cfg(test)]
mod tests;
