//! Record: what one record of a log says, by the kind that its first byte names.
//!
//! Path: `segment` → **record** → `head`.
//! Never: takes more memory than a small multiple of the record's bytes.

use model::label_set::LabelSet;
use model::time::TimestampMs;

use super::record_histogram::{read_float, read_integer};
use crate::cursor::Cursor;
use crate::fault::{Fault, FaultAt};
use crate::sample::{Counts, Sample, Value};
use crate::tombstones::Interval;

pub(crate) const SERIES: u8 = 1;
pub(crate) const SAMPLES: u8 = 2;
pub(crate) const TOMBSTONES: u8 = 3;
pub(crate) const EXEMPLARS: u8 = 4;
pub(crate) const MARKERS: u8 = 5;
pub(crate) const METADATA: u8 = 6;
pub(crate) const HISTOGRAMS: u8 = 7;
pub(crate) const FLOAT_HISTOGRAMS: u8 = 8;
pub(crate) const CUSTOM_HISTOGRAMS: u8 = 9;
pub(crate) const CUSTOM_FLOAT_HISTOGRAMS: u8 = 10;
pub(crate) const SAMPLES_START: u8 = 11;
pub(crate) const HISTOGRAMS_START: u8 = 12;
pub(crate) const FLOAT_HISTOGRAMS_START: u8 = 13;
/// What stands before a sample's start: none, that of the sample before, or one of its own.
pub(crate) const START_NONE: u8 = 0;
pub(crate) const START_SAME: u8 = 1;
/// Least bytes of a label and of a metadata field: two lengths.
const PAIR_BYTES_MIN: usize = 2;
/// Labels of a series that are believed; upstream has no bound, label sets have one here.
const LABEL_BYTES_MAX: usize = 1 << 20;
const UNIT: &str = "UNIT";
const HELP: &str = "HELP";

/// A series is called `reference` from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesRecord {
    /// What the other records of the log call it.
    pub reference: u64,
    /// Its labels.
    pub labels: LabelSet,
}

/// A sample of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRecord {
    /// The series.
    pub reference: u64,
    /// The sample.
    pub sample: Sample,
}

/// An exemplar of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarRecord {
    /// The series.
    pub reference: u64,
    /// When.
    pub timestamp: TimestampMs,
    /// Its value.
    pub value: f64,
    /// Its own labels.
    pub labels: LabelSet,
}

/// What is said of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRecord {
    /// A series of it.
    pub reference: u64,
    /// Number of its type: 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary, 6 info,
    /// 7 stateset, any other unknown.
    pub metric_type: u8,
    /// Its unit.
    pub unit: String,
    /// Its help.
    pub help: String,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Series get their references.
    Series(Vec<SeriesRecord>),
    /// Samples, and how many were left out because their histogram's schema is not known.
    Samples(Vec<SampleRecord>, u64),
    /// Deleted times.
    Tombstones(Vec<(u64, Interval)>),
    /// Exemplars.
    Exemplars(Vec<ExemplarRecord>),
    /// Metadata.
    Metadata(Vec<MetadataRecord>),
    /// Series whose samples up to here are in chunks: reference, and place of the chunk.
    Markers(Vec<(u64, u64)>),
    /// A kind that is not known; upstream passes it over too.
    Unknown(u8),
}

/// Reads a record.
///
/// # Errors
/// It ends within a part, or contradicts itself; the offset is that within the record.
pub fn read_record(bytes: &[u8]) -> Result<Record, FaultAt> {
    let mut cursor = Cursor::new(bytes, 0);
    let kind = cursor.byte("a record's kind")?;
    Ok(match kind {
        SERIES => Record::Series(all(&mut cursor, series)?),
        SAMPLES => samples(&mut cursor, None)?,
        SAMPLES_START => samples_with_starts(&mut cursor, None)?,
        TOMBSTONES => Record::Tombstones(all(&mut cursor, tombstone)?),
        EXEMPLARS => exemplars(&mut cursor)?,
        MARKERS => Record::Markers(all(&mut cursor, |cursor| {
            Ok((cursor.big_u64("a marker")?, cursor.big_u64("a marker")?))
        })?),
        METADATA => Record::Metadata(all(&mut cursor, metadata)?),
        HISTOGRAMS | CUSTOM_HISTOGRAMS => samples(&mut cursor, Some(Counts::Integer))?,
        FLOAT_HISTOGRAMS | CUSTOM_FLOAT_HISTOGRAMS => samples(&mut cursor, Some(Counts::Float))?,
        HISTOGRAMS_START => samples_with_starts(&mut cursor, Some(Counts::Integer))?,
        FLOAT_HISTOGRAMS_START => samples_with_starts(&mut cursor, Some(Counts::Float))?,
        other => Record::Unknown(other),
    })
}

fn all<T>(
    cursor: &mut Cursor<'_>,
    read: impl Fn(&mut Cursor<'_>) -> Result<T, FaultAt>,
) -> Result<Vec<T>, FaultAt> {
    let mut all = Vec::new();
    while !cursor.is_empty() {
        all.push(read(cursor)?);
    }
    Ok(all)
}

fn series(cursor: &mut Cursor<'_>) -> Result<SeriesRecord, FaultAt> {
    let reference = cursor.big_u64("a series")?;
    Ok(SeriesRecord { reference, labels: labels(cursor)? })
}

fn labels(cursor: &mut Cursor<'_>) -> Result<LabelSet, FaultAt> {
    let start = cursor.clone();
    let count = cursor.count(PAIR_BYTES_MIN, "the number of labels")?;
    let mut labels: Vec<(&str, &str)> = Vec::with_capacity(count);
    let before = cursor.left();
    for _ in 0..count {
        let name = cursor.text("a label's name")?;
        let value = cursor.text("a label's value")?;
        // Empty labels are none; upstream's sets are sorted, but nothing rests on it here.
        labels.push((name, value));
    }
    if LABEL_BYTES_MAX < before - cursor.left() {
        let text = format!("labels of more than {LABEL_BYTES_MAX} bytes");
        return Err(start.fault(Fault::wrong(text)));
    }
    labels.sort_unstable();
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(start.fault(Fault::wrong("a label stands twice")));
    }
    Ok(LabelSet::new(labels))
}

