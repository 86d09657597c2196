//! Clouds: ways to find targets that are refused by name; what is wrong within them is told too.
//!
//! Path: `form` finds a refused field → **clouds** → faults.

use std::path::Path;

use model::label_name::quote;

use crate::config::fault::Fault;
use crate::config::fields::clouds::{CLOUDS, Rule};
use crate::config::http_config;
use crate::config::section::{Findings, Section};
use crate::config::tree::{Kind, Node};
use crate::config::url::parts;

/// The table of the items of `field`, when it is such a way.
#[must_use]
pub fn find(field: &str) -> Option<&'static crate::config::fields::clouds::Cloud> {
    CLOUDS.iter().find(|cloud| cloud.field == field)
}

/// Checks the items at `node`, the value of `field`.
pub fn check(field: &str, node: &Node, findings: &mut Findings) {
    let (Some(cloud), Kind::List(items)) = (find(field), &node.kind) else { return };
    for item in items.iter() {
        if matches!(item.kind, Kind::Null) {
            let text = format!("empty or null section in {field}");
            findings.push(Fault::wrong(item.place, text));
            continue;
        }
        let section = Section::open(item, cloud.table, findings);
        check_rules(&section, cloud.rules, findings);
        if cloud.table.find("basic_auth").is_some() {
            http_config::read(&section, Path::new(""), findings);
        }
    }
}

fn check_rules(section: &Section<'_>, rules: &[Rule], findings: &mut Findings) {
    for rule in rules {
        check_rule(section, rule, findings);
    }
}

fn check_rule(section: &Section<'_>, rule: &Rule, findings: &mut Findings) {
    let is_given = |field: &&&str| section.get(field).is_some_and(has_value);
    let given = |fields: &[&str]| fields.iter().filter(is_given).count();
    let text_of = |field| section.text(field, &mut Findings::default());
    let mut wrong = |field, text: String| {
        findings.push(Fault::wrong(section.place_of(field), text).secret());
    };
    match *rule {
        Rule::Some(fields, text) if given(fields) == 0 => wrong(fields[0], text.to_owned()),
        // Fields that exclude each other and a third each are told of by a rule of their own.
        Rule::One(fields, text) if 1 < given(fields) => wrong(fields[0], text.to_owned()),
        Rule::None(fields, text) if 0 < given(fields) => wrong(fields[0], text.to_owned()),
        Rule::Word(field, default, words, text) => {
            let word = text_of(field).unwrap_or(default);
            if !words.contains(&word) {
                let expected: Vec<String> = words.iter().map(|word| quote(word)).collect();
                let expected = expected.join(" or ");
                wrong(field, format!("{text} {}, expected {expected}", quote(word)));
            }
        }
        Rule::Url(field, text) => {
            let url = text_of(field).filter(|url| !url.is_empty()).map(parts);
            let is_whole = |url: Result<crate::config::url::UrlParts, String>| {
                url.is_ok_and(|url| !url.scheme.is_empty() && !url.host.is_empty())
            };
            if url.is_some_and(|url| !is_whole(url)) {
                wrong(field, text.to_owned());
            }
        }
        Rule::Slashes(field, text) => {
            let paths = section.texts(field, &mut Findings::default());
            if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
                wrong(field, format!("{text}: {path}"));
            }
        }
        Rule::When(field, default, word, rules) if text_of(field).unwrap_or(default) == word => {
            check_rules(section, rules, findings);
        }
        _ => {}
    }
}

fn has_value(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar { text, .. } => !text.is_empty(),
        Kind::List(items) => !items.is_empty(),
        Kind::Null => false,
        Kind::Map(_) | Kind::Bytes(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::field::{Field, Support};
    use crate::config::fields::discovery::DISCOVERY;
    use crate::config::tree::parse;

    #[track_caller]
    fn check_cloud(field: &str, text: &str, expected: &[&str]) {
        let mut findings = Findings::default();
        check(field, &parse(text).expect("YAML"), &mut findings);
        let texts: Vec<&str> = findings
            .faults
            .iter()
            .filter(|fault| fault.kind == crate::config::fault::FaultKind::Wrong)
            .map(|fault| fault.text.as_str())
            .collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn every_way_is_a_refused_field_of_jobs() {
        for cloud in CLOUDS {
            let field = DISCOVERY.iter().find(|field| field.name == cloud.field);
            let is_refused = |field: &Field| matches!(field.support, Support::No(_));
            assert!(
                field.is_some_and(is_refused),
                "{} is done: take it out of CLOUDS",
                cloud.field
            );
        }
    }

    #[test]
    fn what_is_wrong_within_a_way_is_told() {
        let text = "azure SD configuration requires a tenant_id";
        let rest = ["client_id", "client_secret"]
            .map(|field| format!("azure SD configuration requires a {field}"));
        check_cloud("azure_sd_configs", "[{subscription_id: a}]", &[text, &rest[0], &rest[1]]);
        let sdk = "[{subscription_id: a, authentication_method: SDK}]";
        check_cloud("azure_sd_configs", sdk, &[]);
        check_cloud(
            "hetzner_sd_configs",
            "[{role: x}, ~]",
            &[
                "unknown role \"x\", expected \"robot\" or \"hcloud\"",
                "empty or null section in hetzner_sd_configs",
            ],
        );
        check_cloud(
            "eureka_sd_configs",
            "[{server: a}]",
            &["eureka_sd: invalid eureka server URL"],
        );
        check_cloud(
            "nerve_sd_configs",
            "[{servers: [a], paths: [b]}]",
            &["nerve SD config paths must begin with '/': b"],
        );
        check_cloud(
            "oci_sd_configs",
            "[{region: a, auth: instance_principal, user: b}]",
            &["oci_sd: instance_principal auth must not have tenancy, user, fingerprint, \
                 key_file, key_passphrase, or key_passphrase_file set"],
        );
        check_cloud(
            "vultr_sd_configs",
            "[{urll: a}]",
            &["field urll not found in type vultr.plain"],
        );
    }
}
