//! Federation page: the newest samples of many series, as scrapers read them.
//!
//! Path: `api` gives series by name → **federation page** → body.
//! Never: holds more than one family.
//!
//! Source: upstream's `web/federate.go` for what stands on the page, text format 0.0.4, OpenMetrics
//! 1.0 and metrics.proto of prometheus/client_model for how. Native histograms have a place in
//! protocol buffers only; those with custom buckets are classic ones there.

use exposition::number::format_shortest;
use model::label_name::{is_legacy_label_name, is_legacy_metric_name, quote};
use model::label_set::{LabelSet, METRIC_NAME};
use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram};
use model::time::TimestampMs;

use crate::protobuf_write::{Writer, put_varint};

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text 0.0.4 or 1.0.0.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Delimited metric families.
    Protobuf,
}

/// A newest sample.
#[derive(Clone, Copy, Debug)]
pub enum Newest<'a> {
    /// A float.
    Float(f64),
    /// A native histogram.
    Native(&'a NativeHistogram),
}

/// What a family is, as far as the page tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Untyped,
    Histogram,
    GaugeHistogram,
}

/// A page under construction. Series come in order of metric name.
#[derive(Debug)]
pub struct Page<'a> {
    format: Format,
    /// Whether names of any characters may be written as they are.
    utf8: bool,
    external: &'a LabelSet,
    family: Option<(String, Kind)>,
    metrics: Writer,
}

impl<'a> Page<'a> {
    /// An empty page; `external` are the labels that are added where a series has not.
    #[must_use]
    pub fn new(format: Format, utf8: bool, external: &'a LabelSet) -> Page<'a> {
        Page { format, utf8, external, family: None, metrics: Writer::default() }
    }

    /// Adds a sample; one without a name, or that has no place in the format, is left out.
    pub fn put(
        &mut self,
        labels: &LabelSet,
        at: TimestampMs,
        newest: Newest<'_>,
        out: &mut Vec<u8>,
    ) {
        let name = labels.metric_name();
        let kind = match newest {
            Newest::Float(_) => Kind::Untyped,
            Newest::Native(_) if self.format != Format::Protobuf => return,
            Newest::Native(native) if native.counter_reset_hint == CounterResetHint::Gauge => {
                Kind::GaugeHistogram
            }
            Newest::Native(_) => Kind::Histogram,
        };
        if name.is_empty() {
            return;
        }
        let name = self.escaped(name, is_legacy_metric_name);
        if !self.family.as_ref().is_some_and(|(last, of)| *last == name && *of == kind) {
            self.end_family(out);
            self.begin_family(&name, out);
            self.family = Some((name.clone(), kind));
        }
        match self.format {
            Format::Protobuf => self.put_metric(labels, at, newest),
            Format::Text | Format::OpenMetrics => self.put_line(&name, labels, at, newest, out),
        }
    }

    /// Ends the page.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.end_family(out);
        if self.format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
    }

    fn begin_family(&self, name: &str, out: &mut Vec<u8>) {
        let word = match self.format {
            Format::Text => "untyped",
            Format::OpenMetrics => "unknown",
            Format::Protobuf => return,
        };
        let name = if is_legacy_metric_name(name) { name.to_owned() } else { quote(name) };
        out.extend_from_slice(format!("# TYPE {name} {word}\n").as_bytes());
    }

    fn end_family(&mut self, out: &mut Vec<u8>) {
        let Some((name, kind)) = self.family.take() else { return };
        if self.format != Format::Protobuf {
            return;
        }
        let mut family = Writer::default();
        family.text(1, &name);
        family.uint64(
            3,
            match kind {
                Kind::Untyped => 3,
                Kind::Histogram => 4,
                Kind::GaugeHistogram => 5,
            },
        );
        let length = family.bytes().len() + self.metrics.bytes().len();
        put_varint(u64::try_from(length).unwrap_or(u64::MAX), out);
        out.extend_from_slice(family.bytes());
        out.extend_from_slice(self.metrics.bytes());
        self.metrics.clear();
    }

