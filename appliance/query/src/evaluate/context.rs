//! Context: what every part of one evaluation shares.

use std::sync::Arc;

use model::label_set::LabelSet;

use crate::annotation::Annotations;
use crate::crew::Crew;
use crate::evaluate::budget::Budget;
use crate::evaluate::column::{Column, StepSeries, StepVector};
use crate::evaluate::fault::Fault;
use crate::evaluate::labels::without_metadata;
use crate::evaluate::merge::{has_same_labels, join_same_labels};
use crate::grid::Grid;
use crate::source::{Series, Source};

/// Switches of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Names go at the end of the query.
    pub(crate) delayed: bool,
    /// Start timestamps count.
    pub(crate) use_starts: bool,
    /// Counters are known by `__type__`.
    pub(crate) type_and_unit: bool,
    /// How far an instant selector looks back.
    pub(crate) lookback_ms: i64,
    /// Most series of a selector.
    pub(crate) series_max: usize,
}

/// Series that a selector found.
pub(crate) struct Found {
    /// Handles.
    pub(crate) series: Arc<Vec<Series>>,
    /// Without name, type and unit their labels still differ.
    pub(crate) differ: bool,
}

/// What every part of one evaluation shares.
pub(crate) struct Context<'a> {
    /// Switches.
    pub(crate) settings: Settings,
    /// The store, for functions that select by what they found.
    pub(crate) source: &'a dyn Source,
    /// Series by selection of the plan.
    pub(crate) found: Vec<Found>,
    /// Samples and bytes.
    pub(crate) budget: Budget,
    /// Warnings and infos.
    pub(crate) notes: Annotations,
    /// Says why the query must end.
    pub(crate) check: &'a dyn Fn() -> Result<(), Fault>,
    /// Threads that may help.
    pub(crate) crew: &'a dyn Crew,
}

/// Where a computed series goes.
pub(crate) type Sink<'s, 'c> = dyn FnMut(&mut Context<'c>, Streamed<'_>) -> Result<(), Fault> + 's;

/// One series on its way from where it was computed to where it is used.
pub(crate) struct Streamed<'a> {
    /// Its labels.
    pub(crate) labels: &'a LabelSet,
    /// The metric name is to go: at once, or with delayed removal at the end.
    pub(crate) drop_name: bool,
    /// Its values; may be taken.
    pub(crate) column: &'a mut Column,
}

impl Context<'_> {
    /// Whether the labels of a streamed series no longer count its name.
    pub(crate) fn hides(&self, drop_name: bool) -> bool {
        drop_name && !self.settings.delayed
    }

    /// Keeps a streamed series.
    ///
    /// # Errors
    /// Too many bytes are held.
    pub(crate) fn keep(&mut self, streamed: Streamed<'_>) -> Result<StepSeries, Fault> {
        let labels = if self.hides(streamed.drop_name) {
            without_metadata(streamed.labels)
        } else {
            streamed.labels.clone()
        };
        let column = std::mem::take(streamed.column);
        self.budget.take_bytes(column.heap_bytes() + labels.heap_bytes() as u64)?;
        Ok(StepSeries { labels, drop_name: streamed.drop_name, column })
    }

    /// The result of an operation that made series with the same labels possible.
    ///
    /// # Errors
    /// Two series with the same labels hold something at one step.
    pub(crate) fn unique(&self, mut vector: StepVector, grid: &Grid) -> Result<StepVector, Fault> {
        if !self.settings.delayed {
            for series in vector.iter_mut().filter(|series| series.drop_name) {
                series.labels = without_metadata(&series.labels);
            }
        }
        if !grid.is_instant() {
            return join_same_labels(vector);
        }
        if !self.settings.delayed && has_same_labels(&vector) {
            return Err(Fault::same_labels());
        }
        Ok(vector)
    }
}
