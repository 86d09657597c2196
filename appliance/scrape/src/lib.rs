//! Scraping: targets, their slots, what they answer, and the rows that this becomes.
//!
//! Path: discovery → `job` → `target` → `scraper` → fetches → `scraper` → rows → `storage`.
//! Never: I/O, a clock, a lock; the machine performs the fetches.

#![forbid(unsafe_code)]

pub mod http_options;
pub mod options;
pub mod relabel;
pub mod slots;
pub mod protocol;
pub mod target;
pub mod fetch;
pub mod job;
pub mod status;
pub mod handover;
pub mod error;
pub mod response;
pub mod series;
pub mod memory;
pub mod native;
pub mod notice;
pub mod intervals;
pub mod metrics;
pub mod exemplars;
pub mod pass;
pub mod zeros;
pub mod timed;
pub mod ingest;
pub mod former;
pub mod recount;
pub mod report;
pub mod active;
pub mod scraper;
