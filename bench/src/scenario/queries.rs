//! The same queries asked of Cresset, Prometheus and VictoriaMetrics on equal data, in turns.
//!
//! A day of the fleet's past is written to each by remote write; each compacts it until it rests,
//! and is then asked. The end of every query lies beside the samples' own milliseconds: no window's
//! edge meets a sample, where the versions differ by intent.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use conformance::answers::{Answer, Reply, Tolerance};
use serde_json::Value;

use crate::client::{self, percent_encode};
use crate::config::write_config;
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::past::Past;
use crate::peers;
use crate::process::Server;
use crate::serve::now_ms;

const TOLERANCE: Tolerance = Tolerance { relative: 1e-9, absolute: 1e-10 };
const STEP_MS: u64 = 15_000;
const HOUR: u64 = 3_600;
/// Beside every sample: those lie on whole steps.
const BESIDE_MS: u64 = 7;
/// How long a server may work on what was written before it is asked.
const REST_WITHIN: Duration = Duration::from_secs(300);

/// What is asked.
#[derive(Clone, Copy)]
enum Kind {
    /// At the end of the data.
    Instant,
    /// Over so many hours before the end, so many seconds a step.
    Range(u64, u64),
    /// `/label/NAME/values` of the text.
    LabelValues,
    /// `/series` of the text.
    Series,
}

/// Name, kind and text.
const QUERIES: &[(&str, Kind, &str)] = &[
    ("one metric", Kind::Instant, "bench_clock_ms"),
    ("sum(rate)", Kind::Instant, "sum(rate(bench_events_total_3[5m]))"),
    (
        "sum by (rate), all counters",
        Kind::Instant,
        "sum by (device, mode) (rate({__name__=~\"bench_e.*\"}[5m]))",
    ),
    ("histogram_quantile", Kind::Instant, HISTOGRAM),
    ("topk", Kind::Instant, "topk(10, rate(bench_events_total_3[5m]))"),
    ("count by (__name__)", Kind::Instant, "count by (__name__) ({__name__=~\".+\"})"),
    ("max_over_time 1 h", Kind::Instant, "max by (mode) (max_over_time(bench_size_bytes_8[1h]))"),
    ("sum(rate)", Kind::Range(1, 15), "sum(rate(bench_events_total_3[5m]))"),
    ("sum by (rate)", Kind::Range(6, 30), "sum by (device) (rate(bench_events_total_3[5m]))"),
    ("histogram_quantile", Kind::Range(6, 30), HISTOGRAM),
    ("topk", Kind::Range(6, 60), "topk(10, rate(bench_events_total_3[5m]))"),
    (
        "regular expression",
        Kind::Range(6, 60),
        "sum by (mode) (rate(bench_events_total_3{device=~\"disk[12].*\"}[5m]))",
    ),
    (
        "max_over_time 1 h",
        Kind::Range(6, 60),
        "max by (mode) (max_over_time(bench_size_bytes_8[1h]))",
    ),
    ("raw gauge", Kind::Range(6, 15), "bench_load_7{mode=\"idle\"}"),
    ("subquery", Kind::Range(6, 60), "max_over_time(sum(rate(bench_events_total_3[5m]))[30m:1m])"),
    ("ratio", Kind::Range(24, 60), "bench_load_7 / ignoring (family) (bench_size_bytes_8 + 1)"),
    ("sum by (rate)", Kind::Range(24, 60), "sum by (device) (rate(bench_events_total_3[5m]))"),
    ("histogram_quantile by", Kind::Range(24, 60), HISTOGRAMS),
    (
        "sum by (rate), all counters",
        Kind::Range(24, 60),
        "sum by (mode) (rate({__name__=~\"bench_e.*\"}[5m]))",
    ),
    ("label values", Kind::LabelValues, "target"),
    ("label values of names", Kind::LabelValues, "__name__"),
    ("series", Kind::Series, "{device=~\"disk[12].*\"}"),
];
const HISTOGRAM: &str =
    "histogram_quantile(0.99, sum by (le) (rate({__name__=~\"bench_latency_.*_bucket\"}[5m])))";
