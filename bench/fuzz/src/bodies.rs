//! What targets answer and others send: expositions, responses, pushes, imports.

use api::import::csv::CsvReader;
use api::import::json::JsonReader;
use api::import::text::TextReader;
use api::import::{Reader, read_lines};
use api::receive::INFLATED_BYTES_MAX;
use exposition::body::{Format, ReadOptions, read};
use exposition::dialect::Dialect;
use exposition::layout::Layout;
use exposition::protobuf::family::HistogramOptions;
use exposition::scan::{Scan, scan_entries};
use machine::http::exchange::{Exchange, Limits};
use remote::builder::Builder;
use remote::otlp::message;
use remote::otlp::naming::Naming;
use remote::otlp::translate::{OtlpSettings, translate};
use remote::read_request::ReadRequest;
use remote::{interned_request, snappy, write_request};

/// Bodies of scrapes: the first byte says in which format and how, the rest is read twice.
pub fn exposition(data: &[u8]) {
    let Some((flags, body)) = data.split_first() else { return };
    let on = |bit: u8| flags & bit != 0;
    let format = match flags & 3 {
        0 => Format::Protobuf,
        1 => Format::Text(Dialect::OpenMetrics),
        _ => Format::Text(Dialect::Text),
    };
    let histograms = HistogramOptions { native: on(4), classic: on(8), convert: on(16) };
    let options = ReadOptions { histograms, start_timestamps: on(32) };
    let mut entries = 0u64;
    let whole = read(format, options, body, &mut |_| entries += 1);
    let mut scan = Scan::default();
    let scanned = scan_entries(format, options, body, &Layout::default(), &mut scan);
    assert_eq!(whole.is_ok(), scanned.is_ok(), "{whole:?} {scanned:?}");
}

/// A response of a target, coming in two pieces: head, chunked coding, gzip.
pub fn http_response(data: &[u8]) {
    let Some((cut, response)) = data.split_first() else { return };
    let limits = Limits { head_bytes_max: 4096, body_bytes_max: 1 << 16 };
    let mut exchange = Exchange::new(limits);
    let (first, second) = response.split_at(usize::from(*cut).min(response.len()));
    let (mut buffer, mut inflated) = (first.to_vec(), Vec::new());
    for piece in [second, &[]] {
        match exchange.advance(&mut buffer, &mut inflated) {
            Ok(false) => buffer.extend_from_slice(piece),
            Ok(true) => {
                assert!(exchange.body(&buffer, &inflated).len() <= 1 << 16);
                let _ = (exchange.content_type(&buffer), exchange.location(&buffer));
                return;
            }
            Err(_) => return,
        }
    }
    let _ = exchange.close(&buffer, &mut inflated);
}

/// Requests of remote write and remote read: any bytes are a request or none.
pub fn received(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut builder = Builder::new(3, "");
    let read = match kind % 4 {
        0 => write_request::read(bytes, &mut builder).is_ok(),
        1 => interned_request::read(bytes, &mut builder).is_ok(),
        2 => ReadRequest::read(bytes).is_ok(),
        _ => snappy::inflate(bytes, INFLATED_BYTES_MAX.min(1 << 20)).is_ok(),
    };
    if read {
        let (batches, _) = builder.finish();
        for (shard, batch) in batches {
            assert!(shard < 3);
            for float in &batch.floats {
                let _ = batch.labels(float.series);
            }
        }
    }
}

/// Bodies of import: any lines are samples or named faults, however they are cut.
pub fn import(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let (mut reader, lines) = match kind % 4 {
        0 => (Reader::Json(JsonReader::new(Vec::new())), bytes),
        1 => (Reader::Text(TextReader::new(false, Vec::new(), 1)), bytes),
        2 => (Reader::Text(TextReader::new(true, Vec::new(), 1)), bytes),
        _ => {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            let Ok(format) = std::str::from_utf8(&bytes[..end]) else { return };
            let Ok(reader) = CsvReader::new(format, Vec::new(), 1) else { return };
            (Reader::Csv(reader), &bytes[end..])
        }
    };
    let (mut line, mut builder) = (0, Builder::new(3, ""));
    read_lines(lines, &mut line, &mut reader, &mut builder);
    let (batches, refusals) = builder.finish();
    assert!(refusals.total() <= line);
    for (_, batch) in batches {
        for float in &batch.floats {
            let _ = batch.labels(float.series);
        }
    }
}

/// OTLP metrics as protobuf and as JSON: any bytes are a request or none, whatever is set.
pub fn otlp(bytes: &[u8]) {
    let Some((flags, bytes)) = bytes.split_first() else { return };
    let on = |bit: u8| flags & bit != 0;
    let request = if on(1) { api::otlp_json::read(bytes).ok() } else { message::read(bytes).ok() };
    let Some(request) = request else { return };
    let naming = Naming {
        escapes: on(2),
        has_suffixes: on(4),
        prefixes_underscore: on(8),
        keeps_underscores: !on(8),
    };
    let settings = OtlpSettings {
        naming,
        promotes_all: on(16),
        promotes_scope: on(16),
        keeps_identifying: on(16),
        converts_histograms: on(32),
        takes_deltas: on(64),
        has_type_labels: on(128),
        ..OtlpSettings::default()
    };
    let mut builder = Builder::new(3, "");
    translate(&request, &settings, &mut builder);
    let (batches, _) = builder.finish();
    for (shard, batch) in batches {
        assert!(shard < 3);
        for float in &batch.floats {
            let _ = batch.labels(float.series);
        }
    }
}
