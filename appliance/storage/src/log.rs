//! Write-ahead log: the durable order of one shard's appends.
//!
//! Path: `store` → `log::write` → effects; `log::read` → `recovery` → `store`.
//! Format: docs/format/wal.md, version 1.

pub(crate) mod record;

pub(crate) mod row_write;

pub(crate) mod row_read;

pub(crate) mod write;

pub(crate) mod read;

#[cfg(test)]
mod tests;
