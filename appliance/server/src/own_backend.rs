//! Own backend: what the HTTP API asks, answered by the running server.
//!
//! Path: `api` → **own backend** → `state`, the machine's handle, `host`, the main thread.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api::active::ActiveQueries;
use api::backend::{
    ActiveTarget, Alive, Backend, BlockCounts, BlockOrigin, BlockStatus, Exemplar, FamilyMetadata,
    Features, Finished, HeadStatus, Job, Noted, Notification, Phase, RelabelStep, Replay,
    RuntimeStatus, SeriesExemplars, Settings, Targets, TsdbRow, TsdbStatus,
};
use api::inbound::Receivers;
use api::outbound::ReadLimits;
use api::timestamp::format_rfc3339;
use crossbeam::channel::{Sender, bounded};
use exposition::entry::Entry;
use exposition::layout::Layout;
use exposition::metric_type::MetricType;
use exposition::metrics::Collected;
use machine::snapshot::snapshot;
use machine::topology::allowed;
use model::duration::format_duration_ms;
use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::time::{Now, TimestampMs};
use query::evaluate::EngineOptions;
use query::memory::MemoryPool;
use query::parse::options::Options;
use query::source::{LabelQuery, Selection, Series, Source, SourceError};
use scrape::exemplars::ExemplarRequest;
use scrape::status::TargetStatus;
use shard::effect::Answer;
use shard::event::Question;
use storage::compaction::BlockSummary;
use storage::stats::Named;
use tokio::sync::watch;
use tsdb::ulid::Ulid;

use crate::features::features;
use crate::flags::Flags;
use crate::host::lines::float;
use crate::kernel_events::KernelEvents;
use crate::relabel_steps::steps;
use crate::state::{Loaded, Running, State};
use crate::store_source::{StoreSource, cache_bytes};

/// Longest wait for the shards' counts and targets.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a reload: it reads one file and makes its targets.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest wait for a deletion to be durable, and how often it is looked at: a manifest is written
/// in milliseconds.
const DELETE_TIMEOUT_MS: u64 = 10_000;
const DELETE_LOOK: Duration = Duration::from_millis(5);

/// An order to read the configuration again; the answer goes to whoever asked.
pub type Reload = Option<Sender<Result<(), String>>>;

/// How requests and signals reach the main thread.
#[derive(Clone, Debug)]
pub struct Orders {
    /// Reloads; those that find no room are refused.
    pub reload: Sender<Reload>,
    /// The order to end, with its cause. Apart from the others, so that no queue keeps it out.
    pub stop: Sender<&'static str>,
}

impl Orders {
    /// Orders the end; when it is ordered already, nothing.
    pub fn stop(&self, cause: &'static str) {
        let _ = self.stop.try_send(cause);
    }
}

/// The running server.
pub struct OwnBackend {
    pub(crate) state: Arc<State>,
    pub(crate) receivers: Receivers,
    /// `--enable-feature=otlp-native-delta-ingestion`
    pub(crate) takes_deltas: bool,
    pub(crate) read_limits: ReadLimits,
    pub(crate) settings: Settings,
    pub(crate) engine: EngineOptions,
    features: Features,
    flags: Vec<(String, String)>,
    external_host: String,
    processors: u64,
    directory: PathBuf,
    orders: Orders,
    kernel_events: KernelEvents,
}

impl OwnBackend {
    /// The server that `flags` ask for; `orders` go to the main thread.
    #[must_use]
    pub fn new(
        state: Arc<State>,
        flags: &Flags,
        orders: Orders,
        kernel_events: KernelEvents,
    ) -> OwnBackend {
        let has = |name: &str| flags.features.iter().any(|feature| feature == name);
        let engine = EngineOptions {
            samples_max: flags.query_samples_max,
            memory_bytes_max: memory_bytes_max(),
            memory: Arc::new(MemoryPool::new(memory_bytes_total_max())),
            delayed_name_removal: has("promql-delayed-name-removal"),
            use_start_timestamps: has("use-start-timestamps"),
            type_and_unit_labels: has("type-and-unit-labels"),
            per_step_stats: has("promql-per-step-stats"),
            parse: Options {
                experimental_functions: has("promql-experimental-functions"),
                extended_range_selectors: has("promql-extended-range-selectors"),
                binop_fill_modifiers: has("promql-binop-fill-modifiers"),
                ..Options::STABLE
            },
            ..EngineOptions::default()
        };
        let settings = Settings {
            query_timeout_ms: flags.query_timeout_ms,
            lookback_ms: flags.lookback_ms,
            cors_any: flags.cors_origin.1,
            cors_origin: flags.cors_origin.0.clone(),
            lifecycle: flags.lifecycle,
            admin: flags.admin,
            version: env!("CARGO_PKG_VERSION"),
            page_title: flags.page_title.clone(),
            path_prefix: flags.route_prefix.clone(),
            subscribers_max: flags.subscribers_max,
            streams_max: (flags.query_concurrency / 2).max(1),
        };
        OwnBackend {
            state,
            receivers: flags.receivers,
            takes_deltas: has("otlp-native-delta-ingestion"),
            read_limits: flags.read_limits,
            settings,
            engine,
            features: features(flags),
            flags: flags.values.clone(),
            external_host: external_host(flags),
            processors: u64::try_from(allowed().len()).unwrap_or(1),
            directory: flags.directory.clone(),
            orders,
            kernel_events,
        }
    }

