//! Whole-process measurements: `bench list`, `bench run SCENARIO`, `bench report`.
//!
//! A scenario starts the release binary of the daemon (and, where it compares, Debian's programs)
//! on loopback, drives it with a fleet of made-up targets, prints figures as ratios and fails on a
//! broken promise, never on a slow one.

#![forbid(unsafe_code)]
// A measuring program reads clocks, waits and opens files; its figures are floats.
#![expect(clippy::disallowed_methods, reason = "a measuring program reads clocks and waits")]
#![expect(clippy::disallowed_types, reason = "a measuring program reads /proc and writes configs")]

use std::process::ExitCode;

use crate::flags::Flags;

mod behaviour;
mod client;
mod config;
mod flags;
mod disturbance;
mod lateness;
mod fleet;
mod process;
mod peers;
mod report;
mod remote_write;
mod past;
mod exporters;
mod serve;
mod scenario;

/// A named scenario with one line of explanation.
struct Entry {
    name: &'static str,
    what: &'static str,
    run: fn(&Flags) -> anyhow::Result<()>,
}

const SCENARIOS: &[Entry] = &[
    Entry {
        name: "scrape",
        what: "CPU, memory, disk of scraping 100 x 1,000 series, and a kill -9, beside peers \
               (--targets N --series N --interval N --seconds N --churn PERCENT)",
        run: scenario::scrape::run,
    },
    Entry {
        name: "start",
        what: "an empty server beside its peers: until ready, and what it uses while it idles \
               (--seconds N)",
        run: scenario::start::run,
    },
    Entry {
        name: "growth",
        what: "cost as targets, series and range grow tenfold (--series N --seconds N)",
        run: scenario::growth::run,
    },
    Entry {
        name: "slots",
        what: "10,000 targets x 100 series at 10 s beside its peers (--targets N --seconds N)",
        run: scenario::slots::run,
    },
    Entry {
        name: "reload",
        what: "a reload of 20,000 targets (--targets N): how long, and whether it costs slots",
        run: scenario::reload::run,
    },
    Entry {
        name: "crash",
        what: "kill -9 twenty times under 200 x 1,000 series at 1 s: durable rows are kept, once",
        run: |flags| flags.none().and_then(|()| scenario::crash::run()),
    },
    Entry {
        name: "power",
        what: "a disk image copied at random moments (--copies N --seed S): each copy opens whole",
        run: scenario::power::run,
    },
    Entry {
        name: "hostile",
        what: "2,000 targets, half of them broken in every way: the others keep their slots",
        run: |flags| flags.none().and_then(|()| scenario::hostile::run()),
    },
    Entry {
        name: "agree",
        what: "the same exporters scraped by Prometheus: same series, staleness, scrape_* values",
        run: |flags| flags.none().and_then(|()| scenario::agree::run()),
    },
    Entry {
        name: "differ",
        what: "random queries over random data: as Prometheus 2.42 (--queries N --seed S --from N)",
        run: scenario::differ::run,
    },
    Entry {
        name: "disturbed",
        what: "lateness and commits while others load disk and cores, with the controller and \
               without (--targets N --series N --seconds N --rounds N --writers N)",
        run: scenario::disturbed::run,
    },
    Entry {
        name: "overhead",
        what: "what the programs in the kernel cost, each and end to end \
               (--rounds N --switches N --writes N --calls N)",
        run: scenario::overhead::run,
    },
    Entry {
        name: "host",
        what: "CPU of a scrape of /metrics/host beside node_exporter (--scrapes N --rounds N)",
        run: scenario::host::run,
    },
    Entry {
        name: "queries",
        what: "queries beside Prometheus and VictoriaMetrics on equal data \
               (--targets N --series N --hours N --runs N)",
        run: scenario::queries::run,
    },
    Entry {
        name: "disk",
        what: "bytes a sample of a day of each kind of series, compacted, beside peers \
               (--targets N --series N --hours N)",
        run: scenario::disk::run,
    },
    Entry {
        name: "punctual",
        what: "lateness of scrapes alone, under heavy queries, and while blocks are compacted \
               (--targets N --series N --hours N --seconds N)",
        run: scenario::punctual::run,
    },
    Entry {
        name: "push",
        what: "remote write at 100 k and 1 M series beside peers, answers about them, and 64 \
               writers and readers through a kill -9: acknowledged is stored \
               (--series N --large N --rounds N --writers N --readers N; 0 leaves a size out)",
        run: scenario::push::run,
    },
    Entry {
        name: "hostile_queries",
        what: "queries that ask for everything: refused within their budget while scraping keeps \
               its slots (--targets N --series N)",
        run: scenario::hostile_queries::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            for entry in SCENARIOS {
                println!("{:16} {}", entry.name, entry.what);
            }
            ExitCode::SUCCESS
        }
        ["run", name, ref flags @ ..] => run(name, flags),
        ["report", ref pages @ ..] => match report::run(pages) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("report: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: bench list | run SCENARIO [--FLAG VALUE]... | report [PAGE]...");
            ExitCode::from(2)
        }
    }
}

fn run(name: &str, flags: &[&str]) -> ExitCode {
    let Some(entry) = SCENARIOS.iter().find(|entry| entry.name == name) else {
        eprintln!("no scenario {name:?}; `bench list` names them");
        return ExitCode::from(2);
    };
    println!("# {}: {}", entry.name, entry.what);
    println!("# machine: {}", process::machine_facts());
    match Flags::read(flags).and_then(|flags| (entry.run)(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
