//! Aggregation: takes series one by one and gives the vector of their groups.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use model::bitmap::Bitmap;
use model::label_set::LabelSet;

use crate::annotation::{Annotations, general};
use crate::ast::{AggregateOp, Span};
use crate::evaluate::budget::Budget;
use crate::evaluate::column::{Column, StepSeries, StepVector};
use crate::evaluate::context::{Context, Streamed};
use crate::evaluate::fault::Fault;
use crate::evaluate::fold::{Fold, last_bit};
use crate::evaluate::group::Groups;
use crate::evaluate::join::add;
use crate::evaluate::labels::{with, without_metadata};
use crate::evaluate::quantile::{quantile, warn_quantile};
use crate::evaluate::rank::{Ranking, heap_order};
use crate::evaluate::ratio::is_sampled;
use crate::native::describe::text_of;
use crate::plan::node::Aggregate;

/// Bytes that a group takes by step where samples stay their series' own.
const GROUP_STEP_BYTES: u64 = 24;
/// Bytes that a sample takes in a ranking, and again when its rank is told.
const RANKED_BYTES: u64 = 40;

/// What is gathered of the groups.
enum Gathered {
    Folds(Vec<Fold>),
    /// Columns by group, for quantiles.
    Columns(Vec<Vec<Column>>, Vec<f64>),
    Ranking(Ranking),
    /// First k by step; samples taken by group and step.
    Limit(Vec<usize>, Vec<Vec<usize>>),
    /// Ratio by step.
    Ratio(Vec<f64>),
}

/// An aggregation under way.
pub(crate) struct Aggregator {
    op: AggregateOp,
    groups: Groups,
    gathered: Gathered,
    /// Steps at which a name is to go, by group, for quantiles.
    drops: Vec<Bitmap>,
    steps: usize,
    /// Place of what is aggregated.
    span: Span,
    /// Labels of the series, and whether their names are to go, where samples stay theirs.
    members: Vec<(LabelSet, bool)>,
    /// Columns of the members of which samples stay, where those are taken as they come.
    kept: Vec<(usize, StepSeries)>,
}

impl Aggregator {
    /// An aggregation with its parameter by step; `None` when its value is empty anyway.
    ///
    /// # Errors
    /// The parameter is none.
    pub(crate) fn new(
        node: &Aggregate,
        span: Span,
        parameter: Vec<f64>,
        steps: usize,
        notes: &mut Annotations,
    ) -> Result<Option<Aggregator>, Fault> {
        let at = node.parameter.as_ref().map_or(span, |parameter| parameter.span);
        let gathered = match node.op {
            AggregateOp::Quantile => {
                check_quantiles(&parameter, at, notes);
                Gathered::Columns(Vec::new(), parameter)
            }
            AggregateOp::Topk | AggregateOp::Bottomk => {
                let Some(ks) = counts(&parameter)? else { return Ok(None) };
                Gathered::Ranking(Ranking::new(node.op == AggregateOp::Topk, ks, span))
            }
            AggregateOp::Limitk => {
                let Some(ks) = counts(&parameter)? else { return Ok(None) };
                Gathered::Limit(ks, Vec::new())
            }
            AggregateOp::LimitRatio => {
                let Some(ratios) = ratios(parameter, at, notes)? else { return Ok(None) };
                Gathered::Ratio(ratios)
            }
            _ => Gathered::Folds(Vec::new()),
        };
        Ok(Some(Aggregator {
            op: node.op,
            groups: Groups::new(&node.grouping, node.without),
            gathered,
            drops: Vec::new(),
            steps,
            span: node.expr.span,
            members: Vec::new(),
            kept: Vec::new(),
        }))
    }

