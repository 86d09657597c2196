//! Boot: the order in which the server comes up, what it does while it runs, how it ends.
//!
//! Order: configuration → sockets → service thread (answers 503) → recovery → targets → ready.
//! The end in turn: not ready → answers under way → query threads → shards' open commits.
//! Never: opens anything before the flags and the configuration hold.

use std::mem;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use api::backend::Phase;
use crossbeam::channel::{Receiver, bounded, select};
use ebpf::collector::Collector;
use machine::handle::Handle;
use machine::offline::is_data_directory;
use machine::options::Options as MachineOptions;
use machine::plan::{bind, plan};
use machine::pressure::Source;
use machine::start::start;
use machine::topology::allowed;
use shard::effect::Answer;
use shard::event::Question;
use storage::options::Options as StorageOptions;
use tokio::sync::watch;
use tsdb::directory::prometheus_sign;

use crate::active_log::{ActiveLog, FILE_NAME};
use crate::auto_reload::AutoReload;
use crate::config::job::ScrapeConfig;
use crate::config::{Config, Enabled, load_with};
use crate::doctor;
use crate::flags::{FEATURES, Flags};
use crate::gate::Gate;
use crate::kernel_events::KernelEvents;
use crate::own_backend::{Orders, OwnBackend, Reload};
use crate::own_pages::OwnPages;
use crate::query_log::QueryLog;
use crate::query_pool::QueryPool;
use crate::request_id::RequestIds;
use crate::scrape_log::ScrapeLog;
use crate::state::{Loaded, LoadedPool, Running, State, topic};
use crate::store_source::forget_tiles;
use crate::supervisor::{self, Watchdog};
use crate::target_thread::TargetThread;
use crate::targets::embedded_yaml;
use crate::web::{self, Web};
use crate::web_config::Watched;

/// Reloads that wait for the main thread.
const RELOADS_MAX: usize = 16;
/// Retention by time where only bytes bound what is kept: 100 years.
const RETENTION_MS_MAX: u64 = 100 * 365 * 86_400_000;
/// Longest wait for the shards to take over a configuration.
const CONFIGURE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the main thread looks around when no order comes.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often recovery says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for what the shards use of what is limited.
const DEAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for what the shards have to say of scrapes.
const NOTICES_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the shards' open commits at the end; a commit takes milliseconds, and systemd
/// kills after 90 seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Where the configuration comes from.
#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Embedded(SocketAddr),
}

impl Origin {
    /// Reads the configuration; the error is complete text for people.
    fn load(&self, flags: &Flags) -> Result<Config, String> {
        let enabled = Enabled::by(&flags.features);
        match self {
            Origin::File(path) => {
                let shown = path.display();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("couldn't load configuration ({shown}): {error}"))?;
                load_with(&text, path, enabled).map_err(|error| error.to_string())
            }
            Origin::Embedded(address) => {
                let path = PathBuf::from("embedded configuration");
                let text = embedded_yaml(*address);
                load_with(&text, &path, enabled).map_err(|error| error.to_string())
            }
        }
    }
}

/// A configuration or data directory that was refused: the process ends with upstream's exit code
/// for it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// Refuses a data directory of Prometheus before anything is written to it.
fn refuse_prometheus(directory: &Path) -> Result<(), Refused> {
    if is_data_directory(directory) {
        return Ok(());
    }
    let Some(sign) = prometheus_sign(directory) else { return Ok(()) };
    let shown = directory.display();
    Err(Refused(format!(
        "{shown} is a data directory of Prometheus ({sign}), and is left as it is. Take it over \
         with `cresset tsdb import {shown} --storage.tsdb.path NEW`, then start with \
         --storage.tsdb.path NEW"
    )))
}

