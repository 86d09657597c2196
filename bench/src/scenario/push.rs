//! What is pushed: remote write beside the peers, answers about many series, and a load of writers
//! and readers through a kill -9 after which what was acknowledged is counted.
//!
//! Every series gets one sample a round, as a fleet's senders push. Bodies are made before a round
//! is timed, so that figures are the servers' own; writers and server share the processors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::client::{self, percent_encode};
use crate::config::write_config;
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::past::Past;
use crate::peers::{self, Peer, Table};
use crate::process::Server;
use crate::remote_write::{post, snappy};
use crate::serve::now_ms;

/// Series of a target, and so samples of a request.
const TARGET_SERIES: u64 = 1_000;
const STEP_MS: u64 = 15_000;
/// Requests that ask for answers and are timed, of which the median counts.
const ANSWERS: usize = 5;
/// How long the load lasts until the kill.
const LOAD_FOR: Duration = Duration::from_secs(5);
/// Series of a writer of the load.
const WRITER_SERIES: u64 = 100;

/// What is asked about many series: name and path.
const ASKED: &[(&str, &str)] = &[
    ("values of a label", "/api/v1/label/instance/values"),
    ("metric names", "/api/v1/label/__name__/values"),
    ("names of labels", "/api/v1/labels"),
    ("series of a target", "/api/v1/series?match[]={target=\"0\"}"),
    ("a metric of all targets", "/api/v1/series?match[]=bench_clock_ms"),
    ("federate a target", "/federate?match[]={target=\"0\"}"),
    ("federate a metric of all", "/federate?match[]=bench_clock_ms"),
];

/// Runs the scenario.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["series", "large", "rounds", "writers", "readers"])?;
    let writers = flags.number("writers", 64).max(1);
    let rounds = flags.number("rounds", 10).max(1);
    for series in [flags.number("series", 100_000), flags.number("large", 1_000_000)] {
        if series != 0 {
            let targets = (series / TARGET_SERIES).max(1);
            measure_all(&Work { targets, rounds, writers })?;
        }
    }
    let load = Load { writers, readers: flags.number("readers", 64) };
    println!("{} writers and {} readers until a kill -9", load.writers, load.readers);
    for peer in peers::all()? {
        load.run(&peer)?;
    }
    Ok(())
}

/// What every server is given.
struct Work {
    targets: u64,
    rounds: u64,
    writers: u64,
}

/// What it made of it.
struct Figures {
    name: &'static str,
    samples: f64,
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: f64,
    /// Milliseconds of the requests, sorted: those of the first round, which makes the series, and
    /// of all others.
    first: Vec<f64>,
    spent: Vec<f64>,
    /// Milliseconds of the answers.
    answers: Vec<f64>,
}

fn measure_all(work: &Work) -> anyhow::Result<()> {
    let Work { targets, rounds, writers } = work;
    let series = targets * TARGET_SERIES;
    println!("{series} series, {rounds} rounds, {writers} writers, {TARGET_SERIES} a request");
    let mut all = Vec::new();
    for peer in peers::all()? {
        all.push(work.measure(&peer)?);
    }
    let mut table = Table::new(all.iter().map(|figures| figures.name).collect());
    let mut row = |what: &str, decimals, of: &dyn Fn(&Figures) -> f64| {
        let figures: Vec<_> = all.iter().map(|figures| Some(of(figures))).collect();
        table.row(what, decimals, &figures);
    };
    row("s of a million samples", 3, &|of| of.seconds / of.samples * 1e6);
    row("CPU s of a million samples", 3, &|of| of.cpu_seconds / of.samples * 1e6);
    row("resident bytes a series at most", 0, &|of| of.peak_bytes / series as f64);
    row("first requests: p50 ms", 1, &|of| quantile(&of.first, 50));
    row("first requests: p99 ms", 1, &|of| quantile(&of.first, 99));
    row("later requests: p50 ms", 1, &|of| quantile(&of.spent, 50));
    row("later requests: p99 ms", 1, &|of| quantile(&of.spent, 99));
    for (at, (name, _)) in ASKED.iter().enumerate() {
        row(&format!("{name}: p50 ms"), 1, &|of| of.answers[at]);
    }
    table.print();
    for figures in &all {
        let a_second = figures.samples / figures.seconds;
        println!("{}: {a_second:.0} samples/s", figures.name);
    }
    Ok(())
}

