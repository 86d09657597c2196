//! Suite `promql_real`: expressions of rules and dashboards in real use; each must parse.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use query::parse::options::Options;
use serde::Deserialize;

use crate::report::Report;

/// Origins with rules in `rules/**`, dashboards in `queries/*.json`, or both.
const ORIGINS: [&str; 4] = [
    "kube-prometheus",
    "monitoring-mixins",
    "awesome-prometheus-alerts",
    "rfmoz-grafana-dashboards",
];

#[derive(Deserialize)]
struct Dashboard {
    queries: Vec<Panel>,
}

#[derive(Deserialize)]
struct Panel {
    expr: String,
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    /// Some files have the key and nothing below it.
    rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
struct Rule {
    expr: String,
}

/// Runs the suite: one report an origin.
///
/// # Errors
/// A file cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for origin in ORIGINS {
        let mut report = Report::new(format!("promql_real/{origin}"));
        let mut files = Vec::new();
        for part in ["rules", "queries"].map(|part| directory.join(origin).join(part)) {
            if part.is_dir() {
                files.extend(files_below(&part)?);
            }
        }
        for path in files {
            for (at, expr) in expressions(&path)?.iter().enumerate() {
                let file = path.strip_prefix(directory).unwrap_or(&path).display();
                report.count(format!("{file} {at}"), judge(expr));
            }
        }
        reports.push(report);
    }
    Ok(reports)
}

fn judge(expr: &str) -> Result<(), String> {
    let text = fill_variables(expr);
    let refused = |errors| format!("{text:?} refused: {errors}");
    // Grafana's own: it asks the server for values with the selector as `match[]`.
    let values_of = text.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(','));
    if let Some((selector, _)) = values_of {
        return query::parse::parse_selector(selector).map(|_| ()).map_err(refused);
    }
    let parsed = query::parse::parse(&text, &Options::STABLE).map_err(refused)?;
    let printed = parsed.to_string();
    let again = query::parse::parse(&printed, &Options::STABLE).map_err(refused)?;
    if again.to_string() == printed {
        Ok(())
    } else {
        Err(format!("{printed:?} parses to {:?}", again.to_string()))
    }
}

/// Every file below `directory`, in order.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let entries = std::fs::read_dir(&directory)
            .with_context(|| format!("list {}", directory.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { waiting.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

fn expressions(path: &Path) -> Result<Vec<String>> {
    let read = || std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
    let place = || format!("parse {}", path.display());
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => {
            let dashboard: Dashboard = serde_json::from_str(&read()?).with_context(place)?;
            Ok(dashboard.queries.into_iter().map(|panel| panel.expr).collect())
        }
        Some("yml" | "yaml") => {
            let file: RuleFile = serde_saphyr::from_str(&read()?).with_context(place)?;
            let rules = file.groups.into_iter().filter_map(|group| group.rules).flatten();
            Ok(rules.map(|rule| rule.expr).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Grafana's variables replaced by what it might send: `$__rate_interval`, `${node}`,
/// `${node:regex}`, `[[node]]`.
fn fill_variables(expr: &str) -> String {
    let mut filled = String::new();
    let mut rest = expr;
    while let Some(at) = rest.find(['$', '[']) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after) = if let Some(braced) = rest.strip_prefix("${") {
            braced.split_once('}').unwrap_or((braced, ""))
        } else if let Some(bracketed) = rest.strip_prefix("[[") {
            bracketed.split_once("]]").unwrap_or((bracketed, ""))
        } else if let Some(plain) = rest.strip_prefix('$') {
            plain.split_at(plain.find(|c| !word(c)).unwrap_or(plain.len()))
        } else {
            ("", &rest[1..])
        };
        let kept = &rest[..1];
        filled.push_str(match name {
            "" => kept,
            name if name.contains("interval") || name.contains("range") => "5m",
            name if name.contains("quantile") => "0.9",
            _ => "x",
        });
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled() {
        let expr = r#"rate(a{b="$b",c=~"^${d:regex}$"}[$__rate_interval]) / b[5m]"#;
        let filled = r#"rate(a{b="x",c=~"^x$"}[5m]) / b[5m]"#;
        assert_eq!(fill_variables(expr), filled);
    }
}
