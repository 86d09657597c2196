//! Receive: bodies with samples, from their first byte to the answer that they are durable.
//!
//! Path: connection → **receive** → `remote` decodes → batches → `inbound` → the answer.
//! Never: acknowledges what is not durable; holds more than its bounds, however many send.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::{BodyExt as _, Limited};
use hyper::StatusCode;
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderValue};
use remote::batch::Batch;
use remote::builder::Builder;
use remote::outcome::{Cause, Pushed, Refusals};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::answer::TEXT_PLAIN;
use crate::call::Context;
use crate::receiver::{Receiver, UNIT_BYTES};

/// Most bytes of a body as it comes: far above what senders put into one request (Prometheus: 2,000
/// samples, 100 KiB).
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// Most bytes of a body after inflating.
pub const INFLATED_BYTES_MAX: usize = 128 << 20;
/// What is made of a body takes so many times its bytes, at most about.
const GROWTH: usize = 3;
/// How long a request waits for room before it is told to come back.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a body, which senders send at once.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time until what was taken is durable; a disk that hangs longer is overload.
const DURABLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Seconds after which one that was told to come back should.
const RETRY_SECONDS: &str = "5";

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request makes no sense.
    Bad(String),
    /// It is of a kind that is not read.
    Unsupported(String),
    /// It is larger than what is read.
    TooLarge(String),
    /// Later there is room.
    Overloaded(String),
}

/// A form of body: what makes batches of it.
pub trait Decode: Send + 'static {
    /// Most bytes that the body has when it is inflated.
    ///
    /// # Errors
    /// It says so itself, and it is none, or too large.
    fn inflated_bytes(&self, body: &[u8]) -> Result<usize, Refused>;

    /// Adds what the body has.
    ///
    /// # Errors
    /// It makes no sense as a whole; nothing of it is stored.
    fn decode(self, body: &[u8], builder: &mut Builder) -> Result<(), Refused>;
}

/// Reads, decodes and stores the body of `request`.
///
/// # Errors
/// Why nothing, or not all that could be, was stored.
pub async fn take(
    context: &Arc<Context>,
    request: Request,
    decode: impl Decode,
) -> Result<Pushed, Refused> {
    let receiver = &context.receiver;
    receiver.requests.fetch_add(1, Ordering::Relaxed);
    let taken = take_counted(context, request, decode).await;
    match &taken {
        Ok(pushed) => {
            receiver.samples.fetch_add(pushed.samples + pushed.histograms, Ordering::Relaxed);
            let labels = pushed.refusals.count(Cause::Labels);
            receiver.invalid_labels.fetch_add(labels, Ordering::Relaxed);
            receiver.overloaded.fetch_add(u64::from(pushed.overloaded), Ordering::Relaxed);
        }
        Err(Refused::Overloaded(_)) => {
            receiver.overloaded.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => {}
    }
    taken
}

async fn take_counted(
    context: &Arc<Context>,
    request: Request,
    decode: impl Decode,
) -> Result<Pushed, Refused> {
    let (body, room) = read_body(&context.receiver, request).await?;
    let bytes = decode.inflated_bytes(&body)?;
    if INFLATED_BYTES_MAX < bytes {
        let text = format!("body of {bytes} bytes after inflating, at most {INFLATED_BYTES_MAX}");
        return Err(Refused::TooLarge(text));
    }
    let receiver = &context.receiver;
    receiver.body_bytes.fetch_add(count(body.len()), Ordering::Relaxed);
    receiver.inflated_bytes.fetch_add(count(bytes), Ordering::Relaxed);
    let _batches = room_for(&receiver.batches, bytes * GROWTH).await?;
    let shards = context.backend.shards();
    let work = tokio::task::spawn_blocking(move || {
        let mut builder = Builder::new(shards, "");
        let decoded = decode.decode(&body, &mut builder);
        drop((body, room));
        decoded.map(|()| builder.finish())
    });
    let decoded = work.await.map_err(|_| Refused::Bad("the body broke its reader".to_owned()))?;
    let (batches, refusals) = decoded?;
    store(context, batches, refusals).await
}

/// The whole body, and its share of the room for bodies.
///
/// # Errors
/// It is too large, does not come in time, or there is no room.
pub async fn read_body(
    receiver: &Receiver,
    request: Request,
) -> Result<(hyper::body::Bytes, OwnedSemaphorePermit), Refused> {
    let body = request.into_body();
    let hint = body.size_hint();
    let bytes_max = count(BODY_BYTES_MAX);
    if bytes_max < hint.lower() {
        let text = format!("body of {} bytes, at most {BODY_BYTES_MAX} are read", hint.lower());
        return Err(Refused::TooLarge(text));
    }
    let expected = hint.upper().unwrap_or(bytes_max).min(bytes_max);
    let room = room_for(&receiver.bodies, usize::try_from(expected).unwrap_or(BODY_BYTES_MAX));
    let room = room.await?;
    let collect = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, collect).await {
        Ok(Ok(collected)) => Ok((collected.to_bytes(), room)),
        Ok(Err(error)) => Err(Refused::Bad(format!("read the body: {error}"))),
        Err(_) => Err(Refused::Bad("the body did not come in time".to_owned())),
    }
}

/// Room for so many bytes, once there is some.
///
/// # Errors
/// There is none in time.
pub async fn room_for(
    room: &Arc<Semaphore>,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, Refused> {
    let units = bytes.div_ceil(UNIT_BYTES).max(1);
    let units = u32::try_from(units).unwrap_or(u32::MAX);
    let wait = Arc::clone(room).acquire_many_owned(units);
    match tokio::time::timeout(ROOM_TIMEOUT, wait).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Refused::Overloaded("too much is being received".to_owned())),
    }
}

/// Gives the batches to their shards and waits until all is durable.
///
/// # Errors
/// The disk does not take them in time.
pub async fn store(
    context: &Context,
    batches: Vec<(usize, Batch)>,
    refusals: Refusals,
) -> Result<Pushed, Refused> {
    let mut all = Pushed { refusals, ..Pushed::default() };
    let (sender, mut replies) = mpsc::channel(batches.len().max(1));
    for (shard, batch) in batches {
        let sender = sender.clone();
        // The channel has room for all of them.
        let reply = Box::new(move |pushed| drop(sender.try_send(pushed)));
        if context.backend.push(shard, batch, reply).is_err() {
            all.overloaded = true;
            break;
        }
    }
    let mut left = sender.max_capacity();
    drop(sender);
    let gather = async {
        while let Some(pushed) = replies.recv().await {
            all.merge(pushed);
            left -= 1;
        }
    };
    if tokio::time::timeout(DURABLE_TIMEOUT, gather).await.is_err() {
        return Err(Refused::Overloaded("the disk did not take it in time".to_owned()));
    }
    Ok(all)
}

/// The answer to a request that was not taken.
#[must_use]
pub fn refuse(refused: &Refused) -> Response {
    let (status, text) = match refused {
        Refused::Bad(text) => (StatusCode::BAD_REQUEST, text),
        Refused::Unsupported(text) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, text),
        Refused::TooLarge(text) => (StatusCode::PAYLOAD_TOO_LARGE, text),
        Refused::Overloaded(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
    };
    plain(status, text)
}

/// A plain answer with one line end; overload says when to come back.
#[must_use]
pub fn plain(status: StatusCode, text: &str) -> Response {
    let body = if text.is_empty() { String::new() } else { format!("{text}\n") };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !text.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT_PLAIN));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    }
    response
}

/// Value of a header as text; "" when absent or no text.
#[must_use]
pub fn text_of<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
