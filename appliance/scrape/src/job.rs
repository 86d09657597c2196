//! Job: one scrape configuration and a discovered label set make a target, or say why not.
//!
//! Path: discovery → **job** → `target` → `scraper`.
//! Never: resolves a name; an address is only checked for form.

use std::sync::Arc;

use exposition::protobuf::family::HistogramOptions;
use model::duration::{format_duration_ms, parse_duration_ms};
use model::label_name::quote;
use model::label_set::{Builder, LabelSet};
use thiserror::Error;

use crate::http_options::HttpOptions;
use crate::protocol::{DEFAULT, Escaping, Protocol, accept};
use crate::relabel::{NameScheme, Rule, apply};
use crate::target::{Compression, Limits, NativeLimits, Scheme, TargetSpec, Url};

/// Label of the address.
pub const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const UNIX_SOCKET: &str = "__unix_socket__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
const RESERVED_PREFIX: &str = "__";
const JOB: &str = "job";
const INSTANCE: &str = "instance";
/// Switches of native histograms: labels that hold a boolean, and their name in errors.
const SWITCHES: [(&str, &str); 3] = [
    ("__convert_classic_histograms_to_nhcb__", "convert classic histograms to nhcb"),
    ("__always_scrape_classic_histograms__", "always scrape classic histograms"),
    ("__scrape_native_histograms__", "scrape native histograms"),
];
/// Bytes of a URL that stand for themselves, besides letters and digits (RFC 3986, as Go's
/// `url.QueryEscape` and `EscapedPath` keep them).
const PATH_PLAIN: &[u8] = b"-_.~$&+,/:;=@!'()*[]";
const QUERY_PLAIN: &[u8] = b"-_.~";

/// One `scrape_config`, its defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct JobOptions {
    /// `job_name`.
    pub name: Arc<str>,
    /// `scrape_interval`, milliseconds.
    pub interval_ms: u64,
    /// `scrape_timeout`, milliseconds.
    pub timeout_ms: u64,
    /// `metrics_path`. Default "/metrics".
    pub metrics_path: String,
    /// `scheme`. Default "http".
    pub scheme: String,
    /// `params` in order of name: each with its values.
    pub params: Vec<(String, Vec<String>)>,
    /// `honor_labels`. Default false.
    pub honor_labels: bool,
    /// `honor_timestamps`. Default true.
    pub honor_timestamps: bool,
    /// `track_timestamps_staleness`. Default false.
    pub track_timestamps_staleness: bool,
    /// `enable_compression`. Default gzip.
    pub compression: Compression,
    /// `scrape_protocols`. Default [`DEFAULT`].
    pub protocols: Vec<Protocol>,
    /// `fallback_scrape_protocol`. Default none.
    pub fallback: Option<Protocol>,
    /// `scrape_native_histograms`, `always_scrape_classic_histograms` and
    /// `convert_classic_histograms_to_nhcb`. Default none of them.
    pub histograms: HistogramOptions,
    /// `native_histogram_bucket_limit` and `native_histogram_min_bucket_factor`. Default no limit.
    pub native: NativeLimits,
    /// `metric_name_validation_scheme`. Default UTF-8.
    pub name_scheme: NameScheme,
    /// `metric_name_escaping_scheme`. Default as they are.
    pub escaping: Escaping,
    /// `relabel_configs`.
    pub relabel: Arc<[Rule]>,
    /// `metric_relabel_configs`.
    pub metric_relabel: Arc<[Rule]>,
    /// The limits on a scrape.
    pub limits: Limits,
    /// `extra_scrape_metrics`. Default false.
    pub extra_scrape_metrics: bool,
    /// Whether series begin with a 0 where their counting began
    /// (`--enable-feature=created-timestamp-zero-ingestion`). Default false.
    pub start_zeros: bool,
    /// Whether there is a `scrape_failure_log_file`. Default false.
    pub failure_log: bool,
    /// `http_config`. Default none of it.
    pub http: Arc<HttpOptions>,
}

