//! Relabelling: rules that rewrite, keep or drop a label set, exactly as Prometheus 3.14 does.
//!
//! Never: fails once a rule is built; a rule that cannot apply leaves the labels as they are.

use std::sync::Arc;

use md5::{Digest, Md5};
use model::label_name::{is_legacy_label_name, is_legacy_metric_name, quote};
use model::label_set::Builder;
use model::regex::{GoRegex, RegexError};
use thiserror::Error;

/// Pattern of a rule that names none.
pub const REGEX_DEFAULT: &str = "(.*)";
/// Replacement of a rule that names none.
pub const REPLACEMENT_DEFAULT: &str = "$1";
/// Separator of a rule that names none.
pub const SEPARATOR_DEFAULT: &str = ";";

/// Which names of metrics and labels are legal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameScheme {
    /// Any text that is not empty.
    #[default]
    Utf8,
    /// The classic alphabet.
    Legacy,
}

impl NameScheme {
    /// Whether a label may have this name.
    #[must_use]
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            NameScheme::Utf8 => !name.is_empty(),
            NameScheme::Legacy => is_legacy_label_name(name),
        }
    }

    /// Whether a metric may have this name.
    #[must_use]
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            NameScheme::Utf8 => !name.is_empty(),
            NameScheme::Legacy => is_legacy_metric_name(name),
        }
    }
}

/// What a rule does with the joined values of its source labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Writes the expanded replacement to the target label when the pattern matches.
    Replace,
    /// Drops what the pattern does not match.
    Keep,
    /// Drops what the pattern matches.
    Drop,
    /// Drops what does not equal the target label.
    KeepEqual,
    /// Drops what equals the target label.
    DropEqual,
    /// Writes the MD5 of the joined values, modulo the modulus, to the target label.
    HashMod,
    /// Copies labels whose name matches to the name that the replacement gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Writes the joined values in lower case to the target label.
    Lowercase,
    /// Writes the joined values in upper case to the target label.
    Uppercase,
}

const ACTIONS: [(Action, &str); 11] = [
    (Action::Replace, "replace"),
    (Action::Keep, "keep"),
    (Action::Drop, "drop"),
    (Action::KeepEqual, "keepequal"),
    (Action::DropEqual, "dropequal"),
    (Action::HashMod, "hashmod"),
    (Action::LabelMap, "labelmap"),
    (Action::LabelDrop, "labeldrop"),
    (Action::LabelKeep, "labelkeep"),
    (Action::Lowercase, "lowercase"),
    (Action::Uppercase, "uppercase"),
];

impl Action {
    /// The action of this name, in any case of letters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Action> {
        let lower = name.to_ascii_lowercase();
        ACTIONS.iter().find(|(_, text)| *text == lower).map(|(action, _)| *action)
    }

    /// Whether it compares two labels and has no other fields.
    #[must_use]
    pub fn takes_two_labels(self) -> bool {
        matches!(self, Action::KeepEqual | Action::DropEqual)
    }

    /// Whether it selects labels by name and has no other fields.
    #[must_use]
    pub fn takes_names(self) -> bool {
        matches!(self, Action::LabelDrop | Action::LabelKeep)
    }

    /// The name of the action.
    #[must_use]
    pub fn text(self) -> &'static str {
        let found = ACTIONS.iter().find(|(action, _)| *action == self);
        found.map_or("", |(_, text)| text)
    }
}

/// One `relabel_config` as written; fields that the file leaves out hold the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOptions {
    /// Labels whose values are joined. Default none.
    pub source_labels: Vec<String>,
    /// Put between the joined values. Default [`SEPARATOR_DEFAULT`].
    pub separator: String,
    /// Pattern, anchored at both ends. Default [`REGEX_DEFAULT`].
    pub regex: String,
    /// Divisor of hashmod. Default 0, which hashmod refuses.
    pub modulus: u64,
    /// Label that is written or compared. Default "".
    pub target_label: String,
    /// What is written, with `$1` and `${name}` for groups. Default [`REPLACEMENT_DEFAULT`].
    pub replacement: String,
    /// Name of the action, in any case of letters. Default "replace".
    pub action: String,
    /// Which label names are legal. Default UTF-8.
    pub name_scheme: NameScheme,
}