const HISTOGRAMS: &str = "histogram_quantile(0.99, \
     sum by (le, device) (rate({__name__=~\"bench_latency_.*_bucket\"}[5m])))";

/// A server under measurement.
struct Asked {
    name: &'static str,
    server: Server,
    /// Milliseconds by query, one a run.
    spent: Vec<Vec<f64>>,
    cpu_seconds: f64,
    peak_bytes: u64,
}

/// Runs the scenario.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets", "series", "hours", "runs"])?;
    let hours = flags.number("hours", 24);
    let runs = usize::try_from(flags.number("runs", 9)).context("--runs is too much")?;
    let series = usize::try_from(flags.number("series", 1_000)).context("--series is too much")?;
    let end_ms = (now_ms() / STEP_MS - 20) * STEP_MS;
    let past = Past {
        fleet: Fleet::mixed(series),
        targets: flags.number("targets", 20),
        start_ms: end_ms - hours * HOUR * 1_000,
        end_ms,
        step_ms: STEP_MS,
    };
    println!("{} targets of {series} series every 15 s for {hours} h", past.targets);
    let folder = tempfile::tempdir().context("make a folder")?;
    let config = write_config(folder.path(), &[])?;
    let mut all = Vec::new();
    for peer in peers::all()? {
        let server = peer.start(&config, &folder.path().join(peer.name))?;
        let begun = Instant::now();
        let samples = past.write(&server.address)?;
        let took = begun.elapsed();
        peer.rest(&server, REST_WITHIN)?;
        println!(
            "{}: {samples} samples written in {:.0} s; CPU {:.2} s a million, at rest",
            peer.name,
            took.as_secs_f64(),
            server.usage()?.cpu_seconds / samples as f64 * 1e6,
        );
        all.push(Asked::new(peer.name, server));
    }
    for peer in &mut all {
        let usage = peer.server.usage()?;
        peer.cpu_seconds = -usage.cpu_seconds;
        peer.server.forget_peak()?;
    }
    let agree = ask_all(&mut all, runs, hours, end_ms - STEP_MS + BESIDE_MS)?;
    for peer in &mut all {
        let usage = peer.server.usage()?;
        peer.cpu_seconds += usage.cpu_seconds;
        peer.peak_bytes = usage.peak_bytes;
    }
    report(&all, &agree);
    let differing = agree
        .iter()
        .zip(QUERIES)
        .find(|(words, _)| words.first().is_some_and(|word| word != "yes"));
    if let Some((words, query)) = differing {
        bail!("{} differs from prometheus: {}", query.2, words[0]);
    }
    Ok(())
}

/// Asks every query `runs` times of each in turn; gives how the first answers compare with ours.
fn ask_all(
    all: &mut [Asked],
    runs: usize,
    hours: u64,
    end_ms: u64,
) -> anyhow::Result<Vec<Vec<String>>> {
    let mut agree = Vec::new();
    for turn in 0..runs {
        for (at, query) in QUERIES.iter().enumerate() {
            let path = path_of(query, hours, end_ms);
            let mut answers = Vec::new();
            for peer in &mut *all {
                let asked = Instant::now();
                let answer = client::get(&peer.server.address, &path)?;
                peer.spent[at].push(asked.elapsed().as_secs_f64() * 1e3);
                ensure!(answer.status == 200, "{}: {} {:.300}", peer.name, query.2, answer.body);
                answers.push(answer.body);
            }
            if turn == 0 {
                agree.push(compare(&answers)?);
            }
        }
    }
    Ok(agree)
}

