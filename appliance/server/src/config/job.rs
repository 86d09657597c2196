//! Job: one of `scrape_configs` as a job and its targets, defaults filled in.
//!
//! Source: `ScrapeConfig.UnmarshalYAML` and `Validate` of Prometheus's `config/config.go`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::discovery::mechanism::Mechanism;
use exposition::native::schema_for;
use exposition::protobuf::family::HistogramOptions;
use model::label_name::quote;
use model::label_set::{Builder, LabelSet};
use scrape::job::JobOptions;
use scrape::protocol::{DEFAULT, Escaping, NATIVE, Protocol};
use scrape::relabel::NameScheme;
use scrape::target::{Compression, Limits};

use crate::config::discovery::mechanisms;
use crate::config::fault::Fault;
use crate::config::fields::discovery::STATIC;
use crate::config::fields::scrape::SCRAPE;
use crate::config::http_config;
use crate::config::print;
use crate::config::relabel::rules;
use crate::config::section::{Findings, Section, scalar_text, texts_of};
use crate::config::tree::{Kind, Node};

/// What a job takes from `global` where it says nothing itself.
#[derive(Clone, Debug, Default)]
pub struct JobDefaults {
    /// `scrape_interval`
    pub interval_ms: u64,
    /// `scrape_timeout`
    pub timeout_ms: u64,
    /// Limits; 0 is none.
    pub limits: Limits,
    /// `target_limit`
    pub target_limit: u64,
    /// `keep_dropped_targets`
    pub keep_dropped_targets: u64,
    /// `metric_name_validation_scheme`
    pub name_scheme: NameScheme,
    /// `metric_name_escaping_scheme`
    pub escaping: Escaping,
    /// `scrape_protocols`, where it is written
    pub protocols: Option<Vec<Protocol>>,
    /// The switches of histograms
    pub histograms: HistogramOptions,
    /// Whether series begin with a 0 where their counting began.
    pub start_zeros: bool,
    /// `extra_scrape_metrics`
    pub extra_scrape_metrics: bool,
    /// `scrape_failure_log_file`
    pub failure_log: Option<PathBuf>,
}

/// A job and its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeConfig {
    /// As written, without comments and secrets.
    pub yaml: Arc<str>,
    /// The job.
    pub job: JobOptions,
    /// Where failed scrapes are logged.
    pub failure_log: Option<PathBuf>,
    /// Label sets of the targets, `__address__` among them, in the order written.
    pub targets: Vec<LabelSet>,
    /// Where further targets come from.
    pub discovery: Vec<Mechanism>,
    /// Most targets after relabelling; 0 is no limit.
    pub target_limit: u64,
    /// Dropped targets that are listed; 0 is all.
    pub keep_dropped_targets: u64,
}

/// Reads one of `scrape_configs`.
pub fn read(
    node: &Node,
    defaults: &JobDefaults,
    directory: &Path,
    findings: &mut Findings,
) -> Option<ScrapeConfig> {
    if matches!(node.kind, Kind::Null) {
        findings.push(Fault::wrong(node.place, "empty or null scrape config section"));
        return None;
    }
    let section = Section::open(node, &SCRAPE, findings);
    let name = section.text("job_name", findings).unwrap_or("").to_owned();
    if name.is_empty() {
        findings.push(Fault::wrong(section.place_of("job_name"), "job_name is empty"));
    }
    let (interval_ms, timeout_ms) = times(&section, &name, defaults, findings);
    let own_scheme = name_scheme(&section, findings);
    let name_scheme = own_scheme.unwrap_or(defaults.name_scheme);
    let mut job = JobOptions::new(&name, interval_ms, timeout_ms);
    job.name_scheme = name_scheme;
    let inherited = own_scheme.is_none().then_some(defaults.escaping);
    job.escaping = escaping(&section, inherited, name_scheme, "scrape config", findings);
    check_escaping(&section, &job, findings);
    read_options(&mut job, &section, defaults, findings);
    job.protocols = protocols(&section, &name, findings)
        .or_else(|| defaults.protocols.clone())
        .unwrap_or_else(|| default_protocols(job.histograms.native));
    job.fallback = fallback(&section, &name, findings);
    let empty = "empty or null target relabeling rule in scrape config";
    job.relabel = rules(&section, "relabel_configs", empty, name_scheme, findings);
    let empty = "empty or null metric relabeling rule in scrape config";
    job.metric_relabel = rules(&section, "metric_relabel_configs", empty, name_scheme, findings);
    let http = http_config::read(&section, directory, findings);
    job.http = http.shared();
    let targets =
        static_targets(&section, section.list("relabel_configs", findings).is_empty(), findings);
    let failure_log = path(&section, "scrape_failure_log_file", directory, findings)
        .or(defaults.failure_log.clone());
    job.failure_log = failure_log.is_some();
    Some(ScrapeConfig {
        failure_log,
        yaml: print::yaml(node).into(),
        job,
        targets,
        discovery: mechanisms(&section, directory, findings),
        target_limit: limit(&section, "target_limit", defaults.target_limit, findings),
        keep_dropped_targets: limit(
            &section,
            "keep_dropped_targets",
            defaults.keep_dropped_targets,
            findings,
        ),
    })
}

