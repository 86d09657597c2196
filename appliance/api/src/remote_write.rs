//! Remote write, received: `/api/v1/write`.
//!
//! Path: `router` → **remote_write** → `receive`.
//! Source: the remote write 1.0 and 2.0 specifications; upstream's write handler for its texts.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use remote::builder::Builder;
use remote::outcome::{Cause, Pushed};
use remote::{interned_request, snappy, write_request};

use crate::call::Context;
use crate::inbound::Receivers;
use crate::receive::{Decode, INFLATED_BYTES_MAX, Refused, plain, refuse, take, text_of};

const MEDIA_TYPE: &str = "application/x-protobuf";
const MESSAGE_V1: &str = "prometheus.WriteRequest";
const MESSAGE_V2: &str = "io.prometheus.write.v2.Request";
const OFF: &str =
    "remote write receiver needs to be enabled with --web.enable-remote-write-receiver";

/// Which message a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    V1,
    V2,
}

impl Decode for Message {
    fn inflated_bytes(&self, body: &[u8]) -> Result<usize, Refused> {
        let bytes = snappy::inflated_bytes(body);
        bytes.map_err(|error| Refused::Bad(error.to_string()))
    }

    fn decode(self, body: &[u8], builder: &mut Builder) -> Result<(), Refused> {
        let inflated = snappy::inflate(body, INFLATED_BYTES_MAX);
        let inflated = inflated.map_err(|error| Refused::Bad(error.to_string()))?;
        let read = match self {
            Message::V1 => write_request::read(&inflated, builder),
            Message::V2 => interned_request::read(&inflated, builder),
        };
        read.map_err(|error| Refused::Bad(error.to_string()))
    }
}

/// Answers `/api/v1/write`.
pub async fn write(context: Arc<Context>, request: Request) -> Response {
    let receivers = context.backend.receivers();
    if !receivers.write {
        return plain(StatusCode::NOT_FOUND, OFF);
    }
    let message = match message(request.headers(), receivers) {
        Ok(message) => message,
        Err(text) => return refuse(&Refused::Unsupported(text)),
    };
    match take(&context, request, message).await {
        Ok(pushed) => answer(message, &pushed),
        Err(refused) => {
            let mut response = refuse(&refused);
            if message == Message::V2 {
                put_counts(response.headers_mut(), &Pushed::default());
            }
            response
        }
    }
}

/// Which message the head says that the body is.
fn message(headers: &HeaderMap, receivers: Receivers) -> Result<Message, String> {
    let coding = text_of(headers, &header::CONTENT_ENCODING);
    if !coding.is_empty() && !coding.eq_ignore_ascii_case("snappy") {
        return Err(format!(
            "{coding} encoding (compression) is not accepted by this server; only snappy is \
             acceptable"
        ));
    }
    let content_type = text_of(headers, &header::CONTENT_TYPE).trim();
    let name = message_name(content_type)?;
    let (message, is_accepted) = match name {
        MESSAGE_V1 => (Message::V1, receivers.write_v1),
        MESSAGE_V2 => (Message::V2, receivers.write_v2),
        other => {
            return Err(format!(
                "got {content_type} content type; unknown type for remote write protobuf message \
                 {other}, supported: {MESSAGE_V1}, {MESSAGE_V2}"
            ));
        }
    };
    if is_accepted {
        return Ok(message);
    }
    let accepted = [(receivers.write_v1, MESSAGE_V1), (receivers.write_v2, MESSAGE_V2)];
    let accepted: Vec<&str> =
        accepted.into_iter().filter_map(|(is_on, name)| is_on.then_some(name)).collect();
    let accepted = accepted.join(" ");
    Err(format!("{name} protobuf message is not accepted by this server; accepted [{accepted}]"))
}

/// The message that a media type names; the first one's where it names none.
fn message_name(content_type: &str) -> Result<&str, String> {
    let mut parts = content_type.split(';');
    let media_type = parts.next().unwrap_or("");
    if !media_type.is_empty() && media_type != MEDIA_TYPE {
        return Err(format!(
            "expected {MEDIA_TYPE} as the first (media) part, got {content_type} content-type"
        ));
    }
    for part in parts {
        let Some((key, value)) = part.trim().split_once('=') else {
            return Err(format!(
                "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to \
                 be key-values, got {part} in {content_type} content-type"
            ));
        };
        if key == "proto" {
            return Ok(value.trim_matches('"'));
        }
    }
    Ok(MESSAGE_V1)
}

fn answer(message: Message, pushed: &Pushed) -> Response {
    let refusals = &pushed.refusals;
    // Exemplars that come late were never a reason to refuse in 1.0.
    let ignored = if message == Message::V1 { refusals.count(Cause::Exemplar) } else { 0 };
    let mut response = if pushed.overloaded {
        plain(StatusCode::SERVICE_UNAVAILABLE, "not all could be stored: send it again")
    } else if ignored < refusals.total() {
        plain(StatusCode::BAD_REQUEST, &refusals.text())
    } else {
        plain(StatusCode::NO_CONTENT, "")
    };
    if message == Message::V2 {
        put_counts(response.headers_mut(), pushed);
    }
    response
}

fn put_counts(headers: &mut HeaderMap, pushed: &Pushed) {
    for (name, count) in [
        ("x-prometheus-remote-write-samples-written", pushed.samples),
        ("x-prometheus-remote-write-histograms-written", pushed.histograms),
        ("x-prometheus-remote-write-exemplars-written", pushed.exemplars),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(count));
    }
}
