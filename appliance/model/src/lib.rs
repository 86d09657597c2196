//! The words every other crate speaks: label set, sample, native histogram, time, matcher.
//!
//! Never: I/O, a clock, a lock.

#![forbid(unsafe_code)]

pub mod bitmap;
pub mod time;
pub mod staleness;
pub mod number;
pub mod float_text;
pub mod label_name;
pub mod duration;
pub mod label_set;
pub mod native_histogram;
pub mod samples;
pub mod regex;
pub mod matcher;
