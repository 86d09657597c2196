//! Builder: cuts the samples of a series into chunks.

use model::time::TimestampMs;

use super::encoding::Encoding;
use super::histogram_write::{HistogramWriter, checked_counts};
use super::xor_write::XorWriter;
use crate::fault::Fault;
use crate::sample::{Counts, Histogram, Sample, Value};

/// Samples of a full chunk, as upstream has it.
pub const CHUNK_SAMPLES_MAX: u16 = 120;
/// Bytes at which a chunk of histograms is full: large histograms would make large reads.
const CHUNK_BYTES_FULL: usize = 64 * 1024;

/// A finished chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltChunk {
    /// How its samples are written.
    pub encoding: Encoding,
    /// The bytes, without length, encoding and checksum.
    pub bytes: Vec<u8>,
    /// Time of the first sample.
    pub min: TimestampMs,
    /// Time of the last sample.
    pub max: TimestampMs,
    /// How many there are.
    pub samples: u16,
}

/// Takes the samples of one series in order of time and gives chunks. Start timestamps are not
/// kept: the encodings that older readers know have no place for them.
#[derive(Clone, Debug, Default)]
pub struct ChunkBuilder {
    open: Option<Open>,
}

#[derive(Clone, Debug)]
struct Open {
    writer: Writer,
    min: TimestampMs,
    max: TimestampMs,
    samples: u16,
}

#[derive(Clone, Debug)]
enum Writer {
    Xor(XorWriter),
    Histogram(Counts, Box<HistogramWriter>),
}

impl ChunkBuilder {
    /// Adds a sample; gives the chunk before it when that one is full or of another kind.
    ///
    /// # Errors
    /// The sample is not later than the last one, or is a histogram that contradicts itself.
    pub fn push(&mut self, sample: &Sample) -> Result<Option<BuiltChunk>, Fault> {
        if let Some(open) = &self.open
            && sample.timestamp <= open.max
        {
            let text = format!("a sample at {} behind one at {}", sample.timestamp, open.max);
            return Err(Fault::wrong(text));
        }
        let histogram = match &sample.value {
            Value::Float(_) => None,
            Value::Histogram(histogram) => Some((checked_counts(histogram)?, &**histogram)),
        };
        let fits = self.open.as_ref().is_some_and(|open| open.fits(histogram));
        let finished = if fits { None } else { self.finish() };
        let open = self.open.get_or_insert_with(|| Open::new(histogram, sample.timestamp));
        match (&mut open.writer, &sample.value) {
            (Writer::Xor(writer), Value::Float(value)) => writer.push(sample.timestamp.0, *value),
            (Writer::Histogram(_, writer), Value::Histogram(histogram)) => {
                writer.push(sample.timestamp.0, &histogram.native);
            }
            _ => unreachable!("a chunk that does not fit was finished"),
        }
        open.max = sample.timestamp;
        open.samples += 1;
        Ok(finished)
    }

    /// Gives the open chunk, if there is one.
    pub fn finish(&mut self) -> Option<BuiltChunk> {
        let Open { writer, min, max, samples } = self.open.take()?;
        let (encoding, bytes) = match writer {
            Writer::Xor(writer) => (Encoding::Xor, writer.finish()),
            Writer::Histogram(Counts::Integer, writer) => (Encoding::Histogram, writer.finish()),
            Writer::Histogram(Counts::Float, writer) => (Encoding::FloatHistogram, writer.finish()),
        };
        Some(BuiltChunk { encoding, bytes, min, max, samples })
    }

    /// Time of the last sample of the open chunk.
    #[must_use]
    pub fn last(&self) -> Option<TimestampMs> {
        self.open.as_ref().map(|open| open.max)
    }

    /// Bytes of the open chunk.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| match &open.writer {
            Writer::Xor(writer) => writer.len(),
            Writer::Histogram(_, writer) => writer.len(),
        })
    }
}

impl Open {
    fn new(histogram: Option<(Counts, &Histogram)>, timestamp: TimestampMs) -> Open {
        let writer = match histogram {
            None => Writer::Xor(XorWriter::new()),
            Some((counts, _)) => Writer::Histogram(counts, Box::new(HistogramWriter::new(counts))),
        };
        Open { writer, min: timestamp, max: timestamp, samples: 0 }
    }

    fn fits(&self, histogram: Option<(Counts, &Histogram)>) -> bool {
        if self.samples == CHUNK_SAMPLES_MAX {
            return false;
        }
        match (&self.writer, histogram) {
            (Writer::Xor(_), None) => true,
            (Writer::Histogram(_, writer), Some((counts, histogram))) => {
                writer.len() < CHUNK_BYTES_FULL && writer.fits(&histogram.native, counts)
            }
            _ => false,
        }
    }
}
