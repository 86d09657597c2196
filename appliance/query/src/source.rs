//! What a query needs of a store: series by matchers, their samples as columns.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::samples::Samples;
use model::time::TimestampMs;
use thiserror::Error;

/// Bytes of handles that an asker without a budget of its own can bear: a million series with a
/// kilobyte each.
pub const HANDLES_BYTES_MAX: u64 = 1 << 30;

/// What stands for a window where a store has downsampled; samples that it has as they came
/// are given as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowValue {
    /// What stands nearest to the samples: their mean.
    #[default]
    Average,
    /// Their sum, and how many they are: for `sum_over_time`, `avg_over_time`, `count_over_time`.
    Sum,
    /// The least, for `min_over_time`.
    Min,
    /// The largest, for `max_over_time`.
    Max,
    /// A counter that rises as theirs does, for `rate` and its like.
    Counter,
}

/// What one selector asks for.
#[derive(Clone, Debug)]
pub struct Selection {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Only samples after this time can matter (exclusive).
    pub after: TimestampMs,
    /// Only samples up to this time can matter (inclusive).
    pub until: TimestampMs,
    /// What is wanted of samples that are kept by window only.
    pub window_value: WindowValue,
    /// Most series the asker can bear; more is an error, not a cut.
    pub series_max: usize,
    /// Most bytes of handles that the asker can bear, about.
    pub bytes_max: u64,
}

/// Why a store could not answer.
#[derive(Clone, Debug, Error)]
pub enum SourceError {
    /// More series match than the asker can bear.
    #[error("selector matches more than {series_max} series")]
    TooManySeries {
        /// The bound that was passed.
        series_max: usize,
    },
    /// The handles of the series need more bytes than the asker can bear.
    #[error("selector needs more than {bytes_max} bytes")]
    Memory {
        /// The bound that was passed.
        bytes_max: u64,
    },
    /// Nobody waits any more.
    #[error("the time of the question is over")]
    Ended,
    /// The store did not answer in time, or is stopping.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// Bytes on disk are damaged; the text names file and place.
    #[error("storage is damaged: {0}")]
    Damaged(String),
}

/// A store that queries read. One call is one snapshot.
pub trait Source: Send + Sync {
    /// Series that fulfil all matchers, each label set once, in any order. A series without a
    /// sample in the range may be among them.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError>;

    /// Values of label `name` (sorted, each once) among series that fulfil any of the matcher
    /// sets, or among all when there is none, with a sample in the range as far as the index knows.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn label_values(&self, name: &str, wanted: &LabelQuery) -> Result<Vec<String>, SourceError>;

    /// Label names, as [`Source::label_values`].
    ///
    /// # Errors
    /// See [`SourceError`].
    fn label_names(&self, wanted: &LabelQuery) -> Result<Vec<String>, SourceError>;

    /// What its answers so far lack, for those who read them.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Which series a question about labels looks at.
#[derive(Clone, Debug)]
pub struct LabelQuery {
    /// A series counts that fulfils all of any one set; no set means every series.
    pub matcher_sets: Vec<Vec<Matcher>>,
    /// Time range, both ends included.
    pub from: TimestampMs,
    /// Time range, both ends included.
    pub to: TimestampMs,
}

/// One series of a selection: a handle, not its samples.
#[derive(Clone)]
pub struct Series {
    /// Its labels.
    pub labels: LabelSet,
    /// Its samples.
    pub column: Arc<dyn Column>,
}

/// The samples of one series, immutable.
pub trait Column: Send + Sync {
    /// Bytes of memory of the handle, beside a few words.
    fn heap_bytes(&self) -> u64 {
        0
    }

    /// Appends to `samples` the samples with `after < timestamp <= until` in order of time, each
    /// time once, staleness markers included.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError>;
}
