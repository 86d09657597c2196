//! Load: makes the head of the files.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;
use model::time::TimestampMs;

use crate::chunk::build::{BuiltChunk, ChunkBuilder};
use crate::chunk::encoding::Encoding;
use crate::fault::{Fault, TsdbError};
use crate::files::FileRead;
use crate::head_chunks::{HeadChunk, scan};
use crate::sample::Sample;
use crate::tombstones::Interval;
use crate::wal::log::{Log, WAL_DIRECTORY, WBL_DIRECTORY};
use crate::wal::record::{Record, SampleRecord, read_record};

/// Samples of a piece that holds them as they are.
const PLAIN_SAMPLES_MAX: usize = 120;

/// The head.
pub struct Head {
    pub(super) files: Arc<dyn FileRead>,
    /// In order of label set.
    pub(super) series: Vec<HeadSeries>,
    report: HeadReport,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadReport {
    /// Series that the log names.
    pub series: u64,
    /// Samples of the log that are in order, those of blocks and head chunks too.
    pub log_samples: u64,
    /// Samples of the log of what came late.
    pub late_samples: u64,
    /// Head chunks that are used.
    pub chunks: u64,
    /// Exemplars in the log.
    pub exemplars: u64,
    /// Metadata of series in the log.
    pub metadata: u64,
    /// Deleted intervals in the log.
    pub tombstones: u64,
    /// Samples whose series the log does not name.
    pub unknown_series: u64,
    /// Samples in the log that are no later than the one before: upstream drops them too.
    pub not_later: u64,
    /// Histograms left out because their schema is not known, or they contradict themselves.
    pub left_out: u64,
    /// Records of a kind that is not known.
    pub unknown_records: u64,
    /// Where a log or the head chunks end before their time, and why.
    pub damages: Vec<String>,
}

/// A series of the head.
#[derive(Debug)]
pub(super) struct HeadSeries {
    pub(super) labels: LabelSet,
    pub(super) pieces: Vec<Piece>,
    pub(super) late: Vec<Piece>,
    pub(super) deleted: Vec<Interval>,
    /// Samples of the log up to here are in head chunks.
    mapped_end: Option<TimestampMs>,
    last: Option<TimestampMs>,
    builder: ChunkBuilder,
    plain: Vec<Sample>,
    late_samples: Vec<Sample>,
}

/// Some samples of a series.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) min: TimestampMs,
    pub(super) max: TimestampMs,
    pub(super) samples: PieceSamples,
}

#[derive(Clone, Debug)]
pub(super) enum PieceSamples {
    Mapped(HeadChunk),
    Built(Encoding, Arc<[u8]>),
    Plain(Arc<[Sample]>),
}

/// What is told while the head is loaded: bytes of logs that were read, and all there are.
pub type OnProgress<'a> = dyn FnMut(u64, u64) + 'a;

/// The head under way.
struct Loading {
    series: Vec<HeadSeries>,
    by_labels: HashMap<LabelSet, usize, FixedState>,
    by_reference: HashMap<u64, usize, FixedState>,
    chunks: HashMap<u64, Vec<HeadChunk>, FixedState>,
    report: HeadReport,
}

impl Head {
    /// Loads the head below the root of `files`. Where they end before their time is in the report.
    ///
    /// The log keeps for a while what was cut into blocks; that is given too. From where on it is
    /// new cannot be told: a block that was merged of late ones looks like one cut from the head.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn load(
        files: &Arc<dyn FileRead>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Head, TsdbError> {
        let mut loading = Loading {
            series: Vec::new(),
            by_labels: HashMap::default(),
            by_reference: HashMap::default(),
            chunks: HashMap::default(),
            report: HeadReport::default(),
        };
        let mut wal = Log::open(files, WAL_DIRECTORY)?;
        let mut wbl = Log::open(files, WBL_DIRECTORY)?;
        if !wal.is_empty() || !wbl.is_empty() {
            let (chunks, fault) = scan(files)?;
            loading.take_chunks(chunks);
            loading.report.damages.extend(fault.map(|fault| fault.to_string()));
        }
        let late_bytes = wbl.progress().1;
        loading.read(&mut wal, false, &mut |done, all| progress(done, all + late_bytes))?;
        let bytes = wal.progress().1;
        loading.read(&mut wbl, true, &mut |done, all| progress(bytes + done, bytes + all))?;
        Ok(loading.finish(files))
    }

    /// What was found.
    #[must_use]
    pub fn report(&self) -> &HeadReport {
        &self.report
    }

