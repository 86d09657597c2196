//! What a scrape of `/metrics/host` costs, beside node_exporter on the same machine.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::client;
use crate::config::write_config;
use crate::flags::Flags;
use crate::process::{self, Server};

/// What one exporter took.
struct Figures {
    name: &'static str,
    cpu_ms: f64,
    wall_ms: f64,
    bytes: usize,
    resident_bytes: u64,
}

/// Asks both in turn, so that the machine's moods fall on both.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["scrapes", "rounds"])?;
    let (scrapes, rounds) = (flags.number("scrapes", 500), flags.number("rounds", 3));
    let folder = tempfile::tempdir().context("make a folder")?;
    let config = write_config(folder.path(), &[])?;
    let ours = Server::start(&process::cresset()?, &config, &folder.path().join("data"))?;
    let theirs = match process::peer("NODE_EXPORTER_BIN", "prometheus-node-exporter") {
        Some(program) => {
            let address = format!("127.0.0.1:{}", process::free_port()?);
            let mut command = Command::new(program);
            command.arg(format!("--web.listen-address={address}"));
            // It has no page of readiness, and answers every path.
            Some(Server::spawn(command, address, &folder.path().join("exporter"))?)
        }
        None => {
            println!("skipped: prometheus-node-exporter is not installed");
            None
        }
    };
    println!("| | CPU ms a scrape | wall ms | bytes | RSS MiB |\n|---|---:|---:|---:|---:|");
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let own = measure("cresset /metrics/host", &ours, "/metrics/host", scrapes)?;
        show(&own);
        if let Some(theirs) = &theirs {
            let peer = measure("node_exporter", theirs, "/metrics", scrapes)?;
            show(&peer);
            ratios.push(own.cpu_ms / peer.cpu_ms);
        }
    }
    ratios.sort_by(f64::total_cmp);
    if let Some(ratio) = ratios.get(ratios.len() / 2) {
        println!("CPU a scrape, ours / theirs: {ratio:.3} (median of {rounds})");
    }
    ours.stop()
}

fn show(figures: &Figures) {
    let Figures { name, cpu_ms, wall_ms, bytes, resident_bytes } = figures;
    println!("| {name} | {cpu_ms:.3} | {wall_ms:.3} | {bytes} | {} |", resident_bytes >> 20);
}

/// CPU of `scrapes` scrapes, less what the process takes in as much time without any.
fn measure(
    name: &'static str,
    server: &Server,
    path: &str,
    scrapes: u64,
) -> anyhow::Result<Figures> {
    client::get(&server.address, path)?;
    let (before, began) = (server.usage()?, Instant::now());
    let mut bytes = 0;
    for _ in 0..scrapes {
        let answer = client::get(&server.address, path)?;
        anyhow::ensure!(answer.status == 200, "{name} answered {}", answer.status);
        bytes = answer.body.len();
    }
    let (after, took) = (server.usage()?, began.elapsed());
    std::thread::sleep(took.max(Duration::from_millis(100)));
    let idle = server.usage()?;
    let busy = after.cpu_seconds - before.cpu_seconds;
    let cpu = busy - (idle.cpu_seconds - after.cpu_seconds);
    Ok(Figures {
        name,
        cpu_ms: cpu * 1e3 / scrapes as f64,
        wall_ms: took.as_secs_f64() * 1e3 / scrapes as f64,
        bytes,
        resident_bytes: after.resident_bytes,
    })
}
