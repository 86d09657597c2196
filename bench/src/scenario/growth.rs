//! What Cresset costs as its work grows tenfold a step: first the series it scrapes, then the
//! targets that show a fixed number of series, then the range that a query reads.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::client::{self, percent_encode};
use crate::config::write_config;
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::past::Past;
use crate::peers::{self, Peer};
use crate::scenario::scrape::Work;
use crate::serve::now_ms;

const INTERVAL_SECONDS: u64 = 15;
const STEP_MS: u64 = 15_000;
const HOUR_MS: u64 = 3_600_000;
const REST_WITHIN: Duration = Duration::from_secs(300);
/// Of each target while its series grow in number.
const TARGET_SERIES: u64 = 1_000;
/// The past that is read: few series, far back.
const PAST_TARGETS: u64 = 2;
const PAST_HOURS: [u64; 3] = [1, 10, 100];
const ASKED: u32 = 9;

/// Runs the scenario; `--series` is the most that is scraped at once.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["series", "seconds"])?;
    let most = flags.number("series", 1_000_000).max(100 * TARGET_SERIES);
    let window = Duration::from_secs(flags.number("seconds", 60));
    let ours = peers::all()?.swap_remove(0);
    println!("series and targets, scraped every {INTERVAL_SECONDS} s:");
    println!(
        "| series | targets | CPU s a million samples | resident bytes a series | resident MiB | \
         s until the right answer after kill -9 | memory until then / before |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for (series, targets) in [
        (most / 100, most / 100 / TARGET_SERIES),
        (most / 10, most / 10 / TARGET_SERIES),
        (most, most / TARGET_SERIES),
        (most / 10, most / 1_000),
        (most / 10, most / 100),
    ] {
        scraped(&ours, series, targets, window)?;
    }
    println!();
    read(&ours)
}

fn scraped(ours: &Peer, series: u64, targets: u64, window: Duration) -> anyhow::Result<()> {
    let each = usize::try_from(series / targets).context("series of a target")?;
    let fleet = Fleet::mixed(each);
    let figures = Work { fleet, targets, interval: INTERVAL_SECONDS, window }.measure(ours)?;
    println!(
        "| {series} | {targets} | {:.3} | {:.0} | {:.0} | {:.2} | {:.2} |",
        figures.cpu_seconds / figures.samples * 1e6,
        figures.resident_bytes / series as f64,
        figures.resident_bytes / 1_048_576.0,
        figures.restart.answer_seconds,
        figures.restart.peak_bytes / figures.resident_bytes,
    );
    Ok(())
}

/// One query over more and more of the past.
fn read(ours: &Peer) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let server = ours.start(&write_config(folder.path(), &[])?, &folder.path().join("data"))?;
    let end_ms = now_ms() / STEP_MS * STEP_MS - 60_000;
    let hours = PAST_HOURS[PAST_HOURS.len() - 1];
    let fleet = Fleet::mixed(1_000);
    let start_ms = end_ms - hours * HOUR_MS;
    let past = Past { fleet, targets: PAST_TARGETS, start_ms, end_ms, step_ms: STEP_MS };
    let samples = past.write(&server.address)?;
    ours.rest(&server, REST_WITHIN)?;
    println!("{samples} samples of {hours} h written; sum by (mode) (rate(…[5m])) of 300 counters");
    println!("of each of {PAST_TARGETS} targets, 250 steps over the range:");
    println!("| hours | p50 ms | CPU ns a sample | resident MiB at most |");
    println!("|---:|---:|---:|---:|");
    let text = percent_encode("sum by (mode) (rate({__name__=~\"bench_e.*\"}[5m]))");
    for hours in PAST_HOURS {
        let (start, end) = ((end_ms - hours * HOUR_MS) / 1_000, end_ms / 1_000);
        // A window of rate reaches from step to step, so that every sample is read.
        let step = hours * 3_600 / 250;
        let text = text.replace("5m", &format!("{}s", step.max(60)));
        let path = format!("/api/v1/query_range?query={text}&start={start}&end={end}&step={step}");
        server.forget_peak()?;
        let before = server.usage()?.cpu_seconds;
        let mut spent = Vec::new();
        for _ in 0..ASKED {
            let asked = Instant::now();
            let answer = client::get(&server.address, &path)?;
            spent.push(asked.elapsed().as_secs_f64() * 1e3);
            ensure!(answer.status == 200, "{path} answered {} {}", answer.status, answer.body);
        }
        spent.sort_by(f64::total_cmp);
        let after = server.usage()?;
        let read = f64::from(ASKED) * (300 * PAST_TARGETS * hours * 240) as f64;
        println!(
            "| {hours} | {:.1} | {:.1} | {:.0} |",
            spent[spent.len() / 2],
            (after.cpu_seconds - before) * 1e9 / read,
            after.peak_bytes as f64 / 1_048_576.0,
        );
    }
    server.stop()
}
