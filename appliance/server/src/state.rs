//! State: what the server knows of itself, read by requests and changed by the main thread.
//!
//! Never: a lock; values are replaced whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::active::ActiveQueries;
use api::backend::{DroppedTarget, Finished, Notification, Phase};
use api::timestamp::format_rfc3339;
use exposition::durations::{Durations, QUANTILES};
use exposition::metrics::Collected;
use machine::handle::Handle;
use machine::open::Progress;
use model::duration::format_duration_ms;
use model::label_set::LabelSet;
use model::time::{Now, Tick, TimestampMs};
use remote::otlp::translate::OtlpSettings;
use scrape::relabel::Rule;
use tokio::sync::watch;

use crate::active_log::ActiveLog;
use crate::clients::Clients;
use crate::host::lines::{float, float_signed};
use crate::query_log::QueryLog;
use crate::query_pool::QueryPool;
use crate::targets::{PoolCounts, PoolTotals};

/// Parts of a query's work that upstream tells apart.
const SLICES: [&str; 4] = ["inner_eval", "prepare_time", "queue_time", "result_sort"];

/// Quantiles of upstream's summaries of scrape pools.
const POOL_QUANTILES: [f64; 5] = [0.01, 0.05, 0.5, 0.9, 0.99];

/// What is counted of queries.
#[derive(Debug, Default)]
struct Queries {
    /// In the order of [`SLICES`].
    durations: [Durations; SLICES.len()],
    samples: AtomicU64,
    samples_read: AtomicU64,
    log_failures: AtomicU64,
}

/// The configuration in force.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Without comments and secrets.
    pub yaml: String,
    /// `global.external_labels`.
    pub external_labels: LabelSet,
    /// `global.scrape_interval`.
    pub scrape_interval_ms: u64,
    /// `global.evaluation_interval`.
    pub evaluation_interval_ms: u64,
    /// `otlp`.
    pub otlp: OtlpSettings,
    /// When it came into force.
    pub at: TimestampMs,
    /// Age of samples at which they go, milliseconds.
    pub retention_ms: u64,
    /// Bytes of samples at which the oldest go; 0 is no bound.
    pub retention_bytes: u64,
    /// Where other programs leave metrics of this machine.
    pub textfile_directory: Option<PathBuf>,
    /// Why the last try to read it again was refused; `None` when it succeeded.
    pub refused: Option<String>,
    /// Its jobs, in the order written.
    pub pools: Vec<LoadedPool>,
}

impl Loaded {
    /// The job of this name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&LoadedPool> {
        self.pools.iter().find(|pool| &*pool.name == name)
    }
}

/// What requests ask of a job in force.
#[derive(Clone, Debug)]
pub struct LoadedPool {
    /// Its name.
    pub name: Arc<str>,
    /// As written, without comments and secrets.
    pub yaml: Arc<str>,
    /// Its target relabelling.
    pub relabel: Arc<[Rule]>,
}

/// What became of the jobs' targets at the last change.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Targets that relabelling dropped.
    pub dropped: Vec<DroppedTarget>,
    /// How many, a job.
    pub dropped_counts: Vec<(String, u64)>,
    /// What is counted, a job.
    pub pools: Vec<PoolCounts>,
    /// What is counted of all of them.
    pub pool_totals: PoolTotals,
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
    /// What became of its targets.
    pub found: watch::Sender<Arc<Found>>,
    /// What discovery counts.
    pub discovery: Arc<discovery::metrics::Metrics>,
    /// The shards and query threads, between recovery and the end.
    pub running: watch::Sender<Option<Running>>,
    /// How far recovery has come.
    pub progress: Arc<Progress>,
    /// When the process began.
    pub started_at: TimestampMs,
    /// Queries that wait, run or answer.
    pub active: Arc<ActiveQueries>,
    /// The file of the queries that are computed; none before recovery, or where it was refused.
    pub active_log: watch::Sender<Option<Arc<ActiveLog>>>,
    /// The log of finished queries, when the configuration names one.
    pub query_log: watch::Sender<Option<Arc<QueryLog>>>,
    /// Finished queries.
    queries: Queries,
    /// Queries that the full queue refused.
    pub refused: AtomicU64,
    /// Requests without a right user and password.
    pub unauthorized: Arc<AtomicU64>,
    /// Connections by address.
    pub clients: Arc<Clients>,
    /// What operators should know.
    pub notifications: watch::Sender<Arc<Vec<Notification>>>,
}

/// What operators are told of, in upstream's words; more may follow on the same line.
pub mod topic {
    /// From the first moment until the server is ready.
    pub const STARTING: &str = "Prometheus is starting and replaying the write-ahead log (WAL).";
    /// From a refused reload until one is accepted.
    pub const RELOAD_FAILED: &str = "Configuration reload has failed.";
    /// From the order to end on.
    pub const STOPPING: &str =
        "Prometheus is shutting down and gracefully stopping all operations.";
}

