//! Status: what `/api/v1/targets` says of a target, as owned values.

use std::sync::Arc;

use exposition::layout::Layout;
use model::time::TimestampMs;

use crate::target::TargetSpec;

/// How the last scrape ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// There was none.
    #[default]
    Unknown,
    /// It succeeded.
    Up,
    /// It failed.
    Down,
}

impl Health {
    /// The word of the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

/// State of one target. Discovered labels, labels, pool, URL, interval and timeout are those of
/// the specification.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// The target.
    pub spec: Arc<TargetSpec>,
    /// How the last scrape ended.
    pub health: Health,
    /// Why the last scrape failed, "" when it did not.
    pub last_error: String,
    /// When the last scrape began; `None` before the first.
    pub last_scrape: Option<TimestampMs>,
    /// What its last bodies looked like, metadata among it; `None` before the first.
    pub layout: Option<Arc<Layout>>,
    /// How long the last scrape took, seconds.
    pub last_scrape_duration_seconds: f64,
}