    /// Takes a series.
    ///
    /// # Errors
    /// Too much is held, or histograms meet an aggregation that does not know them.
    pub(crate) fn add(
        &mut self,
        context: &mut Context<'_>,
        streamed: Streamed<'_>,
    ) -> Result<(), Fault> {
        let hidden = context.hides(streamed.drop_name);
        let drops = streamed.drop_name && context.settings.delayed;
        let group = self.groups.find(streamed.labels, hidden);
        match &mut self.gathered {
            Gathered::Folds(folds) => {
                if folds.len() <= group {
                    context.budget.take_bytes(Fold::heap_bytes(self.steps))?;
                    folds.push(Fold::new(self.op, self.steps));
                }
                context.budget.take_bytes(folds[group].histogram_bytes(streamed.column))?;
                let notes = &mut context.notes;
                folds[group].add(streamed.column, streamed.labels, drops, self.span, notes);
            }
            Gathered::Columns(columns, _) => {
                if columns.len() <= group {
                    columns.push(Vec::new());
                    self.drops.push(Bitmap::new(self.steps));
                }
                if streamed.column.iter_histograms().next().is_some() {
                    let text = "ignored histogram in quantile aggregation".to_owned();
                    context.notes.inform(self.span, text);
                    streamed.column.drop_histograms();
                }
                if drops {
                    add(&mut self.drops[group], &streamed.column.present);
                }
                let column = std::mem::take(streamed.column);
                context.budget.take_bytes(column.heap_bytes())?;
                columns[group].push(column);
            }
            Gathered::Ranking(ranking) => {
                if !ranking.knows(group) {
                    context.budget.take_bytes(self.steps as u64 * GROUP_STEP_BYTES)?;
                }
                let position = self.members.len();
                let entered =
                    ranking.add(group, position, streamed.column, &mut context.notes) as u64;
                let member = streamed.labels.heap_bytes() as u64;
                context.budget.take_bytes(member + entered * RANKED_BYTES)?;
                self.members.push((streamed.labels.clone(), streamed.drop_name));
            }
            Gathered::Limit(ks, taken) => {
                if taken.len() <= group {
                    context.budget.take_bytes(self.steps as u64 * GROUP_STEP_BYTES)?;
                    taken.push(vec![0; self.steps]);
                }
                let kept = first_of(ks, &mut taken[group], &streamed.column.occupied());
                self.keep(context, streamed, group, &kept)?;
            }
            Gathered::Ratio(ratios) => {
                let visible = visible(streamed.labels, hidden);
                let mut kept = Bitmap::new(self.steps);
                for step in streamed.column.occupied().iter_ones() {
                    if ratios[step] != 0.0 && is_sampled(ratios[step], &visible) {
                        kept.set(step);
                    }
                }
                self.keep(context, streamed, group, &kept)?;
            }
        }
        Ok(())
    }

    fn keep(
        &mut self,
        context: &mut Context<'_>,
        streamed: Streamed<'_>,
        group: usize,
        kept: &Bitmap,
    ) -> Result<(), Fault> {
        streamed.column.retain(kept);
        if !streamed.column.is_empty() {
            let series = context.keep(streamed)?;
            self.kept.push((group, series));
        }
        Ok(())
    }

    /// The vector of the groups.
    ///
    /// # Errors
    /// Histograms were added that the aggregation does not know.
    pub(crate) fn finish(self, context: &mut Context<'_>) -> Result<StepVector, Fault> {
        let (steps, delayed) = (self.steps, context.settings.delayed);
        match self.gathered {
            Gathered::Folds(folds) => {
                let mut vector = Vec::with_capacity(folds.len());
                for (fold, labels) in folds.into_iter().zip(self.groups.into_labels()) {
                    let (column, drop_name) = fold.finish(self.span, &mut context.notes);
                    if !column.is_empty() {
                        vector.push(StepSeries { labels, drop_name, column });
                    }
                }
                Ok(vector)
            }
            Gathered::Columns(columns, quantiles) => {
                let groups = columns.iter().zip(self.groups.into_labels()).zip(&self.drops);
                let vector = groups.map(|((columns, labels), drops)| {
                    let column = quantile_column(columns, &quantiles, steps);
                    let last = last_bit(&column.present);
                    let drop_name = last.is_some_and(|step| drops.get(step));
                    StepSeries { labels, drop_name, column }
                });
                Ok(vector.filter(|series| !series.column.is_empty()).collect())
            }
            Gathered::Ranking(ranking) => {
                ranked(ranking.finish(), &self.members, steps, delayed, &mut context.budget)
            }
            Gathered::Limit(..) | Gathered::Ratio(_) if steps == 1 => Ok(heaped(self.kept)),
            Gathered::Limit(..) | Gathered::Ratio(_) => {
                Ok(self.kept.into_iter().map(|(_, series)| series).collect())
            }
        }
    }
}

