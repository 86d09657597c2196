//! Tombstones: which times of which series are deleted.

use std::collections::BTreeMap;

use model::time::TimestampMs;

use crate::cursor::{Cursor, put_uvarint, put_varint};
use crate::fault::{Fault, FaultAt, TsdbError};
use crate::files::{FileRead, check_sum};

/// Name of the file below the block's directory.
pub const TOMBSTONES_FILE: &str = "tombstones";
const MAGIC: u32 = 0x0130_BA30;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 4;
const SUM_BYTES: usize = 4;

/// A deleted stretch of time, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// First time that is deleted.
    pub min: TimestampMs,
    /// Last time that is deleted.
    pub max: TimestampMs,
}

impl Interval {
    /// Whether a sample at `timestamp` is deleted.
    #[must_use]
    pub fn contains(&self, timestamp: TimestampMs) -> bool {
        self.min <= timestamp && timestamp <= self.max
    }
}

/// Deleted intervals by series reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones {
    intervals: BTreeMap<u64, Vec<Interval>>,
}

impl Tombstones {
    /// Deletes `interval` of the series.
    pub fn add(&mut self, series: u64, interval: Interval) {
        self.intervals.entry(series).or_default().push(interval);
    }

    /// What is deleted of the series.
    #[must_use]
    pub fn of(&self, series: u64) -> &[Interval] {
        self.intervals.get(&series).map_or(&[], Vec::as_slice)
    }

    /// How many intervals there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.intervals.values().map(Vec::len).sum()
    }

    /// Whether nothing is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Forgets what is deleted of the series.
    pub fn remove(&mut self, series: u64) -> Vec<Interval> {
        self.intervals.remove(&series).unwrap_or_default()
    }
}

/// Reads the tombstones in `directory`; without the file there are none.
///
/// # Errors
/// The file cannot be read, or its checksum or form is wrong.
pub fn read_tombstones(files: &dyn FileRead, directory: &str) -> Result<Tombstones, TsdbError> {
    let file = format!("{directory}/{TOMBSTONES_FILE}");
    let length = match files.length(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Tombstones::default());
        }
        length => length.map_err(|error| TsdbError::io("open", &file, error))?,
    };
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    files.read(&file, 0, &mut bytes).map_err(|error| TsdbError::io("read", &file, error))?;
    parse(&bytes).map_err(|at| at.of(&file))
}

fn parse(bytes: &[u8]) -> Result<Tombstones, FaultAt> {
    let Some(body_end) = bytes.len().checked_sub(SUM_BYTES).filter(|end| HEADER_BYTES < *end)
    else {
        return Err(Fault::Short("the header").at(0));
    };
    let mut cursor = Cursor::new(&bytes[..body_end], 0);
    let found = cursor.big_u32("the header")?;
    if found != MAGIC {
        return Err(Fault::Magic { what: "tombstones file", found }.at(0));
    }
    let version = cursor.byte("the header")?;
    if version != VERSION {
        let found = u64::from(version);
        return Err(Fault::Version { what: "the tombstones", found }.at(HEADER_BYTES as u64));
    }
    // The version byte is left out of the sum.
    let written = Cursor::new(&bytes[body_end..], 0).big_u32("the checksum")?;
    check_sum("the tombstones", cursor.rest(), written)
        .map_err(|fault| fault.at(cursor.offset()))?;
    let mut tombstones = Tombstones::default();
    while !cursor.is_empty() {
        let series = cursor.uvarint("a tombstone")?;
        let min = TimestampMs(cursor.varint("a tombstone")?);
        let max = TimestampMs(cursor.varint("a tombstone")?);
        tombstones.add(series, Interval { min, max });
    }
    Ok(tombstones)
}

/// The bytes of a tombstones file.
#[must_use]
pub fn tombstones_bytes(tombstones: &Tombstones) -> Vec<u8> {
    let mut bytes = MAGIC.to_be_bytes().to_vec();
    bytes.push(VERSION);
    let body_start = bytes.len();
    for (series, intervals) in &tombstones.intervals {
        for interval in intervals {
            put_uvarint(&mut bytes, *series);
            put_varint(&mut bytes, interval.min.0);
            put_varint(&mut bytes, interval.max.0);
        }
    }
    let sum = crc32c::crc32c(&bytes[body_start..]);
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_what_is_broken_is_refused(
            stones in prop::collection::vec((any::<u64>(), any::<i64>(), any::<i64>()), 0..9),
            turn in any::<(prop::sample::Index, u8)>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut tombstones = Tombstones::default();
            for (series, min, max) in stones {
                let interval = Interval { min: TimestampMs(min), max: TimestampMs(max) };
                tombstones.add(series, interval);
            }
            let mut bytes = tombstones_bytes(&tombstones);
            prop_assert_eq!(parse(&bytes), Ok(tombstones.clone()));
            let at = turn.0.index(bytes.len());
            bytes[at] ^= turn.1;
            prop_assert_eq!(parse(&bytes).is_ok(), turn.1 == 0);
            bytes.truncate(cut.index(bytes.len()));
            let _ = parse(&bytes);
        }
    }
}
