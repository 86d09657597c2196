//! OTLP metrics as JSON: the protobuf messages by their JSON mapping, as OpenTelemetry narrows it.
//!
//! Path: body → **otlp_json** → the request that `remote` translates.
//! Source: opentelemetry-proto, `docs/specification.md`, "JSON Protobuf Encoding": names in lower
//! camel case, 64-bit numbers as texts or numbers, ids as hexadecimal digits.

use remote::otlp::request::{
    AnyValue, Attribute, Buckets, ExponentialPoint, Head, HistogramPoint, Metric, NumberPoint,
    OtlpExemplar, Points, ResourceMetrics, ScopeMetrics, SummaryPoint, Temporality,
};
use serde_json::Value;

/// Most bytes of a body as JSON: a tree of it takes some twenty times as much.
pub const JSON_BYTES_MAX: usize = 16 << 20;

/// Reads a request.
///
/// # Errors
/// It is no JSON, or a value is of another kind.
pub fn read(body: &[u8]) -> Result<Vec<ResourceMetrics>, String> {
    let root: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if !root.is_object() {
        return Err("the request is no object".to_owned());
    }
    list(&root, "resourceMetrics", resource)
}

fn resource(of: &Value) -> Result<ResourceMetrics, String> {
    let attributes = match get(of, "resource") {
        Value::Null => Vec::new(),
        resource => list(resource, "attributes", attribute)?,
    };
    Ok(ResourceMetrics { attributes, scopes: list(of, "scopeMetrics", scope)? })
}

fn scope(of: &Value) -> Result<ScopeMetrics, String> {
    let scope = get(of, "scope");
    Ok(ScopeMetrics {
        name: text(scope, "name")?,
        version: text(scope, "version")?,
        schema_url: text(of, "schemaUrl")?,
        attributes: list(scope, "attributes", attribute)?,
        metrics: list(of, "metrics", metric)?,
    })
}

fn metric(of: &Value) -> Result<Metric, String> {
    let kind = |name: &str| Some(get(of, name)).filter(|found| found.is_object());
    let temporality = |of: &Value| -> Result<Temporality, String> {
        match get(of, "aggregationTemporality") {
            Value::String(name) if name.ends_with("_DELTA") => Ok(Temporality::Delta),
            Value::String(name) if name.ends_with("_CUMULATIVE") => Ok(Temporality::Cumulative),
            _ => Ok(Temporality::of(whole(of, "aggregationTemporality")?)),
        }
    };
    let points = if let Some(gauge) = kind("gauge") {
        Points::Gauge(list(gauge, "dataPoints", number_point)?)
    } else if let Some(sum) = kind("sum") {
        Points::Sum {
            points: list(sum, "dataPoints", number_point)?,
            temporality: temporality(sum)?,
            is_monotonic: get(sum, "isMonotonic").as_bool().unwrap_or(false),
        }
    } else if let Some(histogram) = kind("histogram") {
        let points = list(histogram, "dataPoints", histogram_point)?;
        Points::Histogram(points, temporality(histogram)?)
    } else if let Some(exponential) = kind("exponentialHistogram") {
        let points = list(exponential, "dataPoints", exponential_point)?;
        Points::Exponential(points, temporality(exponential)?)
    } else if let Some(summary) = kind("summary") {
        Points::Summary(list(summary, "dataPoints", summary_point)?)
    } else {
        Points::None
    };
    Ok(Metric {
        name: text(of, "name")?,
        description: text(of, "description")?,
        unit: text(of, "unit")?,
        points,
    })
}

fn head(of: &Value) -> Result<Head, String> {
    Ok(Head {
        attributes: list(of, "attributes", attribute)?,
        start_ns: whole(of, "startTimeUnixNano")?,
        time_ns: whole(of, "timeUnixNano")?,
        is_absent: whole(of, "flags")? & 1 != 0,
        exemplars: list(of, "exemplars", exemplar)?,
    })
}

fn number_point(of: &Value) -> Result<NumberPoint, String> {
    Ok(NumberPoint { head: head(of)?, value: value_of(of)? })
}

/// `asDouble` or `asInt`
fn value_of(of: &Value) -> Result<f64, String> {
    match get(of, "asInt") {
        Value::Null => Ok(number(get(of, "asDouble"), "asDouble")?.unwrap_or(0.0)),
        integer => Ok(number(integer, "asInt")?.unwrap_or(0.0)),
    }
}

fn histogram_point(of: &Value) -> Result<HistogramPoint, String> {
    Ok(HistogramPoint {
        head: head(of)?,
        count: whole(of, "count")?,
        sum: number(get(of, "sum"), "sum")?,
        counts: list(of, "bucketCounts", |count| whole_of(count, "bucketCounts"))?,
        bounds: list(of, "explicitBounds", |bound| {
            number(bound, "explicitBounds").map(|bound| bound.unwrap_or(0.0))
        })?,
    })
}

fn exponential_point(of: &Value) -> Result<ExponentialPoint, String> {
    Ok(ExponentialPoint {
        head: head(of)?,
        count: whole(of, "count")?,
        sum: number(get(of, "sum"), "sum")?,
        scale: small(of, "scale")?,
        zero_count: whole(of, "zeroCount")?,
        positive: buckets(get(of, "positive"))?,
        negative: buckets(get(of, "negative"))?,
    })
}

fn buckets(of: &Value) -> Result<Buckets, String> {
    let counts = list(of, "bucketCounts", |count| whole_of(count, "bucketCounts"))?;
    Ok(Buckets { offset: small(of, "offset")?, counts })
}

