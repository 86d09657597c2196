//! Block: immutable samples of many series over a stretch of time, in one file.
//!
//! Path: `compact` → `block::writer` → file; `block::reader` → `selection`, `block_query`,
//! `compact`.
//! Format: docs/format/block.md, version 1.

pub(crate) mod layout;

pub(crate) mod page;

pub(crate) mod outline;

pub(crate) mod symbols;

pub(crate) mod times;

pub(crate) mod series;

pub(crate) mod gather;

pub(crate) mod samples;

pub(crate) mod labels;

pub(crate) mod counter;

pub(crate) mod writer;

pub(crate) mod reader;

pub mod reference;

pub mod cache;

pub(crate) mod chunks;
