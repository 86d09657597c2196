//! Metrics page: what was counted, as text or as protocol buffers, whichever is asked for.
//!
//! Path: `Collected` → **metrics page** → body of `/metrics` and `/metrics/host`.
//! Native histograms have a place in protocol buffers only; beside them stand the classic buckets.

use exposition::metrics::Collected;
use remote::collected_page;
use remote::federation_page::Format;

use crate::answer::{Answer, Streamed, Text};
use crate::federate_endpoint::negotiate;
use crate::json::Sink;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page for whoever accepts `accept`.
#[must_use]
pub fn answer(collected: &Collected, accept: &str) -> Answer {
    let (format, _, content_type) = negotiate(accept);
    if format != Format::Protobuf {
        let body = collected.to_text();
        return Answer::Text(Text { status: 200, content_type: TEXT_FORMAT, body });
    }
    let body = collected_page::write(collected);
    let write = move |sink: &mut dyn Sink| sink.take(&body);
    Answer::Streamed(Streamed { content_type, coding: None, write: Box::new(write) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected() -> Collected {
        let mut collected = Collected::default();
        collected.histogram("h", "H.", &[("shard", "0")], &[(0.5, 1), (2.0, 3)], 2.5, 3);
        collected
    }

    #[test]
    fn text_is_what_nobody_asked_otherwise_for() {
        for accept in ["", "*/*", "application/openmetrics-text;version=1.0.0,*/*;q=0.1"] {
            let Answer::Text(text) = answer(&collected(), accept) else {
                panic!("{accept}: no text")
            };
            assert!(text.body.contains("h_bucket{shard=\"0\",le=\"2\"} 3\n"), "{}", text.body);
        }
        let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                      encoding=delimited;q=0.7,text/plain;q=0.3";
        let Answer::Streamed(streamed) = answer(&collected(), accept) else { panic!("text") };
        assert!(streamed.content_type.starts_with("application/vnd.google.protobuf"));
    }
}