impl Default for RuleOptions {
    fn default() -> RuleOptions {
        RuleOptions {
            source_labels: Vec::new(),
            separator: SEPARATOR_DEFAULT.to_owned(),
            regex: REGEX_DEFAULT.to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: REPLACEMENT_DEFAULT.to_owned(),
            action: Action::Replace.text().to_owned(),
            name_scheme: NameScheme::Utf8,
        }
    }
}

/// Why a rule is refused, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// The action is written but empty.
    #[error("relabel action cannot be empty")]
    ActionEmpty,
    /// No action has this name.
    #[error("unknown relabel action {}", quote(.0))]
    ActionUnknown(String),
    /// hashmod by zero.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    Modulus,
    /// The action writes or compares a label, and none is named.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    TargetLabelMissing(&'static str),
    /// The target label cannot be a label name.
    #[error("{} is invalid 'target_label' for {action} action", quote(.name))]
    TargetLabel {
        /// The name that was given.
        name: String,
        /// The action.
        action: &'static str,
    },
    /// The action has no replacement.
    #[error("'replacement' can not be set for {0} action")]
    ReplacementSet(&'static str),
    /// The replacement of labelmap cannot be a label name.
    #[error("{} is invalid 'replacement' for {action} action", quote(.name))]
    Replacement {
        /// The replacement that was given.
        name: String,
        /// The action.
        action: &'static str,
    },
    /// keepequal and dropequal take two fields.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    EqualFields(&'static str),
    /// labeldrop and labelkeep take one field.
    #[error("{0} action requires only 'regex', and no other fields")]
    NameFields(&'static str),
    /// The pattern does not compile.
    #[error(transparent)]
    Regex(#[from] RegexError),
}

/// One compiled rule.
#[derive(Clone, Debug)]
pub struct Rule {
    options: Arc<RuleOptions>,
    action: Action,
    regex: GoRegex,
    /// Whether the pattern is the default, whose match is everything.
    regex_is_default: bool,
}

/// Rules are equal when they were written equal.
impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        self.options == other.options
    }
}

impl Eq for Rule {}

impl Rule {
    /// Checks and compiles one rule.
    ///
    /// # Errors
    /// See [`RuleError`]; the rule cannot be used.
    pub fn new(options: &RuleOptions) -> Result<Rule, RuleError> {
        if options.action.is_empty() {
            return Err(RuleError::ActionEmpty);
        }
        let action = Action::parse(&options.action)
            .ok_or_else(|| RuleError::ActionUnknown(options.action.clone()))?;
        check_target_label(action, options)?;
        check_other_fields(action, options)?;
        Ok(Rule {
            action,
            regex: GoRegex::anchored(&options.regex)?,
            regex_is_default: options.regex == REGEX_DEFAULT,
            options: Arc::new(options.clone()),
        })
    }

    /// What it does.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// The rule as it was written.
    #[must_use]
    pub fn options(&self) -> &RuleOptions {
        &self.options
    }
}

/// Applies `rules` in order; false when one says to drop, and `labels` are then of no use.
#[must_use]
pub fn apply(rules: &[Rule], labels: &mut Builder) -> bool {
    rules.iter().all(|rule| apply_rule(rule, labels))
}

fn apply_rule(rule: &Rule, labels: &mut Builder) -> bool {
    let options = &*rule.options;
    let joined = join(options, labels);
    match rule.action {
        Action::Drop => return !rule.regex.is_match(&joined),
        Action::Keep => return rule.regex.is_match(&joined),
        Action::DropEqual => return labels.value(&options.target_label) != joined,
        Action::KeepEqual => return labels.value(&options.target_label) == joined,
        Action::Replace => replace(rule, &joined, labels),
        Action::Lowercase => {
            labels.set(&options.target_label, &map_case(&joined, simple_lowercase));
        }
        Action::Uppercase => {
            labels.set(&options.target_label, &map_case(&joined, simple_uppercase));
        }
        Action::HashMod => {
            labels.set(&options.target_label, &hash_mod(&joined, options.modulus).to_string());
        }
        Action::LabelMap => map_names(rule, labels),
        Action::LabelDrop => {
            labels.retain(|name| !rule.regex.is_match(name));
        }
        Action::LabelKeep => {
            labels.retain(|name| rule.regex.is_match(name));
        }
    }
    true
}

fn join(options: &RuleOptions, labels: &Builder) -> String {
    let mut joined = String::new();
    for (at, name) in options.source_labels.iter().enumerate() {
        if at != 0 {
            joined.push_str(&options.separator);
        }
        joined.push_str(labels.value(name));
    }
    joined
}

