//! `conformance DIR SUITE... [--verbose]`: judges the appliance by public test data.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use conformance::suite::{self, SUITES};

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let verbose = args.iter().any(|arg| arg == "--verbose");
    args.retain(|arg| arg != "--verbose");
    let Some((directory, names)) = args.split_first() else {
        let known: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        eprintln!("usage: conformance DIR SUITE... [--verbose]\nsuites: {}", known.join(" "));
        return ExitCode::FAILURE;
    };
    let mut failed = false;
    for name in names {
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
            println!("{report}");
            failed |= !report.failures.is_empty();
            for failure in report.failures.iter().filter(|_| verbose) {
                println!("  {}: {}", failure.case, failure.reason);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
