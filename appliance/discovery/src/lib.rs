//! Discovery: where targets come from, beyond those that the configuration writes out.
//!
//! Path: configuration → `finder`, which runs one task a `mechanism` → target groups → the server.
//! Never: relabels, knows a shard, or forgets what a source gave because the source fails.

#![forbid(unsafe_code)]

pub mod address;
pub mod group;
pub mod metrics;
pub mod outlet;
pub mod refresh;
pub mod api;

pub mod glob;
pub mod file;
pub mod dns;
pub mod http;
pub mod puppetdb;
pub mod nomad;
pub mod docker;
pub mod dockerswarm;
pub mod consul;
pub mod kubernetes;

pub mod mechanism;
pub mod finder;