    fn ask(&self, question: &Question) -> Result<Vec<Answer>, String> {
        let running = self.state.running().ok_or("the shards are not running")?;
        running.handle.ask_all(question, ASK_TIMEOUT).map_err(|error| error.to_string())
    }

    /// Waits until the deletions with these numbers, by shard, are durable.
    fn await_deleted(&self, numbers: &[u64]) -> Result<(), String> {
        let deadline = self.now().tick.after_ms(DELETE_TIMEOUT_MS);
        loop {
            let answers = self.ask(&Question::Deleted)?;
            let done = answers.iter().zip(numbers).all(
                |(answer, number)| matches!(answer, Answer::Deleted(durable) if number <= durable),
            );
            if done {
                return Ok(());
            }
            if deadline <= self.now().tick {
                return Err("the disk does not take the deletion: it is hidden, and durable \
                            once the disk takes it"
                    .to_owned());
            }
            std::thread::park_timeout(DELETE_LOOK);
        }
    }

    fn collect_memory(&self, into: &mut Collected) {
        let memory = &self.engine.memory;
        into.memory("queries", memory.taken());
        into.memory("query_caches", u64::try_from(cache_bytes()).unwrap_or(u64::MAX));
        let help = "Bytes that all queries together may hold.";
        into.gauge("cresset_query_memory_max_bytes", help, &[], float(memory.bytes_max()));
        let help = "Times that queries together wanted more memory than they may hold.";
        let refusals = float(memory.refusals());
        into.counter("cresset_query_memory_refused_total", help, &[], refusals);
    }

    fn active(&self, status: &TargetStatus) -> ActiveTarget {
        let spec = &status.spec;
        let url = spec.url.to_string();
        let is_local = matches!(spec.url.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let global_url = if is_local {
            let port = spec.url.port;
            let path = &spec.url.path_and_query;
            format!("{}://{}:{port}{path}", spec.url.scheme.text(), self.external_host)
        } else {
            url.clone()
        };
        ActiveTarget {
            discovered_labels: spec.discovered.clone(),
            labels: spec.labels.clone(),
            scrape_pool: spec.job.to_string(),
            scrape_url: url,
            global_url,
            last_error: status.last_error.clone(),
            last_scrape: status.last_scrape,
            last_scrape_seconds: status.last_scrape_duration_seconds,
            health: status.health.text(),
            interval_ms: spec.interval_ms,
            timeout_ms: spec.timeout_ms,
        }
    }
}

/// Memory of one query: an eighth of the machine's, so that a few large ones leave room for the
/// samples; at most what the engine allows by default.
fn memory_bytes_max() -> u64 {
    let most = EngineOptions::default().memory_bytes_max;
    machine_bytes().map_or(most, |bytes| (bytes / 8).min(most))
}

/// Memory of all queries together: a quarter of the machine's; the rest is the samples' and the
/// system's cache of files.
fn memory_bytes_total_max() -> u64 {
    let least = EngineOptions::default().memory_bytes_max;
    machine_bytes().map_or(least, |bytes| bytes / 4)
}

fn machine_bytes() -> Option<u64> {
    let meminfo = crate::host::lines::read(Path::new("/proc"), "meminfo").unwrap_or_default();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = total.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// What is kept, as upstream says it.
fn retention_text(loaded: &Loaded) -> String {
    let time = format_duration_ms(i64::try_from(loaded.retention_ms).unwrap_or(i64::MAX));
    if loaded.retention_bytes == 0 {
        return time;
    }
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let bytes = loaded.retention_bytes;
    let whole = units.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    let size =
        whole.map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit));
    format!("{time} or {size}")
}

