//! Prometheus's own data directory, read and written: blocks, log, head chunks.
//!
//! Never: a clock, a map of memory over a file, a panic or an unbounded allocation on what is read.

#![forbid(unsafe_code)]

pub mod fault;
pub mod files;
pub mod memory;
mod cursor;
mod bits;
pub mod ulid;
pub mod sample;
pub mod chunk;
pub mod meta;
pub mod tombstones;
pub mod index;
pub mod chunk_files;
pub mod block;
pub mod merge;
pub mod windows;
pub mod wal;
pub mod head_chunks;
pub mod head;
pub mod write;
pub mod surface;
pub mod directory;
