//! Answer: what an endpoint gives, and Prometheus's envelope around it.
//!
//! Source: `web/api/v1/api.go` (`Response`) and `json_codec.go` of Prometheus 3.

use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;
use model::time::TimestampMs;
use query::value::{Point, Points, Sample, SeriesPoints, Value};

use crate::failure::Failure;
use crate::histogram::{Boundaries, buckets};
use crate::json::{Gone, Sink, Writer};

/// Warnings, and infos, of one answer that are written out.
const ANNOTATIONS_MAX: usize = 10;

/// What an endpoint gives.
#[derive(Debug)]
pub enum Answer {
    /// Data in the envelope.
    Success(Success),
    /// Plain text or a page, without envelope.
    Text(Text),
    /// Bytes that are made as they are sent.
    Streamed(Streamed),
}

/// Writes the bytes of an answer.
pub type Write = Box<dyn FnOnce(&mut dyn Sink) -> Result<(), Gone> + Send>;

/// An answer of status 200 that is made as it is sent.
pub struct Streamed {
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// Value of Content-Encoding, where the bytes have one already.
    pub coding: Option<&'static str>,
    /// Writes them.
    pub write: Write,
}

impl std::fmt::Debug for Streamed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Streamed({})", self.content_type)
    }
}

/// Data and what was to say about it.
#[derive(Clone, Debug)]
pub struct Success {
    /// The data.
    pub data: Content,
    /// Things that are likely wrong.
    pub warnings: Vec<String>,
    /// Things to know.
    pub infos: Vec<String>,
}

/// A plain answer.
#[derive(Clone, Debug)]
pub struct Text {
    /// Status code.
    pub status: u16,
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

/// The content of `data`.
#[derive(Clone, Debug)]
pub enum Content {
    /// The value of a query, and its `stats` as JSON when they were asked for.
    Query {
        /// The value.
        value: Value,
        /// JSON of `stats`.
        stats: Option<String>,
    },
    /// Strings, in order.
    Strings(Vec<String>),
    /// Label sets, in order.
    Series(Vec<LabelSet>),
    /// JSON as it stands.
    Json(String),
}

impl From<Content> for Answer {
    fn from(data: Content) -> Answer {
        Answer::Success(Success { data, warnings: Vec::new(), infos: Vec::new() })
    }
}

/// Value of Content-Type of plain text.
pub const TEXT_PLAIN: &str = "text/plain; charset=utf-8";

impl Answer {
    /// Plain text with status 200.
    #[must_use]
    pub fn text(body: impl Into<String>) -> Answer {
        Answer::status_text(200, body)
    }

    /// Plain text with a status.
    #[must_use]
    pub fn status_text(status: u16, body: impl Into<String>) -> Answer {
        Answer::Text(Text { status, content_type: TEXT_PLAIN, body: body.into() })
    }

