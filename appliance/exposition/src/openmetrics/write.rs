//! Series as OpenMetrics writes them.

use model::label_name::{is_legacy_label_name, is_legacy_metric_name};
use model::label_set::{LabelSet, METRIC_NAME};

/// Name and labels; names that only newer readers know are quoted.
#[must_use]
pub fn series_text(labels: &LabelSet) -> String {
    let name = labels.value(METRIC_NAME);
    let mut inner = String::new();
    let is_plain = is_legacy_metric_name(name);
    if !is_plain && !name.is_empty() {
        inner.push_str(&quoted(name));
    }
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        if !inner.is_empty() {
            inner.push(',');
        }
        let plain = is_legacy_label_name(name);
        let name = if plain { name.to_owned() } else { quoted(name) };
        inner.push_str(&name);
        inner.push('=');
        inner.push_str(&quoted(value));
    }
    if is_plain { format!("{name}{{{inner}}}") } else { format!("{{{inner}}}") }
}

/// OpenMetrics knows three escapes; Go's others would be read as they stand.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_condensed_and_quoted_where_they_must() {
        let labels = LabelSet::new([("__name__", "a_b"), ("c", "d\"\\\n"), ("e", "f")]);
        assert_eq!(series_text(&labels), "a_b{c=\"d\\\"\\\\\\n\",e=\"f\"}");
        let dotted = LabelSet::new([("__name__", "a.b"), ("c.d", "e")]);
        assert_eq!(series_text(&dotted), "{\"a.b\",\"c.d\"=\"e\"}");
        assert_eq!(series_text(&LabelSet::new([("__name__", "up")])), "up{}");
    }
}
