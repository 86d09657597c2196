//! Inbound: what the API needs of the server to take samples in, beside the rest of the backend.
//!
//! Never: HTTP.

use std::sync::Arc;

use remote::batch::Batch;
use remote::otlp::translate::OtlpSettings;
use remote::outcome::Pushed;

/// Takes what became of a batch, once; it is dropped without a call when nothing will.
pub type PushReply = Box<dyn FnOnce(Pushed) + Send>;

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushRefused {
    /// As much waits as may: later there is room.
    Busy,
    /// The shards do not run.
    Gone,
}

/// Which receivers are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receivers {
    /// Remote write.
    pub write: bool,
    /// Remote write takes `prometheus.WriteRequest`.
    pub write_v1: bool,
    /// Remote write takes `io.prometheus.write.v2.Request`.
    pub write_v2: bool,
    /// OTLP metrics.
    pub otlp: bool,
    /// Groups of batch jobs.
    pub push: bool,
}

/// The part of a backend that takes samples in.
pub trait Inbound: Send + Sync {
    /// Which receivers are on.
    fn receivers(&self) -> Receivers;

    /// How OTLP metrics become series.
    fn otlp_settings(&self) -> Arc<OtlpSettings>;

    /// How often groups of batch jobs are stored again, milliseconds.
    fn restamp_ms(&self) -> u64;

    /// Number of shards: a batch goes to one of them.
    fn shards(&self) -> usize;

    /// Gives a batch to a shard; never waits. `reply` is called when all of it is durable.
    ///
    /// # Errors
    /// See [`PushRefused`].
    fn push(&self, shard: usize, batch: Batch, reply: PushReply) -> Result<(), PushRefused>;
}
