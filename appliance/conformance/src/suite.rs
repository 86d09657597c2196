//! The suites by name.

use std::path::Path;

use crate::report::Report;
use crate::{promql_parse, promql_pretty};

/// A suite: public cases and how they are judged.
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// Judges the cases below the directory of test data: one report, or one a file.
    ///
    /// An error means that the test data is not there or not as expected.
    pub run: fn(&Path) -> anyhow::Result<Vec<Report>>,
}

/// Every suite.
pub const SUITES: &[Suite] = &[
    Suite { name: "promql_parse", run: promql_parse::run },
    Suite { name: "promql_pretty", run: promql_pretty::run },
];

/// The suite of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}
