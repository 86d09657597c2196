//! Bytes a sample on disk once compacted, by kind of series, beside the peers.
//!
//! A day of the past is written to each by remote write. Of Cresset and Prometheus the blocks are
//! counted, by bytes and samples: what is still in the log and the head is not compacted yet.
//! VictoriaMetrics has no log; its whole directory is counted after a merge.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::config::write_config;
use crate::flags::Flags;
use crate::fleet::{Corpus, Fleet};
use crate::past::Past;
use crate::peers::{self, Peer, Table};
use crate::process;
use crate::serve::now_ms;

const STEP_MS: u64 = 15_000;
const HOUR_MS: u64 = 3_600_000;
const REST_WITHIN: Duration = Duration::from_secs(300);
/// Name, kind, and percent of the series that are new ones in an hour.
const CORPORA: [(&str, Corpus, u64); 7] = [
    ("mixed", Corpus::Mixed, 0),
    ("mixed, 5 % new in an hour", Corpus::Mixed, 5),
    ("idle", Corpus::Idle, 0),
    ("counters", Corpus::Counters, 0),
    ("two decimals", Corpus::Decimals, 0),
    ("seventeen digits", Corpus::Floats, 0),
    ("classic histograms", Corpus::Histograms, 0),
];

/// Runs the scenario.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets", "series", "hours"])?;
    let series = usize::try_from(flags.number("series", 1_000)).context("--series is too much")?;
    let (targets, hours) = (flags.number("targets", 2), flags.number("hours", 24));
    println!("{targets} targets of {series} series every 15 s for {hours} h, of each kind");
    let peers = peers::all()?;
    let mut table = Table::new(peers.iter().map(|peer| peer.name).collect());
    let end_ms = now_ms() / STEP_MS * STEP_MS;
    for (name, corpus, churn) in CORPORA {
        let past = Past {
            fleet: Fleet { series, corpus, churn },
            targets,
            start_ms: end_ms - hours * HOUR_MS,
            end_ms,
            step_ms: STEP_MS,
        };
        let figures = peers.iter().map(|peer| bytes_per_sample(peer, &past).map(Some));
        table.row(name, 3, &figures.collect::<anyhow::Result<Vec<_>>>()?);
    }
    println!("bytes a sample:");
    table.print();
    Ok(())
}

fn bytes_per_sample(peer: &Peer, past: &Past) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let config = write_config(folder.path(), &[])?;
    let directory = folder.path().join("data");
    let server = peer.start(&config, &directory)?;
    let samples = past.write(&server.address)?;
    peer.rest(&server, REST_WITHIN)?;
    server.stop()?;
    if peer.name == "victoria-metrics" {
        return Ok(process::disk_bytes(&directory) as f64 / samples as f64);
    }
    let (bytes, samples) = blocks(&directory)?;
    ensure!(0.0 < samples, "{} made no block", peer.name);
    Ok(bytes / samples)
}

/// Bytes and samples of the blocks of a directory, ours or Prometheus's.
fn blocks(directory: &Path) -> anyhow::Result<(f64, f64)> {
    let list = Command::new(process::cresset()?)
        .args(["tsdb", "list", "--json"])
        .arg(directory)
        .output()
        .context("run cresset tsdb list")?;
    ensure!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let (mut bytes, mut samples) = (0.0, 0.0);
    for line in String::from_utf8(list.stdout).context("the list is not UTF-8")?.lines() {
        let block: Value = serde_json::from_str(line).context("read the list")?;
        bytes += block["bytes"].as_f64().context("a block has bytes")?;
        samples += block["samples"].as_f64().context("a block has samples")?;
    }
    Ok((bytes, samples))
}
