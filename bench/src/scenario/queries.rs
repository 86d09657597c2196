//! The same queries asked of Cresset, Prometheus and VictoriaMetrics on equal data, in turns.
//!
//! Cresset scrapes the fleet; what it stored is read back sample by sample and written to the
//! others, so that all hold the same. Cresset is started anew before it is asked. The end of every
//! query lies beside the samples' own milliseconds: no window's edge meets a sample, where the
//! versions differ by intent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use conformance::answers::{Answer, Reply, Tolerance};
use conformance::random::world::{Stored, World, WorldSample};
use model::label_set::LabelSet;
use serde_json::Value;

use crate::behaviour::Behaviour;
use crate::client::{self, percent_encode};
use crate::config::{Job, Target, write_config};
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::process::{self, Server};
use crate::remote_write;
use crate::serve::{Targets, now_ms};

const TOLERANCE: Tolerance = Tolerance { relative: 1e-9, absolute: 1e-10 };
/// Seconds of every range in the list; what was scraped is longer by more.
const WINDOW_SECONDS: u64 = 30;

/// What is asked.
#[derive(Clone, Copy)]
enum Kind {
    /// At the end of the data.
    Instant,
    /// Over all of the data, so many seconds a step.
    Range(u64),
    /// `/label/NAME/values` of the text.
    LabelValues,
    /// `/series` of the text.
    Series,
}

/// Name, kind and text.
const QUERIES: &[(&str, Kind, &str)] = &[
    ("one metric", Kind::Instant, "bench_clock_ms"),
    ("sum(rate)", Kind::Instant, "sum(rate(bench_events_total_3[30s]))"),
    (
        "sum by (rate), all",
        Kind::Instant,
        "sum by (device, mode) (rate({__name__=~\"bench_e.*\"}[30s]))",
    ),
    ("histogram_quantile", Kind::Instant, HISTOGRAM),
    ("topk", Kind::Instant, "topk(10, rate(bench_events_total_3[30s]))"),
    ("count by (__name__)", Kind::Instant, "count by (__name__) ({__name__=~\".+\"})"),
    ("max_over_time", Kind::Instant, "max by (mode) (max_over_time(bench_size_bytes_8[1m]))"),
    ("sum(rate)", Kind::Range(1), "sum(rate(bench_events_total_3[30s]))"),
    ("sum by (rate)", Kind::Range(1), "sum by (device) (rate(bench_events_total_3[30s]))"),
    ("sum by (rate), all", Kind::Range(1), "sum by (mode) (rate({__name__=~\"bench_e.*\"}[30s]))"),
    ("histogram_quantile", Kind::Range(1), HISTOGRAM),
    ("histogram_quantile by", Kind::Range(1), HISTOGRAMS),
    ("topk", Kind::Range(2), "topk(10, rate(bench_events_total_3[30s]))"),
    (
        "regular expression",
        Kind::Range(1),
        "sum by (mode) (rate(bench_events_total_3{device=~\"disk[12].*\"}[30s]))",
    ),
    ("max_over_time", Kind::Range(2), "max by (mode) (max_over_time(bench_size_bytes_8[1m]))"),
    ("raw gauge", Kind::Range(1), "bench_load_7{mode=\"idle\"}"),
    ("ratio", Kind::Range(1), "bench_load_7 / (bench_size_bytes_8 + 1)"),
    ("subquery", Kind::Range(2), "max_over_time(sum(rate(bench_events_total_3[30s]))[1m:5s])"),
    ("label values", Kind::LabelValues, "target"),
    ("label values of names", Kind::LabelValues, "__name__"),
    ("series", Kind::Series, "{device=~\"disk[12].*\"}"),
];
const HISTOGRAM: &str =
    "histogram_quantile(0.99, sum by (le) (rate({__name__=~\"bench_latency_.*_bucket\"}[30s])))";
const HISTOGRAMS: &str = "histogram_quantile(0.99, \
     sum by (le, target, device) (rate({__name__=~\"bench_latency_.*_bucket\"}[30s])))";

/// A server under measurement.
struct Peer {
    name: &'static str,
    server: Server,
    /// Milliseconds by query, one a run.
    spent: Vec<Vec<f64>>,
    cpu_seconds: f64,
    peak_bytes: u64,
}

