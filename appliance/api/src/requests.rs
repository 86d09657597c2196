//! Requests: counts and durations of what was served, by handler and status.

use std::sync::atomic::{AtomicU64, Ordering};

use exposition::metrics::Collected;

/// Status codes that this API answers; another is counted as the last.
const CODES: [u16; 16] =
    [200, 204, 302, 400, 403, 404, 405, 413, 415, 422, 429, 499, 500, 503, 501, 0];

/// Upper bounds of the duration buckets in seconds: upstream's.
const BUCKETS: [f64; 9] = [0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];

const NANOS_PER_SECOND: f64 = 1e9;

/// Counters of one handler.
#[derive(Debug, Default)]
struct Handler {
    codes: [AtomicU64; CODES.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    nanos: AtomicU64,
    count: AtomicU64,
}

/// Counters of every handler, in the order of the routes.
#[derive(Debug)]
pub struct Requests {
    names: Vec<&'static str>,
    handlers: Vec<Handler>,
}

impl Requests {
    /// Zeros for handlers of these names.
    #[must_use]
    pub fn new(names: Vec<&'static str>) -> Requests {
        let handlers = names.iter().map(|_| Handler::default()).collect();
        Requests { names, handlers }
    }

    /// Counts one request of the handler at `index` that took `nanos`.
    pub fn observe(&self, index: usize, code: u16, nanos: u64) {
        let handler = &self.handlers[index];
        let last = CODES.len() - 1;
        let slot = CODES.iter().position(|known| *known == code).unwrap_or(last);
        handler.codes[slot].fetch_add(1, Ordering::Relaxed);
        handler.nanos.fetch_add(nanos, Ordering::Relaxed);
        handler.count.fetch_add(1, Ordering::Relaxed);
        let seconds = float(nanos) / NANOS_PER_SECOND;
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            handler.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds the families under upstream's names.
    pub fn collect(&self, into: &mut Collected) {
        for (name, handler) in self.names.iter().zip(&self.handlers) {
            let count = handler.count.load(Ordering::Relaxed);
            if count == 0 {
                continue;
            }
            for (code, counter) in CODES.iter().zip(&handler.codes) {
                let requests = counter.load(Ordering::Relaxed);
                if requests != 0 {
                    into.counter(
                        "prometheus_http_requests_total",
                        "Counter of HTTP requests.",
                        &[("handler", name), ("code", &code.to_string())],
                        float(requests),
                    );
                }
            }
            let mut below = 0;
            let buckets = BUCKETS.iter().zip(&handler.buckets).map(|(bound, bucket)| {
                below += bucket.load(Ordering::Relaxed);
                (*bound, below)
            });
            into.histogram(
                "prometheus_http_request_duration_seconds",
                "Histogram of latencies for HTTP requests.",
                &[("handler", name)],
                &buckets.collect::<Vec<(f64, u64)>>(),
                float(handler.nanos.load(Ordering::Relaxed)) / NANOS_PER_SECOND,
                count,
            );
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is far off")]
fn float(count: u64) -> f64 {
    count as f64
}
