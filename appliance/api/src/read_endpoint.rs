//! Remote read, answered: `/api/v1/read`.
//!
//! Path: `router` → **read_endpoint** → `remote` → the connection, series by series.
//! Source: upstream's `storage/remote/read_handler.go`.

use std::sync::atomic::{AtomicUsize, Ordering};

use exposition::metrics::Collected;
use model::label_set::{Builder, LabelSet};
use model::matcher::{MatchOp, Matcher};
use model::samples::Samples;
use query::source::{HANDLES_BYTES_MAX, Selection, Series, Source, WindowValue};
use remote::protobuf_write::Writer;
use remote::read_request::{Frames, ReadQuery, ReadRequest, put_result, put_series};
use remote::snappy::{deflate, inflate};

use crate::answer::{Answer, Streamed};
use crate::call::{Call, Context};
use crate::failure::Failure;
use crate::json::{CHUNK_BYTES, Gone, Sink};

const PROTOBUF: &str = "application/x-protobuf";
const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
/// Bytes of a request after inflating: it has matchers, no samples.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Bytes of an answer that is not streamed, before deflating.
const ANSWER_BYTES_MAX: usize = 512 << 20;

/// Requests under way.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// One request under way.
struct Turn;

impl Turn {
    fn take(concurrent_max: usize) -> Option<Turn> {
        let one_more = |count: usize| (count < concurrent_max).then_some(count + 1);
        let taken = UNDER_WAY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then_some(Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds how many requests are under way, under upstream's name.
pub fn collect(into: &mut Collected) {
    let help = "The current number of remote read queries that are either in execution or queued \
                on the handler.";
    let count = u32::try_from(UNDER_WAY.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
    into.gauge("prometheus_api_remote_read_queries", help, &[], f64::from(count));
}

/// Series of a query, by labels with the external ones.
type Found = Vec<(LabelSet, Series)>;

/// `/api/v1/read`
pub fn read(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let limits = context.backend.read_limits();
    let Some(turn) = Turn::take(limits.concurrent_max) else {
        return Ok(Answer::status_text(503, "too many remote reads at once\n"));
    };
    let bad = |reason: String| Ok(Answer::status_text(400, format!("{reason}\n")));
    let body = match inflate(&call.body, REQUEST_BYTES_MAX) {
        Ok(body) => body,
        Err(error) => return bad(error.to_string()),
    };
    let request = match ReadRequest::read(&body) {
        Ok(request) => request,
        Err(error) => return bad(error.to_string()),
    };
    let source = call.streamed_source(context);
    let external = context.backend.external_labels();
    let series_max = context.backend.engine().series_max;
    let mut found = Vec::with_capacity(request.queries.len());
    for query in &request.queries {
        call.check_alive()?;
        match select(&*source, query, &external, series_max) {
            Ok(series) => found.push(series),
            Err(reason) => return Ok(Answer::status_text(500, format!("{reason}\n"))),
        }
    }
    if request.streamed {
        let frames = Frames::new(limits.frame_bytes_max);
        let write = move |sink: &mut dyn Sink| {
            let _turn = turn;
            stream(&frames, &request, found, sink)
        };
        let write = Box::new(write);
        return Ok(Answer::Streamed(Streamed { content_type: STREAMED, coding: None, write }));
    }
    let response = match whole(&request, found, limits.samples_max) {
        Ok(response) => deflate(response.bytes()),
        Err(reason) => return bad(reason),
    };
    let write = move |sink: &mut dyn Sink| {
        let _turn = turn;
        response.chunks(CHUNK_BYTES).try_for_each(|chunk| sink.take(chunk))
    };
    let (coding, write) = (Some("snappy"), Box::new(write));
    Ok(Answer::Streamed(Streamed { content_type: PROTOBUF, coding, write }))
}

fn select(
    source: &dyn Source,
    query: &ReadQuery,
    external: &LabelSet,
    series_max: usize,
) -> Result<Found, String> {
    // Who asks knows our series by external labels that they have not here.
    let is_ours = |matcher: &&Matcher| {
        let own = external.get(&matcher.name);
        !(matcher.op == MatchOp::Equal && own == Some(&*matcher.value))
    };
    let matchers: Vec<Matcher> = query.matchers.iter().filter(is_ours).cloned().collect();
    let (after, until) = (query.from.saturating_add(-1), query.to);
    let window_value = WindowValue::Average;
    let selection = Selection {
        matchers,
        window_value,
        after,
        until,
        series_max,
        bytes_max: HANDLES_BYTES_MAX,
    };
    let series = source.select(&selection).map_err(|error| error.to_string())?;
    let mut found: Found =
        series.into_iter().map(|one| (with_external(&one.labels, external), one)).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn with_external(labels: &LabelSet, external: &LabelSet) -> LabelSet {
    if external.is_empty() {
        return labels.clone();
    }
    let mut builder = Builder::from(external);
    labels.iter().for_each(|(name, value)| {
        builder.set(name, value);
    });
    builder.build()
}

fn decode(one: &Series, query: &ReadQuery, samples: &mut Samples) -> Result<(), String> {
    samples.clear();
    let after = query.from.saturating_add(-1);
    one.column.decode(after, query.to, samples).map_err(|error| error.to_string())
}

/// All samples in one message.
fn whole(request: &ReadRequest, found: Vec<Found>, samples_max: u64) -> Result<Writer, String> {
    let (mut response, mut samples) = (Writer::default(), Samples::default());
    for (query, series) in request.queries.iter().zip(found) {
        let (mut result, mut left) = (Writer::default(), samples_max);
        for (labels, one) in series {
            decode(&one, query, &mut samples)?;
            if samples.is_empty() {
                continue;
            }
            let count = u64::try_from(samples.len()).unwrap_or(u64::MAX);
            left = left
                .checked_sub(count)
                .ok_or_else(|| format!("exceeded sample limit ({samples_max})"))?;
            put_series(&mut result, &labels, &samples);
            if ANSWER_BYTES_MAX < response.bytes().len() + result.bytes().len() {
                return Err(format!(
                    "answer of more than {ANSWER_BYTES_MAX} bytes: ask for chunks"
                ));
            }
        }
        put_result(&mut response, &result);
    }
    Ok(response)
}

fn stream(
    frames: &Frames,
    request: &ReadRequest,
    found: Vec<Found>,
    sink: &mut dyn Sink,
) -> Result<(), Gone> {
    let (mut out, mut samples) = (Vec::new(), Samples::default());
    for (at, (query, series)) in request.queries.iter().zip(found).enumerate() {
        for (labels, one) in series {
            let read = decode(&one, query, &mut samples);
            let put = read.and_then(|()| {
                frames.put(at, &labels, &samples, &mut out).map_err(|fault| fault.to_string())
            });
            if put.is_err() {
                // Half a frame, which no reader takes for the end of the answer.
                out.extend_from_slice(&[0xff, 0xff]);
                return sink.take(&out);
            }
            if CHUNK_BYTES <= out.len() {
                sink.take(&out)?;
                out.clear();
            }
        }
    }
    sink.take(&out)
}
