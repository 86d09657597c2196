//! Rule files, read strictly as upstream reads them.
//!
//! Path: text → `tree` → **rule_file** → groups of `rules`.
//! Source: Prometheus's `model/rulefmt/rulefmt.go`; faults have its words.

use std::collections::BTreeSet;
use std::path::Path;

use ::rules::group::{Group, Rule, RuleKind, TEMPLATE_VARIABLES};
use ::rules::template::parse as template;
use model::label_name::quote;
use model::label_set::METRIC_NAME;
use query::ast::Expr;
use query::parse::options::Options;
use query::parse::parse;
use scrape::relabel::NameScheme;

use crate::config::fault::{ConfigError, Fault, Place};
use crate::config::fields::rules::{RULE, RULE_FILE, RULE_GROUP};
use crate::config::form::Form;
use crate::config::section::{Findings, Section, scalar_text};
use crate::config::tree::{self, Kind, Node};

/// How files are read.
#[derive(Clone, Copy, Debug)]
pub struct RuleOptions {
    /// What PromQL may have.
    pub promql: Options,
    /// Which names labels and series may have.
    pub names: NameScheme,
    /// Unknown fields are passed over.
    pub ignores_unknown: bool,
}

/// Reads the rule file `text`, which is called `path`.
///
/// # Errors
/// Every fault found, up to a bound.
pub fn load(text: &str, path: &Path, options: &RuleOptions) -> Result<Vec<Group>, ConfigError> {
    let mut findings = Findings::default();
    findings.enter(path, text);
    let mut groups = Vec::new();
    match tree::parse(text) {
        Ok(root) => groups = read(&root, options, &mut findings),
        Err(fault) => findings.push(fault),
    }
    if options.ignores_unknown {
        let is_unknown = |fault: &Fault| {
            fault.text.starts_with("field ") && fault.text.contains(" not found in type rulefmt.")
        };
        findings.faults.retain(|fault| !is_unknown(fault));
    }
    findings.faults.sort_by_key(|fault| fault.place);
    if findings.faults.is_empty() {
        return Ok(groups);
    }
    Err(ConfigError { sources: findings.sources, faults: findings.faults })
}

fn read(root: &Node, options: &RuleOptions, findings: &mut Findings) -> Vec<Group> {
    Form::Section(&RULE_FILE).check(root, findings);
    let top = Section::open(root, &RULE_FILE, findings);
    let mut names = BTreeSet::new();
    let mut groups = Vec::new();
    for node in top.list("groups", findings) {
        let group = group(node, options, findings);
        if group.name.is_empty() {
            findings.push(Fault::wrong(node.place, "Groupname must not be empty"));
        } else if !names.insert(group.name.clone()) {
            let text = format!("groupname: \"{}\" is repeated in the same file", group.name);
            findings.push(Fault::wrong(node.place, text));
        }
        groups.push(group);
    }
    groups
}

fn group(node: &Node, options: &RuleOptions, findings: &mut Findings) -> Group {
    let section = Section::open(node, &RULE_GROUP, findings);
    let name = section.text("name", findings).unwrap_or("").to_owned();
    let limit = section.integer("limit", findings).unwrap_or(0);
    let labels = pairs(&section, "labels", findings);
    for (place, label, _) in &labels {
        if let Some(text) = label_fault(label, options.names) {
            findings.push(Fault::wrong(*place, text));
        }
    }
    let mut rules = Vec::new();
    for (at, node) in section.list("rules", findings).iter().enumerate() {
        let mut reader = RuleReader { group: &name, number: at + 1, options, findings };
        rules.extend(reader.rule(node));
    }
    Group {
        interval_ms: section.duration_ms("interval", findings).filter(|ms| *ms != 0),
        query_offset_ms: section.duration_ms("query_offset", findings),
        limit: u64::try_from(limit).unwrap_or(0),
        labels: sorted(labels),
        rules,
        name,
    }
}

struct RuleReader<'a> {
    group: &'a str,
    number: usize,
    options: &'a RuleOptions,
    findings: &'a mut Findings,
}

