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
    fn what_is_not_of_the_schema_is_told_with_its_place() {
        check(json!([{"n": 1, "t": "xx"}, null]), None);
        check(json!([{"n": -1}]), Some("/0/n: -1 is too small"));
        check(json!([{"n": "a"}]), Some("/0/n: \"a\" is not of type \"integer\""));
        check(json!([{"t": "y"}]), Some("/0/t: \"y\" does not match the pattern"));
        check(json!([{"z": 1}]), Some("/0/z is not known"));
    }
}
