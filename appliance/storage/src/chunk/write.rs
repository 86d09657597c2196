//! Writes chunks.
//!
//! Path: `head` → **write** → `tile`.
//! Format: docs/format/tile.md, version 1.

use crate::chunk::integers;
use crate::chunk::kind::{FLAG_HOLES, FLAG_STALE, Kind, all_rows};
use crate::decimal::{self, Code};
use crate::varint::put_signed;

/// Values of a column that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    /// The same in every present row.
    Constant(f64),
    /// One a present row, in order.
    Each(&'a [f64]),
}

/// Memory that one chunk after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    integers: Vec<i64>,
    packed: integers::Scratch,
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
    let kind = if present == 0 { Kind::Empty } else { write_values(values, scratch, out) };
    out[tag_at] |= kind as u8;
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

fn write_values(values: Values<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Kind {
    let values = match values {
        Values::Constant(value) => return write_constant(value, out),
        Values::Each(values) => values,
    };
    let first = *values.first().expect("a present row has a value");
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        return write_constant(first, out);
    }
    let start = out.len();
    if let Some(code) = to_integers(values, &mut scratch.integers) {
        out.push(code.byte());
        integers::write(&scratch.integers, &mut scratch.packed, out);
        if out.len() - start < size_of_val(values) {
            return Kind::Decimal;
        }
        out.truncate(start);
    }
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    Kind::Raw
}

fn write_constant(value: f64, out: &mut Vec<u8>) -> Kind {
    match decimal::learn(value, Code::INTEGER) {
        Some((code, integer)) if integer.unsigned_abs() < 1 << 40 => {
            out.push(code.byte());
            put_signed(out, integer);
            Kind::ConstantDecimal
        }
        _ => {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
            Kind::Constant
        }
    }
}

/// All `values` as integers of one form.
fn to_integers(values: &[f64], integers: &mut Vec<i64>) -> Option<Code> {
    let mut code = Code::INTEGER;
    // A form that fails at a value is replaced by one that fits it; a wider divided form still fits
    // all before, so two rounds settle all but values that mix both forms.
    for _ in 0..8 {
        match fill(values, code, integers) {
            None => return Some(code),
            Some(failed) => {
                let (next, _) = decimal::learn(failed, code)?;
                if next == code {
                    return None;
                }
                code = next;
            }
        }
    }
    None
}

/// The first value that is no integer of this form.
fn fill(values: &[f64], code: Code, integers: &mut Vec<i64>) -> Option<f64> {
    integers.clear();
    for value in values {
        match decimal::exact(*value, code) {
            Some(integer) => integers.push(integer),
            None => return Some(*value),
        }
    }
    None
}
