//! Remote read: `prometheus.ReadRequest`, and both forms of its answer.
//!
//! Path: inflated body → **read_request** → `api` selects → frames or a response.
//! Source: remote.proto of Prometheus's prompb; upstream's `ChunkedWriter` for the frames.

use exposition::error::BinaryError;
use exposition::protobuf::wire::{Field, Message};
use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::native_histogram::NativeHistogram;
use model::regex::GoRegex;
use model::samples::Samples;
use model::time::TimestampMs;
use tsdb::chunk::build::{BuiltChunk, ChunkBuilder};
use tsdb::fault::Fault;
use tsdb::sample::{Counts, Sample};

use crate::native::{is_whole, put_native};
use crate::protobuf_write::{Writer, put_varint};

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct ReadRequest {
    /// Each has an answer of its own.
    pub queries: Vec<ReadQuery>,
    /// Whether chunks are wanted, in frames; else samples, in one message.
    pub streamed: bool,
}

/// One query.
#[derive(Clone, Debug)]
pub struct ReadQuery {
    /// From here …
    pub from: TimestampMs,
    /// … to here, both included.
    pub to: TimestampMs,
    /// All must match.
    pub matchers: Vec<Matcher>,
}

/// Why a request is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// A matcher.
    #[error("{0}")]
    Matcher(String),
}

/// Queries of one request.
const QUERIES_MAX: usize = 1000;
/// Matchers of one request, as of one query.
const MATCHERS_MAX: usize = 20_000;
/// Bytes that the compiled patterns of one request may take together, as of one query.
const PATTERN_BYTES_MAX: usize = 64 << 20;
/// Number of `STREAMED_XOR_CHUNKS`.
const STREAMED: u64 = 1;

impl ReadRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(body: &[u8]) -> Result<ReadRequest, ReadError> {
        let mut request = ReadRequest::default();
        let mut bounds = Bounds { matchers: MATCHERS_MAX, pattern_bytes: PATTERN_BYTES_MAX };
        let mut types = Vec::new();
        let mut message = Message::new(body);
        while let Some(field) = message.field()? {
            match field.number {
                1 if request.queries.len() < QUERIES_MAX => {
                    request.queries.push(read_query(&field, &mut bounds)?);
                }
                1 => return Err(ReadError::Matcher(format!("more than {QUERIES_MAX} queries"))),
                2 => field.uint64s(&mut types)?,
                _ => {}
            }
        }
        request.streamed = types.first() == Some(&STREAMED);
        Ok(request)
    }
}

/// What is left of the bounds of a request.
struct Bounds {
    matchers: usize,
    pattern_bytes: usize,
}

impl Bounds {
    fn count(&mut self, matcher: &Matcher) -> Result<(), ReadError> {
        let Some(matchers) = self.matchers.checked_sub(1) else {
            return Err(ReadError::Matcher(format!("more than {MATCHERS_MAX} matchers")));
        };
        let compiled_bytes = matcher.regex().map_or(0, GoRegex::compiled_bytes);
        let Some(pattern_bytes) = self.pattern_bytes.checked_sub(compiled_bytes) else {
            let text = format!("regular expressions take more than {PATTERN_BYTES_MAX} bytes");
            return Err(ReadError::Matcher(text));
        };
        *self = Bounds { matchers, pattern_bytes };
        Ok(())
    }
}

fn read_query(field: &Field<'_>, bounds: &mut Bounds) -> Result<ReadQuery, ReadError> {
    let mut query = ReadQuery { from: TimestampMs(0), to: TimestampMs(0), matchers: Vec::new() };
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => query.from = TimestampMs(field.int64()?),
            2 => query.to = TimestampMs(field.int64()?),
            3 => {
                let matcher = read_matcher(&field)?;
                bounds.count(&matcher)?;
                query.matchers.push(matcher);
            }
            _ => {}
        }
    }
    Ok(query)
}

fn read_matcher(field: &Field<'_>) -> Result<Matcher, ReadError> {
    let (mut op, mut name, mut value) = (MatchOp::Equal, "", "");
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => {
                op = match field.uint64()? {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    other => {
                        return Err(ReadError::Matcher(format!("invalid matcher type {other}")));
                    }
                }
            }
            2 => name = field.text()?,
            3 => value = field.text()?,
            _ => {}
        }
    }
    Matcher::new(name, op, value).map_err(|error| ReadError::Matcher(error.to_string()))
}

/// Adds a series with its samples to the result of a query.
pub fn put_series(result: &mut Writer, labels: &LabelSet, samples: &Samples) {
    let mut series = Writer::default();
    put_labels(&mut series, labels);
    let mut natives = samples.histograms.iter().peekable();
    for (at, time) in samples.timestamps_ms.iter().enumerate() {
        match natives.next_if(|(index, _)| *index as usize == at) {
            Some((_, native)) => series.message(4, |message| {
                put_native(native, message);
                message.int64(15, *time);
            }),
            None => series.message(2, |sample| {
                sample.double(1, samples.values[at]);
                sample.int64(2, *time);
            }),
        }
    }
    result.put(1, series.bytes());
}

/// Adds the result of a query to a response.
pub fn put_result(response: &mut Writer, result: &Writer) {
    response.put(1, result.bytes());
}

fn put_labels(series: &mut Writer, labels: &LabelSet) {
    for (name, value) in labels {
        series.message(1, |label| {
            label.text(1, name);
            label.text(2, value);
        });
    }
}

/// Writes frames of chunks.
#[derive(Debug)]
pub struct Frames {
    frame_bytes_max: usize,
}

impl Frames {
    /// Frames of at most about so many bytes.
    #[must_use]
    pub fn new(frame_bytes_max: usize) -> Frames {
        Frames { frame_bytes_max }
    }

