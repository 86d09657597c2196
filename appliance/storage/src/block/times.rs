//! Times: the table of a block's time columns, which chunks share.
//!
//! Path: `block::writer` → **times** → `block::reader`.
//! Never: panics on what it reads.
//! Format: docs/format/block.md, version 1.

use crate::block::layout::TIMES_PER_PAGE;
use crate::varint::{Cursor, put, put_signed};

/// Where a time column lies, and what it spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// Page of times, from 0.
    pub(crate) page: u32,
    /// Where in it.
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
    pub(crate) count: u32,
    pub(crate) min_time_ms: i64,
    pub(crate) max_time_ms: i64,
    /// Where its samples come from ([`crate::row::origin`]).
    pub(crate) origin: u64,
}

/// Appends a page of entries.
pub(crate) fn write(entries: &[TimeEntry], out: &mut Vec<u8>) {
    let mut last = TimeEntry::default();
    for entry in entries {
        put_signed(out, i64::from(entry.page) - i64::from(last.page));
        put_signed(out, i64::from(entry.offset) - i64::from(last.offset));
        put(out, entry.bytes.into());
        put(out, entry.count.into());
        put_signed(out, entry.min_time_ms.wrapping_sub(last.min_time_ms));
        put_signed(out, entry.max_time_ms.wrapping_sub(entry.min_time_ms));
        put_signed(out, entry.origin.wrapping_sub(last.origin).cast_signed());
        last = *entry;
    }
}

/// The entries of a page; `None` if they make no sense.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<TimeEntry>> {
    let mut cursor = Cursor::new(bytes);
    let mut entries = Vec::new();
    let mut last = TimeEntry::default();
    let moved = |from: u32, by: i64| u32::try_from(i64::from(from).checked_add(by)?).ok();
    while !cursor.is_empty() && entries.len() < TIMES_PER_PAGE {
        let page = moved(last.page, cursor.signed()?)?;
        let offset = moved(last.offset, cursor.signed()?)?;
        let (bytes, count) = (cursor.unsigned32()?, cursor.unsigned32()?);
        let min_time_ms = last.min_time_ms.wrapping_add(cursor.signed()?);
        let max_time_ms = min_time_ms.wrapping_add(cursor.signed()?);
        let origin = last.origin.wrapping_add(cursor.signed()?.cast_unsigned());
        last = TimeEntry { page, offset, bytes, count, min_time_ms, max_time_ms, origin };
        entries.push(last);
    }
    cursor.is_empty().then_some(entries)
}
