//! Stream: carries an answer from the thread that computes it to the connection that sends it.
//!
//! Path: `answer` writes JSON → **stream** compresses and cuts → the connection.
//! Owns: the bounded queue between both, and the flag that stops work nobody waits for.
//! Never: holds more than `CHUNKS_MAX` chunks of one answer.
//!
//! Invariants
//! - S1: an answer has one head, sent before its first chunk.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

use crate::coding::{Coding, Encoder};
use crate::json::{CHUNK_BYTES, Gone, Sink};

/// Chunks of one answer that wait for its connection; then the writing thread waits.
const CHUNKS_MAX: usize = 4;

/// Answers below this many bytes are sent as they are: gzip's frame and a system call's worth of
/// work would save less than one packet.
const COMPRESS_BYTES_MIN: usize = 1024;
/// Bytes of compressed answer that are handed on at once.
const COMPRESSED_BYTES: usize = CHUNK_BYTES / 4;

/// Says whether anybody still waits for an answer.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Whether nobody waits for the answer.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The end that cancels when it is dropped.
    #[must_use]
    pub fn guard(&self) -> CancelGuard {
        CancelGuard(self.clone())
    }
}

/// Cancels the work for an answer when it is dropped: kept by whoever waits for the answer.
#[derive(Debug)]
pub struct CancelGuard(Cancel);

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// What goes before an answer's bytes.
#[derive(Debug)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// How the bytes are coded.
    pub coding: Option<&'static str>,
    /// The bytes.
    pub body: AnswerBody,
}

/// The work for an answer ended before the answer did: the connection is cut, so that no reader
/// takes what came for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer ends before its end")]
pub struct Cut;

/// The bytes of an answer as hyper reads them.
#[derive(Debug)]
pub struct AnswerBody {
    whole: Option<Bytes>,
    chunks: Option<mpsc::Receiver<Result<Bytes, Cut>>>,
    guard: Option<CancelGuard>,
}

impl AnswerBody {
    /// A body of chunks that come, until whoever sends them is gone.
    #[must_use]
    pub fn of_chunks(chunks: mpsc::Receiver<Result<Bytes, Cut>>) -> AnswerBody {
        AnswerBody { whole: None, chunks: Some(chunks), guard: None }
    }

    /// Ties the work that writes the answer to this body: dropping it stops the work.
    pub fn hold(&mut self, guard: CancelGuard) {
        self.guard = Some(guard);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(whole) = self.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        match &mut self.chunks {
            None => Poll::Ready(None),
            Some(chunks) => {
                chunks.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.chunks.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.whole, &self.chunks) {
            (Some(whole), None) => SizeHint::with_exact(u64::try_from(whole.len()).unwrap_or(0)),
            (None, None) => SizeHint::with_exact(0),
            (_, Some(_)) => SizeHint::default(),
        }
    }
}

/// The writing end: takes the chunks of one answer, in the thread that computes it.
pub struct Delivery {
    head: Option<oneshot::Sender<Head>>,
    status: u16,
    content_type: &'static str,
    accepted: Option<Coding>,
    coding: Option<&'static str>,
    whole_only: bool,
    first: Vec<u8>,
    stream: Option<Stream>,
}

struct Stream {
    chunks: mpsc::Sender<Result<Bytes, Cut>>,
    encoder: Option<Encoder>,
    is_whole: bool,
}

impl Delivery {
    /// Delivery of one answer whose head goes to `head`. With `whole_only` the answer is collected
    /// however long it is, because its thread must not wait for the reader.
    #[must_use]
    pub fn new(
        head: oneshot::Sender<Head>,
        accepted: Option<Coding>,
        whole_only: bool,
    ) -> Delivery {
        Delivery {
            head: Some(head),
            status: 200,
            content_type: "application/json",
            accepted,
            coding: None,
            whole_only,
            first: Vec::new(),
            stream: None,
        }
    }

    /// Says what the head will carry; before the first chunk.
    pub fn describe(&mut self, status: u16, content_type: &'static str) {
        assert!(self.stream.is_none(), "S1: the head precedes the first chunk");
        self.status = status;
        self.content_type = content_type;
    }

    /// Says that the bytes are coded in this way already; before the first chunk.
    pub fn is_coded(&mut self, coding: &'static str) {
        assert!(self.stream.is_none(), "S1: the head precedes the first chunk");
        self.accepted = None;
        self.coding = Some(coding);
    }

    /// Ends the answer. A short one goes out whole, its length in the head.
    pub fn finish(mut self) {
        match self.stream.take() {
            Some(stream) => stream.finish(),
            None => self.send_whole(),
        }
    }

    fn send_whole(&mut self) {
        let long = COMPRESS_BYTES_MIN <= self.first.len();
        let coding = self.accepted.filter(|_| long);
        let plain = std::mem::take(&mut self.first);
        let bytes = match coding.map(Encoder::new) {
            None => plain,
            Some(mut encoder) => {
                let mut bytes = encoder.take(&plain, 0).unwrap_or_default();
                bytes.extend(encoder.finish());
                bytes
            }
        };
        let whole = (!bytes.is_empty()).then(|| Bytes::from(bytes));
        self.send_head(coding, AnswerBody { whole, chunks: None, guard: None });
    }

    fn send_head(&mut self, coding: Option<Coding>, body: AnswerBody) {
        let coding = coding.map(Coding::text).or(self.coding);
        let head = self.head.take().expect("S1: an answer has one head");
        // A reader that is gone is noticed at the next chunk, or there is none.
        drop(head.send(Head {
            status: self.status,
            content_type: self.content_type,
            coding,
            body,
        }));
    }

