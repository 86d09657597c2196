//! Pushed: requests of remote write 2.0 as suites send them.

use remote::protobuf_write::Writer;
use remote::snappy::deflate;

/// Labels in the order in which they are sent.
pub type Labels = Vec<(String, String)>;

/// One series of a request.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Values and times.
    pub samples: Vec<(f64, i64)>,
    /// Messages of native histograms.
    pub histograms: Vec<Writer>,
    /// Labels, values and times.
    pub exemplars: Vec<(Labels, f64, i64)>,
    /// Number of a type, help and unit.
    pub metadata: Option<(u64, String, String)>,
}

/// Headers of a request.
pub const HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "2.0.0"),
];

/// Labels of pairs.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The body of a request.
#[must_use]
pub fn request(series: &[Series]) -> Vec<u8> {
    let mut symbols = Symbols(vec![String::new()]);
    let mut all = Writer::default();
    for one in series {
        let labels = symbols.pairs(&one.labels);
        let exemplars: Vec<Vec<u64>> =
            one.exemplars.iter().map(|(labels, ..)| symbols.pairs(labels)).collect();
        let metadata = one.metadata.as_ref();
        let texts = metadata.map(|(_, help, unit)| (symbols.number(help), symbols.number(unit)));
        all.message(5, |message| {
            message.uint64s(1, labels);
            for (value, at_ms) in &one.samples {
                message.message(2, |sample| {
                    sample.double(1, *value);
                    sample.int64(2, *at_ms);
                });
            }
            one.histograms.iter().for_each(|histogram| message.put(3, histogram.bytes()));
            for (references, (_, value, at_ms)) in exemplars.into_iter().zip(&one.exemplars) {
                message.message(4, |exemplar| {
                    exemplar.uint64s(1, references);
                    exemplar.double(2, *value);
                    exemplar.int64(3, *at_ms);
                });
            }
            if let (Some((kind, ..)), Some((help, unit))) = (metadata, texts) {
                message.message(5, |metadata| {
                    metadata.uint64(1, *kind);
                    metadata.uint64(3, help);
                    metadata.uint64(4, unit);
                });
            }
        });
    }
    let mut whole = Writer::default();
    symbols.0.iter().for_each(|symbol| whole.put(4, symbol.as_bytes()));
    let mut bytes = whole.into_bytes();
    bytes.extend_from_slice(all.bytes());
    deflate(&bytes)
}

/// Texts by number.
struct Symbols(Vec<String>);

impl Symbols {
    fn number(&mut self, text: &str) -> u64 {
        let known = self.0.iter().position(|symbol| symbol == text);
        let at = known.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    fn pairs(&mut self, labels: &Labels) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (name, value) in labels {
            numbers.push(self.number(name));
            numbers.push(self.number(value));
        }
        numbers
    }
}

/// A native histogram of schema 0 with these buckets from 1 on, as counts and not as differences.
#[must_use]
pub fn histogram(count: u64, zero: u64, positive: &[i64], negative: &[i64], at_ms: i64) -> Writer {
    let mut message = Writer::default();
    message.uint64(1, count);
    message.double(3, 10.5);
    message.double(5, 0.001);
    message.uint64(6, zero);
    for (span, deltas, counts) in [(8, 9, negative), (11, 12, positive)] {
        if !counts.is_empty() {
            let length = u64::try_from(counts.len()).unwrap_or(u64::MAX);
            message.message(span, |span| span.uint64(2, length));
            message.sint64s(deltas, differences(counts));
        }
    }
    message.int64(15, at_ms);
    message
}

/// A native histogram with buckets up to these bounds.
#[must_use]
pub fn custom_histogram(count: u64, counts: &[i64], bounds: &[f64], at_ms: i64) -> Writer {
    let mut message = Writer::default();
    message.uint64(1, count);
    message.double(3, 10.5);
    message.sint64(4, -53);
    let length = u64::try_from(counts.len()).unwrap_or(u64::MAX);
    message.message(11, |span| span.uint64(2, length));
    message.sint64s(12, differences(counts));
    message.int64(15, at_ms);
    message.doubles(16, bounds.iter().copied());
    message
}

/// Each count less the one before it.
fn differences(counts: &[i64]) -> Vec<i64> {
    let before = [0].iter().chain(counts);
    counts.iter().zip(before).map(|(count, before)| count - before).collect()
}
