//! `info`: series enriched by the labels of info metrics.
//!
//! The info series of a step are those that the first argument's `@` and offset point at.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use model::label_set::{Builder, LabelSet, METRIC_NAME};
use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;

use crate::ast::LabelMatcher;
use crate::evaluate::column::{Column, StepSeries, StepVector};
use crate::evaluate::context::Context;
use crate::evaluate::fault::Fault;
use crate::evaluate::instant::{Pick, fill_steps};
use crate::evaluate::merge::join_same_labels;
use crate::grid::Grid;
use crate::plan::node::{Moved, Node, NodeKind};
use crate::source::{Selection, Series, WindowValue};
use model::samples::Samples;

/// Labels by which series and info series belong together.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// Bytes that a step of an info series takes.
const STEP_BYTES: u64 = 16;
/// The info metric that is meant when none is named.
const TARGET_INFO: &str = "target_info";

/// What is asked of the info metrics.
pub(crate) struct Enriching {
    names: Vec<Matcher>,
    labels: Vec<Matcher>,
    moved: Moved,
}

/// An info metric's series, and the times (milliseconds) of its samples by step.
struct InfoSeries {
    labels: LabelSet,
    name: String,
    times: Vec<Option<i64>>,
}

impl Enriching {
    /// The enrichment that the second argument's matchers ask for.
    ///
    /// # Errors
    /// A regex is too large.
    pub(crate) fn new(base: &Node, selector: Option<&[LabelMatcher]>) -> Result<Enriching, Fault> {
        let compile = |matcher: &LabelMatcher| {
            Matcher::new(&matcher.name, matcher.op, &matcher.value)
                .map_err(|error| Fault::execution(error.to_string()))
        };
        let matchers = selector.unwrap_or_default().iter().map(compile);
        let matchers = matchers.collect::<Result<Vec<_>, Fault>>()?;
        let (mut names, labels): (Vec<_>, Vec<_>) =
            matchers.into_iter().partition(|matcher| &*matcher.name == METRIC_NAME);
        let positive = |matcher: &Matcher| matches!(matcher.op, MatchOp::Equal | MatchOp::Regex);
        if !names.iter().any(positive) {
            let (op, value) = if names.is_empty() {
                (MatchOp::Equal, TARGET_INFO)
            } else {
                (MatchOp::Regex, ".+_info")
            };
            let name = Matcher::new(METRIC_NAME, op, value)
                .map_err(|error| Fault::execution(error.to_string()))?;
            names.push(name);
        }
        Ok(Enriching { names, labels, moved: moved_of(base).unwrap_or_default() })
    }

    /// Enriches `base`.
    ///
    /// # Errors
    /// InfoSeries series contradict each other, the store fails, or a bound is passed.
    pub(crate) fn enrich(
        &self,
        context: &mut Context<'_>,
        base: StepVector,
        grid: &Grid,
    ) -> Result<StepVector, Fault> {
        let is_info = |labels: &LabelSet| {
            self.names.iter().all(|matcher| matcher.matches(labels.metric_name()))
        };
        let infos = self.infos(context, &base, grid, is_info)?;
        let mut enriched = Vec::new();
        for series in base {
            if is_info(&series.labels) {
                enriched.push(series);
            } else {
                self.enrich_series(context, &series, &infos, grid, &mut enriched)?;
            }
        }
        if grid.is_instant() { Ok(enriched) } else { join_same_labels(enriched) }
    }

    /// The info series that belong to any of `base`, by metric name and identifying labels.
    fn infos(
        &self,
        context: &mut Context<'_>,
        base: &StepVector,
        grid: &Grid,
        is_info: impl Fn(&LabelSet) -> bool,
    ) -> Result<BTreeMap<Signature, Vec<InfoSeries>>, Fault> {
        let mut infos: BTreeMap<Signature, Vec<InfoSeries>> = BTreeMap::new();
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for series in base.iter().filter(|series| !is_info(&series.labels)) {
            for name in IDENTIFYING {
                if let Some(value) = series.labels.get(name) {
                    wanted.entry(name).or_default().insert(value);
                }
            }
        }
        if wanted.is_empty() {
            return Ok(infos);
        }
        for series in self.select(context, &wanted, grid)? {
            if let Some(info) = self.info_of(context, &series, grid)? {
                let signature = signature_of(&info.labels, &info.name);
                infos.entry(signature).or_default().push(info);
            }
        }
        for same in infos.values() {
            check_newest(same, grid)?;
        }
        Ok(infos)
    }