/// The series that stay of an instant query, by group.
fn heaped(mut kept: Vec<(usize, StepSeries)>) -> StepVector {
    kept.sort_by_key(|(group, _)| *group);
    let mut vector = Vec::with_capacity(kept.len());
    for same in kept.chunk_by(|a, b| a.0 == b.0) {
        let values = same.iter().map(|(_, series)| series.column.float(0).unwrap_or(0.0));
        vector.extend(heap_order(values).into_iter().map(|at| same[at].1.clone()));
    }
    vector
}

/// The steps of a series at which its group has taken fewer samples than `ks`; they are taken.
fn first_of(ks: &[usize], taken: &mut [usize], occupied: &Bitmap) -> Bitmap {
    let mut kept = Bitmap::new(ks.len());
    for step in occupied.iter_ones().filter(|step| taken[*step] < ks[*step]) {
        kept.set(step);
    }
    for step in kept.iter_ones() {
        taken[step] += 1;
    }
    kept
}

fn visible(labels: &LabelSet, hidden: bool) -> LabelSet {
    if hidden { without_metadata(labels) } else { labels.clone() }
}

/// The series of which samples stay; an instant query's in order of rank.
fn ranked(
    kept: Vec<(usize, usize, f64)>,
    members: &[(LabelSet, bool)],
    steps: usize,
    delayed: bool,
    budget: &mut Budget,
) -> Result<StepVector, Fault> {
    let series = |position: usize, column: Column| {
        let (labels, drop_name) = &members[position];
        let labels = visible(labels, *drop_name && !delayed);
        StepSeries { labels, drop_name: *drop_name, column }
    };
    if steps == 1 {
        let ordered = kept.into_iter();
        let vector = ordered
            .map(|(position, _, value)| series(position, Column::constant(1, value)))
            .collect();
        return Ok(vector);
    }
    let mut columns: BTreeMap<usize, Column> = BTreeMap::new();
    for (position, step, value) in kept {
        let column = match columns.entry(position) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                budget.take_bytes(Column::new_bytes(steps))?;
                new.insert(Column::new(steps))
            }
        };
        column.set_float(step, value);
    }
    let columns = columns.into_iter();
    Ok(columns.map(|(position, column)| series(position, column)).collect())
}

fn quantile_column(columns: &[Column], quantiles: &[f64], steps: usize) -> Column {
    let mut result = Column::new(steps);
    let mut values = Vec::with_capacity(columns.len());
    for (step, q) in quantiles.iter().enumerate() {
        values.clear();
        values.extend(columns.iter().filter_map(|column| column.float(step)));
        if !values.is_empty() {
            result.set_float(step, quantile(*q, &mut values));
        }
    }
    result
}

fn check_quantiles(quantiles: &[f64], span: Span, notes: &mut Annotations) {
    if quantiles.iter().any(|q| q.is_nan()) {
        warn_quantile(f64::NAN, span, notes);
    }
    let most = quantiles.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = quantiles.iter().copied().fold(f64::INFINITY, f64::min);
    if 1.0 < most {
        warn_quantile(most, span, notes);
    }
    if least < 0.0 {
        warn_quantile(least, span, notes);
    }
}

/// k by step; `None` when it is nothing at every step.
fn counts(parameter: &[f64]) -> Result<Option<Vec<usize>>, Fault> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if parameter.iter().any(|k| k.is_nan()) {
        return Err(Fault::execution("Parameter value is NaN"));
    }
    if parameter.iter().all(|k| *k < 1.0) {
        return Ok(None);
    }
    let mut ks = Vec::with_capacity(parameter.len());
    for k in parameter {
        if *k <= -LIMIT {
            let text = format!("Scalar value {} underflows int64", general(*k, None));
            return Err(Fault::Execution(text));
        }
        if LIMIT <= *k {
            let text = format!("Scalar value {} overflows int64", general(*k, None));
            return Err(Fault::Execution(text));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "held between 0 and 2^63 above"
        )]
        ks.push(k.max(0.0) as usize);
    }
    Ok(Some(ks))
}

