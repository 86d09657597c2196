//! How late scrapes begin: alone, under heavy queries, and while blocks are compacted.
//!
//! The blocks are of a past written before. A deletion and the order to clean it have them all
//! written anew, which is more than compaction by itself ever does at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::behaviour::Behaviour;
use crate::client::{self, percent_encode};
use crate::config::{Job, Target, write_config};
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::lateness::{LATE, Lateness};
use crate::past::Past;
use crate::peers;
use crate::process::Server;
use crate::serve::{Targets, now_ms};

const INTERVAL_SECONDS: u64 = 5;
const STEP_MS: u64 = 15_000;
const HOUR_MS: u64 = 3_600_000;
const REST_WITHIN: Duration = Duration::from_secs(300);
/// Queries under way at any time.
const CLIENTS: usize = 20;
const COMPACTED: &str = "cresset_storage_compaction_samples_total";
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a compaction may take to begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(120);
/// No sample compacted for so long: it has ended.
const ENDED_AFTER: Duration = Duration::from_secs(5);

/// Runs the scenario.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets", "series", "hours", "seconds"])?;
    let series = usize::try_from(flags.number("series", 1_000)).context("--series is too much")?;
    let (count, hours) = (flags.number("targets", 100), flags.number("hours", 6));
    let window = Duration::from_secs(flags.number("seconds", 60));
    let targets = Targets::start(Fleet::mixed(series))?;
    let address = targets.address.to_string();
    let folder = tempfile::tempdir().context("make a folder")?;
    let directory = folder.path().join("data");
    let ours = peers::all()?.swap_remove(0);
    let end_ms = now_ms() / STEP_MS * STEP_MS - 60_000;
    let start_ms = end_ms - hours * HOUR_MS;
    let fleet = Fleet::mixed(series);
    let past = Past { fleet, targets: 20, start_ms, end_ms, step_ms: STEP_MS };
    let server = ours.start(&write_config(folder.path(), &[])?, &directory)?;
    let samples = past.write(&server.address)?;
    ours.rest(&server, REST_WITHIN)?;
    server.stop()?;
    println!("{samples} samples of the past; {count} x {series} series every {INTERVAL_SECONDS} s");
    let job = Job {
        name: "bench".to_owned(),
        interval_seconds: INTERVAL_SECONDS,
        timeout_seconds: INTERVAL_SECONDS,
        targets: (0..count).map(|k| Target::new(&address, Behaviour::Chunked, k)).collect(),
    };
    let server = ours.start(&write_config(folder.path(), &[job])?, &directory)?;
    std::thread::sleep(Duration::from_secs(2 * INTERVAL_SECONDS + 2));
    during("alone", &server, || {
        std::thread::sleep(window);
        Ok(String::new())
    })?;
    during("under queries", &server, || queries(&server, start_ms, end_ms, window))?;
    during("while compacting", &server, || compaction(&server, start_ms, end_ms))?;
    server.stop()
}

/// Prints how late scrapes began while `work` ran, and what it says.
fn during(
    name: &str,
    server: &Server,
    work: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let before = Lateness::read(&server.address, LATE)?;
    let said = work()?;
    let passed = Lateness::read(&server.address, LATE)?.since(&before);
    println!("{name}: {}{said}", passed.text());
    Ok(())
}

/// Asks a heavy query again and again from every client.
fn queries(
    server: &Server,
    start_ms: u64,
    end_ms: u64,
    window: Duration,
) -> anyhow::Result<String> {
    let text = percent_encode("sum by (mode) (rate({__name__=~\"bench_e.*\"}[5m]))");
    let (start, end) = (start_ms / 1_000, end_ms / 1_000);
    let path = format!("/api/v1/query_range?query={text}&start={start}&end={end}&step=60");
    let over = AtomicBool::new(false);
    let (answered, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let well = client::get(&server.address, &path)
                        .is_ok_and(|answer| answer.status == 200);
                    (if well { &answered } else { &refused }).fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(window);
        over.store(true, Ordering::Relaxed);
    });
    let (answered, refused) = (answered.into_inner(), refused.into_inner());
    ensure!(0 < answered, "no query was answered");
    Ok(format!("; {CLIENTS} clients had {answered} answers, {refused} refusals"))
}

/// Has all blocks written anew, and waits until that ends.
fn compaction(server: &Server, start_ms: u64, end_ms: u64) -> anyhow::Result<String> {
    let read = || -> anyhow::Result<f64> {
        Ok(client::metric(&server.address, COMPACTED)?.unwrap_or(0.0))
    };
    let before = read()?;
    let (start, end) = (start_ms / 1_000, end_ms / 1_000);
    let path =
        format!("/api/v1/admin/tsdb/delete_series?match[]=bench_clock_ms&start={start}&end={end}");
    for path in [path.as_str(), "/api/v1/admin/tsdb/clean_tombstones"] {
        let answer = client::post(&server.address, path, "", b"")?;
        ensure!(answer.status == 204, "{path} answered {} {}", answer.status, answer.body);
    }
    let begun = Instant::now();
    let (mut last, mut changed) = (before, None::<Instant>);
    let took = loop {
        std::thread::sleep(LOOK_EVERY);
        let now = read()?;
        if last < now {
            (last, changed) = (now, Some(Instant::now()));
        }
        match changed {
            Some(at) if ENDED_AFTER < at.elapsed() => break at.duration_since(begun),
            None => ensure!(begun.elapsed() < BEGIN_WITHIN, "no compaction began"),
            Some(_) => {}
        }
    };
    let samples = (last - before) / 1e6;
    Ok(format!("; {samples:.1} million samples in {:.1} s", took.as_secs_f64()))
}