    fn select(
        &self,
        context: &Context<'_>,
        wanted: &BTreeMap<&str, BTreeSet<&str>>,
        grid: &Grid,
    ) -> Result<Vec<Series>, Fault> {
        let lookback_ms = context.settings.lookback_ms;
        let matchers = self.names.iter().chain(&self.labels).cloned().collect();
        let after_ms = self.moved.reference_ms(grid.start_ms).saturating_sub(lookback_ms);
        let mut found = context.source.select(&Selection {
            matchers,
            window_value: WindowValue::Average,
            after: TimestampMs(after_ms),
            until: TimestampMs(self.moved.reference_ms(grid.last_ms())),
            series_max: context.settings.series_max,
            bytes_max: context.budget.bytes_left(),
        })?;
        found.retain(|series| {
            wanted.iter().all(|(name, values)| values.contains(series.labels.value(name)))
        });
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    fn info_of(
        &self,
        context: &mut Context<'_>,
        series: &Series,
        grid: &Grid,
    ) -> Result<Option<InfoSeries>, Fault> {
        let lookback_ms = context.settings.lookback_ms;
        let after = self.moved.reference_ms(grid.start_ms).saturating_sub(lookback_ms);
        let until = self.moved.reference_ms(grid.last_ms());
        context.budget.take_bytes(grid.count as u64 * STEP_BYTES)?;
        let mut samples = Samples::default();
        series.column.decode(TimestampMs(after), TimestampMs(until), &mut samples)?;
        let labels = &series.labels;
        if !samples.histograms.is_empty() {
            return Err(Fault::execution(format!(
                "this should be an info metric, with float samples: {labels}"
            )));
        }
        let mut column = Column::default();
        fill_steps(&samples, grid, self.moved, lookback_ms, Pick::Time, &mut column);
        let count = column.samples();
        context.budget.take_samples(count)?;
        context.budget.touch(count, count);
        let times = (0..grid.count).map(|step| column.float(step).map(milliseconds)).collect();
        let info =
            InfoSeries { labels: labels.clone(), name: labels.metric_name().to_owned(), times };
        Ok((count != 0).then_some(info))
    }

    /// Adds a series, at each step with the labels of the info series that are valid there.
    fn enrich_series(
        &self,
        context: &mut Context<'_>,
        series: &StepSeries,
        infos: &BTreeMap<Signature, Vec<InfoSeries>>,
        grid: &Grid,
        enriched: &mut StepVector,
    ) -> Result<(), Fault> {
        let own = identity_of(&series.labels);
        let mut belonging: Vec<&Vec<InfoSeries>> = infos
            .iter()
            .filter(|((_, identity), _)| *identity == own)
            .map(|(_, same)| same)
            .collect();
        belonging.sort_by(|a, b| a[0].name.cmp(&b[0].name));
        let optional = self.labels.iter().all(|matcher| matcher.matches(""));
        let mut by_infos: BTreeMap<Vec<(usize, usize)>, Column> = BTreeMap::new();
        for step in series.column.occupied().iter_ones() {
            let valid = belonging.iter().enumerate();
            let valid: Vec<_> =
                valid.filter_map(|(at, same)| Some((at, newest(same, step)?))).collect();
            if valid.is_empty() && !optional {
                continue;
            }
            let column = match by_infos.entry(valid) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    context.budget.take_bytes(Column::new_bytes(grid.count))?;
                    new.insert(Column::new(grid.count))
                }
            };
            if let Some(value) = series.column.float(step) {
                column.set_float(step, value);
            } else if let Some(histogram) = series.column.histogram(step) {
                column.set_histogram(step, std::sync::Arc::clone(histogram));
            }
        }
        for (valid, column) in by_infos {
            let valid = valid.iter().map(|(at, which)| &belonging[*at][*which]);
            let labels = self.labels_with(&series.labels, valid)?;
            enriched.push(StepSeries { labels, drop_name: series.drop_name, column });
        }
        Ok(())
    }

    fn labels_with<'i>(
        &self,
        base: &LabelSet,
        infos: impl Iterator<Item = &'i InfoSeries>,
    ) -> Result<LabelSet, Fault> {
        let mut added = Builder::default();
        for info in infos {
            for (name, value) in &info.labels {
                let asked = self.labels.is_empty()
                    || self.labels.iter().any(|matcher| &*matcher.name == name);
                if name == METRIC_NAME || !asked {
                    continue;
                }
                let known = added.value(name);
                if !known.is_empty() && known != value {
                    return Err(Fault::execution(format!("conflicting label: {name}")));
                }
                if base.get(name).is_none() {
                    added.set(name, value);
                }
            }
        }
        let mut labels = Builder::from(base);
        for (name, value) in added.iter() {
            labels.set(name, value);
        }
        Ok(labels.build())
    }
}