/// The name under which others reach this machine.
fn external_host(flags: &Flags) -> String {
    let given = flags.external_host.as_deref().and_then(|host| host.split(':').next());
    given.map_or_else(hostname, str::to_owned)
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A store of a server that has none yet, or no more.
struct NoStore;

impl Source for NoStore {
    fn select(&self, _selection: &Selection) -> Result<Vec<Series>, SourceError> {
        Err(no_store())
    }

    fn label_values(&self, _name: &str, _wanted: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Err(no_store())
    }

    fn label_names(&self, _wanted: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Err(no_store())
    }
}

fn no_store() -> SourceError {
    SourceError::Unavailable("the shards are not running".to_owned())
}

impl Backend for OwnBackend {
    fn now(&self) -> Now {
        machine::clock::now()
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn phase(&self) -> Phase {
        *self.state.phase.borrow()
    }

    fn replay(&self) -> Replay {
        let (done, total) = self.state.progress.bytes();
        Replay { min: 0, max: total, current: done }
    }

    fn source(&self, alive: Alive) -> Arc<dyn Source> {
        match self.state.running() {
            Some(running) => Arc::new(StoreSource::new(running.handle, alive)),
            None => Arc::new(NoStore),
        }
    }

    fn engine(&self) -> EngineOptions {
        let step_ms = self.state.loaded().evaluation_interval_ms;
        let pool = self.state.running().map(|running| running.pool);
        EngineOptions {
            crew: pool.map_or_else(|| Arc::clone(&self.engine.crew), |pool| pool.crew()),
            default_subquery_step_ms: i64::try_from(step_ms).unwrap_or(i64::MAX),
            ..self.engine.clone()
        }
    }

    fn run(&self, job: Job) -> Result<(), Job> {
        let Some(Running { pool, .. }) = self.state.running() else { return Err(job) };
        pool.run(job).inspect_err(|_| {
            self.state.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn targets(&self) -> Result<Targets, String> {
        let mut active = Vec::new();
        for answer in self.ask(&Question::Targets)? {
            let Answer::Targets(statuses) = answer else { continue };
            active.extend(statuses.iter().map(|status| self.active(status)));
        }
        let key = |target: &ActiveTarget| (target.scrape_pool.clone(), target.scrape_url.clone());
        active.sort_by_cached_key(key);
        let found = Arc::clone(&self.state.found.borrow());
        Ok(Targets {
            active,
            dropped: found.dropped.clone(),
            dropped_counts: found.dropped_counts.clone(),
        })
    }

    fn metadata(
        &self,
        visit: &mut dyn FnMut(&LabelSet, &[FamilyMetadata]) -> bool,
    ) -> Result<(), String> {
        let mut targets = Vec::new();
        for answer in self.ask(&Question::Targets)? {
            let Answer::Targets(statuses) = answer else { continue };
            targets.extend(statuses);
        }
        targets.sort_by_cached_key(|target| (target.spec.job.clone(), target.spec.url.to_string()));
        for target in targets {
            let Some(layout) = &target.layout else { continue };
            if !visit(&target.spec.labels, &families(layout)) {
                break;
            }
        }
        Ok(())
    }

    fn pushed_metadata(&self) -> Result<Vec<FamilyMetadata>, String> {
        let mut found = Vec::new();
        for answer in self.ask(&Question::PushedMetadata)? {
            let Answer::PushedMetadata(families) = answer else { continue };
            found.extend(families.iter().map(|family| FamilyMetadata {
                name: family.name.to_string(),
                metric_type: family.metric_type.api_text(),
                help: family.help.to_string(),
                unit: family.unit.to_string(),
            }));
        }
        Ok(found)
    }

    fn exemplars(
        &self,
        matcher_sets: Vec<Vec<Matcher>>,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<Vec<SeriesExemplars>, String> {
        let wanted = Question::Exemplars(ExemplarRequest { matcher_sets, from, to });
        let mut found = Vec::new();
        for answer in self.ask(&wanted)? {
            let Answer::Exemplars(series) = answer else { continue };
            found.extend(series.into_iter().map(|series| {
                SeriesExemplars {
                    labels: series.labels,
                    exemplars: series
                        .exemplars
                        .into_iter()
                        .map(|kept| Exemplar {
                            labels: kept.labels,
                            value: kept.value,
                            timestamp: kept.timestamp,
                        })
                        .collect(),
                }
            }));
        }
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    fn tsdb(&self, limit: usize) -> Result<TsdbStatus, String> {
        let mut shards = Vec::new();
        for answer in self.ask(&Question::Stats)? {
            let Answer::Stats(stats) = answer else { continue };
            shards.push(*stats);
        }
        let mut values = BTreeMap::<String, HashSet<u64>>::new();
        for (name, hashes) in
            shards.iter_mut().flat_map(|s| std::mem::take(&mut s.values_by_label_name))
        {
            values.entry(name).or_default().extend(hashes);
        }
        let values: Vec<Named> = values
            .into_iter()
            .map(|(name, hashes)| Named { name, count: hashes.len() as u64 })
            .collect();
        let sum = |part: fn(&storage::stats::Stats) -> u64| shards.iter().map(part).sum();
        let table = |part: fn(&storage::stats::Stats) -> &[Named]| {
            merge_tables(shards.iter().flat_map(part), limit)
        };
        Ok(TsdbStatus {
            head_stats: HeadStatus {
                num_series: sum(|stats| stats.series),
                num_label_pairs: values.iter().map(|values| values.count).sum(),
                chunk_count: sum(|stats| stats.chunks),
                min_time: shards.iter().filter_map(|s| s.min_time_ms).min().unwrap_or(i64::MAX),
                max_time: shards.iter().filter_map(|s| s.max_time_ms).max().unwrap_or(i64::MIN),
            },
            series_count_by_metric_name: table(|stats| &stats.series_by_metric_name),
            label_value_count_by_label_name: merge_tables(values.iter(), limit),
            memory_in_bytes_by_label_name: table(|stats| &stats.bytes_by_label_name),
            series_count_by_label_value_pair: table(|stats| &stats.series_by_label_pair),
        })
    }

    fn blocks(&self) -> Result<Vec<BlockStatus>, String> {
        let mut found = Vec::new();
        let everything = Question::Blocks { from: TimestampMs::MIN, to: TimestampMs::MAX };
        for (shard, answer) in (0u128..).zip(self.ask(&everything)?) {
            let Answer::Blocks(blocks) = answer else { continue };
            found.extend(blocks.iter().map(|block| block_status(shard, block.summary())));
        }
        found.sort_by(|a, b| (a.min_time, &a.ulid).cmp(&(b.min_time, &b.ulid)));
        Ok(found)
    }

    fn notifications(&self) -> watch::Receiver<Arc<Vec<Notification>>> {
        self.state.notifications.subscribe()
    }

    fn features(&self) -> Features {
        self.features.clone()
    }

    fn delete_series(
        &self,
        matchers: Vec<Matcher>,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<(), String> {
        // What one shard refuses is not to be gone in another.
        for answer in self.ask(&Question::MayDelete)? {
            let Answer::Delete(may) = answer else { continue };
            may.map_err(|error| error.to_string())?;
        }
        let mut numbers = Vec::new();
        for answer in self.ask(&Question::Delete { matchers, from, to })? {
            let Answer::Delete(deleted) = answer else { continue };
            numbers.push(deleted.map_err(|error| error.to_string())?);
        }
        self.await_deleted(&numbers)
    }

    fn clean_tombstones(&self) -> Result<(), String> {
        self.ask(&Question::CleanTombstones).map(drop)
    }

    fn snapshot(&self, skip_head: bool) -> Result<String, String> {
        if self.state.running().is_none() {
            return Err("the shards are not running".to_owned());
        }
        let now = self.now();
        let seconds = format_rfc3339(TimestampMs(now.wall.0.div_euclid(1000) * 1000));
        let digits: String = seconds.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let name = format!("{digits}-{:016x}", now.tick.0);
        snapshot(&self.directory, &name, skip_head)
            .map_err(|cause| format!("create snapshot: {cause}"))?;
        Ok(name)
    }

    fn scrape_pools(&self) -> Vec<String> {
        self.state.loaded().pools.iter().map(|pool| pool.name.to_string()).collect()
    }

    fn scrape_pool_yaml(&self, pool: &str) -> Option<String> {
        self.state.loaded().pool(pool).map(|pool| pool.yaml.to_string())
    }

    fn relabel_steps(&self, pool: &str, labels: &LabelSet) -> Option<Vec<RelabelStep>> {
        Some(steps(&self.state.loaded().pool(pool)?.relabel, labels))
    }

    fn config_yaml(&self) -> String {
        self.state.loaded().yaml.clone()
    }

    fn flags(&self) -> Vec<(String, String)> {
        self.flags.clone()
    }

    fn runtime(&self) -> RuntimeStatus {
        let loaded = self.state.loaded();
        let cwd = std::env::current_dir().unwrap_or_default();
        RuntimeStatus {
            start_time: format_rfc3339(self.state.started_at),
            cwd: cwd.display().to_string(),
            hostname: hostname(),
            server_time: format_rfc3339(self.now().wall),
            reload_config_success: loaded.refused.is_none(),
            last_config_time: format_rfc3339(loaded.at),
            goroutine_count: crate::process::threads(),
            gomaxprocs: self.processors,
            storage_retention: retention_text(&loaded),
            ..RuntimeStatus::default()
        }
    }

    fn collect(&self, into: &mut Collected) {
        self.state.collect(self.settings.version, self.now().tick, into);
        crate::process::collect(into);
        machine::heap::collect(into);
        self.collect_memory(into);
        let Some(running) = self.state.running() else { return };
        running.handle.collect(into);
        match self.ask(&Question::Metrics) {
            Ok(answers) => {
                for answer in answers {
                    let Answer::Metrics(collected) = answer else { continue };
                    into.merge(&collected);
                }
            }
            Err(reason) => tracing::warn!(reason, "metrics of the shards are missing"),
        }
    }

    fn collect_host(&self, into: &mut Collected) {
        let now = self.now().wall;
        crate::host::collect(Path::new("/proc"), Path::new("/sys"), now, into);
        self.kernel_events.collect(into);
        if let Some(directory) = &self.state.loaded().textfile_directory {
            crate::host::textfile::collect(directory, into);
        }
    }

    fn reload(&self) -> Result<(), String> {
        let (reply, done) = bounded(1);
        let busy = |_| "the server is busy or stopping".to_owned();
        self.orders.reload.try_send(Some(reply)).map_err(busy)?;
        match done.recv_timeout(RELOAD_TIMEOUT) {
            Ok(result) => result,
            Err(_) => Err("the server did not reload in time".to_owned()),
        }
    }

    fn quit(&self) {
        self.orders.stop("a request to /-/quit");
    }

    fn active(&self) -> &Arc<ActiveQueries> {
        &self.state.active
    }

    fn began(&self, text: &str) -> Option<Noted> {
        let log = self.state.active_log.borrow().clone()?;
        Some(Box::new(log.note(text, self.now().wall)?))
    }

    fn finished(&self, finished: &Finished<'_>) {
        self.state.finished(finished, self.now());
    }
}

/// Rows of all shards with equal names added up, the largest first.
fn merge_tables<'a>(rows: impl Iterator<Item = &'a Named>, limit: usize) -> Vec<TsdbRow> {
    let mut sums = std::collections::BTreeMap::<&str, u64>::new();
    for row in rows {
        *sums.entry(&row.name).or_insert(0) += row.count;
    }
    let mut merged: Vec<TsdbRow> =
        sums.into_iter().map(|(name, value)| TsdbRow { name: name.to_owned(), value }).collect();
    merged.sort_by_key(|row| std::cmp::Reverse(row.value));
    merged.truncate(limit);
    merged
}

/// A block of a shard as upstream shows one; its name is made of shard and number, and of the time
/// of its newest sample, so that it stays the same.
fn block_status(shard: u128, summary: &BlockSummary) -> BlockStatus {
    let made_ms = u64::try_from(summary.max_time_ms).unwrap_or(0);
    BlockStatus {
        ulid: Ulid::new(made_ms, shard << 64 | u128::from(summary.number)).to_string(),
        min_time: summary.min_time_ms,
        max_time: summary.max_time_ms.saturating_add(1),
        stats: BlockCounts { num_samples: summary.samples, num_series: summary.series },
        compaction: BlockOrigin { level: summary.level },
        version: 1,
    }
}

/// What a body said of its families, each once, by name.
fn families(layout: &Layout) -> Vec<FamilyMetadata> {
    let mut families: BTreeMap<String, FamilyMetadata> = BTreeMap::new();
    layout.visit_metadata(|entry| {
        let (Entry::Help { name, .. } | Entry::Type { name, .. } | Entry::Unit { name, .. }) =
            entry
        else {
            return;
        };
        let family = families.entry(name.to_string()).or_insert_with(|| FamilyMetadata {
            name: name.to_string(),
            metric_type: MetricType::Unknown.api_text(),
            ..FamilyMetadata::default()
        });
        match entry {
            Entry::Help { help, .. } => family.help = help.to_string(),
            Entry::Type { metric_type, .. } => family.metric_type = metric_type.api_text(),
            Entry::Unit { unit, .. } => family.unit = unit.to_string(),
            _ => {}
        }
    });
    families.into_values().collect()
}
