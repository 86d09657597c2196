//! Scraping: targets, their slots, what they answer, and the rows that this becomes.
//!
//! Path: discovery → `job` → `target` → `scraper` → fetches → `scraper` → rows → `storage`.
//! Never: I/O, a clock, a lock; the machine performs the fetches.

#![forbid(unsafe_code)]

pub mod fetch;
pub mod job;
pub mod options;
pub mod relabel;
pub mod slots;
pub mod status;
pub mod target;