/// Runs the server until it is told to end.
///
/// # Errors
/// It could not start, or not end in order; the text says what and why. [`Refused`] when it is the
/// configuration.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let started_at = machine::clock::now().wall;
    let mut collectors = None;
    refuse_prometheus(&flags.directory)?;
    report_features(flags);
    if let Some(path) = &flags.config_file {
        // A file that does not hold must leave no trace, so it is read before any socket.
        let config = Origin::File(path.clone()).load(flags).map_err(Refused)?;
        collectors = config.own.kernel_collectors;
    }
    let access = Watched::new(flags.web_config_file.clone()).map_err(Refused)?;
    // Before any other thread: each has what the one had that started it.
    let collectors = collectors.unwrap_or_else(|| Collector::DEFAULT.to_vec());
    let kernel_events = KernelEvents::start(collectors)?;
    let listeners = web::listeners(&flags.listen)?;
    let bound = listeners
        .iter()
        .map(|listener| listener.local_addr().context("read own address"))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for address in &bound {
        tracing::info!(%address, "listening");
    }
    let first = *bound.first().ok_or_else(|| anyhow!("no address to listen on"))?;
    let origin = flags.config_file.clone().map_or(Origin::Embedded(first), Origin::File);
    let auto_reload = auto_reload(flags);
    let config = origin.load(flags).map_err(Refused)?;
    report(&config);
    let mut options = machine_options(flags, &config);
    options.storage.check().map_err(|error| Refused(error.to_string()))?;
    let cores = plan(&allowed(), &options.cores).map_err(|error| Refused(error.to_string()))?;
    let events = kernel_events.clone();
    options.pressure = Some(Source(Arc::new(move |watched| events.pressure(watched))));
    let state = Arc::new(State::new(loaded(&config, &options), started_at));
    state.announce(topic::STARTING, "", started_at);
    state.query_log.send_replace(open_query_log(&config).map_err(Refused)?);
    let scrape_log = ScrapeLog::open(&config.jobs).map_err(Refused)?;
    let ((reload, reloads), (stop, stops)) = (bounded(RELOADS_MAX), bounded(1));
    let orders = Orders { reload, stop };
    let backend = OwnBackend::new(Arc::clone(&state), flags, orders.clone(), kernel_events);
    let (stop_web, stopping) = watch::channel(false);
    let router = api::router::router(Arc::new(backend));
    let own = OwnPages {
        router: router.clone(),
        addresses: bound.clone(),
        prefix: flags.route_prefix.clone(),
    };
    let service = spawn_service(Web {
        listeners,
        router,
        cpus: cores.service,
        connections_max: flags.connections_max,
        clients: Arc::clone(&state.clients),
        ids: RequestIds::new(u64::try_from(started_at.0).unwrap_or(0)),
        access,
        gate: Gate::new(Arc::clone(&state.unauthorized)),
        prefix: flags.route_prefix.clone(),
        silence_max: Duration::from_millis(flags.read_timeout_ms),
        orders,
        stopping,
    })?;
    let server = Server { flags, origin, state, reloads, stops, stop_web, service, bound };
    let limits = options.storage.clone();
    let own = Arc::new(own);
    server.run(options, config, own, Chores { auto_reload, limits, scrape_log })
}

fn auto_reload(flags: &Flags) -> Option<AutoReload> {
    Some(AutoReload::new(flags.config_file.clone()?, flags.auto_reload_ms?))
}

fn spawn_service(web: Web) -> anyhow::Result<JoinHandle<std::io::Result<()>>> {
    let builder = std::thread::Builder::new().name("service".to_owned());
    builder.spawn(move || web::run(web)).context("start the service thread")
}

/// Says in brief what `cresset doctor` would.
fn examine() {
    let (ok, wants) = doctor::brief();
    for want in &wants {
        let (name, found, advice) = (want.name, &want.found, &want.advice);
        tracing::info!(name, verdict = %want.verdict, found, advice, "doctor");
    }
    tracing::info!(ok, wants = wants.len(), "doctor: `cresset doctor` looks at the disk too");
}

/// Says which features are on, which have no effect and which are unknown, as upstream does.
fn report_features(flags: &Flags) {
    for flag in &flags.without_effect {
        tracing::warn!(flag, "this flag of Prometheus has no effect");
    }
    for option in &flags.features {
        match FEATURES.iter().find(|(known, _)| known == option) {
            Some((_, true)) => tracing::info!(%option, "a feature is enabled"),
            Some((_, false)) => {
                tracing::warn!(%option, "this option for --enable-feature has no effect");
            }
            None => tracing::warn!(%option, "unknown option for --enable-feature"),
        }
    }
}

/// The query log that a configuration names; opened anew each time, so that a file that was moved
/// away is let go.
fn open_query_log(config: &Config) -> Result<Option<Arc<QueryLog>>, String> {
    let Some(path) = &config.query_log else { return Ok(None) };
    let log = QueryLog::open(path)
        .map_err(|error| format!("open the query log {}: {error}", path.display()))?;
    Ok(Some(Arc::new(log)))
}

/// Says what a configuration asks for in vain, and which targets cannot be.
fn report(config: &Config) {
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
}

