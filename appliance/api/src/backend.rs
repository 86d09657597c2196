//! Backend: what the HTTP API needs of the server that runs it.
//!
//! Never: HTTP. The server implements it over its shards, tests over values.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use exposition::metrics::Collected;
use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::time::{Now, TimestampMs};
use query::evaluate::{EngineOptions, Query, Stats};
use query::source::Source;
use serde::Serialize;
use tokio::sync::watch;

use crate::active::{ActiveQueries, ActiveQuery};
use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::query_stats::Timings;

/// Work for a query thread, told whether its turn came.
pub type Job = Box<dyn FnOnce(Turn) + Send>;

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It runs.
    Run,
    /// Too many wait: it says so to its asker, and ends.
    Refused,
}

/// Whether the asker of a request still waits for it.
pub type Alive = Arc<dyn Fn() -> bool + Send + Sync>;

/// The server behind the API. Methods that say so may wait; they are called on threads that may.
pub trait Backend: Inbound + Outbound + Send + Sync + 'static {
    /// One reading of both clocks.
    fn now(&self) -> Now;

    /// Settings that stay for the life of the process.
    fn settings(&self) -> &Settings;

    /// Whether questions can be answered.
    fn phase(&self) -> Phase;

    /// How far the replay of the log has come.
    fn replay(&self) -> Replay;

    /// The samples, for one request; reading ends early once `alive` says that nobody waits.
    fn source(&self, alive: Alive) -> Arc<dyn Source>;

    /// The engine's limits and switches under the configuration in force.
    fn engine(&self) -> EngineOptions;

    /// Runs `job` on a query thread when its turn comes; gives it back when too many wait.
    ///
    /// # Errors
    /// The queue is full.
    fn run(&self, job: Job) -> Result<(), Job>;

    /// Every target, sorted by pool and address. May wait for the shards.
    ///
    /// # Errors
    /// A shard did not answer.
    fn targets(&self) -> Result<Targets, String>;

    /// Names of the jobs in force, in the order written.
    fn scrape_pools(&self) -> Vec<String>;

    /// The job of this name as YAML without secrets.
    fn scrape_pool_yaml(&self, pool: &str) -> Option<String>;

    /// What each rule of this job's target relabelling makes of `labels`.
    fn relabel_steps(&self, pool: &str, labels: &LabelSet) -> Option<Vec<RelabelStep>>;

    /// Shows `visit` the labels and the metadata of every target, until it gives false. May wait
    /// for the shards.
    ///
    /// # Errors
    /// A shard did not answer.
    fn metadata(
        &self,
        visit: &mut dyn FnMut(&LabelSet, &[FamilyMetadata]) -> bool,
    ) -> Result<(), String>;

    /// What others pushed beside samples about metric families. May wait for the shards.
    ///
    /// # Errors
    /// A shard did not answer.
    fn pushed_metadata(&self) -> Result<Vec<FamilyMetadata>, String>;

    /// The exemplars, scraped and pushed, of the series that fit one of `matcher_sets`, by labels.
    /// May wait for the shards.
    ///
    /// # Errors
    /// A shard did not answer.
    fn exemplars(
        &self,
        matcher_sets: Vec<Vec<Matcher>>,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<Vec<SeriesExemplars>, String>;

    /// Counts of the head, with at most `limit` rows a table. May wait for the shards.
    ///
    /// # Errors
    /// A shard did not answer.
    fn tsdb(&self, limit: usize) -> Result<TsdbStatus, String>;

    /// Deletes the samples of the series that fulfil all matchers between two times, both
    /// included; durable when this returns. May wait for the shards.
    ///
    /// # Errors
    /// A shard refused, or its disk did not take it in time; then it is hidden all the same and
    /// becomes durable when the disk takes it.
    fn delete_series(
        &self,
        matchers: Vec<Matcher>,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<(), String>;

    /// Has what is deleted taken away from blocks, in the background. May wait for the shards.
    ///
    /// # Errors
    /// A shard did not answer.
    fn clean_tombstones(&self) -> Result<(), String>;

    /// Copies the data directory as it stands, without what is in no block if `skip_head`; gives
    /// the name of the copy. May wait for the disk.
    ///
    /// # Errors
    /// The disk's; nothing stays then.
    fn snapshot(&self, skip_head: bool) -> Result<String, String>;

    /// Blocks of all shards, oldest first. May wait for the shards.
    ///
    /// # Errors
    /// A shard did not answer.
    fn blocks(&self) -> Result<Vec<BlockStatus>, String>;

    /// What operators should know at this moment; who keeps it hears of changes.
    fn notifications(&self) -> watch::Receiver<Arc<Vec<Notification>>>;

    /// What is there and what is on, in upstream's groups.
    fn features(&self) -> Features;

    /// The configuration in force, as YAML without secrets.
    fn config_yaml(&self) -> String;

    /// Every flag and its value, without dashes.
    fn flags(&self) -> Vec<(String, String)>;

    /// What the process runs on.
    fn runtime(&self) -> RuntimeStatus;

    /// Adds the server's own metrics. May wait for the shards.
    fn collect(&self, into: &mut Collected);

    /// Adds the machine's metrics. May read files of `/proc`.
    fn collect_host(&self, into: &mut Collected);

    /// Reads the configuration again; the old one stays in force when the new one is refused. May
    /// wait.
    ///
    /// # Errors
    /// Why it was refused.
    fn reload(&self) -> Result<(), String>;

    /// Ends the process in order.
    fn quit(&self);

    /// The queries that wait, run or answer.
    fn active(&self) -> &Arc<ActiveQueries>;

    /// Notes that the computation of query `text` begins, so that a crash does not hide it; it
    /// ends when what this gives is dropped.
    fn began(&self, text: &str) -> Option<Noted>;

    /// Counts and logs a query that was computed, or that failed while it waited.
    fn finished(&self, finished: &Finished<'_>);
}

/// A note that goes when it is dropped.
pub type Noted = Box<dyn Any>;

/// A query that is over.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// The query.
    pub query: &'a Query,
    /// Its request, as the list showed it.
    pub active: &'a ActiveQuery,
    /// Why it has no answer.
    pub error: Option<&'a str>,
    /// What it cost.
    pub stats: &'a Stats,
    /// What it took.
    pub timings: Timings,
    /// Whether its series were brought in order.
    pub is_sorted: bool,
}

/// Settings that the flags fix.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest time that a query may take; `timeout` can only shorten it. Default 2 minutes.
    pub query_timeout_ms: u64,
    /// How far an instant selector looks back. Default 5 minutes.
    pub lookback_ms: i64,
    /// Whether browsers may read answers from any origin (`.*`).
    pub cors_any: bool,
    /// Origins that browsers may read answers from: a pattern over the whole origin.
    pub cors_origin: model::regex::GoRegex,
    /// Whether reload and quit are allowed over HTTP. Default off.
    pub lifecycle: bool,
    /// Whether samples may be deleted and snapshots made over HTTP. Default off.
    pub admin: bool,
    /// The server's own version.
    pub version: &'static str,
    /// Title of the page at `/`.
    pub page_title: String,
    /// Path before every path, as clients see it; "" for none.
    pub path_prefix: String,
    /// Connections that may hear of notifications at once. Default 16.
    pub subscribers_max: usize,
    /// Exports, federations and remote reads that are answered at once: half of the query threads.
    pub streams_max: usize,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The log is being replayed.
    Starting,
    /// Questions are answered.
    Ready,
    /// The process ends.
    Stopping,
}

