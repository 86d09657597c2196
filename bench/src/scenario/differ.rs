//! Random queries over random data, asked of our engine and of Prometheus 2.42: the same answers.
//!
//! The generator keeps to what both versions agree upon; what it leaves out and why stands in
//! `conformance`'s `random`. A difference is shrunk and printed with its data.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use conformance::answers::{Answer, Reply, Tolerance};
use conformance::random::query::Asked;
use conformance::random::shrink::{shrink_query, shrink_world};
use conformance::random::world::{Dialect, LOOKBACK_MS, World};
use query::evaluate::{QueryError, Unbounded, evaluate};

use crate::client::{self, percent_encode};
use crate::config::write_config;
use crate::flags::Flags;
use crate::process::{self, Server};
use crate::remote_write;

/// Queries that are asked of one world.
const WORLD_QUERIES: u64 = 250;
/// Differences after which the run ends.
const DIFFERENCES_MAX: usize = 12;
/// What rounding may make of sums in another order: their addends are below 1e5.
const TOLERANCE: Tolerance = Tolerance { relative: 1e-9, absolute: 1e-10 };

/// An answer or the class of the error.
type Outcome = Result<Answer, &'static str>;

/// What the queries came to.
#[derive(Debug, Default)]
struct Tally {
    asked: u64,
    failed_alike: u64,
    empty: u64,
    points: u64,
}

/// Runs the scenario.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["queries", "seed", "from"])?;
    let (queries, seed) = (flags.number("queries", 4_000), flags.number("seed", 1));
    let Some(program) = process::peer("PROM2_BIN", "prometheus") else {
        println!("skipped: no prometheus on PATH and no PROM2_BIN");
        return Ok(());
    };
    println!("# seed {seed}: `bench run differ --queries {queries} --seed {seed}` runs this again");
    let mut tally = Tally::default();
    let mut differences = 0;
    let from = flags.number("from", 0);
    for number in from / WORLD_QUERIES..(from + queries).div_ceil(WORLD_QUERIES) {
        let world = World::new(seed.wrapping_mul(1_000_003).wrapping_add(number), Dialect::Shared);
        let peer = Peer::start(&program, &world)?;
        let first = number * WORLD_QUERIES;
        for index in first.max(from)..(first + WORLD_QUERIES).min(from + queries) {
            let asked = Asked::draw(seed, index, Dialect::Shared);
            let Err(reason) = judge(&asked, &world, &peer, &mut tally)? else { continue };
            differences += 1;
            println!("\n## query {index} of seed {seed} (--from {index} --queries 1)");
            println!("{}\n{reason}", asked.expr);
            show_smallest(&asked, &world, &peer, &program)?;
            if DIFFERENCES_MAX <= differences {
                bail!("{differences} differences after {} queries", tally.asked);
            }
        }
    }
    println!(
        "{} queries: {} failed on both sides, {} gave nothing, {} points compared",
        tally.asked, tally.failed_alike, tally.empty, tally.points
    );
    if 0 < differences {
        bail!("{differences} differences");
    }
    Ok(())
}

/// A Prometheus that holds a world.
struct Peer {
    server: Server,
    _folder: tempfile::TempDir,
}

impl Peer {
    fn start(program: &Path, world: &World) -> anyhow::Result<Peer> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let config: PathBuf = write_config(folder.path(), &[])?;
        let lookback = format!("--query.lookback-delta={LOOKBACK_MS}ms");
        let flags = ["--web.enable-remote-write-receiver", &lookback];
        let directory = folder.path().join("data");
        let server = Server::start_with(program, &config, &directory, &flags)?;
        if !world.series.is_empty() {
            remote_write::write(&server.address, world)?;
        }
        Ok(Peer { server, _folder: folder })
    }

    fn ask(&self, asked: &Asked) -> anyhow::Result<Outcome> {
        // The function's name in version 2.
        let text = asked.expr.to_string().replace("double_exponential_smoothing", "holt_winters");
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let text = percent_encode(&text);
        let path = if asked.step_ms == 0 {
            format!("/api/v1/query?query={text}&time={}", seconds(asked.start_ms))
        } else {
            let (start, end) = (seconds(asked.start_ms), seconds(asked.end_ms));
            let step = seconds(asked.step_ms);
            format!("/api/v1/query_range?query={text}&start={start}&end={end}&step={step}")
        };
        let answer = client::get(&self.server.address, &path)?;
        let mut json: serde_json::Value = serde_json::from_str(&answer.body)
            .with_context(|| format!("answered {} {:.200}", answer.status, answer.body))?;
        match json["errorType"].as_str() {
            None => {}
            Some("bad_data") => return Ok(Err("bad_data")),
            Some("execution") => return Ok(Err("execution")),
            Some(other) => bail!("{} answered {other}: {}", asked.expr, json["error"]),
        }
        let reply: Reply = serde_json::from_value(json["data"].take()).context("read an answer")?;
        Ok(Ok(reply.answer().map_err(anyhow::Error::msg)?))
    }
}

fn ours(asked: &Asked, world: &World) -> Result<Outcome, String> {
    match evaluate(&asked.query(), world, &Unbounded) {
        Ok(answer) => Ok(Ok(Answer::of(answer.value)?)),
        Err(QueryError::Parse(_)) => Ok(Err("bad_data")),
        Err(QueryError::Execution(_)) => Ok(Err("execution")),
        Err(error) => Err(format!("our engine failed: {error}")),
    }
}

/// Whether both answer alike; the difference in words if not.
fn judge(
    asked: &Asked,
    world: &World,
    peer: &Peer,
    tally: &mut Tally,
) -> anyhow::Result<Result<(), String>> {
    tally.asked += 1;
    let expected = peer.ask(asked)?;
    let found = match ours(asked, world) {
        Ok(found) => found,
        Err(reason) => return Ok(Err(reason)),
    };
    Ok(match (expected, found) {
        (Ok(expected), Ok(found)) => {
            let points = expected.points.values().map(Vec::len).sum::<usize>();
            tally.points += points as u64;
            tally.empty += u64::from(points == 0);
            expected.compare(&found, TOLERANCE)
        }
        (Err(expected), Err(found)) if expected == found => {
            tally.failed_alike += 1;
            Ok(())
        }
        (Err(expected), Err(found)) => Err(format!("expected a {expected} error, got {found}")),
        (Ok(_), Err(found)) => Err(format!("expected an answer, got a {found} error")),
        (Err(expected), Ok(_)) => Err(format!("expected a {expected} error, got an answer")),
    })
}

fn show_smallest(asked: &Asked, world: &World, peer: &Peer, program: &Path) -> anyhow::Result<()> {
    let differs = |asked: &Asked, world: &World, peer: &Peer| {
        judge(asked, world, peer, &mut Tally::default()).is_ok_and(|verdict| verdict.is_err())
    };
    let small = shrink_query(asked, |asked| differs(asked, world, peer));
    let less = shrink_world(world, |world| {
        Peer::start(program, world).is_ok_and(|peer| differs(&small, world, &peer))
    });
    let peer = Peer::start(program, &less)?;
    let reason = judge(&small, &less, &peer, &mut Tally::default())?.err().unwrap_or_default();
    let error = evaluate(&small.query(), &less, &Unbounded).err();
    let error = error.map(|error| format!("\nours: {error}")).unwrap_or_default();
    println!(
        "smallest: {}\nstart {} end {} step {}\n{reason}{error}\n{}",
        small.expr,
        small.start_ms,
        small.end_ms,
        small.step_ms,
        less.text()
    );
    Ok(())
}