/// Metric name of an info series and its identifying labels.
type Signature = (String, LabelSet);

fn identity_of(labels: &LabelSet) -> LabelSet {
    LabelSet::new(labels.iter().filter(|(name, _)| IDENTIFYING.contains(name)))
}

fn signature_of(labels: &LabelSet, name: &str) -> Signature {
    (name.to_owned(), identity_of(labels))
}

/// Which of the info series has the newest sample at a step.
fn newest(same: &[InfoSeries], step: usize) -> Option<usize> {
    let timed = same.iter().enumerate().filter_map(|(at, info)| Some((info.times[step]?, at)));
    timed.max().map(|(_, at)| at)
}

/// Refuses info series of which two are equally new at a step.
fn check_newest(same: &[InfoSeries], grid: &Grid) -> Result<(), Fault> {
    for step in 0..grid.count {
        let Some(newest) = newest(same, step) else { continue };
        let time = same[newest].times[step];
        let rival =
            same.iter().enumerate().find(|(at, info)| *at != newest && info.times[step] == time);
        if let (Some((_, rival)), Some(time)) = (rival, time) {
            let (existing, new) = (&rival.labels, &same[newest].labels);
            return Err(Fault::execution(format!(
                "found duplicate series for info metric: existing {existing} @ {time}, new {new} \
                 @ {time}"
            )));
        }
    }
    Ok(())
}

/// The time that the first selector of an expression looks at.
fn moved_of(node: &Node) -> Option<Moved> {
    match &node.kind {
        NodeKind::Number(_) | NodeKind::String(_) => None,
        NodeKind::Selector(selector) => Some(selector.moved),
        NodeKind::Matrix(matrix) => Some(matrix.selector.moved),
        NodeKind::Subquery(subquery) => {
            let inner = moved_of(&subquery.expr)?;
            if inner.at_ms.is_some() {
                return Some(inner);
            }
            // Offsets add up to the first `@`.
            let offset_ms = inner.offset_ms.saturating_add(subquery.moved.offset_ms);
            Some(Moved { at_ms: subquery.moved.at_ms, offset_ms })
        }
        NodeKind::Paren(inner) | NodeKind::Negate(inner) | NodeKind::Invariant(inner) => {
            moved_of(inner)
        }
        NodeKind::Binary(binary) => moved_of(&binary.left).or_else(|| moved_of(&binary.right)),
        NodeKind::Aggregate(aggregate) => {
            moved_of(&aggregate.expr).or_else(|| aggregate.parameter.as_ref().and_then(moved_of))
        }
        NodeKind::Call(call) => call.args.iter().find_map(moved_of),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a sample's time in seconds, made of one in ms"
)]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