/// Ratios by step, held between -1 and 1; `None` when it is nothing at every step.
fn ratios(
    parameter: Vec<f64>,
    span: Span,
    notes: &mut Annotations,
) -> Result<Option<Vec<f64>>, Fault> {
    if parameter.iter().all(|ratio| *ratio == 0.0) {
        return Ok(None);
    }
    if parameter.iter().any(|ratio| ratio.is_nan()) {
        return Err(Fault::execution("Ratio value is NaN"));
    }
    let most = parameter.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = parameter.iter().copied().fold(f64::INFINITY, f64::min);
    for (ratio, limit, over) in [(most, 1, 1.0 < most), (least, -1, least < -1.0)] {
        if over {
            let ratio = general(ratio, None);
            notes.warn(
                span,
                format!("ratio value should be between -1 and 1, got {ratio}, capping to {limit}"),
            );
        }
    }
    Ok(Some(parameter.into_iter().map(|ratio| ratio.clamp(-1.0, 1.0)).collect()))
}

/// `count_values`: how many samples of each value, as series that name the value.
///
/// # Errors
/// The label name is none.
pub(crate) fn count_values(
    node: &Aggregate,
    label: &str,
    vector: StepVector,
    steps: usize,
    budget: &mut Budget,
) -> Result<StepVector, Fault> {
    if label.is_empty() {
        return Err(Fault::execution("invalid label name \"\""));
    }
    let mut grouping = node.grouping.clone();
    if !node.without {
        grouping.push(label.to_owned());
        grouping.sort_unstable();
        grouping.dedup();
    }
    let mut groups = Groups::new(&grouping, node.without);
    let mut columns: Vec<Column> = Vec::new();
    for series in vector {
        for (step, histogram) in series.column.iter_histograms() {
            let labels = with(&series.labels, label, &text_of(histogram));
            let group = groups.find(&labels, false);
            admit_group(&columns, group, &labels, steps, budget)?;
            count_one(&mut columns, group, step, steps);
        }
        let mut known: Option<(u64, usize)> = None;
        for step in series.column.present.iter_ones() {
            let value = series.column.values[step];
            let group = match known {
                Some((bits, group)) if bits == value.to_bits() => group,
                _ => {
                    let labels = with(&series.labels, label, &plain(value));
                    let group = groups.find(&labels, false);
                    admit_group(&columns, group, &labels, steps, budget)?;
                    group
                }
            };
            known = Some((value.to_bits(), group));
            count_one(&mut columns, group, step, steps);
        }
    }
    let labelled = columns.into_iter().zip(groups.into_labels());
    Ok(labelled.map(|(column, labels)| StepSeries { labels, drop_name: false, column }).collect())
}

/// Takes the bytes of a group that is new.
fn admit_group(
    columns: &[Column],
    group: usize,
    labels: &LabelSet,
    steps: usize,
    budget: &mut Budget,
) -> Result<(), Fault> {
    if group < columns.len() {
        return Ok(());
    }
    // The labels stand in the table of groups twice: as its key and as labels.
    budget.take_bytes(Column::new_bytes(steps) + 2 * labels.heap_bytes() as u64)
}

fn count_one(columns: &mut Vec<Column>, group: usize, step: usize, steps: usize) {
    if columns.len() <= group {
        columns.push(Column::new(steps));
    }
    let count = columns[group].float(step).unwrap_or(0.0);
    columns[group].set_float(step, count + 1.0);
}

/// A float as Go's `strconv.FormatFloat(value, 'f', -1, 64)`.
fn plain(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value < 0.0 { "-Inf".to_owned() } else { "+Inf".to_owned() }
    } else {
        format!("{value}")
    }
}
