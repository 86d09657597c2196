//! Merge: the series of several sources as one, each with its samples in order of time.
//!
//! Chunks of all sources that belong to one label set are laid into runs, in each of which none
//! overlaps the next. Where sources do not overlap there is one run and one open chunk; else as
//! many as overlap at one time.
//!
//! Path: blocks and head → **merge** → dump, import.
//! Never: holds more of a series than its list of chunks and the open ones.
//!
//! Invariants
//! - M1: the samples of a series rise in time.

use std::collections::VecDeque;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::time::TimestampMs;

use crate::block::Block;
use crate::chunk::aggregate::{Aggregate, part};
use crate::chunk::decode::Decoder;
use crate::chunk::encoding::Encoding;
use crate::chunk_files::{ChunkFiles, RawChunk};
use crate::fault::{Fault, TsdbError};
use crate::index::series::{ChunkMeta, SeriesEntry, SeriesScan};
use crate::sample::Sample;
use crate::tombstones::{Interval, Tombstones};

/// What is wanted of a directory.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Series that fulfil all of these; none means every series.
    pub matchers: Vec<Matcher>,
    /// First time that is wanted.
    pub min: TimestampMs,
    /// Last time that is wanted.
    pub max: TimestampMs,
    /// Which aggregate is taken of downsampled chunks; without one they are an error.
    pub aggregate: Option<Aggregate>,
}

impl Default for Selection {
    /// Everything.
    fn default() -> Selection {
        let (min, max) = (TimestampMs::MIN, TimestampMs::MAX);
        Selection { matchers: Vec::new(), min, max, aggregate: None }
    }
}

impl Selection {
    fn wants(&self, labels: &LabelSet) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches_labels(labels))
    }
}

/// Series in order of label set.
pub trait Source: Send {
    /// The next series.
    ///
    /// # Errors
    /// The source cannot be read or is wrong.
    fn next_series(&mut self) -> Result<Option<SourceSeries>, TsdbError>;

    /// A chunk of the series that was given last.
    ///
    /// # Errors
    /// The source cannot be read or is wrong.
    fn chunk(&mut self, chunk: &ChunkMeta) -> Result<SourceChunk, TsdbError>;

    /// How much of the source was passed, and how much there is, in units of its own.
    fn progress(&self) -> (u64, u64);
}

/// A chunk of a source.
#[derive(Clone, Debug)]
pub enum SourceChunk {
    /// As it stands in a file.
    Raw(RawChunk),
    /// Samples as they are, in order of time.
    Samples(Arc<[Sample]>),
}

/// A series of one source.
#[derive(Clone, Debug)]
pub struct SourceSeries {
    /// Its labels.
    pub labels: LabelSet,
    /// Its chunks, in any order.
    pub chunks: Vec<ChunkMeta>,
    /// Times whose samples are deleted.
    pub deleted: Vec<Interval>,
    /// Whether what the other sources delete is deleted here too: it repeats samples of theirs.
    pub repeats: bool,
}

/// A block as a source.
pub struct BlockSource {
    scan: SeriesScan,
    chunks: ChunkFiles,
    tombstones: Tombstones,
}

impl BlockSource {
    /// Opens index and chunks of `block`.
    ///
    /// # Errors
    /// They cannot be read, or the index is wrong.
    pub fn open(block: &Block) -> Result<BlockSource, TsdbError> {
        let tombstones = block.tombstones().clone();
        Ok(BlockSource { scan: block.series()?, chunks: block.chunks()?, tombstones })
    }
}

impl Source for BlockSource {
    fn next_series(&mut self) -> Result<Option<SourceSeries>, TsdbError> {
        let Some(entry) = self.scan.read()? else { return Ok(None) };
        let deleted = self.tombstones.of(entry.reference).to_vec();
        let SeriesEntry { labels, chunks, .. } = entry;
        Ok(Some(SourceSeries { labels, chunks, deleted, repeats: false }))
    }

    fn chunk(&mut self, chunk: &ChunkMeta) -> Result<SourceChunk, TsdbError> {
        self.chunks.read(chunk.reference).map(SourceChunk::Raw)
    }

