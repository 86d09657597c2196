//! Fuzz targets of everything that reads outside bytes. `bench/fuzz/run` says how they are run.

#![forbid(unsafe_code)]

pub mod files;
pub mod stores;
pub mod prometheus;
pub mod queries;
pub mod bodies;
pub mod settings;
pub mod targets;