    /// First and last time of its samples, from those of their pieces.
    #[must_use]
    pub fn range(&self) -> Option<(TimestampMs, TimestampMs)> {
        let pieces = self.series.iter().flat_map(|series| series.pieces.iter().chain(&series.late));
        let spans = pieces.map(|piece| (piece.min, piece.max));
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

impl Loading {
    fn take_chunks(&mut self, chunks: Vec<HeadChunk>) {
        for chunk in chunks {
            self.chunks.entry(chunk.series).or_default().push(chunk);
        }
    }

    fn read(
        &mut self,
        log: &mut Log,
        late: bool,
        progress: &mut OnProgress<'_>,
    ) -> Result<(), TsdbError> {
        loop {
            let record = match log.read() {
                Ok(Some(bytes)) => read_record(bytes),
                Ok(None) => break,
                Err(error) if error.is_corruption() => {
                    self.report.damages.push(format!("{error}: nothing behind it is taken"));
                    break;
                }
                Err(error) => return Err(error),
            };
            match record {
                Ok(record) => self.take(record, late),
                Err(at) => {
                    let text = format!("byte {} of the record: {}", at.offset, at.fault);
                    let error = log.corrupt(Fault::wrong(text));
                    self.report.damages.push(format!("{error}: nothing behind it is taken"));
                    break;
                }
            }
            let (done, all) = log.progress();
            progress(done, all);
        }
        Ok(())
    }

    fn take(&mut self, record: Record, late: bool) {
        match record {
            Record::Series(all) => {
                for series in all {
                    self.take_series(series.reference, series.labels);
                }
            }
            Record::Samples(samples, left_out) => {
                self.report.left_out += left_out;
                for sample in samples {
                    self.take_sample(sample, late);
                }
            }
            Record::Tombstones(all) => {
                for (reference, interval) in all {
                    self.report.tombstones += 1;
                    if let Some(at) = self.by_reference.get(&reference) {
                        self.series[*at].deleted.push(interval);
                    }
                }
            }
            Record::Exemplars(all) => self.report.exemplars += all.len() as u64,
            Record::Metadata(all) => self.report.metadata += all.len() as u64,
            // What the chunks have is found by its times.
            Record::Markers(_) => {}
            Record::Unknown(_) => self.report.unknown_records += 1,
        }
    }

    fn take_series(&mut self, reference: u64, labels: LabelSet) {
        let next = self.series.len();
        let at = *self.by_labels.entry(labels).or_insert_with_key(|labels| {
            self.series.push(HeadSeries::new(labels.clone()));
            next
        });
        self.by_reference.insert(reference, at);
        let series = &mut self.series[at];
        for chunk in self.chunks.remove(&reference).unwrap_or_default() {
            self.report.chunks += 1;
            let (min, max) = (chunk.min, chunk.max);
            let piece = Piece { min, max, samples: PieceSamples::Mapped(chunk) };
            if chunk.is_late {
                series.late.push(piece);
            } else {
                series.pieces.push(piece);
                series.mapped_end = Some(series.mapped_end.map_or(max, |end| end.max(max)));
            }
        }
    }

    fn take_sample(&mut self, record: SampleRecord, late: bool) {
        let SampleRecord { reference, sample } = record;
        let count = if late { &mut self.report.late_samples } else { &mut self.report.log_samples };
        *count += 1;
        let Some(at) = self.by_reference.get(&reference) else {
            self.report.unknown_series += 1;
            return;
        };
        let series = &mut self.series[*at];
        if late {
            series.late_samples.push(sample);
            return;
        }
        if series.mapped_end.is_some_and(|end| sample.timestamp <= end) {
            return;
        }
        if series.last.is_some_and(|last| sample.timestamp <= last) {
            self.report.not_later += 1;
            return;
        }
        series.last = Some(sample.timestamp);
        if series.push(sample).is_err() {
            self.report.left_out += 1;
        }
    }

    fn finish(mut self, files: &Arc<dyn FileRead>) -> Head {
        for series in &mut self.series {
            series.finish();
        }
        self.series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        self.report.series = self.series.len() as u64;
        Head { files: Arc::clone(files), series: self.series, report: self.report }
    }
}

impl HeadSeries {
    fn new(labels: LabelSet) -> HeadSeries {
        HeadSeries {
            labels,
            pieces: Vec::new(),
            late: Vec::new(),
            deleted: Vec::new(),
            mapped_end: None,
            last: None,
            builder: ChunkBuilder::default(),
            plain: Vec::new(),
            late_samples: Vec::new(),
        }
    }

    /// Adds a sample that is later than all before.
    fn push(&mut self, sample: Sample) -> Result<(), Fault> {
        // Chunks of the encodings that are written have no place for a start.
        if sample.start.0 != 0 {
            if let Some(chunk) = self.builder.finish() {
                self.pieces.push(Piece::built(chunk));
            }
            self.plain.push(sample);
            if self.plain.len() == PLAIN_SAMPLES_MAX {
                self.end_plain();
            }
            return Ok(());
        }
        self.end_plain();
        if let Some(chunk) = self.builder.push(&sample)? {
            self.pieces.push(Piece::built(chunk));
        }
        Ok(())
    }

    fn end_plain(&mut self) {
        let samples = std::mem::take(&mut self.plain);
        self.pieces.extend(Piece::plain(samples));
    }

    /// Closes what is open.
    fn finish(&mut self) {
        self.end_plain();
        self.pieces.extend(self.builder.finish().map(Piece::built));
        self.builder = ChunkBuilder::default();
        let mut late = std::mem::take(&mut self.late_samples);
        // Of two of one time the first came first.
        late.sort_by_key(|sample| sample.timestamp);
        late.dedup_by_key(|sample| sample.timestamp);
        self.late.extend(Piece::plain(late));
    }
}

impl Piece {
    fn built(chunk: BuiltChunk) -> Piece {
        let samples = PieceSamples::Built(chunk.encoding, Arc::from(chunk.bytes));
        Piece { min: chunk.min, max: chunk.max, samples }
    }

    fn plain(samples: Vec<Sample>) -> Option<Piece> {
        let (min, max) = (samples.first()?.timestamp, samples.last()?.timestamp);
        Some(Piece { min, max, samples: PieceSamples::Plain(Arc::from(samples)) })
    }
}