    /// Opens the stream with what the first chunk holds.
    fn open(&mut self) -> &mut Stream {
        let (chunks, receiver) = mpsc::channel(CHUNKS_MAX);
        self.send_head(self.accepted, AnswerBody::of_chunks(receiver));
        let encoder = self.accepted.map(Encoder::new);
        self.stream.insert(Stream { chunks, encoder, is_whole: false })
    }
}

impl Sink for Delivery {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Gone> {
        if let Some(stream) = &mut self.stream {
            return stream.send(chunk);
        }
        if self.whole_only || self.first.len() + chunk.len() < CHUNK_BYTES {
            self.first.extend_from_slice(chunk);
            return Ok(());
        }
        let first = std::mem::take(&mut self.first);
        let stream = self.open();
        stream.send(&first)?;
        stream.send(chunk)
    }
}

impl Stream {
    fn send(&mut self, chunk: &[u8]) -> Result<(), Gone> {
        match &mut self.encoder {
            None => self.push(chunk.to_vec()),
            Some(encoder) => match encoder.take(chunk, COMPRESSED_BYTES) {
                None => Ok(()),
                Some(made) => self.push(made),
            },
        }
    }

    fn push(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.chunks.blocking_send(Ok(Bytes::from(bytes))).map_err(|_| Gone)
    }

    fn finish(mut self) {
        self.is_whole = true;
        if let Some(encoder) = self.encoder.take() {
            // The answer is complete; whether it is read is the reader's affair.
            let _ = self.push(encoder.finish());
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_whole {
            // A reader that is gone needs no end.
            let _ = self.chunks.blocking_send(Err(Cut));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Sends `count` chunks of `bytes` each and gives what a reader gets.
    fn deliver(
        accepted: Option<Coding>,
        count: usize,
        bytes: usize,
    ) -> (Option<&'static str>, Option<u64>, Vec<u8>) {
        let (head_sender, head) = oneshot::channel();
        let writer = std::thread::spawn(move || {
            let mut delivery = Delivery::new(head_sender, accepted, false);
            for _ in 0..count {
                delivery.take(&vec![b'x'; bytes]).expect("the reader stays");
            }
            delivery.finish();
        });
        let head = head.blocking_recv().expect("head");
        let exact = head.body.size_hint().exact();
        let mut body = head.body;
        let mut read = body.whole.take().map(|b| b.to_vec()).unwrap_or_default();
        while let Some(chunk) = body.chunks.as_mut().and_then(mpsc::Receiver::blocking_recv) {
            read.extend_from_slice(&chunk.expect("a whole answer"));
        }
        writer.join().expect("writer ends");
        let mut plain = Vec::new();
        let inflated = match head.coding {
            Some("gzip") => flate2::read::GzDecoder::new(&read[..]).read_to_end(&mut plain),
            Some("deflate") => flate2::read::ZlibDecoder::new(&read[..]).read_to_end(&mut plain),
            Some("zstd") => zstd::stream::copy_decode(&read[..], &mut plain).map(|()| 0),
            _ => return (None, exact, read),
        };
        inflated.expect("an answer that inflates");
        (head.coding, exact, plain)
    }

    #[test]
    fn s1_short_answers_are_whole_and_long_ones_streamed() {
        assert_eq!(deliver(None, 1, 10), (None, Some(10), vec![b'x'; 10]));
        assert_eq!(deliver(Some(Coding::Gzip), 1, 10), (None, Some(10), vec![b'x'; 10]));
        assert_eq!(deliver(None, 0, 0), (None, Some(0), vec![]));
        for coding in [None, Some(Coding::Gzip), Some(Coding::Deflate), Some(Coding::Zstd)] {
            let (was, exact, plain) = deliver(coding, 1, 5000);
            assert_eq!((was, plain.len()), (coding.map(Coding::text), 5000));
            assert!(coding.is_none() || exact.is_some_and(|bytes| bytes < 200));
            let (was, exact, plain) = deliver(coding, 50, CHUNK_BYTES);
            let expected = (coding.map(Coding::text), None, 50 * CHUNK_BYTES);
            assert_eq!((was, exact, plain.len()), expected);
        }
    }

    #[test]
    fn a_reader_that_leaves_ends_the_writing() {
        let (head_sender, head) = oneshot::channel();
        let mut delivery = Delivery::new(head_sender, None, false);
        drop(head);
        let chunk = vec![b'x'; CHUNK_BYTES];
        let taken = (0..CHUNKS_MAX + 1).map(|_| delivery.take(&chunk)).find(Result::is_err);
        assert_eq!(taken, Some(Err(Gone)));
    }

    #[test]
    fn an_answer_without_its_end_is_cut() {
        let (head_sender, head) = oneshot::channel();
        let writer = std::thread::spawn(move || {
            let mut delivery = Delivery::new(head_sender, None, false);
            delivery.take(&vec![b'x'; CHUNK_BYTES]).expect("the reader stays");
        });
        let mut chunks = head.blocking_recv().expect("head").body.chunks.expect("a stream");
        let mut last = None;
        while let Some(chunk) = chunks.blocking_recv() {
            last = Some(chunk);
        }
        writer.join().expect("writer ends");
        assert_eq!(last, Some(Err(Cut)));
    }

    #[test]
    fn dropping_the_guard_cancels() {
        let cancel = Cancel::default();
        let guard = cancel.guard();
        assert!(!cancel.is_cancelled());
        drop(guard);
        assert!(cancel.is_cancelled());
    }
}
