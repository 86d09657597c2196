//! Chunked transfer coding, removed in place (RFC 9112, section 7.1).
//!
//! The decoder is given the bytes that follow the body decoded so far and moves the content of
//! chunks to their front.

use scrape::fetch::FetchFault;

/// Longest line of a chunk's size and extensions, and of a trailer field.
const LINE_BYTES_MAX: usize = 4096;
/// Bytes of sizes and extensions beyond the usual ones that a body may carry (Go's bound).
const EXCESS_BYTES_MAX: u64 = 16 * 1024;
/// What a chunk's own framing usually takes (Go's figure).
const FRAMING_BYTES: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Content(u64),
    ContentEnd,
    Trailer,
    Done,
}

/// Where the decoder stands between two pieces.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    excess_bytes: u64,
    trailer_bytes: u64,
}

/// What one piece gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes at the front that are content.
    pub content_bytes: usize,
    /// Bytes of the piece that were read; the rest waits for more.
    pub read_bytes: usize,
    /// Whether the last chunk and the trailer have been read.
    pub done: bool,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked { state: State::Size, excess_bytes: 0, trailer_bytes: 0 }
    }
}

impl Chunked {
    /// Reads `piece` as far as it goes and moves its content to the front.
    ///
    /// # Errors
    /// [`FetchFault::Malformed`] for anything that is not chunked coding.
    pub fn decode(&mut self, piece: &mut [u8]) -> Result<Decoded, FetchFault> {
        let mut read = 0;
        let mut write = 0;
        while self.state != State::Done {
            let rest = &piece[read..];
            match self.state {
                State::Content(left) => {
                    let bytes = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    piece.copy_within(read..read + bytes, write);
                    read += bytes;
                    write += bytes;
                    let left = left - bytes as u64;
                    self.state = if left == 0 { State::ContentEnd } else { State::Content(left) };
                    if 0 < left {
                        break;
                    }
                }
                State::ContentEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        read += 2;
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => break,
                    _ => return Err(FetchFault::Malformed("chunk longer than its size")),
                },
                State::Size | State::Trailer => {
                    let Some(line) = take_line(rest)? else { break };
                    read += line.len();
                    self.take_line(line)?;
                }
                State::Done => {}
            }
        }
        let done = self.state == State::Done;
        Ok(Decoded { content_bytes: write, read_bytes: read, done })
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), FetchFault> {
        if self.state == State::Trailer {
            self.trailer_bytes += line.len() as u64;
            if EXCESS_BYTES_MAX < self.trailer_bytes {
                return Err(FetchFault::Malformed("trailer too long"));
            }
            if line == b"\r\n" || line == b"\n" {
                self.state = State::Done;
            }
            return Ok(());
        }
        let size = chunk_size(line)?;
        let usual = FRAMING_BYTES.saturating_add(size.saturating_mul(2));
        self.excess_bytes = (self.excess_bytes + line.len() as u64).saturating_sub(usual);
        if EXCESS_BYTES_MAX < self.excess_bytes {
            return Err(FetchFault::Malformed("chunked encoding contains too much non-data"));
        }
        self.state = if size == 0 { State::Trailer } else { State::Content(size) };
        Ok(())
    }
}

/// The first line of `bytes` with its end; `None` when it is not complete.
fn take_line(bytes: &[u8]) -> Result<Option<&[u8]>, FetchFault> {
    let searched = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    match searched.iter().position(|byte| *byte == b'\n') {
        Some(at) => Ok(Some(&bytes[..=at])),
        None if searched.len() == LINE_BYTES_MAX => {
            Err(FetchFault::Malformed("chunk header too long"))
        }
        None => Ok(None),
    }
}

/// The size in a chunk's first line; extensions are left out.
fn chunk_size(line: &[u8]) -> Result<u64, FetchFault> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let digits = line[..end].trim_ascii_end();
    if digits.is_empty() || 16 < digits.len() {
        return Err(FetchFault::Malformed("invalid chunk length"));
    }
    digits.iter().try_fold(0_u64, |size, byte| {
        let digit = char::from(*byte).to_digit(16);
        let digit = digit.ok_or(FetchFault::Malformed("invalid byte in chunk length"))?;
        Ok(size << 4 | u64::from(digit))
    })
}
