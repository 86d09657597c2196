//! Join: arithmetic and comparisons between two vectors, series met by their labels.
//!
//! Signatures are computed once a series; whole columns are combined. Upstream joins step by step
//! and fails at the first step that breaks a rule, so that failures are found by step here too.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::bitmap::Bitmap;
use model::label_set::LabelSet;

use crate::ast::{Cardinality, VectorMatching};
use crate::evaluate::column::{Column, StepSeries, StepVector};
use crate::evaluate::context::Context;
use crate::evaluate::element::{LastNotes, Operator};
use crate::evaluate::fault::Fault;
use crate::evaluate::labels::{is_metadata, only, without, write_key};
use crate::evaluate::operator::changes_meaning;

/// Series between two looks at the deadline.
const SERIES_PER_CHECK: usize = 64;

/// Ordinals of join signatures.
#[derive(Debug)]
pub(crate) struct Signatures {
    names: Vec<String>,
    on: bool,
    ordinals: HashMap<String, usize, FixedState>,
    key: String,
}

impl Signatures {
    /// Signatures by the labels of `matching`.
    pub(crate) fn new(matching: &VectorMatching) -> Signatures {
        let mut names = matching.labels.clone();
        names.sort_unstable();
        names.dedup();
        Signatures { names, on: matching.on, ordinals: HashMap::default(), key: String::new() }
    }

    /// The ordinal of the signature of each series.
    pub(crate) fn of(&mut self, series: &StepVector) -> Vec<usize> {
        series.iter().map(|one| self.ordinal(&one.labels)).collect()
    }

    fn ordinal(&mut self, labels: &LabelSet) -> usize {
        write_key(&mut self.key, labels, &self.names, !self.on, false);
        if let Some(ordinal) = self.ordinals.get(&self.key) {
            return *ordinal;
        }
        let ordinal = self.ordinals.len();
        self.ordinals.insert(self.key.clone(), ordinal);
        ordinal
    }

    /// Number of signatures seen.
    pub(crate) fn count(&self) -> usize {
        self.ordinals.len()
    }

    /// The labels by which series meet.
    fn matched(&self, labels: &LabelSet) -> LabelSet {
        if self.on {
            only(labels, &self.names)
        } else {
            let rest = labels.iter().filter(|(name, _)| *name != model::label_set::METRIC_NAME);
            without(&LabelSet::new(rest), &self.names)
        }
    }
}

/// A join of two vectors under way.
pub(crate) struct Join<'a> {
    operator: Operator,
    matching: &'a VectorMatching,
    /// The side of which several series may meet one.
    many: &'a StepVector,
    /// The other side.
    one: &'a StepVector,
    /// `many` is the right side.
    swapped: bool,
    steps: usize,
    delayed: bool,
    signatures: Signatures,
    many_of: Vec<usize>,
    one_of: Vec<usize>,
    /// Steps of each signature that are taken: by its only match, or by result labels.
    taken: HashMap<(usize, Option<LabelSet>), Bitmap>,
    /// Steps of each signature at which any pair was combined.
    matched: HashMap<usize, Bitmap>,
    failure: Option<(usize, Fault)>,
    notes: LastNotes,
    result: StepVector,
}

/// Joins `left` and `right` on a grid of `steps` steps.
///
/// # Errors
/// Matching labels are not unique where they must be.
pub(crate) fn join(
    context: &mut Context<'_>,
    operator: Operator,
    matching: &VectorMatching,
    (left, right): (&StepVector, &StepVector),
    steps: usize,
) -> Result<StepVector, Fault> {
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut signatures = Signatures::new(matching);
    let many_of = signatures.of(many);
    let one_of = signatures.of(one);
    let mut join = Join {
        operator,
        matching,
        many,
        one,
        swapped,
        steps,
        delayed: context.settings.delayed,
        signatures,
        many_of,
        one_of,
        taken: HashMap::new(),
        matched: HashMap::new(),
        failure: None,
        notes: LastNotes::default(),
        result: Vec::new(),
    };
    join.run(context)?;
    join.notes.tell(&mut context.notes);
    match join.failure {
        Some((_, fault)) => Err(fault),
        None => Ok(join.result),
    }
}