/// Reference and time as differences to the first two numbers of the record.
struct Base {
    reference: u64,
    timestamp: i64,
}

impl Base {
    fn read(cursor: &mut Cursor<'_>) -> Result<Base, FaultAt> {
        let reference = cursor.big_u64("the first series")?;
        let timestamp = cursor.big_u64("the first time")?.cast_signed();
        Ok(Base { reference, timestamp })
    }

    fn next(&self, cursor: &mut Cursor<'_>) -> Result<(u64, i64), FaultAt> {
        let reference = self.reference.wrapping_add_signed(cursor.varint("a series")?);
        Ok((reference, self.timestamp.wrapping_add(cursor.varint("a time")?)))
    }
}

fn samples(cursor: &mut Cursor<'_>, counts: Option<Counts>) -> Result<Record, FaultAt> {
    let (mut all, mut left_out) = (Vec::new(), 0);
    if cursor.is_empty() {
        return Ok(Record::Samples(all, left_out));
    }
    let base = Base::read(cursor)?;
    while !cursor.is_empty() {
        let (reference, time) = base.next(cursor)?;
        match value(cursor, counts)? {
            Some(value) => all.push(record_of(reference, (time, 0), value)),
            None => left_out += 1,
        }
    }
    Ok(Record::Samples(all, left_out))
}

fn samples_with_starts(cursor: &mut Cursor<'_>, counts: Option<Counts>) -> Result<Record, FaultAt> {
    let (mut all, mut left_out) = (Vec::new(), 0);
    // The first sample, which the times and starts of all others are told from.
    let mut first: Option<(i64, i64)> = None;
    let (mut reference, mut start) = (0i64, 0i64);
    while !cursor.is_empty() {
        reference = reference.wrapping_add(cursor.varint("a series")?);
        let mut time = cursor.varint("a time")?;
        match first {
            None => {
                start = cursor.varint("a start")?;
                first = Some((time, start));
            }
            Some((first_time, first_start)) => {
                time = first_time.wrapping_add(time);
                start = match cursor.byte("a start")? {
                    START_NONE => 0,
                    START_SAME => start,
                    _ => first_start.wrapping_add(cursor.varint("a start")?),
                };
            }
        }
        match value(cursor, counts)? {
            Some(value) => all.push(record_of(reference.cast_unsigned(), (time, start), value)),
            None => left_out += 1,
        }
    }
    Ok(Record::Samples(all, left_out))
}

fn record_of(reference: u64, (time, start): (i64, i64), value: Value) -> SampleRecord {
    let (timestamp, start) = (TimestampMs(time), TimestampMs(start));
    SampleRecord { reference, sample: Sample { timestamp, start, value } }
}

/// A float, or a histogram of these counts; `None` when its schema is not known.
fn value(cursor: &mut Cursor<'_>, counts: Option<Counts>) -> Result<Option<Value>, FaultAt> {
    match counts {
        None => Ok(Some(Value::Float(f64::from_bits(cursor.big_u64("a value")?)))),
        Some(Counts::Integer) => read_integer(cursor),
        Some(Counts::Float) => read_float(cursor),
    }
}

fn tombstone(cursor: &mut Cursor<'_>) -> Result<(u64, Interval), FaultAt> {
    let reference = cursor.big_u64("a tombstone")?;
    let min = TimestampMs(cursor.varint("a tombstone")?);
    let max = TimestampMs(cursor.varint("a tombstone")?);
    Ok((reference, Interval { min, max }))
}

fn exemplars(cursor: &mut Cursor<'_>) -> Result<Record, FaultAt> {
    let mut all = Vec::new();
    if cursor.is_empty() {
        return Ok(Record::Exemplars(all));
    }
    let base = Base::read(cursor)?;
    while !cursor.is_empty() {
        let (reference, time) = base.next(cursor)?;
        let value = f64::from_bits(cursor.big_u64("an exemplar's value")?);
        let timestamp = TimestampMs(time);
        all.push(ExemplarRecord { reference, timestamp, value, labels: labels(cursor)? });
    }
    Ok(Record::Exemplars(all))
}

fn metadata(cursor: &mut Cursor<'_>) -> Result<MetadataRecord, FaultAt> {
    let reference = cursor.uvarint("metadata")?;
    let metric_type = cursor.byte("metadata")?;
    let mut record =
        MetadataRecord { reference, metric_type, unit: String::new(), help: String::new() };
    for _ in 0..cursor.count(PAIR_BYTES_MIN, "the number of fields")? {
        let name = cursor.text("a field's name")?;
        let text = cursor.text("a field")?;
        match name {
            UNIT => text.clone_into(&mut record.unit),
            HELP => text.clone_into(&mut record.help),
            // Fields that are added later are passed over.
            _ => {}
        }
    }
    Ok(record)
}