    fn progress(&self) -> (u64, u64) {
        self.scan.progress()
    }
}

/// How far a pass has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Series given.
    pub series: u64,
    /// Samples given.
    pub samples: u64,
    /// Chunks decoded.
    pub chunks: u64,
    /// Sum of what the sources say they passed.
    pub done: u64,
    /// Sum of what the sources say there is.
    pub total: u64,
}

/// The series of all sources in order of label set; see the module.
pub struct SeriesStream {
    sources: Vec<Waiting>,
    selection: Selection,
    labels: LabelSet,
    /// Of each source, and whether it heeds the others' too.
    deleted: Vec<(Vec<Interval>, bool)>,
    runs: Vec<Run>,
    last: Option<TimestampMs>,
    progress: Progress,
}

struct Waiting {
    source: Box<dyn Source>,
    next: Option<SourceSeries>,
    is_done: bool,
}

/// Chunks that do not overlap, by time.
struct Run {
    chunks: VecDeque<(usize, ChunkMeta)>,
    end: TimestampMs,
    open: Option<OpenChunk>,
}

struct OpenChunk {
    source: usize,
    decoder: Decoder,
    file: Arc<str>,
    offset: u64,
    sample: Sample,
}

impl SeriesStream {
    /// Merges `sources`; where two have a sample of one time, that of the earlier source is taken.
    #[must_use]
    pub fn new(sources: Vec<Box<dyn Source>>, selection: Selection) -> SeriesStream {
        let waiting = |source| Waiting { source, next: None, is_done: false };
        SeriesStream {
            sources: sources.into_iter().map(waiting).collect(),
            selection,
            labels: LabelSet::empty(),
            deleted: Vec::new(),
            runs: Vec::new(),
            last: None,
            progress: Progress::default(),
        }
    }

    /// Goes to the next series, past the samples of this one; `None` behind the last. A series
    /// that has chunks in the range is given, even when all its samples are deleted.
    ///
    /// # Errors
    /// A source cannot be read or is wrong.
    pub fn next_series(&mut self) -> Result<Option<LabelSet>, TsdbError> {
        loop {
            for waiting in &mut self.sources {
                waiting.fill(&self.selection)?;
            }
            let waiting = self.sources.iter().filter_map(|waiting| waiting.next.as_ref());
            let Some(labels) = waiting.map(|series| &series.labels).min().cloned() else {
                return Ok(None);
            };
            let mut chunks = Vec::new();
            self.deleted.clear();
            for (at, waiting) in self.sources.iter_mut().enumerate() {
                let series = waiting.next.take_if(|series| series.labels == labels);
                self.deleted.push((Vec::new(), false));
                if let Some(series) = series {
                    self.deleted[at] = (series.deleted, series.repeats);
                    chunks.extend(series.chunks.into_iter().map(|chunk| (at, chunk)));
                }
            }
            chunks.retain(|(_, chunk)| {
                chunk.min <= self.selection.max && self.selection.min <= chunk.max
            });
            if chunks.is_empty() {
                continue;
            }
            chunks.sort_by_key(|(_, chunk)| chunk.min);
            self.runs = runs_of(chunks);
            (self.labels, self.last) = (labels, None);
            self.progress.series += 1;
            return Ok(Some(self.labels.clone()));
        }
    }

    /// The next sample of the series; `None` behind the last.
    ///
    /// # Errors
    /// A source cannot be read or is wrong.
    pub fn next_sample(&mut self) -> Result<Option<Sample>, TsdbError> {
        loop {
            let mut best: Option<(TimestampMs, usize, usize)> = None;
            for at in 0..self.runs.len() {
                self.open(at)?;
                if let Some(open) = &self.runs[at].open {
                    let key = (open.sample.timestamp, open.source, at);
                    best = Some(best.map_or(key, |best| best.min(key)));
                }
            }
            let Some((timestamp, source, at)) = best else { return Ok(None) };
            let sample = self.advance(at)?;
            if self.selection.max < timestamp {
                self.runs.clear();
                return Ok(None);
            }
            let repeated = self.last.is_some_and(|last| timestamp <= last);
            if repeated || self.is_deleted(source, timestamp) || timestamp < self.selection.min {
                continue;
            }
            let rises = self.last.is_none_or(|last| last < timestamp);
            debug_assert!(rises, "M1: samples rise in time");
            self.last = Some(timestamp);
            self.progress.samples += 1;
            return Ok(Some(sample));
        }
    }

