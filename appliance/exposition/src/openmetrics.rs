//! OpenMetrics text, versions 0.0.1 and 1.0.
//!
//! `parser` reads what Prometheus's scrapes accept; `strict` refuses what the specification does
//! not allow besides.

mod lexer;
pub mod parser;
pub mod strict;
pub mod write;
