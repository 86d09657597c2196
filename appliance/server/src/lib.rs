//! The server: configuration, flags, boot order, readiness, and what holds the crates together.

#![forbid(unsafe_code)]

pub mod config;
pub mod flags;
pub mod reference;
