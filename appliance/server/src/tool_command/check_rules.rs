//! `cresset check rules`: rule files, read as strictly as the server reads them.
//!
//! Source: `checkRules` of Prometheus's `cmd/promtool/main.go`.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rules::group::{Group, duplicates};
use scrape::relabel::NameScheme;

use crate::config::fault::ConfigError;
use crate::config::rule_file::{RuleOptions, load};
use crate::tool_arguments::RuleLint;
use crate::tool_command::ended::Ended;
use crate::tsdb_command::print::output;

/// Checks the files, or standard input where none is named.
///
/// # Errors
/// Standard input cannot be read, or the output refuses.
pub fn run(files: &[PathBuf], lint: &RuleLint) -> Result<Ended> {
    if files.is_empty() {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("read standard input")?;
        say("Checking standard input")?;
        return judge(Path::new("standard input"), &text, lint);
    }
    check(files, lint)
}

/// Checks the files.
///
/// # Errors
/// The output refuses.
pub fn check(files: &[PathBuf], lint: &RuleLint) -> Result<Ended> {
    let mut ended = Ended::Well;
    for file in files {
        say(&format!("Checking {}", file.display()))?;
        let judged = match std::fs::read_to_string(file) {
            Ok(text) => judge(file, &text, lint)?,
            Err(error) => {
                eprintln!("  FAILED:\n{}: {error}", file.display());
                Ended::Failed
            }
        };
        ended = ended.max(judged);
    }
    Ok(ended)
}

fn judge(file: &Path, text: &str, lint: &RuleLint) -> Result<Ended> {
    let options = RuleOptions {
        promql: lint.promql,
        names: NameScheme::Utf8,
        ignores_unknown: lint.ignores_unknown,
    };
    let groups = match load(text, file, &options) {
        Ok(groups) => groups,
        Err(error) => {
            eprint!("  FAILED:\n{}", lines(file, &error));
            return Ok(Ended::Failed);
        }
    };
    if lint.duplicates
        && let Some(text) = duplicate_text(&groups)
    {
        eprintln!("  FAILED:\nlint error {text}");
        say("")?;
        return Ok(if lint.is_fatal { Ended::Linted } else { Ended::Well });
    }
    let count: usize = groups.iter().map(|group| group.rules.len()).sum();
    say(&format!("  SUCCESS: {count} rules found\n"))?;
    Ok(Ended::Well)
}

/// A line a fault, as upstream writes it.
fn lines(file: &Path, error: &ConfigError) -> String {
    let mut lines = String::new();
    for fault in &error.faults {
        let (place, remedy) = (fault.place, &fault.remedy);
        let gap = if remedy.is_empty() { "" } else { "; " };
        lines.push_str(&format!(
            "{}: {}:{}: {}{gap}{remedy}\n",
            file.display(),
            place.line,
            place.column,
            fault.text
        ));
    }
    lines
}

fn duplicate_text(groups: &[Group]) -> Option<String> {
    let found = duplicates(groups);
    if found.is_empty() {
        return None;
    }
    let mut text = format!("{} duplicate rule(s) found.\n", found.len());
    for (name, labels) in &found {
        text.push_str(&format!("Metric: {name}\nLabel(s):\n"));
        for (label, value) in labels {
            text.push_str(&format!("\t{label}: {value}\n"));
        }
    }
    text.push_str("Might cause inconsistency while recording expressions");
    Some(text)
}

fn say(line: &str) -> Result<()> {
    let mut out = output();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
