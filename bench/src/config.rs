//! Configurations of the servers under measurement.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::behaviour::Behaviour;

/// Writes a configuration with one job, and gives its path.
pub(crate) fn write_config(folder: &Path, jobs: &[Job]) -> anyhow::Result<PathBuf> {
    let mut text = String::from("scrape_configs:\n");
    for job in jobs {
        let _ = write!(
            text,
            "- job_name: {}\n  scrape_interval: {}s\n  scrape_timeout: {}s\n  static_configs:\n",
            job.name, job.interval_seconds, job.timeout_seconds
        );
        for target in &job.targets {
            let _ = write!(
                text,
                "  - targets: ['{}']\n    labels: {{target: '{}', __metrics_path__: '{}'}}\n",
                target.address, target.number, target.path
            );
        }
    }
    let path = folder.join("prometheus.yml");
    std::fs::write(&path, text).context("write the configuration")?;
    Ok(path)
}

/// One entry of `scrape_configs`.
pub(crate) struct Job {
    /// `job_name`
    pub(crate) name: String,
    /// `scrape_interval`
    pub(crate) interval_seconds: u64,
    /// `scrape_timeout`
    pub(crate) timeout_seconds: u64,
    /// `static_configs`
    pub(crate) targets: Vec<Target>,
}

/// One target of the made-up fleet.
pub(crate) struct Target {
    /// host:port
    pub(crate) address: String,
    /// Its number, also its `target` label.
    pub(crate) number: u64,
    /// Path with behaviour and number.
    pub(crate) path: String,
}

impl Target {
    /// Target `number` of the server at `address`, answering as `behaviour`.
    pub(crate) fn new(address: &str, behaviour: Behaviour, number: u64) -> Target {
        let path = format!("/{}/{number}", behaviour.path());
        Target { address: address.to_owned(), number, path }
    }
}
