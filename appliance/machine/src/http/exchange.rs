//! Exchange: one response, from any pieces of it to status and body.
//!
//! The caller receives onto the end of one buffer and calls [`Exchange::advance`] after each piece.
//! The head stays at the front, the body is dechunked in place behind it; a compressed body goes on
//! to a second buffer as it comes, so that neither grows past the bound. What is decoded depends on
//! the bytes, not on how they were cut into pieces.
//!
//! Invariants
//! - H1: no body longer than `body_bytes_max` is kept, before or after inflating.

use scrape::fetch::FetchFault;

use crate::http::chunked::Chunked;
use crate::http::head::{Framing, Head, begins_well, head_end, parse_head};
use crate::http::inflate::Inflate;

/// Bounds of one response.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of the head, interim responses included.
    pub head_bytes_max: u32,
    /// Most bytes of the body, inflated or not.
    pub body_bytes_max: u64,
}

enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

enum State {
    Head,
    Body(Body),
    Done,
}

/// Reads one response.
pub struct Exchange {
    limits: Limits,
    state: State,
    head: Option<Head>,
    inflate: Option<Inflate>,
    /// Bytes of interim responses that were cut off the buffer.
    interim_bytes: u64,
    /// Where the search for the end of the head goes on.
    searched: usize,
    /// Where the body begins in the buffer, and where its decoded part ends.
    body_start: usize,
    body_end: usize,
    /// Bytes of content received, before inflating.
    content_bytes: u64,
    untouched: bool,
}