/// Progress of the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// First part.
    pub min: u64,
    /// Last part.
    pub max: u64,
    /// Parts done.
    pub current: u64,
}

/// Something that operators should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// What.
    pub text: String,
    /// Since when, RFC 3339.
    pub date: String,
    /// Whether it is so still.
    pub active: bool,
}

/// By group and name, whether it is on.
pub type Features = BTreeMap<&'static str, BTreeMap<&'static str, bool>>;

/// A block in upstream's shape.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockStatus {
    /// Names it, in the form that upstream's tools expect.
    pub ulid: String,
    /// Time of the oldest sample, milliseconds.
    pub min_time: i64,
    /// Time after the newest sample, milliseconds.
    pub max_time: i64,
    /// What is in it.
    pub stats: BlockCounts,
    /// Where it comes from.
    pub compaction: BlockOrigin,
    /// Always 1.
    pub version: u64,
}

/// What is in a block.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockCounts {
    /// Samples.
    pub num_samples: u64,
    /// Series.
    pub num_series: u64,
}

/// Where a block comes from.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BlockOrigin {
    /// How often its samples were merged.
    pub level: u8,
}

/// Targets in upstream's shape.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Targets that are scraped.
    pub active: Vec<ActiveTarget>,
    /// Targets that relabelling dropped: labels as discovered, and the pool.
    pub dropped: Vec<DroppedTarget>,
    /// Dropped targets a pool, those not kept included.
    pub dropped_counts: Vec<(String, u64)>,
}

