//! Labels: for each label name of a block its values in order, each with the series that have it.
//!
//! Path: `block::writer` → **labels** → `block::reader`.
//! Never: panics on what it reads.
//! Format: docs/format/block.md, version 1.

use roaring::RoaringBitmap;

use crate::index::postings::Postings;
use crate::varint::{Cursor, put};

/// Series that are listed one by one; more stand in a bitmap.
const LISTED_MAX: u64 = 16;

/// Appends the series of a value whose symbol is `gap` above the value before it in its run.
pub(crate) fn write(gap: u32, series: &Postings, out: &mut Vec<u8>) {
    put(out, gap.into());
    put(out, series.len());
    let mut bitmap = RoaringBitmap::new();
    series.add_to(&mut bitmap);
    if series.len() <= LISTED_MAX {
        let mut next = 0;
        for number in &bitmap {
            put(out, u64::from(number - next));
            next = number;
        }
        return;
    }
    bitmap.optimize();
    put(out, bitmap.serialized_size() as u64);
    bitmap.serialize_into(out).expect("a vector takes all that is written");
}

/// Series of one value, as they stand in the page.
#[derive(Clone, Debug)]
pub(crate) enum Listed<'a> {
    Few(Vec<u32>),
    Many(&'a [u8]),
}

impl Listed<'_> {
    /// Adds them to `into`; `None` if they make no sense.
    pub(crate) fn add_to(&self, into: &mut RoaringBitmap) -> Option<()> {
        match self {
            Listed::Few(series) => into.extend(series.iter().copied()),
            Listed::Many(bytes) => *into |= RoaringBitmap::deserialize_from(*bytes).ok()?,
        }
        Some(())
    }

    /// Whether one of them is in `among`; `None` if they make no sense.
    pub(crate) fn meets(&self, among: &RoaringBitmap) -> Option<bool> {
        match self {
            Listed::Few(series) => Some(series.iter().any(|series| among.contains(*series))),
            Listed::Many(bytes) => {
                let series = RoaringBitmap::deserialize_from(*bytes).ok()?;
                Some(!series.is_disjoint(among))
            }
        }
    }
}

/// Reads the values of a run, one after the other.
pub(crate) struct RunReader<'a> {
    cursor: Cursor<'a>,
    left: u32,
    value: u32,
}

impl<'a> RunReader<'a> {
    /// Values of the run of `entries` that begins at `offset` of the page; `None` if it is not in
    /// it.
    pub(crate) fn new(page: &'a [u8], offset: u32, entries: u32, first: u32) -> Option<Self> {
        let cursor = Cursor::new(page.get(offset as usize..)?);
        Some(RunReader { cursor, left: entries, value: first })
    }

    /// Symbol and series of the next value; `Some(None)` at the end, `None` if it makes no sense.
    pub(crate) fn read(&mut self) -> Option<Option<(u32, Listed<'a>)>> {
        if self.left == 0 {
            return Some(None);
        }
        self.left -= 1;
        self.value = self.value.checked_add(self.cursor.unsigned32()?)?;
        let count = self.cursor.unsigned()?;
        if LISTED_MAX < count {
            return Some(Some((self.value, Listed::Many(self.cursor.sized_bytes()?))));
        }
        let mut series = Vec::new();
        let mut next = 0u32;
        for _ in 0..count {
            next = next.checked_add(self.cursor.unsigned32()?)?;
            series.push(next);
        }
        Some(Some((self.value, Listed::Few(series))))
    }
}
