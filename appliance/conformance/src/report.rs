//! What a suite found: how many cases passed, which failed and why.

use std::fmt;

/// Verdict on one suite, or on one file of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// `promql_parse`, `promqltest/operators`.
    pub name: String,
    /// Cases that passed.
    pub passed: usize,
    /// Cases that did not.
    pub failures: Vec<Failure>,
}

/// A case that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which case: stable over runs, unique in its report.
    pub case: String,
    /// What was expected and what came.
    pub reason: String,
}

/// A case that is known to fail. One that passes, or that no suite has, fails the tests.
#[derive(Clone, Debug)]
pub struct Known {
    /// Name of its report.
    pub report: &'static str,
    /// The case.
    pub case: &'static str,
    /// Why that is right, or still so.
    pub reason: &'static str,
}

impl Report {
    /// A report without cases.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Report {
        Report { name: name.into(), passed: 0, failures: Vec::new() }
    }

    /// Counts one case: passed, or failed for the reason given.
    pub fn count(&mut self, case: impl Into<String>, verdict: Result<(), String>) {
        match verdict {
            Ok(()) => self.passed += 1,
            Err(reason) => self.failures.push(Failure { case: case.into(), reason }),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} passed, {} failed", self.name, self.passed, self.failures.len())
    }
}
