//! Block: immutable samples of many series over a stretch of time, in one file.
//!
//! Path: `compact` → `block::writer` → file; `block::reader` → `selection`, `block_query`,
//! `compact`.
//! Format: docs/format/block.md, version 1.

pub mod cache;

pub mod reference;
