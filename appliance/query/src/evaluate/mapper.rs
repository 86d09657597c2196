//! Mapper: operations that change each series of an instant vector by itself.

use std::sync::Arc;

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::date::map_dates;
use crate::evaluate::element::Operator;
use crate::evaluate::elementwise::map_column;
use crate::evaluate::fault::Fault;
use crate::evaluate::instant::seconds;
use crate::evaluate::native::statistic;
use crate::evaluate::operator::changes_meaning;
use crate::grid::Grid;
use crate::native::wide::Wide;
use crate::plan::node::{DateFunction, HistogramFunction, MapFunction};

/// An operation on each series, its scalar operands evaluated.
#[derive(Debug)]
pub(crate) enum Mapper {
    /// A function of floats.
    Map(MapFunction, Vec<Vec<f64>>),
    /// A date function.
    Date(DateFunction),
    /// A function of native histograms.
    Histogram(HistogramFunction),
    /// `-vector`
    Negate,
    /// An operator with a scalar, which may stand on the left.
    Scalar(Operator, Vec<f64>, bool),
    /// The time of each step: `timestamp` of what is no selector.
    Time(Grid),
}

impl Mapper {
    /// Whether the metric name goes.
    pub(crate) fn drops_name(&self) -> bool {
        match self {
            Mapper::Scalar(operator, ..) => changes_meaning(operator.op) || operator.return_bool,
            _ => true,
        }
    }

    /// Changes a series in place.
    ///
    /// # Errors
    /// Histograms meet an operation that does not know them.
    pub(crate) fn apply(&self, column: &mut Column, notes: &mut Annotations) -> Result<(), Fault> {
        match self {
            Mapper::Map(function, scalars) => map_column(*function, scalars, column),
            Mapper::Date(function) => map_dates(*function, column),
            Mapper::Histogram(function) => map_histograms(*function, column),
            Mapper::Negate => {
                for histogram in column.histograms.iter_mut().flatten() {
                    let mut wide = Wide::from(histogram.as_ref());
                    wide.multiply(-1.0);
                    *histogram = Arc::new(wide.finish(false));
                }
                for value in &mut column.values {
                    *value = -*value;
                }
            }
            Mapper::Scalar(operator, scalar, scalar_left) => {
                operator.combine_scalar(column, scalar, *scalar_left, notes);
            }
            Mapper::Time(grid) => {
                column.present = column.occupied();
                column.drop_histograms();
                for (step, value) in column.values.iter_mut().enumerate() {
                    *value = seconds(grid.time_ms(step));
                }
            }
        }
        Ok(())
    }
}

fn map_histograms(function: HistogramFunction, column: &mut Column) {
    let histograms = std::mem::take(&mut column.histograms);
    column.present.reset(column.steps());
    for (step, histogram) in histograms.iter().enumerate() {
        if let Some(histogram) = histogram {
            column.set_float(step, statistic(function, histogram));
        }
    }
}
