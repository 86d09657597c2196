//! Block writer: makes a block that Prometheus opens, out of series that come one by one.
//!
//! All is written under a name that Prometheus removes when it starts, synced, and renamed last:
//! a block is there whole or not at all.
//!
//! Path: snapshot, export, backfill → **block_write** → files.
//! Never: holds more samples than one chunk, writes a block without samples.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::time::TimestampMs;

use super::chunk_files_write::{ChunkFilesWriter, FILE_BYTES_MAX};
use super::index_write::IndexWriter;
use crate::chunk::build::{BuiltChunk, ChunkBuilder};
use crate::fault::TsdbError;
use crate::files::FileWrite;
use crate::index::series::ChunkMeta;
use crate::meta::{BlockMeta, BlockStats, META_FILE, meta_text};
use crate::sample::{Sample, Value};
use crate::tombstones::{TOMBSTONES_FILE, Tombstones, tombstones_bytes};
use crate::ulid::Ulid;

/// What a directory is called while its block is made; Prometheus removes such directories.
const TEMPORARY_SUFFIX: &str = ".tmp-for-creation";

/// Writes one block. Dropped before [`BlockWriter::finish`], it leaves its temporary directory;
/// [`BlockWriter::abandon`] removes it.
pub struct BlockWriter {
    files: Arc<dyn FileWrite>,
    ulid: Ulid,
    temporary: String,
    range: (TimestampMs, TimestampMs),
    chunks: ChunkFilesWriter,
    index: IndexWriter,
    labels: Option<LabelSet>,
    builder: ChunkBuilder,
    metas: Vec<ChunkMeta>,
    last: Option<TimestampMs>,
    min: TimestampMs,
    max: TimestampMs,
    stats: BlockStats,
}

impl BlockWriter {
    /// A block called `ulid` below the root of `files`, for samples from `min` up to, but without,
    /// `max`.
    ///
    /// # Errors
    /// The file system refuses, or the block is there.
    pub fn new(
        files: &Arc<dyn FileWrite>,
        ulid: Ulid,
        min: TimestampMs,
        max: TimestampMs,
    ) -> Result<BlockWriter, TsdbError> {
        BlockWriter::with_file_bytes(files, ulid, (min, max), FILE_BYTES_MAX)
    }

    pub(super) fn with_file_bytes(
        files: &Arc<dyn FileWrite>,
        ulid: Ulid,
        range: (TimestampMs, TimestampMs),
        file_bytes_max: u64,
    ) -> Result<BlockWriter, TsdbError> {
        let temporary = format!("{ulid}{TEMPORARY_SUFFIX}");
        if files.names(&ulid.to_string()).is_ok() || files.names(&temporary).is_ok() {
            return Err(TsdbError::Refused(format!("block {ulid} is there already")));
        }
        Ok(BlockWriter {
            files: Arc::clone(files),
            ulid,
            range,
            chunks: ChunkFilesWriter::new(files, &temporary, file_bytes_max)?,
            index: IndexWriter::new(files, &temporary),
            temporary,
            labels: None,
            builder: ChunkBuilder::default(),
            metas: Vec::new(),
            last: None,
            min: TimestampMs::MAX,
            max: TimestampMs::MIN,
            stats: BlockStats::default(),
        })
    }

    /// Begins the next series. One that gets no sample is left out.
    ///
    /// # Errors
    /// `labels` are empty or do not come behind those of the series before, or the file system
    /// refuses.
    pub fn series(&mut self, labels: &LabelSet) -> Result<(), TsdbError> {
        self.end_series()?;
        if labels.is_empty() {
            return Err(TsdbError::Refused("a series without labels".to_owned()));
        }
        if let Some(last) = &self.labels
            && labels <= last
        {
            let text = format!("series {labels} comes behind {last}; sort by label set");
            return Err(TsdbError::Refused(text));
        }
        self.labels = Some(labels.clone());
        self.last = None;
        Ok(())
    }

