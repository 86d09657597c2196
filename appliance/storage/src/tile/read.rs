//! Reads tiles: first the header, then the directory, then the chunks that are wanted.
//!
//! Path: tile file → **read** → `selection`, `recovery`.
//! Never: panics on what it reads.
//! Format: docs/format/tile.md, version 1.

use std::sync::Arc;

use zerocopy::FromBytes;

use crate::chunk::integers;
use crate::chunk::kind::ROWS_MAX;
use crate::tile::layout::{CHECKED_FROM, HEADER_BYTES, Header, TILE_BYTES_MAX, VERSION};
use crate::varint::Cursor;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) group: u32,
    pub(crate) number: u32,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) min_time_ms: i64,
    pub(crate) max_time_ms: i64,
    pub(crate) slot_max: i64,
    pub(crate) append_offset: u64,
    /// Bytes of header and directory.
    pub(crate) head_bytes: usize,
    /// Bytes of the whole tile.
    pub(crate) tile_bytes: usize,
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    pub(crate) column: u32,
    /// From the start of the tile.
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

/// Times and columns of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) slots: Vec<i64>,
    pub(crate) timestamps_ms: Arc<[i64]>,
    /// Rows of the owner's rank.
    pub(crate) owner: u128,
    /// By column, rising.
    pub(crate) chunks: Vec<ChunkPlace>,
}

impl Directory {
    /// The chunk of `column`, if it has one.
    pub(crate) fn find(&self, column: u32) -> Option<ChunkPlace> {
        let at = self.chunks.binary_search_by_key(&column, |chunk| chunk.column).ok()?;
        Some(self.chunks[at])
    }

    /// Bytes of memory behind it.
    pub(crate) fn heap_bytes(&self) -> usize {
        (self.slots.len() + self.timestamps_ms.len()) * size_of::<i64>()
            + self.chunks.len() * size_of::<ChunkPlace>()
    }
}

/// Version of the tile of file `generation` that begins here, whether or not it checks; `None`
/// where other bytes are, or none: a header that was torn before its version has 0 there.
pub(crate) fn version_here(bytes: &[u8], generation: u64) -> Option<u8> {
    let (header, _) = Header::read_from_prefix(bytes).ok()?;
    let ours = header.generation.get() == generation && header.version != 0;
    ours.then_some(header.version)
}

/// What the header at the front of `bytes` says. Its checksum covers the directory too, so it is
/// [`directory`] that vouches for it.
///
/// # Errors
/// Why it cannot be one of file `generation`.
pub(crate) fn summary(bytes: &[u8], generation: u64) -> Result<Summary, &'static str> {
    let Ok((header, _)) = Header::read_from_prefix(bytes) else {
        return Err("header of the tile is cut short");
    };
    if header.version != VERSION || header.generation.get() != generation {
        return Err("no tile of this file");
    }
    let summary = Summary {
        group: header.group.get(),
        number: header.number.get(),
        rows: usize::from(header.rows.get()),
        columns: header.columns.get() as usize,
        min_time_ms: header.min_time_ms.get(),
        max_time_ms: header.max_time_ms.get(),
        slot_max: header.slot_max.get(),
        append_offset: header.append_offset.get(),
        head_bytes: HEADER_BYTES + header.directory_bytes.get() as usize,
        tile_bytes: header.length.get() as usize,
    };
    let sized = summary.head_bytes <= summary.tile_bytes
        && header.length.get() <= TILE_BYTES_MAX
        && 1 <= summary.rows
        && summary.rows <= ROWS_MAX
        && summary.columns <= summary.head_bytes;
    if sized { Ok(summary) } else { Err("header of the tile makes no sense") }
}

/// Header and directory of the tile that `bytes` begins with.
///
/// # Errors
/// What does not check.
pub(crate) fn directory(
    bytes: &[u8],
    generation: u64,
) -> Result<(Summary, Directory), &'static str> {
    let summary = summary(bytes, generation)?;
    let head = bytes.get(..summary.head_bytes).ok_or("directory of the tile is cut short")?;
    let (crc, checked) = head.split_at(CHECKED_FROM);
    if crc32c::crc32c(checked).to_le_bytes() != *crc {
        return Err("checksum of the tile's directory does not match");
    }
    let directory = read_directory(&head[HEADER_BYTES..], &summary);
    Ok((summary, directory.ok_or("directory of the tile makes no sense")?))
}

fn read_directory(bytes: &[u8], summary: &Summary) -> Option<Directory> {
    let mut cursor = Cursor::new(bytes);
    let (mut offsets, mut slots, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    integers::read(&mut cursor, summary.rows, &mut offsets, &mut slots)?;
    integers::read(&mut cursor, summary.rows, &mut offsets, &mut delays)?;
    let times = delays.iter().zip(&slots).map(|(delay, slot)| delay.wrapping_add(*slot));
    let timestamps_ms: Arc<[i64]> = times.collect();
    let owner_bytes = cursor.bytes(summary.rows.div_ceil(8))?;
    let mut owner = [0; 16];
    owner[..owner_bytes.len()].copy_from_slice(owner_bytes);
    let mut chunks = Vec::with_capacity(summary.columns);
    let mut next_column = 0u32;
    let mut offset = u32::try_from(summary.head_bytes).ok()?;
    for _ in 0..summary.columns {
        let column = next_column.checked_add(cursor.unsigned32()?)?;
        let bytes = cursor.unsigned32()?;
        chunks.push(ChunkPlace { column, offset, bytes });
        next_column = column.checked_add(1)?;
        offset = offset.checked_add(bytes)?;
    }
    let whole = cursor.is_empty() && offset as usize == summary.tile_bytes;
    let owner = u128::from_le_bytes(owner);
    whole.then_some(Directory { slots, timestamps_ms, owner, chunks })
}

/// Whether every chunk of the whole tile `bytes` has its checksum.
pub(crate) fn chunks_check(bytes: &[u8], directory: &Directory) -> bool {
    directory.chunks.iter().all(|place| {
        let start = place.offset as usize;
        let chunk = bytes.get(start..start + place.bytes as usize);
        let parts = chunk.and_then(|chunk| chunk.split_first_chunk::<4>());
        parts.is_some_and(|(crc, body)| crc32c::crc32c(body).to_le_bytes() == *crc)
    })
}