/// Interval and timeout: a job's own, else the global ones, the timeout cut to the interval.
fn times(
    section: &Section<'_>,
    name: &str,
    defaults: &JobDefaults,
    findings: &mut Findings,
) -> (u64, u64) {
    let interval_ms =
        positive(section, "scrape_interval", findings).unwrap_or(defaults.interval_ms);
    let own_timeout_ms = positive(section, "scrape_timeout", findings);
    if own_timeout_ms.is_some_and(|timeout_ms| interval_ms < timeout_ms) {
        let text = format!(
            "scrape timeout greater than scrape interval for scrape config with job name {}",
            quote(name)
        );
        findings.push(Fault::wrong(section.place_of("scrape_timeout"), text));
    }
    (interval_ms, own_timeout_ms.unwrap_or(defaults.timeout_ms.min(interval_ms)))
}

/// A duration above 0; 0 is as if it were not written.
pub fn positive(section: &Section<'_>, name: &str, findings: &mut Findings) -> Option<u64> {
    section.duration_ms(name, findings).filter(|ms| *ms != 0)
}

/// The path of `name`; a relative one starts at `directory`.
pub fn path(
    section: &Section<'_>,
    name: &str,
    directory: &Path,
    findings: &mut Findings,
) -> Option<PathBuf> {
    let path = section.text(name, findings).filter(|path| !path.is_empty());
    path.map(|path| directory.join(path))
}

/// A limit of the job, else the global one.
pub fn limit(section: &Section<'_>, name: &str, global: u64, findings: &mut Findings) -> u64 {
    match section.count(name, findings) {
        None | Some(0) => global,
        Some(own) => own,
    }
}

/// The limits on one scrape.
pub fn limits(section: &Section<'_>, global: &Limits, findings: &mut Findings) -> Limits {
    let body_bytes = match section.size("body_size_limit", findings) {
        None | Some(0) => global.body_bytes,
        Some(own) => own,
    };
    let mut of = |name, global| limit(section, name, global, findings);
    Limits {
        samples: of("sample_limit", global.samples),
        labels: of("label_limit", global.labels),
        name_bytes: of("label_name_length_limit", global.name_bytes),
        value_bytes: of("label_value_length_limit", global.value_bytes),
        body_bytes,
    }
}

fn read_options(
    job: &mut JobOptions,
    section: &Section<'_>,
    defaults: &JobDefaults,
    findings: &mut Findings,
) {
    if let Some(path) = section.text("metrics_path", findings) {
        path.clone_into(&mut job.metrics_path);
    }
    if let Some(scheme) = section.text("scheme", findings).filter(|scheme| !scheme.is_empty()) {
        scheme.clone_into(&mut job.scheme);
    }
    job.params = params(section, findings);
    let mut flag = |name, default| match section.boolean(name, findings) {
        Some(value) => value,
        None => default && !section.is_null(name),
    };
    job.honor_labels = flag("honor_labels", false);
    job.honor_timestamps = flag("honor_timestamps", true);
    job.track_timestamps_staleness = flag("track_timestamps_staleness", false);
    let gzip = flag("enable_compression", true);
    job.compression = if gzip { Compression::Gzip } else { Compression::Identity };
    job.extra_scrape_metrics =
        section.boolean("extra_scrape_metrics", findings).unwrap_or(defaults.extra_scrape_metrics);
    job.start_zeros = defaults.start_zeros;
    job.histograms = histograms(section, defaults.histograms, findings);
    job.native.buckets = section.count("native_histogram_bucket_limit", findings).unwrap_or(0);
    if let Some(factor) = section.number("native_histogram_min_bucket_factor", findings) {
        job.native.schema = schema_for(factor);
    }
    job.limits = limits(section, &defaults.limits, findings);
}

