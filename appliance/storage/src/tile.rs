//! Tile: up to 128 rows of one group, columns as chunks, times once; a tile file is a row of tiles.
//!
//! Path: `head` → `tile::write` → tile file; `tile::read` → `selection`, `recovery`.
//! Format: docs/format/tile.md, version 1.

pub(crate) mod layout;

pub(crate) mod histograms;

pub(crate) mod write;

pub(crate) mod read;

pub(crate) mod place;

#[cfg(test)]
mod tests;
