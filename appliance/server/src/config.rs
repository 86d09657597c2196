//! Config: prometheus.yml, strict, every fault with its place.
//!
//! Path: file → `tree` → `section` by the tables of `fields` → **config** → jobs and targets.
//! Never: ignores a field; what is not done is refused by name.

use std::path::{Path, PathBuf};

use ebpf::collector::Collector;
use exposition::protobuf::family::HistogramOptions;
use machine::plan::Wanted;
use model::label_set::LabelSet;
use scrape::protocol::NATIVE;
use scrape::relabel::NameScheme;
use shard::pace::Bounds;

pub mod fault;
pub mod field;
pub mod fields;
pub mod tree;

pub mod print;
pub mod section;
pub mod storage;
pub mod cores;

pub mod url;

pub mod http_config;
pub mod kubernetes;
pub mod clouds;

pub mod form;
pub mod schema;

pub mod relabel;
pub mod discovery;

pub mod job;
pub mod jobs;

pub mod alerting;
pub mod remote;
pub mod telemetry;

pub mod rule_file;

use self::storage::{Limits, StorageConfig};
use ::remote::otlp::translate::OtlpSettings;
use ::storage::compaction::Tier;
use fault::{ConfigError, Fault};
use fields::TOP;
use fields::own::CRESSET;
use fields::scrape::GLOBAL;
use form::Form;
use job::{JobDefaults, ScrapeConfig};
use jobs::Jobs;
use section::{Findings, Section};
use tree::Node;

const INTERVAL_MS_DEFAULT: u64 = 60_000;
const TIMEOUT_MS_DEFAULT: u64 = 10_000;
const EVALUATION_MS_DEFAULT: u64 = 60_000;
const MIB: u64 = 1 << 20;

/// A configuration that holds.
#[derive(Clone, Debug)]
pub struct Config {
    /// `global.scrape_interval`.
    pub scrape_interval_ms: u64,
    /// `global.evaluation_interval`, milliseconds.
    pub evaluation_interval_ms: u64,
    /// `global.external_labels`, variables replaced.
    pub external_labels: LabelSet,
    /// `global.query_log_file`; a relative path starts at the file's directory.
    pub query_log: Option<PathBuf>,
    /// `scrape_configs`, in the order written.
    pub jobs: Vec<ScrapeConfig>,
    /// `otlp`
    pub otlp: OtlpSettings,
    /// `storage`
    pub storage: StorageConfig,
    /// `cresset`
    pub own: Own,
    /// What was accepted without effect.
    pub notices: Vec<String>,
    /// The file again, without comments and secrets.
    pub yaml: String,
}

/// Settings that Prometheus does not have; `None` leaves the choice to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Shards.
    pub shards: Option<u32>,
    /// Bytes of a WAL segment.
    pub segment_bytes: Option<u64>,
    /// WAL segments of a shard.
    pub wal_segments_max: Option<u64>,
    /// Series of a shard.
    pub series_max: Option<u64>,
    /// How long which series are kept at which resolution.
    pub tiers: Vec<Tier>,
    /// How much anybody may have.
    pub limits: Limits,
    /// Which cores do what.
    pub cores: Wanted,
    /// Bounds of compaction's rate and of commits.
    pub pacing: Bounds,
    /// Files `NAME.prom` in it are shown at `/metrics/host`.
    pub textfile_directory: Option<PathBuf>,
    /// What is counted in the kernel.
    pub kernel_collectors: Option<Vec<Collector>>,
}

/// What `--enable-feature` changes in what is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// `created-timestamp-zero-ingestion`: series begin with a 0 where their counting began, and
    /// targets are asked for protocol buffers first unless the file says otherwise.
    pub start_zeros: bool,
    /// `extra-scrape-metrics`: the default of the field of this name.
    pub extra_scrape_metrics: bool,
}

impl Enabled {
    /// What the names given to `--enable-feature` switch on.
    #[must_use]
    pub fn by(features: &[String]) -> Enabled {
        let has = |name: &str| features.iter().any(|feature| feature == name);
        Enabled {
            start_zeros: has("created-timestamp-zero-ingestion"),
            extra_scrape_metrics: has("extra-scrape-metrics"),
        }
    }
}

/// Reads the configuration `text`, which lies at `path`: relative paths in it start there. No
/// feature is enabled.
///
/// # Errors
/// As of [`load_with`].
pub fn load(text: &str, path: &Path) -> Result<Config, ConfigError> {
    load_with(text, path, Enabled::default())
}