fn params(section: &Section<'_>, findings: &mut Findings) -> Vec<(String, Vec<String>)> {
    let mut params = Vec::new();
    for (key, value) in section.map("params", findings) {
        let name = scalar_text(key).unwrap_or("").to_owned();
        let values = match &value.kind {
            Kind::List(items) => texts_of(items, findings),
            Kind::Null => Vec::new(),
            other => {
                let fault = crate::config::section::cannot_unmarshal(value.place, other, "list");
                findings.push(fault);
                Vec::new()
            }
        };
        params.push((name, values));
    }
    params.sort();
    params
}

/// The scheme of names, where the section names one.
pub fn name_scheme(section: &Section<'_>, findings: &mut Findings) -> Option<NameScheme> {
    match section.text("metric_name_validation_scheme", findings)? {
        "" => None,
        "utf8" => Some(NameScheme::Utf8),
        "legacy" => Some(NameScheme::Legacy),
        other => {
            let text = format!("unrecognized ValidationScheme: {}", quote(other));
            let place = section.place_of("metric_name_validation_scheme");
            findings.push(Fault::wrong(place, text));
            None
        }
    }
}

/// The switches of histograms: the section's own, else `global`'s.
pub fn histograms(
    section: &Section<'_>,
    global: HistogramOptions,
    findings: &mut Findings,
) -> HistogramOptions {
    let mut flag = |name, global| section.boolean(name, findings).unwrap_or(global);
    HistogramOptions {
        native: flag("scrape_native_histograms", global.native),
        classic: flag("always_scrape_classic_histograms", global.classic),
        convert: flag("convert_classic_histograms_to_nhcb", global.convert),
    }
}

/// What targets are to do with names: the section's own word, else the inherited one, else what
/// goes with the scheme of names.
pub fn escaping(
    section: &Section<'_>,
    inherited: Option<Escaping>,
    name_scheme: NameScheme,
    of_what: &str,
    findings: &mut Findings,
) -> Escaping {
    let by_scheme = match name_scheme {
        NameScheme::Utf8 => Escaping::AllowUtf8,
        NameScheme::Legacy => Escaping::Underscores,
    };
    let name = section.text("metric_name_escaping_scheme", findings).unwrap_or("");
    if name.is_empty() {
        return inherited.unwrap_or(by_scheme);
    }
    if let Some(escaping) = Escaping::find(name) {
        return escaping;
    }
    let known = Escaping::ALL.map(|escaping| format!("'{}'", escaping.name()));
    let text = format!(
        "unknown {of_what} name escaping method specified, must be one of {}, or {}, got {}",
        known[..3].join(", "),
        known[3],
        quote(name)
    );
    findings.push(Fault::wrong(section.place_of("metric_name_escaping_scheme"), text));
    by_scheme
}

/// Names as they are go with the scheme that allows them only.
fn check_escaping(section: &Section<'_>, job: &JobOptions, findings: &mut Findings) {
    if job.escaping == Escaping::AllowUtf8 && job.name_scheme == NameScheme::Legacy {
        let text = "utf8 metric names requested but validation scheme is not set to UTF8";
        let place = section.place_of("metric_name_escaping_scheme");
        findings.push(Fault::wrong(place, text));
    }
}

fn default_protocols(native: bool) -> Vec<Protocol> {
    if native { NATIVE.to_vec() } else { DEFAULT.to_vec() }
}

