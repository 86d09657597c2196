//! Relabel: lists of `relabel_config` as rules.
//!
//! Source: `Config.UnmarshalYAML` of Prometheus's `model/relabel/relabel.go`.
//! A field that is written without a value is empty there; it does not hold the default.

use std::sync::Arc;

use model::label_name::quote;
use model::regex::GoRegex;
use scrape::relabel::{NameScheme, REGEX_DEFAULT, Rule, RuleError, RuleOptions};

use crate::config::fault::Fault;
use crate::config::fields::scrape::RELABEL;
use crate::config::section::{Findings, Section};
use crate::config::tree::{Kind, Node};

/// The rules of the list `field`; an item without a value is refused as `empty`.
pub fn rules(
    section: &Section<'_>,
    field: &'static str,
    empty: &str,
    name_scheme: NameScheme,
    findings: &mut Findings,
) -> Arc<[Rule]> {
    let mut rules = Vec::new();
    for node in section.list(field, findings) {
        if matches!(node.kind, Kind::Null) {
            findings.push(Fault::wrong(node.place, empty));
            continue;
        }
        if let Some(rule) = rule(node, name_scheme, findings) {
            rules.push(rule);
        }
    }
    rules.into()
}

fn rule(node: &Node, name_scheme: NameScheme, findings: &mut Findings) -> Option<Rule> {
    let section = Section::open(node, &RELABEL, findings);
    let mut options = RuleOptions { name_scheme, ..RuleOptions::default() };
    options.source_labels = section.texts("source_labels", findings);
    if let Some(bad) = options.source_labels.iter().find(|name| name.is_empty()) {
        let text = format!("{} is not a valid label name", quote(bad));
        findings.push(Fault::wrong(section.place_of("source_labels"), text));
    }
    options.modulus = section.count("modulus", findings).unwrap_or(0);
    let mut set = |name, field: &mut String| {
        if section.is_null(name) {
            field.clear();
        } else if let Some(text) = section.text(name, findings) {
            text.clone_into(field);
        }
    };
    set("separator", &mut options.separator);
    set("regex", &mut options.regex);
    set("target_label", &mut options.target_label);
    set("replacement", &mut options.replacement);
    set("action", &mut options.action);
    if let Err(error) = GoRegex::anchored(&options.regex) {
        findings.push(Fault::wrong(section.place_of("regex"), error.to_string()));
        return None;
    }
    match Rule::new(&options).and_then(|rule| check_presence(&section, &rule).map(|()| rule)) {
        Ok(rule) => Some(rule),
        Err(error) => {
            findings.push(Fault::wrong(node.place, error.to_string()));
            None
        }
    }
}

/// Some actions refuse a field for being there, whatever its value.
fn check_presence(section: &Section<'_>, rule: &Rule) -> Result<(), RuleError> {
    let action = rule.action();
    let has_default_regex = section.text("regex", &mut Findings::default()) == Some(REGEX_DEFAULT);
    if action.takes_two_labels() && has_default_regex {
        return Err(RuleError::EqualFields(action.text()));
    }
    if action.takes_names() && section.get("source_labels").is_some() {
        return Err(RuleError::NameFields(action.text()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fields::scrape::SCRAPE;
    use crate::config::tree::parse;

    #[track_caller]
    fn check(rule: &str, expected: &str) {
        let text = format!("relabel_configs: [{rule}]");
        let mut findings = Findings::default();
        let node = parse(&text).expect("YAML");
        let section = Section::open(&node, &SCRAPE, &mut findings);
        let rules = rules(&section, "relabel_configs", "empty", NameScheme::Utf8, &mut findings);
        let shown = match findings.faults.first() {
            Some(fault) => fault.text.clone(),
            None => format!("{:?}", rules[0].options().regex),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_field_without_a_value_is_empty() {
        check("{target_label: a}", "\"(.*)\"");
        check("{regex: , target_label: a}", "\"\"");
        check("{action: , target_label: a}", "relabel action cannot be empty");
        check(
            "{action: labelmap, replacement: }",
            "\"\" is invalid 'replacement' for labelmap action",
        );
    }

    #[test]
    fn some_actions_refuse_a_field_for_being_there() {
        let text = "labeldrop action requires only 'regex', and no other fields";
        check("{action: labeldrop, source_labels: []}", text);
        check("{action: labeldrop, source_labels: , regex: a}", "\"a\"");
        check(
            "{action: keepequal, source_labels: [a], target_label: b, regex: (.*)}",
            "keepequal action requires only 'source_labels' and `target_label`, and no other \
             fields",
        );
        check("{source_labels: [''], target_label: a}", "\"\" is not a valid label name");
    }
}
