//! Rule files, which `rule_files` names.

use crate::config::field::{Table, yes};

/// A rule file.
pub static RULE_FILE: Table = Table {
    title: "rule file",
    type_name: "rulefmt.RuleGroups",
    doc: "A file that `rule_files` names; `cresset check rules` checks it.",
    parts: &[&[yes("groups", "list of rule group", "[]", "Groups of rules.")]],
};

/// One of `groups`
pub static RULE_GROUP: Table = Table {
    title: "rule group",
    type_name: "rulefmt.RuleGroup",
    doc: "Rules that are evaluated one after the other.",
    parts: &[&[
        yes("name", "text", "", "Its name, once in a file."),
        yes("interval", "duration", "", "How often; default is evaluation_interval."),
        yes("query_offset", "duration", "", "How far behind the clock."),
        yes("limit", "integer", "0", "Most series or alerts of a rule; 0 is no limit."),
        yes("labels", "labels", "{}", "Labels of what each rule gives."),
        yes("rules", "list of rule", "[]", "Its rules."),
    ]],
};

/// One of `rules`
pub static RULE: Table = Table {
    title: "rule",
    type_name: "rulefmt.Rule",
    doc: "A series to record, or an alert.",
    parts: &[&[
        yes("record", "text", "", "Name of the series."),
        yes("alert", "text", "", "Name of the alert."),
        yes("expr", "text", "", "Expression of PromQL."),
        yes("for", "duration", "0s", "How long an alert is pending."),
        yes("keep_firing_for", "duration", "0s", "How long an alert fires on."),
        yes("labels", "labels", "{}", "Labels of what it gives; an alert's are templates."),
        yes("annotations", "labels", "{}", "Annotations of an alert, templates."),
    ]],
};