    /// Appends the frames of one series to `out`.
    ///
    /// # Errors
    /// A histogram contradicts itself.
    pub fn put(
        &self,
        query: usize,
        labels: &LabelSet,
        samples: &Samples,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mut head = Writer::default();
        put_labels(&mut head, labels);
        let mut series = head.clone();
        let mut count = 0;
        let mut builder = ChunkBuilder::default();
        let mut natives = samples.histograms.iter().peekable();
        for (at, time) in samples.timestamps_ms.iter().enumerate() {
            let sample = match natives.next_if(|(index, _)| *index as usize == at) {
                Some((_, native)) => {
                    Sample::histogram(*time, counts_of(native), NativeHistogram::clone(native))
                }
                None => Sample::float(*time, samples.values[at]),
            };
            if let Some(chunk) = builder.push(&sample)? {
                put_chunk(&chunk, &mut series);
                count += 1;
            }
            if self.frame_bytes_max <= series.bytes().len() {
                frame(query, &series, out);
                series.clone_from(&head);
                count = 0;
            }
        }
        if let Some(chunk) = builder.finish() {
            put_chunk(&chunk, &mut series);
            count += 1;
        }
        if count != 0 {
            frame(query, &series, out);
        }
        Ok(())
    }
}

fn counts_of(native: &NativeHistogram) -> Counts {
    if is_whole(native) { Counts::Integer } else { Counts::Float }
}

fn put_chunk(chunk: &BuiltChunk, series: &mut Writer) {
    series.message(2, |message| {
        message.int64(1, chunk.min.0);
        message.int64(2, chunk.max.0);
        message.uint64(3, chunk.encoding.number().into());
        message.put(4, &chunk.bytes);
    });
}

/// Length, checksum and a `ChunkedReadResponse`.
fn frame(query: usize, series: &Writer, out: &mut Vec<u8>) {
    let mut response = Writer::default();
    response.put(1, series.bytes());
    response.int64(2, i64::try_from(query).unwrap_or(0));
    let bytes = response.bytes();
    put_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(&crc32c::crc32c(bytes).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use tsdb::chunk::decode::Decoder;
    use tsdb::chunk::encoding::Encoding;

    use super::*;

    #[test]
    fn requests_read_back() {
        let mut writer = Writer::default();
        writer.message(1, |query| {
            query.int64(1, -5);
            query.int64(2, 10);
            query.message(3, |matcher| {
                matcher.uint64(1, 2);
                matcher.text(2, "job");
                matcher.text(3, "a.*");
            });
        });
        writer.uint64s(2, [1, 0]);
        let request = ReadRequest::read(writer.bytes()).expect("a request");
        assert!(request.streamed);
        let query = &request.queries[0];
        assert_eq!((query.from, query.to), (TimestampMs(-5), TimestampMs(10)));
        assert!(query.matchers[0].matches("ab") && !query.matchers[0].matches("b"));
        let mut bad = Writer::default();
        bad.message(1, |query| query.message(3, |matcher| matcher.uint64(1, 9)));
        let error = ReadRequest::read(bad.bytes()).unwrap_err();
        assert_eq!(error.to_string(), "invalid matcher type 9");
    }

    fn refused(matchers: usize, write: impl Fn(&mut Writer)) -> String {
        let mut writer = Writer::default();
        writer.message(1, |query| (0..matchers).for_each(|_| query.message(3, &write)));
        ReadRequest::read(writer.bytes()).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn matchers_and_their_patterns_are_bounded() {
        let plain = |matcher: &mut Writer| matcher.text(2, "job");
        assert_eq!(refused(20_000, plain), "");
        assert_eq!(refused(20_001, plain), "more than 20000 matchers");
        let pattern = |matcher: &mut Writer| {
            matcher.uint64(1, 2);
            matcher.text(2, "job");
            matcher.text(3, "(?i)[a-z0-9]{200}x.*y.*");
        };
        let text = "regular expressions take more than 67108864 bytes";
        assert_eq!(refused(20_000, pattern), text);
    }

    #[test]
    fn frames_have_length_checksum_and_chunks() {
        let mut samples = Samples::default();
        for at in 0..1000 {
            samples.push(TimestampMs(at * 1000), at as f64 * 0.37);
        }
        let labels = LabelSet::new([("__name__", "up")]);
        let mut out = Vec::new();
        Frames::new(500).put(3, &labels, &samples, &mut out).expect("frames");
        let (mut rest, mut found, mut frames) = (&out[..], Vec::new(), 0);
        while !rest.is_empty() {
            let length = usize::from(rest[0] & 0x7f) | usize::from(rest[1]) << 7;
            let (sum, body) = (&rest[2..6], &rest[6..6 + length]);
            assert_eq!(sum, crc32c::crc32c(body).to_be_bytes());
            frames += 1;
            let mut message = Message::new(body);
            let field = message.field().expect("a field").expect("one");
            let mut series = field.message().expect("a series");
            while let Some(field) = series.field().expect("a field") {
                if field.number == 2 {
                    let mut chunk = field.message().expect("a chunk");
                    let bytes = loop {
                        let field = chunk.field().expect("a field").expect("one");
                        if field.number == 4 {
                            break field.bytes().expect("bytes");
                        }
                    };
                    let mut decoder = Decoder::new(Encoding::Xor, bytes.to_vec()).expect("XOR");
                    while let Some(sample) = decoder.read().expect("a sample") {
                        found.push(sample.timestamp.0);
                    }
                }
            }
            assert_eq!(message.field().expect("a field").expect("one").int64(), Ok(3));
            rest = &rest[6 + length..];
        }
        assert!(1 < frames, "{frames}");
        assert_eq!(found, samples.timestamps_ms);
    }
}
