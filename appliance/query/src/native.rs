//! Arithmetic of native histograms, as Prometheus computes with them.

pub mod bucket;
pub mod describe;

pub mod wide;

pub mod reset;
pub mod trim;
