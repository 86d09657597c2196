//! Chunk: the cells of one column of one tile, in the encoding that costs least.
//!
//! Path: `head` → `chunk::write` → `tile`; `selection` → `chunk::read`.
//! Format: docs/format/tile.md, version 1.

pub(crate) mod bits;

pub(crate) mod integers;

pub(crate) mod kind;

pub(crate) mod read;

pub(crate) mod write;

#[cfg(test)]
mod tests;
