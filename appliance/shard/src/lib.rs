//! Shard: one core's share of targets and samples; events in, effects out.
//!
//! Never: I/O, a clock, a lock, chance; the same events give the same effects, byte by byte.

#![forbid(unsafe_code)]

pub mod options;
pub mod pace;
pub mod event;
pub mod effect;
mod push;
pub mod shard;
