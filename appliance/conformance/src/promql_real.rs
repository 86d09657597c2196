//! Suite `promql_real`: expressions of rules and dashboards in real use; each must parse.

use std::path::Path;

use anyhow::Result;
use query::parse::options::Options;

use crate::expressions::{Expression, ORIGINS, expressions_of};
use crate::report::Report;

/// Runs the suite: one report an origin.
///
/// # Errors
/// A file cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for origin in ORIGINS {
        let mut report = Report::new(format!("promql_real/{origin}"));
        for expression in expressions_of(directory, origin)? {
            report.count(expression.case.clone(), judge(&expression));
        }
        reports.push(report);
    }
    Ok(reports)
}

fn judge(expression: &Expression) -> Result<(), String> {
    let text = &expression.text;
    let refused = |errors| format!("{text:?} refused: {errors}");
    if let Some(selector) = expression.values_of() {
        return query::parse::parse_selector(selector).map(|_| ()).map_err(refused);
    }
    let parsed = query::parse::parse(text, &Options::STABLE).map_err(refused)?;
    let printed = parsed.to_string();
    let again = query::parse::parse(&printed, &Options::STABLE).map_err(refused)?;
    if again.to_string() == printed {
        Ok(())
    } else {
        Err(format!("{printed:?} parses to {:?}", again.to_string()))
    }
}
