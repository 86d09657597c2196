//! `absent` and `absent_over_time`: 1 where there is nothing, labelled by the selector.

use model::bitmap::Bitmap;
use model::label_set::{Builder, LabelSet, METRIC_NAME};
use model::matcher::MatchOp;

use crate::evaluate::column::Column;
use crate::plan::node::{Node, NodeKind};

/// The labels that the selector demands: those of its equality matchers, each name once.
pub(crate) fn absent_labels(node: &Node) -> LabelSet {
    let matchers = match &node.kind {
        NodeKind::Selector(selector) => &selector.matchers,
        NodeKind::Matrix(matrix) => &matrix.selector.matchers,
        NodeKind::Invariant(inner) => return absent_labels(inner),
        _ => return LabelSet::empty(),
    };
    let mut builder = Builder::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            builder.set(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}

/// 1 at every step that `found` leaves empty.
pub(crate) fn absent_column(found: &Bitmap) -> Column {
    let mut column = Column::new(found.len());
    for step in 0..found.len() {
        if !found.get(step) {
            column.set_float(step, 1.0);
        }
    }
    column
}
