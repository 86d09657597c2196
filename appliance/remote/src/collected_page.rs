//! Collected page: what the server counts, as delimited metric families of protocol buffers, which
//! have a place for native histograms.
//!
//! Path: `api` collects → **collected page** → body.
//! Source: metrics.proto of prometheus/client_model.

use exposition::entry::Entry;
use exposition::metric_type::MetricType;
use exposition::metrics::{Collected, Reading};
use exposition::series::parse_series;
use exposition::text::TextParser;
use model::label_set::{Builder, METRIC_NAME};

use crate::federation_page::put_own_buckets;
use crate::protobuf_write::{Writer, put_varint};

/// Values of the enumeration of types.
const COUNTER: u64 = 0;
const GAUGE: u64 = 1;
const SUMMARY: u64 = 2;
const UNTYPED: u64 = 3;
const HISTOGRAM: u64 = 4;

/// All families of `collected`.
#[must_use]
pub fn write(collected: &Collected) -> Vec<u8> {
    let mut page = Page::default();
    collected.visit(|name, metric_type, help, labels, reading| {
        let number = match metric_type {
            MetricType::Counter => COUNTER,
            MetricType::Gauge => GAUGE,
            MetricType::Summary => SUMMARY,
            MetricType::Histogram => HISTOGRAM,
            _ => UNTYPED,
        };
        page.begin(name, number, help);
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        page.metric(labels, |metric| put_reading(number, reading, metric));
    });
    put_foreign(collected.foreign(), &mut page);
    page.end();
    page.out
}

/// Texts of others were read once already: series by series, without a type.
fn put_foreign(text: &str, page: &mut Page) {
    for entry in TextParser::new(text.as_bytes()) {
        let Ok(Entry::Sample(sample)) = entry else { continue };
        let mut labels = Builder::default();
        if parse_series(sample.series, sample.metric_type, &mut labels).is_err() {
            continue;
        }
        page.begin(labels.value(METRIC_NAME), UNTYPED, "");
        let named = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
        page.metric(named, |metric| put_reading(UNTYPED, Reading::Number(sample.value), metric));
    }
}

fn put_reading(kind: u64, reading: Reading<'_>, metric: &mut Writer) {
    match reading {
        // The message must be there even when its value is 0.
        Reading::Number(value) => {
            let field = match kind {
                COUNTER => 3,
                GAUGE => 2,
                _ => 5,
            };
            metric.message(field, |number| number.double(1, value));
        }
        Reading::Summary { quantiles, sum, count } => metric.message(4, |summary| {
            summary.uint64(1, count);
            summary.double(2, sum);
            for (quantile, value) in quantiles {
                summary.message(3, |message| {
                    message.double(1, *quantile);
                    message.double(2, *value);
                });
            }
        }),
        Reading::Histogram { buckets, sum, count, native } => metric.message(7, |histogram| {
            histogram.double(2, sum);
            match native {
                Some(native) => {
                    histogram.double(4, native.count);
                    put_own_buckets(native, histogram);
                }
                None => histogram.uint64(1, count),
            }
            for (bound, below) in buckets {
                histogram.message(3, |bucket| {
                    bucket.uint64(1, *below);
                    bucket.double(2, *bound);
                });
            }
        }),
    }
}

/// Families under construction.
#[derive(Default)]
struct Page {
    out: Vec<u8>,
    name: String,
    family: Writer,
}

impl Page {
    fn begin(&mut self, name: &str, kind: u64, help: &str) {
        if self.name == name {
            return;
        }
        self.end();
        name.clone_into(&mut self.name);
        self.family.text(1, name);
        self.family.text(2, help);
        self.family.uint64(3, kind);
    }

    fn metric<'a>(
        &mut self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: impl FnOnce(&mut Writer),
    ) {
        self.family.message(4, |metric| {
            for (name, text) in labels {
                metric.message(1, |label| {
                    label.text(1, name);
                    label.text(2, text);
                });
            }
            value(metric);
        });
    }

    fn end(&mut self) {
        let bytes = self.family.bytes();
        if !bytes.is_empty() {
            put_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), &mut self.out);
            self.out.extend_from_slice(bytes);
        }
        self.family.clear();
        self.name.clear();
    }
}

#[cfg(test)]
mod tests {
    use exposition::protobuf::family::{HistogramOptions, read};
    use model::native_histogram::{NativeHistogram, Span};

    use super::*;

    #[test]
    fn what_is_written_is_read_by_a_scrape() {
        let mut collected = Collected::default();
        collected.counter("a_total", "help", &[("b", "c")], 3.0);
        collected.gauge("g", "", &[], 0.0);
        let native = NativeHistogram {
            schema: 2,
            zero_threshold: 0.5,
            zero_count: 1.0,
            count: 4.0,
            sum: 9.0,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            ..NativeHistogram::default()
        };
        collected.native_histogram("h", "", &[("x", "y")], &[(1.0, 2)], native.clone(), 4);
        collected.append("# TYPE t gauge\nt{u=\"v\"} 7\n");
        let bytes = write(&collected);
        let options = HistogramOptions { native: true, ..HistogramOptions::default() };
        let (mut shown, mut natives) = (Vec::new(), Vec::new());
        let visited = read(&bytes, options, &mut |entry| match entry {
            Entry::Sample(sample) => {
                let series = String::from_utf8_lossy(sample.series).into_owned();
                shown.push(format!("{series} {}", sample.value));
            }
            Entry::Histogram(histogram) => natives.push(histogram.histogram.clone()),
            _ => {}
        });
        visited.unwrap();
        assert_eq!(shown, ["a_total{b=\"c\"} 3", "g 0", "t{u=\"v\"} 7"]);
        assert_eq!(natives, [native]);
    }
}
