//! Whether slots are kept where targets are many, and what a sample costs then.

use std::time::Duration;

use anyhow::Context as _;

use crate::behaviour::Behaviour;
use crate::client;
use crate::config::{Job, Target, write_config};
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::peers::{self, Peer};
use crate::process::Server;
use crate::serve::Targets;

const SERIES: usize = 100;
const INTERVAL_SECONDS: u64 = 10;
/// Two rounds and a half, so that series are created and layouts learned before the window.
const WARM: Duration = Duration::from_secs(25);
const LATENESS: &str = "cresset_scrape_slot_lateness_seconds_bucket";

/// What one server did.
struct Figures {
    name: &'static str,
    cpu_seconds_per_million: f64,
    /// Pages served beside those that were due.
    kept: f64,
    lateness: String,
}

/// Runs Cresset, then its peers where they are installed, on equal work.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets", "seconds"])?;
    let targets = flags.number("targets", 10_000);
    let window = Duration::from_secs(flags.number("seconds", 60));
    let mut all = Vec::new();
    for peer in peers::all()? {
        all.push(measure(&peer, targets, window)?);
    }
    println!(
        "| {targets} targets x {SERIES} series at {INTERVAL_SECONDS} s \
         | CPU s a million samples | slots kept | lateness |"
    );
    println!("|---|---:|---:|---|");
    for figures in &all {
        let Figures { name, cpu_seconds_per_million, kept, lateness } = figures;
        println!("| {name} | {cpu_seconds_per_million:.3} | {:.2} % | {lateness} |", kept * 100.0);
    }
    Ok(())
}

fn measure(peer: &Peer, targets: u64, window: Duration) -> anyhow::Result<Figures> {
    let served = Targets::start(Fleet::mixed(SERIES))?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let address = served.address.to_string();
    let job = Job {
        name: "bench".to_owned(),
        interval_seconds: INTERVAL_SECONDS,
        timeout_seconds: INTERVAL_SECONDS,
        targets: (0..targets).map(|k| Target::new(&address, Behaviour::Chunked, k)).collect(),
    };
    let config = write_config(folder.path(), &[job])?;
    let server = peer.start(&config, &folder.path().join("data"))?;
    std::thread::sleep(WARM);
    let (usage, pages, late) = (server.usage()?, served.served(), lateness(&server)?);
    std::thread::sleep(window);
    let cpu_seconds = server.usage()?.cpu_seconds - usage.cpu_seconds;
    let pages = (served.served() - pages) as f64;
    let late = shown(&late, &lateness(&server)?);
    server.stop()?;
    let due = targets as f64 * window.as_secs_f64() / INTERVAL_SECONDS as f64;
    Ok(Figures {
        name: peer.name,
        cpu_seconds_per_million: cpu_seconds / (pages * SERIES as f64) * 1e6,
        kept: pages / due,
        lateness: late,
    })
}

/// Upper bounds in seconds and how many scrapes began within them; empty for a peer.
fn lateness(server: &Server) -> anyhow::Result<Vec<(f64, f64)>> {
    let page = client::get(&server.address, "/metrics")?.body;
    let buckets = page.lines().filter_map(|line| {
        let (bound, count) =
            line.strip_prefix(LATENESS)?.split_once("le=\"")?.1.split_once("\"}")?;
        Some((bound.parse().ok()?, count.trim().parse().ok()?))
    });
    Ok(buckets.collect())
}

/// Quantiles of the scrapes between two readings, each as the bound of its bucket.
fn shown(before: &[(f64, f64)], after: &[(f64, f64)]) -> String {
    let within: Vec<(f64, f64)> = after
        .iter()
        .enumerate()
        .map(|(at, (bound, count))| {
            (*bound, count - before.get(at).map_or(0.0, |(_, count)| *count))
        })
        .collect();
    let Some((_, total)) = within.last() else { return "not told".to_owned() };
    let quantile = |share: f64| {
        let found = within.iter().find(|(_, count)| share * total <= *count);
        let bound = found.map_or(f64::INFINITY, |(bound, _)| *bound);
        format!("p{} <= {:.3} ms", share * 100.0, bound * 1e3)
    };
    [0.5, 0.99, 0.999].map(quantile).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_window() {
        let before = [(0.001, 10.0), (0.01, 10.0), (f64::INFINITY, 20.0)];
        let after = [(0.001, 1_009.0), (0.01, 1_010.0), (f64::INFINITY, 1_020.0)];
        let expected = "p50 <= 1.000 ms, p99 <= 1.000 ms, p99.9 <= 1.000 ms";
        assert_eq!(shown(&before, &after), expected);
        assert_eq!(shown(&[], &[]), "not told");
    }
}
