//! Series of an index: labels and chunks, one after the other.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::time::TimestampMs;

use super::symbols::Symbols;
use super::toc::{INDEX_FILE, SERIES_ALIGNMENT, Toc, read_toc};
use crate::cursor::{Cursor, Varint, uvarint};
use crate::fault::{Fault, FaultAt, TsdbError};
use crate::files::{FileRead, Reading, check_sum};

const WHAT: &str = "a series";
const LENGTH_BYTES_MAX: usize = 10;
/// Bytes of a label's two references at least, and of a chunk's three numbers.
const LABEL_BYTES_MIN: usize = 2;
const CHUNK_BYTES_MIN: usize = 3;

/// One series of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesEntry {
    /// What tombstones and postings call it.
    pub reference: u64,
    /// Its labels.
    pub labels: LabelSet,
    /// Its chunks, by time.
    pub chunks: Vec<ChunkMeta>,
}

/// Where a chunk is and which times it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Time of its first sample.
    pub min: TimestampMs,
    /// Time of its last sample.
    pub max: TimestampMs,
    /// File (upper four bytes) and offset (lower four).
    pub reference: u64,
}

/// Reads the series of an index in the order of the file, each with its checksum checked.
pub struct SeriesScan {
    reading: Reading,
    symbols: Arc<Symbols>,
    toc: Toc,
    version: u8,
    at: u64,
    end: u64,
    last: Option<LabelSet>,
}

impl SeriesScan {
    /// Opens the index in `directory` and reads its table of contents and symbols.
    ///
    /// # Errors
    /// The index cannot be read, or header, table of contents or symbols are wrong.
    pub fn open(files: &Arc<dyn FileRead>, directory: &str) -> Result<SeriesScan, TsdbError> {
        let mut reading = Reading::open(files, &format!("{directory}/{INDEX_FILE}"))?;
        let (version, toc) = read_toc(&mut reading)?;
        let symbols = Arc::new(Symbols::read(&mut reading, version, &toc)?);
        let end = toc.series_end(reading.length());
        // Without series there is no such section: nothing to read.
        let at = if toc.series == 0 { end } else { toc.series };
        Ok(SeriesScan { reading, symbols, toc, version, at, end, last: None })
    }

    /// The next series; `None` behind the last.
    ///
    /// # Errors
    /// The file cannot be read, or the series is wrong; [`SeriesScan::skip`] goes on behind it.
    pub fn read(&mut self) -> Result<Option<SeriesEntry>, TsdbError> {
        let Some((body, count)) = self.body()? else { return Ok(None) };
        let name = self.reading.name().to_owned();
        let bytes = self.reading.bytes(body, count + 4, WHAT)?;
        let (bytes, sum) = bytes.split_at(count);
        let written = u32::from_be_bytes(sum.try_into().expect("four bytes"));
        check_sum(WHAT, bytes, written).map_err(|fault| fault.at(body).of(&name))?;
        let place = if self.version == 1 { self.at } else { self.at / SERIES_ALIGNMENT };
        let cursor = Cursor::new(bytes, body);
        let entry = parse(cursor, place, &self.symbols).map_err(|at| at.of(&name))?;
        if let Some(last) = &self.last
            && entry.labels <= *last
        {
            let text = format!("{} stands behind {last}", entry.labels);
            return Err(Fault::wrong(text).at(self.at).of(&name));
        }
        self.last = Some(entry.labels.clone());
        self.at = body + count as u64 + 4;
        Ok(Some(entry))
    }

    /// Goes on behind a series that [`SeriesScan::read`] refused; `false` where that cannot be,
    /// because its length is wrong too.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn skip(&mut self) -> Result<bool, TsdbError> {
        match self.body() {
            Ok(Some((body, count))) => {
                self.at = body + count as u64 + 4;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) if error.is_corruption() => {
                self.at = self.end;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// How many bytes of series were read, and how many there are.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let start = self.toc.series.min(self.end);
        (self.at - start, self.end - start)
    }

    /// Where the sections are.
    #[must_use]
    pub fn toc(&self) -> Toc {
        self.toc
    }

    /// Version of the index.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The texts of the index.
    #[must_use]
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Where the body of the next series begins and how long it is.
    fn body(&mut self) -> Result<Option<(u64, usize)>, TsdbError> {
        loop {
            if self.end <= self.at {
                return Ok(None);
            }
            let bytes = self.reading.bytes_at_most(self.at, LENGTH_BYTES_MAX)?;
            if bytes[0] == 0 {
                self.at += 1;
                continue;
            }
            let Varint::Read { value, bytes } = uvarint(bytes) else {
                return Err(self.reading.corrupt(self.at, Fault::Short(WHAT)));
            };
            let body = self.at + bytes as u64;
            let end = body.checked_add(value).and_then(|end| end.checked_add(4));
            if end.is_none_or(|end| self.end < end) {
                let text = format!("a series of {value} bytes passes the end of the series");
                return Err(self.reading.corrupt(self.at, Fault::wrong(text)));
            }
            if self.version != 1 && !self.at.is_multiple_of(SERIES_ALIGNMENT) {
                let text = "a series does not begin at a multiple of 16";
                return Err(self.reading.corrupt(self.at, Fault::wrong(text)));
            }
            return Ok(Some((body, usize::try_from(value).expect("within the file"))));
        }
    }
}

fn parse(
    mut cursor: Cursor<'_>,
    reference: u64,
    symbols: &Symbols,
) -> Result<SeriesEntry, FaultAt> {
    let count = cursor.count(LABEL_BYTES_MIN, "the number of labels")?;
    let mut labels: Vec<(&str, &str)> = Vec::with_capacity(count);
    for _ in 0..count {
        let name = symbol(&mut cursor, symbols)?;
        let value = symbol(&mut cursor, symbols)?;
        if let Some((last, _)) = labels.last()
            && name <= *last
        {
            let text = format!("label {name} stands behind {last}");
            return Err(cursor.fault(Fault::wrong(text)));
        }
        labels.push((name, value));
    }
    let count = cursor.count(CHUNK_BYTES_MIN, "the number of chunks")?;
    let mut chunks = Vec::with_capacity(count);
    let (mut last, mut chunk_reference) = (0i64, 0u64);
    for at in 0..count {
        let (min, difference) = if at == 0 {
            (cursor.varint("a chunk's time")?, None)
        } else {
            // Signed in effect: chunks may overlap in blocks of old versions.
            let gap = cursor.uvarint("a chunk's time")?.cast_signed();
            (last.wrapping_add(gap), Some(()))
        };
        last = min.wrapping_add(cursor.uvarint("a chunk's time")?.cast_signed());
        chunk_reference = match difference {
            None => cursor.uvarint("a chunk's place")?,
            Some(()) => chunk_reference.wrapping_add_signed(cursor.varint("a chunk's place")?),
        };
        let (min, max) = (TimestampMs(min), TimestampMs(last));
        chunks.push(ChunkMeta { min, max, reference: chunk_reference });
    }
    Ok(SeriesEntry { reference, labels: LabelSet::new(labels), chunks })
}

fn symbol<'a>(cursor: &mut Cursor<'_>, symbols: &'a Symbols) -> Result<&'a str, FaultAt> {
    let before = cursor.clone();
    let reference = cursor.uvarint("a label")?;
    symbols
        .get(reference)
        .ok_or_else(|| before.fault(Fault::wrong(format!("there is no symbol {reference}"))))
}
