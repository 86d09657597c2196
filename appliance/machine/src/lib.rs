//! The machine: performs the effects of shards with clocks, system calls and threads.
//!
//! Never: decides what a shard means; a loop only reaps, calls and submits.

#![deny(unsafe_code)]

pub mod clock;
pub mod heap;
pub mod topology;
pub mod plan;
pub mod slab;
pub mod block;
pub mod wake;
pub mod operation;
pub mod fault;
#[expect(unsafe_code, reason = "the one module that speaks io_uring")]
pub mod ring;
pub mod epoll;
pub mod reactor;
pub mod probe;
pub mod http;
pub mod mailbox;
pub mod pressure;
pub mod options;
pub mod placement;
pub mod own;
pub mod handle;
pub mod worker;
pub mod buffers;
pub mod resolve;
pub mod access;
pub mod channel;
pub mod client;
pub mod wal_thread;
pub mod segments;
mod damages;
pub mod tiles;
pub mod files;
pub mod pacer;
pub mod compactor;
pub mod open;
pub mod offline;
pub mod snapshot;
pub mod measure;
pub mod shard_loop;
pub mod start;

#[cfg(test)]
mod reactor_tests;

#[cfg(test)]
mod client_bed;

#[cfg(test)]
mod client_tests;

#[cfg(test)]
mod client_secure_tests;

#[cfg(test)]
mod log_tests;

#[cfg(test)]
mod start_tests;