    /// Adds a sample to the series.
    ///
    /// # Errors
    /// There is no series, the sample is not later than the one before, out of the block's range,
    /// or a histogram that contradicts itself; or the file system refuses.
    pub fn sample(&mut self, sample: &Sample) -> Result<(), TsdbError> {
        let refused = |text: String| Err(TsdbError::Refused(text));
        let Some(labels) = &self.labels else {
            return refused("a sample before any series".to_owned());
        };
        let (at, (min, max)) = (sample.timestamp, self.range);
        if at < min || max <= at {
            return refused(format!("{labels}: a sample at {at} is not in {min}..{max}"));
        }
        if let Some(last) = self.last
            && at <= last
        {
            return refused(format!("{labels}: a sample at {at} comes behind one at {last}"));
        }
        let finished = match self.builder.push(sample) {
            Ok(finished) => finished,
            Err(fault) => return refused(format!("{labels}: {fault}")),
        };
        self.last = Some(at);
        self.stats.samples += 1;
        match sample.value {
            Value::Float(_) => self.stats.float_samples += 1,
            Value::Histogram(_) => self.stats.histogram_samples += 1,
        }
        finished.map_or(Ok(()), |chunk| self.put_chunk(&chunk))
    }

    /// Adds samples to the series.
    ///
    /// # Errors
    /// As [`BlockWriter::sample`].
    pub fn samples(&mut self, samples: &[Sample]) -> Result<(), TsdbError> {
        samples.iter().try_for_each(|sample| self.sample(sample))
    }

    /// Writes index, tombstones and meta, brings all to the disk and gives the block its name.
    /// `None` when there was no sample: then there is no block either.
    ///
    /// # Errors
    /// The file system refuses; the temporary directory may be left.
    pub fn finish(mut self) -> Result<Option<BlockMeta>, TsdbError> {
        self.end_series()?;
        if self.stats.samples == 0 {
            self.abandon()?;
            return Ok(None);
        }
        let meta = BlockMeta {
            ulid: self.ulid.to_string(),
            min: self.min,
            // Blocks do not hold their last time; what is at the end of time cannot be helped.
            max: self.max.saturating_add(1),
            stats: self.stats,
            level: 1,
            sources: vec![self.ulid.to_string()],
            ..BlockMeta::default()
        };
        self.chunks.sync()?;
        self.index.finish()?;
        let files = &self.files;
        let whole = |name: &str, bytes: &[u8]| {
            let file = format!("{}/{name}", self.temporary);
            let written = files.write(&file, 0, bytes).and_then(|()| files.sync(&file));
            written.map_err(|error| TsdbError::io("write", &file, error))
        };
        whole(TOMBSTONES_FILE, &tombstones_bytes(&Tombstones::default()))?;
        whole(META_FILE, meta_text(&meta).as_bytes())?;
        let sync =
            |path: &str| files.sync(path).map_err(|error| TsdbError::io("sync", path, error));
        sync(self.chunks.directory())?;
        sync(&self.temporary)?;
        let renamed = files.rename(&self.temporary, &meta.ulid);
        renamed.map_err(|error| TsdbError::io("rename", &self.temporary, error))?;
        sync("")?;
        Ok(Some(meta))
    }

    /// Removes what was written.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn abandon(self) -> Result<(), TsdbError> {
        let removed = self.files.remove_directory(&self.temporary);
        removed.map_err(|error| TsdbError::io("remove", &self.temporary, error))
    }

    fn end_series(&mut self) -> Result<(), TsdbError> {
        if let Some(chunk) = self.builder.finish() {
            self.put_chunk(&chunk)?;
        }
        let Some(labels) = self.labels.as_ref().filter(|_| !self.metas.is_empty()) else {
            return Ok(());
        };
        self.index.series(labels, &self.metas)?;
        self.stats.series += 1;
        self.metas.clear();
        Ok(())
    }

    fn put_chunk(&mut self, chunk: &BuiltChunk) -> Result<(), TsdbError> {
        let reference = self.chunks.put(chunk)?;
        self.metas.push(ChunkMeta { min: chunk.min, max: chunk.max, reference });
        self.min = self.min.min(chunk.min);
        self.max = self.max.max(chunk.max);
        self.stats.chunks += 1;
        Ok(())
    }
}
