//! Target: everything a shard must know to scrape one place, immutable and shared.
//!
//! Path: `job` → **target** → `scraper`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use exposition::protobuf::family::HistogramOptions;
use model::label_set::LabelSet;
use model::native_histogram::SCHEMA_MAX;
use model::time::TimestampMs;
use storage::row::{GroupKey, Slot};
use xxhash_rust::xxh3::xxh3_128;

use crate::http_options::HttpOptions;
use crate::protocol::Protocol;
use crate::relabel::{NameScheme, Rule};
use crate::slots::Schedule;

/// Names a target within one shard while it is applied; never reused in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

/// Scheme of a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`, port 80 by default.
    #[default]
    Http,
    /// `https`, port 443 by default.
    Https,
}

impl Scheme {
    /// The scheme as URLs write it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port of an address that names none.
    #[must_use]
    pub fn port_default(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Where a target is scraped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Url {
    /// Scheme.
    pub scheme: Scheme,
    /// `__address__` as it stands: host, and port if one is written.
    pub authority: String,
    /// Host without port and brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Path and query, percent-encoded.
    pub path_and_query: String,
}

impl Url {
    /// Whether the host is this machine, by its name or address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        address.map_or(self.host == "localhost", |address| address.is_loopback())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.text(), self.authority, self.path_and_query)
    }
}

/// What a target may answer with; 0 means no limit, as in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Most samples after metric relabelling.
    pub samples: u64,
    /// Most labels a series, the metric name included.
    pub labels: u64,
    /// Most bytes of a label name.
    pub name_bytes: u64,
    /// Most bytes of a label value.
    pub value_bytes: u64,
    /// Most bytes of a body, inflated.
    pub body_bytes: u64,
}

/// Whether bodies may come compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// `Accept-Encoding: gzip`
    #[default]
    Gzip,
    /// `Accept-Encoding: identity`
    Identity,
}

/// How native histograms are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeLimits {
    /// Most buckets of one; more are merged, and what cannot be merged fails the scrape. 0 is no
    /// limit.
    pub buckets: u64,
    /// Finest schema; finer ones are made as coarse.
    pub schema: i32,
}

impl Default for NativeLimits {
    fn default() -> NativeLimits {
        NativeLimits { buckets: 0, schema: SCHEMA_MAX }
    }
}

/// One target, as configuration, discovery and relabelling made it.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSpec {
    /// Name of its job: `scrapePool` of the API. The `job` label may differ.
    pub job: Arc<str>,
    /// Labels before relabelling.
    pub discovered: LabelSet,
    /// Labels that its series get: those without leading `__`.
    pub labels: LabelSet,
    /// Where it is.
    pub url: Url,
    /// Milliseconds between scrapes, at least 1.
    pub interval_ms: u64,
    /// Milliseconds a scrape may take, at most the interval.
    pub timeout_ms: u64,
    /// Whether labels of the exposition win over the target's.
    pub honor_labels: bool,
    /// Whether timestamps of the exposition are kept.
    pub honor_timestamps: bool,
    /// Whether series with timestamps of their own get staleness markers too.
    pub track_timestamps_staleness: bool,
    /// Whether bodies may come compressed.
    pub compression: Compression,
    /// Value of the Accept header.
    pub accept: Arc<str>,
    /// The format of a body without a usable Content-Type; without one the scrape fails.
    pub fallback: Option<Protocol>,
    /// What is made of histograms.
    pub histograms: HistogramOptions,
    /// How native histograms are kept.
    pub native: NativeLimits,
    /// Which names are legal.
    pub name_scheme: NameScheme,
    /// Applied to every new series.
    pub metric_relabel: Arc<[Rule]>,
    /// Bounds on what it may answer with.
    pub limits: Limits,
    /// Whether the three further report series are written.
    pub extra_scrape_metrics: bool,
    /// Whether series begin with a 0 where their counting began.
    pub start_zeros: bool,
    /// Whether failed scrapes are told of, for the job's log of them.
    pub failure_log: bool,
    /// Credentials, certificates, proxies and the like.
    pub http: Arc<HttpOptions>,
    /// `__unix_socket__`: a socket of this machine that is connected to instead of the address.
    pub socket: Option<String>,
    /// The scrape fails with this text without being tried, e.g. when `target_limit` is passed.
    pub forced_error: Option<Arc<str>>,
}

impl TargetSpec {
    /// What names this target on every node: hash of its labels, its URL and its job. Upstream too
    /// scrapes a place twice when two jobs name it.
    #[must_use]
    pub fn identity(&self) -> GroupKey {
        let mut text = self.labels.packed().to_owned();
        // No packed label set holds this byte in the place of a length.
        text.push('\n');
        text.push_str(&self.url.to_string());
        text.push('\n');
        text.push_str(&self.job);
        GroupKey(xxh3_128(text.as_bytes()))
    }

    /// The rhythm of its scrapes.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule::new(self.identity(), self.interval_ms)
    }

    /// Place of its slots within the interval, milliseconds.
    #[must_use]
    pub fn offset_ms(&self) -> u64 {
        u64::try_from(self.schedule().offset_ms()).unwrap_or(0)
    }

    /// The first slot due at or after `wall`.
    #[must_use]
    pub fn slot_at_or_after(&self, wall: TimestampMs) -> Slot {
        self.schedule().at_or_after(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: bool) {
        let (authority, path_and_query) = (host.to_owned(), "/metrics".to_owned());
        let url = Url {
            scheme: Scheme::Http,
            authority,
            host: host.to_owned(),
            port: 80,
            path_and_query,
        };
        assert_eq!(url.is_loopback(), expected, "{host}");
    }

    #[test]
    fn loopback_is_told_by_name_and_address() {
        check("localhost", true);
        check("127.0.0.1", true);
        check("127.9.8.7", true);
        check("::1", true);
        check("[::1]", true);
        check("10.0.0.1", false);
        check("localhost.example.com", false);
        check("node-1", false);
    }
}
