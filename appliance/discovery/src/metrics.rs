//! Metrics: what discovery counts, under upstream's names where it has one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use exposition::durations::{Durations, QUANTILES};
use exposition::metrics::Collected;
use model::time::Tick;
use tokio::sync::watch;
use tokio::time::Instant;

/// The one user of discovery: upstream tells scraping and notifying apart by it.
const NAME: (&str, &str) = ("name", "scrape");

/// Counts how long something took that has ended.
pub fn observe(durations: &Durations, took: Duration) {
    durations.observe(tick(), u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
}

/// The time since this was first asked; quantiles forget by it.
fn tick() -> Tick {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    Tick(u64::try_from(ORIGIN.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

fn summary(
    into: &mut Collected,
    name: &'static str,
    help: &'static str,
    labels: &[(&str, &str)],
    durations: &Durations,
) {
    let (sum, count) = durations.totals();
    into.summary(name, help, labels, &durations.quantiles(tick(), QUANTILES), sum, count);
}

/// What one running mechanism counts.
#[derive(Debug)]
pub struct ProviderMetrics {
    /// Its name, as in `mechanism_sd_configs`.
    pub mechanism: &'static str,
    /// The job that named it first.
    pub job: String,
    /// Refreshes that failed.
    pub refresh_failures: AtomicU64,
    /// Refreshes.
    pub refreshes: Durations,
    /// Files that were read and when they were modified, seconds since 1970.
    pub files: watch::Sender<BTreeMap<String, i64>>,
}

impl ProviderMetrics {
    /// Counters at zero.
    #[must_use]
    pub fn new(mechanism: &'static str, job: &str) -> ProviderMetrics {
        ProviderMetrics {
            mechanism,
            job: job.to_owned(),
            refresh_failures: AtomicU64::new(0),
            refreshes: Durations::default(),
            files: watch::Sender::new(BTreeMap::new()),
        }
    }
}

/// What runs, replaced whole.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// Mechanisms that run.
    pub providers: Vec<Arc<ProviderMetrics>>,
    /// Targets found for each job that has a mechanism, at the last update.
    pub jobs: Vec<(String, u64)>,
    /// When the jobs were last given targets, seconds since 1970.
    pub updated_seconds: f64,
}

/// What discovery counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Updates from mechanisms.
    pub received: AtomicU64,
    /// Updates handed on.
    pub sent: AtomicU64,
    /// Updates that waited because another had just been handed on.
    pub delayed: AtomicU64,
    /// Updates that were refused because they passed a bound.
    pub refused: AtomicU64,
    /// Files that could not be read.
    pub file_read_errors: AtomicU64,
    /// Directories that could not be watched.
    pub file_watcher_errors: AtomicU64,
    /// Scans of files.
    pub file_scans: Durations,
    /// Names that were looked up.
    pub dns_lookups: AtomicU64,
    /// Lookups that failed.
    pub dns_lookup_failures: AtomicU64,
    /// Refreshes of HTTP discovery that failed.
    pub http_failures: AtomicU64,
    /// Refreshes of Nomad discovery that failed.
    pub nomad_failures: AtomicU64,
    /// Questions to Consul that failed.
    pub consul_rpc_failures: AtomicU64,
    /// Questions to Consul about its catalog.
    pub consul_catalog: Durations,
    /// Questions to Consul about a service.
    pub consul_service: Durations,
    /// Questions to Kubernetes, and its watches, that failed.
    pub kubernetes_failures: AtomicU64,
    /// Objects of Kubernetes that came, went or changed.
    pub kubernetes_events: KubernetesEvents,
    /// What runs.
    pub running: watch::Sender<Running>,
}

/// Names of Kubernetes's objects that targets are made of, and of what happens to them.
const ROLES: [&str; 6] = ["node", "service", "pod", "endpoints", "endpointslice", "ingress"];
const HAPPENINGS: [&str; 3] = ["add", "delete", "update"];

/// What happened to an object of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It came.
    Add,
    /// It went.
    Delete,
    /// It changed.
    Update,
}

/// How often each happened to objects of each role.
#[derive(Debug, Default)]
pub struct KubernetesEvents([[AtomicU64; HAPPENINGS.len()]; ROLES.len()]);

impl KubernetesEvents {
    /// Counts one; that of an object which no role is named after is not told.
    pub fn count(&self, role: &str, happening: Happening) {
        if let Some(at) = ROLES.iter().position(|known| *known == role) {
            let happening = match happening {
                Happening::Add => 0,
                Happening::Delete => 1,
                Happening::Update => 2,
            };
            self.0[at][happening].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn collect(&self, into: &mut Collected) {
        for (role, counts) in ROLES.iter().zip(&self.0) {
            for (event, count) in HAPPENINGS.iter().zip(counts) {
                let help = "The number of Kubernetes events handled.";
                let labels = [("event", *event), ("role", *role)];
                let name = "prometheus_sd_kubernetes_events_total";
                into.counter(name, help, &labels, load(count));
            }
        }
    }
}

impl Metrics {
    /// Adds everything to `into`.
    pub fn collect(&self, into: &mut Collected) {
        self.collect_updates(into);
        self.collect_mechanisms(into);
        self.kubernetes_events.collect(into);
        let running = self.running.borrow();
        let help = "Current number of discovered targets.";
        for (job, targets) in &running.jobs {
            let labels = [("config", job.as_str()), NAME];
            into.gauge("prometheus_sd_discovered_targets", help, &labels, float(*targets));
        }
        let help = "Timestamp of the last update sent to the SD consumers.";
        for (job, _) in &running.jobs {
            let labels = [("config", job.as_str()), NAME];
            let name = "prometheus_sd_last_update_timestamp_seconds";
            into.gauge(name, help, &labels, running.updated_seconds);
        }
        for provider in &running.providers {
            collect_provider(provider, into);
        }
        collect_files(&running.providers, into);
    }

    fn collect_updates(&self, into: &mut Collected) {
        let help = "Total number of update events received from the SD providers.";
        let received = load(&self.received);
        into.counter("prometheus_sd_received_updates_total", help, &[NAME], received);
        let help = "Total number of update events sent to the SD consumers.";
        into.counter("prometheus_sd_updates_total", help, &[NAME], load(&self.sent));
        let help = "Total number of update events that couldn't be sent immediately.";
        let delayed = load(&self.delayed);
        into.counter("prometheus_sd_updates_delayed_total", help, &[NAME], delayed);
        let help = "Current number of service discovery configurations that failed to load.";
        // What cannot run is refused with the whole configuration.
        into.gauge("prometheus_sd_failed_configs", help, &[NAME], 0.0);
        let help = "Updates of mechanisms that passed a bound; the old targets were kept.";
        into.counter("cresset_sd_refused_updates_total", help, &[], load(&self.refused));
    }

    fn collect_mechanisms(&self, into: &mut Collected) {
        let mut counter = |name, help, counter: &AtomicU64| {
            into.counter(name, help, &[], load(counter));
        };
        let help = "The number of File-SD read errors.";
        counter("prometheus_sd_file_read_errors_total", help, &self.file_read_errors);
        let help = "The number of File-SD errors caused by filesystem watch failures.";
        counter("prometheus_sd_file_watcher_errors_total", help, &self.file_watcher_errors);
        let help = "The number of DNS-SD lookups.";
        counter("prometheus_sd_dns_lookups_total", help, &self.dns_lookups);
        let help = "The number of DNS-SD lookup failures.";
        counter("prometheus_sd_dns_lookup_failures_total", help, &self.dns_lookup_failures);
        let help = "Number of HTTP service discovery refresh failures.";
        counter("prometheus_sd_http_failures_total", help, &self.http_failures);
        let help = "Number of nomad service discovery refresh failures.";
        counter("prometheus_sd_nomad_failures_total", help, &self.nomad_failures);
        let help = "The number of failed WATCH/LIST requests.";
        counter("prometheus_sd_kubernetes_failures_total", help, &self.kubernetes_failures);
        let help = "The number of Consul RPC call failures.";
        counter("prometheus_sd_consul_rpc_failures_total", help, &self.consul_rpc_failures);
        let help = "The duration of a Consul RPC call in seconds.";
        for (call, calls) in [("services", &self.consul_catalog), ("service", &self.consul_service)]
        {
            let labels = [("call", call), ("endpoint", "catalog")];
            summary(into, "prometheus_sd_consul_rpc_duration_seconds", help, &labels, calls);
        }
        let help = "The duration of the File-SD scan in seconds.";
        let name = "prometheus_sd_file_scan_duration_seconds";
        summary(into, name, help, &[], &self.file_scans);
    }
}

fn collect_provider(provider: &ProviderMetrics, into: &mut Collected) {
    let (sum, count) = provider.refreshes.totals();
    let failures = load(&provider.refresh_failures);
    // As upstream, what never refreshes shows nothing.
    if count == 0 && failures == 0.0 {
        return;
    }
    let labels = [("config", provider.job.as_str()), ("mechanism", provider.mechanism)];
    let help = "Number of refresh failures for the given SD mechanism.";
    into.counter("prometheus_sd_refresh_failures_total", help, &labels, failures);
    let help = "The duration of a refresh in seconds for the given SD mechanism.";
    let name = "prometheus_sd_refresh_duration_seconds";
    summary(into, name, help, &labels, &provider.refreshes);
    let help = "The duration of a refresh for the given SD mechanism.";
    let name = "prometheus_sd_refresh_duration_histogram_seconds";
    let buckets = provider.refreshes.buckets();
    into.histogram(name, help, &labels[1..], &buckets, sum, count);
}

/// Each file once: two mechanisms may read it, and gauges of equal labels would add up.
fn collect_files(providers: &[Arc<ProviderMetrics>], into: &mut Collected) {
    let mut files = BTreeMap::new();
    for provider in providers {
        files.extend(provider.files.borrow().clone());
    }
    let help = "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.";
    for (file, seconds) in files {
        let seconds = signed_float(seconds);
        into.gauge("prometheus_sd_file_mtime_seconds", help, &[("filename", &file)], seconds);
    }
}

fn load(counter: &AtomicU64) -> f64 {
    float(counter.load(Ordering::Relaxed))
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a file's time stay far below 2^53")]
fn signed_float(seconds: i64) -> f64 {
    seconds as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_shows_under_upstreams_names() {
        let metrics = Metrics::default();
        let provider = Arc::new(ProviderMetrics::new("http", "node"));
        let running = Running {
            providers: vec![Arc::clone(&provider)],
            jobs: vec![("node".to_owned(), 3)],
            updated_seconds: 7.0,
        };
        metrics.running.send_replace(running);
        let text = || {
            let mut collected = Collected::default();
            metrics.collect(&mut collected);
            collected.to_text()
        };
        assert!(!text().contains("prometheus_sd_refresh"), "{}", text());
        observe(&provider.refreshes, Duration::from_millis(50));
        provider.refresh_failures.fetch_add(1, Ordering::Relaxed);
        for line in [
            r#"discovered_targets{config="node",name="scrape"} 3"#,
            r#"refresh_failures_total{config="node",mechanism="http"} 1"#,
            r#"refresh_duration_histogram_seconds_bucket{mechanism="http",le="0.1"} 1"#,
            r#"refresh_duration_seconds_count{config="node",mechanism="http"} 1"#,
            concat!(
                r#"refresh_duration_seconds{config="node",mechanism="http","#,
                r#"quantile="0.9"} 0.048234496"#
            ),
        ] {
            let line = format!("prometheus_sd_{line}");
            assert!(text().lines().any(|shown| shown == line), "{line} in {}", text());
        }
    }
}
