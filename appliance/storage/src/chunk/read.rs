//! Reads chunks.
//!
//! Path: `selection`, tests → **read**.
//! Never: panics on what it reads.
//! Format: docs/format/chunk.md, version 1.

use crate::chunk::kind::{Column, FLAG_HOLES, FLAG_STALE, KIND_MASK, Kind, all_rows};
use crate::chunk::read_values::{self, Scratch};
use crate::varint::Cursor;

/// Reads the chunk `bytes` of a column of `rows` rows.
///
/// # Errors
/// What does not check.
pub(crate) fn read(
    bytes: &[u8],
    rows: usize,
    scratch: &mut Scratch,
    column: &mut Column,
) -> Result<(), &'static str> {
    let mut cursor = Cursor::new(bytes);
    let crc = cursor.array().ok_or("chunk is cut short")?;
    if crc32c::crc32c(&bytes[4..]) != u32::from_le_bytes(crc) {
        return Err("checksum of the chunk does not match");
    }
    read_body(&mut cursor, rows, scratch, column).ok_or("chunk makes no sense")?;
    if cursor.is_empty() { Ok(()) } else { Err("chunk has bytes left over") }
}

fn read_body(
    cursor: &mut Cursor<'_>,
    rows: usize,
    scratch: &mut Scratch,
    column: &mut Column,
) -> Option<()> {
    let tag = cursor.byte()?;
    let all = all_rows(rows);
    if tag & !(KIND_MASK | FLAG_HOLES | FLAG_STALE) != 0 {
        return None;
    }
    column.present = if tag & FLAG_HOLES == 0 { all } else { bitmap(cursor, rows)? };
    column.stale = if tag & FLAG_STALE == 0 { 0 } else { bitmap(cursor, rows)? };
    let both = column.present & column.stale;
    if both != 0 || (column.present | column.stale) & !all != 0 {
        return None;
    }
    let count = column.present.count_ones() as usize;
    column.values.clear();
    let kind = Kind::from_byte(tag & KIND_MASK)?;
    read_values::read_run(cursor, kind, None, count, scratch, &mut column.values)
}

fn bitmap(cursor: &mut Cursor<'_>, rows: usize) -> Option<u128> {
    let bytes = cursor.bytes(rows.div_ceil(8))?;
    let mut whole = [0; 16];
    whole[..bytes.len()].copy_from_slice(bytes);
    Some(u128::from_le_bytes(whole))
}