/// Reads the configuration `text`, which lies at `path`, with what is `enabled`.
///
/// # Errors
/// Every fault found, up to a bound; nothing of the configuration may be used.
pub fn load_with(text: &str, path: &Path, enabled: Enabled) -> Result<Config, ConfigError> {
    let mut findings = Findings::default();
    findings.enter(path, text);
    let config = match tree::parse(text) {
        Ok(root) => Some(read(&root, path, enabled, &mut findings)),
        Err(fault) => {
            findings.push(fault);
            None
        }
    };
    findings.faults.sort_by_key(|fault| (fault.source, fault.place));
    match config {
        Some(mut config) if findings.faults.is_empty() => {
            config.notices = findings.notices;
            Ok(config)
        }
        _ => Err(ConfigError { sources: findings.sources, faults: findings.faults }),
    }
}

/// The patterns of `rule_files` in the configuration `text`, whatever else is wrong with it;
/// relative ones start at the directory of `path`.
#[must_use]
pub fn rule_patterns(text: &str, path: &Path) -> Vec<PathBuf> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let Ok(root) = tree::parse(text) else { return Vec::new() };
    let mut quiet = Findings::default();
    let top = Section::open(&root, &TOP, &mut quiet);
    top.texts("rule_files", &mut quiet).iter().map(|pattern| directory.join(pattern)).collect()
}

fn read(root: &Node, path: &Path, enabled: Enabled, findings: &mut Findings) -> Config {
    let directory = path.parent().unwrap_or(Path::new("."));
    Form::Section(&TOP).check(root, findings);
    let top = Section::open(root, &TOP, findings);
    let null = Node { place: root.place, kind: tree::Kind::Null };
    let global = Section::open(top.get("global").unwrap_or(&null), &GLOBAL, findings);
    let defaults = job_defaults(&global, directory, enabled, findings);
    let external_labels = external_labels(&global, defaults.name_scheme, findings);
    check_globs(&top, findings);
    check_unsupported(&top, defaults.name_scheme, directory, findings);
    let mut config = Config {
        scrape_interval_ms: defaults.interval_ms,
        evaluation_interval_ms: job::positive(&global, "evaluation_interval", findings)
            .unwrap_or(EVALUATION_MS_DEFAULT),
        external_labels,
        query_log: job::path(&global, "query_log_file", directory, findings),
        jobs: Vec::new(),
        otlp: top.get("otlp").map_or_else(OtlpSettings::default, |node| {
            telemetry::read_otlp(node, defaults.name_scheme, findings)
        }),
        storage: storage::read(&top, findings),
        own: own(&top, directory, findings),
        notices: Vec::new(),
        yaml: print::yaml(root),
    };
    let mut jobs = Jobs::new(&defaults);
    jobs.read(top.list("scrape_configs", findings), directory, findings);
    // Last: faults after it are of other files.
    jobs.read_files(&top.texts("scrape_config_files", findings), directory, findings);
    config.jobs = jobs.into_list();
    config
}

/// Tells what is wrong with the sections that nothing is made of.
fn check_unsupported(
    top: &Section<'_>,
    name_scheme: NameScheme,
    directory: &Path,
    findings: &mut Findings,
) {
    let mut within = Findings::default();
    if let Some(node) = top.get("alerting") {
        alerting::check(node, name_scheme, directory, &mut within);
    }
    if let Some(node) = top.get("tracing") {
        telemetry::check_tracing(node, &mut within);
    }
    let written = top.list("remote_write", &mut within);
    remote::check_write(written, name_scheme, directory, &mut within);
    remote::check_read(top.list("remote_read", &mut within), directory, &mut within);
    findings.take_wrong(within);
}

fn job_defaults(
    global: &Section<'_>,
    directory: &Path,
    enabled: Enabled,
    findings: &mut Findings,
) -> JobDefaults {
    let interval = job::positive(global, "scrape_interval", findings);
    let interval_ms = interval.unwrap_or(INTERVAL_MS_DEFAULT);
    let timeout = job::positive(global, "scrape_timeout", findings);
    if timeout.is_some_and(|timeout_ms| interval_ms < timeout_ms) {
        let text = "global scrape timeout greater than scrape interval";
        findings.push(Fault::wrong(global.place_of("scrape_timeout"), text));
    }
    let name_scheme = job::name_scheme(global, findings).unwrap_or(NameScheme::Utf8);
    let none = scrape::target::Limits::default();
    JobDefaults {
        interval_ms,
        timeout_ms: timeout.unwrap_or(TIMEOUT_MS_DEFAULT.min(interval_ms)),
        limits: job::limits(global, &none, findings),
        target_limit: job::limit(global, "target_limit", 0, findings),
        keep_dropped_targets: job::limit(global, "keep_dropped_targets", 0, findings),
        name_scheme,
        escaping: job::escaping(global, None, name_scheme, "global", findings),
        protocols: job::protocols(global, "", findings)
            .or_else(|| enabled.start_zeros.then(|| NATIVE.to_vec())),
        start_zeros: enabled.start_zeros,
        histograms: job::histograms(global, HistogramOptions::default(), findings),
        extra_scrape_metrics: global
            .boolean("extra_scrape_metrics", findings)
            .unwrap_or(enabled.extra_scrape_metrics),
        failure_log: job::path(global, "scrape_failure_log_file", directory, findings),
    }
}

