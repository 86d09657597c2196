//! Tidy: tests that read the source and hold it to STYLE.md.
//!
//! Path: files → `tree` → one module a group of checks → findings → `tests/tree_is_tidy.rs`.
//! Never: changes a file; a check only says what it found and where.

#![forbid(unsafe_code)]

pub mod tree;
pub mod syntax;
pub mod manifests;
pub mod imports;
pub mod sizes;
pub mod headers;
pub mod invariants;
pub mod map;
pub mod words;
pub mod metrics;
pub mod pages;
pub mod checks;