impl Work {
    fn measure(&self, peer: &Peer) -> anyhow::Result<Figures> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let config = write_config(folder.path(), &[])?;
        let server = peer.start(&config, &folder.path().join("data"))?;
        let end_ms = now_ms() / STEP_MS * STEP_MS;
        let past = Past {
            fleet: Fleet::mixed(usize::try_from(TARGET_SERIES).context("series of a target")?),
            targets: self.targets,
            start_ms: end_ms - self.rounds * STEP_MS,
            end_ms,
            step_ms: STEP_MS,
        };
        let before = server.usage()?.cpu_seconds;
        let (mut samples, mut seconds) = (0, 0.0);
        let (mut first, mut spent) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let from_ms = past.start_ms + round * STEP_MS;
            let bodies = (0..self.targets).map(|target| {
                let (request, held) = past.request(target, from_ms, from_ms + STEP_MS)?;
                samples += held;
                anyhow::Ok(snappy(&request))
            });
            let bodies = bodies.collect::<anyhow::Result<Vec<Vec<u8>>>>()?;
            let begun = Instant::now();
            let took = write_all(&server.address, &bodies, self.writers)?;
            seconds += begun.elapsed().as_secs_f64();
            if round == 0 { first.extend(took) } else { spent.extend(took) }
        }
        let usage = server.usage()?;
        peer.show(&server)?;
        self.check_held(peer, &server, samples)?;
        for list in [&mut first, &mut spent] {
            list.sort_by(f64::total_cmp);
        }
        Ok(Figures {
            name: peer.name,
            samples: samples as f64,
            seconds,
            cpu_seconds: usage.cpu_seconds - before,
            peak_bytes: usage.peak_bytes as f64,
            first,
            spent,
            answers: ask_all(&server)?,
        })
    }

    /// What was acknowledged is there, counted.
    fn check_held(&self, peer: &Peer, server: &Server, samples: u64) -> anyhow::Result<()> {
        let mut held = 0;
        for target in 0..self.targets {
            held += counts(server, target)?.into_iter().sum::<u64>();
        }
        let lost = samples.abs_diff(held);
        println!("{}: {samples} samples acknowledged, {lost} of them not there", peer.name);
        ensure!(lost == 0 || peer.name != "cresset", "acknowledged samples are not there");
        Ok(())
    }
}

/// Posts bodies by so many writers at once; gives the milliseconds of each.
fn write_all(address: &str, bodies: &[Vec<u8>], writers: u64) -> anyhow::Result<Vec<f64>> {
    let next = AtomicU64::new(0);
    let write = || {
        let mut spent = Vec::new();
        loop {
            let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
            let Some(body) = bodies.get(at) else { return anyhow::Ok(spent) };
            let begun = Instant::now();
            post(address, body)?;
            spent.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(write)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a writer broke"))??);
        }
        Ok(all)
    })
}

/// Median milliseconds of every answer.
fn ask_all(server: &Server) -> anyhow::Result<Vec<f64>> {
    let ask = |(name, path): &(&str, &str)| {
        let (path, parameters) = path.split_once('?').unwrap_or((path, ""));
        let path = match parameters.split_once('=') {
            Some((key, value)) => format!("{path}?{key}={}", percent_encode(value)),
            None => path.to_owned(),
        };
        let mut spent = Vec::new();
        for _ in 0..ANSWERS {
            let asked = Instant::now();
            let answer = client::get(&server.address, &path)?;
            spent.push(asked.elapsed().as_secs_f64() * 1e3);
            ensure!(answer.status == 200, "{name}: {} {:.300}", answer.status, answer.body);
            let is_answer =
                ["bench", "instance", "host-"].iter().any(|of| answer.body.contains(of));
            ensure!(is_answer, "{name}: {:.300}", answer.body);
        }
        spent.sort_by(f64::total_cmp);
        Ok(quantile(&spent, 50))
    };
    ASKED.iter().map(ask).collect()
}

/// Samples of each series of a target.
fn counts(server: &Server, target: u64) -> anyhow::Result<Vec<u64>> {
    let series = client::query(&server.address, &format!("{{target=\"{target}\"}}[1h]"))?;
    let count = |one: &serde_json::Value| one["values"].as_array().map_or(0, Vec::len) as u64;
    Ok(series.iter().map(count).collect())
}

/// A quantile of sorted figures.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Writers that count what they are told, and readers beside them.
struct Load {
    writers: u64,
    readers: u64,
}