impl JobOptions {
    /// A job with this name, interval and timeout and upstream's defaults.
    #[must_use]
    pub fn new(name: &str, interval_ms: u64, timeout_ms: u64) -> JobOptions {
        JobOptions {
            name: Arc::from(name),
            interval_ms,
            timeout_ms,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: Vec::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            compression: Compression::Gzip,
            protocols: DEFAULT.to_vec(),
            fallback: None,
            histograms: HistogramOptions::default(),
            native: NativeLimits::default(),
            name_scheme: NameScheme::Utf8,
            escaping: Escaping::AllowUtf8,
            relabel: Arc::from([]),
            metric_relabel: Arc::from([]),
            limits: Limits::default(),
            extra_scrape_metrics: false,
            start_zeros: false,
            failure_log: false,
            http: HttpOptions::default().shared(),
        }
    }
}

/// Why a discovered label set is no target, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JobError {
    /// `__address__` is missing or empty.
    #[error("no address")]
    AddressMissing,
    /// `__address__` has a path or a scheme in it.
    #[error("{} is not a valid hostname", quote(.0))]
    Address(String),
    /// `__address__` has a port that is none.
    #[error("invalid port {} in address {}", quote(.port), quote(.address))]
    Port {
        /// What stands for the port.
        port: String,
        /// The address.
        address: String,
    },
    /// `__scheme__` is neither http nor https.
    #[error("unsupported protocol scheme {}", quote(.0))]
    Scheme(String),
    /// `__scrape_interval__` or `__scrape_timeout__` is no duration.
    #[error("error parsing scrape {which}: {reason}")]
    Duration {
        /// "interval" or "timeout".
        which: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// `__scrape_interval__` or `__scrape_timeout__` is 0.
    #[error("scrape {0} cannot be 0")]
    DurationZero(&'static str),
    /// The timeout exceeds the interval.
    #[error(
        "scrape timeout cannot be greater than scrape interval ({} > {})",
        quote(.timeout),
        quote(.interval)
    )]
    TimeoutTooLong {
        /// The timeout as written.
        timeout: String,
        /// The interval as written.
        interval: String,
    },
    /// One of the switches of native histograms is no boolean.
    #[error("error parsing {switch}: strconv.ParseBool: parsing {}: invalid syntax", quote(.value))]
    Switch {
        /// Which.
        switch: &'static str,
        /// Its value.
        value: String,
    },
}

/// The labels of a target before relabelling: those discovered, then the job's where absent.
#[must_use]
pub fn discovered_labels(job: &JobOptions, found: &LabelSet) -> LabelSet {
    let mut labels = Builder::from(found);
    let interval = format_ms(job.interval_ms);
    let timeout = format_ms(job.timeout_ms);
    let defaults = [
        (JOB, &*job.name),
        (INTERVAL, &interval),
        (TIMEOUT, &timeout),
        (METRICS_PATH, &job.metrics_path),
        (SCHEME, &job.scheme),
    ];
    let HistogramOptions { convert, classic, native } = job.histograms;
    let switches = SWITCHES.iter().zip([convert, classic, native]);
    let switches = switches.map(|((name, _), on)| (*name, if on { "true" } else { "false" }));
    for (name, value) in defaults.into_iter().chain(switches) {
        if labels.value(name).is_empty() {
            labels.set(name, value);
        }
    }
    for (name, values) in &job.params {
        let name = format!("{PARAM_PREFIX}{name}");
        if let (Some(first), "") = (values.first(), labels.value(&name)) {
            labels.set(&name, first);
        }
    }
    labels.build()
}

/// The target of a discovered label set (its own labels over its group's); `None` when relabelling
/// drops it.
///
/// # Errors
/// See [`JobError`]; the target is left out and the error shown, as upstream does.
pub fn target(job: &JobOptions, found: &LabelSet) -> Result<Option<TargetSpec>, JobError> {
    let discovered = discovered_labels(job, found);
    let mut labels = Builder::from(&discovered);
    if !apply(&job.relabel, &mut labels) {
        return Ok(None);
    }
    let url = url(job, &labels)?;
    let interval_ms = duration_ms("interval", labels.value(INTERVAL))?;
    let timeout_ms = duration_ms("timeout", labels.value(TIMEOUT))?;
    if interval_ms < timeout_ms {
        let timeout = labels.value(TIMEOUT).to_owned();
        return Err(JobError::TimeoutTooLong {
            timeout,
            interval: labels.value(INTERVAL).to_owned(),
        });
    }
    let histograms = switches(&labels)?;
    let socket = Some(labels.value(UNIX_SOCKET)).filter(|path| !path.is_empty());
    let socket = socket.map(str::to_owned);
    if labels.value(INSTANCE).is_empty() {
        labels.set(INSTANCE, &url.authority);
    }
    labels.retain(|name| !name.starts_with(RESERVED_PREFIX));
    Ok(Some(TargetSpec {
        job: job.name.clone(),
        discovered,
        labels: labels.build(),
        url,
        interval_ms,
        timeout_ms,
        honor_labels: job.honor_labels,
        honor_timestamps: job.honor_timestamps,
        track_timestamps_staleness: job.track_timestamps_staleness,
        compression: job.compression,
        accept: accept(&job.protocols, job.escaping).into(),
        fallback: job.fallback,
        histograms,
        native: job.native,
        name_scheme: job.name_scheme,
        metric_relabel: job.metric_relabel.clone(),
        limits: job.limits,
        extra_scrape_metrics: job.extra_scrape_metrics,
        start_zeros: job.start_zeros,
        failure_log: job.failure_log,
        http: Arc::clone(&job.http),
        socket,
        forced_error: None,
    }))
}

