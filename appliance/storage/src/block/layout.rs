//! Layout: header of a page and trailer of a block, as they stand on disk.
//!
//! Format: docs/format/block.md, version 1.

use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of the block.
pub(crate) const VERSION: u8 = 1;
/// Bytes of a page's header.
pub(crate) const PAGE_HEADER_BYTES: usize = size_of::<PageHeader>();
/// Bytes of the trailer, the last of the file.
pub(crate) const TRAILER_BYTES: usize = size_of::<Trailer>();
/// Bytes before those that a checksum covers, in header and trailer.
pub(crate) const CHECKED_FROM: usize = 4;
/// Bytes at which a page of samples is closed: large enough for the compressor, small enough to
/// be read for one series.
pub(crate) const PAGE_BYTES: usize = 64 << 10;
/// Bytes at which a page of the index is closed: all of it is parsed to find one entry.
pub(crate) const INDEX_PAGE_BYTES: usize = 16 << 10;
/// Most bytes of a page, so that a damaged length cannot ask for more: postings of 20 million
/// series take less.
pub(crate) const PAGE_BYTES_MAX: u32 = 1 << 26;
/// Samples of a chunk at most.
pub(crate) const CHUNK_SAMPLES_MAX: usize = 480;
/// Entries of a page of the time table.
pub(crate) const TIMES_PER_PAGE: usize = 512;

/// What a page holds. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum PageKind {
    /// Chunks, one behind the other.
    Values = 0,
    /// Time columns, one behind the other.
    Times = 1,
    /// Where time columns lie.
    TimeTable = 2,
    /// Label sets and where their chunks lie.
    Series = 3,
    /// Label names and values.
    Symbols = 4,
    /// Values of labels and the series that have them.
    Labels = 5,
    /// Where all other pages lie.
    Outline = 6,
}

/// Kinds of pages that the outline lists, by number.
pub(crate) const LISTED: [PageKind; 6] = [
    PageKind::Values,
    PageKind::Times,
    PageKind::TimeTable,
    PageKind::Series,
    PageKind::Symbols,
    PageKind::Labels,
];

/// How the bytes of a page are stored. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Codec {
    Plain = 0,
    Zstd = 1,
}

/// Header on disk; little endian. The checksum covers what follows it and the stored bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct PageHeader {
    pub(crate) crc: U32,
    /// Bytes behind the header.
    pub(crate) stored: U32,
    /// Bytes that they are when decompressed.
    pub(crate) raw: U32,
    pub(crate) kind: u8,
    pub(crate) codec: u8,
    pub(crate) zero: U16,
    /// Number of the block.
    pub(crate) number: U64,
}

/// Trailer on disk; little endian. The checksum covers what follows it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Trailer {
    pub(crate) crc: U32,
    pub(crate) version: u8,
    pub(crate) level: u8,
    pub(crate) zero: U16,
    /// Number of the block.
    pub(crate) number: U64,
    pub(crate) outline_offset: U64,
    pub(crate) outline_bytes: U32,
    pub(crate) resolution_ms: U32,
    pub(crate) series: U64,
    pub(crate) samples: U64,
    pub(crate) min_time_ms: I64,
    pub(crate) max_time_ms: I64,
}

const _: () = assert!(PAGE_HEADER_BYTES == 24, "the header on disk has 24 bytes");
const _: () = assert!(TRAILER_BYTES == 64, "the trailer on disk has 64 bytes");
