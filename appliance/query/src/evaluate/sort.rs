//! `sort`, `sort_desc`, `sort_by_label`: the order of an instant query's samples.

use std::cmp::Ordering;

use model::label_set::LabelSet;

use crate::evaluate::column::StepVector;

/// Sorts by value, NaN last; histograms go.
pub(crate) fn sort_by_value(vector: &mut StepVector, descending: bool) {
    for series in vector.iter_mut() {
        series.column.drop_histograms();
    }
    vector.retain(|series| !series.column.is_empty());
    if vector.iter().any(|series| series.column.steps() != 1) {
        return;
    }
    vector.sort_by(|a, b| {
        let (a, b) = (a.column.values[0], b.column.values[0]);
        match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if descending => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
            (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        }
    });
}

/// Sorts by the values of labels in natural order, then by all labels.
pub(crate) fn sort_by_labels(vector: &mut StepVector, names: &[String], descending: bool) {
    vector.sort_by(|a, b| {
        let order = label_order(&a.labels, &b.labels, names);
        if descending { order.reverse() } else { order }
    });
}

fn label_order(a: &LabelSet, b: &LabelSet, names: &[String]) -> Ordering {
    names
        .iter()
        .map(|name| natural_order(a.value(name), b.value(name)))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.cmp(b))
}

/// Natural order: runs of digits compare as numbers, everything else as text.
fn natural_order(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (mut a_rest, mut b_rest) = (a, b);
    while !a_rest.is_empty() && !b_rest.is_empty() {
        let (a_run, a_digits) = take_run(&mut a_rest);
        let (b_run, b_digits) = take_run(&mut b_rest);
        let order =
            if a_digits && b_digits { number_order(a_run, b_run) } else { a_run.cmp(b_run) };
        if order.is_ne() {
            return order;
        }
    }
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

fn number_order(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Takes a run of digits, or of anything else, off the front.
fn take_run<'a>(rest: &mut &'a str) -> (&'a str, bool) {
    let digits = rest.starts_with(|c: char| c.is_ascii_digit());
    let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
    let (run, after) = rest.split_at(end);
    *rest = after;
    (run, digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_count_as_numbers() {
        let mut texts = ["a10", "a9", "a1b", "a1", "b1", "a01"];
        texts.sort_by(|a, b| natural_order(a, b));
        assert_eq!(texts, ["a01", "a1", "a1b", "a9", "a10", "b1"]);
    }
}
