//! `cresset check service-discovery`: the targets of a job, found as the server finds them.
//!
//! Source: Prometheus's `cmd/promtool/sd.go`.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use discovery::finder::{Finder, JobMechanisms};
use discovery::metrics::Metrics;
use model::label_set::LabelSet;
use scrape::job::{discovered_labels, target};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::config::job::ScrapeConfig;
use crate::config::load;
use crate::tool_command::ended::Ended;
use crate::tsdb_command::print::{Progress, output};

/// How often progress is told.
const LOOK_MS: u64 = 200;

/// Finds the targets of `job` and writes them as JSON.
///
/// # Errors
/// The configuration is none, or has no such job.
pub fn run(file: &Path, job: &str, timeout_ms: u64) -> Result<Ended> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("read {shown}"))?;
    let config = load(&text, file).map_err(|error| anyhow!("Cannot load config {error}"))?;
    let Some(config) = config.jobs.iter().find(|config| *config.job.name == *job).cloned() else {
        let names: Vec<String> =
            config.jobs.iter().map(|config| format!("\t{}", config.job.name)).collect();
        return Err(anyhow!("Job {job} not found. Select one of:\n{}", names.join("\n")));
    };
    let found = find(&config, timeout_ms)?;
    let mut results: Vec<Value> = Vec::new();
    for labels in config.targets.iter().chain(&found) {
        let result = result_of(&config, labels);
        if !results.contains(&result) {
            results.push(result);
        }
    }
    let mut out = output();
    write!(out, "{}", serde_json::to_string_pretty(&results)?)?;
    out.flush()?;
    Ok(Ended::Well)
}

/// What the job's mechanisms have found when the time is over.
fn find(config: &ScrapeConfig, timeout_ms: u64) -> Result<Vec<LabelSet>> {
    if config.discovery.is_empty() {
        return Ok(Vec::new());
    }
    let job = config.job.name.to_string();
    let mechanisms = config.discovery.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(async {
        let mut finder = Finder::new(Arc::new(Metrics::default()));
        finder.apply(vec![JobMechanisms { job: job.clone(), mechanisms }]);
        let mut progress = Progress::new("finding targets");
        for at in 0..timeout_ms.div_ceil(LOOK_MS) {
            let until = Instant::now() + Duration::from_millis(LOOK_MS);
            // Changes are only gathered: what counts is what there is at the end.
            while timeout_at(until, finder.changed()).await.is_ok() {}
            let groups = finder.groups(&job);
            let targets: usize = groups.iter().map(|group| group.targets.len()).sum();
            progress.show(at * LOOK_MS, timeout_ms, &format!("{targets} targets"));
        }
        progress.clear();
        let groups = finder.groups(&job);
        groups.iter().flat_map(|group| group.label_sets().collect::<Vec<_>>()).collect()
    });
    runtime.shutdown_background();
    Ok(found)
}

fn result_of(config: &ScrapeConfig, found: &LabelSet) -> Value {
    let discovered = object(&discovered_labels(&config.job, found));
    match target(&config.job, found) {
        Ok(spec) => {
            let labels = spec.map(|spec| object(&spec.labels)).unwrap_or_default();
            json!({"discoveredLabels": discovered, "labels": labels})
        }
        Err(error) => {
            json!({"discoveredLabels": discovered, "labels": {}, "error": error.to_string()})
        }
    }
}

fn object(labels: &LabelSet) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}
