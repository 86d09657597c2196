//! Kinds of float encodings, and what a decoded column of a tile is.
//!
//! Format: docs/format/chunk.md, version 1.

/// Encoding of a run of floats. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// There is no value.
    Empty = 0,
    /// One value, as its bits.
    Constant = 1,
    /// One value, as a decimal integer.
    ConstantDecimal = 2,
    /// Decimal integers of one form.
    Decimal = 3,
    /// The bits of each value.
    Raw = 4,
    /// Decimal integers of one form, and how many floats each value lies above what they give.
    DecimalNear = 5,
    /// The place of each value among all floats, as integers.
    Places = 6,
    /// Decimal integers less those of the values before which the caller gives.
    DecimalAfter = 7,
}

/// A bitmap of the rows that have a value follows.
pub(crate) const FLAG_HOLES: u8 = 0x40;
/// A bitmap of the rows that are stale follows.
pub(crate) const FLAG_STALE: u8 = 0x80;
/// The bits of the first byte that are the kind.
pub(crate) const KIND_MASK: u8 = 0x0f;

/// Most rows of a tile's chunk.
pub(crate) const ROWS_MAX: usize = 128;

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            0 => Kind::Empty,
            1 => Kind::Constant,
            2 => Kind::ConstantDecimal,
            3 => Kind::Decimal,
            4 => Kind::Raw,
            5 => Kind::DecimalNear,
            6 => Kind::Places,
            7 => Kind::DecimalAfter,
            _ => return None,
        })
    }
}

/// Bits of the first `rows` rows.
pub(crate) fn all_rows(rows: usize) -> u128 {
    assert!(rows <= ROWS_MAX, "a chunk has at most {ROWS_MAX} rows");
    if rows == 0 { 0 } else { u128::MAX >> (ROWS_MAX - rows) }
}

/// Cells of one column: bits by row, and one value a present row in order of row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Column {
    /// Rows that have a value.
    pub(crate) present: u128,
    /// Rows that are stale; disjoint from `present`.
    pub(crate) stale: u128,
    /// Values of the present rows.
    pub(crate) values: Vec<f64>,
}
