//! Suite `promql_pretty`: expressions and how they are laid out for a given width.

use std::path::Path;

use anyhow::Result;
use query::parse::options::Options;
use query::print::pretty::pretty;
use serde::Deserialize;

use crate::cases;
use crate::report::Report;

#[derive(Deserialize)]
struct Case {
    group: String,
    id: u32,
    max_line: usize,
    #[serde(rename = "in")]
    input: String,
    out: String,
}

/// Runs the suite.
///
/// # Errors
/// The cases cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let cases: Vec<Case> = cases::read(directory, "prometheus/cases/promql_pretty.json")?;
    let mut report = Report::new("promql_pretty");
    for case in &cases {
        report.count(format!("{} {}", case.group, case.id), judge(case));
    }
    Ok(vec![report])
}

fn judge(case: &Case) -> Result<(), String> {
    let expr = query::parse::parse(&case.input, &Options::ALL)
        .map_err(|errors| format!("refused: {errors}"))?;
    let found = pretty(&expr, case.max_line);
    if found != case.out {
        return Err(format!("expected {:?}, found {found:?}", case.out));
    }
    let again = query::parse::parse(&found, &Options::ALL)
        .map_err(|errors| format!("layout does not parse: {errors}"))?;
    if again.to_string() == expr.to_string() {
        Ok(())
    } else {
        Err(format!("layout parses to {again}"))
    }
}
