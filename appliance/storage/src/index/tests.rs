//! Matchers against a naive model, and removal.

use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use proptest::prelude::*;

use crate::index::select::select;
use crate::index::series::{ColumnPlace, Index};

fn place(column: u32) -> ColumnPlace {
    ColumnPlace { group: 0, column }
}

fn index(label_sets: &[LabelSet]) -> Index {
    let mut index = Index::default();
    for (at, labels) in label_sets.iter().enumerate() {
        if index.find(labels).is_none() {
            let series = index.insert(labels);
            index.add_column(series, place(u32::try_from(at).unwrap()));
        }
    }
    index
}

fn found(index: &Index, matchers: &[Matcher]) -> Vec<LabelSet> {
    let mut sets: Vec<LabelSet> =
        select(index, matchers).iter().map(|series| index.labels_of(series)).collect();
    sets.sort();
    sets
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]);
    let value = prop::sample::select(vec!["", "x", "y", "x|y", "x.*", ".+", ".*", "z|"]);
    (prop::sample::select(vec!["a", "b", "c", "d"]), op, value)
        .prop_map(|(name, op, value)| Matcher::new(name, op, value).unwrap())
}

fn label_set() -> impl Strategy<Value = LabelSet> {
    let value = prop::sample::select(vec!["", "x", "y", "xx", "z"]);
    (value.clone(), value.clone(), value)
        .prop_map(|(a, b, c)| LabelSet::new([("a", a), ("b", b), ("c", c)]))
}

proptest! {
    #[test]
    fn i1_matchers_find_what_the_model_finds(
        label_sets in prop::collection::vec(label_set(), 0..20),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        matchers in prop::collection::vec(matcher(), 0..4),
    ) {
        let mut index = index(&label_sets);
        let mut model = label_sets.clone();
        model.sort();
        model.dedup();
        for at in removed {
            if !model.is_empty() {
                let gone = model.remove(at.index(model.len()));
                let series = index.find(&gone).unwrap();
                let columns = index.columns_of(series).to_vec();
                index.remove_column(series, columns[0]);
                prop_assert_eq!(index.find(&gone), None);
            }
        }
        model.retain(|labels| matchers.iter().all(|m| m.matches_labels(labels)));
        prop_assert_eq!(found(&index, &matchers), model);
    }
}

#[test]
fn a_series_lives_while_a_column_holds_it() {
    let labels = LabelSet::new([("a", "x")]);
    let mut index = Index::default();
    let series = index.insert(&labels);
    for column in [1, 2, 3] {
        index.add_column(series, place(column));
    }
    for column in [2, 1] {
        index.remove_column(series, place(column));
    }
    assert_eq!(index.columns_of(series), [place(3)]);
    index.remove_column(series, place(3));
    assert_eq!((index.find(&labels), index.len(), index.symbols.len()), (None, 0, 0));
}