/// Runs the scenario.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets", "series", "seconds", "runs"])?;
    let seconds = flags.number("seconds", 180);
    ensure!(3 * WINDOW_SECONDS < seconds, "--seconds {seconds}: ranges need more");
    let runs = usize::try_from(flags.number("runs", 9)).context("--runs is too much")?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let ours = scrape(flags, seconds, folder.path())?;
    let end_ms = now_ms() - 2_000;
    let mut peers = start_peers(folder.path())?;
    let end_ms = copy(&ours, &peers, flags.number("targets", 20), seconds, end_ms)?;
    peers.insert(0, Peer::new("cresset", ours));
    for peer in &mut peers {
        let usage = peer.server.usage()?;
        peer.cpu_seconds = -usage.cpu_seconds;
        peer.server.forget_peak()?;
    }
    let start_ms = end_ms - (seconds - 2 * WINDOW_SECONDS) * 1_000;
    let mut agree = Vec::new();
    for turn in 0..runs {
        for (at, query) in QUERIES.iter().enumerate() {
            let mut answers = Vec::new();
            for peer in &mut peers {
                let path = path_of(query, start_ms, end_ms);
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
    for peer in &mut peers {
        let usage = peer.server.usage()?;
        peer.cpu_seconds += usage.cpu_seconds;
        peer.peak_bytes = usage.peak_bytes;
    }
    report(&peers, &agree);
    let differing = agree
        .iter()
        .zip(QUERIES)
        .find(|(words, _)| words.first().is_some_and(|word| word != "yes"));
    if let Some((words, query)) = differing {
        bail!("{} differs from prometheus: {}", query.2, words[0]);
    }
    Ok(())
}

/// Scrapes the fleet for a while and starts anew over what was stored.
fn scrape(flags: &Flags, seconds: u64, folder: &Path) -> anyhow::Result<Server> {
    let program = process::cresset()?;
    let series = usize::try_from(flags.number("series", 1_000)).context("--series is too much")?;
    let targets = Targets::start(Fleet { series })?;
    let address = targets.address.to_string();
    let count = flags.number("targets", 20);
    let job = Job {
        name: "bench".to_owned(),
        interval_seconds: 1,
        timeout_seconds: 1,
        targets: (0..count).map(|k| Target::new(&address, Behaviour::Healthy, k)).collect(),
    };
    println!("{count} targets of {series} series, scraped every second for {seconds} s");
    let directory = folder.join("cresset");
    let config = write_config(folder, &[job])?;
    let server = Server::start(&program, &config, &directory)?;
    std::thread::sleep(Duration::from_secs(seconds));
    server.stop()?;
    let config = write_config(folder, &[])?;
    Server::start(&program, &config, &directory)
}

fn start_peers(folder: &Path) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    let config = write_config(folder, &[])?;
    match process::peer("PROM2_BIN", "prometheus") {
        Some(program) => {
            let directory = folder.join("prometheus");
            let flags = ["--web.enable-remote-write-receiver"];
            let server = Server::start_with(&program, &config, &directory, &flags)?;
            peers.push(Peer::new("prometheus", server));
        }
        None => println!("skipped: prometheus is not installed (apt-get install prometheus)"),
    }
    match process::peer("VM_BIN", "victoria-metrics") {
        Some(program) => {
            let server = Server::start_victoria(&program, &folder.join("victoria"))?;
            peers.push(Peer::new("victoria-metrics", server));
        }
        None => println!("skipped: victoria-metrics is not installed"),
    }
    Ok(peers)
}

/// Copies every sample that `ours` holds to the peers; gives the end of the queries.
fn copy(
    ours: &Server,
    peers: &[Peer],
    targets: u64,
    seconds: u64,
    end_ms: u64,
) -> anyhow::Result<u64> {
    let mut samples = 0;
    let mut taken = BTreeSet::new();
    for target in 0..targets {
        let selector = format!("{{target=\"{target}\"}}[{}s]", seconds + 120);
        let mut world = World::default();
        for series in client::query_at(&ours.address, &selector, end_ms + 2_000)? {
            let metric: BTreeMap<String, String> =
                serde_json::from_value(series["metric"].clone()).context("read labels")?;
            let labels = metric.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let values = series["values"].as_array().context("a matrix has values")?;
            let stream = values.iter().map(sample).collect::<anyhow::Result<Vec<_>>>()?;
            taken.extend(stream.iter().map(|sample| sample.time_ms.rem_euclid(1_000)));
            samples += stream.len();
            world.series.insert(LabelSet::new(labels), Arc::new(Stored(stream)));
        }
        for peer in peers {
            remote_write::write(&peer.server.address, &world)?;
        }
    }
    for peer in peers.iter().filter(|peer| peer.name == "victoria-metrics") {
        client::get(&peer.server.address, "/internal/force_flush")?;
    }
    println!("{samples} samples are held by each");
    ensure!(0 < samples, "nothing was scraped");
    let free = (0..1_000).find(|ms| !taken.contains(ms)).context("samples at every millisecond")?;
    Ok(end_ms / 1_000 * 1_000 + free.unsigned_abs())
}

fn sample(pair: &Value) -> anyhow::Result<WorldSample> {
    let seconds = pair[0].as_f64().context("a sample has a time")?;
    let value = pair[1].as_str().and_then(|value| value.parse().ok());
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit")]
    let time_ms = (seconds * 1e3).round() as i64;
    Ok(WorldSample { time_ms, value: value.context("a sample has a value")?, histogram: None })
}

fn path_of((_, kind, text): &(&str, Kind, &str), start_ms: u64, end_ms: u64) -> String {
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    let (start, end) = (seconds(start_ms), seconds(end_ms));
    let text = percent_encode(text);
    match kind {
        Kind::Instant => format!("/api/v1/query?query={text}&time={end}&nocache=1"),
        Kind::Range(step) => {
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

impl Peer {
    fn new(name: &'static str, server: Server) -> Peer {
        let spent = vec![Vec::new(); QUERIES.len()];
        Peer { name, server, spent, cpu_seconds: 0.0, peak_bytes: 0 }
    }

    /// A quantile of the milliseconds of a query.
    fn quantile(&self, at: usize, percent: usize) -> f64 {
        let mut spent = self.spent[at].clone();
        spent.sort_by(f64::total_cmp);
        let rank = (spent.len() * percent).div_ceil(100).max(1);
        spent.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

fn report(peers: &[Peer], agree: &[Vec<String>]) {
    let names: Vec<&str> = peers.iter().map(|peer| peer.name).collect();
    println!("p50 and p99 in ms of {}; ratio of p50 to ours; agreement", names.join(", "));
    println!("| query | kind | {} | ratio | agree |", names.join(" | "));
    println!("|---|---|{}---|---|", "---:|".repeat(names.len()));
    for (at, (name, kind, _)) in QUERIES.iter().enumerate() {
        let kind = match kind {
            Kind::Instant => "instant".to_owned(),
            Kind::Range(step) => format!("range, {step} s"),
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
