//! State: what the server knows of itself, read by requests and changed by the main thread.
//!
//! Never: a lock; values are replaced whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::backend::{DroppedTarget, Phase};
use exposition::metrics::Collected;
use machine::handle::Handle;
use machine::open::Progress;
use model::time::TimestampMs;
use tokio::sync::watch;

use crate::host::lines::{float, float_signed};
use crate::query_pool::QueryPool;

/// Parts of a query's work that upstream tells apart; those that are not measured stay 0.
const SLICES: [&str; 4] = ["inner_eval", "prepare_time", "queue_time", "result_sort"];
/// Upper bounds of the buckets in seconds: those of upstream's histogram of queries, and one below.
const BUCKETS: [f64; 5] = [0.001, 0.01, 0.1, 1.0, 10.0];
const NANOS_PER_SECOND: f64 = 1e9;

/// Times of one slice.
#[derive(Debug, Default)]
struct Timings {
    count: AtomicU64,
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
}

/// The configuration in force.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Without comments and secrets.
    pub yaml: String,
    /// `global.evaluation_interval`.
    pub evaluation_interval_ms: u64,
    /// When it came into force.
    pub at: TimestampMs,
    /// Whether the last try to read it again succeeded.
    pub last_reload_succeeded: bool,
    /// Targets that relabelling dropped.
    pub dropped: Vec<DroppedTarget>,
    /// How many, a job.
    pub dropped_counts: Vec<(String, u64)>,
    /// Targets of all shards.
    pub targets: u64,
}

/// What runs once the shards have recovered.
#[derive(Clone)]
pub struct Running {
    /// The shards.
    pub handle: Arc<Handle>,
    /// The query threads.
    pub pool: Arc<QueryPool>,
}

/// What the server knows of itself.
pub struct State {
    /// Where the process is in its life.
    pub phase: watch::Sender<Phase>,
    /// The configuration in force.
    pub loaded: watch::Sender<Arc<Loaded>>,
    /// The shards and query threads, between recovery and the end.
    pub running: watch::Sender<Option<Running>>,
    /// How far recovery has come.
    pub progress: Arc<Progress>,
    /// When the process began.
    pub started_at: TimestampMs,
    /// Finished queries and their time, by slice.
    queries: [Timings; SLICES.len()],
    /// Queries that the full queue refused.
    pub refused: AtomicU64,
}

impl State {
    /// The state of a process that has just begun.
    #[must_use]
    pub fn new(loaded: Loaded, started_at: TimestampMs) -> State {
        State {
            phase: watch::Sender::new(Phase::Starting),
            loaded: watch::Sender::new(Arc::new(loaded)),
            running: watch::Sender::new(None),
            progress: Arc::default(),
            started_at,
            queries: Default::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.borrow())
    }

    /// The shards and query threads, if they run.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        self.running.borrow().clone()
    }

    /// Counts a part of a query's work.
    pub fn observe_query(&self, slice: &str, nanos: u64) {
        let found = SLICES.iter().position(|known| *known == slice);
        let Some(timings) = found.map(|at| &self.queries[at]) else { return };
        timings.count.fetch_add(1, Ordering::Relaxed);
        timings.nanos.fetch_add(nanos, Ordering::Relaxed);
        let seconds = float(nanos) / NANOS_PER_SECOND;
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            timings.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds what the server counts itself.
    pub fn collect(&self, version: &str, into: &mut Collected) {
        into.gauge(
            "prometheus_build_info",
            "A metric with a constant '1' value labeled by version and revision.",
            &[("version", "3.14.0"), ("revision", version), ("branch", "cresset")],
            1.0,
        );
        into.gauge(
            "cresset_build_info",
            "A metric with a constant '1' value labeled by version.",
            &[("version", version)],
            1.0,
        );
        let is_ready = *self.phase.borrow() == Phase::Ready;
        let help = "Whether Prometheus startup was fully completed and the server is ready for \
                    normal operation.";
        into.gauge("prometheus_ready", help, &[], f64::from(u8::from(is_ready)));
        self.collect_config(into);
        self.collect_queries(into);
    }

    fn collect_config(&self, into: &mut Collected) {
        let loaded = self.loaded();
        let succeeded = f64::from(u8::from(loaded.last_reload_succeeded));
        let help = "Whether the last configuration reload attempt was successful.";
        into.gauge("prometheus_config_last_reload_successful", help, &[], succeeded);
        let help = "Timestamp of the last successful configuration reload.";
        let name = "prometheus_config_last_reload_success_timestamp_seconds";
        into.gauge(name, help, &[], float_signed(loaded.at.0) / 1000.0);
        let help = "Targets of all shards.";
        into.gauge("cresset_config_targets", help, &[], float(loaded.targets));
    }

    fn collect_queries(&self, into: &mut Collected) {
        for (slice, timings) in SLICES.iter().zip(&self.queries) {
            let labels = [("slice", *slice)];
            let name = "prometheus_engine_query_duration_seconds";
            let mut below = 0;
            let buckets = BUCKETS.iter().zip(&timings.buckets).map(|(bound, bucket)| {
                below += bucket.load(Ordering::Relaxed);
                (*bound, below)
            });
            let buckets: Vec<(f64, u64)> = buckets.collect();
            let sum = float(timings.nanos.load(Ordering::Relaxed)) / NANOS_PER_SECOND;
            let count = timings.count.load(Ordering::Relaxed);
            into.histogram(name, "Query timings", &labels, &buckets, sum, count);
        }
        let help = "Queries that the full queue refused.";
        let refused = float(self.refused.load(Ordering::Relaxed));
        into.counter("cresset_query_refused_total", help, &[], refused);
        if let Some(Running { pool, .. }) = self.running() {
            let count = |number: usize| float(u64::try_from(number).unwrap_or(u64::MAX));
            let help = "Queries that wait for a thread.";
            into.gauge("cresset_query_waiting", help, &[], count(pool.waiting()));
            let help = "The max number of concurrent queries.";
            let name = "prometheus_engine_queries_concurrent_max";
            into.gauge(name, help, &[], count(pool.concurrency()));
        }
    }
}
