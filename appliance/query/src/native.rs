//! Arithmetic of native histograms, as Prometheus computes with them.

mod bound_table;

pub mod bucket;
pub mod describe;

pub mod wide;

pub mod reset;
pub mod trim;
