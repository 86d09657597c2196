//! Whole-process measurements: `bench list`, `bench run SCENARIO`.
//!
//! A scenario starts the release binary of the daemon (and, where it compares, Debian's programs)
//! on loopback, drives it with a fleet of made-up targets, prints figures as ratios and fails on a
//! broken promise, never on a slow one.

#![forbid(unsafe_code)]
// A measuring program reads clocks, waits and opens files; its figures are floats.
#![expect(clippy::disallowed_methods, reason = "a measuring program reads clocks and waits")]
#![expect(clippy::disallowed_types, reason = "a measuring program reads /proc and writes configs")]

use std::process::ExitCode;

mod behaviour;
mod client;
mod config;
mod fleet;
mod process;
mod serve;
mod scenario;

/// A named scenario with one line of explanation.
struct Entry {
    name: &'static str,
    what: &'static str,
    run: fn() -> anyhow::Result<()>,
}

const SCENARIOS: [Entry; 4] = [
    Entry {
        name: "scrape",
        what: "CPU, memory and disk of scraping 100 x 1,000 series at 5 s, beside Prometheus",
        run: scenario::scrape::run,
    },
    Entry {
        name: "crash",
        what: "kill -9 twenty times under 200 x 1,000 series at 1 s: durable rows are kept, once",
        run: scenario::crash::run,
    },
    Entry {
        name: "hostile",
        what: "2,000 targets, half of them broken in every way: the others keep their slots",
        run: scenario::hostile::run,
    },
    Entry {
        name: "agree",
        what: "the same node_exporter scraped by Prometheus: same label sets, same values",
        run: scenario::agree::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            for entry in &SCENARIOS {
                println!("{:10} {}", entry.name, entry.what);
            }
            ExitCode::SUCCESS
        }
        ["run", name] => run(name),
        _ => {
            eprintln!("usage: bench list | run SCENARIO");
            ExitCode::from(2)
        }
    }
}

fn run(name: &str) -> ExitCode {
    let Some(entry) = SCENARIOS.iter().find(|entry| entry.name == name) else {
        eprintln!("no scenario {name:?}; `bench list` names them");
        return ExitCode::from(2);
    };
    println!("# {}: {}", entry.name, entry.what);
    println!("# machine: {}", process::machine_facts());
    match (entry.run)() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
