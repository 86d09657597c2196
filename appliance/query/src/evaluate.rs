//! Evaluation: a query's text and a store in, its value and annotations out.
//!
//! Path: `api` → **evaluate** → `plan`, [`Source`]; children compute columns of steps.
//! Never: reads a clock (the caller's [`Control`] does), holds more than its budgets.

mod column;
mod fault;

mod budget;
mod labels;
mod quantile;

mod instant;
mod merge;

mod context;

mod native;
mod window;

mod histogram_fold;
mod windowed;

mod exact;
mod sorted;

mod rate;
mod regression;

mod histogram_rate;

mod histogram_extended;

mod counting;
mod extended;
mod over_time;
mod range;

mod date;
mod elementwise;
mod operator;

mod element;
mod join;
mod set;

mod bucket;
mod classic;
mod group;
mod rank;
mod ratio;

mod fold;

mod absent;
mod relabel;
mod sort;

mod aggregate;
mod enrich;

mod mapper;

mod leaf;

mod flow;

mod tree;

mod result;

use std::sync::Arc;

use model::time::TimestampMs;
use thiserror::Error;

use crate::annotation::Severity;
use crate::crew::{Alone, Crew};
use crate::evaluate::budget::{Bounds, Budget};
use crate::evaluate::context::{Context, Found, Settings};
use crate::evaluate::fault::Fault;
use crate::evaluate::labels::differ_without_metadata;
use crate::memory::MemoryPool;
use crate::meter::Meter;
use crate::parse::options::Options;
use crate::plan::frame::Frame;
use crate::plan::{Plan, plan};
use crate::source::{Selection, Source, SourceError};
use crate::value::Value;
use crate::value_type::ValueType;

/// A query as it was asked.
#[derive(Clone, Debug)]
pub struct Query {
    /// PromQL text.
    pub text: String,
    /// First step; the only one of an instant query.
    pub start: TimestampMs,
    /// No step is after it; equal to `start` for an instant query.
    pub end: TimestampMs,
    /// Milliseconds between steps; 0 for an instant query.
    pub step_ms: i64,
    /// How far an instant selector looks back (exclusive). Default 5 minutes.
    pub lookback_ms: i64,
    /// Limits and switches.
    pub options: EngineOptions,
}

/// Milliseconds that selectors look back unless the query says otherwise: Prometheus's 5 minutes.
pub const LOOKBACK_MS_DEFAULT: i64 = 300_000;

/// Bytes that a selected series is taken for: its handle, its labels and what stands behind them.
const SERIES_BYTES: u64 = 160;

/// Limits and switches of the engine; the server's flags set them.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Most samples in memory at once. Default 50,000,000, as Prometheus's `--query.max-samples`.
    pub samples_max: u64,
    /// Most bytes that one query may hold. Default 1 GiB.
    pub memory_bytes_max: u64,
    /// Most series that one selector may match. Default 10,000,000.
    pub series_max: usize,
    /// Step of a subquery that names none: Prometheus's global evaluation interval, 1 minute.
    pub default_subquery_step_ms: i64,
    /// Metric names go at the end of the query instead of at each operation (Prometheus's
    /// `promql-delayed-name-removal`). Default off.
    pub delayed_name_removal: bool,
    /// Start timestamps of samples count as resets (`use-start-timestamps`). Default off.
    pub use_start_timestamps: bool,
    /// Counters are known by `__type__` instead of their names' endings (`type-and-unit-labels`).
    /// Default off.
    pub type_and_unit_labels: bool,
    /// Counts the samples of every step apart (`stats=all`). Default off.
    pub per_step_stats: bool,
    /// Which experimental syntax is accepted. Default [`Options::STABLE`].
    pub parse: Options,
    /// Threads that help with the series of a query. Default [`Alone`].
    pub crew: Arc<dyn Crew>,
    /// Memory that all queries share. Default as much as there is.
    pub memory: Arc<MemoryPool>,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            samples_max: 50_000_000,
            memory_bytes_max: 1 << 30,
            series_max: 10_000_000,
            default_subquery_step_ms: 60_000,
            delayed_name_removal: false,
            use_start_timestamps: false,
            type_and_unit_labels: false,
            per_step_stats: false,
            parse: Options::STABLE,
            crew: Arc::new(Alone),
            memory: Arc::new(MemoryPool::new(u64::MAX)),
        }
    }
}

