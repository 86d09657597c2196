//! Windows: a downsampled block of Thanos, series by series, its five aggregates chunk by chunk.
//! Where the counter of one chunk ends and that of the next begins has a meaning, so that chunks
//! are not merged.
//!
//! Path: block → **windows** → import.
//! Never: holds more than the chunks of one series.

use model::label_set::LabelSet;
use model::time::TimestampMs;

use crate::block::Block;
use crate::chunk::aggregate::{Aggregate, part};
use crate::chunk::decode::Decoder;
use crate::chunk::encoding::Encoding;
use crate::fault::{Fault, TsdbError};
use crate::merge::{BlockSource, Source, SourceChunk};
use crate::sample::Value;
use crate::tombstones::Interval;

/// Samples of each aggregate in one chunk, in the order of [`Aggregate::ALL`].
pub type WindowChunk = [Vec<(i64, f64)>; 5];

/// A pass over a downsampled block.
pub struct WindowStream {
    source: BlockSource,
}

impl WindowStream {
    /// Opens index and chunks of `block`.
    ///
    /// # Errors
    /// They cannot be read, or the index is wrong.
    pub fn open(block: &Block) -> Result<WindowStream, TsdbError> {
        Ok(WindowStream { source: BlockSource::open(block)? })
    }

    /// The next series and its chunks in order of time, without what is deleted; `None` behind
    /// the last.
    ///
    /// # Errors
    /// The block cannot be read or is wrong, or a chunk holds raw samples.
    pub fn next_series(&mut self) -> Result<Option<(LabelSet, Vec<WindowChunk>)>, TsdbError> {
        let Some(mut series) = self.source.next_series()? else { return Ok(None) };
        series.chunks.sort_by_key(|chunk| chunk.min);
        let mut chunks = Vec::with_capacity(series.chunks.len());
        for meta in &series.chunks {
            let SourceChunk::Raw(raw) = self.source.chunk(meta)? else { continue };
            let read = read_chunk(raw.encoding, &raw.bytes, &series.deleted);
            chunks.push(read.map_err(|fault| fault.at(raw.offset).of(&raw.file))?);
        }
        Ok(Some((series.labels, chunks)))
    }

    /// How much of the block was passed, and how much there is.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        self.source.progress()
    }
}

fn read_chunk(
    encoding: Encoding,
    bytes: &[u8],
    deleted: &[Interval],
) -> Result<WindowChunk, Fault> {
    if encoding != Encoding::Aggregate {
        return Err(Fault::wrong("a chunk of a downsampled block has no aggregates"));
    }
    let mut chunk = WindowChunk::default();
    for (list, aggregate) in chunk.iter_mut().zip(Aggregate::ALL) {
        let Some((encoding, bytes)) = part(bytes, aggregate)? else { continue };
        let mut decoder = Decoder::new(encoding, bytes)?;
        while let Some(sample) = decoder.read()? {
            let Value::Float(value) = sample.value else {
                return Err(Fault::wrong("an aggregate is a histogram"));
            };
            let is_deleted = |time: TimestampMs| deleted.iter().any(|one| one.contains(time));
            if !is_deleted(sample.timestamp) {
                list.push((sample.timestamp.0, value));
            }
        }
    }
    Ok(chunk)
}