/// One rule of relabelling and what it made.
#[derive(Clone, Debug)]
pub struct RelabelStep {
    /// The rule, in upstream's shape.
    pub rule: serde_json::Value,
    /// The labels after it; none once a rule dropped them.
    pub output: LabelSet,
    /// Whether no rule so far dropped them.
    pub keep: bool,
}

/// A target that is scraped.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// Labels before relabelling.
    pub discovered_labels: LabelSet,
    /// Labels of its series.
    pub labels: LabelSet,
    /// Its job's name in the configuration.
    pub scrape_pool: String,
    /// What is fetched.
    pub scrape_url: String,
    /// The same with a host that others can reach.
    pub global_url: String,
    /// Why the last scrape failed; "" when it did not.
    pub last_error: String,
    /// When it was last scraped, if it was.
    pub last_scrape: Option<TimestampMs>,
    /// Seconds that the last scrape took.
    pub last_scrape_seconds: f64,
    /// `up`, `down` or `unknown`.
    pub health: &'static str,
    /// Milliseconds between scrapes.
    pub interval_ms: u64,
    /// Milliseconds after which a scrape is given up.
    pub timeout_ms: u64,
}

/// What a target says of one metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FamilyMetadata {
    /// Its name.
    pub name: String,
    /// Its type, as the API spells it.
    pub metric_type: &'static str,
    /// What it says of itself.
    pub help: String,
    /// Unit of its values.
    pub unit: String,
}

/// Exemplars of one series, in order of time.
#[derive(Clone, Debug)]
pub struct SeriesExemplars {
    /// Labels of the series.
    pub labels: LabelSet,
    /// What it has.
    pub exemplars: Vec<Exemplar>,
}

/// An observation that stands for those that a sample counted.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// Its labels.
    pub labels: LabelSet,
    /// What was observed.
    pub value: f64,
    /// When.
    pub timestamp: TimestampMs,
}

/// A target that relabelling dropped.
#[derive(Clone, Debug)]
pub struct DroppedTarget {
    /// Labels before relabelling.
    pub discovered_labels: LabelSet,
    /// Its job's name in the configuration.
    pub scrape_pool: String,
}

/// A row of the tables of [`TsdbStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TsdbRow {
    /// What is counted.
    pub name: String,
    /// How many.
    pub value: u64,
}

/// Head counts in upstream's shape.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TsdbStatus {
    /// Totals.
    pub head_stats: HeadStatus,
    /// Metric names with most series.
    pub series_count_by_metric_name: Vec<TsdbRow>,
    /// Label names with most values.
    pub label_value_count_by_label_name: Vec<TsdbRow>,
    /// Label names with most bytes.
    pub memory_in_bytes_by_label_name: Vec<TsdbRow>,
    /// Label pairs with most series.
    pub series_count_by_label_value_pair: Vec<TsdbRow>,
}

/// Totals of the head.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadStatus {
    /// Series.
    pub num_series: u64,
    /// Distinct label pairs.
    pub num_label_pairs: u64,
    /// Chunks.
    pub chunk_count: u64,
    /// Time of the oldest sample, milliseconds.
    pub min_time: i64,
    /// Time of the newest sample, milliseconds.
    pub max_time: i64,
}

/// What the process runs on, in upstream's shape; what Go has and this process has not is "".
#[derive(Clone, Debug, Default, Serialize)]
pub struct RuntimeStatus {
    /// RFC 3339.
    #[serde(rename = "startTime")]
    pub start_time: String,
    /// Working directory.
    #[serde(rename = "CWD")]
    pub cwd: String,
    /// The machine's name.
    pub hostname: String,
    /// RFC 3339.
    #[serde(rename = "serverTime")]
    pub server_time: String,
    /// Whether the last reload was accepted.
    #[serde(rename = "reloadConfigSuccess")]
    pub reload_config_success: bool,
    /// RFC 3339.
    #[serde(rename = "lastConfigTime")]
    pub last_config_time: String,
    /// Damaged places met in the log.
    #[serde(rename = "corruptionCount")]
    pub corruption_count: u64,
    /// Threads of the process.
    #[serde(rename = "goroutineCount")]
    pub goroutine_count: u64,
    /// Processors that the process may use.
    #[serde(rename = "GOMAXPROCS")]
    pub gomaxprocs: u64,
    /// Always 0: no collector, no limit.
    #[serde(rename = "GOMEMLIMIT")]
    pub gomemlimit: u64,
    /// Always "".
    #[serde(rename = "GOGC")]
    pub gogc: String,
    /// Always "".
    #[serde(rename = "GODEBUG")]
    pub godebug: String,
    /// How long samples are kept.
    #[serde(rename = "storageRetention")]
    pub storage_retention: String,
}