impl Load {
    fn run(&self, peer: &Peer) -> anyhow::Result<()> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let config = write_config(folder.path(), &[])?;
        let directory = folder.path().join("data");
        let base_ms = now_ms() / 1_000 * 1_000 - 1_800_000;
        let server = peer.start(&config, &directory)?;
        let (told, answers, took) = self.until_killed(server, base_ms)?;
        let server = peer.start(&config, &directory)?;
        let (again, rest) = (self.held(peer, &server)?, told.iter().sum::<u64>());
        let (lost, more) = told.iter().zip(&again).fold((0, 0), |(lost, more), (told, held)| {
            (lost + told.saturating_sub(*held), more + held.saturating_sub(*told))
        });
        println!(
            "{}: {rest} requests of {WRITER_SERIES} samples acknowledged in {took:.1} s, \
             {answers} answers read; after kill -9 {lost} of them are lost, {more} more are there",
            peer.name
        );
        if peer.name != "cresset" {
            return Ok(());
        }
        ensure!(lost == 0, "acknowledged requests are lost");
        ensure!(more <= self.writers, "more is there than was sent");
        for (writer, number) in (0..self.writers).zip(&told) {
            post(&server.address, &self.body(writer, *number, base_ms)?)?;
        }
        let held = self.held(peer, &server)?;
        let is_exact = held.iter().zip(&told).all(|(held, told)| *held == told + 1);
        ensure!(is_exact, "what was sent again is not there once");
        println!("{}: sent again, each is there once", peer.name);
        Ok(())
    }

    /// Requests acknowledged by writer, answers read, and seconds until the kill.
    fn until_killed(&self, server: Server, base_ms: u64) -> anyhow::Result<(Vec<u64>, u64, f64)> {
        let (address, over) = (server.address.clone(), AtomicBool::new(false));
        let (address, over) = (address.as_str(), &over);
        std::thread::scope(|scope| {
            let write = |writer| move || self.write_until(over, address, writer, base_ms);
            let writers: Vec<_> =
                (0..self.writers).map(|writer| scope.spawn(write(writer))).collect();
            let read = || read_until(over, address);
            let readers: Vec<_> = (0..self.readers).map(|_| scope.spawn(read)).collect();
            let begun = Instant::now();
            std::thread::sleep(LOAD_FOR);
            over.store(true, Ordering::Relaxed);
            let took = begun.elapsed().as_secs_f64();
            server.kill()?;
            let broke = || anyhow::anyhow!("a thread broke");
            let mut told = Vec::new();
            for writer in writers {
                told.push(writer.join().map_err(|_| broke())??);
            }
            let mut answers = 0;
            for reader in readers {
                answers += reader.join().map_err(|_| broke())??;
            }
            Ok((told, answers, took))
        })
    }

    /// Writes until the server is gone; an error when it goes, or refuses, before its time.
    fn write_until(
        &self,
        over: &AtomicBool,
        address: &str,
        writer: u64,
        base_ms: u64,
    ) -> anyhow::Result<u64> {
        let mut number = 0;
        loop {
            match post(address, &self.body(writer, number, base_ms)?) {
                Ok(()) => number += 1,
                Err(_) if over.load(Ordering::Relaxed) => return Ok(number),
                Err(error) => return Err(error),
            }
        }
    }

    /// The request of a number: one sample of each series of a writer.
    fn body(&self, writer: u64, number: u64, base_ms: u64) -> anyhow::Result<Vec<u8>> {
        let at_ms = base_ms + number;
        let past = Past {
            fleet: Fleet::mixed(usize::try_from(WRITER_SERIES).context("series of a writer")?),
            targets: self.writers,
            start_ms: at_ms,
            end_ms: at_ms + 1,
            step_ms: 1,
        };
        Ok(snappy(&past.request(writer, at_ms, at_ms + 1)?.0))
    }

    /// Requests that are there whole, by writer.
    fn held(&self, peer: &Peer, server: &Server) -> anyhow::Result<Vec<u64>> {
        peer.show(server)?;
        let whole = |writer| {
            let counts = counts(server, writer)?;
            let least = counts.iter().copied().min().unwrap_or(0);
            let is_whole = counts.iter().all(|count| *count == least)
                && matches!(counts.len() as u64, 0 | WRITER_SERIES);
            ensure!(is_whole || peer.name != "cresset", "half a request is there");
            Ok(least)
        };
        (0..self.writers).map(whole).collect()
    }
}

/// Asks until the server is gone; gives the answers.
fn read_until(over: &AtomicBool, address: &str) -> anyhow::Result<u64> {
    let query = percent_encode("sum by (target) (count_over_time(bench_clock_ms[1h]))");
    let paths = [
        format!("/api/v1/query?query={query}"),
        "/api/v1/label/instance/values".to_owned(),
        format!("/federate?match[]={}", percent_encode("{target=\"1\"}")),
    ];
    let mut answers = 0;
    for path in paths.iter().cycle() {
        match client::get(address, path) {
            Ok(answer) if answer.status == 200 => answers += 1,
            // Those that may be told to come back.
            Ok(answer) if answer.status == 503 => {}
            _ if over.load(Ordering::Relaxed) => return Ok(answers),
            Ok(answer) => bail!("{path} answered {} {:.300}", answer.status, answer.body),
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}