fn summary_point(of: &Value) -> Result<SummaryPoint, String> {
    let pair = |of: &Value| {
        let part = |name| number(get(of, name), name).map(|found| found.unwrap_or(0.0));
        Ok((part("quantile")?, part("value")?))
    };
    Ok(SummaryPoint {
        head: head(of)?,
        count: whole(of, "count")?,
        sum: number(get(of, "sum"), "sum")?.unwrap_or(0.0),
        quantiles: list(of, "quantileValues", pair)?,
    })
}

fn exemplar(of: &Value) -> Result<OtlpExemplar, String> {
    Ok(OtlpExemplar {
        time_ns: whole(of, "timeUnixNano")?,
        value: value_of(of)?,
        trace_id: text(of, "traceId")?.to_ascii_lowercase(),
        span_id: text(of, "spanId")?.to_ascii_lowercase(),
        attributes: list(of, "filteredAttributes", attribute)?,
    })
}

fn attribute(of: &Value) -> Result<Attribute, String> {
    let value = any_value(get(of, "value"))?.into_text();
    Ok(Attribute { key: text(of, "key")?, value })
}

/// A value; nesting is bounded by the reader of JSON.
fn any_value(of: &Value) -> Result<AnyValue, String> {
    let Some(fields) = of.as_object() else { return Ok(AnyValue::Empty) };
    let Some((kind, value)) = fields.iter().next() else { return Ok(AnyValue::Empty) };
    Ok(match camel(kind).as_str() {
        "stringValue" => AnyValue::Text(value.as_str().unwrap_or("").to_owned()),
        "boolValue" => AnyValue::Boolean(value.as_bool().unwrap_or(false)),
        "intValue" => AnyValue::Integer(match value {
            Value::String(text) => text.parse().map_err(|_| wrong("intValue"))?,
            other => other.as_i64().ok_or_else(|| wrong("intValue"))?,
        }),
        "doubleValue" => AnyValue::Double(number(value, "doubleValue")?.unwrap_or(0.0)),
        // It is base64 here, and base64 as a label.
        "bytesValue" => AnyValue::Text(value.as_str().unwrap_or("").to_owned()),
        "arrayValue" => AnyValue::List(list(value, "values", any_value)?),
        "kvlistValue" => AnyValue::Map(list(value, "values", |pair| {
            Ok((text(pair, "key")?, any_value(get(pair, "value"))?))
        })?),
        _ => AnyValue::Empty,
    })
}

/// A field by its name in camel case, or in snake case as protobuf's mapping allows too.
fn get<'a>(of: &'a Value, name: &str) -> &'a Value {
    match of.get(name) {
        Some(found) => found,
        None => of.get(snake(name)).unwrap_or(&Value::Null),
    }
}

fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let (first, rest) = part.split_at(part.len().min(1));
        text.push_str(&first.to_ascii_uppercase());
        text.push_str(rest);
    }
    text
}

fn list<T>(
    of: &Value,
    name: &str,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match get(of, name) {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(read).collect(),
        _ => Err(wrong(name)),
    }
}

fn text(of: &Value, name: &str) -> Result<String, String> {
    match get(of, name) {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        _ => Err(wrong(name)),
    }
}

fn whole(of: &Value, name: &str) -> Result<u64, String> {
    whole_of(get(of, name), name)
}

fn whole_of(value: &Value, name: &str) -> Result<u64, String> {
    match value {
        Value::Null => Ok(0),
        Value::String(text) => text.parse().map_err(|_| wrong(name)),
        other => other.as_u64().ok_or_else(|| wrong(name)),
    }
}

fn small(of: &Value, name: &str) -> Result<i32, String> {
    match get(of, name) {
        Value::Null => Ok(0),
        Value::String(text) => text.parse().map_err(|_| wrong(name)),
        other => other.as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(|| wrong(name)),
    }
}

fn number(value: &Value, name: &str) -> Result<Option<f64>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => match text.as_str() {
            "Infinity" => Ok(Some(f64::INFINITY)),
            "-Infinity" => Ok(Some(f64::NEG_INFINITY)),
            "NaN" => Ok(Some(f64::NAN)),
            text => text.parse().map(Some).map_err(|_| wrong(name)),
        },
        other => other.as_f64().map(Some).ok_or_else(|| wrong(name)),
    }
}

fn wrong(name: &str) -> String {
    format!("field {name} is of another kind")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read() {
        let body = br#"{"resourceMetrics": [{"resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "n", "value": {"intValue": "7"}}]},
            "scopeMetrics": [{"scope": {"name": "lib"}, "metrics": [
            {"name": "a", "unit": "s", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
             "dataPoints": [{"timeUnixNano": "5000000", "asInt": "3"}]}},
            {"name": "b", "gauge": {"data_points": [
             {"time_unix_nano": 5, "asDouble": "NaN"}]}}]}]}]}"#;
        let read = read(body).expect("a request");
        assert_eq!(read[0].attributes[1].value, "7");
        let metrics = &read[0].scopes[0].metrics;
        let Points::Sum { points, temporality, is_monotonic: true } = &metrics[0].points else {
            panic!("a sum");
        };
        assert_eq!((points[0].value, points[0].head.time_ns), (3.0, 5_000_000));
        assert_eq!(*temporality, Temporality::Cumulative);
        let Points::Gauge(points) = &metrics[1].points else { panic!("a gauge") };
        assert!(points[0].value.is_nan() && points[0].head.time_ns == 5);
    }

    #[test]
    fn what_is_of_another_kind_is_refused() {
        assert!(read(b"[]").is_err());
        assert!(read(b"{\"resourceMetrics\": 1}").unwrap_err().contains("resourceMetrics"));
        assert!(read(b"{").is_err());
    }
}
