//! Half of 2,000 targets are broken in every way: the others keep their slots, memory its bound,
//! and each broken one says what is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::behaviour::{Behaviour, HOSTILE};
use crate::client;
use crate::config::{Job, Target, write_config};
use crate::fleet::Fleet;
use crate::lateness::{LATE, Lateness};
use crate::process::{self, Server};
use crate::serve::Targets;

const HEALTHY: u64 = 1_000;
const BROKEN: u64 = 1_000;
const SERIES: usize = 100;
const INTERVAL_SECONDS: u64 = 5;
/// Long enough for every broken target to have failed, the slow ones by their deadline.
const WINDOW: Duration = Duration::from_secs(60);
/// Bound of resident memory: the default buffers and budgets, with room for code and libraries.
const RESIDENT_BYTES_MAX: u64 = 1 << 30;

/// Runs the fleet for a while and checks each promise.
pub(crate) fn run() -> anyhow::Result<()> {
    let program = process::cresset()?;
    let healthy = Targets::start(Fleet::mixed(SERIES))?;
    let broken = Targets::start(Fleet::mixed(SERIES))?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let healthy_address = healthy.address.to_string();
    let job = |name: &str, targets| Job {
        name: name.to_owned(),
        interval_seconds: INTERVAL_SECONDS,
        timeout_seconds: 4,
        targets,
    };
    let good = (0..HEALTHY).map(|k| Target::new(&healthy_address, Behaviour::Healthy, k));
    let jobs = [job("healthy", good.collect()), job("broken", broken_targets(&broken)?)];
    let config = write_config(folder.path(), &jobs)?;
    let server = Server::start(&program, &config, &folder.path().join("data"))?;
    std::thread::sleep(WINDOW);
    let usage = server.usage()?;
    println!("slot lateness of all targets: {}", Lateness::read(&server.address, LATE)?.text());
    println!("resident {} MiB, at most {} MiB", usage.resident_bytes >> 20, usage.peak_bytes >> 20);
    ensure!(usage.peak_bytes <= RESIDENT_BYTES_MAX, "memory passed {RESIDENT_BYTES_MAX} bytes");
    check_healthy(&server)?;
    check_errors(&server)?;
    server.stop()
}

fn broken_targets(server: &Targets) -> anyhow::Result<Vec<Target>> {
    let address = server.address.to_string();
    let dead = format!("127.0.0.1:{}", process::free_port()?);
    let kinds = HOSTILE.len() as u64 + 1;
    let target = |k: u64| match usize::try_from(k % kinds).ok().and_then(|at| HOSTILE.get(at)) {
        Some(behaviour) => Target::new(&address, *behaviour, k),
        None => Target { address: dead.clone(), number: k, path: format!("/dead/{k}") },
    };
    Ok((0..BROKEN).map(target).collect())
}

/// Every healthy target was up at every slot of the last half minute, at its slot.
fn check_healthy(server: &Server) -> anyhow::Result<()> {
    let slots = 30 / INTERVAL_SECONDS;
    let kept = format!("count(sum_over_time(up{{job=\"healthy\"}}[30s]) >= {slots})");
    let kept = client::query_one(&server.address, &kept)?.unwrap_or(0.0);
    println!("healthy targets that kept each of their last {slots} slots: {kept} of {HEALTHY}");
    ensure!((kept - HEALTHY as f64).abs() < 0.5, "healthy targets lost slots");
    Ok(())
}

/// Every broken target is down and its `lastError` names its fault.
fn check_errors(server: &Server) -> anyhow::Result<()> {
    let answer = client::api(&server.address, "/api/v1/targets?state=active")?;
    let targets = answer["activeTargets"].as_array().context("targets are a list")?;
    let mut examples: BTreeMap<String, String> = BTreeMap::new();
    let mut unnamed = Vec::new();
    let broken = targets.iter().filter(|target| target["labels"]["job"] == "broken");
    for target in broken {
        let (kind, error) = (kind_of(target), target["lastError"].as_str().unwrap_or_default());
        let behaviour = Behaviour::of_path(&kind);
        let words = behaviour.map_or(&["refused"][..], Behaviour::words);
        let named = !error.is_empty() && words.iter().any(|word| error.contains(word));
        if target["health"] != "down" || !named {
            unnamed.push(format!("{kind}: {} {error:?}", target["health"]));
        }
        examples.insert(kind, error.to_owned());
    }
    for (kind, error) in &examples {
        println!("{kind:16} {error}");
    }
    ensure!(examples.len() == HOSTILE.len() + 1, "only {} kinds were scraped", examples.len());
    ensure!(unnamed.is_empty(), "{} faults are not named, as {}", unnamed.len(), unnamed[0]);
    Ok(())
}

fn kind_of(target: &Value) -> String {
    let url = target["scrapeUrl"].as_str().unwrap_or_default();
    url.rsplit('/').nth(1).unwrap_or_default().to_owned()
}
