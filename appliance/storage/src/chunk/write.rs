//! Writes chunks.
//!
//! Path: `head` → **write** → `tile`.
//! Format: docs/format/chunk.md, version 1.

use crate::chunk::kind::{FLAG_HOLES, FLAG_STALE, Kind, all_rows};
use crate::chunk::write_values::{self, Scratch};

/// Values of a column that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    /// The same in every present row.
    Constant(f64),
    /// One a present row, in order.
    Each(&'a [f64]),
}

/// Appends the chunk of a column of `rows` rows: checksum, then the body.
///
/// # Panics
/// `present` and `stale` are disjoint and within `rows`; there are as many values as present rows.
pub(crate) fn write(
    rows: usize,
    present: u128,
    stale: u128,
    values: Values<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let all = all_rows(rows);
    assert!(present & stale == 0, "a cell is present or stale, not both");
    assert!((present | stale) & !all == 0, "a cell lies within the rows");
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut flags = if present == all { 0 } else { FLAG_HOLES };
    flags |= if stale == 0 { 0 } else { FLAG_STALE };
    let tag_at = out.len();
    out.push(flags);
    for (flag, bitmap) in [(FLAG_HOLES, present), (FLAG_STALE, stale)] {
        if flags & flag != 0 {
            out.extend_from_slice(&bitmap.to_le_bytes()[..rows.div_ceil(8)]);
        }
    }
    let kind = match values {
        _ if present == 0 => Kind::Empty,
        Values::Constant(value) => write_values::write_constant(value, out),
        Values::Each(values) => write_values::write_run(values, scratch, out),
    };
    out[tag_at] |= kind as u8;
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}