fn replace(rule: &Rule, joined: &str, labels: &mut Builder) {
    let options = &*rule.options;
    let constant = !options.target_label.contains('$') && !options.replacement.contains('$');
    if joined.is_empty() && rule.regex_is_default && constant {
        labels.set(&options.target_label, &options.replacement);
        return;
    }
    let Some(target) = rule.regex.expand(joined, &options.target_label) else { return };
    if !options.name_scheme.is_label_name(&target) {
        return;
    }
    let value = rule.regex.expand(joined, &options.replacement).unwrap_or_default();
    labels.set(&target, &value);
}

fn map_names(rule: &Rule, labels: &mut Builder) {
    let mapped: Vec<(String, String)> = labels
        .iter()
        .filter_map(|(name, value)| {
            let target = rule.regex.expand(name, &rule.options.replacement)?;
            Some((target, value.to_owned()))
        })
        .collect();
    for (name, value) in mapped {
        labels.set(&name, &value);
    }
}

/// The last 8 bytes of the MD5, big endian, modulo `modulus`.
fn hash_mod(text: &str, modulus: u64) -> u64 {
    let hash: [u8; 16] = Md5::digest(text.as_bytes()).into();
    let last: [u8; 8] = hash[8..].try_into().expect("an MD5 has 16 bytes");
    u64::from_be_bytes(last) % modulus
}

/// Go maps character by character and knows one-to-one mappings only.
fn map_case(text: &str, map: impl Fn(char) -> char) -> String {
    text.chars().map(map).collect()
}

fn simple_lowercase(c: char) -> char {
    let mut full = c.to_lowercase();
    match (full.next(), full.next()) {
        (Some(one), None) => one,
        // U+0130 is the only character whose full mapping is longer than its simple one.
        _ if c == '\u{130}' => 'i',
        _ => c,
    }
}

fn simple_uppercase(c: char) -> char {
    let mut full = c.to_uppercase();
    if let (Some(one), None) = (full.next(), full.next()) {
        return one;
    }
    // Greek letters with iota below: the capital stands 8 or 9 places on.
    let places = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(u32::from(c) + places).unwrap_or(c)
}

fn check_target_label(action: Action, options: &RuleOptions) -> Result<(), RuleError> {
    use Action::{DropEqual, HashMod, KeepEqual, Lowercase, Replace, Uppercase};
    if action == HashMod && options.modulus == 0 {
        return Err(RuleError::Modulus);
    }
    let name = &options.target_label;
    if !matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual) {
        return Ok(());
    }
    if name.is_empty() {
        return Err(RuleError::TargetLabelMissing(action.text()));
    }
    let legal = if action == Replace && name.contains('$') {
        is_name_template(name, options.name_scheme)
    } else {
        options.name_scheme.is_label_name(name)
    };
    if legal {
        Ok(())
    } else {
        Err(RuleError::TargetLabel { name: name.clone(), action: action.text() })
    }
}