fn loaded(config: &Config, options: &MachineOptions) -> Loaded {
    Loaded {
        yaml: config.yaml.clone(),
        external_labels: config.external_labels.clone(),
        scrape_interval_ms: config.scrape_interval_ms,
        evaluation_interval_ms: config.evaluation_interval_ms,
        otlp: config.otlp.clone(),
        at: machine::clock::now().wall,
        refused: None,
        pools: config.jobs.iter().map(loaded_pool).collect(),
        retention_ms: options.storage.retention_ms,
        retention_bytes: options.storage.retention_bytes,
        textfile_directory: config.own.textfile_directory.clone(),
    }
}

fn loaded_pool(job: &ScrapeConfig) -> LoadedPool {
    LoadedPool {
        name: job.job.name.clone(),
        yaml: job.yaml.clone(),
        relabel: job.job.relabel.clone(),
    }
}

fn machine_options(flags: &Flags, config: &Config) -> MachineOptions {
    let mut options = MachineOptions::new(flags.directory.clone());
    let own = &config.own;
    options.io = flags.io;
    options.shards = own.shards;
    options.cores = own.cores.clone();
    options.pace = own.pacing;
    keeping(flags, config, &mut options.storage);
    options.storage.tile_file_ms = flags.block_ms_min;
    options.storage.tile_age_ms_max = options.storage.tile_age_ms_max.min(flags.block_ms_min);
    if let Some(exemplars) = config.storage.exemplars_max {
        options.exemplars_max = usize::try_from(exemplars).unwrap_or(usize::MAX);
    }
    if let Some(bytes) = own.segment_bytes {
        options.storage.segment_bytes = bytes;
    }
    if let Some(segments) = own.wal_segments_max.and_then(|count| u32::try_from(count).ok()) {
        options.storage.wal_segments_max = segments;
    }
    if let Some(series) = own.series_max.and_then(|count| u32::try_from(count).ok()) {
        options.storage.series_max = series;
    }
    options
}

/// Fills in what is kept for how long, and how much anybody may have: the file wins over flags.
fn keeping(flags: &Flags, config: &Config, options: &mut StorageOptions) {
    let file = &config.storage;
    let share = file.retention_percentage.and_then(|percentage| {
        let bytes = disk_bytes(&flags.directory)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a disk may be off by a few bytes"
        )]
        Some((bytes as f64 * percentage / 100.0) as u64)
    });
    let size = file.retention_bytes.or(flags.retention_bytes);
    let bytes = [size, share].into_iter().flatten().min();
    let unbounded = if bytes.is_some() { RETENTION_MS_MAX } else { options.retention_ms };
    options.retention_ms = file.retention_ms.or(flags.retention_ms).unwrap_or(unbounded);
    options.retention_bytes = bytes.unwrap_or(0);
    options.out_of_order_time_window_ms = file.out_of_order_ms;
    options.tiers.clone_from(&config.own.tiers);
    let limits = &config.own.limits;
    options.head_bytes_max = limits.head_bytes;
    (options.target_limit, options.job_limit) = (limits.target, limits.job);
    options.tenant_limit = limits.tenant;
}

/// Bytes of the disk that has `directory`, or will have it.
fn disk_bytes(directory: &Path) -> Option<u64> {
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let found = rustix::fs::statvfs(there).ok()?;
    Some(found.f_blocks.saturating_mul(found.f_frsize))
}

/// The server between its first socket and its last.
struct Server<'a> {
    flags: &'a Flags,
    origin: Origin,
    state: Arc<State>,
    reloads: Receiver<Reload>,
    stops: Receiver<&'static str>,
    stop_web: watch::Sender<bool>,
    service: JoinHandle<std::io::Result<()>>,
    bound: Vec<SocketAddr>,
}

