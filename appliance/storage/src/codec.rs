//! Codec: the encodings of chunks for those outside the store, the benchmarks first.
//!
//! Path: `bench` → **codec** → `chunk`.
//! Format: docs/format/chunk.md, version 1.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;

use crate::chunk::read_histograms::{self, read_histograms};
use crate::chunk::read_values::{self, read_values, read_values_after};
use crate::chunk::write_histograms::{self, write_histograms};
use crate::chunk::write_values::{self, write_values, write_values_after};
use crate::chunk::{buckets, integers};
use crate::varint::Cursor;

/// Most values or histograms of one run.
pub const RUN_MAX: usize = integers::COUNT_MAX;

/// Encodes and decodes runs of samples of one series, keeping its memory from one to the next.
#[derive(Clone, Debug, Default)]
pub struct Codec {
    write: write_values::Scratch,
    read: read_values::Scratch,
    write_histograms: write_histograms::Scratch,
    read_histograms: read_histograms::Scratch,
}

impl Codec {
    /// Appends `values` in the encoding that takes the fewest bytes.
    ///
    /// # Panics
    /// There are at most [`RUN_MAX`].
    pub fn encode(&mut self, values: &[f64], out: &mut Vec<u8>) {
        write_values(values, &mut self.write, out);
    }

    /// As [`Codec::encode`]; may lean on `previous`, as many values of the series beside it.
    ///
    /// # Panics
    /// There are at most [`RUN_MAX`], and as many of `previous`.
    pub fn encode_after(&mut self, previous: &[f64], values: &[f64], out: &mut Vec<u8>) {
        write_values_after(previous, values, &mut self.write, out);
    }

    /// Appends the `count` values that `bytes` are.
    ///
    /// # Errors
    /// What does not check; `out` may have grown.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        count: usize,
        out: &mut Vec<f64>,
    ) -> Result<(), &'static str> {
        let mut cursor = Cursor::new(bytes);
        read_values(&mut cursor, count, &mut self.read, out)?;
        ended(&cursor)
    }

    /// Appends what [`Codec::encode_after`] wrote.
    ///
    /// # Errors
    /// What does not check; `out` may have grown.
    pub fn decode_after(
        &mut self,
        previous: &[f64],
        bytes: &[u8],
        out: &mut Vec<f64>,
    ) -> Result<(), &'static str> {
        let mut cursor = Cursor::new(bytes);
        read_values_after(&mut cursor, previous, &mut self.read, out)?;
        ended(&cursor)
    }

    /// Appends a run of native histograms.
    ///
    /// # Errors
    /// A histogram that no chunk holds: its spans overlap, do not fit its counts, or are too many.
    ///
    /// # Panics
    /// There are at most [`RUN_MAX`].
    pub fn encode_histograms(
        &mut self,
        histograms: &[&NativeHistogram],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        histograms.iter().try_for_each(|histogram| buckets::check(histogram))?;
        write_histograms(histograms, &mut self.write_histograms, out);
        Ok(())
    }

    /// Appends the `count` histograms that `bytes` are.
    ///
    /// # Errors
    /// What does not check.
    pub fn decode_histograms(
        &mut self,
        bytes: &[u8],
        count: usize,
        out: &mut Vec<Arc<NativeHistogram>>,
    ) -> Result<(), &'static str> {
        let mut cursor = Cursor::new(bytes);
        read_histograms(&mut cursor, count, &mut self.read_histograms, out)?;
        ended(&cursor)
    }
}

fn ended(cursor: &Cursor<'_>) -> Result<(), &'static str> {
    if cursor.is_empty() { Ok(()) } else { Err("run has bytes left over") }
}