fn check_other_fields(action: Action, options: &RuleOptions) -> Result<(), RuleError> {
    use Action::{DropEqual, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Uppercase};
    let text = action.text();
    let replaced = options.replacement != REPLACEMENT_DEFAULT;
    let others = options.modulus != 0 || options.separator != SEPARATOR_DEFAULT || replaced;
    match action {
        Lowercase | Uppercase | KeepEqual | DropEqual if replaced => {
            Err(RuleError::ReplacementSet(text))
        }
        LabelMap if !is_name_template(&options.replacement, options.name_scheme) => {
            Err(RuleError::Replacement { name: options.replacement.clone(), action: text })
        }
        KeepEqual | DropEqual if others || options.regex != REGEX_DEFAULT => {
            Err(RuleError::EqualFields(text))
        }
        LabelDrop | LabelKeep => {
            let named = !options.source_labels.is_empty() || !options.target_label.is_empty();
            if named || others { Err(RuleError::NameFields(text)) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// Whether `template` may become a label name: upstream's
/// `^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$` for the classic alphabet.
fn is_name_template(template: &str, scheme: NameScheme) -> bool {
    if scheme == NameScheme::Utf8 {
        return !template.is_empty();
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = template;
    let mut at_start = true;
    while let Some(first) = rest.chars().next() {
        if let Some(variable) = rest.strip_prefix('$') {
            let braced = variable.strip_prefix('{');
            let name = braced.unwrap_or(variable);
            let end = name.find(|c| !word(c)).unwrap_or(name.len());
            if end == 0 {
                return false;
            }
            rest = &name[end..];
            if braced.is_some() {
                let Some(after) = rest.strip_prefix('}') else { return false };
                rest = after;
            }
        } else if word(first) && !(at_start && first.is_ascii_digit()) {
            rest = &rest[1..];
        } else {
            return false;
        }
        at_start = false;
    }
    !template.is_empty()
}

#[cfg(test)]
mod tests {
    use model::label_set::LabelSet;

    use super::*;

    fn rule(action: &str, change: impl FnOnce(&mut RuleOptions)) -> Rule {
        let mut options = RuleOptions { action: action.to_owned(), ..RuleOptions::default() };
        change(&mut options);
        Rule::new(&options).unwrap()
    }

    #[track_caller]
    fn check(rule: &Rule, labels: &[(&str, &str)], expected: &str) {
        let mut builder = Builder::from(&LabelSet::new(labels.iter().copied()));
        let kept = apply(std::slice::from_ref(rule), &mut builder);
        let got = if kept { builder.build().to_string() } else { "dropped".to_owned() };
        assert_eq!(got, expected);
    }

    #[track_caller]
    fn refuse(action: &str, change: impl FnOnce(&mut RuleOptions), expected: &str) {
        let mut options = RuleOptions { action: action.to_owned(), ..RuleOptions::default() };
        change(&mut options);
        let text = Rule::new(&options).map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(text, expected);
    }

    #[test]
    fn replace_without_match_or_with_empty_value() {
        let to_b = rule("replace", |o| {
            o.source_labels = vec!["a".into()];
            o.regex = "f(.*)".into();
            o.target_label = "b".into();
        });
        check(&to_b, &[("a", "foo"), ("b", "x")], r#"{a="foo", b="oo"}"#);
        check(&to_b, &[("a", "f"), ("b", "x")], r#"{a="f"}"#);
        check(&to_b, &[("a", "bar"), ("b", "x")], r#"{a="bar", b="x"}"#);
    }

    #[test]
    fn hashmod_takes_the_last_eight_bytes() {
        let sharded = rule("HashMod", |o| {
            o.source_labels = vec!["a".into()];
            o.target_label = "b".into();
            o.modulus = 1000;
        });
        check(&sharded, &[("a", "foo\nbar")], r#"{a="foo\nbar", b="734"}"#);
    }

    #[test]
    fn case_maps_one_to_one_as_go_does() {
        let upper = rule("uppercase", |o| {
            o.source_labels = vec!["a".into()];
            o.target_label = "a".into();
        });
        check(&upper, &[("a", "straße ᾀé")], "{a=\"STRAßE ᾈÉ\"}");
        let lower = rule("lowercase", |o| {
            o.source_labels = vec!["a".into()];
            o.target_label = "a".into();
        });
        check(&lower, &[("a", "ΟΔΟΣ İ")], "{a=\"οδοσ i\"}");
    }

    #[test]
    fn labelmap_reads_the_labels_before_it_writes() {
        let swap = rule("labelmap", |o| {
            o.regex = "a(.*)".into();
            o.replacement = "aa$1".into();
        });
        check(&swap, &[("a", "1"), ("aa", "2")], r#"{a="1", aa="1", aaa="2"}"#);
    }

    #[test]
    fn rules_that_cannot_work_are_refused() {
        refuse("", |_| {}, "relabel action cannot be empty");
        refuse("mirror", |_| {}, "unknown relabel action \"mirror\"");
        refuse(
            "replace",
            |_| {},
            "relabel configuration for replace action requires 'target_label' value",
        );
        refuse(
            "hashmod",
            |o| o.target_label = "a".into(),
            "relabel configuration for hashmod requires non-zero modulus",
        );
        refuse(
            "labeldrop",
            |o| o.source_labels = vec!["a".into()],
            "labeldrop action requires only 'regex', and no other fields",
        );
        refuse(
            "keepequal",
            |o| {
                o.target_label = "a".into();
                o.regex = "x".into();
            },
            "keepequal action requires only 'source_labels' and `target_label`, and no other \
             fields",
        );
    }

    #[test]
    fn legacy_scheme_refuses_names_outside_the_alphabet() {
        for (name, legal) in [
            ("a$1", true),
            ("${1}", true),
            ("$1-x", false),
            ("0$1", false),
            ("a", true),
            ("", false),
        ] {
            assert_eq!(is_name_template(name, NameScheme::Legacy), legal, "{name}");
        }
    }
}
