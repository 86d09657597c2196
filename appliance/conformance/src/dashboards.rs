//! Suite `dashboards`: expressions of rules and dashboards in real use must evaluate, instant and
//! as ranges, over nothing, over demo data and over pages of a node exporter.

use std::path::Path;

use anyhow::{Context, Result};
use model::time::TimestampMs;
use query::evaluate::{EngineOptions, LOOKBACK_MS_DEFAULT, Query, Unbounded, evaluate};

use crate::compliance::{END_MS, STEP_MS, demo};
use crate::expressions::{Expression, ORIGINS, expressions_of};
use crate::memory::Memory;
use crate::report::Report;

/// Milliseconds of the range queries.
const RANGE_MS: i64 = 120_000;

/// A page that most of the dashboards ask about.
const PAGE: &str = "node_exporter/exposition/e2e-output.txt";
/// Milliseconds between its scrapes, and over which it was scraped.
const SCRAPE_MS: (usize, i64) = (15_000, 600_000);
/// Labels of its targets: variables are filled with `x`, rules name the job.
const JOBS: [&str; 3] = ["x", "node", "node-exporter"];

/// Runs the suite: one report an origin.
///
/// # Errors
/// A file cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let stores = [Memory::default(), demo(directory)?, scraped(directory)?];
    let mut reports = Vec::new();
    for origin in ORIGINS {
        let mut report = Report::new(format!("dashboards/{origin}"));
        for expression in expressions_of(directory, origin)? {
            let verdict = stores.iter().try_for_each(|store| judge(&expression, store));
            report.count(expression.case.clone(), verdict);
        }
        reports.push(report);
    }
    Ok(reports)
}

fn scraped(directory: &Path) -> Result<Memory> {
    let path = directory.join(PAGE);
    let page = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let times: Vec<i64> = (END_MS - SCRAPE_MS.1..=END_MS).step_by(SCRAPE_MS.0).collect();
    let mut memory = Memory::default();
    for job in JOBS {
        let labels = [("job", job), ("instance", "x"), ("cluster", "x")];
        memory.scrape(&page, &labels, &times).with_context(|| path.display().to_string())?;
    }
    Ok(memory)
}

fn judge(expression: &Expression, store: &Memory) -> Result<(), String> {
    let text = expression.values_of().unwrap_or(&expression.text);
    for (start_ms, step_ms) in [(END_MS, 0), (END_MS - RANGE_MS, STEP_MS)] {
        let query = Query {
            text: text.to_owned(),
            start: TimestampMs(start_ms),
            end: TimestampMs(END_MS),
            step_ms,
            lookback_ms: LOOKBACK_MS_DEFAULT,
            options: EngineOptions::default(),
        };
        evaluate(&query, store, &Unbounded)
            .map_err(|error| format!("{text:?} with step {step_ms} ms: {error}"))?;
    }
    Ok(())
}
