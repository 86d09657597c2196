//! Scraping: targets, their slots, what they answer, and the rows that this becomes.
//!
//! Path: discovery → `job` → `target` → `scraper` → fetches → `scraper` → rows → `storage`.
//! Never: I/O, a clock, a lock; the machine performs the fetches.

#![forbid(unsafe_code)]

pub mod active;
pub mod error;
pub mod fetch;
pub mod ingest;
pub mod job;
pub mod memory;
pub mod metrics;
pub mod options;
pub mod pass;
pub mod relabel;
pub mod report;
pub mod response;
pub mod scraper;
pub mod series;
pub mod slots;
pub mod status;
pub mod target;
pub mod timed;
