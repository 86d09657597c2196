//! Head: the samples that no block has yet: log, head chunks, and the log of what came late.
//!
//! What is torn or damaged ends the log there, as when upstream repairs it; it is told, never
//! changed. A sample that a head chunk has is not taken from the log again; one that a block has
//! is given twice, and merged.
//!
//! Path: `wal`, `head_chunks` → **head** → `merge`.
//! Memory: the samples of the log that no head chunk has, compressed as in blocks; those with a
//! start timestamp, and late ones, as they are.

pub mod load;
pub mod source;
#[cfg(test)]
mod tests;
