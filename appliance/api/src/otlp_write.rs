//! OTLP metrics, received: `/api/v1/otlp/v1/metrics`.
//!
//! Path: `router` → **otlp_write** → `receive`.
//! Source: the OTLP specification; upstream's `storage/remote/write_otlp_handler.go` for its texts.
//! Unlike upstream, what makes no sense does not take the rest of its request with it.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::Request;
use axum::response::Response;
use flate2::read::MultiGzDecoder;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use remote::builder::Builder;
use remote::otlp::message;
use remote::otlp::translate::{OtlpSettings, translate};
use remote::outcome::{Cause, Pushed};

use crate::call::Context;
use crate::otlp_json::{self, JSON_BYTES_MAX};
use crate::receive::{Decode, INFLATED_BYTES_MAX, Refused, plain, refuse, take, text_of};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const OFF: &str = "otlp write receiver needs to be enabled with --web.enable-otlp-receiver";
/// Bytes at the end of a gzip stream: its checksum and its length.
const GZIP_TAIL_BYTES: usize = 4;

/// How a body is read.
struct Otlp {
    is_json: bool,
    is_gzip: bool,
    settings: Arc<OtlpSettings>,
}

impl Decode for Otlp {
    fn inflated_bytes(&self, body: &[u8]) -> Result<usize, Refused> {
        let bytes = if self.is_gzip {
            let tail = body.last_chunk::<GZIP_TAIL_BYTES>().copied().unwrap_or_default();
            usize::try_from(u32::from_le_bytes(tail)).unwrap_or(usize::MAX)
        } else {
            body.len()
        };
        if self.is_json && JSON_BYTES_MAX < bytes {
            let text = format!("body of {bytes} bytes of JSON, at most {JSON_BYTES_MAX}");
            return Err(Refused::TooLarge(text));
        }
        Ok(bytes)
    }

    fn decode(self, body: &[u8], builder: &mut Builder) -> Result<(), Refused> {
        let mut inflated = Vec::new();
        let body = if self.is_gzip {
            // What a stream says of its length was let in; one that lies is cut there.
            let claimed = self.inflated_bytes(body)?.min(INFLATED_BYTES_MAX);
            let bytes_max = u64::try_from(claimed).unwrap_or(u64::MAX);
            let mut reader = MultiGzDecoder::new(body).take(bytes_max + 1);
            let read = reader.read_to_end(&mut inflated);
            read.map_err(|error| Refused::Bad(format!("gzip: {error}")))?;
            if claimed < inflated.len() {
                return Err(Refused::Bad("gzip: longer than it says".to_owned()));
            }
            &inflated
        } else {
            body
        };
        let request = if self.is_json {
            otlp_json::read(body).map_err(Refused::Bad)?
        } else {
            message::read(body).map_err(|error| Refused::Bad(error.to_string()))?
        };
        translate(&request, &self.settings, builder);
        Ok(())
    }
}

/// Answers `/api/v1/otlp/v1/metrics`.
pub async fn write(context: Arc<Context>, request: Request) -> Response {
    if !context.backend.receivers().otlp {
        return plain(StatusCode::NOT_FOUND, OFF);
    }
    let content_type = text_of(request.headers(), &header::CONTENT_TYPE);
    let is_json = match content_type.split(';').next().unwrap_or("").trim() {
        PROTOBUF => false,
        JSON => true,
        _ => {
            let text = format!(
                "unsupported content type: {content_type}. Supported: [{JSON}, {PROTOBUF}]"
            );
            return plain(StatusCode::BAD_REQUEST, &text);
        }
    };
    let is_gzip = match text_of(request.headers(), &header::CONTENT_ENCODING) {
        "gzip" => true,
        "" | "identity" => false,
        other => {
            let text = format!(
                "unsupported compression: {other}. Only \"gzip\" or no compression supported"
            );
            return plain(StatusCode::BAD_REQUEST, &text);
        }
    };
    let settings = context.backend.otlp_settings();
    match take(&context, request, Otlp { is_json, is_gzip, settings }).await {
        Ok(pushed) => {
            let late = pushed.refusals.count(Cause::Exemplar);
            context.receiver.otlp_exemplars.fetch_add(late, Ordering::Relaxed);
            answer(is_json, &pushed)
        }
        Err(refused) => refuse(&refused),
    }
}

fn answer(is_json: bool, pushed: &Pushed) -> Response {
    let refusals = &pushed.refusals;
    if pushed.overloaded {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "not all could be stored: send it again");
    }
    // Exemplars that come late are only counted, as upstream has it.
    if refusals.count(Cause::Exemplar) < refusals.total() {
        return plain(StatusCode::BAD_REQUEST, &refusals.text());
    }
    // An empty ExportMetricsServiceResponse.
    let (body, kind) = if is_json { ("{}", JSON) } else { ("", PROTOBUF) };
    let mut response = Response::new(axum::body::Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