    /// Labels as they stand on the page: those of the series, then external ones that it has not;
    /// `instance` at the least, so that the scraper does not put its own there.
    fn each_label(&self, labels: &LabelSet, mut visit: impl FnMut(&str, &str)) {
        let mut has_instance = self.external.get("instance").is_some();
        for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
            has_instance |= name == "instance";
            visit(&self.escaped(name, is_legacy_label_name), value);
        }
        let mut missing: Vec<(&str, &str)> =
            self.external.iter().filter(|(name, _)| labels.get(name).is_none()).collect();
        if !has_instance {
            missing.push(("instance", ""));
            missing.sort_unstable();
        }
        for (name, value) in missing {
            visit(name, value);
        }
    }

    fn escaped(&self, name: &str, is_legacy: fn(&str) -> bool) -> String {
        if self.utf8 || is_legacy(name) {
            return name.to_owned();
        }
        let keep = |(at, c): (usize, char)| {
            let letter = c.is_ascii_alphabetic() || c == '_' || c == ':';
            if letter || (c.is_ascii_digit() && 0 < at) { c } else { '_' }
        };
        name.chars().enumerate().map(keep).collect()
    }

    fn put_line(
        &self,
        name: &str,
        labels: &LabelSet,
        at: TimestampMs,
        newest: Newest<'_>,
        out: &mut Vec<u8>,
    ) {
        let Newest::Float(value) = newest else { return };
        let is_legacy = is_legacy_metric_name(name);
        let mut text = String::new();
        let mut separator = '{';
        if is_legacy {
            text.push_str(name);
        } else {
            text.push('{');
            text.push_str(&quote(name));
            separator = ',';
        }
        self.each_label(labels, |name, value| {
            text.push(separator);
            separator = ',';
            if is_legacy_label_name(name) {
                text.push_str(name);
            } else {
                text.push_str(&quote(name));
            }
            text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    '\n' => text.push_str("\\n"),
                    '"' => text.push_str("\\\""),
                    c => text.push(c),
                }
            }
            text.push('"');
        });
        // `instance` at the least stands there.
        text.push_str("} ");
        text.push_str(&format_shortest(value));
        match self.format {
            Format::OpenMetrics => {
                let (seconds, ms) = (at.0.div_euclid(1000), at.0.rem_euclid(1000));
                text.push_str(&format!(" {seconds}.{ms:03}\n"));
            }
            _ => text.push_str(&format!(" {}\n", at.0)),
        }
        out.extend_from_slice(text.as_bytes());
    }

    fn put_metric(&mut self, labels: &LabelSet, at: TimestampMs, newest: Newest<'_>) {
        let mut metric = Writer::default();
        self.each_label(labels, |name, value| {
            metric.message(1, |label| {
                label.text(1, name);
                label.text(2, value);
            });
        });
        match newest {
            // The message must be there even when its value is 0.
            Newest::Float(value) => metric.message(5, |untyped| untyped.double(1, value)),
            Newest::Native(native) => metric.message(7, |message| put_native(native, message)),
        }
        metric.int64(6, at.0);
        self.metrics.put(4, metric.bytes());
    }
}

fn put_native(native: &NativeHistogram, message: &mut Writer) {
    message.double(4, native.count);
    message.double(2, native.sum);
    if native.schema == CUSTOM_BUCKETS_SCHEMA {
        return put_classic(native, message);
    }
    put_own_buckets(native, message);
}

/// Schema, zero bucket and buckets of a histogram that has its own.
pub(crate) fn put_own_buckets(native: &NativeHistogram, message: &mut Writer) {
    message.sint64(5, native.schema.into());
    message.double(6, native.zero_threshold);
    message.double(8, native.zero_count);
    let sides = [
        (9, 11, &native.negative_spans, &native.negative_buckets),
        (12, 14, &native.positive_spans, &native.positive_buckets),
    ];
    for (spans_field, counts_field, spans, counts) in sides {
        for span in spans {
            message.message(spans_field, |message| {
                message.sint64(1, span.offset.into());
                message.uint64(2, span.length.into());
            });
        }
        for count in counts {
            message.double_always(counts_field, *count);
        }
    }
}

