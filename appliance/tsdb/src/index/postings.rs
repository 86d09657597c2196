//! Postings: which series have a label pair. Passes over a block do not need them; here they are
//! checked.

use super::series::SeriesScan;
use super::toc::{INDEX_FILE, check_section};
use crate::cursor::Cursor;
use crate::fault::{Fault, TsdbError};
use crate::files::{FileRead, Reading};
use std::sync::Arc;

const TABLE: &str = "the postings offset table";
const LIST: &str = "a postings list";
/// Bytes of an entry of the table looked at at once: name, value and three numbers.
const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;
const KEYS_EACH: u64 = 2;

/// What is in the postings of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PostingsCounts {
    /// Lists.
    pub lists: u64,
    /// References to series in all of them.
    pub references: u64,
}

/// Checks the postings and label sections of the index that `scan` reads: every checksum, that
/// lists rise, and the number of entries.
///
/// # Errors
/// The first part that is wrong.
pub fn check_postings(
    files: &Arc<dyn FileRead>,
    directory: &str,
    scan: &SeriesScan,
) -> Result<PostingsCounts, TsdbError> {
    let name = format!("{directory}/{INDEX_FILE}");
    let (mut table, mut lists) = (Reading::open(files, &name)?, Reading::open(files, &name)?);
    let toc = scan.toc();
    if toc.label_indices_table != 0 {
        check_section(&mut table, toc.label_indices_table, "the label offset table")?;
    }
    let mut counts = PostingsCounts::default();
    if toc.postings_table == 0 {
        return Ok(counts);
    }
    let (start, length) = check_section(&mut table, toc.postings_table, TABLE)?;
    let (mut at, end) = (start, start + length);
    let entries = table.bytes(at, 4, TABLE)?;
    let entries = u32::from_be_bytes(entries.try_into().expect("four bytes"));
    at += 4;
    for _ in 0..entries {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let bytes = table.bytes_at_most(at, left.min(ENTRY_BYTES_MAX))?;
        let mut cursor = Cursor::new(bytes, at);
        let offset = entry_offset(&mut cursor).map_err(|fault| fault.of(&name))?;
        at = cursor.offset();
        counts.lists += 1;
        counts.references += check_list(&mut lists, offset)?;
    }
    if at != end {
        return Err(table.corrupt(at, Fault::wrong("more bytes than entries")));
    }
    Ok(counts)
}

fn entry_offset(cursor: &mut Cursor<'_>) -> Result<u64, crate::fault::FaultAt> {
    let keys = cursor.uvarint(TABLE)?;
    if keys != KEYS_EACH {
        return Err(cursor.fault(Fault::wrong(format!("an entry has {keys} keys, not 2"))));
    }
    cursor.text("a label's name")?;
    cursor.text("a label's value")?;
    cursor.uvarint(TABLE)
}

fn check_list(reading: &mut Reading, offset: u64) -> Result<u64, TsdbError> {
    if reading.length() < offset {
        return Err(reading.corrupt(offset.min(reading.length()), Fault::Short(LIST)));
    }
    let (start, length) = check_section(reading, offset, LIST)?;
    let count = reading.bytes(start, 4, LIST)?;
    let count = u64::from(u32::from_be_bytes(count.try_into().expect("four bytes")));
    if length != 4 + 4 * count {
        let text = format!("{count} references in {length} bytes");
        return Err(reading.corrupt(start, Fault::wrong(text)));
    }
    let mut last = None;
    for at in (start + 4..start + length).step_by(4) {
        let reference = reading.bytes(at, 4, LIST)?;
        let reference = u32::from_be_bytes(reference.try_into().expect("four bytes"));
        if last.is_some_and(|last| reference <= last) {
            let text = format!("reference {reference} does not rise");
            return Err(reading.corrupt(at, Fault::wrong(text)));
        }
        last = Some(reference);
    }
    Ok(count)
}
