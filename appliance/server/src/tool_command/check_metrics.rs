//! `cresset check metrics`: judges text exposition on standard input.

use std::io::{Read as _, Write as _};

use anyhow::{Context, Result, anyhow, bail};

use crate::tool_command::ended::Ended;
use crate::tool_command::lint::{families, problems};
use crate::tsdb_command::print::output;

/// Gaps of the table: promtool's.
const GAP_CHARS: usize = 4;

/// Judges the text, and counts its series.
///
/// # Errors
/// It is no text exposition, nothing is asked, or the output refuses.
pub fn run(extended: bool, lint: bool) -> Result<Ended> {
    if !extended && !lint {
        bail!(
            "error: at least one of --extended or linting must be enabled\nUse --extended for \
             cardinality analysis, or remove --lint=none to enable linting"
        );
    }
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).context("read standard input")?;
    let families = families(&text).map_err(|error| anyhow!("error while linting: {error}"))?;
    let problems = if lint { problems(&families) } else { Vec::new() };
    for (name, text) in &problems {
        eprintln!("{name} {text}");
    }
    if extended {
        let mut counts: Vec<(&String, usize)> =
            families.iter().map(|(name, family)| (name, family.metrics.values().sum())).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let total: usize = counts.iter().map(|(_, count)| count).sum();
        let mut rows = vec![["Metric", "Cardinality", "Percentage"].map(str::to_owned)];
        for (name, count) in counts {
            rows.push([name.clone(), count.to_string(), format!("{:.2}%", share(count, total))]);
        }
        rows.push(["Total".to_owned(), total.to_string(), "100%".to_owned()]);
        write_rows(&rows)?;
    }
    Ok(if problems.is_empty() { Ended::Well } else { Ended::Linted })
}

#[expect(clippy::cast_precision_loss, reason = "percent of a count")]
fn share(count: usize, total: usize) -> f64 {
    count as f64 * 100.0 / total.max(1) as f64
}

/// Columns that line up, the last one padded too, as promtool's are.
fn write_rows(rows: &[[String; 3]]) -> Result<()> {
    let width = |column: usize| {
        let widest = rows.iter().map(|row| row[column].chars().count()).max();
        widest.unwrap_or(0) + GAP_CHARS
    };
    let widths = [width(0), width(1), width(2)];
    let mut out = output();
    for [name, count, share] in rows {
        let [first, second, third] = widths;
        writeln!(out, "{name:<first$}{count:<second$}{share:<third$}")?;
    }
    out.flush()?;
    Ok(())
}
