//! Suite of configuration files: good ones load or are refused for what is unsupported alone, bad
//! ones are refused for their real fault.
//!
//! `config/good` counts the files that load; `config/named` those that Prometheus accepts and this
//! server refuses: each fault is of the kind "unsupported", has a place and says what to do.
//! `config/bad` counts the files that are refused with upstream's cause at a place of the file: a
//! file that is only refused as unsupported fails. `config/schema` compares the schema for editors:
//! good files are valid by it, and so is every file that loads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use server::config::fault::{ConfigError, FaultKind};
use server::config::load;
use server::config::schema::schema;

use crate::report::Report;
use crate::schema::validate;

/// Files that are neither `.good` nor `.bad` by name, and whether Prometheus loads them; those of
/// `agent_mode` only do without its agent mode.
const OTHERS: [(&str, bool); 8] = [
    ("agent_mode.with_alert_manager.yml", true),
    ("agent_mode.with_remote_reads.yml", true),
    ("agent_mode.with_rule_files.yml", true),
    ("agent_mode.without_remote_writes.yml", true),
    ("otlp_no_translation.incompatible.yml", false),
    ("scrape_config_default_validation_mode.yml", true),
    ("scrape_config_local_infer_escaping.yml", true),
    ("scrape_config_local_validation_mode.yml", true),
];
/// Causes that the file of expected errors leaves out.
const CAUSES: [(&str, &str); 3] = [
    ("otlp_no_translation.incompatible.yml", "is not allowed when UTF8 is disabled"),
    ("scrape_config_files_global.bad.yml", "scrape timeout greater than scrape interval"),
    ("scrape_config_files_global_duplicate.bad.yml", "found multiple scrape configs with job name"),
];

/// Judges every file.
///
/// # Errors
/// The directory or its file of expected errors is not there.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let directory = directory.join("prometheus/config");
    let path = directory.join("expected_errors.json");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let causes: BTreeMap<String, String> =
        serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
    let names = ["config/good", "config/named", "config/bad", "config/schema"];
    let [mut good, mut named, mut bad, mut schemas] = names.map(Report::new);
    let schema = schema();
    for path in files(&directory)? {
        let case = path.strip_prefix(&directory).unwrap_or(&path).display().to_string();
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {case}"))?;
        let loaded = load(&text, &path).map(drop);
        let is_good = OTHERS
            .iter()
            .find(|(name, _)| *name == case)
            .map_or(case.ends_with(".good.yml"), |(_, is_good)| *is_good);
        if is_good {
            schemas.count(&case, judge_schema(&schema, &text));
        }
        match (is_good, loaded) {
            (true, Ok(())) => good.count(case, Ok(())),
            (true, Err(error)) => named.count(case, judge_named(&error)),
            (false, loaded) => {
                let own = CAUSES.iter().find(|(name, _)| *name == case).map(|(_, cause)| *cause);
                let cause = own.or(causes.get(&case).map(String::as_str)).unwrap_or("");
                bad.count(case, judge_bad(loaded, cause));
            }
        }
    }
    Ok(vec![good, named, bad, schemas])
}

/// The files, also those that others name.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for place in [directory.to_owned(), directory.join("scrape_configs")] {
        let entries = std::fs::read_dir(&place).with_context(|| format!("{}", place.display()))?;
        let paths = entries.flatten().map(|entry| entry.path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|ending| ending == "yml")));
    }
    found.sort();
    Ok(found)
}

fn judge_named(error: &ConfigError) -> Result<(), String> {
    for fault in &error.faults {
        if fault.kind != FaultKind::Unsupported {
            return Err(format!("refused as wrong: {}", fault.text));
        }
        if fault.place.line == 0 || fault.remedy.is_empty() {
            return Err(format!("no place or nothing to do: {}", fault.text));
        }
    }
    Ok(())
}

fn judge_bad(loaded: Result<(), ConfigError>, cause: &str) -> Result<(), String> {
    let Err(error) = loaded else { return Err("loads".to_owned()) };
    // What upstream says before the cause names the file; ours says that of every fault.
    let cause = cause.split_once(".yml: ").map_or(cause, |(_, cause)| cause);
    let is_cause = |fault: &&server::config::fault::Fault| {
        fault.kind == FaultKind::Wrong && fault.place.line != 0 && fault.text.contains(cause)
    };
    if error.faults.iter().any(|fault| is_cause(&fault)) {
        return Ok(());
    }
    Err(format!("refused, but not for {cause:?}:\n{error}"))
}

fn judge_schema(schema: &Value, text: &str) -> Result<(), String> {
    let file: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    validate(schema, schema, &file, "").map_or(Ok(()), Err)
}
