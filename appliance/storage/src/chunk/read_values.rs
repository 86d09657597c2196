//! Reads runs of floats.
//!
//! Path: `read`, `read_histograms`, blocks → **read_values**.
//! Never: panics on what it reads; takes more memory than the count of values asks for.
//! Format: docs/format/chunk.md, version 1.

use crate::chunk::integers;
use crate::chunk::kind::Kind;
use crate::chunk::order;
use crate::decimal::{self, Code};
use crate::varint::Cursor;

/// Why a run was refused.
const DAMAGED: &str = "values make no sense";

/// Memory that one run after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    integers: Vec<i64>,
    other: Vec<i64>,
    offsets: Vec<u64>,
}

/// Appends the `count` values that `cursor` begins with.
///
/// # Errors
/// They are damaged, or lean on neighbours.
pub(crate) fn read_values(
    cursor: &mut Cursor<'_>,
    count: usize,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), &'static str> {
    read_kind(cursor, None, count, scratch, out)
}

/// Appends the values that `cursor` begins with, which may lean on as many `previous`.
///
/// # Errors
/// They are damaged.
pub(crate) fn read_values_after(
    cursor: &mut Cursor<'_>,
    previous: &[f64],
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), &'static str> {
    read_kind(cursor, Some(previous), previous.len(), scratch, out)
}

fn read_kind(
    cursor: &mut Cursor<'_>,
    previous: Option<&[f64]>,
    count: usize,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), &'static str> {
    let kind = cursor.byte().and_then(Kind::from_byte).ok_or(DAMAGED)?;
    read_run(cursor, kind, previous, count, scratch, out).ok_or(DAMAGED)
}

/// Appends what follows the kind; `out` may have grown when that fails.
pub(crate) fn read_run(
    cursor: &mut Cursor<'_>,
    kind: Kind,
    previous: Option<&[f64]>,
    count: usize,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Option<()> {
    match kind {
        Kind::Empty => return (count == 0).then_some(()),
        Kind::Constant => {
            let value = f64::from_bits(u64::from_le_bytes(cursor.array()?));
            out.resize(out.len() + count, value);
        }
        Kind::ConstantDecimal => {
            let code = Code::from_byte(cursor.byte()?)?;
            out.resize(out.len() + count, decimal::value(cursor.signed()?, code));
        }
        Kind::Decimal => {
            let code = Code::from_byte(cursor.byte()?)?;
            scratch.read_integers(cursor, count)?;
            decimal::extend_values(&scratch.integers, code, out);
        }
        Kind::Raw => {
            let bytes = cursor.bytes(count.checked_mul(8)?)?;
            let (eights, _) = bytes.as_chunks::<8>();
            out.extend(eights.iter().map(|b| f64::from_bits(u64::from_le_bytes(*b))));
        }
        Kind::DecimalNear => {
            let code = Code::from_byte(cursor.byte()?)?;
            scratch.read_integers(cursor, count)?;
            scratch.other.clear();
            integers::read(cursor, count, &mut scratch.offsets, &mut scratch.other)?;
            let pairs = scratch.integers.iter().zip(&scratch.other);
            out.extend(pairs.map(|(integer, above)| {
                let near = order::place(decimal::value(*integer, code));
                order::float(near.wrapping_add(*above))
            }));
        }
        Kind::Places => {
            scratch.read_integers(cursor, count)?;
            out.extend(scratch.integers.iter().map(|place| order::float(*place)));
        }
        Kind::DecimalAfter => {
            let code = Code::from_byte(cursor.byte()?)?;
            let previous = previous.filter(|previous| previous.len() == count)?;
            scratch.read_integers(cursor, count)?;
            for (integer, previous) in scratch.integers.iter_mut().zip(previous) {
                *integer = integer.wrapping_add(decimal::nearest(*previous, code));
            }
            decimal::extend_values(&scratch.integers, code, out);
        }
    }
    Some(())
}

impl Scratch {
    fn read_integers(&mut self, cursor: &mut Cursor<'_>, count: usize) -> Option<()> {
        self.integers.clear();
        integers::read(cursor, count, &mut self.offsets, &mut self.integers)
    }
}
