//! PromQL: parse, plan, evaluate. Knows columns, not where they live.
//!
//! Never: I/O, a clock, a lock.

#![forbid(unsafe_code)]

pub mod value_type;

pub mod function;

pub mod ast;
pub mod parse;
pub mod print;
pub mod calendar;
pub mod grid;
pub mod source;

pub mod crew;
pub mod memory;

pub mod value;

pub mod annotation;
pub mod meter;

mod kahan;

pub mod native;

pub mod plan;

pub mod evaluate;
