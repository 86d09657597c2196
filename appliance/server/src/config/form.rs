//! Form: what the tables' words for a value mean; looks at a whole file by the tables alone.
//!
//! Path: `tree` → **form** → faults of every section, also of those that nobody reads.
//! Never: decides what a value does; that is with whoever reads the section.

use crate::config::clouds;
use crate::config::field::{Support, Table};
use crate::config::fields::TABLES;
use crate::config::section::{
    Findings, Section, boolean_of, cannot_unmarshal, integer_of, number_of,
};
use crate::config::tree::{Kind, Node};

/// Words for a text whose content only its reader judges.
const TEXTS: [&str; 16] = [
    "text",
    "path",
    "glob",
    "pattern",
    "label name",
    "address",
    "host",
    "URL",
    "format",
    "action",
    "word",
    "header",
    "role",
    "zone",
    "attribute",
    "name",
];

/// What a value may be.
#[derive(Clone, Debug)]
pub enum Form {
    /// Any scalar.
    Text,
    /// A scalar that is not shown.
    Secret,
    /// true or false.
    Boolean,
    /// A whole number from 0.
    Count,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `1h30m`
    Duration,
    /// `15MB`
    Size,
    /// A map of texts.
    Labels,
    /// One of these texts.
    OneOf(Vec<&'static str>),
    /// A list.
    List(Box<Form>),
    /// A map by name.
    Map(Box<Form>),
    /// A section of its own.
    Section(&'static Table),
    /// Anything.
    Any,
}

impl Form {
    /// The form that `words` name; `None` when they name none.
    #[must_use]
    pub fn of(words: &'static str) -> Option<Form> {
        if let Some(item) = words.strip_prefix("list of ") {
            return Some(Form::List(Box::new(Form::of(item)?)));
        }
        if let Some(value) = words.strip_prefix("map of ") {
            return Some(Form::Map(Box::new(Form::of(value)?)));
        }
        let form = match words {
            "secret" => Form::Secret,
            "boolean" => Form::Boolean,
            "count" => Form::Count,
            "integer" => Form::Integer,
            "number" => Form::Number,
            "duration" => Form::Duration,
            "size" => Form::Size,
            "labels" => Form::Labels,
            "anything" => Form::Any,
            _ if TEXTS.contains(&words) => Form::Text,
            _ => match TABLES.iter().find(|table| table.title == words) {
                Some(table) => Form::Section(table),
                None => return one_of(words),
            },
        };
        Some(form)
    }

    /// Looks at `node` and at all below it.
    pub fn check(&self, node: &Node, findings: &mut Findings) {
        match (self, &node.kind) {
            (Form::Any, _) | (_, Kind::Null) => {}
            (Form::Section(table), _) => check_section(node, table, findings),
            (Form::List(item), Kind::List(items)) => {
                items.iter().for_each(|node| item.check(node, findings));
            }
            (Form::Map(value), Kind::Map(entries)) => {
                entries.iter().for_each(|(_, node)| value.check(node, findings));
            }
            (Form::Labels, Kind::Map(entries)) => {
                entries.iter().for_each(|(_, node)| Form::Text.check(node, findings));
            }
            (Form::Text | Form::OneOf(_) | Form::Secret, Kind::Scalar { .. } | Kind::Bytes(_)) => {}
            (Form::Duration | Form::Size, Kind::Scalar { .. }) => {}
            (
                Form::Boolean | Form::Count | Form::Integer | Form::Number,
                Kind::Scalar { text, is_plain: true },
            ) if self.takes(text) => {}
            (_, kind) => {
                let fault = cannot_unmarshal(node.place, kind, self.type_name());
                findings.push(if matches!(self, Form::Secret) { fault.secret() } else { fault });
            }
        }
    }

    /// Whether a plain scalar of this text is such a number or boolean.
    fn takes(&self, text: &str) -> bool {
        match self {
            Form::Boolean => boolean_of(text).is_some(),
            Form::Count => integer_of(text).is_some_and(|number| 0 <= number),
            Form::Integer => integer_of(text).is_some(),
            Form::Number => number_of(text).is_some(),
            _ => true,
        }
    }

    /// The type that upstream's errors name.
    fn type_name(&self) -> &'static str {
        match self {
            Form::Boolean => "bool",
            Form::Count => "uint",
            Form::Integer => "int",
            Form::Number => "float64",
            Form::List(_) => "list",
            Form::Map(_) | Form::Labels => "map",
            _ => "string",
        }
    }
}

/// `a, b or c`
fn one_of(words: &'static str) -> Option<Form> {
    let (firsts, last) = words.split_once(" or ")?;
    let mut values: Vec<&'static str> = firsts.split(", ").collect();
    values.push(last);
    Some(Form::OneOf(values))
}

fn check_section(node: &Node, table: &'static Table, findings: &mut Findings) {
    let section = Section::open(node, table, findings);
    for field in table.fields() {
        let Some(value) = section.get(field.name) else { continue };
        let Some(form) = Form::of(field.form) else { continue };
        if matches!(field.support, Support::No(_)) {
            // The field is refused as a whole, but what is wrong within it is told.
            let mut within = Findings::default();
            form.check(value, &mut within);
            if let (Some(cloud), Kind::List(items)) = (clouds::find(field.name), &value.kind) {
                items.iter().for_each(|item| check_section(item, cloud.table, &mut within));
            }
            clouds::check(field.name, value, &mut within);
            findings.take_wrong(within);
        } else {
            form.check(value, findings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse;

    #[test]
    fn every_word_of_the_tables_is_known() {
        for table in TABLES {
            for field in table.fields() {
                assert!(
                    Form::of(field.form).is_some(),
                    "{}: field {} has the form {:?}, which Form::of does not know",
                    table.title,
                    field.name,
                    field.form
                );
            }
        }
    }

    #[track_caller]
    fn check(words: &'static str, text: &str, expected: &str) {
        let mut findings = Findings::default();
        let node = parse(text).expect("YAML");
        Form::of(words).expect("known").check(&node, &mut findings);
        let texts: Vec<&str> = findings.faults.iter().map(|fault| fault.text.as_str()).collect();
        assert_eq!(texts.join("\n"), expected);
    }

    #[test]
    fn values_of_another_form_are_refused() {
        let cannot = |what: &str| format!("yaml: unmarshal errors: cannot unmarshal {what}");
        check("boolean", "yes", "");
        check("boolean", "\"yes\"", &cannot("!!str into bool"));
        check("count", "0x10", "");
        check("count", "-1", &cannot("!!str into uint"));
        check("integer", "-1", "");
        check("number", ".5", "");
        check("list of text", "[a, 1, ~]", "");
        check("list of text", "[a, {b: c}]", &cannot("!!map into string"));
        check("map of list of text", "{a: [b], c: d}", &cannot("!!str into list"));
        check("secret", "[a]", &cannot("!!seq into string"));
        check("static config", "{targets: a}", &cannot("!!str into list"));
    }

    #[test]
    fn what_is_wrong_within_an_unsupported_section_is_told() {
        let mut findings = Findings::default();
        let node = parse("remote_read: [{url: x, urll: y}]").expect("YAML");
        Form::Section(&crate::config::fields::TOP).check(&node, &mut findings);
        let texts: Vec<&str> = findings.faults.iter().map(|fault| fault.text.as_str()).collect();
        assert_eq!(
            texts,
            ["unsupported field remote_read", "field urll not found in type config.plain"]
        );
    }
}
