//! Schema: the tables as a JSON schema, for editors.
//!
//! What this server refuses as unsupported is deprecated in it: editors strike it through and show
//! what to do. A value of a wrong form is wrong there too.

use serde_json::{Map, Value, json};

use crate::config::field::{Field, Support, Table};
use crate::config::fields::{TABLES, TOP};
use crate::config::form::Form;

/// In the order that durations have them.
const DURATION_UNITS: [&str; 7] = ["y", "w", "d", "h", "m", "s", "ms"];

/// The schema of the configuration file, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for table in TABLES {
        definitions.insert(table.title.to_owned(), of_table(table));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Cresset",
        "$ref": reference(&TOP),
        "$defs": definitions,
    })
}

fn reference(table: &Table) -> String {
    format!("#/$defs/{}", table.title.replace(' ', "%20"))
}

fn of_table(table: &Table) -> Value {
    let mut properties = Map::new();
    for field in table.fields() {
        properties.insert(field.name.to_owned(), of_field(field));
    }
    json!({
        "description": table.doc,
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": false,
    })
}

fn of_field(field: &'static Field) -> Value {
    let mut schema = Form::of(field.form).map_or(json!({}), |form| of_form(&form));
    let (description, is_deprecated) = match field.support {
        Support::Yes => (field.doc.to_owned(), false),
        Support::Notice(text) => (text.to_owned(), true),
        Support::Only(values, remedy) => {
            (format!("{}; otherwise {remedy}", values.join(" or ")), false)
        }
        Support::No(remedy) => (format!("unsupported; {remedy}"), true),
    };
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), Value::String(description));
        if is_deprecated {
            object.insert("deprecated".to_owned(), Value::Bool(true));
        }
    }
    schema
}

fn of_form(form: &Form) -> Value {
    let units = DURATION_UNITS.map(|unit| format!("([0-9]+{unit})?"));
    match form {
        Form::Any => json!({}),
        // A number without quotes is a text too.
        Form::Text | Form::Secret => json!({"type": ["string", "number", "boolean", "null"]}),
        Form::OneOf(values) => {
            let mut values: Vec<Value> = values.iter().map(|value| json!(value)).collect();
            values.extend([json!(""), Value::Null]);
            json!({ "enum": values })
        }
        Form::Boolean => json!({"type": ["boolean", "null"]}),
        Form::Count => json!({"type": ["integer", "null"], "minimum": 0}),
        Form::Integer => json!({"type": ["integer", "null"]}),
        Form::Number => json!({"type": ["number", "null"]}),
        Form::Duration => json!({
            "type": ["string", "integer", "null"],
            "pattern": format!("^(0|{})$", units.concat()),
        }),
        Form::Size => json!({
            "type": ["string", "integer", "null"],
            "pattern": "^(0|([0-9.]+([KMGTPE]i?)?B)+)$",
        }),
        Form::Labels => {
            let text = of_form(&Form::Text);
            json!({"type": ["object", "null"], "additionalProperties": text})
        }
        Form::List(item) => json!({"type": ["array", "null"], "items": of_form(item)}),
        Form::Map(value) => {
            json!({"type": ["object", "null"], "additionalProperties": of_form(value)})
        }
        Form::Section(table) => json!({ "$ref": reference(table) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_defined_and_every_reference_leads_to_one() {
        let text = schema().to_string();
        let definitions = schema()["$defs"].as_object().expect("object").len();
        assert_eq!(definitions, TABLES.len());
        for part in text.split("\"#/$defs/").skip(1) {
            let title = part.split('"').next().expect("title").replace("%20", " ");
            assert!(TABLES.iter().any(|table| table.title == title), "{title}");
        }
    }
}
