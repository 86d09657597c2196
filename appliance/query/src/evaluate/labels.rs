//! Labels of results: what operations drop, keep and set.

use model::label_set::{Builder, LabelSet, METRIC_NAME};

const TYPE: &str = "__type__";
const UNIT: &str = "__unit__";

/// Whether `name` says what a metric is rather than where: operations that change the meaning of
/// the values drop these labels.
pub(crate) fn is_metadata(name: &str) -> bool {
    name == METRIC_NAME || name == TYPE || name == UNIT
}

/// `labels` without name, type and unit.
pub(crate) fn without_metadata(labels: &LabelSet) -> LabelSet {
    if !labels.iter().any(|(name, _)| is_metadata(name)) {
        return labels.clone();
    }
    LabelSet::new(labels.iter().filter(|(name, _)| !is_metadata(name)))
}

/// Whether dropping name, type and unit from these label sets leaves them different.
pub(crate) fn differ_without_metadata<'a>(
    mut label_sets: impl Iterator<Item = &'a LabelSet>,
) -> bool {
    let Some(first) = label_sets.next() else { return true };
    let name = first.metric_name();
    !is_typed(first) && label_sets.all(|labels| labels.metric_name() == name && !is_typed(labels))
}

fn is_typed(labels: &LabelSet) -> bool {
    labels.get(TYPE).is_some() || labels.get(UNIT).is_some()
}

/// Only the labels named in `names` (sorted).
pub(crate) fn only(labels: &LabelSet, names: &[String]) -> LabelSet {
    LabelSet::new(labels.iter().filter(|(name, _)| is_among(names, name)))
}

/// All labels but those named in `names` (sorted).
pub(crate) fn without(labels: &LabelSet, names: &[String]) -> LabelSet {
    LabelSet::new(labels.iter().filter(|(name, _)| !is_among(names, name)))
}

/// `labels` with label `name` set; an empty value removes it.
pub(crate) fn with(labels: &LabelSet, name: &str, value: &str) -> LabelSet {
    let mut builder = Builder::from(labels);
    builder.set(name, value);
    builder.build()
}

/// Whether `name` is among `names` (sorted).
pub(crate) fn is_among(names: &[String], name: &str) -> bool {
    names.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
}

/// Writes the values that tell groups or join partners apart into `key`: of the labels in `names`
/// (sorted), or with `without` of all others but the metric name. `hidden` labels are passed over.
pub(crate) fn write_key(
    key: &mut String,
    labels: &LabelSet,
    names: &[String],
    without: bool,
    hidden: bool,
) {
    key.clear();
    for (name, value) in labels {
        if hidden && is_metadata(name) {
            continue;
        }
        let wanted = if without {
            name != METRIC_NAME && !is_among(names, name)
        } else {
            is_among(names, name)
        };
        if wanted {
            write_text(key, name);
            write_text(key, value);
        }
    }
}

fn write_text(key: &mut String, text: &str) {
    let mut length = text.len();
    loop {
        let low = u8::try_from(length & 0x3f).unwrap_or(0);
        length >>= 6;
        key.push(char::from(if length == 0 { low } else { low | 0x40 }));
        if length == 0 {
            break;
        }
    }
    key.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[track_caller]
    fn check(without: bool, names: &[&str], left: &LabelSet, right: &LabelSet, equal: bool) {
        let (mut a, mut b) = (String::new(), String::new());
        write_key(&mut a, left, &sorted(names), without, false);
        write_key(&mut b, right, &sorted(names), without, false);
        assert_eq!(a == b, equal, "{left} {right}");
    }

    #[test]
    fn keys_tell_groups_apart() {
        let left = LabelSet::new([("__name__", "m"), ("a", "1"), ("b", "2")]);
        let right = LabelSet::new([("__name__", "n"), ("a", "1"), ("b", "3")]);
        check(false, &["a"], &left, &right, true);
        check(false, &["a", "b"], &left, &right, false);
        check(false, &["__name__"], &left, &right, false);
        check(true, &["b"], &left, &right, true);
        check(true, &[], &left, &right, false);
        check(false, &["c"], &left, &right, true);
    }

    #[test]
    fn names_that_differ_collide_without_them() {
        let a = LabelSet::new([("__name__", "m"), ("a", "1")]);
        let b = LabelSet::new([("__name__", "n"), ("a", "1")]);
        let c = LabelSet::new([("__name__", "m"), ("__type__", "counter"), ("a", "1")]);
        assert!(differ_without_metadata([&a, &a].into_iter()));
        assert!(!differ_without_metadata([&a, &b].into_iter()));
        assert!(!differ_without_metadata([&a, &c].into_iter()));
        assert_eq!(without_metadata(&c), LabelSet::new([("a", "1")]));
    }
}
