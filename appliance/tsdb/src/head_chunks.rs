//! Head chunks: `chunks_head/000001` and so on: full chunks of the head, written as they fill.
//!
//! A chunk: reference of its series, first and last time, encoding (the high bit says that it came
//! out of order), length, bytes, CRC-32C of all that. Files are made longer than what is in them,
//! with zero bytes.
//!
//! Path: **head_chunks** → `head`.

use std::io::ErrorKind;
use std::sync::Arc;

use model::time::TimestampMs;

use crate::chunk::encoding::{CHUNK_BYTES_MAX, Encoding};
use crate::cursor::{Cursor, Varint, uvarint};
use crate::fault::{Fault, TsdbError};
use crate::files::{FileRead, Reading, check_sum};

/// Name of the directory below the data directory.
pub const HEAD_CHUNKS_DIRECTORY: &str = "chunks_head";
pub(crate) const MAGIC: u32 = 0x0130_BC91;
pub(crate) const VERSION: u8 = 1;
pub(crate) const HEADER_BYTES: u64 = 8;
/// Reference, two times, encoding.
const META_BYTES: usize = 25;
const LENGTH_BYTES_MAX: usize = 5;
const SUM_BYTES: usize = 4;
pub(crate) const OUT_OF_ORDER: u8 = 0x80;
const WHAT: &str = "a head chunk";

/// A chunk of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadChunk {
    /// What the log calls its series.
    pub series: u64,
    /// Time of its first sample.
    pub min: TimestampMs,
    /// Time of its last sample.
    pub max: TimestampMs,
    /// How its samples are written.
    pub encoding: Encoding,
    /// Whether its samples came out of order.
    pub is_late: bool,
    /// Number of its file.
    pub file: u32,
    /// Where its bytes begin.
    pub offset: u32,
    /// How many there are.
    pub bytes: u32,
}

impl HeadChunk {
    /// Path of its file.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{HEAD_CHUNKS_DIRECTORY}/{:06}", self.file)
    }
}

/// All chunks up to the first fault, each with its checksum checked, and that fault.
///
/// # Errors
/// The file system refuses.
pub fn scan(files: &Arc<dyn FileRead>) -> Result<(Vec<HeadChunk>, Option<TsdbError>), TsdbError> {
    let directory = HEAD_CHUNKS_DIRECTORY;
    let names = match files.names(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        names => names.map_err(|error| TsdbError::io("list", directory, error))?,
    };
    let numbered = names.iter().filter_map(|name| {
        let digits = name.bytes().all(|byte| byte.is_ascii_digit());
        Some((name.parse::<u32>().ok().filter(|_| digits)?, name))
    });
    let mut numbered: Vec<(u32, &String)> = numbered.collect();
    numbered.sort_unstable();
    let mut chunks = Vec::new();
    for (number, name) in numbered {
        match scan_file(files, &format!("{directory}/{name}"), number, &mut chunks) {
            Ok(()) => {}
            Err(error) if error.is_corruption() => return Ok((chunks, Some(error))),
            Err(error) => return Err(error),
        }
    }
    Ok((chunks, None))
}

fn scan_file(
    files: &Arc<dyn FileRead>,
    name: &str,
    number: u32,
    chunks: &mut Vec<HeadChunk>,
) -> Result<(), TsdbError> {
    let mut reading = Reading::open(files, name)?;
    if reading.length() == 0 {
        // A crash between the making of a file and its header; upstream removes it.
        return Ok(());
    }
    let header = reading.bytes(0, 8, "the header")?;
    let found = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
    let version = header[4];
    if found != MAGIC {
        return Err(reading.corrupt(0, Fault::Magic { what: "head chunk file", found }));
    }
    if version != VERSION {
        let found = u64::from(version);
        return Err(reading.corrupt(4, Fault::Version { what: "the head chunk file", found }));
    }
    let mut at = HEADER_BYTES;
    while let Some(chunk) = read_meta(&mut reading, at, number)? {
        at = u64::from(chunk.offset) + u64::from(chunk.bytes) + SUM_BYTES as u64;
        chunks.push(chunk);
    }
    Ok(())
}

/// The chunk at `at`; `None` where the chunks of the file end.
fn read_meta(reading: &mut Reading, at: u64, file: u32) -> Result<Option<HeadChunk>, TsdbError> {
    let head = reading.bytes_at_most(at, META_BYTES + LENGTH_BYTES_MAX)?;
    if head.iter().take(META_BYTES - 1).all(|byte| *byte == 0) {
        return Ok(None);
    }
    let name = reading.name().to_owned();
    let head = reading.bytes(at, META_BYTES + 1, WHAT)?;
    let mut cursor = Cursor::new(head, at);
    let place = |fault: crate::fault::FaultAt| fault.of(&name);
    let series = cursor.big_u64(WHAT).map_err(place)?;
    let min = TimestampMs(cursor.big_u64(WHAT).map_err(place)?.cast_signed());
    let max = TimestampMs(cursor.big_u64(WHAT).map_err(place)?.cast_signed());
    let flags = cursor.byte(WHAT).map_err(place)?;
    let head = reading.bytes_at_most(at + META_BYTES as u64, LENGTH_BYTES_MAX)?;
    let Varint::Read { value, bytes: length_bytes } = uvarint(head) else {
        return Err(reading.corrupt(at, Fault::Short("a chunk's length")));
    };
    let bytes = usize::try_from(value).unwrap_or(usize::MAX);
    if CHUNK_BYTES_MAX < bytes {
        let text = format!("a chunk of {value} bytes; at most {CHUNK_BYTES_MAX} are read");
        return Err(reading.corrupt(at, Fault::wrong(text)));
    }
    let covered = META_BYTES + length_bytes + bytes;
    let all = reading.bytes(at, covered + SUM_BYTES, WHAT)?;
    let (all, sum) = all.split_at(covered);
    let written = u32::from_be_bytes(sum.try_into().expect("four bytes"));
    let checked = check_sum(WHAT, all, written);
    checked.map_err(|fault| reading.corrupt(at, fault))?;
    let encoding = Encoding::of(flags & !OUT_OF_ORDER);
    let encoding = encoding.map_err(|fault| reading.corrupt(at, fault))?;
    let offset = at + (META_BYTES + length_bytes) as u64;
    let (Ok(offset), Ok(bytes)) = (u32::try_from(offset), u32::try_from(bytes)) else {
        return Err(reading.corrupt(at, Fault::wrong("a chunk behind the first 4 GiB of a file")));
    };
    let is_late = flags & OUT_OF_ORDER != 0;
    Ok(Some(HeadChunk { series, min, max, encoding, is_late, file, offset, bytes }))
}
