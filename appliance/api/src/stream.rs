//! Stream: carries an answer from the thread that computes it to the connection that sends it.
//!
//! Path: `answer` writes JSON → **stream** compresses and cuts → the connection.
//! Owns: the bounded queue between both, and the flag that stops work nobody waits for.
//! Never: holds more than `CHUNKS_MAX` chunks of one answer.
//!
//! Invariants
//! - S1: an answer has one head, sent before its first chunk.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

use crate::json::{CHUNK_BYTES, Gone, Sink};

/// Chunks of one answer that wait for its connection; then the writing thread waits.
const CHUNKS_MAX: usize = 4;

/// Answers below this many bytes are sent as they are: gzip's frame and a system call's worth of
/// work would save less than one packet.
const GZIP_BYTES_MIN: usize = 1024;

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

/// The bytes of an answer as hyper reads them.
#[derive(Debug)]
pub struct AnswerBody {
    whole: Option<Bytes>,
    chunks: Option<mpsc::Receiver<Bytes>>,
    guard: Option<CancelGuard>,
}

impl AnswerBody {
    /// Ties the work that writes the answer to this body: dropping it stops the work.
    pub fn hold(&mut self, guard: CancelGuard) {
        self.guard = Some(guard);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

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
                chunks.poll_recv(context).map(|chunk| chunk.map(|c| Ok(Frame::data(c))))
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
    accepts_gzip: bool,
    coding: Option<&'static str>,
    whole_only: bool,
    first: Vec<u8>,
    stream: Option<Stream>,
}

struct Stream {
    chunks: mpsc::Sender<Bytes>,
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl Delivery {
    /// Delivery of one answer whose head goes to `head`. With `whole_only` the answer is collected
    /// however long it is, because its thread must not wait for the reader.
    #[must_use]
    pub fn new(head: oneshot::Sender<Head>, accepts_gzip: bool, whole_only: bool) -> Delivery {
        Delivery {
            head: Some(head),
            status: 200,
            content_type: "application/json",
            accepts_gzip,
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
        self.accepts_gzip = false;
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
        let gzip = self.accepts_gzip && GZIP_BYTES_MIN <= self.first.len();
        let plain = std::mem::take(&mut self.first);
        let bytes = if gzip { compress(&plain) } else { plain };
        let whole = (!bytes.is_empty()).then(|| Bytes::from(bytes));
        self.send_head(gzip, AnswerBody { whole, chunks: None, guard: None });
    }

    fn send_head(&mut self, gzip: bool, body: AnswerBody) {
        let coding = if gzip { Some("gzip") } else { self.coding };
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
        let gzip = self.accepts_gzip;
        self.send_head(gzip, AnswerBody { whole: None, chunks: Some(receiver), guard: None });
        let gzip = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        self.stream.insert(Stream { chunks, gzip })
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
        let bytes = match &mut self.gzip {
            None => chunk.to_vec(),
            Some(encoder) => {
                encoder.write_all(chunk).expect("a vector takes every byte");
                if encoder.get_ref().len() < CHUNK_BYTES / 4 {
                    return Ok(());
                }
                std::mem::take(encoder.get_mut())
            }
        };
        self.push(bytes)
    }

    fn push(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.chunks.blocking_send(Bytes::from(bytes)).map_err(|_| Gone)
    }

    fn finish(mut self) {
        if let Some(encoder) = self.gzip.take() {
            let rest = encoder.finish().expect("a vector takes every byte");
            // The answer is complete; whether it is read is the reader's affair.
            let _ = self.push(rest);
        }
    }
}

fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Sends `count` chunks of `bytes` each and gives what a reader gets.
    fn deliver(gzip: bool, count: usize, bytes: usize) -> (bool, Option<u64>, Vec<u8>) {
        let (head_sender, head) = oneshot::channel();
        let writer = std::thread::spawn(move || {
            let mut delivery = Delivery::new(head_sender, gzip, false);
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
            read.extend_from_slice(&chunk);
        }
        writer.join().expect("writer ends");
        if head.coding == Some("gzip") {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&read[..]).read_to_end(&mut plain).expect("gzip");
            return (true, exact, plain);
        }
        (false, exact, read)
    }

    #[test]
    fn s1_short_answers_are_whole_and_long_ones_streamed() {
        assert_eq!(deliver(false, 1, 10), (false, Some(10), vec![b'x'; 10]));
        assert_eq!(deliver(true, 1, 10), (false, Some(10), vec![b'x'; 10]));
        assert_eq!(deliver(false, 0, 0), (false, Some(0), vec![]));
        let (gzip, exact, plain) = deliver(true, 1, 5000);
        assert!(gzip && exact.is_some_and(|bytes| bytes < 200) && plain.len() == 5000);
        for gzip in [false, true] {
            let (was_gzip, exact, plain) = deliver(gzip, 50, CHUNK_BYTES);
            assert_eq!((was_gzip, exact, plain.len()), (gzip, None, 50 * CHUNK_BYTES));
        }
    }

    #[test]
    fn a_reader_that_leaves_ends_the_writing() {
        let (head_sender, head) = oneshot::channel();
        let mut delivery = Delivery::new(head_sender, false, false);
        drop(head);
        let chunk = vec![b'x'; CHUNK_BYTES];
        let taken = (0..CHUNKS_MAX + 1).map(|_| delivery.take(&chunk)).find(Result::is_err);
        assert_eq!(taken, Some(Err(Gone)));
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
