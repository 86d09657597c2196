//! Receiver: the bounds on bodies with samples that are under way, and what is counted of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use exposition::metrics::Collected;
use tokio::sync::Semaphore;

/// Bytes of all bodies under way as they come.
const BODIES_BYTES_MAX: usize = 128 << 20;
/// Bytes of all bodies under way after inflating, and of the batches that are made of them.
const BATCHES_BYTES_MAX: usize = 512 << 20;
/// Bodies of import under way: each holds a line of 16 MiB and what a few bytes inflate to.
const IMPORTS_MAX: usize = 16;
/// Permits are for so many bytes.
pub const UNIT_BYTES: usize = 1 << 10;

/// What is under way, and what is counted.
#[derive(Debug)]
pub struct Receiver {
    /// Room for bodies as they come.
    pub bodies: Arc<Semaphore>,
    /// Room for bodies after inflating, and what is made of them.
    pub batches: Arc<Semaphore>,
    /// Room for bodies of import.
    pub imports: Semaphore,
    /// Bodies that came.
    pub requests: AtomicU64,
    /// Their bytes.
    pub body_bytes: AtomicU64,
    /// Their bytes after inflating.
    pub inflated_bytes: AtomicU64,
    /// Samples acknowledged.
    pub samples: AtomicU64,
    /// Samples of series whose labels make no sense.
    pub invalid_labels: AtomicU64,
    /// Requests that were told to come back.
    pub overloaded: AtomicU64,
    /// Exemplars of OTLP that came late.
    pub otlp_exemplars: AtomicU64,
}

impl Default for Receiver {
    fn default() -> Receiver {
        Receiver {
            bodies: Arc::new(Semaphore::new(BODIES_BYTES_MAX / UNIT_BYTES)),
            batches: Arc::new(Semaphore::new(BATCHES_BYTES_MAX / UNIT_BYTES)),
            imports: Semaphore::new(IMPORTS_MAX),
            requests: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
            inflated_bytes: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            invalid_labels: AtomicU64::new(0),
            overloaded: AtomicU64::new(0),
            otlp_exemplars: AtomicU64::new(0),
        }
    }
}

impl Receiver {
    /// Adds what was counted.
    pub fn collect(&self, into: &mut Collected) {
        let load = |counter: &AtomicU64| float(counter.load(Ordering::Relaxed));
        for (name, help, counter) in [
            ("cresset_receive_requests_total", "Bodies with samples.", &self.requests),
            ("cresset_receive_body_bytes_total", "Their bytes as they came.", &self.body_bytes),
            (
                "cresset_receive_inflated_bytes_total",
                "Their bytes after inflating.",
                &self.inflated_bytes,
            ),
            ("cresset_receive_samples_total", "Samples acknowledged.", &self.samples),
            (
                "cresset_receive_overloaded_total",
                "Requests that were told to come back.",
                &self.overloaded,
            ),
            (
                "prometheus_api_remote_write_invalid_labels_samples_total",
                "The total number of received remote write samples and histogram samples which \
                 were rejected due to invalid labels.",
                &self.invalid_labels,
            ),
            (
                "prometheus_api_otlp_out_of_order_exemplars_total",
                "The total number of received OTLP exemplars which were rejected because they \
                 were out of order.",
                &self.otlp_exemplars,
            ),
        ] {
            into.counter(name, help, &[], load(counter));
        }
        let free = self.batches.available_permits() * UNIT_BYTES;
        into.memory("received", count(BATCHES_BYTES_MAX - free));
    }
}

fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is far off")]
fn float(count: u64) -> f64 {
    count as f64
}
