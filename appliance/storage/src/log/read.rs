//! Log reader: which frames of which segments count, and their records.
//!
//! Path: `recovery` feeds it → **read** → `store`.
//! Format: docs/format/wal.md, version 1.
//!
//! Invariants
//! - R1: records are given in order of position, each once, without a gap.

use crate::frame::{Envelope, FLAG_CONTINUES};
use crate::log::record::{Kind, next_record};
use crate::varint::Cursor;

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its records come next.
    Apply,
    /// Its records were read already: the commit failed here or there and was written twice.
    Skip,
    /// Records between the last one and this frame are missing.
    Hole {
        /// Position that was expected.
        expected: u64,
    },
}

/// Order of the frames of all segments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequence {
    /// Position of the last record read; `None` before the first frame.
    last: Option<u64>,
    /// Position of the first record read.
    first: u64,
    /// Newest word on the oldest record needed.
    needed: u64,
}

impl Sequence {
    /// Judges the next frame.
    pub(crate) fn judge(&mut self, envelope: &Envelope) -> Verdict {
        self.needed = self.needed.max(envelope.needed);
        let expected = self.last.map(|last| last.saturating_add(1));
        let end = envelope.last();
        match expected {
            Some(expected) if end < expected => return Verdict::Skip,
            Some(expected) if envelope.first != expected => return Verdict::Hole { expected },
            _ => {}
        }
        assert!(self.last.is_none_or(|last| last < end), "R1: a position comes twice");
        if self.last.is_none() {
            self.first = envelope.first;
        }
        self.last = Some(end);
        Verdict::Apply
    }

    /// Position of the last record, 0 when there was none.
    pub(crate) fn last(&self) -> u64 {
        self.last.unwrap_or(0)
    }

    /// Position of the first record, 0 when there was none.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Records before this are needed by nothing, as the newest frame says.
    pub(crate) fn needed(&self) -> u64 {
        self.needed
    }
}

/// Kind (`None` when unknown to this version) and body of a record.
pub(crate) type RawRecord<'a> = (Option<Kind>, &'a [u8]);

/// Whether the differences of the frame's segment go on from the segment before.
pub(crate) fn continues(envelope: &Envelope) -> bool {
    envelope.flags & FLAG_CONTINUES != 0
}

/// The records of a frame.
///
/// # Errors
/// The records are not as many as the envelope says, or cut short.
pub(crate) fn records<'a>(
    envelope: &Envelope,
    payload: &'a [u8],
) -> Result<Vec<RawRecord<'a>>, &'static str> {
    let mut cursor = Cursor::new(payload);
    let mut records = Vec::new();
    while !cursor.is_empty() {
        records.push(next_record(&mut cursor).ok_or("record is cut short")?);
    }
    if records.len() == envelope.records as usize {
        Ok(records)
    } else {
        Err("frame has another number of records than its header says")
    }
}