/// Whether a query goes on; asked between batches.
pub trait Control {
    /// Why the query must end at once, if it must.
    fn stop(&self) -> Option<Stop>;

    /// Where the query shows what it holds; by default where nobody looks.
    fn meter(&self) -> Arc<Meter> {
        Arc::default()
    }

    /// Hears that a part of the work begins, and that the part before is over.
    fn enter(&self, _part: Part) {}
}

/// Parts of a query's work, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Parsing, planning and asking the store for handles.
    Prepare,
    /// Computing.
    Evaluate,
    /// Bringing the series of a matrix in order.
    Sort,
    /// The answer is there.
    Done,
}

/// Why a query was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its deadline has passed.
    Timeout,
    /// Its asker went away, or somebody killed it.
    Canceled,
}

/// A control that never stops a query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unbounded;

impl Control for Unbounded {
    fn stop(&self) -> Option<Stop> {
        None
    }
}

/// What a query answers beside its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// Warnings with their places, `PromQL warning: ... (1:5)`, sorted.
    pub warnings: Vec<String>,
    /// Infos with their places, sorted.
    pub infos: Vec<String>,
    /// What the query cost.
    pub stats: Stats,
}

/// Samples that a query touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Samples looked at, once for every step that looked (`totalQueryableSamples`).
    pub samples_total: u64,
    /// Samples looked at, each once (`samplesRead`).
    pub samples_read: u64,
    /// Most samples in memory at once (`peakSamples`).
    pub samples_peak: u64,
    /// `samples_total` by step, where [`EngineOptions::per_step_stats`] asks for it.
    pub samples_per_step: Vec<(TimestampMs, u64)>,
}

/// Why a query has no answer.
#[derive(Clone, Debug, Error)]
pub enum QueryError {
    /// The text is no query (`bad_data`). The text is Prometheus's, place included.
    #[error("{0}")]
    Parse(String),
    /// The query cannot be computed on this data (`execution`).
    #[error("{0}")]
    Execution(String),
    /// The deadline passed (`timeout`).
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// Ended from outside (`canceled`).
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// Over `samples_max` (`execution`).
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// Over `memory_bytes_max` (`execution`).
    #[error("query needs more than {bytes_max} bytes of memory in query execution")]
    Memory {
        /// The budget.
        bytes_max: u64,
    },
    /// The queries that run need more than the memory that they share (`execution`).
    #[error(
        "queries together need more than {bytes_max} bytes of memory in query execution: ask for \
         less, or again when fewer run"
    )]
    SharedMemory {
        /// What they share.
        bytes_max: u64,
    },
    /// The store failed.
    #[error("expanding series: {0}")]
    Source(#[from] SourceError),
}

