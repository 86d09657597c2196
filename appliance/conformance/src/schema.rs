//! Schema: as much of JSON Schema as our own schema uses.

use model::regex::GoRegex;
use serde_json::Value;

/// Why `value` is not valid by `schema`, a part of `root`; `None` when it is. `place` leads to it.
#[must_use]
pub fn validate(root: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    let mut schema = schema;
    while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = reference.trim_start_matches('#').replace("%20", " ");
        match root.pointer(&pointer) {
            Some(found) => schema = found,
            None => return Some(format!("{place}: {reference} leads nowhere")),
        }
    }
    let fault = |what: &str| Some(format!("{place}: {value} {what}"));
    if !has_type(schema, value) {
        return fault(&format!("is not of type {}", schema["type"]));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array)
        && !values.contains(value)
    {
        return fault("is none of the values");
    }
    if value.as_i64().is_some_and(|value| schema["minimum"].as_i64().is_some_and(|m| value < m)) {
        return fault("is too small");
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str()) {
        let regex = GoRegex::anchored(pattern.trim_start_matches('^').trim_end_matches('$'));
        if !regex.is_ok_and(|regex| regex.is_match(text)) {
            return fault("does not match the pattern");
        }
    }
    if let Some(fault) = any_of(root, schema, value, place) {
        return Some(fault);
    }
    if schema["format"] == "date-time" && !value.as_str().is_some_and(is_date_time) {
        return fault("is no time of RFC 3339");
    }
    let list = |name: &str| schema.get(name).and_then(Value::as_array).into_iter().flatten();
    if let Some(name) =
        list("required").find(|name| value.get(name.as_str().unwrap_or("")).is_none())
    {
        return fault(&format!("has no {name}"));
    }
    let items = value.as_array().map_or(0, Vec::len) as u64;
    let bounds = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
    if bounds.0.is_some_and(|min| items < min) || bounds.1.is_some_and(|max| max < items) {
        return fault("has another number of items");
    }
    match value {
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| {
            validate(root, schema.get("items")?, item, &format!("{place}/{at}"))
        }),
        Value::Object(entries) => entries.iter().find_map(|(name, value)| {
            let place = format!("{place}/{name}");
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(schema), _) => validate(root, schema, value, &place),
                (None, Some(Value::Bool(false))) => Some(format!("{place} is not known")),
                (None, Some(others)) => validate(root, others, value, &place),
                (None, None) => None,
            }
        }),
        _ => None,
    }
}

/// Why `value` is valid by none, or by several, of the schemas it has the choice of.
fn any_of(root: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    for (name, most) in [("anyOf", usize::MAX), ("oneOf", 1)] {
        let Some(choices) = schema.get(name).and_then(Value::as_array) else { continue };
        let faults: Vec<String> =
            choices.iter().filter_map(|choice| validate(root, choice, value, place)).collect();
        let valid = choices.len() - faults.len();
        if valid == 0 {
            return Some(format!("{place}: is none of: {}", faults.join("; ")));
        }
        if most < valid {
            return Some(format!("{place}: is {valid} of {name} at once"));
        }
    }
    None
}

/// `2026-12-01T10:00:00.5Z` or with an offset.
fn is_date_time(text: &str) -> bool {
    let form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)";
    GoRegex::anchored(form).is_ok_and(|form| form.is_match(text))
}

fn has_type(schema: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    };
    match schema.get("type") {
        None => true,
        Some(Value::Array(names)) => names.iter().any(is),
        Some(name) => is(name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: Option<&str>) {
        let root = json!({
            "$defs": {"a b": {
                "type": ["object", "null"],
                "properties": {"n": {"type": "integer", "minimum": 0}, "t": {"pattern": "^x+$"}},
                "additionalProperties": false,
            }},
            "items": {"$ref": "#/$defs/a%20b"},
        });
        assert_eq!(validate(&root, &root, &value, "").as_deref(), expected);
    }

    #[test]
    fn choices_and_what_must_be_there_are_looked_at() {
        let root = json!({
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": {"type": "array", "minItems": 2, "maxItems": 2, "items": {
                    "oneOf": [{"type": "number"}, {"type": "string"}],
                }},
                "t": {"type": "string", "format": "date-time"},
            },
        });
        let check = |value: Value, expected: Option<&str>| {
            assert_eq!(validate(&root, &root, &value, "").as_deref(), expected);
        };
        check(json!({"a": [1, "b"], "t": "2026-12-01T10:00:00.5Z"}), None);
        check(json!({}), Some(": {} has no \"a\""));
        check(json!({"a": [1]}), Some("/a: [1] has another number of items"));
        check(json!({"a": [1, 2], "t": "x"}), Some("/t: \"x\" is no time of RFC 3339"));
        let none = "/a/1: is none of: /a/1: null is not of type \"number\"; \
                    /a/1: null is not of type \"string\"";
        check(json!({"a": [1, null]}), Some(none));
    }

    #[test]
    fn what_is_not_of_the_schema_is_told_with_its_place() {
        check(json!([{"n": 1, "t": "xx"}, null]), None);
        check(json!([{"n": -1}]), Some("/0/n: -1 is too small"));
        check(json!([{"n": "a"}]), Some("/0/n: \"a\" is not of type \"integer\""));
        check(json!([{"t": "y"}]), Some("/0/t: \"y\" does not match the pattern"));
        check(json!([{"z": 1}]), Some("/0/z is not known"));
    }
}