    /// `value` as JSON in the envelope.
    ///
    /// # Errors
    /// Never for the types of this crate, whose keys are all strings.
    pub fn json(value: &impl serde::Serialize) -> Result<Answer, Failure> {
        let text = serde_json::to_string(value).map_err(|error| {
            Failure::new(crate::failure::Kind::Internal, format!("write JSON: {error}"))
        })?;
        Ok(Content::Json(text).into())
    }
}

/// Writes the envelope of a success.
///
/// # Errors
/// The reader is gone.
pub fn write_success(writer: &mut Writer<'_>, success: &Success) -> Result<(), Gone> {
    writer.raw("{\"status\":\"success\",\"data\":");
    match &success.data {
        Content::Query { value, stats } => write_query(writer, value, stats.as_deref())?,
        Content::Strings(texts) => writer.strings(texts)?,
        Content::Series(series) => write_list(writer, series, |writer, labels| {
            writer.labels(labels);
            Ok(())
        })?,
        Content::Json(json) => writer.raw(json),
    }
    write_annotations(writer, "warnings", "warning", &success.warnings)?;
    write_annotations(writer, "infos", "info", &success.infos)?;
    writer.raw("}");
    Ok(())
}

/// Writes the envelope of a failure.
pub fn write_failure(writer: &mut Writer<'_>, failure: &Failure) {
    writer.raw("{\"status\":\"error\",\"errorType\":");
    writer.string(failure.kind.text());
    writer.raw(",\"error\":");
    writer.string(&failure.text);
    writer.raw("}");
}

/// The first ten, then one line that counts the rest, as `annotations.AsStrings` does.
fn write_annotations(
    writer: &mut Writer<'_>,
    key: &str,
    noun: &str,
    texts: &[String],
) -> Result<(), Gone> {
    if texts.is_empty() {
        return Ok(());
    }
    writer.raw(",\"");
    writer.raw(key);
    writer.raw("\":");
    let shown = texts.len().min(ANNOTATIONS_MAX);
    let left = texts.len() - shown;
    let rest = (left != 0).then(|| format!("{left} more {noun} annotations omitted"));
    writer.strings(texts[..shown].iter().chain(&rest))
}

fn write_list<T>(
    writer: &mut Writer<'_>,
    items: &[T],
    mut write: impl FnMut(&mut Writer<'_>, &T) -> Result<(), Gone>,
) -> Result<(), Gone> {
    writer.raw("[");
    for (at, item) in items.iter().enumerate() {
        if at != 0 {
            writer.raw(",");
        }
        write(writer, item)?;
        writer.settle()?;
    }
    writer.raw("]");
    Ok(())
}

fn write_query(writer: &mut Writer<'_>, value: &Value, stats: Option<&str>) -> Result<(), Gone> {
    let kind = match value {
        Value::Scalar(..) => "scalar",
        Value::String(..) => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    writer.raw("{\"resultType\":");
    writer.string(kind);
    writer.raw(",\"result\":");
    match value {
        Value::Scalar(time, number) => write_float(writer, *time, *number),
        Value::String(time, text) => {
            writer.raw("[");
            writer.time(*time);
            writer.raw(",");
            writer.string(text);
            writer.raw("]");
        }
        Value::Vector(samples) => write_list(writer, samples, |writer, sample| {
            write_sample(writer, sample);
            Ok(())
        })?,
        Value::Matrix(series) => write_list(writer, series, write_series)?,
    }
    if let Some(stats) = stats {
        writer.raw(",\"stats\":");
        writer.raw(stats);
    }
    writer.raw("}");
    Ok(())
}

fn write_sample(writer: &mut Writer<'_>, sample: &Sample) {
    writer.raw("{\"metric\":");
    writer.labels(&sample.labels);
    match &sample.value {
        Point::Float(number) => {
            writer.raw(",\"value\":");
            write_float(writer, sample.timestamp, *number);
        }
        Point::Histogram(histogram) => {
            writer.raw(",\"histogram\":");
            write_histogram(writer, sample.timestamp, histogram);
        }
    }
    writer.raw("}");
}

fn write_series(writer: &mut Writer<'_>, series: &SeriesPoints) -> Result<(), Gone> {
    let SeriesPoints { labels, points: Points { floats, histograms } } = series;
    writer.raw("{\"metric\":");
    writer.labels(labels);
    if !floats.is_empty() {
        writer.raw(",\"values\":");
        write_list(writer, floats, |writer, (time, number)| {
            write_float(writer, *time, *number);
            Ok(())
        })?;
    }
    if !histograms.is_empty() {
        writer.raw(",\"histograms\":");
        write_list(writer, histograms, |writer, (time, histogram)| {
            write_histogram(writer, *time, histogram);
            Ok(())
        })?;
    }
    writer.raw("}");
    Ok(())
}

fn write_float(writer: &mut Writer<'_>, time: TimestampMs, number: f64) {
    writer.raw("[");
    writer.time(time);
    writer.raw(",");
    writer.value(number);
    writer.raw("]");
}

/// Buckets that hold nothing are left out.
fn write_histogram(writer: &mut Writer<'_>, time: TimestampMs, histogram: &NativeHistogram) {
    writer.raw("[");
    writer.time(time);
    writer.raw(",{\"count\":");
    writer.value(histogram.count);
    writer.raw(",\"sum\":");
    writer.value(histogram.sum);
    let filled = buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0);
    for (at, bucket) in filled.clone().enumerate() {
        writer.raw(if at == 0 { ",\"buckets\":[[" } else { ",[" });
        writer.integer(match bucket.boundaries {
            Boundaries::LeftOpen => 0u8,
            Boundaries::RightOpen => 1,
            Boundaries::Open => 2,
            Boundaries::Closed => 3,
        });
        for number in [bucket.lower, bucket.upper, bucket.count] {
            writer.raw(",");
            writer.value(number);
        }
        writer.raw("]");
    }
    writer.raw(if filled.count() == 0 { "}]" } else { "]}]" });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Default)]
    struct Text(String);

