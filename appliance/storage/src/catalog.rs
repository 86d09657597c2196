//! Catalog: groups, columns and their labels, so that they need not be found in samples.
//!
//! Path: `store` → `catalog::write` → file `catalog.<n>`; `catalog::read` → `recovery`.
//! Format: docs/format/catalog.md, version 1.

pub(crate) mod record;

pub(crate) mod write;

pub(crate) mod read;