impl Exchange {
    /// Waits for a response within `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Exchange {
        Exchange {
            limits,
            state: State::Head,
            head: None,
            inflate: None,
            interim_bytes: 0,
            searched: 0,
            body_start: 0,
            body_end: 0,
            content_bytes: 0,
            untouched: true,
        }
    }

    /// Whether no byte has come: the connection may have died before the request was seen.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.untouched
    }

    /// What the head says, once it is there.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Reads on after bytes were added to `buffer`; true when the response is complete.
    ///
    /// # Errors
    /// The fault that ends the fetch; the buffers mean nothing then.
    pub fn advance(
        &mut self,
        buffer: &mut Vec<u8>,
        inflated: &mut Vec<u8>,
    ) -> Result<bool, FetchFault> {
        self.untouched &= buffer.is_empty();
        while matches!(self.state, State::Head) {
            if !self.take_head(buffer)? {
                return Ok(false);
            }
        }
        self.take_body(buffer, inflated)?;
        if matches!(self.state, State::Done) {
            self.finish(buffer, inflated)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The peer closed its side: completes a body that ends so.
    ///
    /// # Errors
    /// `Closed` when the response was not complete.
    pub fn close(&mut self, buffer: &[u8], inflated: &mut Vec<u8>) -> Result<(), FetchFault> {
        if !matches!(self.state, State::Body(Body::UntilClose)) {
            return Err(FetchFault::Closed);
        }
        self.state = State::Done;
        self.finish(buffer, inflated)
    }

    /// Bytes that are known to follow, 0 when unknown: room worth having at once.
    #[must_use]
    pub fn bytes_wanted(&self) -> usize {
        match &self.state {
            State::Body(Body::Length(left)) => usize::try_from(*left).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Bytes of the body as they came, dechunked but not inflated.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// The body of a complete response.
    #[must_use]
    pub fn body<'a>(&self, buffer: &'a [u8], inflated: &'a [u8]) -> &'a [u8] {
        match &self.head {
            Some(head) if head.gzip => inflated,
            Some(_) => buffer.get(self.body_start..self.body_end).unwrap_or_default(),
            None => &[],
        }
    }

    /// The value of Content-Type, "" when absent or not UTF-8.
    #[must_use]
    pub fn content_type<'a>(&self, buffer: &'a [u8]) -> &'a str {
        let place = self.head.as_ref().map(|head| head.content_type.clone());
        let bytes = place.and_then(|place| buffer.get(place)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// The value of Location, when there is one.
    #[must_use]
    pub fn location<'a>(&self, buffer: &'a [u8]) -> Option<&'a [u8]> {
        let place = self.head.as_ref()?.location.clone();
        buffer.get(place).filter(|value| !value.is_empty())
    }

    /// Looks for a complete head; false when there is none yet.
    fn take_head(&mut self, buffer: &mut Vec<u8>) -> Result<bool, FetchFault> {
        if !begins_well(buffer) {
            return Err(FetchFault::Malformed("not an HTTP/1 response"));
        }
        let bytes_max = self.limits.head_bytes_max;
        let end = head_end(buffer, self.searched);
        let bytes = self.interim_bytes + end.unwrap_or(buffer.len()) as u64;
        if u64::from(bytes_max) < bytes {
            return Err(FetchFault::HeadTooLarge { bytes_max });
        }
        let Some(end) = end else {
            // The end may begin in the last two bytes: they are looked at again.
            self.searched = buffer.len().saturating_sub(2);
            return Ok(false);
        };
        let head = parse_head(&buffer[..end])?;
        self.searched = 0;
        if head.status < 200 {
            if head.status == 101 {
                return Err(FetchFault::Malformed("switch of protocols nobody asked for"));
            }
            self.interim_bytes = bytes;
            buffer.drain(..end);
            return Ok(true);
        }
        let body = match head.framing {
            Framing::Length(bytes) => {
                self.check_bound(bytes)?;
                Body::Length(bytes)
            }
            Framing::Chunked => Body::Chunked(Chunked::default()),
            Framing::UntilClose => Body::UntilClose,
        };
        self.state = State::Body(body);
        self.inflate = head.gzip.then(|| Inflate::new(self.limits.body_bytes_max));
        self.head = Some(head);
        (self.body_start, self.body_end) = (end, end);
        Ok(true)
    }

    fn check_bound(&self, bytes: u64) -> Result<(), FetchFault> {
        let bytes_max = self.limits.body_bytes_max;
        if bytes_max < bytes {
            return Err(FetchFault::BodyTooLarge { bytes_max });
        }
        Ok(())
    }

    fn take_body(
        &mut self,
        buffer: &mut Vec<u8>,
        inflated: &mut Vec<u8>,
    ) -> Result<(), FetchFault> {
        let State::Body(body) = &mut self.state else { return Ok(()) };
        let fresh = &mut buffer[self.body_end..];
        let (content, read, done) = match body {
            Body::Length(left) => {
                let bytes = fresh.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= bytes as u64;
                (bytes, bytes, *left == 0)
            }
            Body::Chunked(chunked) => {
                let decoded = chunked.decode(fresh)?;
                (decoded.content_bytes, decoded.read_bytes, decoded.done)
            }
            Body::UntilClose => (fresh.len(), fresh.len(), false),
        };
        let read_end = self.body_end + read;
        self.body_end += content;
        self.content_bytes += content as u64;
        self.check_bound(self.content_bytes)?;
        if let Some(inflate) = &mut self.inflate {
            inflate.take(&buffer[self.body_start..self.body_end], inflated)?;
            self.body_end = self.body_start;
        }
        // What was not read moves up to the decoded part, and the next bytes come behind it.
        buffer.copy_within(read_end.., self.body_end);
        buffer.truncate(buffer.len() - (read_end - self.body_end));
        if done {
            self.state = State::Done;
        }
        Ok(())
    }

    fn finish(&mut self, buffer: &[u8], inflated: &mut Vec<u8>) -> Result<(), FetchFault> {
        if self.body_end < buffer.len() {
            return Err(FetchFault::Malformed("bytes after the end of the response"));
        }
        if let Some(inflate) = &mut self.inflate {
            inflate.end(inflated, 0 < self.content_bytes)?;
        }
        self.check_bound(inflated.len() as u64)?;
        let kept = self.body(buffer, inflated).len() as u64;
        assert!(kept <= self.limits.body_bytes_max, "H1: a body of {kept} bytes is kept");
        Ok(())
    }
}
