//! Values of the API as promtool writes them.
//!
//! Source: the `String` methods of `common/model`.

use model::float_text::parse_go_float;
use model::label_name::{is_legacy_label_name, is_legacy_metric_name, quote};
use model::number::{format_general, format_plain};
use serde_json::{Map, Value};

/// `name{label="value", other="value"}`
#[must_use]
pub fn metric_text(metric: &Value) -> String {
    let empty = Map::new();
    let labels = metric.as_object().unwrap_or(&empty);
    let name = labels.get("__name__").and_then(Value::as_str);
    let pairs = labels.iter().filter(|(label, _)| *label != "__name__");
    let mut shown: Vec<String> = pairs.map(|(label, value)| pair(label, value)).collect();
    match name {
        Some(name) if is_legacy_metric_name(name) && shown.is_empty() => name.to_owned(),
        Some(name) if is_legacy_metric_name(name) => format!("{name}{{{}}}", shown.join(", ")),
        Some(name) => {
            shown.insert(0, quote(name));
            format!("{{{}}}", shown.join(", "))
        }
        None => format!("{{{}}}", shown.join(", ")),
    }
}

/// `{__name__="name", label="value"}`
#[must_use]
pub fn label_set_text(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    let shown: Vec<String> = pairs.map(|(label, value)| pair(label, value)).collect();
    format!("{{{}}}", shown.join(", "))
}

fn pair(label: &str, value: &Value) -> String {
    let value = quote(value.as_str().unwrap_or(""));
    if is_legacy_label_name(label) {
        format!("{label}={value}")
    } else {
        format!("{}={value}", quote(label))
    }
}

/// The number in a text of the API; NaN where it is none.
#[must_use]
pub fn number(value: &Value) -> f64 {
    value.as_str().and_then(parse_go_float).unwrap_or(f64::NAN)
}

/// Seconds as promtool writes times.
#[must_use]
pub fn time_text(value: &Value) -> String {
    format_plain(value.as_f64().unwrap_or(0.0))
}

/// `value @[time]`
fn sample(pair: &Value) -> String {
    format!("{} @[{}]", format_plain(number(&pair[1])), time_text(&pair[0]))
}

/// A histogram and its time.
fn histogram(pair: &Value) -> String {
    let fields = &pair[1];
    let buckets = fields["buckets"].as_array().into_iter().flatten();
    let buckets: Vec<String> = buckets.map(bucket).collect();
    format!(
        "Count: {:.6}, Sum: {:.6}, Buckets: [{}] @[{}]",
        number(&fields["count"]),
        number(&fields["sum"]),
        buckets.join(" "),
        time_text(&pair[0])
    )
}

fn bucket(bucket: &Value) -> String {
    let kind = bucket[0].as_u64().unwrap_or(0);
    let open = if kind == 1 || kind == 3 { '[' } else { '(' };
    let close = if kind == 0 || kind == 3 { ']' } else { ')' };
    let bound = |at: usize| format_general(number(&bucket[at]));
    let count = format_plain(number(&bucket[3]));
    format!("{open}{},{}{close}:{count}", bound(1), bound(2))
}

/// What promtool prints of a result of the API, without the last line end.
#[must_use]
pub fn result_text(data: &Value) -> String {
    let result = &data["result"];
    let series = result.as_array().into_iter().flatten();
    match data["resultType"].as_str().unwrap_or("") {
        "scalar" => {
            let value = format_plain(number(&result[1]));
            format!("scalar: {value} @[{}]", time_text(&result[0]))
        }
        "string" => result[1].as_str().unwrap_or("").to_owned(),
        "vector" => {
            let line = |series: &Value| {
                let value = match &series["value"] {
                    Value::Null => histogram(&series["histogram"]),
                    value => sample(value),
                };
                format!("{} => {value}", metric_text(&series["metric"]))
            };
            series.map(line).collect::<Vec<_>>().join("\n")
        }
        _ => {
            let block = |series: &Value| {
                let samples = series["values"].as_array().into_iter().flatten().map(sample);
                let native = series["histograms"].as_array().into_iter().flatten().map(histogram);
                let lines: Vec<String> = samples.chain(native).collect();
                format!("{} =>\n{}", metric_text(&series["metric"]), lines.join("\n"))
            };
            series.map(block).collect::<Vec<_>>().join("\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_are_written_as_promtool_writes_them() {
        let vector = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a\"b"}, "value": [1435781451.781, "1"]},
            {"metric": {}, "value": [1435781451, "1.5e+06"]},
            {"metric": {"__name__": "h"}, "histogram": [1, {"count": "3", "sum": "1.5",
                "buckets": [[1, "-0.5", "0.25", "2"], [0, "1", "+Inf", "1"]]}]},
        ]});
        assert_eq!(
            result_text(&vector),
            "up{job=\"a\\\"b\"} => 1 @[1435781451.781]\n{} => 1500000 @[1435781451]\nh => Count: \
             3.000000, Sum: 1.500000, Buckets: [[-0.5,0.25):2 (1,+Inf]:1] @[1]"
        );
        let matrix = json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "up"}, "values": [[1, "1"], [2, "NaN"]]},
        ]});
        assert_eq!(result_text(&matrix), "up =>\n1 @[1]\nNaN @[2]");
        let scalar = json!({"resultType": "scalar", "result": [1.5, "2"]});
        assert_eq!(result_text(&scalar), "scalar: 2 @[1.5]");
        let labels = json!({"__name__": "up", "a.b": "c"});
        assert_eq!(label_set_text(&labels), "{__name__=\"up\", \"a.b\"=\"c\"}");
        assert_eq!(metric_text(&json!({"__name__": "a.b"})), "{\"a.b\"}");
    }
}
