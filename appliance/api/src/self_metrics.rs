//! Self metrics: the server's own metrics as JSON, in the shape of protocol buffers' JSON mapping.
//!
//! Path: `status_endpoints` → **self_metrics** → the answer.
//! Source: `selfMetrics` of Prometheus's `web/api/v1/api.go`; ProtoJSON, which writes 64-bit
//! integers as strings and names the floats that JSON has none for.

use exposition::metric_type::MetricType;
use exposition::metrics::{Collected, Family, Labels, Value};
use serde_json::{Value as Json, json};

/// The families whose name `is_wanted`, as a list.
pub fn families(collected: &Collected, is_wanted: impl Fn(&str) -> bool) -> Json {
    let wanted = collected.families().filter(|(name, _)| is_wanted(name));
    wanted.map(|(name, family)| family_json(name, family)).collect()
}

fn family_json(name: &str, family: &Family) -> Json {
    let (word, key) = match family.metric_type {
        MetricType::Counter => ("COUNTER", "counter"),
        MetricType::Histogram => ("HISTOGRAM", "histogram"),
        MetricType::Summary => ("SUMMARY", "summary"),
        MetricType::Gauge => ("GAUGE", "gauge"),
        _ => ("UNTYPED", "untyped"),
    };
    let metrics = family.samples.iter().map(|(labels, value)| metric_json(key, labels, value));
    let metrics: Json = metrics.collect();
    json!({ "name": name, "help": family.help, "type": word, "metric": metrics })
}

fn metric_json(key: &str, labels: &Labels, value: &Value) -> Json {
    let mut metric = json!({ key: value_json(value) });
    if !labels.is_empty() {
        let pair = |(name, value): &(String, String)| json!({ "name": name, "value": value });
        metric["label"] = labels.iter().map(pair).collect();
    }
    metric
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Number(number) | Value::Least(number) | Value::Largest(number) => {
            json!({ "value": float(*number) })
        }
        Value::Histogram { buckets, sum, count, .. } => {
            let bucket = |(bound, count): &(f64, u64)| {
                let count = count.to_string();
                json!({ "cumulativeCount": count, "upperBound": float(*bound) })
            };
            json!({
                "sampleCount": count.to_string(),
                "sampleSum": float(*sum),
                "bucket": buckets.iter().map(bucket).collect::<Json>(),
            })
        }
        Value::Summary { quantiles, sum, count } => {
            let quantile = |(at, value): &(f64, f64)| {
                let value = float(*value);
                json!({ "quantile": float(*at), "value": value })
            };
            json!({
                "sampleCount": count.to_string(),
                "sampleSum": float(*sum),
                "quantile": quantiles.iter().map(quantile).collect::<Json>(),
            })
        }
    }
}

fn float(number: f64) -> Json {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        (if 0.0 < number { "Infinity" } else { "-Infinity" }).into()
    } else {
        number.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_as_protocol_buffers_map_them() {
        let mut all = Collected::default();
        all.gauge("a", "A.", &[("b", "c")], f64::INFINITY);
        all.histogram("h", "H.", &[], &[(0.5, 1)], 2.5, 3);
        all.summary("s", "S.", &[], &[(0.5, f64::NAN)], 1.0, 2);
        let expected = json!([
            {"name": "a", "help": "A.", "type": "GAUGE", "metric": [
                {"label": [{"name": "b", "value": "c"}], "gauge": {"value": "Infinity"}},
            ]},
            {"name": "h", "help": "H.", "type": "HISTOGRAM", "metric": [{"histogram": {
                "sampleCount": "3", "sampleSum": 2.5,
                "bucket": [{"cumulativeCount": "1", "upperBound": 0.5}],
            }}]},
            {"name": "s", "help": "S.", "type": "SUMMARY", "metric": [{"summary": {
                "sampleCount": "2", "sampleSum": 1.0,
                "quantile": [{"quantile": 0.5, "value": "NaN"}],
            }}]},
        ]);
        assert_eq!(families(&all, |_| true), expected);
        assert_eq!(families(&all, |name| name == "x"), json!([]));
    }
}
