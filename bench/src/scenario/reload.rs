//! How long a reload takes that changes one of many targets, and whether it delays slots.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::behaviour::Behaviour;
use crate::client;
use crate::config::{Job, Target, write_config};
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::process::{self, Server};
use crate::serve::Targets;

/// Slots come every two minutes a target: what is measured is the reload.
const INTERVAL_SECONDS: u64 = 120;
const WARM: Duration = Duration::from_secs(20);
/// Longest that the new target may take to show.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
const LATENESS: &str = "cresset_scrape_slot_lateness_seconds";

/// Starts Cresset with many targets, then reloads it with one more.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets"])?;
    let targets = flags.number("targets", 20_000);
    let served = Targets::start(Fleet::mixed(10))?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let address = served.address.to_string();
    let write = |count: u64| {
        let target = |number| Target::new(&address, Behaviour::Chunked, number);
        let job = Job {
            name: "bench".to_owned(),
            interval_seconds: INTERVAL_SECONDS,
            timeout_seconds: 10,
            targets: (0..count).map(target).collect(),
        };
        write_config(folder.path(), &[job])
    };
    let config = write(targets)?;
    let data = folder.path().join("data");
    let program = process::cresset()?;
    let server = Server::start_with(&program, &config, &data, &["--web.enable-lifecycle"])?;
    std::thread::sleep(WARM);
    let before = mean_lateness(&server)?;
    write(targets + 1)?;
    let began = Instant::now();
    let answer = client::post(&server.address, "/-/reload", "", b"")?;
    let took = began.elapsed();
    ensure!(answer.status == 200, "refused: {}", answer.body);
    let wanted = (targets + 1) as f64;
    while client::metric(&server.address, "cresset_config_targets")? != Some(wanted) {
        ensure!(began.elapsed() < SHOWN_WITHIN, "the new target does not show");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(WARM);
    let after = mean_lateness(&server)?;
    let skipped = client::metric(&server.address, "cresset_scrape_slots_skipped_total")?;
    server.stop()?;
    println!(
        "reload of {targets} targets: {:.0} ms; slots skipped {}; mean lateness {:.3} ms before, \
         {:.3} ms after",
        took.as_secs_f64() * 1e3,
        skipped.unwrap_or(0.0),
        before * 1e3,
        after * 1e3
    );
    ensure!(skipped == Some(0.0), "the reload cost slots");
    Ok(())
}

/// Seconds, over all scrapes so far.
fn mean_lateness(server: &Server) -> anyhow::Result<f64> {
    let part = |part: &str| client::metric(&server.address, &format!("{LATENESS}_{part}"));
    let (sum, count) = (part("sum")?.unwrap_or(0.0), part("count")?.unwrap_or(0.0));
    Ok(if count == 0.0 { 0.0 } else { sum / count })
}