impl RuleReader<'_> {
    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let section = Section::open(node, &RULE, self.findings);
        let record = section.text("record", self.findings).unwrap_or("");
        let alert = section.text("alert", self.findings).unwrap_or("");
        let name = if alert.is_empty() { record } else { alert };
        let mut faults = Vec::new();
        match (record, alert) {
            ("", "") => {
                faults.push((section.place, "one of 'record' or 'alert' must be set".to_owned()));
            }
            ("", _) | (_, "") => {}
            _ => {
                let place = section.place_of("record");
                let text = "only one of 'record' and 'alert' must be set".to_owned();
                faults.push((place, text));
            }
        }
        let text = section.text("expr", self.findings).unwrap_or("");
        let expr = self.expression(text, section.place_of("expr"), &mut faults);
        let for_ms = section.duration_ms("for", self.findings).unwrap_or(0);
        let keep_firing_for_ms = section.duration_ms("keep_firing_for", self.findings).unwrap_or(0);
        let labels = pairs(&section, "labels", self.findings);
        let annotations = pairs(&section, "annotations", self.findings);
        if !record.is_empty() {
            let fields = [
                ("annotations", !annotations.is_empty()),
                ("for", for_ms != 0),
                ("keep_firing_for", keep_firing_for_ms != 0),
            ];
            self.recording(record, section.place_of("record"), &fields, &mut faults);
        }
        self.names(&labels, &annotations, &mut faults);
        if !alert.is_empty() {
            templates(alert, "label", &labels, &mut faults);
            templates(alert, "annotation", &annotations, &mut faults);
        }
        for (place, text) in faults {
            let (group, name) = (quote(self.group), quote(name));
            let text = format!("group {group}, rule {}, {name}: {text}", self.number);
            self.findings.push(Fault::wrong(place, text));
        }
        let kind = if alert.is_empty() {
            RuleKind::Recording
        } else {
            RuleKind::Alerting { for_ms, keep_firing_for_ms, annotations: sorted(annotations) }
        };
        let (name, text) = (name.to_owned(), text.to_owned());
        Some(Rule { kind, name, text, expr: expr?, labels: sorted(labels) })
    }

    fn expression(
        &self,
        text: &str,
        place: Place,
        faults: &mut Vec<(Place, String)>,
    ) -> Option<Expr> {
        if text.is_empty() {
            faults.push((place, "field 'expr' must be set in rule".to_owned()));
            return None;
        }
        match parse(text, &self.options.promql) {
            Ok(expr) => Some(expr),
            Err(error) => {
                faults.push((place, format!("could not parse expression: {error}")));
                None
            }
        }
    }

    fn recording(
        &self,
        record: &str,
        place: Place,
        fields: &[(&str, bool)],
        faults: &mut Vec<(Place, String)>,
    ) {
        for (field, is_set) in fields {
            if *is_set {
                faults.push((place, format!("invalid field '{field}' in recording rule")));
            }
        }
        if !self.options.names.is_metric_name(record) {
            faults.push((place, format!("invalid recording rule name: {record}")));
        }
        if record.contains(['{', '}']) {
            let text = "braces present in the recording rule name; should it be in expr?";
            faults.push((place, format!("{text}: {record}")));
        }
    }

    fn names(&self, labels: &[Pair], annotations: &[Pair], faults: &mut Vec<(Place, String)>) {
        for (place, label, _) in labels {
            let fault = label_fault(label, self.options.names);
            faults.extend(fault.map(|text| (*place, text)));
        }
        for (place, name, _) in annotations {
            if !self.options.names.is_label_name(name) {
                faults.push((*place, format!("invalid annotation name: {name}")));
            }
        }
    }
}

/// A label or annotation: where it stands, name and value.
type Pair = (Place, String, String);

fn pairs(section: &Section<'_>, field: &'static str, findings: &mut Findings) -> Vec<Pair> {
    let text = |node: &Node| match node.kind {
        Kind::Null => String::new(),
        _ => scalar_text(node).unwrap_or("").to_owned(),
    };
    let entries = section.map(field, findings);
    entries.into_iter().map(|(key, value)| (key.place, text(key), text(value))).collect()
}

fn sorted(pairs: Vec<Pair>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = pairs.into_iter().map(|(_, name, value)| (name, value)).collect();
    pairs.sort();
    pairs
}

