//! Range functions: which kernel computes which function of one series' windows.

use model::label_set::LabelSet;

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::evaluate::budget::Work;
use crate::evaluate::column::Column;
use crate::evaluate::counting::{
    Counted, End, fill_counts, fill_ends, fill_last_changes, fill_presence,
};
use crate::evaluate::extended::fill_extended_rates;
use crate::evaluate::fault::Fault;
use crate::evaluate::histogram_rate::fill_histogram_rates;
use crate::evaluate::over_time::{
    Deviation, Extreme, fill_deviations, fill_extremes, fill_histogram_folds, fill_quantiles,
    fill_smoothed, fill_sums,
};
use crate::evaluate::rate::{RateKind, fill_rates};
use crate::evaluate::regression::fill_lines;
use crate::evaluate::window::{Reach, Tracks, Windows, count_looked};
use crate::evaluate::windowed::Windowed;
use crate::grid::Grid;
use crate::plan::node::{Extension, Moved, RangeFunction};

/// A call of a range function, its scalar arguments evaluated.
#[derive(Clone, Debug)]
pub(crate) struct RangeCall {
    /// Which function.
    pub(crate) function: RangeFunction,
    /// Its name.
    pub(crate) name: &'static str,
    /// The other arguments, by step.
    pub(crate) scalars: Vec<Vec<f64>>,
    /// Milliseconds of the range.
    pub(crate) range_ms: i64,
    /// Offset and `@` of the range.
    pub(crate) moved: Moved,
    /// `anchored`, `smoothed`.
    pub(crate) extension: Extension,
    /// Place of the first argument.
    pub(crate) span: Span,
    /// Milliseconds that extended ranges look further.
    pub(crate) lookback_ms: i64,
    /// Start timestamps count.
    pub(crate) use_starts: bool,
}

/// Samples that windows look at between two looks at the deadline: tens of milliseconds of the
/// slowest functions.
const SAMPLES_PER_CHECK: u64 = 1 << 24;

/// Memory that is used again for every series.
#[derive(Debug, Default)]
pub(crate) struct RangeScratch {
    floats: Windows,
    histograms: Windows,
}

impl RangeCall {
    /// Whether the function drops the metric name.
    pub(crate) fn drops_name(&self) -> bool {
        !matches!(self.function, RangeFunction::LastOverTime | RangeFunction::FirstOverTime)
    }

    /// Refuses modifiers that the function does not know.
    ///
    /// # Errors
    /// It does not know them.
    pub(crate) fn check_extension(&self) -> Result<(), Fault> {
        use RangeFunction::{Changes, Delta, Increase, Rate, Resets};
        let (modifier, known, allowed) = match self.extension {
            Extension::None => return Ok(()),
            Extension::Anchored => (
                "anchored",
                matches!(self.function, Changes | Delta | Increase | Rate | Resets),
                "changes, delta, increase, rate, resets",
            ),
            Extension::Smoothed => (
                "smoothed",
                matches!(self.function, Delta | Increase | Rate),
                "delta, increase, rate",
            ),
        };
        if known {
            return Ok(());
        }
        Err(Fault::execution(format!(
            "{modifier} modifier can only be used with: {allowed} - not with {}",
            self.name
        )))
    }

    fn reach(&self) -> Reach {
        let further = if self.extension == Extension::None { 0 } else { self.lookback_ms };
        let ahead_ms = if self.extension == Extension::Smoothed { self.lookback_ms } else { 0 };
        let back_ms = self.range_ms.saturating_add(further);
        Reach { moved: self.moved, back_ms, ahead_ms }
    }

