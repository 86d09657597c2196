//! Federation: `/federate`, the newest samples of selected series for another server to scrape.
//!
//! Path: `routes` → **federate_endpoint** → `remote`'s page → the connection, series by series.
//! Source: upstream's `web/federate.go`.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::native_histogram::NativeHistogram;
use model::samples::Samples;
use model::staleness::is_stale;
use model::time::TimestampMs;
use query::source::{HANDLES_BYTES_MAX, Selection, Series, Source, SourceError, WindowValue};
use remote::federation_page::{Format, Newest, Page};

use crate::answer::{Answer, Streamed};
use crate::call::{Call, Context};
use crate::failure::Failure;
use crate::json::{CHUNK_BYTES, Gone, Sink};
use crate::selector::parse_selector;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
const TEXT_UTF8: &str = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
const OPENMETRICS: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores";
const PROTOBUF: &str = "application/vnd.google.protobuf; \
    proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores";
const PROTOBUF_UTF8: &str = "application/vnd.google.protobuf; \
    proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8";

/// `/federate`
pub fn federate(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let mut sets = Vec::new();
    for text in call.parameters.all("match[]") {
        match parse_selector(text) {
            Ok(matchers) => sets.push(matchers),
            Err(error) => return Ok(Answer::status_text(400, format!("{error}\n"))),
        }
    }
    let now = call.received.wall;
    let lookback_ms = context.backend.settings().lookback_ms;
    let source = call.source(context);
    let series_max = context.backend.engine().series_max;
    let range = (now.saturating_add(-lookback_ms), now);
    let series = match select(&*source, sets, range, series_max) {
        Ok(series) => series,
        Err(error) => return Ok(Answer::status_text(500, format!("{error}\n"))),
    };
    let samples = match newest(&series, range) {
        Ok(samples) => samples,
        Err(error) => return Ok(Answer::status_text(500, format!("{error}\n"))),
    };
    let (format, utf8, content_type) = negotiate(&call.accept);
    let external = context.backend.external_labels();
    let write =
        move |sink: &mut dyn Sink| write_page(&samples, Page::new(format, utf8, &external), sink);
    Ok(Answer::Streamed(Streamed { content_type, coding: None, write: Box::new(write) }))
}

/// The newest sample of a series.
#[derive(Clone, Debug)]
pub struct NewestSample {
    labels: LabelSet,
    at: TimestampMs,
    value: f64,
    native: Option<Arc<NativeHistogram>>,
}

/// Series of all matcher sets by metric name, then labels, each once.
///
/// # Errors
/// The store's.
pub fn select(
    source: &dyn Source,
    sets: Vec<Vec<Matcher>>,
    (after, until): (TimestampMs, TimestampMs),
    series_max: usize,
) -> Result<Vec<Series>, SourceError> {
    let mut all: Vec<Series> = Vec::new();
    for matchers in sets {
        let window_value = WindowValue::Average;
        let selection = Selection {
            matchers,
            window_value,
            after,
            until,
            series_max,
            bytes_max: HANDLES_BYTES_MAX,
        };
        all.extend(source.select(&selection)?);
    }
    let by_name = |labels: &LabelSet| (labels.metric_name().to_owned(), labels.clone());
    all.sort_by_cached_key(|series| by_name(&series.labels));
    all.dedup_by(|a, b| a.labels == b.labels);
    Ok(all)
}

/// The newest sample of each series that has not ended.
///
/// # Errors
/// The store's.
pub fn newest(
    series: &[Series],
    (after, until): (TimestampMs, TimestampMs),
) -> Result<Vec<NewestSample>, SourceError> {
    let mut found = Vec::with_capacity(series.len());
    let mut samples = Samples::default();
    for one in series {
        samples.clear();
        one.column.decode(after, until, &mut samples)?;
        let Some(last) = samples.len().checked_sub(1) else { continue };
        let native = samples.histograms.last().filter(|(index, _)| *index as usize == last);
        let value = samples.values[last];
        if native.is_none() && is_stale(value) {
            continue;
        }
        found.push(NewestSample {
            labels: one.labels.clone(),
            at: TimestampMs(samples.timestamps_ms[last]),
            value,
            native: native.map(|(_, native)| Arc::clone(native)),
        });
    }
    Ok(found)
}

/// Writes a page.
///
/// # Errors
/// The reader is gone.
pub fn write_page(
    samples: &[NewestSample],
    mut page: Page<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Gone> {
    let mut out = Vec::new();
    for one in samples {
        let newest = match &one.native {
            Some(native) => Newest::Native(native),
            None => Newest::Float(one.value),
        };
        page.put(&one.labels, one.at, newest, &mut out);
        if CHUNK_BYTES <= out.len() {
            sink.take(&out)?;
            out.clear();
        }
    }
    page.finish(&mut out);
    sink.take(&out)
}

/// Format, whether names may be of any characters, and media type: of what is accepted the one
/// with most weight, text where nothing is. OpenMetrics only for who takes nothing else, since
/// upstream never answers with it.
#[must_use]
pub fn negotiate(accept: &str) -> (Format, bool, &'static str) {
    let mut best = (0.0, None);
    let mut only = None;
    for clause in accept.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or("");
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let value = |name| {
            let found = parameters.iter().find(|(key, _)| *key == name);
            found.map_or("", |(_, value)| *value)
        };
        let weight: f64 = value("q").parse().unwrap_or(1.0);
        let utf8 = value("escaping") == "allow-utf-8";
        let version = value("version");
        let found = match media_type {
            "application/vnd.google.protobuf"
                if value("proto") == "io.prometheus.client.MetricFamily"
                    && value("encoding") == "delimited" =>
            {
                (Format::Protobuf, utf8, if utf8 { PROTOBUF_UTF8 } else { PROTOBUF })
            }
            "text/plain" if version == "1.0.0" && utf8 => (Format::Text, true, TEXT_UTF8),
            "text/plain" | "text/*" | "*/*" => (Format::Text, false, TEXT),
            "application/openmetrics-text" => {
                only = Some((Format::OpenMetrics, false, OPENMETRICS));
                continue;
            }
            _ => continue,
        };
        if best.0 < weight {
            best = (weight, Some(found));
        }
    }
    best.1.or(only).unwrap_or((Format::Text, false, TEXT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: &str) {
        assert_eq!(negotiate(accept).2, expected);
    }

    #[test]
    fn the_heaviest_format_is_taken() {
        check("", TEXT);
        check("*/*", TEXT);
        check("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", TEXT);
        check("application/openmetrics-text;version=1.0.0", OPENMETRICS);
        let protobuf = "application/vnd.google.protobuf;\
                        proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6";
        check(&format!("{protobuf},text/plain;q=0.5"), PROTOBUF);
        check(&format!("{protobuf},text/plain;q=0.7"), TEXT);
        check("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3", TEXT_UTF8);
    }
}
