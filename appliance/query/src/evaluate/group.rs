//! Groups of an aggregation: which group a series belongs to, and the labels of each group.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::label_set::{LabelSet, METRIC_NAME};

use crate::evaluate::labels::{is_among, is_metadata, write_key};

/// Groups in the order in which series opened them.
#[derive(Debug)]
pub(crate) struct Groups {
    names: Vec<String>,
    without: bool,
    ordinals: HashMap<String, usize, FixedState>,
    labels: Vec<LabelSet>,
    key: String,
}

impl Groups {
    /// Groups by `names` (sorted), or by all others.
    pub(crate) fn new(names: &[String], without: bool) -> Groups {
        Groups {
            names: names.to_vec(),
            without,
            ordinals: HashMap::default(),
            labels: Vec::new(),
            key: String::new(),
        }
    }

    /// The group of a series; `hidden`: its name, type and unit are gone already.
    pub(crate) fn find(&mut self, labels: &LabelSet, hidden: bool) -> usize {
        if !self.without && self.names.is_empty() {
            if self.labels.is_empty() {
                self.labels.push(LabelSet::empty());
            }
            return 0;
        }
        write_key(&mut self.key, labels, &self.names, self.without, hidden);
        if let Some(ordinal) = self.ordinals.get(&self.key) {
            return *ordinal;
        }
        let ordinal = self.labels.len();
        self.ordinals.insert(self.key.clone(), ordinal);
        self.labels.push(self.group_labels(labels, hidden));
        ordinal
    }

    fn group_labels(&self, labels: &LabelSet, hidden: bool) -> LabelSet {
        LabelSet::new(labels.iter().filter(|(name, _)| {
            let listed = is_among(&self.names, name);
            let kept = if self.without { !listed && *name != METRIC_NAME } else { listed };
            kept && !(hidden && is_metadata(name))
        }))
    }

    /// Labels of each group.
    pub(crate) fn into_labels(self) -> Vec<LabelSet> {
        self.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_share_groups_by_their_labels() {
        let one = LabelSet::new([("__name__", "m"), ("a", "1"), ("b", "1")]);
        let two = LabelSet::new([("__name__", "n"), ("a", "1"), ("b", "2")]);
        let mut by = Groups::new(&["a".to_owned()], false);
        assert_eq!((by.find(&one, false), by.find(&two, false)), (0, 0));
        assert_eq!(by.into_labels(), [LabelSet::new([("a", "1")])]);
        let mut without = Groups::new(&["a".to_owned()], true);
        assert_eq!((without.find(&one, false), without.find(&two, false)), (0, 1));
        let mut all = Groups::new(&[], false);
        assert_eq!((all.find(&one, false), all.find(&two, false)), (0, 0));
        let mut names = Groups::new(&["__name__".to_owned()], false);
        assert_eq!((names.find(&one, true), names.find(&two, true)), (0, 0));
    }
}
