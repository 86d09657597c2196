//! Store: one shard's durable samples, in memory and in flight to the disk.
//!
//! Path: `shard` → **store** → effects; `recovery` makes it at start.
//! Never: reads a clock, does I/O, drops a row silently.

use model::label_set::LabelSet;
use model::time::{Now, Tick};
use thiserror::Error;

use crate::effect::{Effect, Event, LogPosition};
use crate::options::Options;
use crate::row::{ColumnIndex, GroupId, GroupKey, Row};
use crate::selection::{LabelRequest, SelectError, SelectRequest, SelectedSeries};
use crate::stats::Stats;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The row is durable when [`Store::durable`] has reached this.
    pub position: LogPosition,
    /// Samples and staleness markers in it.
    pub samples: usize,
    /// A row of this slot and at least this rank is there already; nothing was stored.
    pub duplicate: bool,
}

/// Why a row was refused; nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RowError {
    /// The log or the sealed tiles wait for the disk: slow the source and try again.
    #[error("the log waits for the disk")]
    Overloaded,
    /// The slot lies in a tile that is sealed, or before retention.
    #[error("row of slot {slot} is too old, the oldest accepted is {oldest}")]
    TooOld {
        /// Slot of the row.
        slot: i64,
        /// Least slot that would be accepted.
        oldest: i64,
    },
    /// No such group: it was dropped after its last sample passed retention. Ask for it anew.
    #[error("group {0} is unknown")]
    UnknownGroup(u32),
    /// The row has a value in a column that was dropped after its last sample passed retention, or
    /// was never made. Ask for the column anew.
    #[error("column {column} of group {group} is unknown")]
    UnknownColumn {
        /// Group of the row.
        group: u32,
        /// Its first such column.
        column: u32,
    },
}

/// Why a group or column was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LimitError {
    /// The shard has as many series as it may.
    #[error("limit of {0} series reached")]
    Series(u32),
    /// The shard has as many groups as it may.
    #[error("limit of {0} groups reached")]
    Groups(u32),
    /// The group has as many columns as a row of the log can hold.
    #[error("limit of {0} columns in a group reached")]
    Columns(u32),
    /// The group was dropped after its last sample passed retention, or never made.
    #[error("group {0} is unknown")]
    UnknownGroup(u32),
}

/// One shard's store.
#[derive(Debug)]
pub struct Store {
    options: Options,
}

impl Store {
    /// An empty store.
    ///
    /// # Panics
    /// The options are within their ranges ([`Options::check`]).
    #[must_use]
    pub fn new(options: Options) -> Store {
        Store { options }
    }

    /// Group of `key`, made when it is not there.
    ///
    /// # Errors
    /// [`LimitError::Groups`].
    pub fn group(&mut self, key: GroupKey, labels: &LabelSet) -> Result<GroupId, LimitError> {
        let _ = (key, labels);
        Err(LimitError::Groups(self.options.groups_max))
    }

    /// Column of the series `labels` in `group`, made when it is not there.
    ///
    /// # Errors
    /// [`LimitError::Series`], [`LimitError::Columns`], [`LimitError::UnknownGroup`].
    pub fn column(&mut self, group: GroupId, labels: &LabelSet) -> Result<ColumnIndex, LimitError> {
        let _ = (group, labels);
        Err(LimitError::Series(self.options.series_max))
    }

    /// Number of columns of `group`, dropped ones included; 0 when it is unknown.
    #[must_use]
    pub fn columns(&self, group: GroupId) -> usize {
        let _ = group;
        0
    }

    /// Adds a row.
    ///
    /// # Errors
    /// See [`RowError`]; each is counted.
    pub fn append(
        &mut self,
        now: Now,
        row: &Row<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Appended, RowError> {
        let _ = (now, effects);
        Err(RowError::UnknownGroup(row.group.0))
    }

    /// Takes what the machine tells, and says what to do next.
    pub fn on_event(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        let _ = (now, event, effects);
    }

    /// When [`Event::Due`] is wanted next. At start it is at once: the first segment is asked for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        None
    }

    /// Everything at or before this position is on disk.
    #[must_use]
    pub fn durable(&self) -> LogPosition {
        LogPosition(0)
    }

    /// Closes the open commit without waiting for its age: before a stop, or when somebody waits.
    pub fn flush(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let _ = (now, effects);
    }

    /// Series that fulfil the request, each label set once, in order of label set.
    ///
    /// # Errors
    /// See [`SelectError`].
    pub fn select(&self, request: &SelectRequest) -> Result<Vec<SelectedSeries>, SelectError> {
        let _ = request;
        Ok(Vec::new())
    }

    /// Values of label `name` among the wanted series; sorted.
    #[must_use]
    pub fn label_values(&self, name: &str, wanted: &LabelRequest) -> Vec<String> {
        let _ = (name, wanted);
        Vec::new()
    }

    /// Label names among the wanted series; sorted.
    #[must_use]
    pub fn label_names(&self, wanted: &LabelRequest) -> Vec<String> {
        let _ = wanted;
        Vec::new()
    }

    /// Label sets of the wanted series; sorted.
    ///
    /// # Errors
    /// More than `series_max` match.
    pub fn series(
        &self,
        wanted: &LabelRequest,
        series_max: usize,
    ) -> Result<Vec<LabelSet>, SelectError> {
        let _ = (wanted, series_max);
        Ok(Vec::new())
    }

    /// The store at this moment, with the `top` first entries of each table.
    #[must_use]
    pub fn stats(&self, top: usize) -> Stats {
        let _ = top;
        Stats::default()
    }
}
