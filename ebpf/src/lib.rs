//! What the kernel counts for us: programs at its tracepoints, their loader, their metrics.
//!
//! Never: a kernel probe or trampoline, a pinned object, a map that grows without bound.

#![forbid(unsafe_code)]

pub mod abi;
pub mod histogram;
mod per_cpu;
pub mod collector;
pub mod cgroup_names;
pub mod btf;
pub mod names;
mod read;
pub mod pressure;
pub mod loader;
