//! The same node_exporter scraped by Cresset and by Prometheus: same series, same values.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::client;
use crate::process::{self, Server};

/// Prometheus begins some five seconds after its start; then ten scrapes of a second each.
const WINDOW: Duration = Duration::from_secs(18);
/// What is compared: the samples of the window's scrapes.
const RANGE: &str = "{job=\"node\"}[10s]";

type Samples = BTreeMap<String, Vec<String>>;

/// Starts the exporter and both servers, and compares what they hold.
pub(crate) fn run() -> anyhow::Result<()> {
    let program = process::cresset()?;
    let prometheus = process::peer("PROM2_BIN", "prometheus");
    let exporter = process::peer("NODE_EXPORTER_BIN", "prometheus-node-exporter");
    let (Some(prometheus), Some(exporter)) = (prometheus, exporter) else {
        println!("skipped 1: prometheus or prometheus-node-exporter is not installed");
        return Ok(());
    };
    let folder = tempfile::tempdir().context("make a folder")?;
    let address = format!("127.0.0.1:{}", process::free_port()?);
    let exporter = Command::new(exporter)
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start node_exporter")?;
    let _exporter = Ended(exporter);
    let config = folder.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['{address}']}}]\n"
    );
    std::fs::write(&config, text).context("write the configuration")?;
    let ours = Server::start(&program, &config, &folder.path().join("ours"))?;
    let theirs = Server::start(&prometheus, &config, &folder.path().join("theirs"))?;
    std::thread::sleep(WINDOW);
    let our_samples = samples(&ours)?;
    let their_samples = samples(&theirs)?;
    ours.stop()?;
    theirs.stop()?;
    compare(&our_samples, &their_samples)
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn samples(server: &Server) -> anyhow::Result<Samples> {
    let mut samples = Samples::new();
    for series in client::query(&server.address, RANGE)? {
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
