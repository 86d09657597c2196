//! Compact: makes blocks of tile files and of smaller blocks.
//!
//! Path: `compaction` says what → **compact** → bytes for the machine to read and write.

pub(crate) mod plan;

pub(crate) mod read;

pub(crate) mod symbol_table;

pub(crate) mod sink;

pub(crate) mod tile_chunk;

pub(crate) mod tiles;

pub mod downsample;

pub(crate) mod pages;

pub(crate) mod merge;

pub mod job;
