//! A syntax tree as text: on one line, or laid out for reading.
//!
//! Path: tree → `line` (`Display`), `pretty`.

pub mod line;

pub mod pretty;
