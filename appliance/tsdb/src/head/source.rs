//! Source: the series of a head, in order and late ones, as merges take them.

use std::sync::Arc;

use super::load::{Head, HeadSeries, Piece, PieceSamples};
use crate::chunk_files::RawChunk;
use crate::fault::TsdbError;
use crate::index::series::ChunkMeta;
use crate::merge::{Source, SourceChunk, SourceSeries};

/// What the place of a chunk that stands in no file is called.
const IN_MEMORY: &str = "the log";

/// What a series counts for beside those of blocks, which count as their bytes in the index.
const SERIES_BYTES: u64 = 64;

/// The head's samples in order, or its late ones.
pub struct HeadSource {
    head: Arc<Head>,
    is_late: bool,
    next: usize,
    file: Arc<str>,
}

impl HeadSource {
    /// The samples in order.
    #[must_use]
    pub fn in_order(head: &Arc<Head>) -> HeadSource {
        HeadSource { head: Arc::clone(head), is_late: false, next: 0, file: Arc::from(IN_MEMORY) }
    }

    /// The samples that came late.
    #[must_use]
    pub fn late(head: &Arc<Head>) -> HeadSource {
        HeadSource { is_late: true, ..HeadSource::in_order(head) }
    }

    fn pieces<'a>(&self, series: &'a HeadSeries) -> &'a [Piece] {
        if self.is_late { &series.late } else { &series.pieces }
    }
}

impl Source for HeadSource {
    fn next_series(&mut self) -> Result<Option<SourceSeries>, TsdbError> {
        let Some(series) = self.head.series.get(self.next) else { return Ok(None) };
        self.next += 1;
        // A chunk's place is its index among the pieces of the series given last.
        let chunk = |(reference, piece): (u64, &Piece)| ChunkMeta {
            min: piece.min,
            max: piece.max,
            reference,
        };
        let chunks = (0..).zip(self.pieces(series)).map(chunk).collect();
        Ok(Some(SourceSeries {
            labels: series.labels.clone(),
            chunks,
            deleted: series.deleted.clone(),
            // The log keeps for a while what is in blocks, but not what was deleted from those.
            repeats: !self.is_late,
        }))
    }

    fn chunk(&mut self, chunk: &ChunkMeta) -> Result<SourceChunk, TsdbError> {
        let series = &self.head.series[self.next - 1];
        let index = usize::try_from(chunk.reference).expect("as given");
        let piece = &self.pieces(series)[index];
        Ok(match &piece.samples {
            PieceSamples::Plain(samples) => SourceChunk::Samples(Arc::clone(samples)),
            PieceSamples::Built(encoding, bytes) => SourceChunk::Raw(RawChunk {
                encoding: *encoding,
                bytes: bytes.to_vec(),
                file: Arc::clone(&self.file),
                offset: 0,
            }),
            PieceSamples::Mapped(mapped) => {
                let path = mapped.path();
                let mut bytes = vec![0; mapped.bytes as usize];
                let read = self.head.files.read(&path, mapped.offset.into(), &mut bytes);
                read.map_err(|error| TsdbError::io("read", &path, error))?;
                let (file, offset) = (Arc::from(path), mapped.offset.into());
                SourceChunk::Raw(RawChunk { encoding: mapped.encoding, bytes, file, offset })
            }
        })
    }

    fn progress(&self) -> (u64, u64) {
        let bytes = |series: usize| series as u64 * SERIES_BYTES;
        (bytes(self.next), bytes(self.head.series.len()))
    }
}