/// Whether a label of this name is only there for relabelling (`__meta_*`).
#[must_use]
pub fn is_meta_label(name: &str) -> bool {
    name.starts_with(META_PREFIX)
}

fn format_ms(ms: u64) -> String {
    format_duration_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn duration_ms(which: &'static str, text: &str) -> Result<u64, JobError> {
    let parsed = parse_duration_ms(text)
        .map_err(|error| JobError::Duration { which, reason: error.to_string() })?;
    match u64::try_from(parsed) {
        Ok(0) | Err(_) => Err(JobError::DurationZero(which)),
        Ok(ms) => Ok(ms),
    }
}

/// What the switches say, booleans as Go reads them.
fn switches(labels: &Builder) -> Result<HistogramOptions, JobError> {
    let on = |(name, switch): (&str, &'static str)| match labels.value(name) {
        "" | "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        value => Err(JobError::Switch { switch, value: value.to_owned() }),
    };
    let [convert, classic, native] = SWITCHES;
    Ok(HistogramOptions { convert: on(convert)?, classic: on(classic)?, native: on(native)? })
}

fn url(job: &JobOptions, labels: &Builder) -> Result<Url, JobError> {
    let authority = labels.value(ADDRESS);
    if authority.is_empty() {
        return Err(JobError::AddressMissing);
    }
    // It is written into a request as it stands.
    let hostile = |c: char| !c.is_ascii_graphic() || matches!(c, '/' | '?' | '#' | '@' | '\\');
    if authority.contains(hostile) {
        return Err(JobError::Address(authority.to_owned()));
    }
    let scheme = match labels.value(SCHEME) {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => return Err(JobError::Scheme(other.to_owned())),
    };
    let (host, port) = split_port(authority)?;
    let mut path_and_query = escape(labels.value(METRICS_PATH), PATH_PLAIN);
    if !path_and_query.starts_with('/') {
        path_and_query.insert(0, '/');
    }
    let query = query(job, labels);
    if !query.is_empty() {
        path_and_query.push('?');
        path_and_query.push_str(&query);
    }
    Ok(Url {
        scheme,
        authority: authority.to_owned(),
        host: host.to_owned(),
        port: port.unwrap_or(scheme.port_default()),
        path_and_query,
    })
}

/// Host and port of `address`; an IPv6 address stands in brackets when a port follows.
fn split_port(address: &str) -> Result<(&str, Option<u16>), JobError> {
    let bracketed = address.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => match address.split_once(':') {
            // More than one colon and no brackets: an IPv6 address without port.
            Some((_, rest)) if rest.contains(':') => (address, None),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err(JobError::Address(address.to_owned()));
    }
    let Some(port) = port.filter(|port| !port.is_empty()) else { return Ok((host, None)) };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number) if digits && number != 0 => Ok((host, Some(number))),
        _ => Err(JobError::Port { port: port.to_owned(), address: address.to_owned() }),
    }
}

