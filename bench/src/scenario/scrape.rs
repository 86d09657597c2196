//! What scraping costs, beside the peers: CPU seconds a million samples, memory a series, bytes
//! written and kept; and what a kill -9 costs: time until the same answer, and memory meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::behaviour::Behaviour;
use crate::client;
use crate::config::{Job, Target, write_config};
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::peers::{self, Peer, Table};
use crate::process::{self, Server, Usage};
use crate::serve::{Targets, now_ms};

/// How long a server may take until it answers after it was killed.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
const POLL_EVERY: Duration = Duration::from_millis(10);

/// What a server used for its work.
pub(crate) struct Figures {
    name: &'static str,
    /// In the window.
    pub(crate) samples: f64,
    /// In the window.
    pub(crate) cpu_seconds: f64,
    written_bytes: f64,
    /// At the end of the window.
    pub(crate) resident_bytes: f64,
    /// Sum of its own account by purpose, beside what is resident; Cresset's alone.
    accounted: Option<f64>,
    /// Since the start, so with the creation of all series.
    peak_bytes: f64,
    /// At the end, log included.
    pub(crate) disk_bytes: f64,
    /// After a kill -9.
    pub(crate) restart: Restart,
}

/// After a kill -9.
pub(crate) struct Restart {
    ready_seconds: f64,
    /// Until the right answer.
    pub(crate) answer_seconds: f64,
    /// Until the answer.
    pub(crate) peak_bytes: f64,
}

/// Runs Cresset, then its peers where they are installed, on equal work.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets", "series", "interval", "seconds", "churn"])?;
    let series = usize::try_from(flags.number("series", 1_000)).context("--series is too much")?;
    let work = Work {
        fleet: Fleet { churn: flags.number("churn", 0), ..Fleet::mixed(series) },
        targets: flags.number("targets", 100),
        interval: flags.number("interval", 5),
        window: Duration::from_secs(flags.number("seconds", 60)),
    };
    println!(
        "{} targets of {series} series every {} s; {} % of the series are new ones in an hour",
        work.targets, work.interval, work.fleet.churn
    );
    let mut all = Vec::new();
    for peer in peers::all()? {
        all.push(work.measure(&peer)?);
    }
    let count = (work.targets * series as u64) as f64;
    let mut table = Table::new(all.iter().map(|figures| figures.name).collect());
    let mut row = |what: &str, decimals, of: &dyn Fn(&Figures) -> f64| {
        let figures: Vec<_> = all.iter().map(|figures| Some(of(figures))).collect();
        table.row(what, decimals, &figures);
    };
    row("samples", 0, &|of| of.samples);
    row("CPU s a million samples", 3, &|of| of.cpu_seconds / of.samples * 1e6);
    row("bytes written a sample", 2, &|of| of.written_bytes / of.samples);
    row("resident bytes a series", 0, &|of| of.resident_bytes / count);
    row("resident MiB at most", 0, &|of| of.peak_bytes / 1_048_576.0);
    row("MiB on disk", 0, &|of| of.disk_bytes / 1_048_576.0);
    row("s until ready after kill -9", 2, &|of| of.restart.ready_seconds);
    row("s until the right answer", 2, &|of| of.restart.answer_seconds);
    row("memory until then / before", 2, &|of| of.restart.peak_bytes / of.resident_bytes);
    let accounted: Vec<_> = all.iter().map(|figures| figures.accounted).collect();
    table.row("memory accounted / resident", 2, &accounted);
    table.print();
    Ok(())
}

/// What every server is given to do.
pub(crate) struct Work {
    /// What targets show.
    pub(crate) fleet: Fleet,
    /// How many targets.
    pub(crate) targets: u64,
    /// Seconds between two scrapes of a target.
    pub(crate) interval: u64,
    /// Length of the measured window.
    pub(crate) window: Duration,
}

impl Work {
    /// Has `peer` do it, and kills it at the end.
    pub(crate) fn measure(&self, peer: &Peer) -> anyhow::Result<Figures> {
        let targets = Targets::start(self.fleet)?;
        let folder = tempfile::tempdir().context("make a folder")?;
        let address = targets.address.to_string();
        let job = Job {
            name: "bench".to_owned(),
            interval_seconds: self.interval,
            timeout_seconds: self.interval,
            targets: (0..self.targets)
                .map(|number| Target::new(&address, Behaviour::Chunked, number))
                .collect(),
        };
        let config = write_config(folder.path(), &[job])?;
        let directory = folder.path().join("data");
        let server = peer.start(&config, &directory)?;
        // Two rounds, so that series are created and layouts learned before the window.
        std::thread::sleep(Duration::from_secs(2 * self.interval + 2));
        let (before, served_before) = (server.usage()?, targets.served());
        std::thread::sleep(self.window);
        let (after, served_after) = (server.usage()?, targets.served());
        let samples = (served_after - served_before) as f64 * self.fleet.series as f64;
        ensure!(0.0 < samples, "{} scraped nothing", peer.name);
        let purposes = client::metric(&server.address, "cresset_memory_bytes")?;
        let resident = client::metric(&server.address, "process_resident_memory_bytes")?;
        let restart = self.restart(peer, server, &config, &directory)?;
        Ok(Figures {
            name: peer.name,
            samples,
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            written_bytes: (after.written_bytes - before.written_bytes) as f64,
            resident_bytes: after.resident_bytes as f64,
            accounted: purposes.zip(resident).map(|(purposes, resident)| purposes / resident),
            peak_bytes: after.peak_bytes as f64,
            disk_bytes: process::disk_bytes(&directory) as f64,
            restart,
        })
    }

    /// Kills the server, starts it anew and asks until it answers as it did before.
    fn restart(
        &self,
        peer: &Peer,
        server: Server,
        config: &Path,
        directory: &Path,
    ) -> anyhow::Result<Restart> {
        // What victoria-metrics took in the last seconds is in no file yet.
        let at_ms = now_ms() - 10_000;
        let count = |server: &Server| -> anyhow::Result<f64> {
            let answer = client::query_at(&server.address, "count(bench_clock_ms)", at_ms)?;
            Ok(client::one_of(&answer)?.unwrap_or(0.0))
        };
        let expected = count(&server)?;
        ensure!((expected - self.targets as f64).abs() < 0.5, "{expected} targets were scraped");
        server.kill()?;
        let begun = Instant::now();
        let server = peer.start(config, directory)?;
        let ready_seconds = server.ready_after.as_secs_f64();
        while count(&server).unwrap_or(0.0) < expected {
            ensure!(begun.elapsed() < ANSWER_WITHIN, "{} answers no more", peer.name);
            std::thread::sleep(POLL_EVERY);
        }
        let answer_seconds = begun.elapsed().as_secs_f64();
        let Usage { peak_bytes, .. } = server.usage()?;
        server.stop()?;
        Ok(Restart { ready_seconds, answer_seconds, peak_bytes: peak_bytes as f64 })
    }
}
