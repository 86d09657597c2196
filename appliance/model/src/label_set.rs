//! Label set: the identity of a series, as one cheap-to-clone packed string.
//!
//! Layout: for each label in order of name: name length, name, value length, value. A length is
//! one or more ASCII characters of 6 bits each, least significant first, `0x40` added to all but
//! the last; so lengths below 64 take one byte and the whole stays valid UTF-8.
//!
//! Invariants
//! - L1: names are strictly increasing, no value is empty.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Name of the label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

const LENGTH_BITS: u32 = 6;
const LENGTH_MASK: usize = (1 << LENGTH_BITS) - 1;
const LENGTH_MORE: u8 = 1 << LENGTH_BITS;

/// Sorted labels of one series. An empty value means that the label is absent, so none is kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LabelSet(Arc<str>);

/// Hash of a label set that every node and version computes alike (XXH3, 128 bits of the packed
/// form); names series and groups between nodes and on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey(pub u128);

impl LabelSet {
    /// The label set without labels.
    #[must_use]
    pub fn empty() -> LabelSet {
        LabelSet(Arc::from(""))
    }

    /// Label set of `labels` in any order; empty values are left out, the last of equal names wins.
    pub fn new<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> LabelSet {
        let mut builder = Builder::default();
        for (name, value) in labels {
            builder.set(name, value);
        }
        builder.build()
    }

    /// Label set of `labels` that come in order of name, each name once, without empty values, as
    /// another label set gave them; `None` when they do not.
    #[must_use]
    pub fn from_sorted<'a>(
        labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Option<LabelSet> {
        let bytes = labels.clone().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut packed = String::with_capacity(bytes);
        let mut before = None;
        for (name, value) in labels {
            if value.is_empty() || before.is_some_and(|before| name <= before) {
                return None;
            }
            put(&mut packed, name);
            put(&mut packed, value);
            before = Some(name);
        }
        Some(LabelSet(Arc::from(packed)))
    }

    /// Labels in order of name.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// Value of label `name`; `None` when the label is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        for (label, value) in self {
            match label.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// Value of label `name`, "" when absent: what matchers and templates see.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name, "" when absent.
    #[must_use]
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Key that names this label set on every node.
    #[must_use]
    pub fn key(&self) -> SeriesKey {
        SeriesKey(xxh3_128(self.0.as_bytes()))
    }

    /// 64-bit hash for tables in memory; equal label sets have equal hashes.
    #[must_use]
    pub fn hash64(&self) -> u64 {
        xxh3_64(self.0.as_bytes())
    }

    /// The packed form, to be written to disk and read by [`LabelSet::from_packed`].
    #[must_use]
    pub fn packed(&self) -> &str {
        &self.0
    }

    /// Label set of a packed form read from outside; `None` unless it is exactly one that
    /// [`LabelSet::packed`] gives.
    #[must_use]
    pub fn from_packed(packed: &str) -> Option<LabelSet> {
        let mut rest = packed;
        let mut last: Option<&str> = None;
        while !rest.is_empty() {
            let name = take(&mut rest)?;
            let value = take(&mut rest)?;
            if value.is_empty() || last.is_some_and(|last| last >= name) {
                return None;
            }
            last = Some(name);
        }
        Some(LabelSet(Arc::from(packed)))
    }

    /// Bytes of memory behind this handle.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.0.len() + 2 * size_of::<usize>()
    }
}

impl<'a> IntoIterator for &'a LabelSet {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &LabelSet) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Prometheus's order (`labels.Compare`): by name, then value, label by label; a prefix is less.
impl Ord for LabelSet {
    fn cmp(&self, other: &LabelSet) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `{a="b", c="d"}` with every label, the metric name too, values quoted as Go's `%q` does.
impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let value = crate::label_name::quote(value);
            if crate::label_name::is_legacy_label_name(name) {
                write!(f, "{comma}{name}={value}")?;
            } else {
                write!(f, "{comma}{}={value}", crate::label_name::quote(name))?;
            }
        }
        f.write_str("}")
    }
}

/// Labels of a [`LabelSet`] in order of name.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let name = take(&mut self.rest)?;
        let value = take(&mut self.rest)?;
        Some((name, value))
    }
}

/// Collects labels in any order; setting an empty value removes.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    labels: Vec<(String, String)>,
}