/// Buckets up to each bound, those without an observation of their own too.
fn put_classic(native: &NativeHistogram, message: &mut Writer) {
    let mut counts = vec![0.0; native.custom_values.len() + 1];
    let mut bucket = 0i64;
    let mut buckets = native.positive_buckets.iter();
    for span in &native.positive_spans {
        bucket += i64::from(span.offset);
        for _ in 0..span.length {
            let at = usize::try_from(bucket).unwrap_or(usize::MAX);
            if let (Some(slot), Some(count)) = (counts.get_mut(at), buckets.next()) {
                *slot = *count;
            }
            bucket += 1;
        }
    }
    let mut below = 0.0;
    let bounds = native.custom_values.iter().copied().chain([f64::INFINITY]);
    for (bound, count) in bounds.zip(counts) {
        below += count;
        message.message(3, |bucket| {
            bucket.double(4, below);
            bucket.double(2, bound);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exposition::entry::Entry;
    use exposition::protobuf::family::{HistogramOptions, read};
    use model::native_histogram::Span;

    use super::*;

    fn page(format: Format, utf8: bool, external: &LabelSet) -> Vec<u8> {
        let mut out = Vec::new();
        let mut page = Page::new(format, utf8, external);
        let labels = |name, more: &[(&'static str, &'static str)]| {
            LabelSet::new([(METRIC_NAME, name)].into_iter().chain(more.iter().copied()))
        };
        let at = TimestampMs(6_000_001);
        page.put(
            &labels("a", &[("instance", "i"), ("b", "x\"\n")]),
            at,
            Newest::Float(1e6),
            &mut out,
        );
        page.put(&labels("a", &[("b", "y")]), at, Newest::Float(f64::NAN), &mut out);
        let native = NativeHistogram {
            count: 3.0,
            sum: 1.5,
            schema: 1,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            ..NativeHistogram::default()
        };
        page.put(&labels("h", &[]), at, Newest::Native(&native), &mut out);
        let custom = NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: Arc::from([0.5, 1.0]),
            positive_spans: vec![Span { offset: 1, length: 2 }],
            ..native
        };
        page.put(&labels("n", &[]), at, Newest::Native(&custom), &mut out);
        page.put(&labels("z.ü", &[("l.x", "v")]), at, Newest::Float(0.0), &mut out);
        page.finish(&mut out);
        out
    }

    #[test]
    fn text_has_what_upstream_has() {
        let external = LabelSet::new([("b", "never"), ("zone", "ie")]);
        let text = String::from_utf8(page(Format::Text, false, &external)).expect("text");
        let expected = concat!(
            "# TYPE a untyped\n",
            "a{b=\"x\\\"\\n\",instance=\"i\",zone=\"ie\"} 1e+06 6000001\n",
            "a{b=\"y\",instance=\"\",zone=\"ie\"} NaN 6000001\n",
            "# TYPE z__ untyped\n",
            "z__{l_x=\"v\",b=\"never\",instance=\"\",zone=\"ie\"} 0 6000001\n",
        );
        assert_eq!(text, expected);
        let text = String::from_utf8(page(Format::OpenMetrics, true, &external)).expect("text");
        let end = concat!(
            "# TYPE \"z.ü\" unknown\n",
            "{\"z.ü\",\"l.x\"=\"v\",b=\"never\",instance=\"\",zone=\"ie\"} 0 6000.001\n# EOF\n",
        );
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn protobuf_has_histograms_too() {
        let bytes = page(Format::Protobuf, true, &LabelSet::empty());
        let mut seen = Vec::new();
        let options = HistogramOptions { native: true, classic: true, convert: false };
        read(&bytes, options, &mut |entry| match entry {
            Entry::Sample(sample) => {
                let series = String::from_utf8_lossy(sample.series).into_owned();
                seen.push(format!("{series} {}", sample.value));
            }
            Entry::Histogram(sample) => {
                let series = String::from_utf8_lossy(sample.series).into_owned();
                seen.push(format!("{series} {}", sample.histogram.count));
                assert_eq!(sample.histogram.positive_buckets, [1.0, 2.0]);
            }
            _ => {}
        })
        .expect("families");
        assert_eq!(seen.len(), 3 + 1 + 5, "{seen:?}");
        assert!(seen.iter().any(|line| line.contains("le=\"1.0\"") && line.ends_with(" 1")));
        assert!(seen.iter().any(|line| line.contains("le=\"+Inf\"") && line.ends_with(" 3")));
    }
}
