//! Compact: makes blocks of tile files and of smaller blocks.
//!
//! Path: `compaction` says what → **compact** → bytes for the machine to read and write.

pub mod job;
