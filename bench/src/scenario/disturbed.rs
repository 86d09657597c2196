//! A disk and processors that others load: how late scrapes begin and how long commits take, with
//! the controller of compaction and commits and without.
//!
//! Without, its bounds are equal, which leaves it no choice. Both servers run in turn, several
//! times, under the same disturbance: direct I/O to the disk of the data directory, and a thread
//! that never rests on each core that the plan gives to a shard.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::behaviour::Behaviour;
use crate::client;
use crate::config::{Job, Target, write_config};
use crate::disturbance::Disturbance;
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::lateness::{COMMIT, LATE, Lateness};
use crate::process::{self, Server};
use crate::serve::Targets;

const WITHOUT: &str = "cresset:\n  pacing: {compaction_rate_min: 1GiB, compaction_rate_max: 1GiB, \
                       commit_age_max: 10ms}\n";
/// Layouts are learned, and the first blocks are due, before anything disturbs.
const WARM: Duration = Duration::from_secs(25);
/// Blocks so short that compaction always has something to do.
const BLOCKS: &str = "--storage.tsdb.min-block-duration=10s";
const BLOCK_BYTES: usize = 1 << 20;

/// What one run saw while it was disturbed.
struct Figures {
    late: Lateness,
    commits: Lateness,
    served: u64,
    moved_bytes: f64,
    jobs: f64,
    slower: f64,
    age_ms: f64,
    disturbed_bytes: u64,
}

/// Runs both in turn.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets", "series", "seconds", "rounds", "writers"])?;
    println!(
        "| round | controller | lateness | commits | slots kept | compaction moved | jobs \
         | slowed | commit age | disturbance wrote |"
    );
    println!("|---:|---|---|---|---:|---:|---:|---:|---:|---:|");
    let mut sums: [Option<(Lateness, Lateness)>; 2] = [None, None];
    for round in 1..=flags.number("rounds", 2) {
        for (at, name) in ["on", "off"].into_iter().enumerate() {
            let seen = measure(flags, name).with_context(|| format!("controller {name}"))?;
            let seconds = flags.number("seconds", 60);
            let kept = seen.served as f64 / (flags.number("targets", 200) * seconds) as f64;
            println!(
                "| {round} | {name} | {} | {} | {:.1} % | {:.0} MiB | {} | {} | {:.0} ms \
                 | {} MiB |",
                seen.late.text(),
                seen.commits.text(),
                kept * 100.0,
                seen.moved_bytes / f64::from(1 << 20),
                seen.jobs,
                seen.slower,
                seen.age_ms,
                seen.disturbed_bytes >> 20,
            );
            sums[at] = Some(match sums[at].take() {
                Some((late, commits)) => (late.plus(&seen.late), commits.plus(&seen.commits)),
                None => (seen.late, seen.commits),
            });
        }
    }
    if let [Some(on), Some(off)] = &sums {
        let ratio = |on: &Lateness, off: &Lateness| on.quantile(0.99) / off.quantile(0.99);
        println!(
            "on / off: lateness p99 {:.2}, commits p99 {:.2}",
            ratio(&on.0, &off.0),
            ratio(&on.1, &off.1)
        );
    }
    Ok(())
}

fn measure(flags: &Flags, controller: &str) -> anyhow::Result<Figures> {
    let series = usize::try_from(flags.number("series", 500)).context("a number of series")?;
    let served = Targets::start(Fleet::mixed(series))?;
    let folder = tempfile::tempdir_in(std::env::current_dir()?).context("make a folder")?;
    let address = served.address.to_string();
    let targets = flags.number("targets", 200);
    let job = Job {
        name: "bench".to_owned(),
        interval_seconds: 1,
        timeout_seconds: 1,
        targets: (0..targets).map(|k| Target::new(&address, Behaviour::Healthy, k)).collect(),
    };
    let config = write_config(folder.path(), &[job])?;
    if controller == "off" {
        let mut text = std::fs::read_to_string(&config).context("read the configuration")?;
        let _ = write!(text, "{WITHOUT}");
        std::fs::write(&config, text).context("write the configuration")?;
    }
    let data = folder.path().join("data");
    let server = Server::start_with(&process::cresset()?, &config, &data, &[BLOCKS])?;
    std::thread::sleep(WARM);
    let cores = shard_cores(&server)?;
    let writers = usize::try_from(flags.number("writers", 4)).context("a number of writers")?;
    let seen = disturb(flags, &server, folder.path(), writers, &cores, &served)?;
    server.stop()?;
    Ok(seen)
}

fn disturb(
    flags: &Flags,
    server: &Server,
    folder: &Path,
    writers: usize,
    cores: &[usize],
    served: &Targets,
) -> anyhow::Result<Figures> {
    let address = &server.address;
    let moved = || -> anyhow::Result<[f64; 4]> {
        let page = client::get(address, "/metrics")?.body;
        Ok([
            sum(&page, "cresset_compactor_read_bytes_total")
                + sum(&page, "cresset_compactor_written_bytes_total"),
            sum(&page, "cresset_compactor_jobs_total"),
            sum(&page, "cresset_pace_decisions_total{decision=\"slower\""),
            sum(&page, "cresset_pace_commit_age_seconds") * 1e3,
        ])
    };
    let disturbance = Disturbance::start(folder, writers, BLOCK_BYTES, cores)?;
    // The first moments belong to the controller's reaction, and to both.
    let (late, commits) = (Lateness::read(address, LATE)?, Lateness::read(address, COMMIT)?);
    let (before, pages) = (moved()?, served.served());
    std::thread::sleep(Duration::from_secs(flags.number("seconds", 60)));
    let after = moved()?;
    Ok(Figures {
        late: Lateness::read(address, LATE)?.since(&late),
        commits: Lateness::read(address, COMMIT)?.since(&commits),
        served: served.served() - pages,
        moved_bytes: after[0] - before[0],
        jobs: after[1] - before[1],
        slower: after[2] - before[2],
        age_ms: after[3],
        disturbed_bytes: disturbance.written(),
    })
}

/// Processors that the server's plan gives to shards.
fn shard_cores(server: &Server) -> anyhow::Result<Vec<usize>> {
    let page = client::get(&server.address, "/metrics")?.body;
    let lines = page.lines().filter(|line| line.starts_with("cresset_core_role{"));
    let shards = lines.filter(|line| line.contains("role=\"shard\""));
    let cpu = |line: &str| line.split("cpu=\"").nth(1)?.split('"').next()?.parse().ok();
    Ok(shards.filter_map(cpu).collect())
}

/// Sum of the samples whose line begins with `start`.
fn sum(page: &str, start: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(start));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
