//! Rules: what a rule file says, and the templates of its labels and annotations.
//!
//! Never: I/O, a clock, a lock.

#![forbid(unsafe_code)]

pub mod template;
pub mod group;
