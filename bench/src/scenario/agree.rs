//! The same exporters scraped by Cresset and by Prometheus: same series, same staleness, same
//! values of `scrape_*`.
//!
//! Looked at three times: when all has settled, after a target was killed and a series vanished,
//! and after the target came back. What the two may differ in is named in
//! `appliance/docs/operating/migration.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::client;
use crate::exporters::{Exporter, Recorded, VANISHING, push};
use crate::process::{self, Server, free_port};
use crate::serve::now_ms;

/// Prometheus begins some five seconds after its start; then ten scrapes of a second each.
const SETTLED: Duration = Duration::from_secs(20);
/// Scrapes after something has changed.
const CHANGED: Duration = Duration::from_secs(8);
/// The job whose target is killed and started again.
const KILLED: &str = "redis";
/// The jobs whose series come and go by themselves: a short life is seen by one server alone.
const UNSTEADY: [&str; 3] = ["process", "cresset", "prometheus"];
/// A series may come between two scrapes: the two servers are compared at this many moments, and
/// must agree at one.
const MOMENTS: u64 = 4;
const MOMENT_MS: u64 = 1_000;

type Samples = BTreeMap<String, Vec<String>>;

/// Both servers.
struct Pair {
    ours: Server,
    theirs: Server,
}

/// Starts the exporters and both servers, and compares what they hold.
pub(crate) fn run() -> anyhow::Result<()> {
    let program = process::cresset()?;
    let Some(prometheus) = process::peer("PROM2_BIN", "prometheus") else {
        println!("skipped 1: prometheus is not installed");
        return Ok(());
    };
    let folder = tempfile::tempdir().context("make a folder")?;
    let mut exporters = Exporter::debians(folder.path())?;
    if let Some(gateway) = exporters.iter().find(|exporter| exporter.job == "pushgateway") {
        push(&gateway.address)?;
    }
    let testdata = std::env::var_os("CRESSET_TESTDATA").map(PathBuf::from);
    let recorded = Recorded::serve(testdata.as_deref())?;
    let pages = ["recorded_a", "recorded_b", "recorded_c", "recorded_d"];
    for (job, path) in pages.into_iter().zip(&recorded.paths) {
        exporters.push(Exporter::running(job, &recorded.address, path));
    }
    let [own, other] = [free_port()?, free_port()?].map(|port| format!("127.0.0.1:{port}"));
    exporters.push(Exporter::running("cresset", &own, "/metrics"));
    exporters.push(Exporter::running("prometheus", &other, "/metrics"));
    let config = folder.path().join("prometheus.yml");
    let jobs: String = exporters.iter().map(Exporter::yaml).collect();
    let text =
        format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}");
    std::fs::write(&config, text).context("write the configuration")?;
    let pair = Pair {
        ours: Server::start_at(&program, &config, &folder.path().join("ours"), &own)?,
        theirs: Server::start_at(&prometheus, &config, &folder.path().join("theirs"), &other)?,
    };
    let jobs: Vec<&str> = exporters.iter().map(|exporter| exporter.job).collect();
    println!("{} jobs: {}", jobs.len(), jobs.join(" "));
    std::thread::sleep(SETTLED);
    pair.compare_values()?;
    pair.compare_counts(&jobs)?;
    pair.compare_series("settled", &jobs)?;
    let killed = exporters.iter().position(|exporter| exporter.job == KILLED);
    killed.into_iter().for_each(|at| exporters[at].stop());
    recorded.shorten();
    std::thread::sleep(CHANGED);
    let jobs: Vec<&str> = exporters.iter().map(|exporter| exporter.job).collect();
    pair.compare_series("a target is down and a series vanished", &jobs)?;
    pair.check_gone(killed.is_some())?;
    if let Some(at) = killed {
        exporters[at].start().context("start it again")?;
    }
    std::thread::sleep(CHANGED);
    let jobs: Vec<&str> = exporters.iter().map(|exporter| exporter.job).collect();
    pair.compare_series("the target is back", &jobs)?;
    pair.ours.stop()?;
    pair.theirs.stop()
}

impl Pair {
    /// Every job has the same series at one of some moments.
    fn compare_series(&self, when: &str, jobs: &[&str]) -> anyhow::Result<()> {
        let now = now_ms();
        let mut all = 0;
        for job in jobs {
            let selector = format!("{{job=\"{job}\"}}");
            let mut last = String::new();
            let agreed = (0..MOMENTS).try_fold(None, |agreed, moment| {
                if agreed.is_some() {
                    return Ok(agreed);
                }
                let at = now - 500 - moment * MOMENT_MS;
                let ours = series(&self.ours, &selector, at)?;
                let theirs = series(&self.theirs, &selector, at)?;
                last = difference(&ours, &theirs);
                anyhow::Ok((last.is_empty() && !ours.is_empty()).then_some(ours.len()))
            })?;
            let count = agreed.with_context(|| format!("{when}: job {job}: {last}"))?;
            all += count;
        }
        println!("{when}: {all} series agree");
        Ok(())
    }

