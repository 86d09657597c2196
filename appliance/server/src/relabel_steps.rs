//! Relabel steps: what each rule of a job makes of a label set, for the page of discovery.

use api::backend::RelabelStep;
use model::label_set::{Builder, LabelSet};
use scrape::relabel::{Rule, apply};
use serde_json::{Map, Value, json};

/// What each of `rules` makes of `labels`. After one that drops them there are none.
#[must_use]
pub fn steps(rules: &[Rule], labels: &LabelSet) -> Vec<RelabelStep> {
    let mut builder = Builder::from(labels);
    let mut keep = true;
    let step = |rule: &Rule| {
        keep = keep && apply(std::slice::from_ref(rule), &mut builder);
        let output = if keep { builder.clone().build() } else { LabelSet::empty() };
        RelabelStep { rule: shown(rule), output, keep }
    };
    rules.iter().map(step).collect()
}

/// The rule in upstream's JSON: what is empty is left out, but for separator and replacement.
fn shown(rule: &Rule) -> Value {
    let options = rule.options();
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value, is_empty: bool| {
        if !is_empty {
            fields.insert(name.to_owned(), value);
        }
    };
    let names = &options.source_labels;
    set("source_labels", json!(names), names.is_empty());
    set("separator", json!(options.separator), false);
    set("regex", json!(options.regex), false);
    set("modulus", json!(options.modulus), options.modulus == 0);
    set("target_label", json!(options.target_label), options.target_label.is_empty());
    set("replacement", json!(options.replacement), false);
    set("action", json!(rule.action().text()), false);
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use scrape::relabel::RuleOptions;

    use super::*;

    #[test]
    fn nothing_is_left_after_the_rule_that_drops() {
        let rule = |action: &str, target: &str| {
            let options = RuleOptions {
                source_labels: vec!["a".to_owned()],
                target_label: target.to_owned(),
                action: action.to_owned(),
                ..RuleOptions::default()
            };
            Rule::new(&options).expect("valid")
        };
        let rules = [rule("replace", "b"), rule("drop", ""), rule("replace", "c")];
        let steps = steps(&rules, &LabelSet::new([("a", "x")]));
        assert_eq!(steps[0].output, LabelSet::new([("a", "x"), ("b", "x")]));
        assert_eq!(steps.iter().map(|step| step.keep).collect::<Vec<_>>(), [true, false, false]);
        assert!(steps[2].output.is_empty());
        assert_eq!(
            steps[1].rule,
            json!({"source_labels": ["a"], "separator": ";", "regex": "(.*)",
                "replacement": "$1", "action": "drop"})
        );
    }
}