impl Server<'_> {
    fn run(
        self,
        options: MachineOptions,
        config: Config,
        own: Arc<OwnPages>,
        chores: Chores,
    ) -> anyhow::Result<()> {
        let handle = match self.recover(options)? {
            Recovered::Running(handle) => Arc::new(*handle),
            Recovered::Stopped => return self.end(None, None),
        };
        handle.serve_own(own);
        for note in handle.notes() {
            tracing::info!("{note}");
        }
        examine();
        let cpus = &handle.plan().service;
        // Off the shards' processors; where that fails, the main thread has little to do anyway.
        let _ = bind(cpus);
        let pool = QueryPool::new(self.flags.query_concurrency, cpus, tidy_up)
            .context("start query threads")?;
        self.open_active_log();
        let targets = TargetThread::start(Arc::clone(&handle), Arc::clone(&self.state))
            .context("start the thread of targets")?;
        targets.configure(config.jobs).map_err(|reason| anyhow!(reason))?;
        let running = Running { handle: Arc::clone(&handle), pool: Arc::new(pool) };
        self.state.running.send_replace(Some(running));
        self.state.phase.send_replace(Phase::Ready);
        self.state.retract(topic::STARTING);
        supervisor::ready();
        tracing::info!("ready");
        self.greet();
        self.turn(&handle, &targets, chores);
        self.end(Some(handle), Some(targets))
    }

    /// Tells which queries the last process did not finish: one of them may have ended it.
    fn open_active_log(&self) {
        match ActiveLog::open(&self.flags.directory, self.flags.query_concurrency) {
            Ok((log, unfinished)) => {
                for query in unfinished {
                    let (query, began) = (query.text, query.seconds);
                    tracing::warn!(query, began, "a query did not finish in the last run");
                }
                self.state.active_log.send_replace(Some(Arc::new(log)));
            }
            Err(error) => {
                let file = self.flags.directory.join(FILE_NAME);
                let file = file.display();
                tracing::error!(%file, %error, "active queries will leave no trace of a crash");
            }
        }
    }

    /// Recovers on a thread of its own, so that an order to end is heard meanwhile.
    fn recover(&self, options: MachineOptions) -> anyhow::Result<Recovered> {
        let progress = Arc::clone(&self.state.progress);
        let began = machine::clock::tick();
        let (sender, done) = bounded(1);
        let builder = std::thread::Builder::new().name("boot".to_owned());
        let work = move || drop(sender.send(start(options, &progress)));
        builder.spawn(work).context("start the boot thread")?;
        let mut seen_bytes = 0;
        loop {
            select! {
                recv(done) -> started => {
                    let started = started.map_err(|_| anyhow!("the boot thread ended by a bug"))?;
                    let handle = started.context("start the shards")?;
                    let seconds = machine::clock::tick().since(began) / 1_000_000_000;
                    let (bytes, _) = self.state.progress.bytes();
                    tracing::info!(bytes, seconds, "recovered");
                    return Ok(Recovered::Running(Box::new(handle)));
                }
                recv(self.stops) -> cause => {
                    let cause = cause.unwrap_or("the end of the service thread");
                    tracing::info!(cause, "stopping before recovery is done");
                    return Ok(Recovered::Stopped);
                }
                recv(self.reloads) -> reply => {
                    answer(reply.ok().flatten(), Err("the server is starting".to_owned()));
                }
                default(PROGRESS_INTERVAL) => {
                    let (done_bytes, total_bytes) = self.state.progress.bytes();
                    tracing::info!(done_bytes, total_bytes, "recovering");
                    if mem::replace(&mut seen_bytes, done_bytes) < done_bytes {
                        supervisor::progressing();
                    }
                }
            }
        }
    }

    /// Says to whoever looks at the terminal what to do next.
    fn greet(&self) {
        let Some(address) = self.bound.first() else { return };
        let shown = match address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("localhost:{}", v4.port()),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("localhost:{}", v6.port()),
            other => other.to_string(),
        };
        if matches!(self.origin, Origin::Embedded(_)) {
            println!("Cresset scrapes itself and this machine every 5 seconds (no --config.file).");
            println!("Samples are kept in {}.", self.flags.directory.display());
        }
        println!("Look:  http://{shown}/");
        println!("Ask:   curl 'http://{shown}/api/v1/query?query=up'");
    }

    /// The main loop: orders and the watchdog.
    fn turn(&self, handle: &Handle, targets: &TargetThread, mut chores: Chores) {
        let mut watchdog = Watchdog::new(machine::clock::now());
        loop {
            select! {
                recv(self.stops) -> cause => {
                    let cause = cause.unwrap_or("the end of the service thread");
                    tracing::info!(cause, "stopping");
                    return;
                }
                recv(self.reloads) -> reply => {
                    answer(reply.ok().flatten(), self.reload(targets, &mut chores));
                }
                default(LOOK_INTERVAL) => {}
            }
            chores.tell_of_scrapes(handle);
            chores.deal(handle);
            if chores.wants_reload() {
                tracing::info!("the configuration is another, loading it");
                // It says itself why it is refused.
                let _ = self.reload(targets, &mut chores);
            }
            if let Some(watchdog) = &mut watchdog {
                watchdog.poll(machine::clock::now(), handle);
            }
        }
    }

    /// Reads the configuration again; a refused one changes nothing.
    fn reload(&self, targets: &TargetThread, chores: &mut Chores) -> Result<(), String> {
        supervisor::reloading();
        let result = self.take_over(targets, chores);
        if let Err(reason) = &result {
            tracing::error!("configuration refused, the old one stays in force: {reason}");
            let old = self.state.loaded();
            let kept = Loaded { refused: Some(reason.clone()), ..Loaded::clone(&old) };
            self.state.loaded.send_replace(Arc::new(kept));
            self.state.announce(topic::RELOAD_FAILED, reason, machine::clock::now().wall);
        }
        supervisor::ready();
        result
    }

    /// Everything that may be refused comes first.
    fn take_over(&self, targets: &TargetThread, chores: &mut Chores) -> Result<(), String> {
        let fingerprint = chores.auto_reload.as_ref().map(AutoReload::fingerprint);
        let config = self.origin.load(self.flags)?;
        let query_log = open_query_log(&config)?;
        let scrape_log = ScrapeLog::open(&config.jobs)?;
        let options = machine_options(self.flags, &config);
        options.storage.check().map_err(|error| error.to_string())?;
        // Storage first: it may refuse, and then no target has changed.
        if let Some(running) = self.state.running() {
            let configured = running.handle.configure(&options.storage, CONFIGURE_TIMEOUT);
            configured.map_err(|error| error.to_string())?;
        }
        let targets = targets.configure(config.jobs.clone())?;
        report(&config);
        chores.scrape_log = scrape_log;
        chores.limits.clone_from(&options.storage);
        if let Some((auto, fingerprint)) = chores.auto_reload.as_mut().zip(fingerprint) {
            auto.loaded(fingerprint);
        }
        self.state.query_log.send_replace(query_log);
        self.state.loaded.send_replace(Arc::new(loaded(&config, &options)));
        self.state.retract(topic::RELOAD_FAILED);
        tracing::info!(targets, "configuration reloaded");
        Ok(())
    }

    fn end(self, handle: Option<Arc<Handle>>, targets: Option<TargetThread>) -> anyhow::Result<()> {
        self.state.phase.send_replace(Phase::Stopping);
        self.state.announce(topic::STOPPING, "", machine::clock::now().wall);
        supervisor::stopping();
        self.stop_web.send_replace(true);
        let served = self.service.join().map_err(|_| anyhow!("the service thread died"))?;
        self.state.running.send_replace(None);
        if let Some(targets) = targets {
            targets.stop(STOP_TIMEOUT).context("stop the thread of targets")?;
        }
        if let Some(handle) = handle {
            match Arc::into_inner(handle) {
                Some(handle) => handle.stop(STOP_TIMEOUT).context("stop the shards")?,
                // A query that hears no cancel still reads; what was acknowledged is on disk.
                None => tracing::warn!("a query still runs: ending without waiting for it"),
            }
        }
        served.context("serve")?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// What the main thread does besides, and what it remembers of it.
struct Chores {
    auto_reload: Option<AutoReload>,
    /// What is limited for all shards together.
    limits: StorageOptions,
    scrape_log: ScrapeLog,
}

impl Chores {
    fn wants_reload(&mut self) -> bool {
        let now = machine::clock::tick();
        self.auto_reload.as_mut().is_some_and(|auto| auto.is_wanted(now))
    }

    /// Deals limits to the shards that need them. One that cannot answer keeps what it has.
    fn deal(&self, handle: &Handle) {
        if let Err(error) = handle.deal(&self.limits, DEAL_TIMEOUT) {
            tracing::warn!("limits are not dealt to the shards anew: {error}");
        }
    }

    /// Logs what the shards have to say of scrapes. What a shard cannot tell yet waits there.
    fn tell_of_scrapes(&mut self, handle: &Handle) {
        for answer in handle.ask_all(&Question::Notices, NOTICES_TIMEOUT).unwrap_or_default() {
            let Answer::Notices(notices) = answer else { continue };
            notices.iter().for_each(|notice| self.scrape_log.tell(notice));
        }
    }
}

enum Recovered {
    Running(Box<Handle>),
    Stopped,
}

fn answer(reply: Reload, result: Result<(), String>) {
    if let Some(reply) = reply {
        // Whoever asked may have left.
        let _ = reply.try_send(result);
    }
}

/// What a query's thread does after its work: what it kept, and what that leaves in the heap.
fn tidy_up() {
    forget_tiles();
    machine::heap::give_back();
}
