//! Group: targets that one source names together, and the labels they share.
//!
//! Source: Prometheus's `discovery/targetgroup`.

use std::collections::BTreeMap;

use model::label_set::{Builder, LabelSet};
use serde::Deserialize;

/// Label of the address.
pub const ADDRESS: &str = "__address__";

/// Targets of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Names the source within its mechanism: a newer group of the same source replaces this one.
    pub source: String,
    /// Labels of all of them.
    pub labels: LabelSet,
    /// Each target's own labels, `__address__` among them; they win over the group's.
    pub targets: Vec<LabelSet>,
}

impl Group {
    /// A group without targets: the source has none any more.
    #[must_use]
    pub fn gone(source: String) -> Group {
        Group { source, labels: LabelSet::empty(), targets: Vec::new() }
    }

    /// The labels of each target, those of the group included.
    pub fn label_sets(&self) -> impl Iterator<Item = LabelSet> {
        self.targets.iter().map(|own| {
            let mut labels = Builder::from(&self.labels);
            for (name, value) in own {
                labels.set(name, value);
            }
            labels.build()
        })
    }
}

/// A group as people and programs write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    targets: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Reads the groups of a JSON text. `labels_more` are set in each of them, and `source_of` names
/// the source of the group at a place.
///
/// # Errors
/// The text is not a list of groups.
pub fn read_json(
    text: &[u8],
    labels_more: &[(&str, &str)],
    source_of: impl Fn(usize) -> String,
) -> Result<Vec<Group>, String> {
    let written = serde_json::from_slice::<Option<Vec<Option<Written>>>>(text);
    finish(written.map_err(|error| error.to_string())?, labels_more, source_of)
}

/// [`read_json`] of a YAML text.
///
/// # Errors
/// The text is not a list of groups.
pub fn read_yaml(
    text: &str,
    labels_more: &[(&str, &str)],
    source_of: impl Fn(usize) -> String,
) -> Result<Vec<Group>, String> {
    // An empty document, such as one of comments only, is an empty list.
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(|line| is_blank(line) || line == "---") {
        return Ok(Vec::new());
    }
    let written = serde_saphyr::from_str::<Option<Vec<Option<Written>>>>(text);
    finish(written.map_err(|error| one_line(&error.to_string()))?, labels_more, source_of)
}

/// The YAML reader's errors quote the text over several lines; the first says what and where.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or("").trim_start_matches("error: ").to_owned()
}

fn finish(
    written: Option<Vec<Option<Written>>>,
    labels_more: &[(&str, &str)],
    source_of: impl Fn(usize) -> String,
) -> Result<Vec<Group>, String> {
    let mut groups = Vec::new();
    for (at, written) in written.unwrap_or_default().into_iter().enumerate() {
        let Some(written) = written else { return Err("nil target group item found".to_owned()) };
        let mut labels = Builder::default();
        for (name, value) in written.labels.iter().flatten() {
            if name.is_empty() {
                return Err("\"\" is not a valid label name".to_owned());
            }
            labels.set(name, value);
        }
        for (name, value) in labels_more {
            labels.set(name, value);
        }
        let addresses = written.targets.unwrap_or_default();
        let targets = addresses.iter().map(|address| LabelSet::new([(ADDRESS, address.as_str())]));
        groups.push(Group {
            source: source_of(at),
            labels: labels.build(),
            targets: targets.collect(),
        });
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: Result<Vec<Group>, String>, expected: &str) {
        let shown = match read {
            Ok(groups) => {
                let all = groups.iter().flat_map(Group::label_sets);
                all.map(|labels| labels.to_string()).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expected);
    }

    fn json(text: &str) -> Result<Vec<Group>, String> {
        read_json(text.as_bytes(), &[("__meta_url", "u")], |at| at.to_string())
    }

    fn yaml(text: &str) -> Result<Vec<Group>, String> {
        read_yaml(text, &[], |at| at.to_string())
    }

    #[test]
    fn groups_are_read_from_both_notations() {
        let labels = r#"{__address__="a:1", __meta_url="u", job="x"}"#;
        check(json(r#"[{"targets": ["a:1"], "labels": {"job": "x"}}]"#), labels);
        check(json("[]"), "");
        check(json("null"), "");
        check(json(r#"[{"targets": []}]"#), "");
        check(
            yaml("- targets: ['a:1', b]\n  labels: {rack: 7}\n"),
            r#"{__address__="a:1", rack="7"} {__address__="b", rack="7"}"#,
        );
        check(yaml("# nothing\n---\n"), "");
    }

    #[test]
    fn what_is_no_list_of_groups_is_refused() {
        let known = "`targets` or `labels`";
        check(
            json(r#"[{"target": []}]"#),
            &format!("error: unknown field `target`, expected {known} at line 1 column 10"),
        );
        check(json("[null]"), "error: nil target group item found");
        check(json(r#"[{"labels": {"": "x"}}]"#), "error: \"\" is not a valid label name");
        assert!(yaml("- targets: {a: 1}\n").is_err());
        assert!(yaml("- targetz: []\n").is_err());
        assert!(yaml("targets: []\n").is_err());
    }
}