/// Path of a query; ranges longer than the data are cut to it.
fn path_of((_, kind, text): &(&str, Kind, &str), hours: u64, end_ms: u64) -> String {
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    let range = if let Kind::Range(range, _) = kind { hours.min(*range) } else { hours };
    let (start, end) = (seconds(end_ms - range * HOUR * 1_000), seconds(end_ms));
    let text = percent_encode(text);
    match kind {
        Kind::Instant => format!("/api/v1/query?query={text}&time={end}&nocache=1"),
        Kind::Range(_, step) => {
            format!(
                "/api/v1/query_range?query={text}&start={start}&end={end}&step={step}&nocache=1"
            )
        }
        Kind::LabelValues => format!("/api/v1/label/{text}/values?start={start}&end={end}"),
        Kind::Series => format!("/api/v1/series?match[]={text}&start={start}&end={end}"),
    }
}

/// Whether the first answer is equal to each of the others, in words.
fn compare(answers: &[String]) -> anyhow::Result<Vec<String>> {
    let mut read = answers.iter().map(|answer| {
        let mut json: Value = serde_json::from_str(answer).context("read an answer")?;
        anyhow::Ok(json["data"].take())
    });
    let Some(ours) = read.next() else { return Ok(Vec::new()) };
    let ours = ours?;
    read.map(|theirs| {
        let theirs = theirs?;
        let verdict = if ours.is_array() {
            let sorted = |list: &Value| -> BTreeSet<String> {
                list.as_array().into_iter().flatten().map(Value::to_string).collect()
            };
            let missing = sorted(&theirs).difference(&sorted(&ours)).count();
            let extra = sorted(&ours).difference(&sorted(&theirs)).count();
            if missing + extra == 0 { Ok(()) } else { Err(format!("-{missing} +{extra}")) }
        } else {
            answer_of(&theirs)?.compare(&answer_of(&ours)?, TOLERANCE)
        };
        Ok(verdict.map_or_else(|reason| reason, |()| "yes".to_owned()))
    })
    .collect()
}

fn answer_of(json: &Value) -> anyhow::Result<Answer> {
    let reply: Reply = serde_json::from_value(json.clone()).context("read an answer")?;
    reply.answer().map_err(anyhow::Error::msg)
}

impl Asked {
    fn new(name: &'static str, server: Server) -> Asked {
        let spent = vec![Vec::new(); QUERIES.len()];
        Asked { name, server, spent, cpu_seconds: 0.0, peak_bytes: 0 }
    }

    /// A quantile of the milliseconds of a query.
    fn quantile(&self, at: usize, percent: usize) -> f64 {
        let mut spent = self.spent[at].clone();
        spent.sort_by(f64::total_cmp);
        let rank = (spent.len() * percent).div_ceil(100).max(1);
        spent.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

fn report(peers: &[Asked], agree: &[Vec<String>]) {
    let names: Vec<&str> = peers.iter().map(|peer| peer.name).collect();
    println!("p50 and p99 in ms of {}; ratio of p50 to ours; agreement", names.join(", "));
    println!("| query | kind | {} | ratio | agree |", names.join(" | "));
    println!("|---|---|{}---|---|", "---:|".repeat(names.len()));
    for (at, (name, kind, _)) in QUERIES.iter().enumerate() {
        let kind = match kind {
            Kind::Instant => "instant".to_owned(),
            Kind::Range(hours, step) => format!("{hours} h, {step} s"),
            Kind::LabelValues | Kind::Series => "labels".to_owned(),
        };
        let spent = peers
            .iter()
            .map(|peer| format!("{:.1} / {:.1}", peer.quantile(at, 50), peer.quantile(at, 99)));
        let own = peers[0].quantile(at, 50);
        let ratios = peers[1..].iter().map(|peer| format!("{:.1}", peer.quantile(at, 50) / own));
        let agreed = agree[at].iter().map(|word| if word == "yes" { "yes" } else { "no" });
        println!(
            "| {name} | {kind} | {} | {} | {} |",
            spent.collect::<Vec<_>>().join(" | "),
            ratios.collect::<Vec<_>>().join(" / "),
            agreed.collect::<Vec<_>>().join(" / "),
        );
    }
    for peer in peers {
        println!(
            "{}: {:.2} s of CPU, {:.0} MiB resident at most while asked",
            peer.name,
            peer.cpu_seconds,
            peer.peak_bytes as f64 / 1_048_576.0
        );
    }
}
