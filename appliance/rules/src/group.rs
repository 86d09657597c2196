//! Groups: the rules of one file, checked.
//!
//! Path: the reader of rule files → **group** → whoever evaluates or shows them.

use query::ast::Expr;

/// Rules that are evaluated one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name, once in a file.
    pub name: String,
    /// How often, milliseconds; `None` takes the server's.
    pub interval_ms: Option<u64>,
    /// How far behind the clock, milliseconds; `None` takes the server's.
    pub query_offset_ms: Option<u64>,
    /// Most series or alerts that a rule may give; 0 is no limit.
    pub limit: u64,
    /// Labels of what each rule gives, in order of name.
    pub labels: Vec<(String, String)>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it makes.
    pub kind: RuleKind,
    /// Name of the series or of the alert.
    pub name: String,
    /// The expression as written.
    pub text: String,
    /// The expression.
    pub expr: Expr,
    /// Labels of what it gives, in order of name; an alert's are templates.
    pub labels: Vec<(String, String)>,
}

/// What a rule makes.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// A series.
    Recording,
    /// Alerts.
    Alerting {
        /// How long it is pending, milliseconds.
        for_ms: u64,
        /// How long it fires on, milliseconds.
        keep_firing_for_ms: u64,
        /// Templates by name, in order of name.
        annotations: Vec<(String, String)>,
    },
}

/// Variables that templates of alerts may use.
pub const TEMPLATE_VARIABLES: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

/// Names and labels that more than one rule gives, each once, in order.
#[must_use]
pub fn duplicates(groups: &[Group]) -> Vec<(String, Vec<(String, String)>)> {
    let mut all: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for group in groups {
        for rule in &group.rules {
            let mut labels: std::collections::BTreeMap<String, String> =
                group.labels.iter().cloned().collect();
            labels.extend(rule.labels.iter().cloned());
            all.push((rule.name.clone(), labels.into_iter().collect()));
        }
    }
    all.sort();
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for pair in all.windows(2) {
        if pair[0] == pair[1] && found.last() != Some(&pair[0]) {
            found.push(pair[0].clone());
        }
    }
    found
}
