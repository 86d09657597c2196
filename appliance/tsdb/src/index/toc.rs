//! Table of contents: the last bytes of an index, which say where its sections are.

use crate::cursor::Cursor;
use crate::fault::{Fault, TsdbError};
use crate::files::{Reading, check_sum};

/// Name of the file below the block's directory.
pub const INDEX_FILE: &str = "index";
/// First bytes of an index.
pub(crate) const MAGIC: u32 = 0xBAAA_D700;
/// Magic number and version.
pub(crate) const HEADER_BYTES: u64 = 5;
const BODY_BYTES: u64 = 6 * 8;
/// Bytes of the table with its checksum.
pub(crate) const TOC_BYTES: u64 = BODY_BYTES + 4;
/// Series begin at multiples of this from version 2 on.
pub(crate) const SERIES_ALIGNMENT: u64 = 16;
const CHUNK_OF_SUM: usize = 256 * 1024;

/// Where the sections are; 0 is a section that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toc {
    /// Symbol table.
    pub symbols: u64,
    /// Series.
    pub series: u64,
    /// Label indices; nobody reads them any more.
    pub label_indices: u64,
    /// Table of their offsets.
    pub label_indices_table: u64,
    /// Postings.
    pub postings: u64,
    /// Table of their offsets.
    pub postings_table: u64,
}

impl Toc {
    /// Where the series end.
    pub(crate) fn series_end(&self, length: u64) -> u64 {
        let behind = [
            self.symbols,
            self.label_indices,
            self.label_indices_table,
            self.postings,
            self.postings_table,
        ];
        let next = behind.into_iter().filter(|offset| self.series < *offset).min();
        next.unwrap_or(length - TOC_BYTES)
    }

    /// The bytes of the table.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let parts = [
            self.symbols,
            self.series,
            self.label_indices,
            self.label_indices_table,
            self.postings,
            self.postings_table,
        ];
        let mut bytes: Vec<u8> = parts.iter().flat_map(|offset| offset.to_be_bytes()).collect();
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// Reads version and table of an index.
pub(crate) fn read_toc(reading: &mut Reading) -> Result<(u8, Toc), TsdbError> {
    let length = reading.length();
    if length < HEADER_BYTES + TOC_BYTES {
        return Err(reading.corrupt(0, Fault::Short("the index")));
    }
    let header = reading.bytes(0, 5, "the header")?;
    let found = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
    let version = header[4];
    if found != MAGIC {
        return Err(reading.corrupt(0, Fault::Magic { what: "index", found }));
    }
    if !(1..=3).contains(&version) {
        let found = u64::from(version);
        return Err(reading.corrupt(4, Fault::Version { what: "the index", found }));
    }
    let at = length - TOC_BYTES;
    let name = reading.name().to_owned();
    let bytes = reading.bytes(at, 52, "the table of contents")?;
    let mut cursor = Cursor::new(bytes, at);
    let mut parts = [0; 6];
    for part in &mut parts {
        *part = cursor.big_u64("the table of contents").map_err(|fault| fault.of(&name))?;
    }
    let written = cursor.big_u32("the table of contents").map_err(|fault| fault.of(&name))?;
    check_sum("the table of contents", &bytes[..48], written)
        .map_err(|fault| fault.at(at).of(&name))?;
    if let Some(beyond) = parts.iter().find(|offset| at < **offset) {
        let text = format!("a section is said to begin at byte {beyond}");
        return Err(reading.corrupt(at, Fault::wrong(text)));
    }
    let [symbols, series, label_indices, label_indices_table, postings, postings_table] = parts;
    let toc = Toc { symbols, series, label_indices, label_indices_table, postings, postings_table };
    Ok((version, toc))
}

/// Where the body of the section at `offset` begins and how long it is, its checksum checked
/// piece by piece.
pub(crate) fn check_section(
    reading: &mut Reading,
    offset: u64,
    what: &'static str,
) -> Result<(u64, u64), TsdbError> {
    let length = reading.bytes(offset, 4, what)?;
    let length = u64::from(u32::from_be_bytes(length.try_into().expect("four bytes")));
    let start = offset + 4;
    let end = start + length;
    if reading.length() < end + 4 {
        return Err(reading.corrupt(offset, Fault::Short(what)));
    }
    let (mut at, mut found) = (start, 0);
    while at < end {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let part = reading.bytes(at, left.min(CHUNK_OF_SUM), what)?;
        found = crc32c::crc32c_append(found, part);
        at += part.len() as u64;
    }
    let written = reading.bytes(end, 4, what)?;
    let written = u32::from_be_bytes(written.try_into().expect("four bytes"));
    if found != written {
        return Err(reading.corrupt(start, Fault::Checksum { what, written, found }));
    }
    Ok((start, length))
}
