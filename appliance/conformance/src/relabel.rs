//! Suites of relabelling: rules as the configuration file has them, applied to label sets.
//!
//! Prometheus's own cases count all; of VictoriaMetrics's those whose rules Prometheus has too and
//! that mean the same in both.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use model::label_set::{Builder, LabelSet};
use scrape::relabel::{Rule, apply};
use serde::Deserialize;
use serde_json::{Value, json};
use server::config::load;

use crate::cases::read;
use crate::report::Report;

/// What a rule of Prometheus may hold.
const FIELDS: [&str; 7] =
    ["source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action"];
/// Actions that mean the same in both systems; VictoriaMetrics has another hash for hashmod.
const SHARED_ACTIONS: [&str; 10] = [
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
];

#[derive(Deserialize)]
struct Case {
    id: usize,
    input: BTreeMap<String, String>,
    relabel_configs: Value,
    output: BTreeMap<String, String>,
    drop: bool,
}

#[derive(Deserialize)]
struct ValidateCase {
    id: usize,
    config: BTreeMap<String, Value>,
    error: String,
}

#[derive(Deserialize)]
struct OtherCase {
    id: usize,
    config: String,
    metric: String,
    drop_double_underscore: bool,
    expected: String,
}

/// Judges all cases.
///
/// # Errors
/// A file of cases is not there or not of the expected form.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let mut applied = Report::new("relabel");
    for case in read::<Case>(directory, "prometheus/cases/relabel.json")? {
        applied.count(case.id.to_string(), judge(&case));
    }
    let mut validated = Report::new("relabel/validate");
    for case in read::<ValidateCase>(directory, "prometheus/cases/relabel_validate.json")? {
        validated.count(case.id.to_string(), judge_validity(&case));
    }
    let mut shared = Report::new("relabel/victoriametrics");
    for case in read::<OtherCase>(directory, "victoriametrics/cases/relabel.json")? {
        if let Some(rules) = shared_rules(&case.config) {
            shared.count(case.id.to_string(), judge_other(&case, rules));
        }
    }
    Ok(vec![applied, validated, shared])
}

fn judge(case: &Case) -> Result<(), String> {
    let mut labels = Builder::default();
    for (name, value) in &case.input {
        labels.set(name, value);
    }
    let kept = apply(&rules(&case.relabel_configs, "utf8")?, &mut labels);
    if kept == case.drop {
        return Err(format!("kept is {kept}, dropped should be {}", case.drop));
    }
    let expected = case.output.iter().fold(Builder::default(), |mut labels, (name, value)| {
        labels.set(name, value);
        labels
    });
    let (found, expected) = (labels.build(), expected.build());
    if kept && found != expected {
        return Err(format!("{found} instead of {expected}"));
    }
    Ok(())
}

fn judge_validity(case: &ValidateCase) -> Result<(), String> {
    let mut config = case.config.clone();
    let scheme = config.remove("namevalidationscheme");
    let scheme = scheme.as_ref().and_then(Value::as_str).unwrap_or("utf8");
    match (rules(&json!([config]), scheme), case.error.as_str()) {
        (Ok(_), "") => Ok(()),
        (Ok(_), error) => Err(format!("accepted, should be refused: {error}")),
        (Err(found), error) if !error.is_empty() && found.contains(error) => Ok(()),
        (Err(found), error) => Err(format!("{found:?} instead of {error:?}")),
    }
}

/// The rules of a case when Prometheus has them with the same meaning.
fn shared_rules(config: &str) -> Option<Value> {
    if config.trim().is_empty() {
        return Some(json!([]));
    }
    let rules: Value = serde_saphyr::from_str(config).ok()?;
    let is_shared = |rule: &Value| {
        let action = rule.get("action").and_then(Value::as_str).unwrap_or("replace");
        let template = rule.get("replacement").and_then(Value::as_str).unwrap_or("");
        SHARED_ACTIONS.contains(&action)
            && !template.contains("{{")
            && rule.as_object().is_some_and(|rule| {
                rule.iter().all(|(field, value)| {
                    FIELDS.contains(&field.as_str()) && (field != "regex" || value.is_string())
                })
            })
    };
    rules.as_array()?.iter().all(is_shared).then_some(rules)
}

fn judge_other(case: &OtherCase, written: Value) -> Result<(), String> {
    let mut labels = Builder::from(&labels_of(&case.metric)?);
    let kept = apply(&rules(&written, "utf8")?, &mut labels);
    if case.drop_double_underscore {
        labels.retain(|name| name == "__name__" || !name.starts_with("__"));
    }
    let found = if kept { labels.build() } else { LabelSet::empty() };
    let expected = labels_of(&case.expected)?;
    if found == expected { Ok(()) } else { Err(format!("{found} instead of {expected}")) }
}

/// The rules, read as those of a job.
fn rules(written: &Value, scheme: &str) -> Result<Vec<Rule>, String> {
    let file = json!({"scrape_configs": [{
        "job_name": "a",
        "metric_name_validation_scheme": scheme,
        "metric_relabel_configs": written,
    }]});
    let config = load(&file.to_string(), Path::new("cases")).map_err(|error| error.to_string())?;
    let job = config.jobs.first().ok_or("no job")?;
    Ok(job.job.metric_relabel.to_vec())
}

/// `name{a="b"}` as a label set; names may hold anything but what delimits them.
fn labels_of(text: &str) -> Result<LabelSet, String> {
    let mut labels = Builder::default();
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    if !name.is_empty() {
        labels.set("__name__", name);
    }
    let mut rest = rest.strip_suffix('}').ok_or("no closing brace")?;
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"').ok_or("no closing quote")?;
        labels.set(name, value);
        rest = next.strip_prefix(',').unwrap_or(next);
    }
    if rest.is_empty() { Ok(labels.build()) } else { Err(format!("left over: {rest}")) }
}