    fn is_deleted(&self, source: usize, timestamp: TimestampMs) -> bool {
        let (own, repeats) = &self.deleted[source];
        let has = |intervals: &[Interval]| intervals.iter().any(|one| one.contains(timestamp));
        if *repeats { self.deleted.iter().any(|(all, _)| has(all)) } else { has(own) }
    }

    /// How far the pass has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut progress = self.progress;
        for waiting in &self.sources {
            let (done, total) = waiting.source.progress();
            progress.done += done;
            progress.total += total;
        }
        progress
    }

    /// Opens the next chunk of run `at` that has a sample, unless one is open.
    fn open(&mut self, at: usize) -> Result<(), TsdbError> {
        while self.runs[at].open.is_none() {
            let Some((source, meta)) = self.runs[at].chunks.pop_front() else { return Ok(()) };
            let chunk = self.sources[source].source.chunk(&meta)?;
            self.progress.chunks += 1;
            let RawChunk { encoding, bytes, file, offset } = match chunk {
                SourceChunk::Raw(raw) => raw,
                SourceChunk::Samples(samples) => {
                    self.runs[at].open = OpenChunk::of_samples(source, samples);
                    continue;
                }
            };
            let place = |fault: Fault| fault.at(offset).of(&file);
            let taken = taken_part(encoding, bytes, self.selection.aggregate).map_err(place)?;
            let Some((encoding, bytes)) = taken else { continue };
            let mut decoder = Decoder::new(encoding, bytes).map_err(place)?;
            let Some(sample) = decoder.read().map_err(place)? else { continue };
            self.runs[at].open = Some(OpenChunk { source, decoder, file, offset, sample });
        }
        Ok(())
    }

    /// Takes the sample that run `at` shows.
    fn advance(&mut self, at: usize) -> Result<Sample, TsdbError> {
        let run = &mut self.runs[at];
        let open = run.open.as_mut().expect("the run that was found is open");
        let place = |fault: Fault| fault.at(open.offset).of(&open.file);
        Ok(match open.decoder.read().map_err(place)? {
            Some(next) => std::mem::replace(&mut open.sample, next),
            None => run.open.take().expect("open").sample,
        })
    }
}

impl OpenChunk {
    fn of_samples(source: usize, samples: Arc<[Sample]>) -> Option<OpenChunk> {
        let mut decoder = Decoder::of_samples(samples);
        let sample = decoder.read().ok().flatten()?;
        Some(OpenChunk { source, decoder, file: Arc::from(""), offset: 0, sample })
    }
}

impl Waiting {
    fn fill(&mut self, selection: &Selection) -> Result<(), TsdbError> {
        while self.next.is_none() && !self.is_done {
            match self.source.next_series()? {
                None => self.is_done = true,
                Some(series) if selection.wants(&series.labels) => self.next = Some(series),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Lays chunks that are sorted by their first time into as few runs as that order allows.
fn runs_of(chunks: Vec<(usize, ChunkMeta)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (source, chunk) in chunks {
        match runs.iter_mut().find(|run| run.end < chunk.min) {
            Some(run) => {
                run.end = chunk.max;
                run.chunks.push_back((source, chunk));
            }
            None => {
                let chunks = VecDeque::from([(source, chunk)]);
                runs.push(Run { chunks, end: chunk.max, open: None });
            }
        }
    }
    runs
}

fn taken_part(
    encoding: Encoding,
    bytes: Vec<u8>,
    aggregate: Option<Aggregate>,
) -> Result<Option<(Encoding, Vec<u8>)>, Fault> {
    match (encoding, aggregate) {
        (Encoding::Aggregate, Some(aggregate)) => part(&bytes, aggregate),
        _ => Ok(Some((encoding, bytes))),
    }
}