    /// Fills `column` with the function of one series at every step.
    ///
    /// # Errors
    /// An argument or a bound is passed, histograms meet a function that does not know them, or
    /// the query is to end.
    pub(crate) fn fill(
        &self,
        work: &mut Work<'_>,
        (tracks, labels): (&Tracks, &LabelSet),
        grid: &Grid,
        scratch: &mut RangeScratch,
        column: &mut Column,
    ) -> Result<(), Fault> {
        column.reset(grid.count);
        let reach = self.reach();
        scratch.floats.slide(&tracks.floats.times, grid, &reach);
        scratch.histograms.slide(&tracks.histograms.times, grid, &reach);
        let both = (&scratch.floats, &scratch.histograms);
        let fixed = self.moved.at_ms.is_some();
        let by_step = &mut work.cost.by_step;
        let looked = count_looked(tracks, both, grid.count, fixed, by_step);
        work.cost.largest = looked.largest;
        (work.cost.total, work.cost.read) = (looked.total, looked.read);
        let mut series = Windowed {
            tracks,
            floats: &scratch.floats,
            histograms: &scratch.histograms,
            grid,
            block: (0, 0),
            moved: self.moved,
            range_ms: self.range_ms,
            extension: self.extension,
            labels,
            span: self.span,
            use_starts: self.use_starts,
        };
        let blocks = usize::try_from(looked.total / SAMPLES_PER_CHECK).unwrap_or(usize::MAX);
        let block = (grid.count / blocks.saturating_add(1)).max(1);
        while series.block.1 < grid.count {
            if series.block.1 != 0 {
                (work.check)()?;
            }
            series.block = (series.block.1, grid.count.min(series.block.1 + block));
            self.run(&series, column, work.notes)?;
        }
        Ok(())
    }

    fn run(
        &self,
        series: &Windowed<'_>,
        column: &mut Column,
        notes: &mut Annotations,
    ) -> Result<(), Fault> {
        use RangeFunction as F;
        match self.function {
            F::Rate => self.rate(series, true, true, column, notes),
            F::Increase => self.rate(series, true, false, column, notes),
            F::Delta => self.rate(series, false, false, column, notes),
            F::Irate => fill_last_changes(series, true, column, notes),
            F::Idelta => fill_last_changes(series, false, column, notes),
            F::Deriv => fill_lines(series, None, column, notes),
            F::PredictLinear => fill_lines(series, Some(&self.scalars[0]), column, notes),
            F::Resets => fill_counts(series, Counted::Resets, column),
            F::Changes => fill_counts(series, Counted::Changes, column),
            F::AvgOverTime => sum(series, true, column, notes),
            F::SumOverTime => sum(series, false, column, notes),
            F::CountOverTime => fill_presence(series, true, column),
            F::PresentOverTime | F::AbsentOverTime => fill_presence(series, false, column),
            F::MinOverTime => fill_extremes(series, extreme(false, false), column, notes),
            F::MaxOverTime => fill_extremes(series, extreme(true, false), column, notes),
            F::TsOfMinOverTime => fill_extremes(series, extreme(false, true), column, notes),
            F::TsOfMaxOverTime => fill_extremes(series, extreme(true, true), column, notes),
            F::StddevOverTime => fill_deviations(series, Deviation::Stddev, column, notes),
            F::StdvarOverTime => fill_deviations(series, Deviation::Stdvar, column, notes),
            F::MadOverTime => fill_deviations(series, Deviation::Mad, column, notes),
            F::QuantileOverTime => fill_quantiles(series, &self.scalars[0], column, notes),
            F::FirstOverTime => fill_ends(series, End { last: false, time: false }, column),
            F::LastOverTime => fill_ends(series, End { last: true, time: false }, column),
            F::TsOfFirstOverTime => fill_ends(series, End { last: false, time: true }, column),
            F::TsOfLastOverTime => fill_ends(series, End { last: true, time: true }, column),
            F::DoubleExponentialSmoothing => {
                fill_smoothed(series, (&self.scalars[0], &self.scalars[1]), column, notes)?;
            }
        }
        Ok(())
    }

    fn rate(
        &self,
        series: &Windowed<'_>,
        is_counter: bool,
        is_rate: bool,
        column: &mut Column,
        notes: &mut Annotations,
    ) {
        let kind = RateKind { is_counter, is_rate };
        if self.extension != Extension::None {
            fill_extended_rates(series, kind, column, notes);
            return;
        }
        fill_rates(series, kind, column, notes);
        fill_histogram_rates(series, kind, column, notes);
    }
}

fn sum(series: &Windowed<'_>, is_mean: bool, column: &mut Column, notes: &mut Annotations) {
    fill_sums(series, is_mean, column);
    fill_histogram_folds(series, is_mean, column, notes);
}

fn extreme(max: bool, time: bool) -> Extreme {
    Extreme { max, time }
}