    /// What vanished has ended in both, and so has what the killed target had.
    fn check_gone(&self, killed: bool) -> anyhow::Result<()> {
        let at = now_ms() - 500;
        for server in [&self.ours, &self.theirs] {
            let gone = series(server, VANISHING.1, at)?;
            ensure!(gone.is_empty(), "{} series of {} go on", gone.len(), VANISHING.1);
            if killed {
                let left = series(server, &format!("{{job=\"{KILLED}\"}}"), at)?;
                ensure!(left.len() == 5, "{} series of a dead target: {left:?}", left.len());
                let up = client::query_at(&server.address, &format!("up{{job=\"{KILLED}\"}}"), at)?;
                ensure!(client::one_of(&up)? == Some(0.0), "a dead target is up");
            }
        }
        Ok(())
    }

    /// What a scrape tells of itself is the same, as far as it does not change by itself.
    fn compare_counts(&self, jobs: &[&str]) -> anyhow::Result<()> {
        let mut equal = 0;
        for job in jobs {
            let mut expressions = vec![
                format!("scrape_samples_scraped{{job=\"{job}\"}}"),
                format!("scrape_samples_post_metric_relabeling{{job=\"{job}\"}}"),
                format!("up{{job=\"{job}\"}}"),
            ];
            if !UNSTEADY.contains(job) {
                let added = format!("sum_over_time(scrape_series_added{{job=\"{job}\"}}[5m])");
                expressions.push(added);
            }
            for expression in expressions {
                let now = now_ms();
                let at = |server: &Server, moment: u64| {
                    let at = now - 500 - moment * MOMENT_MS;
                    let found = client::query_at(&server.address, &expression, at)?;
                    client::one_of(&found)
                };
                let mut pairs = Vec::new();
                for moment in 0..MOMENTS {
                    pairs.push((at(&self.ours, moment)?, at(&self.theirs, moment)?));
                }
                let agrees = pairs.iter().any(|(ours, theirs)| ours == theirs && ours.is_some());
                ensure!(agrees, "{expression}: ours and prometheus's are {pairs:?}");
                equal += 1;
            }
        }
        println!("{equal} values of scrapes agree");
        Ok(())
    }

    /// Series have as many samples, and those that do not change the same value.
    fn compare_values(&self) -> anyhow::Result<()> {
        let selector = "{job=~\"node|recorded_.*\"}[10s]";
        compare(&samples(&self.ours, selector)?, &samples(&self.theirs, selector)?)
    }
}

/// Label sets at a moment, those that have ended left out.
fn series(server: &Server, selector: &str, at_ms: u64) -> anyhow::Result<BTreeSet<String>> {
    let found = client::query_at(&server.address, selector, at_ms)?;
    found.iter().map(|series| normalised(&series["metric"])).collect()
}

/// What the one has and the other has not, in words; empty where they agree.
fn difference(ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> String {
    let (missing, extra): (Vec<&String>, Vec<&String>) =
        (theirs.difference(ours).collect(), ours.difference(theirs).collect());
    if missing.is_empty() && extra.is_empty() {
        return String::new();
    }
    let some = |list: &[&String]| format!("{:?}", &list[..list.len().min(3)]);
    format!(
        "{} series are missing, as {}; {} too many, as {}",
        missing.len(),
        some(&missing),
        extra.len(),
        some(&extra)
    )
}

fn samples(server: &Server, selector: &str) -> anyhow::Result<Samples> {
    let mut samples = Samples::new();
    for series in client::query(&server.address, selector)? {
        let labels = normalised(&series["metric"])?;
        let values = series["values"].as_array().context("a matrix has values")?;
        let values = values.iter().map(|pair| pair[1].as_str().unwrap_or_default().to_owned());
        samples.insert(labels, values.collect());
    }
    Ok(samples)
}

/// The labels as text. Prometheus 3 writes `le` and `quantile` as floats ("1.0"), 2.42 as scraped
/// ("1"): both are brought to the number.
fn normalised(metric: &Value) -> anyhow::Result<String> {
    let labels = metric.as_object().context("a series has labels")?;
    let mut text = String::new();
    for (name, value) in labels {
        let value = value.as_str().unwrap_or_default();
        let number = matches!(name.as_str(), "le" | "quantile").then(|| value.parse::<f64>().ok());
        match number.flatten() {
            Some(number) => text.push_str(&format!("{name}={number},")),
            None => text.push_str(&format!("{name}={value},")),
        }
    }
    Ok(text)
}

fn compare(ours: &Samples, theirs: &Samples) -> anyhow::Result<()> {
    let missing: Vec<&String> = theirs.keys().filter(|key| !ours.contains_key(*key)).collect();
    let extra: Vec<&String> = ours.keys().filter(|key| !theirs.contains_key(*key)).collect();
    ensure!(missing.is_empty(), "{} series are missing, as {}", missing.len(), missing[0]);
    ensure!(extra.is_empty(), "{} series are too many, as {}", extra.len(), extra[0]);
    let still = |values: &[String]| values.windows(2).all(|pair| pair[0] == pair[1]);
    let mut slow = 0;
    for (labels, their_values) in theirs {
        let our_values = &ours[labels];
        ensure!(
            their_values.len().abs_diff(our_values.len()) <= 1,
            "{labels}: {} samples, prometheus has {}",
            our_values.len(),
            their_values.len()
        );
        if still(their_values) && still(our_values) {
            slow += 1;
            ensure!(
                our_values.first() == their_values.first(),
                "{labels}: {our_values:?}, prometheus has {their_values:?}"
            );
        }
    }
    println!("{} series agree, {slow} of them slow and equal in value", theirs.len());
    ensure!(100 < slow, "too few series to compare");
    Ok(())
}
