//! Merge: series that have the same labels after an operation.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::evaluate::column::StepVector;
use crate::evaluate::fault::Fault;

/// Series positions by label set.
#[derive(Default)]
pub(crate) struct ByLabels {
    table: HashTable<(u64, usize)>,
}

impl ByLabels {
    /// The position under which equal labels stand in `series`, or `position` under which these
    /// stand from here on.
    pub(crate) fn find_or_insert(
        &mut self,
        series: &StepVector,
        labels: &model::label_set::LabelSet,
        position: usize,
    ) -> usize {
        let hash = FixedState::default().hash_one(labels.packed());
        let entry = self.table.entry(
            hash,
            |(known, at)| *known == hash && series[*at].labels == *labels,
            |(known, _)| *known,
        );
        entry.or_insert((hash, position)).get().1
    }
}

/// Joins series with the same labels, first come first kept in order.
///
/// # Errors
/// Two of them hold something at the same step.
pub(crate) fn join_same_labels(series: StepVector) -> Result<StepVector, Fault> {
    let mut joined: StepVector = Vec::with_capacity(series.len());
    let mut by_labels = ByLabels::default();
    for one in series {
        let at = by_labels.find_or_insert(&joined, &one.labels, joined.len());
        if at == joined.len() {
            joined.push(one);
        } else if !joined[at].column.absorb(&one.column) {
            return Err(Fault::same_labels());
        }
    }
    Ok(joined)
}

/// Whether two series have the same labels.
pub(crate) fn has_same_labels(series: &StepVector) -> bool {
    let mut by_labels = ByLabels::default();
    series
        .iter()
        .enumerate()
        .any(|(at, one)| by_labels.find_or_insert(series, &one.labels, at) != at)
}

#[cfg(test)]
mod tests {
    use model::label_set::LabelSet;

    use super::*;
    use crate::evaluate::column::{Column, StepSeries};

    fn one(step: usize) -> StepSeries {
        let mut column = Column::new(2);
        column.set_float(step, 1.0);
        StepSeries { labels: LabelSet::new([("a", "1")]), drop_name: false, column }
    }

    #[test]
    fn same_labels_join_unless_they_meet() {
        assert!(has_same_labels(&vec![one(0), one(1)]));
        let joined = join_same_labels(vec![one(0), one(1)]).expect("they do not meet");
        assert_eq!(joined.len(), 1);
        assert_eq!(joined[0].column.occupied().count_ones(), 2);
        assert!(join_same_labels(vec![one(0), one(0)]).is_err());
    }
}
