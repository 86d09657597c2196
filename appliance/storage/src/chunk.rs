//! Chunk: floats, integers and native histograms in the encoding that costs least.
//!
//! Path: `head` → `chunk::write` → `tile`; `selection` → `chunk::read`; blocks take runs of values
//! and of histograms.
//! Format: docs/format/chunk.md, version 1.

pub(crate) mod order;

pub(crate) mod bits;

pub(crate) mod integers;

pub(crate) mod kind;

pub(crate) mod write_values;

pub(crate) mod read_values;

pub(crate) mod buckets;

pub(crate) mod write_histograms;

pub(crate) mod read_histograms;

pub(crate) mod write;

pub(crate) mod read;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod histogram_tests;

#[cfg(test)]
mod value_tests;
