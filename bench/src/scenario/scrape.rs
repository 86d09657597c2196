//! What scraping costs: CPU seconds a million samples, memory a series, bytes written and kept.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::behaviour::Behaviour;
use crate::client;
use crate::config::{Job, Target, write_config};
use crate::fleet::Fleet;
use crate::process::{self, Server, Usage};
use crate::serve::Targets;

const TARGETS: u64 = 100;
const SERIES: usize = 1_000;
const INTERVAL_SECONDS: u64 = 5;
/// Two rounds, so that series are created and layouts learned before the window.
const WARM: Duration = Duration::from_secs(12);
/// Length of the measured window.
const WINDOW: Duration = Duration::from_secs(60);

struct Figures {
    name: &'static str,
    cpu_seconds_per_million: f64,
    resident_bytes_per_series: f64,
    written_bytes_per_sample: f64,
    samples: f64,
    peak_bytes: u64,
    disk_bytes: u64,
}

/// Runs Cresset, then Prometheus where it is installed, on equal work.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut all = vec![measure("cresset", &process::cresset()?)?];
    match process::peer("PROM2_BIN", "prometheus") {
        Some(program) => all.push(measure("prometheus", &program)?),
        None => println!("skipped: prometheus is not installed (apt-get install prometheus)"),
    }
    println!(
        "| | CPU s a million samples | RSS bytes a series | written bytes a sample \
         | samples | peak MiB | disk MiB |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for figures in &all {
        println!(
            "| {} | {:.3} | {:.0} | {:.2} | {:.0} | {} | {} |",
            figures.name,
            figures.cpu_seconds_per_million,
            figures.resident_bytes_per_series,
            figures.written_bytes_per_sample,
            figures.samples,
            figures.peak_bytes >> 20,
            figures.disk_bytes >> 20,
        );
    }
    if let [ours, theirs] = &all[..] {
        println!(
            "| ratio | {:.3} | {:.3} | {:.3} | | | |",
            ours.cpu_seconds_per_million / theirs.cpu_seconds_per_million,
            ours.resident_bytes_per_series / theirs.resident_bytes_per_series,
            ours.written_bytes_per_sample / theirs.written_bytes_per_sample,
        );
    }
    Ok(())
}

fn measure(name: &'static str, program: &Path) -> anyhow::Result<Figures> {
    let fleet = Fleet { series: SERIES };
    let targets = Targets::start(fleet)?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let address = targets.address.to_string();
    let job = Job {
        name: "bench".to_owned(),
        interval_seconds: INTERVAL_SECONDS,
        timeout_seconds: INTERVAL_SECONDS,
        targets: (0..TARGETS).map(|k| Target::new(&address, Behaviour::Chunked, k)).collect(),
    };
    let config = write_config(folder.path(), &[job])?;
    let directory = folder.path().join("data");
    let server = Server::start(program, &config, &directory)?;
    std::thread::sleep(WARM);
    let (before, served_before) = (server.usage()?, targets.served());
    std::thread::sleep(WINDOW);
    let (after, served_after) = (server.usage()?, targets.served());
    let scraped = (served_after - served_before) as f64 * SERIES as f64;
    let kept = client::query_one(
        &server.address,
        "sum(count_over_time(bench_clock_ms{job=\"bench\"}[30s]))",
    )?;
    anyhow::ensure!(kept.unwrap_or(0.0) > 0.0, "{name} holds no samples");
    server.stop()?;
    Ok(figures(name, before, after, scraped, process::disk_bytes(&directory)))
}

fn figures(name: &'static str, before: Usage, after: Usage, samples: f64, disk: u64) -> Figures {
    let series = TARGETS as f64 * SERIES as f64;
    Figures {
        name,
        cpu_seconds_per_million: (after.cpu_seconds - before.cpu_seconds) / samples * 1e6,
        resident_bytes_per_series: after.resident_bytes as f64 / series,
        written_bytes_per_sample: (after.written_bytes - before.written_bytes) as f64 / samples,
        samples,
        peak_bytes: after.peak_bytes,
        disk_bytes: disk,
    }
}
