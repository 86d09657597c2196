//! Runs simulations by seed: `sim --seed N` one, `sim --seeds K [--seed BASE]` many.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use sim::world::run;

/// What the command line asks for.
struct Request {
    base: u64,
    count: u64,
    trace: bool,
}

fn main() -> ExitCode {
    let request = match parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(text) => {
            eprintln!("{text}\nusage: sim [--seed N] [--seeds K] [--trace]");
            return ExitCode::FAILURE;
        }
    };
    for seed in request.base..request.base.saturating_add(request.count) {
        println!("seed {seed}: cargo run -p sim -- --seed {seed}");
        let outcome = run(seed, request.trace);
        if let Some(text) = outcome.trace.full() {
            print!("{text}");
        }
        if let Some(failure) = outcome.failure {
            println!("{}{failure}", outcome.trace.tail());
            println!("seed {seed} failed: cargo run -p sim -- --seed {seed}");
            return ExitCode::FAILURE;
        }
        println!(
            "  {} lines, {} rows, {} crashes, {} comparisons, trace {:016x}",
            outcome.trace.lines(),
            outcome.rows,
            outcome.crashes,
            outcome.compared,
            outcome.trace.hash()
        );
    }
    ExitCode::SUCCESS
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut request = Request { base: 1, count: 1, trace: false };
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments.next().ok_or(format!("{argument} wants a number"))?;
            text.parse::<u64>().map_err(|error| format!("{argument} {text}: {error}"))
        };
        match argument.as_str() {
            "--seed" => request.base = number()?,
            "--seeds" => request.count = number()?,
            "--trace" => request.trace = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(request)
}