impl From<&LabelSet> for Builder {
    fn from(labels: &LabelSet) -> Builder {
        Builder { labels: labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }
}

impl Builder {
    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Builder {
        match self.labels.binary_search_by(|(label, _)| label.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => {
                self.labels.remove(at);
            }
            Ok(at) => value.clone_into(&mut self.labels[at].1),
            Err(_) if value.is_empty() => {}
            Err(at) => self.labels.insert(at, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes label `name` if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Builder {
        self.set(name, "")
    }

    /// Value of `name`, "" when absent.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        let found = self.labels.binary_search_by(|(label, _)| label.as_str().cmp(name));
        found.map_or("", |at| &self.labels[at].1)
    }

    /// Labels in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Keeps the labels for whose name `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> &mut Builder {
        self.labels.retain(|(name, _)| keep(name));
        self
    }

    /// The label set collected so far.
    #[must_use]
    pub fn build(&self) -> LabelSet {
        let bytes = self.labels.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
        let mut packed = String::with_capacity(bytes);
        for pair in self.labels.windows(2) {
            assert!(pair[0].0 < pair[1].0, "L1: names of a label set increase");
        }
        for (name, value) in &self.labels {
            assert!(!value.is_empty(), "L1: no label value is empty");
            put(&mut packed, name);
            put(&mut packed, value);
        }
        LabelSet(Arc::from(packed))
    }
}

/// Adds a label to a packed form. Names must rise, and no value be empty.
pub fn put_label(packed: &mut String, name: &str, value: &str) {
    put(packed, name);
    put(packed, value);
}

fn put(packed: &mut String, text: &str) {
    let mut length = text.len();
    while LENGTH_MASK < length {
        packed.push(length_char(length & LENGTH_MASK, LENGTH_MORE));
        length >>= LENGTH_BITS;
    }
    packed.push(length_char(length, 0));
    packed.push_str(text);
}

fn length_char(six_bits: usize, more: u8) -> char {
    let bits = u8::try_from(six_bits).expect("six bits fit a byte");
    char::from(bits | more)
}

/// Takes one length-prefixed text off the front of `rest`; `None` at the end, if it is cut, or if
/// its length is written with needless digits: a set has one packed form.
fn take<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let bytes = rest.as_bytes();
    let mut length = 0;
    let mut at = 0;
    loop {
        let byte = *bytes.get(at)?;
        let shift = LENGTH_BITS * u32::try_from(at).ok()?;
        let bits = usize::from(byte) & LENGTH_MASK;
        if 0x80 <= byte || usize::BITS <= shift + LENGTH_BITS {
            return None;
        }
        length |= bits << shift;
        at += 1;
        if byte & LENGTH_MORE == 0 {
            if bits == 0 && 1 < at {
                return None;
            }
            break;
        }
    }
    let text = rest.get(at..at.checked_add(length)?)?;
    *rest = &rest[at + length..];
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Pairs = Vec<(String, String)>;

    /// Labels with short names, so that equal names and empty values happen.
    fn pairs() -> impl Strategy<Value = Pairs> {
        prop::collection::vec(("[abé]{0,2}", "[0-9x\u{7f}é]{0,70}"), 0..8)
    }

    #[test]
    fn sorted_labels_give_the_same_set_and_others_none() {
        let sorted = [("a", "1"), ("b", "2"), ("c", "long".repeat(99).leak())];
        let set = LabelSet::from_sorted(sorted.into_iter());
        assert_eq!(set, Some(LabelSet::new(sorted)));
        for wrong in [[("b", "1"), ("a", "2")], [("a", "1"), ("a", "1")], [("a", ""), ("b", "1")]] {
            assert_eq!(LabelSet::from_sorted(wrong.into_iter()), None);
        }
    }

    fn set_of(pairs: &Pairs) -> LabelSet {
        LabelSet::new(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    fn sorted(pairs: &Pairs) -> std::collections::BTreeMap<&str, &str> {
        let mut labels = std::collections::BTreeMap::new();
        for (name, value) in pairs {
            labels.insert(name.as_str(), value.as_str());
            if value.is_empty() {
                labels.remove(name.as_str());
            }
        }
        labels
    }

    proptest! {
        #[test]
        fn a_label_set_is_a_sorted_map(left in pairs(), right in pairs()) {
            let (a, b) = (set_of(&left), set_of(&right));
            let (map_a, map_b) = (sorted(&left), sorted(&right));
            prop_assert!(a.iter().eq(map_a.iter().map(|(name, value)| (*name, *value))));
            prop_assert_eq!(a.cmp(&b), map_a.iter().cmp(map_b.iter()));
            prop_assert_eq!(a == b, map_a == map_b);
            prop_assert_eq!(a == b, a.key() == b.key());
            for (name, _) in &right {
                prop_assert_eq!(a.get(name), map_a.get(name.as_str()).copied());
            }
            prop_assert_eq!(LabelSet::from_packed(a.packed()), Some(a));
        }

        #[test]
        fn l1_any_packed_text_is_read_or_refused(packed in "[\0-\u{5}a-cA-C]{0,12}") {
            if let Some(labels) = LabelSet::from_packed(&packed) {
                let again = LabelSet::new(labels.iter());
                prop_assert_eq!(again.packed(), packed, "L1: one form a set");
            }
        }
    }

    #[test]
    fn labels_are_sorted_and_empty_values_left_out() {
        let labels = LabelSet::new([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn l1_packed_form_refuses_unsorted_and_empty() {
        for refused in
            ["\u{1}b\u{1}1\u{1}a\u{1}1", "\u{1}a\0", "\u{1}a", "\u{9}a\u{1}b", "\u{41}\0a\u{1}b"]
        {
            assert_eq!(LabelSet::from_packed(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn long_values_survive_the_packed_form() {
        for bytes in [0, 1, 63, 64, 4095, 4096, 300_000] {
            let labels = LabelSet::new([("a", "é".repeat(bytes).as_str()), ("z", "1")]);
            assert_eq!(LabelSet::from_packed(labels.packed()), Some(labels.clone()));
            assert_eq!(labels.value("z"), "1");
        }
    }

    #[test]
    fn order_is_by_name_then_value_then_count() {
        let a = LabelSet::new([("a", "1")]);
        let ab = LabelSet::new([("a", "1"), ("b", "1")]);
        let a10 = LabelSet::new([("a", "10")]);
        let b = LabelSet::new([("b", "0")]);
        assert!(a < ab && ab < a10 && a10 < b);
    }
}
