//! Storage: one shard's durable samples. A scrape is a row, a series is a column.
//!
//! Never: I/O, a clock, a lock; what is to be done comes out as effects.

#![forbid(unsafe_code)]

pub mod names;
pub mod snapshot;
pub mod tombstones;
pub mod compaction;
pub mod options;
pub mod cells;
pub mod row;
pub mod metadata;
pub mod exemplars;
pub mod effect;
pub mod disk_faults;
pub mod stats;
pub mod tile_read;
mod allocation;
mod varint;
mod decimal;
mod back_off;
mod frame;
mod chunk;
pub mod codec;
mod tile;
mod symbols;
mod index;
pub mod block;
mod histogram;
mod last_row;
mod histogram_lanes;
mod log;
pub mod owners;
pub mod leases;
mod head;
mod catalog;
mod manifest;
mod deletions;
pub mod selection;
pub mod block_query;
pub mod compact;
mod tile_files;
mod select;
pub mod blocks;
mod metrics;
mod trusted_time;
pub mod store;
mod upkeep;
mod late;
pub mod fill;
mod newest;
mod store_blocks;
mod annotate;
pub mod report;
mod restore;
pub mod recovery;
pub mod import;
pub mod inspect;

#[cfg(test)]
mod tests;
