//! Reads chunks.
//!
//! Path: `selection`, tests → **read**.
//! Never: panics on what it reads.
//! Format: docs/format/tile.md, version 1.

use crate::chunk::integers;
use crate::chunk::kind::{Column, FLAG_HOLES, FLAG_STALE, KIND_MASK, Kind, all_rows};
use crate::decimal::{self, Code};
use crate::varint::Cursor;

/// Memory that one chunk after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    integers: Vec<i64>,
    offsets: Vec<u64>,
}

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
    read_values(cursor, Kind::from_byte(tag & KIND_MASK)?, count, scratch, &mut column.values)
}

fn bitmap(cursor: &mut Cursor<'_>, rows: usize) -> Option<u128> {
    let bytes = cursor.bytes(rows.div_ceil(8))?;
    let mut whole = [0; 16];
    whole[..bytes.len()].copy_from_slice(bytes);
    Some(u128::from_le_bytes(whole))
}

fn read_values(
    cursor: &mut Cursor<'_>,
    kind: Kind,
    count: usize,
    scratch: &mut Scratch,
    values: &mut Vec<f64>,
) -> Option<()> {
    match kind {
        Kind::Empty => return (count == 0).then_some(()),
        Kind::Constant => {
            let value = f64::from_bits(u64::from_le_bytes(cursor.array()?));
            values.resize(count, value);
        }
        Kind::ConstantDecimal => {
            let code = Code::from_byte(cursor.byte()?)?;
            values.resize(count, decimal::value(cursor.signed()?, code));
        }
        Kind::Decimal => {
            let code = Code::from_byte(cursor.byte()?)?;
            scratch.integers.clear();
            integers::read(cursor, count, &mut scratch.offsets, &mut scratch.integers)?;
            values.extend(scratch.integers.iter().map(|i| decimal::value(*i, code)));
        }
        Kind::Raw => {
            let bytes = cursor.bytes(count * 8)?;
            let (eights, _) = bytes.as_chunks::<8>();
            values.extend(eights.iter().map(|b| f64::from_bits(u64::from_le_bytes(*b))));
        }
    }
    Some(())
}
