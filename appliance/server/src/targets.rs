//! Targets: what a configuration's jobs say is scraped, and what relabelling dropped.
//!
//! Path: `config` → **targets** → the machine's handle, which spreads them over the shards.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use api::backend::DroppedTarget;
use model::label_set::LabelSet;
use scrape::job::{JobOptions, discovered_labels, target};
use scrape::target::TargetSpec;

use crate::config::Config;
use crate::config::job::ScrapeConfig;

/// Dropped targets of a job that are listed when the configuration sets no bound.
const DROPPED_MAX: usize = 10_000;

/// The targets of one configuration.
#[derive(Debug, Default)]
pub struct TargetList {
    /// To be scraped.
    pub specs: Vec<Arc<TargetSpec>>,
    /// Dropped by relabelling, as far as they are kept.
    pub dropped: Vec<DroppedTarget>,
    /// Dropped by relabelling, a job.
    pub dropped_counts: BTreeMap<String, u64>,
    /// Targets that cannot be: what is wrong with each, for the log.
    pub faults: Vec<String>,
}

/// The targets of `config`. Files of secrets are read.
#[must_use]
pub fn targets(config: &Config) -> TargetList {
    let mut list = TargetList::default();
    for job in &config.jobs {
        add_job(job, &mut list);
    }
    list
}

fn add_job(config: &ScrapeConfig, list: &mut TargetList) {
    let mut options = config.job.clone();
    let mut forced_error = None;
    match config.credentials.headers() {
        Ok((public, secret)) => (options.headers, options.secret_headers) = (public, secret),
        Err(reason) => forced_error = Some(reason),
    }
    let mut specs = Vec::new();
    let mut identities = HashSet::new();
    for found in &config.targets {
        match target(&options, found) {
            Ok(Some(spec)) if identities.insert(spec.identity()) => specs.push(spec),
            // Upstream too scrapes a target once that a job names twice.
            Ok(Some(_)) => {}
            Ok(None) => add_dropped(config, &options, found, list),
            Err(error) => {
                list.faults.push(format!("job {}: {found}: {error}", options.name));
            }
        }
    }
    let count = u64::try_from(specs.len()).unwrap_or(u64::MAX);
    if config.target_limit != 0 && config.target_limit < count {
        let limit = config.target_limit;
        let text = format!("target_limit exceeded (number of targets: {count}, limit: {limit})");
        forced_error = Some(text);
    }
    let forced_error: Option<Arc<str>> = forced_error.map(Arc::from);
    list.specs.extend(specs.into_iter().map(|spec| {
        let forced_error = forced_error.clone();
        Arc::new(TargetSpec { forced_error, ..spec })
    }));
}

fn add_dropped(
    config: &ScrapeConfig,
    options: &JobOptions,
    found: &LabelSet,
    list: &mut TargetList,
) {
    let pool = options.name.to_string();
    let count = list.dropped_counts.entry(pool.clone()).or_insert(0);
    *count += 1;
    let kept_max = match usize::try_from(config.keep_dropped_targets) {
        Ok(0) | Err(_) => DROPPED_MAX,
        Ok(kept_max) => kept_max,
    };
    if usize::try_from(*count).is_ok_and(|count| count <= kept_max) {
        let discovered_labels = discovered_labels(options, found);
        list.dropped.push(DroppedTarget { discovered_labels, scrape_pool: pool });
    }
}

/// The configuration of a server that is given none: itself and its machine, every 5 seconds.
#[must_use]
pub fn embedded_yaml(listen: SocketAddr) -> String {
    let host = match listen {
        SocketAddr::V4(address) if address.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => "[::1]".to_owned(),
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let address = format!("{host}:{}", listen.port());
    format!(
        "global:
  scrape_interval: 5s
scrape_configs:
  - job_name: cresset
    static_configs:
      - targets: [\"{address}\"]
  - job_name: host
    metrics_path: /metrics/host
    static_configs:
      - targets: [\"{address}\"]
"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load;

    fn list(text: &str) -> TargetList {
        targets(&load(text, Path::new("p.yml")).expect("valid"))
    }

    #[test]
    fn the_embedded_configuration_scrapes_itself_and_the_host() {
        let list = list(&embedded_yaml("0.0.0.0:9090".parse().expect("address")));
        let urls: Vec<String> = list.specs.iter().map(|spec| spec.url.to_string()).collect();
        assert_eq!(urls, ["http://127.0.0.1:9090/metrics", "http://127.0.0.1:9090/metrics/host"]);
        let six = embedded_yaml("[::]:80".parse().expect("address"));
        assert!(six.contains("\"[::1]:80\""), "{six}");
    }

    #[test]
    fn dropped_targets_are_kept_up_to_their_bound() {
        let list = list(
            "
scrape_configs:
  - job_name: a
    keep_dropped_targets: 1
    static_configs: [{targets: [a, b, c, c]}]
    relabel_configs:
      - {source_labels: [__address__], regex: c, action: keep}
",
        );
        assert_eq!((list.specs.len(), list.dropped.len()), (1, 1));
        assert_eq!(list.dropped_counts["a"], 2);
    }

    #[test]
    fn too_many_targets_fail_all() {
        let list = list(
            "
scrape_configs:
  - job_name: a
    target_limit: 1
    static_configs: [{targets: [a, b]}]
",
        );
        let error = "target_limit exceeded (number of targets: 2, limit: 1)";
        assert!(list.specs.iter().all(|spec| spec.forced_error.as_deref() == Some(error)));
    }
}
