//! Outbound: what the API needs of the server to give samples to other servers.
//!
//! Never: HTTP.

use model::label_set::LabelSet;

/// Bounds of remote read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Samples of one query that are not streamed. Default 50 million.
    pub samples_max: u64,
    /// Requests at once. Default 10.
    pub concurrent_max: usize,
    /// Bytes of a frame. Default 1 MiB.
    pub frame_bytes_max: usize,
}

/// The part of a backend that other servers read from.
pub trait Outbound: Send + Sync {
    /// `global.external_labels` of the configuration in force.
    fn external_labels(&self) -> LabelSet;

    /// Bounds of remote read.
    fn read_limits(&self) -> ReadLimits;
}
