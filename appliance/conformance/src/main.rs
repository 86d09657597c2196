//! `conformance DIR [SUITE...] [--verbose]`: judges the appliance by public test data.
//!
//! Without a suite's name, all run.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use conformance::suite::{self, SUITES};

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let verbose = args.iter().any(|arg| arg == "--verbose");
    args.retain(|arg| arg != "--verbose");
    let Some((directory, names)) = args.split_first() else {
        eprintln!("usage: conformance DIR [SUITE...] [--verbose]\nsuites: {}", all().join(" "));
        return ExitCode::FAILURE;
    };
    let names = if names.is_empty() { all() } else { names.to_vec() };
    let mut failed = false;
    for name in &names {
        let Some(suite) = suite::find(name) else {
            eprintln!("no suite {name:?}");
            return ExitCode::FAILURE;
        };
        let reports = match (suite.run)(Path::new(directory)) {
            Ok(reports) => reports,
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed = true;
                continue;
            }
        };
        for report in &reports {
            let is_known = |case: &str| {
                suite.known.iter().any(|known| known.report == report.name && known.case == case)
            };
            let known = report.failures.iter().filter(|failure| is_known(&failure.case)).count();
            let note = if known == 0 { String::new() } else { format!(" ({known} known)") };
            println!("{report}{note}");
            failed |= known < report.failures.len();
            for failure in report.failures.iter().filter(|_| verbose) {
                println!("  {}: {}", failure.case, failure.reason);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn all() -> Vec<String> {
    SUITES.iter().map(|suite| suite.name.to_owned()).collect()
}
