//! Selection: what a query asks of a store, and the snapshot it is given.
//!
//! Path: `store` → **selection** → query threads, which decode.
//! Never: reads a file itself; the machine's `TileRead` does.

use std::io;

use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::time::TimestampMs;
use thiserror::Error;

use crate::names::FileName;

/// What one selector asks for.
#[derive(Clone, Debug)]
pub struct SelectRequest {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Only samples after this time can matter (exclusive).
    pub after: TimestampMs,
    /// Only samples up to this time can matter (inclusive).
    pub until: TimestampMs,
    /// Most series the asker can bear; more is an error, not a cut.
    pub series_max: usize,
}

/// Which series a question about labels looks at.
#[derive(Clone, Debug)]
pub struct LabelRequest {
    /// A series counts that fulfils all of any one set; no set means every series.
    pub matcher_sets: Vec<Vec<Matcher>>,
    /// Time range, both ends included.
    pub from: TimestampMs,
    /// Time range, both ends included.
    pub to: TimestampMs,
}

/// Why a selection was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectError {
    /// More series match than the asker can bear.
    #[error("selector matches more than {series_max} series")]
    TooManySeries {
        /// The bound that was passed.
        series_max: usize,
    },
}

/// One series of a selection; lives on when the store moves on.
#[derive(Clone, Debug)]
pub struct SelectedSeries {
    /// Its labels.
    pub labels: LabelSet,
    /// Its samples, by time; pieces may overlap.
    pub pieces: Vec<Piece>,
}

/// Some samples of one series.
#[derive(Clone, Debug)]
pub enum Piece {}

/// Reads tile files; the machine's is pread, the simulator's its disk.
pub trait TileRead: Send + Sync {
    /// Fills `bytes` from `offset` of `file`.
    ///
    /// # Errors
    /// The file is gone (its samples passed retention), ends before, or cannot be read.
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
}

/// Tiles' directories and time columns that one batch of decoding has read.
#[derive(Debug, Default)]
pub struct TileCache {}

/// Why samples could not be decoded.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The file could not be read.
    #[error("read {bytes} bytes at {offset} of {file}: {cause}")]
    Read {
        /// File that was read.
        file: FileName,
        /// Where.
        offset: u64,
        /// How much.
        bytes: usize,
        /// Why it failed.
        cause: io::Error,
    },
    /// Bytes on disk are not what was written.
    #[error("{file} is damaged at {offset}: {reason}")]
    Damaged {
        /// File that was read.
        file: FileName,
        /// Where the damaged part begins.
        offset: u64,
        /// What does not check.
        reason: &'static str,
    },
}

impl SelectedSeries {
    /// Appends the samples with `after < timestamp <= until` in order of time, each time once,
    /// staleness markers included, to both arrays.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(
        &self,
        tiles: &dyn TileRead,
        cache: &mut TileCache,
        after: TimestampMs,
        until: TimestampMs,
        timestamps_ms: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<(), DecodeError> {
        let _ = (tiles, cache, after, until, timestamps_ms, values);
        Ok(())
    }
}
