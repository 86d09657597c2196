//! Segment: one file of a log: pages of 32 KiB with fragments, which make records.
//!
//! A fragment: a byte (kind in the low three bits, then snappy, zstd), its length and CRC-32C, big
//! endian, and its bytes. Records are compressed whole and then cut into fragments; none reaches
//! into the next segment.
//!
//! Path: `log` → **segment** → `record`.
//! Never: believes a length that the file or the compression cannot have.

use std::io::Read;
use std::sync::Arc;

use crate::fault::{Fault, TsdbError};
use crate::files::{FileRead, Reading, check_sum};

/// Bytes of a page.
pub(crate) const PAGE_BYTES: usize = 32 * 1024;
/// Kind, length and checksum.
pub(crate) const HEADER_BYTES: usize = 7;
const KIND_MASK: u8 = 0b111;
pub(crate) const SNAPPY: u8 = 1 << 3;
pub(crate) const ZSTD: u8 = 1 << 4;
/// The rest of the page is nothing.
const PAGE_END: u8 = 0;
pub(crate) const FULL: u8 = 1;
pub(crate) const FIRST: u8 = 2;
pub(crate) const MIDDLE: u8 = 3;
pub(crate) const LAST: u8 = 4;
/// Most bytes of a record. Prometheus writes some megabytes at a checkpoint's most.
pub const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most bytes that a byte of snappy stands for: a copy of 64 takes three.
const SNAPPY_RATIO_MAX: usize = 22;
/// Bytes by which a short text may be longer than the ratio says.
const SNAPPY_SLACK_BYTES: usize = 64;
const WHAT: &str = "a record";

/// Reads the records of one segment.
pub struct Segment {
    reading: Reading,
    at: u64,
    /// Fragments of the record, as they stand in the file.
    stored: Vec<u8>,
    record: Vec<u8>,
    record_offset: u64,
}

struct Fragment {
    header: u8,
    offset: u64,
}

impl Segment {
    /// Opens the segment `name`.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(files: &Arc<dyn FileRead>, name: &str) -> Result<Segment, TsdbError> {
        let reading = Reading::open(files, name)?;
        Ok(Segment { reading, at: 0, stored: Vec::new(), record: Vec::new(), record_offset: 0 })
    }

    /// The next record, without compression; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or what stands there is no record: also when it is the torn end of
    /// a process that was killed. Do not ask again: nothing behind it counts.
    pub fn read(&mut self) -> Result<Option<&[u8]>, TsdbError> {
        self.stored.clear();
        let mut begun: Option<u64> = None;
        loop {
            let Some(fragment) = self.fragment()? else {
                let torn = |at| self.corrupt(at, Fault::Short(WHAT));
                return begun.map_or(Ok(None), |at| Err(torn(at)));
            };
            let kind = fragment.header & KIND_MASK;
            let fits = match kind {
                FULL | FIRST => begun.is_none(),
                MIDDLE | LAST => begun.is_some(),
                _ => false,
            };
            if !fits {
                let text = format!("fragment of kind {kind} where none may be");
                return Err(self.corrupt(fragment.offset, Fault::wrong(text)));
            }
            let start = *begun.get_or_insert(fragment.offset);
            self.record_offset = start;
            if RECORD_BYTES_MAX < self.stored.len() {
                let text = format!("record of more than {RECORD_BYTES_MAX} bytes");
                return Err(self.corrupt(start, Fault::wrong(text)));
            }
            if kind == FULL || kind == LAST {
                return match inflate(fragment.header, &self.stored, &mut self.record) {
                    Ok(()) => Ok(Some(&self.record)),
                    Err(fault) => Err(self.corrupt(start, fault)),
                };
            }
        }
    }

    /// The record that was read last.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Where the record that was read last begins.
    #[must_use]
    pub fn record_offset(&self) -> u64 {
        self.record_offset
    }

    /// Bytes of the file that were passed, and its length.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.at.min(self.reading.length()), self.reading.length())
    }

    /// The error of a fault at `offset` of this segment.
    pub(crate) fn corrupt(&self, offset: u64, fault: Fault) -> TsdbError {
        self.reading.corrupt(offset, fault)
    }

    /// Adds the next fragment to what is stored.
    fn fragment(&mut self) -> Result<Option<Fragment>, TsdbError> {
        while self.at < self.reading.length() {
            let offset = self.at;
            let in_page = usize::try_from(offset % PAGE_BYTES as u64).expect("within a page");
            let page_left = PAGE_BYTES - in_page;
            let header = self.reading.bytes(offset, 1, WHAT)?[0];
            if header & KIND_MASK == PAGE_END {
                let rest = self.reading.bytes_at_most(offset + 1, page_left - 1)?;
                if let Some(at) = rest.iter().position(|byte| *byte != 0) {
                    let fault = Fault::wrong("a byte behind the end of the page's records");
                    return Err(self.corrupt(offset + 1 + at as u64, fault));
                }
                self.at += page_left as u64;
                continue;
            }
            if page_left < HEADER_BYTES {
                return Err(self.corrupt(offset, Fault::wrong("a fragment crosses its page")));
            }
            let head = self.reading.bytes(offset, HEADER_BYTES, WHAT)?;
            let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
            let written = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
            if page_left - HEADER_BYTES < length {
                let text = format!("a fragment of {length} bytes passes its page");
                return Err(self.corrupt(offset, Fault::wrong(text)));
            }
            let bytes = self.reading.bytes(offset + HEADER_BYTES as u64, length, WHAT)?;
            if let Err(fault) = check_sum(WHAT, bytes, written) {
                return Err(self.corrupt(offset, fault));
            }
            self.stored.extend_from_slice(bytes);
            self.at += (HEADER_BYTES + length) as u64;
            return Ok(Some(Fragment { header, offset }));
        }
        Ok(None)
    }
}

/// Puts the bytes of a record, decompressed as `header` says, into `out`.
fn inflate(header: u8, stored: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    out.clear();
    if header & SNAPPY != 0 {
        let wrong = |error: snap::Error| Fault::wrong(format!("snappy: {error}"));
        let length = snap::raw::decompress_len(stored).map_err(wrong)?;
        let most = stored.len().saturating_mul(SNAPPY_RATIO_MAX) + SNAPPY_SLACK_BYTES;
        if most.min(RECORD_BYTES_MAX) < length {
            let text = format!("snappy: {} bytes are no {length} bytes", stored.len());
            return Err(Fault::wrong(text));
        }
        out.resize(length, 0);
        let read = snap::raw::Decoder::new().decompress(stored, out).map_err(wrong)?;
        out.truncate(read);
        return Ok(());
    }
    if header & ZSTD != 0 {
        let wrong = |error: String| Fault::wrong(format!("zstd: {error}"));
        let decoder = ruzstd::decoding::StreamingDecoder::new(stored)
            .map_err(|error| wrong(error.to_string()))?;
        let read = decoder.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(out);
        read.map_err(|error| wrong(error.to_string()))?;
        if RECORD_BYTES_MAX < out.len() {
            return Err(Fault::wrong(format!("zstd: more than {RECORD_BYTES_MAX} bytes")));
        }
        return Ok(());
    }
    out.extend_from_slice(stored);
    Ok(())
}