/// `$X` and `${X}` become the environment's values, `$$` a dollar sign.
fn external_labels(
    global: &Section<'_>,
    name_scheme: NameScheme,
    findings: &mut Findings,
) -> LabelSet {
    let written = job::labels(global, "external_labels", name_scheme, findings);
    let mut expanded = model::label_set::Builder::default();
    for (name, value) in &written {
        let value = expand(value, |variable| {
            std::env::var(variable).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| {
                let text =
                    format!("empty environment variable {variable} in external label {name}");
                findings.notices.push(text);
                String::new()
            })
        });
        expanded.set(name, &value);
    }
    expanded.build()
}

/// As Go's `os.Expand`.
fn expand(text: &str, mut value_of: impl FnMut(&str) -> String) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) =
            rest.strip_prefix('{').and_then(|braced| braced.split_once('}'))
        {
            expanded.push_str(&value_of(name));
            rest = after;
        } else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
            if end == 0 {
                expanded.push('$');
            } else {
                expanded.push_str(&value_of(&rest[..end]));
            }
            rest = &rest[end..];
        }
    }
    expanded.push_str(rest);
    expanded
}

/// `*` may only stand in the last part of a path; upstream refuses others.
fn check_globs(top: &Section<'_>, findings: &mut Findings) {
    for (field, what) in [("rule_files", "rule"), ("scrape_config_files", "scrape config")] {
        for node in top.list(field, findings) {
            let Some(glob) = section::scalar_text(node) else { continue };
            let directory = glob.rsplit_once('/').map_or("", |(directory, _)| directory);
            if directory.contains('*') {
                let text = format!("invalid {what} file path {}", model::label_name::quote(glob));
                findings.push(Fault::wrong(node.place, text));
            }
        }
    }
}

fn own(top: &Section<'_>, directory: &Path, findings: &mut Findings) -> Own {
    let Some(node) = top.get("cresset") else { return Own::default() };
    let section = Section::open(node, &CRESSET, findings);
    let mut in_range = |name: &'static str, value: Option<u64>, from: u64, to: u64| {
        let value = value?;
        if value < from || to < value {
            let text = format!("cresset.{name} must be in the range [{from}, {to}]");
            findings.push(Fault::wrong(section.place_of(name), text));
        }
        Some(value)
    };
    let mut quiet = Findings::default();
    let shards = in_range("shards", section.count("shards", &mut quiet), 1, 1024);
    let segment = section.size("segment_size", &mut quiet);
    let segments = section.count("wal_segments_max", &mut quiet);
    let series = section.count("series_max", &mut quiet);
    let own = Own {
        shards: shards.and_then(|shards| u32::try_from(shards).ok()),
        segment_bytes: in_range("segment_size", segment, MIB, 1024 * MIB),
        wal_segments_max: in_range("wal_segments_max", segments, 2, 1024),
        series_max: in_range("series_max", series, 1, 1 << 31),
        tiers: storage::tiers(&section, &mut quiet),
        limits: storage::limits(&section, &mut quiet),
        cores: cores::cores(&section, &mut quiet),
        pacing: cores::pacing(&section, &mut quiet),
        textfile_directory: section
            .text("textfile_directory", &mut quiet)
            .filter(|path| !path.is_empty())
            .map(|path| directory.join(path)),
        kernel_collectors: kernel_collectors(&section, &mut quiet),
    };
    for fault in quiet.faults {
        findings.push(fault);
    }
    own
}

