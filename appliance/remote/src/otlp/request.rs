//! A request as it came, whatever its encoding.

use std::fmt::Write as _;

use model::number::format_sample_value;

/// Most attributes, points, buckets and other values of a request: what memory it takes is bounded
/// by this and by its bytes.
pub const VALUES_MAX: usize = 2_000_000;
/// Deepest nesting of an attribute's value.
pub const DEPTH_MAX: usize = 32;

/// Metrics of one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceMetrics {
    /// What says which resource it is.
    pub attributes: Vec<Attribute>,
    /// Its metrics.
    pub scopes: Vec<ScopeMetrics>,
}

/// Metrics of one instrumentation scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeMetrics {
    /// Name of the scope.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Schema of its names.
    pub schema_url: String,
    /// Attributes of the scope.
    pub attributes: Vec<Attribute>,
    /// Its metrics.
    pub metrics: Vec<Metric>,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub description: String,
    /// Unit, as UCUM writes it.
    pub unit: String,
    /// Its points.
    pub points: Points,
}

/// What the points of a sum or histogram count from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// Nothing is said.
    #[default]
    Unspecified,
    /// The point before.
    Delta,
    /// The start.
    Cumulative,
}

impl Temporality {
    /// The one of a number on the wire.
    #[must_use]
    pub fn of(number: u64) -> Temporality {
        match number {
            1 => Temporality::Delta,
            2 => Temporality::Cumulative,
            _ => Temporality::Unspecified,
        }
    }
}

/// Points by type of metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Points {
    /// No type that is known.
    #[default]
    None,
    /// Gauge.
    Gauge(Vec<NumberPoint>),
    /// Sum.
    Sum {
        /// The points.
        points: Vec<NumberPoint>,
        /// What they count from.
        temporality: Temporality,
        /// Whether it only rises.
        is_monotonic: bool,
    },
    /// Histogram with explicit bounds.
    Histogram(Vec<HistogramPoint>, Temporality),
    /// Exponential histogram.
    Exponential(Vec<ExponentialPoint>, Temporality),
    /// Summary.
    Summary(Vec<SummaryPoint>),
}

/// What every point has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    /// Attributes.
    pub attributes: Vec<Attribute>,
    /// When counting began, nanoseconds; 0 is unknown.
    pub start_ns: u64,
    /// When it was taken, nanoseconds.
    pub time_ns: u64,
    /// Whether it says that there is no value.
    pub is_absent: bool,
    /// Observations that it counted.
    pub exemplars: Vec<OtlpExemplar>,
}

/// A number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberPoint {
    /// What every point has.
    pub head: Head,
    /// The number.
    pub value: f64,
}

/// A histogram with explicit bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramPoint {
    /// What every point has.
    pub head: Head,
    /// All observations.
    pub count: u64,
    /// Their sum, where it is told.
    pub sum: Option<f64>,
    /// Observations of each bucket.
    pub counts: Vec<u64>,
    /// Upper bounds of the buckets but for the last.
    pub bounds: Vec<f64>,
}

/// Buckets of one side of an exponential histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Index of the first.
    pub offset: i32,
    /// Observations of each.
    pub counts: Vec<u64>,
}

/// An exponential histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExponentialPoint {
    /// What every point has.
    pub head: Head,
    /// All observations.
    pub count: u64,
    /// Their sum, where it is told.
    pub sum: Option<f64>,
    /// Bounds grow by 2^(2^-scale).
    pub scale: i32,
    /// Observations that are about 0.
    pub zero_count: u64,
    /// Positive observations.
    pub positive: Buckets,
    /// Negative observations.
    pub negative: Buckets,
}

/// A summary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SummaryPoint {
    /// What every point has.
    pub head: Head,
    /// All observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Quantiles and their values.
    pub quantiles: Vec<(f64, f64)>,
}

/// An observation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtlpExemplar {
    /// When, nanoseconds.
    pub time_ns: u64,
    /// What.
    pub value: f64,
    /// In which trace, as hexadecimal digits.
    pub trace_id: String,
    /// In which span, as hexadecimal digits.
    pub span_id: String,
    /// Attributes that the point has not.
    pub attributes: Vec<Attribute>,
}

/// A name and a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attribute {
    /// The name.
    pub key: String,
    /// The value as a text.
    pub value: String,
}

/// Value of an attribute.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AnyValue {
    /// Nothing.
    #[default]
    Empty,
    /// Text.
    Text(String),
    /// true or false.
    Boolean(bool),
    /// Whole number.
    Integer(i64),
    /// Number.
    Double(f64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values.
    List(Vec<AnyValue>),
    /// Values by name.
    Map(Vec<(String, AnyValue)>),
}

impl AnyValue {
    /// The value as the text of a label, as the collector's `AsString` gives it.
    #[must_use]
    pub fn into_text(self) -> String {
        match self {
            AnyValue::Empty => String::new(),
            AnyValue::Text(text) => text,
            AnyValue::Bytes(bytes) => base64(&bytes),
            other => {
                let mut text = String::new();
                other.write_json(&mut text);
                text
            }
        }
    }

    fn write_json(&self, into: &mut String) {
        match self {
            AnyValue::Empty => into.push_str("null"),
            AnyValue::Text(text) => write_quoted(text, into),
            AnyValue::Boolean(value) => into.push_str(if *value { "true" } else { "false" }),
            AnyValue::Integer(value) => into.push_str(&value.to_string()),
            AnyValue::Double(value) if value.is_finite() => {
                // JSON has no zero before the digit of an exponent.
                let text = format_sample_value(*value).replace("e-0", "e-").replace("e+0", "e+");
                into.push_str(&text);
            }
            AnyValue::Double(value) => {
                let text = format!("json: unsupported value: {}", format_sample_value(*value));
                into.push_str(&text);
            }
            AnyValue::Bytes(bytes) => write_quoted(&base64(bytes), into),
            AnyValue::List(values) => {
                into.push('[');
                for (at, value) in values.iter().enumerate() {
                    into.push_str(if at == 0 { "" } else { "," });
                    value.write_json(into);
                }
                into.push(']');
            }
            AnyValue::Map(entries) => {
                let mut entries: Vec<&(String, AnyValue)> = entries.iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                into.push('{');
                for (at, (key, value)) in entries.into_iter().enumerate() {
                    into.push_str(if at == 0 { "" } else { "," });
                    write_quoted(key, into);
                    into.push(':');
                    value.write_json(into);
                }
                into.push('}');
            }
        }
    }
}

/// A text of JSON, as Go writes it.
fn write_quoted(text: &str, into: &mut String) {
    into.push('"');
    for c in text.chars() {
        match c {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            c if c < ' ' || "<>&\u{2028}\u{2029}".contains(c) => {
                let _ = write!(into, "\\u{:04x}", u32::from(c));
            }
            c => into.push(c),
        }
    }
    into.push('"');
}

/// Bytes as base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts() {
        let text = |value: AnyValue| value.into_text();
        assert_eq!(text(AnyValue::Double(1e-7)), "1e-7");
        assert_eq!(text(AnyValue::Double(0.5)), "0.5");
        assert_eq!(text(AnyValue::Bytes(b"ab".to_vec())), "YWI=");
        assert_eq!(text(AnyValue::Bytes(b"abc".to_vec())), "YWJj");
        let list = AnyValue::List(vec![AnyValue::Text("a<".to_owned()), AnyValue::Integer(-1)]);
        let map = AnyValue::Map(vec![("b".to_owned(), list), ("a".to_owned(), AnyValue::Empty)]);
        assert_eq!(text(map), "{\"a\":null,\"b\":[\"a\\u003c\",-1]}");
    }
}
