//! Index of a block: which series it has, and where their chunks are.
//!
//! Series are read in the order of the file, which is that of their label sets, so that a pass
//! over a block needs its symbols in memory and nothing else.

pub mod toc;
pub mod symbols;
pub mod series;
pub mod postings;