fn kernel_collectors(section: &Section<'_>, findings: &mut Findings) -> Option<Vec<Collector>> {
    section.get("kernel_collectors")?;
    let names = section.texts("kernel_collectors", findings);
    let all = [&Collector::DEFAULT[..], &[Collector::Sys]].concat();
    let mut collectors = Vec::new();
    for name in names {
        match all.iter().find(|collector| collector.name() == name) {
            Some(collector) => collectors.push(*collector),
            None => {
                let known: Vec<&str> = all.iter().map(|collector| collector.name()).collect();
                let text = format!(
                    "unknown kernel collector {name:?}, expected one of {}",
                    known.join(", ")
                );
                findings.push(Fault::wrong(section.place_of("kernel_collectors"), text));
            }
        }
    }
    collectors.sort_unstable();
    collectors.dedup();
    Some(collectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match load(text, Path::new("p.yml")) {
            Ok(config) => {
                let job = |job: &ScrapeConfig| {
                    let targets = job.targets.len();
                    let options = &job.job;
                    format!(
                        "{} {}/{} {targets}",
                        options.name, options.interval_ms, options.timeout_ms
                    )
                };
                config.jobs.iter().map(job).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn features_change_defaults_only() {
        let features = ["created-timestamp-zero-ingestion", "extra-scrape-metrics"];
        let enabled = Enabled::by(&features.map(str::to_owned));
        let text = "scrape_configs: [{job_name: a}, {job_name: b, extra_scrape_metrics: false, \
                    scrape_protocols: [PrometheusText0.0.4]}]";
        let config = load_with(text, Path::new("p.yml"), enabled).unwrap();
        let [a, b] = &config.jobs[..] else { panic!("two jobs") };
        assert_eq!((a.job.protocols.as_slice(), b.job.protocols.len()), (&NATIVE[..], 1));
        assert!(a.job.start_zeros && b.job.start_zeros);
        assert!(a.job.extra_scrape_metrics && !b.job.extra_scrape_metrics);
        let plain = load(text, Path::new("p.yml")).unwrap();
        assert!(!plain.jobs[0].job.start_zeros && !plain.jobs[0].job.extra_scrape_metrics);
    }

    #[test]
    fn jobs_take_what_they_leave_out_from_global() {
        check("", "");
        check("scrape_configs: [{job_name: a, scrape_interval: 0s}]", "a 60000/10000 0");
        check(
            "global: {scrape_interval: 5s}
scrape_configs:
  - job_name: a
    static_configs: [{targets: ['x:1', 'x:2'], labels: {rack: 7}}]
  - {job_name: b, scrape_interval: 1m, scrape_timeout: 30s}
  - {job_name: c, scrape_interval: 1s}
",
            "a 5000/5000 2\nb 60000/30000 0\nc 1000/1000 0",
        );
    }

    #[test]
    fn wrong_values_are_refused_with_their_place() {
        check("a: 1", "p.yml:1:1: field a not found in type config.plain");
        check(
            "global:\n  scrape_timeout: 2m",
            "p.yml:2:19: global scrape timeout greater than scrape interval",
        );
        check("global: {scrape_interval: 1x}", "p.yml:1:27: not a valid duration string: \"1x\"");
        check(
            "scrape_configs:\n  - job_name: a\n  - job_name: a\n",
            "p.yml:3:5: found multiple scrape configs with job name \"a\"",
        );
        check(
            "scrape_configs:\n- job_name: a\n  scrape_intervall: 1s\n",
            "p.yml:3:3: field scrape_intervall not found in type config.ScrapeConfig; did you \
             mean scrape_interval?",
        );
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        check(
            "rule_files: [a.yml]\nremote_write:\nalerting: {}\n",
            "p.yml:1:1: unsupported field rule_files; remove it: rules are not evaluated yet",
        );
        let error = load("rule_files: [a]", Path::new("p")).unwrap_err();
        assert!(error.is_unsupported());
    }

    #[test]
    fn snippets_mark_the_place_and_hide_secrets() {
        let text = "scrape_configs:\n- job_name: a\n  basic_auth: {password: [hunter2]}\n  x: 1\n";
        let report = load(text, Path::new("p.yml")).unwrap_err().with_snippets();
        assert!(!report.contains("hunter2"), "{report}");
        assert!(report.contains("  4 |   x: 1\n    |   ^\n"), "{report}");
    }

    #[test]
    fn gogc_is_accepted_with_a_notice() {
        let config = load("runtime: {gogc: 42}", Path::new("p")).unwrap();
        assert_eq!(config.notices, ["runtime.gogc has no effect: there is no garbage collector"]);
    }

    #[test]
    fn variables_are_replaced() {
        let value_of = |name: &str| format!("<{name}>");
        assert_eq!(expand("a$$b${C}d$E-$", value_of), "a$b<C>d<E>-$");
    }
}