impl State {
    /// The state of a process that has just begun.
    #[must_use]
    pub fn new(loaded: Loaded, started_at: TimestampMs) -> State {
        State {
            phase: watch::Sender::new(Phase::Starting),
            loaded: watch::Sender::new(Arc::new(loaded)),
            found: watch::Sender::default(),
            discovery: Arc::default(),
            running: watch::Sender::new(None),
            progress: Arc::default(),
            started_at,
            active: Arc::default(),
            active_log: watch::Sender::new(None),
            query_log: watch::Sender::new(None),
            queries: Queries::default(),
            refused: AtomicU64::new(0),
            unauthorized: Arc::default(),
            clients: Arc::default(),
            notifications: watch::Sender::default(),
        }
    }

    /// Tells operators of a topic from `now` on, with what there is to say beside it.
    pub fn announce(&self, topic: &str, detail: &str, now: TimestampMs) {
        let text = format!("{topic} {detail}").trim_end().to_owned();
        let told = Notification { text, date: format_rfc3339(now), active: true };
        self.notifications.send_modify(|known| {
            let others = known.iter().filter(|one| !one.text.starts_with(topic)).cloned();
            *known = Arc::new(others.chain([told]).collect());
        });
    }

    /// Tells operators no more of a topic.
    pub fn retract(&self, topic: &str) {
        self.notifications.send_if_modified(|known| {
            let others: Vec<Notification> =
                known.iter().filter(|one| !one.text.starts_with(topic)).cloned().collect();
            let is_changed = others.len() != known.len();
            *known = Arc::new(others);
            is_changed
        });
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

    /// Counts and logs a finished query.
    pub fn finished(&self, finished: &Finished<'_>, now: Now) {
        let timings = &finished.timings;
        let [inner_eval, prepare, queue, sort] = &self.queries.durations;
        queue.observe(now.tick, timings.queue_nanos);
        // One that failed while it waited was never prepared.
        if timings.eval_total_nanos() != 0 {
            prepare.observe(now.tick, timings.prepare_nanos);
            inner_eval.observe(now.tick, timings.eval_nanos);
        }
        if finished.is_sorted {
            sort.observe(now.tick, timings.sort_nanos);
        }
        let add = |counter: &AtomicU64, count| counter.fetch_add(count, Ordering::Relaxed);
        add(&self.queries.samples, finished.stats.samples_total);
        add(&self.queries.samples_read, finished.stats.samples_read);
        let log = self.query_log.borrow().clone();
        if log.is_some_and(|log| !log.append(finished, now.wall)) {
            add(&self.queries.log_failures, 1);
        }
    }

    /// Adds what the server counts itself.
    pub fn collect(&self, version: &str, now: Tick, into: &mut Collected) {
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
        let help = "Requests without a right user and password.";
        let unauthorized = float(self.unauthorized.load(Ordering::Relaxed));
        into.counter("cresset_http_unauthorized_total", help, &[], unauthorized);
        let help = "Connections closed because their address had too many.";
        let refused = float(self.clients.refused());
        into.counter("cresset_http_client_refused_total", help, &[], refused);
        self.collect_config(into);
        self.collect_targets(now, into);
        self.collect_pools(now, into);
        self.discovery.collect(into);
        self.collect_queries(into);
        self.collect_durations(now, into);
    }

    fn collect_config(&self, into: &mut Collected) {
        let loaded = self.loaded();
        let succeeded = f64::from(u8::from(loaded.refused.is_none()));
        let help = "Whether the last configuration reload attempt was successful.";
        into.gauge("prometheus_config_last_reload_successful", help, &[], succeeded);
        let name = "prometheus_tsdb_retention_limit_seconds";
        let help = "Age at which samples go.";
        into.gauge(name, help, &[], float(loaded.retention_ms) / 1000.0);
        let name = "prometheus_tsdb_retention_limit_bytes";
        let help = "Bytes of samples at which the oldest go; 0 is no bound.";
        into.gauge(name, help, &[], float(loaded.retention_bytes));
        let help = "Timestamp of the last successful configuration reload.";
        let name = "prometheus_config_last_reload_success_timestamp_seconds";
        into.gauge(name, help, &[], float_signed(loaded.at.0) / 1000.0);
    }

    fn collect_targets(&self, now: Tick, into: &mut Collected) {
        let found = Arc::clone(&self.found.borrow());
        let help = "Targets of all shards.";
        into.gauge("cresset_config_targets", help, &[], float(found.targets));
        for pool in &found.pools {
            let labels = [("scrape_job", pool.job.as_str())];
            let help = "Total number of syncs that were executed on a scrape pool.";
            let name = "prometheus_target_scrape_pool_sync_total";
            into.counter(name, help, &labels, float(pool.syncs));
            let help = "Actual interval to sync the scrape pool.";
            let lengths = &pool.sync_lengths;
            let ((sum, count), quantiles) =
                (lengths.totals(), lengths.quantiles(now, POOL_QUANTILES));
            let name = "prometheus_target_sync_length_seconds";
            into.summary(name, help, &labels, &quantiles, sum, count);
            let name = "prometheus_target_sync_length_histogram_seconds";
            into.histogram(name, help, &labels, &lengths.buckets(), sum, count);
            let help = "Total number of target sync failures.";
            let name = "prometheus_target_sync_failed_total";
            into.counter(name, help, &labels, float(pool.faults));
            let help = "Maximum number of targets allowed in this scrape pool.";
            let name = "prometheus_target_scrape_pool_target_limit";
            into.gauge(name, help, &labels, float(pool.target_limit));
        }
        let help = "Total number of times scrape pools hit the target limit, during sync or \
                    config reload.";
        let passed = found.pools.iter().map(|pool| pool.limit_passed).sum();
        let name = "prometheus_target_scrape_pool_exceeded_target_limit_total";
        into.counter(name, help, &[], float(passed));
    }

    fn collect_pools(&self, now: Tick, into: &mut Collected) {
        let totals = self.found.borrow().pool_totals.clone();
        // What cannot be made or loaded is refused with the whole configuration.
        for (name, help, value) in [
            (
                "prometheus_target_scrape_pools_total",
                "Total number of scrape pool creation attempts.",
                totals.created,
            ),
            (
                "prometheus_target_scrape_pools_failed_total",
                "Total number of scrape pool creations that failed.",
                0,
            ),
            (
                "prometheus_target_scrape_pool_reloads_total",
                "Total number of scrape pool reloads.",
                totals.reloads,
            ),
            (
                "prometheus_target_scrape_pool_reloads_failed_total",
                "Total number of failed scrape pool reloads.",
                0,
            ),
        ] {
            into.counter(name, help, &[], float(value));
        }
        for (interval_ms, lengths) in &totals.reload_lengths {
            let interval = format_duration_ms(i64::try_from(*interval_ms).unwrap_or(i64::MAX));
            let labels = [("interval", interval.as_str())];
            let ((sum, count), quantiles) =
                (lengths.totals(), lengths.quantiles(now, POOL_QUANTILES));
            let help = "Actual interval to reload the scrape pool with a given configuration.";
            let name = "prometheus_target_reload_length_seconds";
            into.summary(name, help, &labels, &quantiles, sum, count);
        }
    }

    fn collect_durations(&self, now: Tick, into: &mut Collected) {
        for (slice, durations) in SLICES.iter().zip(&self.queries.durations) {
            let labels = [("slice", *slice)];
            let (sum, count) = durations.totals();
            let quantiles = durations.quantiles(now, QUANTILES);
            let name = "prometheus_engine_query_duration_seconds";
            into.summary(name, "Query timings", &labels, &quantiles, sum, count);
            let name = "prometheus_engine_query_duration_histogram_seconds";
            let help = "The duration of various parts of PromQL query execution.";
            into.histogram(name, help, &labels, &durations.buckets(), sum, count);
        }
    }

    fn collect_queries(&self, into: &mut Collected) {
        let count = |number: usize| float(u64::try_from(number).unwrap_or(u64::MAX));
        let load = |counter: &AtomicU64| float(counter.load(Ordering::Relaxed));
        let queries = &self.queries;
        let help = "The current number of queries being executed or waiting.";
        into.gauge("prometheus_engine_queries", help, &[], count(self.active.len()));
        let help = "The total number of samples loaded by all queries (full window per step for \
                    range-vector).";
        let name = "prometheus_engine_query_samples_total";
        into.counter(name, help, &[], load(&queries.samples));
        let help = "The total number of samples read by all queries (only new points per step \
                    for range-vector).";
        let name = "prometheus_engine_query_samples_read_total";
        into.counter(name, help, &[], load(&queries.samples_read));
        let is_logged = f64::from(u8::from(self.query_log.borrow().is_some()));
        let name = "prometheus_engine_query_log_enabled";
        into.gauge(name, "State of the query log.", &[], is_logged);
        let name = "prometheus_engine_query_log_failures_total";
        let help = "The number of query log failures.";
        into.counter(name, help, &[], load(&queries.log_failures));
        let help = "Queries that were killed.";
        into.counter("cresset_query_killed_total", help, &[], float(self.active.killed()));
        let faults = self.active_log.borrow().as_ref().map_or(0, |log| log.faults());
        let help = "Writes to the file of active queries that failed.";
        into.counter("cresset_query_active_log_failures_total", help, &[], float(faults));
        let help = "Queries that the full queue refused.";
        into.counter("cresset_query_refused_total", help, &[], load(&self.refused));
        if let Some(Running { pool, .. }) = self.running() {
            let help = "Queries that wait for a thread.";
            into.gauge("cresset_query_waiting", help, &[], count(pool.waiting()));
            let help = "The max number of concurrent queries.";
            let name = "prometheus_engine_queries_concurrent_max";
            into.gauge(name, help, &[], count(pool.concurrency()));
        }
    }
}
