//! Killed at random moments, the daemon opens by itself and holds every row that it called durable.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::behaviour::Behaviour;
use crate::client;
use crate::config::{Job, Target, write_config};
use crate::fleet::{Fleet, mix};
use crate::process::{self, Server};
use crate::serve::{Targets, now_ms};

const TARGETS: u64 = 200;
const SERIES: usize = 1_000;
const KILLS: u64 = 20;
/// Rows that the shards report as durable; see the storage crate's metrics.
pub(crate) const ROWS_DURABLE: &str = "cresset_storage_rows_durable_total";

const UP: &str = "up{job=\"crash\"}[1h]";
/// Rows of scrapes that succeeded, without the target's own samples.
const LACKING: &str = "sum(sum_over_time(up{job=\"crash\"}[1h])) \
                       - sum(count_over_time(bench_clock_ms{job=\"crash\"}[1h]))";

/// Kills the daemon `KILLS` times and checks what it holds after each start.
pub(crate) fn run() -> anyhow::Result<()> {
    let seed = std::env::var("CRESSET_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(now_ms);
    println!("seed {seed} (set CRESSET_SEED to repeat the moments)");
    let program = process::cresset()?;
    let targets = Targets::start(Fleet::mixed(SERIES))?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let address = targets.address.to_string();
    let job = Job {
        name: "crash".to_owned(),
        interval_seconds: 1,
        timeout_seconds: 1,
        targets: (0..TARGETS).map(|k| Target::new(&address, Behaviour::Healthy, k)).collect(),
    };
    let config = write_config(folder.path(), &[job])?;
    let directory = folder.path().join("data");
    let mut rows_known = 0.0;
    let mut ready_seconds = Vec::new();
    for round in 0..=KILLS {
        // Rows before this moment are of earlier rounds: the live ones still change.
        let before_ms = now_ms();
        let server = Server::start(&program, &config, &directory)?;
        ready_seconds.push(server.ready_after.as_secs_f64());
        let rows = rows_held(&server, before_ms)?;
        println!(
            "round {round}: ready after {:.3} s, {rows} rows held, {rows_known} reported durable",
            server.ready_after.as_secs_f64()
        );
        ensure!(rows_known <= rows, "{} durable rows are lost", rows_known - rows);
        if round == KILLS {
            server.stop()?;
            break;
        }
        let run_for = Duration::from_millis(1_000 + mix(seed, round) % 3_000);
        rows_known = kill_after(server, run_for, rows)?;
    }
    ready_seconds.sort_by(f64::total_cmp);
    let median = ready_seconds[ready_seconds.len() / 2];
    let worst = ready_seconds[ready_seconds.len() - 1];
    println!("time to ready: median {median:.3} s, worst {worst:.3} s");
    Ok(())
}

/// Watches the durable rows until the moment comes, then kills; gives the rows that must survive.
fn kill_after(server: Server, run_for: Duration, rows_at_start: f64) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut durable = 0.0;
    while started.elapsed() < run_for {
        let metric = client::metric(&server.address, ROWS_DURABLE)?;
        durable = metric.with_context(|| format!("{ROWS_DURABLE} is not exported"))?;
    }
    server.kill()?;
    Ok(rows_at_start + durable)
}

/// Rows held: each has one `up` sample. Fails when a slot of a target is there twice, or when a
/// row lacks its samples.
pub(crate) fn rows_held(server: &Server, before_ms: u64) -> anyhow::Result<f64> {
    let mut rows = 0.0;
    for series in client::query_at(&server.address, UP, before_ms)? {
        let target = series["metric"]["target"].as_str().unwrap_or_default().to_owned();
        let values = series["values"].as_array().context("a matrix has values")?;
        let mut slots: BTreeMap<String, f64> = BTreeMap::new();
        for pair in values {
            let seconds = pair[0].as_f64().context("a sample has a time")?;
            // Slots are a second apart: two rows of one would be stamped within milliseconds.
            if let Some(other) = slots.insert(format!("{:.1}", seconds), seconds) {
                bail!("target {target}: rows at {other} and {seconds}");
            }
        }
        rows += values.len() as f64;
    }
    let lacking = client::query_at(&server.address, LACKING, before_ms)?;
    let lacking = client::one_of(&lacking)?.unwrap_or(0.0);
    ensure!(lacking == 0.0, "{lacking} rows lack their samples");
    Ok(rows)
}