fn label_fault(name: &str, names: NameScheme) -> Option<String> {
    let is_valid = names.is_label_name(name) && name != METRIC_NAME;
    (!is_valid).then(|| format!("invalid label name: {name}"))
}

fn templates(alert: &str, what: &str, pairs: &[Pair], faults: &mut Vec<(Place, String)>) {
    for (place, name, value) in pairs {
        let parsed = template::parse(&format!("__alert_{alert}"), value, &TEMPLATE_VARIABLES);
        if let Err(error) = parsed {
            faults.push((*place, format!("{what} {}: {error}", quote(name))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: RuleOptions =
        RuleOptions { promql: Options::STABLE, names: NameScheme::Utf8, ignores_unknown: false };

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match load(text, Path::new("r.yml"), &OPTIONS) {
            Ok(groups) => {
                let shown = |group: &Group| format!("{} {}", group.name, group.rules.len());
                groups.iter().map(shown).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn groups_are_read() {
        check("", "");
        check(
            "groups:
- name: a
  interval: 30s
  rules:
  - {record: 'a:b', expr: sum(b), labels: {x: y}}
  - alert: Down
    expr: up == 0
    for: 5m
    annotations: {summary: '{{ $labels.instance }} is {{ $value }}'}
",
            "a 2",
        );
    }

    #[test]
    fn faults_name_group_rule_and_place() {
        let rule = |rule: &str| format!("groups:\n- name: a\n  rules:\n  - {rule}\n");
        check(
            &rule("{record: b, expr: rate(hi)}"),
            "r.yml:4:23: group \"a\", rule 1, \"b\": could not parse expression: 1:6: parse error: \
             expected type range vector in call to function \"rate\", got instant vector",
        );
        check(
            &rule("{alert: b, expr: 1, annotation: {}}"),
            "r.yml:4:25: field annotation not found in type rulefmt.Rule; did you mean \
             annotations?",
        );
        check(
            &rule("{record: b, alert: c, expr: 1}"),
            "r.yml:4:14: group \"a\", rule 1, \"c\": only one of 'record' and 'alert' must be set",
        );
        check(
            &rule("{record: b, expr: 1, for: 1m}"),
            "r.yml:4:14: group \"a\", rule 1, \"b\": invalid field 'for' in recording rule",
        );
        check(
            &rule("{alert: b, expr: 1, labels: {x: '{{ $label.x }}'}}"),
            "r.yml:4:34: group \"a\", rule 1, \"b\": label \"x\": template: __alert_b:1: undefined \
             variable \"$label\"",
        );
        check(
            "groups: [{name: a}, {name: a}, {}]",
            "r.yml:1:21: groupname: \"a\" is repeated in the same file\nr.yml:1:32: Groupname \
             must not be empty",
        );
    }

    #[test]
    fn unknown_fields_are_passed_over_on_request() {
        let options = RuleOptions { ignores_unknown: true, ..OPTIONS };
        let text = "groups: [{name: a, owner: me, rules: [{record: b, expr: 1, team: x}]}]";
        assert!(load(text, Path::new("r"), &options).is_ok());
        assert!(load(text, Path::new("r"), &OPTIONS).is_err());
    }

    /// What upstream's own tests accept and refuse.
    #[test]
    fn upstreams_files_are_judged_alike() {
        let Some(data) = std::env::var_os("CRESSET_TESTDATA") else {
            println!("skipped: CRESSET_TESTDATA names no test data");
            return;
        };
        let entries = std::fs::read_dir(Path::new(&data).join("prometheus/rulefmt"));
        for entry in entries.expect("test data").flatten() {
            let path = entry.path();
            let name = path.file_name().expect("name").to_string_lossy().into_owned();
            let names = if name.contains("legacy") { NameScheme::Legacy } else { NameScheme::Utf8 };
            let options = RuleOptions { names, ..OPTIONS };
            let text = std::fs::read_to_string(&path).expect("read");
            let loaded = load(&text, &path, &options);
            assert_eq!(loaded.is_err(), name.contains(".bad."), "{name}: {loaded:?}");
        }
    }
}
