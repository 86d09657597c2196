//! Storage: one shard's durable samples. A scrape is a row, a series is a column.
//!
//! Never: I/O, a clock, a lock; what is to be done comes out as effects.

#![forbid(unsafe_code)]

// In reading order: a module imports only those above it. The empty lines keep rustfmt from sorting.

pub mod names;

pub mod options;

pub mod cells;

pub mod row;

pub mod effect;

pub mod stats;

pub mod selection;

pub mod store;

pub mod recovery;
