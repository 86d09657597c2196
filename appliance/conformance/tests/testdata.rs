//! Runs every suite on the public test data, where it is there.
//!
//! The directory is `CRESSET_TESTDATA`, else `../shared/testdata` beside the workspace. Without it
//! nothing fails: what could not run is said aloud and counted.

use std::path::{Path, PathBuf};

use conformance::report::{Known, Report};
use conformance::suite::{SUITES, Suite};

fn directory() -> PathBuf {
    match std::env::var_os("CRESSET_TESTDATA") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata"),
    }
}

#[test]
fn every_suite_passes_but_for_the_known_failures() {
    let directory = directory();
    let mut faults = Vec::new();
    let (mut passed, mut known, mut skipped) = (0, 0, Vec::new());
    for suite in SUITES {
        let Some(reports) = run(suite, &directory, &mut faults) else {
            skipped.push(suite.name);
            continue;
        };
        for report in &reports {
            println!("{report}");
            passed += report.passed;
            known += judge(suite, report, &mut faults);
        }
        faults.extend(unseen(suite, &reports));
    }
    println!("{passed} cases passed, {known} failed as known, {} suites skipped", skipped.len());
    for name in skipped {
        println!("skipped {name}: no test data in {}", directory.display());
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The reports of a suite; `None` when there is no test data at all.
fn run(suite: &Suite, directory: &Path, faults: &mut Vec<String>) -> Option<Vec<Report>> {
    if !directory.is_dir() {
        return None;
    }
    match (suite.run)(directory) {
        Ok(reports) => Some(reports),
        Err(error) => {
            faults.push(format!("{}: {error:#}", suite.name));
            Some(Vec::new())
        }
    }
}

/// Counts the known failures of a report, collects the others.
fn judge(suite: &Suite, report: &Report, faults: &mut Vec<String>) -> usize {
    let expected =
        |case: &str| suite.known.iter().any(|k| k.report == report.name && k.case == case);
    let mut known = 0;
    for failure in &report.failures {
        if expected(&failure.case) {
            known += 1;
        } else {
            faults.push(format!("{} {}: {}", report.name, failure.case, failure.reason));
        }
    }
    known
}

/// Known failures of a suite that did not fail.
fn unseen(suite: &Suite, reports: &[Report]) -> Vec<String> {
    let failed = |known: &Known| {
        let fails = |report: &Report| {
            report.name == known.report && report.failures.iter().any(|f| f.case == known.case)
        };
        reports.iter().any(fails)
    };
    let unseen = suite.known.iter().filter(|known| !failed(known));
    unseen
        .map(|known| {
            let Known { report, case, reason } = known;
            format!("{report} {case} passes; drop it from the known failures ({reason})")
        })
        .collect()
}
