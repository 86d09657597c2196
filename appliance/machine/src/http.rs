//! HTTP/1.1 as a client speaks it, without I/O: request bytes out, response bytes in.
//!
//! Path: `client` → **http** → `client`.
//! Never: reads a socket or a clock, trusts a length, keeps more than its bounds allow.

pub mod chunked;
pub mod head;
pub mod inflate;
pub mod request;
pub mod exchange;

#[cfg(test)]
mod exchange_tests;
