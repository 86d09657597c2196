//! Write-ahead log of Prometheus, and its log of what came out of order, read.

pub mod segment;
mod record_histogram;
pub mod record;
pub mod log;
#[cfg(test)]
pub(crate) mod written_by_tests;
#[cfg(test)]
mod tests;
