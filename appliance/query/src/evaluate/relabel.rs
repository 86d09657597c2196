//! `label_replace` and `label_join`: functions of labels only.

use model::regex::GoRegex;

use crate::evaluate::budget::Budget;
use crate::evaluate::column::StepVector;
use crate::evaluate::fault::Fault;
use crate::evaluate::labels::with;
use crate::evaluate::merge::join_same_labels;

use model::label_set::METRIC_NAME;

/// `label_replace`
#[derive(Debug)]
pub(crate) struct Replace {
    regex: GoRegex,
    target: String,
    replacement: String,
    source: String,
}

impl Replace {
    /// A replacement of label `target` by `replacement` where `pattern` matches label `source`.
    ///
    /// # Errors
    /// The pattern or the label name is invalid.
    pub(crate) fn new(
        target: &str,
        replacement: &str,
        source: &str,
        pattern: &str,
    ) -> Result<Replace, Fault> {
        let regex = GoRegex::anchored(pattern).map_err(|_| {
            Fault::execution(format!("invalid regular expression in label_replace(): {pattern}"))
        })?;
        check_name(target, "destination", "label_replace")?;
        Ok(Replace {
            regex,
            target: target.to_owned(),
            replacement: replacement.to_owned(),
            source: source.to_owned(),
        })
    }

    /// Bytes of the compiled pattern.
    pub(crate) fn pattern_bytes(&self) -> u64 {
        self.regex.compiled_bytes() as u64
    }

    /// Replaces in every series.
    ///
    /// # Errors
    /// Two series have the same labels at one step, or the labels take too many bytes.
    pub(crate) fn apply(
        &self,
        mut vector: StepVector,
        budget: &mut Budget,
    ) -> Result<StepVector, Fault> {
        let groups = self.replacement.bytes().filter(|byte| *byte == b'$').count();
        for series in &mut vector {
            let source = series.labels.value(&self.source);
            // Replacements of replacements grow without end: the largest that may come is
            // admitted before it is made.
            let most = self.replacement.len().saturating_add(groups.saturating_mul(source.len()));
            budget.pass_bytes(most as u64)?;
            let value = self.regex.expand(source, &self.replacement);
            let Some(value) = value else { continue };
            series.labels = with(&series.labels, &self.target, &value);
            budget.take_bytes(series.labels.heap_bytes() as u64)?;
            series.drop_name &= self.target != METRIC_NAME;
        }
        join_same_labels(vector)
    }
}

/// `label_join`
#[derive(Debug)]
pub(crate) struct JoinLabels {
    target: String,
    separator: String,
    sources: Vec<String>,
}

impl JoinLabels {
    /// A join of labels `sources` into label `target`.
    ///
    /// # Errors
    /// A label name is invalid.
    pub(crate) fn new(
        target: &str,
        separator: &str,
        sources: Vec<String>,
    ) -> Result<JoinLabels, Fault> {
        for source in &sources {
            check_name(source, "source", "label_join")?;
        }
        check_name(target, "destination", "label_join")?;
        Ok(JoinLabels { target: target.to_owned(), separator: separator.to_owned(), sources })
    }

    /// Joins in every series.
    ///
    /// # Errors
    /// Two series have the same labels at one step, or the labels take too many bytes.
    pub(crate) fn apply(
        &self,
        mut vector: StepVector,
        budget: &mut Budget,
    ) -> Result<StepVector, Fault> {
        for series in &mut vector {
            let values: Vec<_> =
                self.sources.iter().map(|source| series.labels.value(source)).collect();
            let bytes: usize = values.iter().map(|value| value.len() + self.separator.len()).sum();
            budget.pass_bytes(bytes as u64)?;
            let value = values.join(&self.separator);
            series.labels = with(&series.labels, &self.target, &value);
            budget.take_bytes(series.labels.heap_bytes() as u64)?;
            series.drop_name &= self.target != METRIC_NAME;
        }
        join_same_labels(vector)
    }
}

fn check_name(name: &str, role: &str, function: &str) -> Result<(), Fault> {
    // Any UTF-8 text is a label name but the empty one. The parser puts the replacement character
    // where a literal is no UTF-8.
    if name.is_empty() || name.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Fault::execution(format!("invalid {role} label name in {function}(): {name}")));
    }
    Ok(())
}
