//! Gzip bodies, inflated piece by piece within a bound.

use flate2::{Decompress, FlushDecompress, Status};
use scrape::fetch::FetchFault;

/// Window of the format's largest size.
const WINDOW_BITS: u8 = 15;
/// Members of one body: each costs a new state.
const MEMBERS_MAX: usize = 1024;
/// Least room given to one call, so that small pieces do not mean many calls.
const ROOM_BYTES_MIN: usize = 16 * 1024;

/// A gzip stream of one or more members.
pub struct Inflate {
    member: Decompress,
    members: usize,
    in_member: bool,
    bytes_max: u64,
}

impl Inflate {
    /// A stream whose members together give at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Inflate {
        let member = Decompress::new_gzip(WINDOW_BITS);
        Inflate { member, members: 1, in_member: false, bytes_max }
    }

    /// Inflates `piece` onto the end of `out`.
    ///
    /// # Errors
    /// `BodyTooLarge` when `out` would pass the bound, `Encoding` when the piece is not gzip.
    pub fn take(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), FetchFault> {
        loop {
            if piece.is_empty() {
                return Ok(());
            }
            self.in_member = true;
            let room_max = self.bytes_max.saturating_add(1).saturating_sub(out.len() as u64);
            if out.len() == out.capacity() {
                let room = out.len().max(ROOM_BYTES_MIN);
                out.reserve(room.min(usize::try_from(room_max).unwrap_or(room)));
            }
            let before = self.member.total_in();
            let status = self.member.decompress_vec(piece, out, FlushDecompress::None);
            let read = usize::try_from(self.member.total_in() - before).unwrap_or(usize::MAX);
            piece = piece.get(read..).unwrap_or_default();
            if self.bytes_max < out.len() as u64 {
                return Err(FetchFault::BodyTooLarge { bytes_max: self.bytes_max });
            }
            match status {
                Ok(Status::StreamEnd) => self.next_member(!piece.is_empty())?,
                Ok(Status::Ok | Status::BufError) if out.len() == out.capacity() => {}
                Ok(Status::Ok) if 0 < read => {}
                Ok(Status::Ok | Status::BufError) => {
                    return Err(FetchFault::Encoding("no progress".to_owned()));
                }
                Err(cause) => return Err(FetchFault::Encoding(cause.to_string())),
            }
        }
    }

    fn next_member(&mut self, more: bool) -> Result<(), FetchFault> {
        self.in_member = false;
        if more {
            self.members += 1;
            if MEMBERS_MAX < self.members {
                return Err(FetchFault::Encoding("too many members".to_owned()));
            }
        }
        self.member = Decompress::new_gzip(WINDOW_BITS);
        Ok(())
    }

    /// Drains what the stream still holds and checks that it ended.
    ///
    /// # Errors
    /// As [`Inflate::take`]; `Encoding` when the stream was cut.
    pub fn end(&mut self, out: &mut Vec<u8>, any: bool) -> Result<(), FetchFault> {
        while self.in_member {
            let room_max = self.bytes_max.saturating_add(1).saturating_sub(out.len() as u64);
            if out.len() == out.capacity() {
                out.reserve(ROOM_BYTES_MIN.min(usize::try_from(room_max).unwrap_or(1)).max(1));
            }
            let before = out.len();
            match self.member.decompress_vec(&[], out, FlushDecompress::None) {
                Ok(Status::StreamEnd) => self.in_member = false,
                Ok(_) if before < out.len() && out.len() as u64 <= self.bytes_max => {}
                Ok(_) if self.bytes_max < out.len() as u64 => {
                    return Err(FetchFault::BodyTooLarge { bytes_max: self.bytes_max });
                }
                Ok(_) => return Err(FetchFault::Encoding("unexpected EOF".to_owned())),
                Err(cause) => return Err(FetchFault::Encoding(cause.to_string())),
            }
        }
        if any { Ok(()) } else { Err(FetchFault::Encoding("EOF".to_owned())) }
    }
}