/// `scrape_protocols`, where it is written: known ones, each once.
pub fn protocols(
    section: &Section<'_>,
    job: &str,
    findings: &mut Findings,
) -> Option<Vec<Protocol>> {
    section.get("scrape_protocols")?;
    let place = section.place_of("scrape_protocols");
    let asked = section.texts("scrape_protocols", findings);
    let of_job = if job.is_empty() {
        "global config".to_owned()
    } else {
        format!("scrape config with job name {}", quote(job))
    };
    let found: Vec<Protocol> = asked.iter().filter_map(|name| Protocol::find(name)).collect();
    if asked.is_empty() {
        let text = format!("scrape_protocols cannot be empty for {of_job}");
        findings.push(Fault::wrong(place, text));
    } else if let Some(unknown) = asked.iter().find(|name| Protocol::find(name).is_none()) {
        let text = format!("scrape_protocols: {} for {of_job}", unknown_protocol(unknown));
        findings.push(Fault::wrong(place, text));
    } else if found.iter().enumerate().any(|(at, protocol)| found[..at].contains(protocol)) {
        let listed = asked.join(" ");
        let text = format!("duplicated protocol in scrape_protocols, got [{listed}] for {of_job}");
        findings.push(Fault::wrong(place, text));
    } else {
        return Some(found);
    }
    None
}

fn unknown_protocol(name: &str) -> String {
    let known = Protocol::ALL.map(Protocol::name).join(" ");
    format!("unknown scrape protocol {name}, supported: [{known}]")
}

fn fallback(section: &Section<'_>, job: &str, findings: &mut Findings) -> Option<Protocol> {
    let name =
        section.text("fallback_scrape_protocol", findings).filter(|name| !name.is_empty())?;
    let found = Protocol::find(name);
    if found.is_none() {
        let text = format!(
            "invalid fallback_scrape_protocol for scrape config with job name {}: {}",
            quote(job),
            unknown_protocol(name)
        );
        findings.push(Fault::wrong(section.place_of("fallback_scrape_protocol"), text));
    }
    found
}

/// The label sets of `static_configs`. Where relabelling may still change an address it may be a
/// URL.
pub fn static_targets(
    section: &Section<'_>,
    is_final: bool,
    findings: &mut Findings,
) -> Vec<LabelSet> {
    let mut targets = Vec::new();
    for node in section.list("static_configs", findings) {
        if matches!(node.kind, Kind::Null) {
            findings.push(Fault::wrong(node.place, "empty or null section in static_configs"));
            continue;
        }
        let group = Section::open(node, &STATIC, findings);
        let labels = labels(&group, "labels", NameScheme::Utf8, findings);
        for item in group.list("targets", findings) {
            let Some(address) = scalar_text(item) else { continue };
            if is_final && address.contains('/') {
                let text = format!("{} is not a valid hostname", quote(address));
                findings.push(Fault::wrong(item.place, text));
                continue;
            }
            targets.push(Builder::from(&labels).set(scrape::job::ADDRESS, address).build());
        }
    }
    targets
}

/// A map of labels.
pub fn labels(
    section: &Section<'_>,
    field: &'static str,
    name_scheme: NameScheme,
    findings: &mut Findings,
) -> LabelSet {
    let mut builder = Builder::default();
    for (key, value) in section.map(field, findings) {
        let bad = |what: &str, bytes: &Node, findings: &mut Findings| {
            let shown = match &bytes.kind {
                Kind::Bytes(bytes) => format!("\"{}\"", bytes.escape_ascii()),
                Kind::Scalar { text, .. } => quote(text),
                _ => "\"\"".to_owned(),
            };
            let text = format!("{shown} is not a valid label {what}");
            findings.push(Fault::wrong(bytes.place, text));
        };
        let name = scalar_text(key).filter(|name| name_scheme.is_label_name(name));
        let text = match &value.kind {
            Kind::Null => Some(""),
            _ => scalar_text(value),
        };
        match (name, text) {
            (None, _) => bad("name", key, findings),
            (_, None) => bad("value", value, findings),
            (Some(name), Some(text)) => {
                builder.set(name, text);
            }
        }
    }
    builder.build()
}
