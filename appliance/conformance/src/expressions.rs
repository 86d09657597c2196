//! Expressions: what rules and dashboards in real use ask, with Grafana's variables filled in.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Origins with rules in `rules/**`, dashboards in `queries/*.json`, or both.
pub const ORIGINS: [&str; 4] = [
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

/// An expression of a file.
pub struct Expression {
    /// File and position in it.
    pub case: String,
    /// Its text, variables filled in.
    pub text: String,
}

impl Expression {
    /// The selector of Grafana's own `label_values(selector, label)`, which it turns into
    /// `match[]`; nothing for PromQL.
    #[must_use]
    pub fn values_of(&self) -> Option<&str> {
        let rest = self.text.strip_prefix("label_values(")?;
        rest.rsplit_once(',').map(|(selector, _)| selector)
    }
}

/// Every expression of an origin, in order of file.
///
/// # Errors
/// A file cannot be read.
pub fn expressions_of(directory: &Path, origin: &str) -> Result<Vec<Expression>> {
    let mut found = Vec::new();
    for part in ["rules", "queries"].map(|part| directory.join(origin).join(part)) {
        if !part.is_dir() {
            continue;
        }
        for path in files_below(&part)? {
            let file = path.strip_prefix(directory).unwrap_or(&path).display();
            for (at, expr) in expressions(&path)?.iter().enumerate() {
                let case = format!("{file} {at}");
                found.push(Expression { case, text: fill_variables(expr) });
            }
        }
    }
    Ok(found)
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
