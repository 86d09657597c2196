//! Runs simulations by seed: `sim --seed N` one, `sim --seeds K [--seed BASE]` many; with `--drill`
//! drills of one store, with `--pacing` the controller of compaction, instead of worlds of shards.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sim::trace::Trace;
use sim::{drill, pacing, world};

const DRILL: &str = "--drill ";
const PACING: &str = "--pacing ";

/// What the command line asks for.
struct Request {
    base: u64,
    count: u64,
    trace: bool,
    /// "", `--drill ` or `--pacing `.
    kind: &'static str,
}

/// What one seed came to.
struct Ran {
    trace: Trace,
    failure: Option<String>,
    summary: String,
    counts: BTreeMap<String, u64>,
}

fn main() -> ExitCode {
    let request = match parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(text) => {
            eprintln!("{text}\nusage: sim [--drill | --pacing] [--seed N] [--seeds K] [--trace]");
            return ExitCode::FAILURE;
        }
    };
    let end = request.base.saturating_add(request.count);
    let next = AtomicU64::new(request.base);
    let failed = AtomicBool::new(false);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let counts: BTreeMap<String, u64> = std::thread::scope(|scope| {
        let work = || {
            let mut counts = BTreeMap::new();
            while !failed.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if end <= seed {
                    break;
                }
                println!("seed {seed}: {}", command(seed, &request));
                let ran = run(seed, &request);
                failed.fetch_or(ran.failure.is_some(), Ordering::Relaxed);
                print(seed, &request, &ran);
                add(&mut counts, ran.counts);
            }
            counts
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = BTreeMap::new();
        handles.into_iter().for_each(|handle| add(&mut all, handle.join().expect("no panic")));
        all
    });
    for (what, count) in counts {
        println!("{count:>10} {what}");
    }
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn add(sum: &mut BTreeMap<String, u64>, counts: BTreeMap<String, u64>) {
    counts.into_iter().for_each(|(what, count)| *sum.entry(what).or_default() += count);
}

fn run(seed: u64, request: &Request) -> Ran {
    if request.kind == PACING {
        let pacing::Outcome { trace, failure, summary } = pacing::run(seed, request.trace);
        return Ran { trace, failure, summary: format!(", {summary}"), counts: BTreeMap::new() };
    }
    if request.kind == DRILL {
        let drill::Outcome { trace, failure, counts } = drill::run(seed, request.trace);
        return Ran { summary: String::new(), trace, failure, counts };
    }
    let outcome = world::run(seed, request.trace);
    let (rows, crashes, compared) = (outcome.rows, outcome.crashes, outcome.compared);
    let summary = format!(", {rows} rows, {crashes} crashes, {compared} comparisons");
    let counts = BTreeMap::new();
    Ran { trace: outcome.trace, failure: outcome.failure, summary, counts }
}

/// What runs a seed again.
fn command(seed: u64, request: &Request) -> String {
    format!("cargo run -p sim -- {}--seed {seed}", request.kind)
}

fn print(seed: u64, request: &Request, ran: &Ran) {
    if let Some(text) = ran.trace.full() {
        print!("{text}");
    }
    let (lines, hash) = (ran.trace.lines(), ran.trace.hash());
    println!("seed {seed}: {lines} lines{}, trace {hash:016x}", ran.summary);
    if let Some(failure) = &ran.failure {
        let command = command(seed, request);
        println!("{}{failure}\nseed {seed} failed: {command}", ran.trace.tail());
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut request = Request { base: 1, count: 1, trace: false, kind: "" };
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments.next().ok_or(format!("{argument} wants a number"))?;
            text.parse::<u64>().map_err(|error| format!("{argument} {text}: {error}"))
        };
        match argument.as_str() {
            "--seed" => request.base = number()?,
            "--seeds" => request.count = number()?,
            "--drill" => request.kind = DRILL,
            "--pacing" => request.kind = PACING,
            "--trace" => request.trace = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(request)
}
