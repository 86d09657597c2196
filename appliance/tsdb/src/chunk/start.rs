//! Start timestamps: since when a counter counts, written behind each sample that changes it.
//!
//! The header's first bit says that the first sample has one; the other seven are the index of the
//! first sample whose start differs, 0 when none does. From there on each sample has the distance
//! from the previous sample's time to the start, as a difference to the distance before.

use crate::bits::BitReader;
use crate::fault::Fault;

const FIRST_KNOWN: u8 = 0x80;
const CHANGE_MASK: u8 = 0x7f;

/// Follows the start timestamps of a chunk.
#[derive(Clone, Debug)]
pub(crate) struct StartReader {
    first_known: bool,
    changes_at: u16,
    start: i64,
    distance: i64,
}

impl StartReader {
    pub(crate) fn new(header: u8) -> StartReader {
        StartReader {
            first_known: header & FIRST_KNOWN != 0,
            changes_at: u16::from(header & CHANGE_MASK),
            start: 0,
            distance: 0,
        }
    }

    /// The start of sample `index`, at `timestamp`; `before` is the time of the sample before.
    pub(crate) fn read(
        &mut self,
        bits: &mut BitReader,
        index: u16,
        timestamp: i64,
        before: i64,
    ) -> Result<i64, Fault> {
        if index == 0 {
            if self.first_known {
                // The distance of the first is not what the next one is told from.
                self.start = timestamp.wrapping_sub(bits.varint()?);
            }
        } else if 0 < self.changes_at && self.changes_at <= index {
            let difference = bits.small()?;
            let first = self.changes_at == index;
            self.distance = if first { difference } else { self.distance.wrapping_add(difference) };
            self.start = before.wrapping_sub(self.distance);
        }
        Ok(self.start)
    }
}
