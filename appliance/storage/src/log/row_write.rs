//! Writes the entries of a row: only the columns that differ from the row before.
//!
//! Path: `store` → **row_write** → `log::write`.
//! Format: docs/format/wal.md, version 1.
//! Both sides keep a decimal form a column; the delta of a present value to a present value is
//! written in it. Every other change carries its form, or the bits, so neither side guesses.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;

use crate::cells::{Cell, Cells};
use crate::decimal::{self, Code};
use crate::histogram;
use crate::last_row::LastRow;
use crate::varint::{put, put_signed};

/// Codes of the escape byte. The numbers are on disk: never reuse one.
pub(crate) mod escape {
    /// The cell is absent.
    pub(crate) const ABSENT: u8 = 0;
    /// The cell is stale.
    pub(crate) const STALE: u8 = 1;
    /// Eight bytes of bits follow; the column has no form after it.
    pub(crate) const RAW: u8 = 2;
    /// A whole native histogram follows.
    pub(crate) const HISTOGRAM: u8 = 3;
    /// The difference from the column's native histogram before follows.
    pub(crate) const HISTOGRAM_DIFFERENCE: u8 = 4;
    /// From here on: form (this plus its code), then the signed integer from 0.
    pub(crate) const FORM: u8 = 16;
}

/// In [`LastRow::codes`]: the column has no form; deltas cannot be written.
pub(crate) const NO_CODE: u8 = u8::MAX;

/// Appends the entries of the `changed` columns (rising) and moves the codes; the values and states
/// of `last` are the caller's to move after.
pub(crate) fn put_entries(
    cells: &Cells,
    last: &mut LastRow,
    changed: &[u32],
    full: bool,
    out: &mut Vec<u8>,
) {
    let mut next = 0;
    let mut histograms = &cells.histograms[..];
    for column in changed {
        let gap = u64::from(column - next) << 1;
        next = column + 1;
        if let Some(histogram) = skip_to(&mut histograms, *column, cells) {
            let before = if full { None } else { last_histogram(last, *column) };
            put_histogram(gap, before, histogram, out);
            continue;
        }
        let column = *column as usize;
        let old = if full { Cell::Absent } else { last_cell(last, column) };
        let code = &mut last.codes[column];
        if full && *code == NO_CODE {
            *code = Code::INTEGER.byte();
        }
        match (old, cells_get(cells, column)) {
            (Cell::Present(before), Cell::Present(value)) => {
                let form = Code::from_byte(*code).unwrap_or(Code::INTEGER);
                match decimal::exact(value, form) {
                    Some(integer) if *code != NO_CODE => {
                        put(out, gap);
                        put_signed(out, integer - decimal::nearest(before, form));
                    }
                    _ => put_anew(gap, value, form, code, out),
                }
            }
            (_, Cell::Present(value)) => {
                let form = Code::from_byte(*code).unwrap_or(Code::INTEGER);
                put_anew(gap, value, form, code, out);
            }
            (_, Cell::Stale) => put_escape(gap, escape::STALE, out),
            (_, Cell::Absent) => put_escape(gap, escape::ABSENT, out),
        }
    }
}

/// The histogram of a present cell of `column`; columns are asked for as they rise.
fn skip_to<'a>(
    histograms: &mut &'a [(u32, Arc<NativeHistogram>)],
    column: u32,
    cells: &Cells,
) -> Option<&'a NativeHistogram> {
    while histograms.first().is_some_and(|(other, _)| *other < column) {
        *histograms = &histograms[1..];
    }
    let (_, histogram) = histograms.first().filter(|(other, _)| *other == column)?;
    matches!(cells_get(cells, column as usize), Cell::Present(_)).then_some(&**histogram)
}

fn last_histogram(last: &LastRow, column: u32) -> Option<&NativeHistogram> {
    let present = matches!(last_cell(last, column as usize), Cell::Present(_));
    last.histogram(column).filter(|_| present).map(|last| &**last)
}

fn put_histogram(
    gap: u64,
    before: Option<&NativeHistogram>,
    histogram: &NativeHistogram,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    if let Some(before) = before {
        put_escape(gap, escape::HISTOGRAM_DIFFERENCE, out);
        if histogram::put_difference(before, histogram, out) {
            return;
        }
        out.truncate(start);
    }
    put_escape(gap, escape::HISTOGRAM, out);
    histogram::put_whole(histogram, out);
}

/// A present value that leans on nothing before it.
fn put_anew(gap: u64, value: f64, form: Code, code: &mut u8, out: &mut Vec<u8>) {
    // A column that has shown itself undecimal is only tried as an integer until the next full row.
    let learned = if *code == NO_CODE {
        decimal::exact(value, Code::INTEGER).map(|integer| (Code::INTEGER, integer))
    } else {
        decimal::learn(value, form)
    };
    match learned {
        Some((learned, integer)) => {
            put_escape(gap, escape::FORM + learned.byte(), out);
            put_signed(out, integer);
            *code = learned.byte();
        }
        None => {
            put_escape(gap, escape::RAW, out);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
            *code = NO_CODE;
        }
    }
}

fn put_escape(gap: u64, escape: u8, out: &mut Vec<u8>) {
    put(out, gap | 1);
    out.push(escape);
}

fn last_cell(last: &LastRow, column: usize) -> Cell {
    if last.stale.get(column) {
        Cell::Stale
    } else if last.present.get(column) {
        Cell::Present(last.values[column])
    } else {
        Cell::Absent
    }
}

fn cells_get(cells: &Cells, column: usize) -> Cell {
    if column < cells.len() { cells.get(column) } else { Cell::Absent }
}