/// Answers `query` from `source`.
///
/// # Errors
/// See [`QueryError`].
pub fn evaluate(
    query: &Query,
    source: &dyn Source,
    control: &dyn Control,
) -> Result<Answer, QueryError> {
    let bytes_max = query.options.memory_bytes_max;
    control.enter(Part::Prepare);
    let plan = plan_of(query)?;
    let check = || match control.stop() {
        None => Ok(()),
        Some(Stop::Timeout) => Err(Fault::Timeout),
        Some(Stop::Canceled) => Err(Fault::Canceled),
    };
    let mut context = context_of(query, &plan, source, &check, control.meter())
        .map_err(|fault| QueryError::of(ended(fault, &check), bytes_max))?;
    control.enter(Part::Evaluate);
    let mut value = result::value_of(&mut context, &plan, query.step_ms == 0)
        .map_err(|fault| QueryError::of(ended(fault, &check), bytes_max))?;
    control.enter(Part::Sort);
    if let Value::Matrix(series) = &mut value {
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    control.enter(Part::Done);
    let (samples_total, samples_read, samples_peak) = context.budget.counts();
    let by_step = context.budget.by_step().iter().enumerate();
    let samples_per_step =
        by_step.map(|(step, count)| (TimestampMs(plan.grid.time_ms(step)), *count)).collect();
    let mut warnings = context.notes.texts(Severity::Warning, &query.text);
    warnings.extend(source.warnings());
    Ok(Answer {
        value,
        warnings,
        infos: context.notes.texts(Severity::Info, &query.text),
        stats: Stats { samples_total, samples_read, samples_peak, samples_per_step },
    })
}

fn plan_of(query: &Query) -> Result<Plan, QueryError> {
    let expr = crate::parse::parse(&query.text, &query.options.parse)
        .map_err(|errors| QueryError::Parse(errors.to_string()))?;
    if query.step_ms < 0 {
        return Err(QueryError::Parse(
            "zero or negative query resolution step widths are not \
                                      accepted. Try a positive integer"
                .to_owned(),
        ));
    }
    let frame = Frame {
        start_ms: query.start.0,
        end_ms: query.end.0,
        step_ms: query.step_ms,
        lookback_ms: lookback_of(query),
        subquery_step_ms: query.options.default_subquery_step_ms.max(1),
    };
    let plan = plan(&expr, &frame).map_err(|error| QueryError::Parse(error.text))?;
    let kind = match plan.value_type {
        ValueType::String => "string",
        ValueType::Matrix => "range vector",
        ValueType::Scalar | ValueType::Vector => return Ok(plan),
    };
    if query.step_ms == 0 {
        return Ok(plan);
    }
    Err(QueryError::Parse(format!(
        "invalid expression type {kind:?} for range query, must be Scalar or instant Vector"
    )))
}

/// A store that ended because nobody waits does not know why: the query does.
fn ended(fault: Fault, check: &dyn Fn() -> Result<(), Fault>) -> Fault {
    match (fault, check()) {
        (Fault::Source(SourceError::Ended), Err(why)) => why,
        (fault, _) => fault,
    }
}

/// The lookback; as upstream, none means the default.
fn lookback_of(query: &Query) -> i64 {
    if 0 < query.lookback_ms { query.lookback_ms } else { LOOKBACK_MS_DEFAULT }
}

fn context_of<'a>(
    query: &'a Query,
    plan: &Plan,
    source: &'a dyn Source,
    check: &'a dyn Fn() -> Result<(), Fault>,
    meter: Arc<Meter>,
) -> Result<Context<'a>, Fault> {
    let options = &query.options;
    let bounds =
        Bounds { samples_max: options.samples_max, memory_bytes_max: options.memory_bytes_max };
    let mut budget = Budget::new(bounds, Arc::clone(&options.memory), meter);
    if options.per_step_stats {
        budget.count_steps(plan.grid.count)?;
    }
    let mut found = Vec::with_capacity(plan.selected.len());
    for selected in &plan.selected {
        check()?;
        let affordable = usize::try_from(budget.bytes_left() / SERIES_BYTES).unwrap_or(usize::MAX);
        let series = source.select(&Selection {
            matchers: selected.matchers.clone(),
            window_value: selected.window_value,
            after: TimestampMs(selected.after_ms),
            until: TimestampMs(selected.until_ms),
            series_max: options.series_max.min(affordable),
            bytes_max: budget.bytes_left(),
        });
        let series = match series {
            // The store refused what the memory of the query, not its own bound, does not hold.
            Err(SourceError::TooManySeries { .. }) if affordable < options.series_max => {
                return Err(Fault::Memory);
            }
            Err(SourceError::Memory { .. }) => return Err(Fault::Memory),
            series => series?,
        };
        let handles: u64 = series.iter().map(|series| series.column.heap_bytes()).sum();
        budget.take_bytes(series.len() as u64 * SERIES_BYTES + handles)?;
        let differ = differ_without_metadata(series.iter().map(|series| &series.labels));
        found.push(Found { series: Arc::new(series), differ });
    }
    Ok(Context {
        settings: Settings {
            delayed: options.delayed_name_removal,
            use_starts: options.use_start_timestamps,
            type_and_unit: options.type_and_unit_labels,
            lookback_ms: lookback_of(query),
            series_max: options.series_max,
        },
        source,
        found,
        budget,
        notes: crate::annotation::Annotations::default(),
        check,
        crew: &*options.crew,
    })
}

impl QueryError {
    fn of(fault: Fault, bytes_max: u64) -> QueryError {
        match fault {
            Fault::Execution(text) => QueryError::Execution(text),
            Fault::Samples => QueryError::TooManySamples,
            Fault::Memory => QueryError::Memory { bytes_max },
            Fault::SharedMemory { bytes_max } => QueryError::SharedMemory { bytes_max },
            Fault::Timeout => QueryError::Timeout,
            Fault::Canceled => QueryError::Canceled,
            Fault::Source(error) => QueryError::Source(error),
        }
    }
}