impl Join<'_> {
    fn run(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        let mut partners = vec![Vec::new(); self.signatures.count()];
        for (at, signature) in self.one_of.iter().enumerate() {
            partners[*signature].push(at);
        }
        self.check_one_side(&partners);
        if self.failure.as_ref().is_some_and(|(step, _)| *step == 0) {
            return Ok(());
        }
        for at in 0..self.many.len() {
            if at % SERIES_PER_CHECK == 0 {
                (context.check)()?;
            }
            let signature = self.many_of[at];
            let mut rest = self.many[at].column.occupied();
            for partner in &partners[signature] {
                let common = both(&rest, &self.one[*partner].column.occupied());
                remove(&mut rest, &common);
                self.pair(signature, at, *partner, common, context)?;
            }
            if let Some(fill) = self.matching.fill_right {
                self.fill_one(signature, at, fill, rest, context)?;
            }
        }
        if let Some(fill) = self.matching.fill_left {
            for at in 0..self.one.len() {
                self.fill_many(at, fill, context)?;
            }
        }
        Ok(())
    }

    /// Finds the first step at which two series of the one side have the same signature.
    fn check_one_side(&mut self, partners: &[Vec<usize>]) {
        let fills = self.matching.fill_left.is_some() || self.matching.fill_right.is_some();
        for same in partners.iter().filter(|same| 1 < same.len()) {
            let mut seen = Bitmap::new(self.steps);
            let mut twice = Bitmap::new(self.steps);
            for at in same {
                let occupied = self.one[*at].column.occupied();
                add(&mut twice, &both(&seen, &occupied));
                add(&mut seen, &occupied);
            }
            if !fills {
                // Where the other side is empty, nothing is joined and nothing fails.
                twice = both(&twice, &occupied_by_any(self.many, self.steps));
            }
            let Some(step) = twice.iter_ones().next() else { continue };
            let mut there = same.iter().filter(|at| {
                let column = &self.one[**at].column;
                column.present.get(step) || column.histogram(step).is_some()
            });
            if let (Some(first), Some(second)) = (there.next(), there.next()) {
                let labels = (&self.one[*second].labels, &self.one[*first].labels);
                let text = self.duplicate_text(labels.0, labels.1);
                self.fail(step, text);
            }
        }
    }

    fn duplicate_text(&self, a: &LabelSet, b: &LabelSet) -> String {
        let side = if self.swapped { "left" } else { "right" };
        let group = self.signatures.matched(a);
        let (a, b) = (a.to_string(), b.to_string());
        let (a, b) = if b < a { (b, a) } else { (a, b) };
        format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the \
             operation: [{a}, {b}];many-to-many matching not allowed: matching labels must be \
             unique on one side"
        )
    }

    fn fail(&mut self, step: usize, text: String) {
        if self.failure.as_ref().is_none_or(|(known, _)| step < *known) {
            self.failure = Some((step, Fault::Execution(text)));
        }
    }

    fn pair(
        &mut self,
        signature: usize,
        many: usize,
        one: usize,
        mask: Bitmap,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        if is_zero(&mask) {
            return Ok(());
        }
        let (many, one) = (&self.many[many], &self.one[one]);
        let labels = self.result_labels(&many.labels, &one.labels);
        context.budget.take_bytes(self.result_bytes(&labels))?;
        let (left, right) = self.sides(&many.column, &one.column);
        let (column, matched) = self.operator.combine_columns(left, right, mask, &mut self.notes);
        self.emit(signature, labels, column, matched);
        Ok(())
    }

    /// Combines a series of the many side with the fill value at the steps of `mask`.
    fn fill_one(
        &mut self,
        signature: usize,
        at: usize,
        fill: f64,
        mask: Bitmap,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        if is_zero(&mask) {
            return Ok(());
        }
        let many = &self.many[at];
        let filled = Column::constant(self.steps, fill);
        let labels = self.result_labels(&many.labels, &self.signatures.matched(&many.labels));
        context.budget.take_bytes(self.result_bytes(&labels))?;
        let (left, right) = self.sides(&many.column, &filled);
        let (column, matched) = self.operator.combine_columns(left, right, mask, &mut self.notes);
        self.emit(signature, labels, column, matched);
        Ok(())
    }

    /// Combines the fill value with a series of the one side where nothing met it.
    fn fill_many(&mut self, at: usize, fill: f64, context: &mut Context<'_>) -> Result<(), Fault> {
        let one = &self.one[at];
        let signature = self.one_of[at];
        let mut mask = one.column.occupied();
        if let Some(matched) = self.matched.get(&signature) {
            remove(&mut mask, matched);
        }
        if is_zero(&mask) {
            return Ok(());
        }
        let filled = Column::constant(self.steps, fill);
        let labels = self.result_labels(&self.signatures.matched(&one.labels), &one.labels);
        context.budget.take_bytes(self.result_bytes(&labels))?;
        let (left, right) = self.sides(&filled, &one.column);
        let (column, matched) = self.operator.combine_columns(left, right, mask, &mut self.notes);
        self.emit(signature, labels, column, matched);
        Ok(())
    }

    /// Bytes behind a result: its column, its labels, the steps that it takes.
    fn result_bytes(&self, labels: &LabelSet) -> u64 {
        Column::new_bytes(self.steps) + labels.heap_bytes() as u64 + self.steps as u64 / 4
    }

    fn sides<'c>(&self, many: &'c Column, one: &'c Column) -> (&'c Column, &'c Column) {
        if self.swapped { (one, many) } else { (many, one) }
    }

    /// Adds a result, unless its steps are taken by another of the same signature.
    fn emit(&mut self, signature: usize, labels: LabelSet, column: Column, matched: Bitmap) {
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        let key = (signature, (!one_to_one).then(|| labels.clone()));
        let taken = self.taken.entry(key).or_insert_with(|| Bitmap::new(matched.len()));
        let clash = both(taken, &matched).iter_ones().next();
        add(taken, &matched);
        let any = self.matched.entry(signature).or_insert_with(|| Bitmap::new(matched.len()));
        add(any, &matched);
        if let Some(step) = clash {
            let why = if one_to_one {
                "many-to-one matching must be explicit (group_left/group_right)"
            } else {
                "grouping labels must ensure unique matches"
            };
            self.fail(step, format!("multiple matches for labels: {why}"));
        }
        if !column.is_empty() {
            let drop_name = self.operator.return_bool;
            self.result.push(StepSeries { labels, drop_name, column });
        }
    }

    fn result_labels(&self, many: &LabelSet, one: &LabelSet) -> LabelSet {
        let drops =
            (self.operator.return_bool && !self.delayed) || changes_meaning(self.operator.op);
        let names = &self.signatures.names;
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        let among = |name: &str| names.iter().any(|known| known == name);
        let included = |name: &str| self.matching.include.iter().any(|known| known == name);
        let kept = many.iter().filter(|(name, _)| {
            let dropped = drops && is_metadata(name);
            let mismatched = one_to_one && among(name) != self.matching.on;
            !dropped && !mismatched && !included(name)
        });
        let taken = one.iter().filter(|(name, _)| included(name));
        LabelSet::new(kept.chain(taken))
    }
}

/// Steps at which any series holds something.
pub(crate) fn occupied_by_any(series: &StepVector, steps: usize) -> Bitmap {
    let mut any = Bitmap::new(steps);
    for one in series {
        add(&mut any, &one.column.occupied());
    }
    any
}

/// Bits of both.
pub(crate) fn both(left: &Bitmap, right: &Bitmap) -> Bitmap {
    let mut bits = left.clone();
    for (word, other) in bits.words_mut().iter_mut().zip(right.words()) {
        *word &= other;
    }
    bits
}

/// Adds the bits of `other`.
pub(crate) fn add(bits: &mut Bitmap, other: &Bitmap) {
    for (word, other) in bits.words_mut().iter_mut().zip(other.words()) {
        *word |= other;
    }
}

/// Removes the bits of `other`.
pub(crate) fn remove(bits: &mut Bitmap, other: &Bitmap) {
    for (word, other) in bits.words_mut().iter_mut().zip(other.words()) {
        *word &= !other;
    }
}

/// Whether no bit is set.
pub(crate) fn is_zero(bits: &Bitmap) -> bool {
    bits.words().iter().all(|word| *word == 0)
}
