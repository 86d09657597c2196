//! Frame: the envelope of records in the log, the catalog and the manifest.
//!
//! Path: `log`, `catalog` → **frame**.
//! Format: docs/format/wal.md, version 1.
//!
//! Invariants
//! - F1: a frame is read only if its generation, its version and its checksum are right.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of the frame and of the records in it.
pub(crate) const VERSION: u8 = 1;
/// The segment goes on where the one before it was given up: decoder state carries over.
pub(crate) const FLAG_CONTINUES: u8 = 1;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = size_of::<Header>();

const CHECKED_FROM: usize = 8;

/// Largest position of a record, so that those behind it can be counted: a thousand million records
/// a second take 146 years to it.
const POSITION_MAX: u64 = 1 << 62;

/// What kind of file the frame belongs to. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Log = 1,
    Catalog = 2,
    Manifest = 3,
}

/// Header on disk; little endian.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    length: U32,
    crc: U32,
    generation: U64,
    first: U64,
    needed: U64,
    records: U32,
    version: u8,
    kind: u8,
    flags: u8,
    zero: u8,
}

const _: () = assert!(HEADER_BYTES == 40, "the header on disk has 40 bytes");

/// What a frame says of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) kind: Kind,
    /// Number of the segment or catalog that it was written for.
    pub(crate) generation: u64,
    /// Position of its first record.
    pub(crate) first: u64,
    /// Position of the oldest record that was needed when it was written.
    pub(crate) needed: u64,
    pub(crate) records: u32,
    pub(crate) flags: u8,
}

impl Envelope {
    /// Position of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.first.saturating_add(u64::from(self.records)).saturating_sub(1)
    }
}

/// Begins a frame: room for the header, which [`seal`] fills when the records stand behind it.
pub(crate) fn open(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; HEADER_BYTES]);
}

/// Fills the header at the front of `bytes`; all behind it are the records.
pub(crate) fn seal(bytes: &mut [u8], envelope: &Envelope) {
    let length = u32::try_from(bytes.len() - HEADER_BYTES).expect("commits are bounded by options");
    let mut header = Header {
        length: length.into(),
        crc: 0.into(),
        generation: envelope.generation.into(),
        first: envelope.first.into(),
        needed: envelope.needed.into(),
        records: envelope.records.into(),
        version: VERSION,
        kind: envelope.kind as u8,
        flags: envelope.flags,
        zero: 0,
    };
    header.crc = checksum(&header, &bytes[HEADER_BYTES..]).into();
    bytes[..HEADER_BYTES].copy_from_slice(header.as_bytes());
}

fn checksum(header: &Header, payload: &[u8]) -> u32 {
    // The length is under the checksum too: it stands before the crc only to be read first.
    let crc = crc32c::crc32c(header.length.as_bytes());
    let crc = crc32c::crc32c_append(crc, &header.as_bytes()[CHECKED_FROM..]);
    crc32c::crc32c_append(crc, payload)
}

/// Outcome of reading a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A frame that checks, its records, and its bytes with the header.
    Frame { envelope: Envelope, payload: &'a [u8], bytes: usize },
    /// The frame may be whole but more bytes are needed: this many from its start.
    Short { bytes: usize },
    /// No frame of this file begins here.
    Nothing,
}

/// Version of the frame that begins here by its kind and generation, whether or not it checks;
/// `None` where stale bytes are, or none: a header that was torn before its version has 0 there.
pub(crate) fn version_here(bytes: &[u8], kind: Kind, generation: u64) -> Option<u8> {
    let (header, _) = Header::read_from_prefix(bytes).ok()?;
    let ours = header.kind == kind as u8 && header.generation.get() == generation;
    (ours && header.version != 0).then_some(header.version)
}

/// The frame at the front of `bytes`, if it is one of this kind and generation.
pub(crate) fn read(bytes: &[u8], kind: Kind, generation: u64, payload_max: usize) -> Found<'_> {
    let Some(head) = bytes.get(..HEADER_BYTES) else {
        return Found::Short { bytes: HEADER_BYTES };
    };
    let Ok(header) = Header::read_from_bytes(head) else {
        return Found::Nothing;
    };
    let length = header.length.get() as usize;
    let ours = header.kind == kind as u8
        && header.version == VERSION
        && header.generation.get() == generation
        && length <= payload_max;
    if !ours {
        return Found::Nothing;
    }
    let end = HEADER_BYTES + length;
    let Some(payload) = bytes.get(HEADER_BYTES..end) else {
        return Found::Short { bytes: end };
    };
    if checksum(&header, payload) != header.crc.get() || POSITION_MAX < header.first.get() {
        return Found::Nothing;
    }
    let envelope = Envelope {
        kind,
        generation,
        first: header.first.get(),
        needed: header.needed.get(),
        records: header.records.get(),
        flags: header.flags,
    };
    assert_eq!(envelope.generation, generation, "F1: a frame of another generation was read");
    Found::Frame { envelope, payload, bytes: end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        at_position(100)
    }

    fn at_position(first: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        open(&mut bytes);
        bytes.extend_from_slice(b"records");
        let envelope =
            Envelope { kind: Kind::Log, generation: 7, first, needed: 5, records: 3, flags: 0 };
        seal(&mut bytes, &envelope);
        bytes
    }

    #[test]
    fn f1_any_flipped_bit_is_noticed() {
        let good = sample();
        assert!(matches!(read(&good, Kind::Log, 7, 100), Found::Frame { payload: b"records", .. }));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read(&bad, Kind::Log, 7, 100), Found::Frame { .. }), "bit {bit}");
        }
    }

    #[test]
    fn f1_other_generations_and_kinds_are_refused() {
        let bytes = sample();
        assert_eq!(read(&bytes, Kind::Log, 8, 100), Found::Nothing);
        assert_eq!(read(&bytes, Kind::Catalog, 7, 100), Found::Nothing);
        assert_eq!(read(&bytes, Kind::Log, 7, 6), Found::Nothing);
    }

    #[test]
    fn positions_that_cannot_be_counted_on_from_are_refused() {
        let whole = at_position(POSITION_MAX);
        assert!(matches!(read(&whole, Kind::Log, 7, 100), Found::Frame { .. }));
        for first in [POSITION_MAX + 1, u64::MAX - 1, u64::MAX] {
            assert_eq!(read(&at_position(first), Kind::Log, 7, 100), Found::Nothing);
        }
    }

    #[test]
    fn a_cut_frame_says_how_much_it_needs() {
        let bytes = sample();
        for cut in 0..HEADER_BYTES {
            assert_eq!(
                read(&bytes[..cut], Kind::Log, 7, 100),
                Found::Short { bytes: HEADER_BYTES }
            );
        }
        for cut in HEADER_BYTES..bytes.len() {
            assert_eq!(read(&bytes[..cut], Kind::Log, 7, 100), Found::Short { bytes: bytes.len() });
        }
    }
}
