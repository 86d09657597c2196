//! Native histogram with float counts: the value that PromQL computes with.
//!
//! Integer histograms become this form when they are decoded; the storage keeps their own.

use std::sync::Arc;

/// Schema number of histograms with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;
/// Coarsest exponential schema: bucket bounds grow by 2^16.
pub const SCHEMA_MIN: i32 = -4;
/// Finest exponential schema: bucket bounds grow by 2^(1/256).
pub const SCHEMA_MAX: i32 = 8;

/// What is known of a counter reset between this histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CounterResetHint {
    /// Nothing is known: compare the buckets.
    #[default]
    Unknown,
    /// The counter was reset just before this histogram.
    Reset,
    /// The counter was not reset since the histogram before.
    NotReset,
    /// A gauge histogram: resets mean nothing.
    Gauge,
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Buckets left out since the end of the span before; the first span counts from bucket 0 and
    /// may be negative.
    pub offset: i32,
    /// Buckets in the run.
    pub length: u32,
}

/// Native histogram; bucket counts are absolute, one a bucket of its spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// What is known of a reset before it.
    pub counter_reset_hint: CounterResetHint,
    /// -4..=8 exponential, -53 custom bounds.
    pub schema: i32,
    /// Values within ± this are in the zero bucket.
    pub zero_threshold: f64,
    /// Count of the zero bucket.
    pub zero_count: f64,
    /// Count of all observations.
    pub count: f64,
    /// Sum of all observations.
    pub sum: f64,
    /// Runs of buckets of positive observations.
    pub positive_spans: Vec<Span>,
    /// Counts, one a bucket of `positive_spans`.
    pub positive_buckets: Vec<f64>,
    /// Runs of buckets of negative observations.
    pub negative_spans: Vec<Span>,
    /// Counts, one a bucket of `negative_spans`.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, without the last, +Inf; empty for exponential schemas.
    pub custom_values: Arc<[f64]>,
}