/// Parameters of the job, the first value of each replaced by its label, in order of name.
fn query(job: &JobOptions, labels: &Builder) -> String {
    let mut params: Vec<(String, Vec<String>)> = job.params.clone();
    for (name, value) in labels.iter() {
        let Some(param) = name.strip_prefix(PARAM_PREFIX) else { continue };
        match params.iter_mut().find(|(known, values)| known == param && !values.is_empty()) {
            Some((_, values)) => value.clone_into(&mut values[0]),
            None => params.push((param.to_owned(), vec![value.to_owned()])),
        }
    }
    params.sort();
    let mut query = String::new();
    for (name, values) in &params {
        for value in values {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(&escape(name, QUERY_PLAIN).replace("%20", "+"));
            query.push('=');
            query.push_str(&escape(value, QUERY_PLAIN).replace("%20", "+"));
        }
    }
    query
}

fn escape(text: &str, plain: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use crate::relabel::RuleOptions;

    use super::*;

    fn job() -> JobOptions {
        JobOptions::new("node", 15_000, 10_000)
    }

    #[track_caller]
    fn check(job: &JobOptions, found: &[(&str, &str)], expected: &str) {
        let made = target(job, &LabelSet::new(found.iter().copied()));
        let got = match made {
            Ok(Some(spec)) => format!(
                "{} {} {}/{} {}:{}",
                spec.labels,
                spec.url,
                spec.interval_ms,
                spec.timeout_ms,
                spec.url.host,
                spec.url.port
            ),
            Ok(None) => "dropped".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn defaults_are_filled_in_and_hidden_labels_dropped() {
        check(
            &job(),
            &[("__address__", "a:9100"), ("__meta_x", "1"), ("__tmp", "1"), ("rack", "7")],
            r#"{instance="a:9100", job="node", rack="7"} http://a:9100/metrics 15000/10000 a:9100"#,
        );
    }

    #[test]
    fn default_ports_are_for_the_connection_only() {
        check(
            &job(),
            &[("__address__", "a"), ("__scheme__", "https"), ("instance", "i")],
            r#"{instance="i", job="node"} https://a/metrics 15000/10000 a:443"#,
        );
        check(
            &job(),
            &[("__address__", "[::1]:80"), ("job", "other")],
            r#"{instance="[::1]:80", job="other"} http://[::1]:80/metrics 15000/10000 ::1:80"#,
        );
    }

    #[test]
    fn labels_override_path_params_interval_and_timeout() {
        let mut job = job();
        job.params = vec![("module".into(), vec!["a b".into(), "c".into()])];
        check(
            &job,
            &[
                ("__address__", "a:1"),
                ("__metrics_path__", "/p q"),
                ("__param_target", "x&y"),
                ("__param_module", "z"),
                ("__scrape_interval__", "1m"),
                ("__scrape_timeout__", "30s"),
            ],
            "{instance=\"a:1\", job=\"node\"} \
             http://a:1/p%20q?module=z&module=c&target=x%26y 60000/30000 a:1",
        );
    }

    #[test]
    fn bad_targets_are_refused_in_upstreams_words() {
        check(&job(), &[], "no address");
        check(&job(), &[("__address__", "http://a")], "\"http://a\" is not a valid hostname");
        check(&job(), &[("__address__", "a:x")], "invalid port \"x\" in address \"a:x\"");
        let address = ("__address__", "a:1");
        check(&job(), &[address, ("__scrape_interval__", "0s")], "scrape interval cannot be 0");
        check(
            &job(),
            &[address, ("__scrape_timeout__", "20s")],
            "scrape timeout cannot be greater than scrape interval (\"20s\" > \"15s\")",
        );
        check(
            &job(),
            &[address, ("__scrape_native_histograms__", "maybe")],
            "error parsing scrape native histograms: strconv.ParseBool: parsing \"maybe\": \
             invalid syntax",
        );
    }

    #[test]
    fn relabelling_drops_and_replaces_the_address() {
        let mut job = job();
        let options = RuleOptions {
            source_labels: vec!["__meta_proxy".into()],
            regex: "(.+)".into(),
            target_label: ADDRESS.into(),
            ..RuleOptions::default()
        };
        let drop = RuleOptions {
            source_labels: vec!["drop".into()],
            regex: "yes".into(),
            action: "drop".into(),
            ..RuleOptions::default()
        };
        job.relabel = Arc::from([Rule::new(&options).unwrap(), Rule::new(&drop).unwrap()]);
        check(
            &job,
            &[("__address__", "a:1"), ("__meta_proxy", "p:2")],
            r#"{instance="p:2", job="node"} http://p:2/metrics 15000/10000 p:2"#,
        );
        check(&job, &[("__address__", "a:1"), ("drop", "yes")], "dropped");
    }
}
