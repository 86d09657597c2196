//! Remote: what other programs send, and in which forms it is answered: bytes on one side, batches
//! of samples by shard on the other.
//!
//! Never: I/O, a clock, a lock; more memory than a body's size allows.

#![forbid(unsafe_code)]

pub mod snappy;
pub mod protobuf_write;
pub mod outcome;
pub mod batch;
pub mod builder;
mod native;
pub mod write_request;
pub mod interned_request;
pub mod otlp;
pub mod read_request;
pub mod federation_page;
pub mod collected_page;

#[cfg(test)]
mod tests;
