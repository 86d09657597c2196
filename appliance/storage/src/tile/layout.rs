//! Header of a tile on disk.
//!
//! Format: docs/format/tile.md, version 1.

use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of the tile.
pub(crate) const VERSION: u8 = 1;
/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = size_of::<Header>();
/// Bytes before those that the checksum of header and directory covers.
pub(crate) const CHECKED_FROM: usize = 4;
/// Most bytes of a tile, so that a damaged length cannot ask for more.
pub(crate) const TILE_BYTES_MAX: u32 = 1 << 30;

/// Header on disk; little endian. The checksum covers what follows it up to the directory's end.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) crc: U32,
    /// Whole tile with this header.
    pub(crate) length: U32,
    /// Number of the tile file.
    pub(crate) generation: U64,
    /// Where in the file the append began that wrote this tile.
    pub(crate) append_offset: U64,
    pub(crate) group: U32,
    /// Number of the tile within its group, rising.
    pub(crate) number: U32,
    pub(crate) min_time_ms: I64,
    pub(crate) max_time_ms: I64,
    /// Largest slot of its rows.
    pub(crate) slot_max: I64,
    /// Bytes of the directory behind the header.
    pub(crate) directory_bytes: U32,
    pub(crate) columns: U32,
    pub(crate) rows: U16,
    pub(crate) version: u8,
    pub(crate) zero: u8,
}

const _: () = assert!(HEADER_BYTES == 68, "the header on disk has 68 bytes");