    impl Sink for Text {
        fn take(&mut self, chunk: &[u8]) -> Result<(), Gone> {
            self.0.push_str(std::str::from_utf8(chunk).expect("text"));
            Ok(())
        }
    }

    fn rendered(success: &Success) -> String {
        let mut text = Text::default();
        let mut writer = Writer::new(&mut text);
        write_success(&mut writer, success).expect("the sink takes all");
        writer.finish().expect("the sink takes all");
        text.0
    }

    #[track_caller]
    fn check(value: Value, data: &str) {
        let data = format!("{{\"status\":\"success\",\"data\":{data}}}");
        let success = Success {
            data: Content::Query { value, stats: None },
            warnings: Vec::new(),
            infos: Vec::new(),
        };
        assert_eq!(rendered(&success), data);
    }

    fn histogram() -> Arc<NativeHistogram> {
        let span = model::native_histogram::Span { offset: 1, length: 2 };
        Arc::new(NativeHistogram {
            count: 3.0,
            sum: 4.5,
            positive_spans: vec![span],
            positive_buckets: vec![3.0, 0.0],
            ..NativeHistogram::default()
        })
    }

    #[test]
    fn values_of_queries_have_prometheus_shape() {
        let up = LabelSet::new([("__name__", "up"), ("job", "a\"b")]);
        let time = TimestampMs(1_435_781_451_781);
        check(
            Value::Scalar(time, 1.5),
            r#"{"resultType":"scalar","result":[1435781451.781,"1.5"]}"#,
        );
        check(
            Value::String(TimestampMs(1000), "é\n".to_owned()),
            r#"{"resultType":"string","result":[1,"é\n"]}"#,
        );
        check(Value::Vector(Vec::new()), r#"{"resultType":"vector","result":[]}"#);
        let float =
            Sample { labels: up.clone(), timestamp: time, value: Point::Float(f64::INFINITY) };
        check(
            Value::Vector(vec![float.clone(), float]),
            concat!(
                r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a\"b"},"#,
                r#""value":[1435781451.781,"+Inf"]},{"metric":{"__name__":"up","job":"a\"b"},"#,
                r#""value":[1435781451.781,"+Inf"]}]}"#
            ),
        );
        let points = Points {
            floats: vec![(TimestampMs(0), 1.0), (TimestampMs(500), f64::NAN)],
            histograms: vec![(TimestampMs(1000), histogram())],
        };
        check(
            Value::Matrix(vec![SeriesPoints { labels: LabelSet::empty(), points }]),
            concat!(
                r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"],"#,
                r#"[0.500,"NaN"]],"histograms":[[1,{"count":"3","sum":"4.5","#,
                r#""buckets":[[0,"1","2","3"]]}]]}]}"#
            ),
        );
    }

    #[test]
    fn a_histogram_without_buckets_has_no_key_for_them() {
        let empty = Arc::new(NativeHistogram::default());
        let sample = Sample {
            labels: LabelSet::empty(),
            timestamp: TimestampMs(0),
            value: Point::Histogram(empty),
        };
        check(
            Value::Vector(vec![sample]),
            concat!(
                r#"{"resultType":"vector","result":[{"metric":{},"#,
                r#""histogram":[0,{"count":"0","sum":"0"}]}]}"#
            ),
        );
    }

    #[test]
    fn annotations_are_ten_and_a_count() {
        let texts = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<String>>();
        let success =
            |warnings, infos| Success { data: Content::Json("1".into()), warnings, infos };
        let ten = r#"["0","1","2","3","4","5","6","7","8","9"]"#;
        assert_eq!(
            rendered(&success(texts(10), Vec::new())),
            format!(r#"{{"status":"success","data":1,"warnings":{ten}}}"#)
        );
        let rest = r#","2 more info annotations omitted"]"#;
        assert_eq!(
            rendered(&success(Vec::new(), texts(12))),
            format!(r#"{{"status":"success","data":1,"infos":{}{rest}}}"#, &ten[..ten.len() - 1])
        );
    }
}
