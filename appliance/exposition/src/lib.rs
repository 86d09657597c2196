//! The text formats of metrics: read from targets, written for `/metrics`.
//!
//! A target answers every scrape with nearly the same text. So the first body is read by the
//! general parser (`text`) and leaves a `layout`; `scan` then compares the next body with the
//! layout at the cursor, jumps to the value, and takes the general way only where they differ.
//!
//! Never: I/O, a clock, a lock, unsafe code, a panic on bytes from outside.

#![forbid(unsafe_code)]

pub mod error;
pub mod metric_type;
pub mod number;
pub mod durations;
pub mod recorder;
pub mod metrics;
pub mod simd;
pub mod entry;
mod token;
mod lexer;
pub mod series;
pub mod text;
pub mod openmetrics;
pub mod dialect;
pub mod native;
mod series_text;
mod nhcb;
pub mod protobuf;
pub mod body;
pub mod layout;
pub mod scan;
