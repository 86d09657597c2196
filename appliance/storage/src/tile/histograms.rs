//! Chunk of native histograms: the cells of one histogram column of one tile.
//!
//! Path: `head` → `tile::write` → **histograms**; `selection` → **histograms**.
//! Never: panics on what it reads.
//! Format: docs/format/tile.md, version 1.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;

use crate::chunk::kind::{FLAG_HOLES, FLAG_STALE, all_rows};
use crate::chunk::read_histograms::{self, read_histograms};
use crate::chunk::write_histograms::{self, write_histograms};
use crate::varint::Cursor;

/// Memory of writing and of reading.
pub(crate) type Scratch = write_histograms::Scratch;
pub(crate) type ReadScratch = read_histograms::Scratch;

/// Kind of the chunk, beside those of floats: never reuse it.
const KIND: u8 = 15;

/// Cells of one histogram column: bits by row, and one histogram a present row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HistogramColumn {
    /// Rows that have a value.
    pub(crate) present: u128,
    /// Rows that are stale; disjoint from `present`.
    pub(crate) stale: u128,
    /// Values of the present rows.
    pub(crate) values: Vec<Arc<NativeHistogram>>,
}

/// Appends the chunk of a column of `rows` rows: checksum, then the body.
pub(crate) fn write(
    rows: usize,
    (present, stale): (u128, u128),
    values: &[&NativeHistogram],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    assert!(present & stale == 0, "a cell is present or stale, not both");
    assert_eq!(present.count_ones() as usize, values.len(), "one histogram a present row");
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.push(KIND | FLAG_HOLES | FLAG_STALE);
    for bitmap in [present, stale] {
        out.extend_from_slice(&bitmap.to_le_bytes()[..rows.div_ceil(8)]);
    }
    write_histograms(values, scratch, out);
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the chunk `bytes` of a column of `rows` rows.
///
/// # Errors
/// What does not check.
pub(crate) fn read(
    bytes: &[u8],
    rows: usize,
    scratch: &mut ReadScratch,
    column: &mut HistogramColumn,
) -> Result<(), &'static str> {
    let mut cursor = Cursor::new(bytes);
    let crc = cursor.array().ok_or("chunk is cut short")?;
    if crc32c::crc32c(&bytes[4..]) != u32::from_le_bytes(crc) {
        return Err("checksum of the chunk does not match");
    }
    read_states(&mut cursor, rows, column).ok_or("chunk of histograms makes no sense")?;
    column.values.clear();
    let count = column.present.count_ones() as usize;
    read_histograms(&mut cursor, count, scratch, &mut column.values)?;
    if cursor.is_empty() { Ok(()) } else { Err("chunk has bytes left over") }
}

fn read_states(cursor: &mut Cursor<'_>, rows: usize, column: &mut HistogramColumn) -> Option<()> {
    if cursor.byte()? != KIND | FLAG_HOLES | FLAG_STALE {
        return None;
    }
    column.present = bitmap(cursor, rows)?;
    column.stale = bitmap(cursor, rows)?;
    let outside = (column.present | column.stale) & !all_rows(rows);
    (column.present & column.stale == 0 && outside == 0).then_some(())
}

fn bitmap(cursor: &mut Cursor<'_>, rows: usize) -> Option<u128> {
    let bytes = cursor.bytes(rows.div_ceil(8))?;
    let mut whole = [0; 16];
    whole[..bytes.len()].copy_from_slice(bytes);
    Some(u128::from_le_bytes(whole))
}
