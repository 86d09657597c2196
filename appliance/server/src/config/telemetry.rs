//! Telemetry: `tracing` and `otlp`, read and checked as upstream has it.
//!
//! Source: `TracingConfig` and `OTLPConfig` of Prometheus's `config/config.go`.
//! Traces are not sent, so that nothing is made of that section; but what is wrong with it is told.

use ::remote::otlp::naming::Naming;
use ::remote::otlp::translate::OtlpSettings;
use model::label_name::quote;
use scrape::relabel::NameScheme;

use crate::config::fault::Fault;
use crate::config::fields::telemetry::{OTLP, TRACING};
use crate::config::remote::check_headers;
use crate::config::section::{Findings, Section};
use crate::config::tree::Node;

/// Checks the section `tracing` at `node`.
pub fn check_tracing(node: &Node, findings: &mut Findings) {
    let section = Section::open(node, &TRACING, findings);
    let mut wrong = |field, text: String| {
        findings.push(Fault::wrong(section.place_of(field), text));
    };
    let mut quiet = Findings::default();
    let text = |field, quiet: &mut Findings| section.text(field, quiet).unwrap_or("");
    let client = section.text("client_type", &mut quiet);
    if let Some(client) = client.filter(|client| !["http", "grpc"].contains(client)) {
        let text =
            format!("expected tracing client type to be to be http or grpc, but got {client}");
        wrong("client_type", text);
    }
    if text("endpoint", &mut quiet).is_empty() {
        wrong("endpoint", "tracing endpoint must be set".to_owned());
    }
    let compression = text("compression", &mut quiet);
    if !["", "gzip"].contains(&compression) {
        let text = format!("invalid compression type {compression} provided, valid options: gzip");
        wrong("compression", text);
    }
    let authorization = "custom authorization header configuration is not yet supported";
    check_headers(&section, authorization, findings);
    section.duration_ms("timeout", findings);
}

/// Reads the section `otlp` at `node`.
pub fn read_otlp(node: &Node, name_scheme: NameScheme, findings: &mut Findings) -> OtlpSettings {
    let section = Section::open(node, &OTLP, findings);
    let mut flag = |name, default| section.boolean(name, findings).unwrap_or(default);
    let all = flag("promote_all_resource_attributes", false);
    let (keeps_identifying, converts_histograms, promotes_scope) = (
        flag("keep_identifying_resource_attributes", false),
        flag("convert_histograms_to_nhcb", false),
        flag("promote_scope_metadata", false),
    );
    let prefixes_underscore = flag("label_name_underscore_sanitization", true);
    let keeps_underscores = flag("label_name_preserve_multiple_underscores", true);
    let promoted = section.texts("promote_resource_attributes", findings);
    let ignored = section.texts("ignore_resource_attributes", findings);
    let mut wrong = |field, text: &str| {
        findings.push(Fault::wrong(section.place_of(field), text));
    };
    if all && !promoted.is_empty() {
        let text = "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be \
                    configured simultaneously";
        wrong("promote_resource_attributes", text);
    }
    if !all && !ignored.is_empty() {
        let text = "'ignore_resource_attributes' cannot be configured unless \
                    'promote_all_resource_attributes' is true";
        wrong("ignore_resource_attributes", text);
    }
    check_attributes(&section, "ignore_resource_attributes", &ignored, "ignored", findings);
    check_attributes(&section, "promote_resource_attributes", &promoted, "promoted", findings);
    check_strategy(&section, name_scheme, findings);
    let strategy = section.text("translation_strategy", findings).unwrap_or("");
    let attributes = if all { ignored } else { promoted };
    OtlpSettings {
        naming: Naming {
            escapes: !matches!(strategy, "NoUTF8EscapingWithSuffixes" | "NoTranslation"),
            has_suffixes: !matches!(
                strategy,
                "UnderscoreEscapingWithoutSuffixes" | "NoTranslation"
            ),
            prefixes_underscore,
            keeps_underscores,
        },
        promotes_all: all,
        promoted: attributes.iter().map(|attribute| attribute.trim().to_owned()).collect(),
        keeps_identifying,
        converts_histograms,
        promotes_scope,
        ..OtlpSettings::default()
    }
}

fn check_attributes(
    section: &Section<'_>,
    field: &'static str,
    attributes: &[String],
    adjective: &str,
    findings: &mut Findings,
) {
    let mut seen = Vec::new();
    for attribute in attributes.iter().map(|attribute| attribute.trim()) {
        let what = if attribute.is_empty() {
            format!("empty {adjective} OTel resource attribute")
        } else if seen.contains(&attribute) {
            format!("duplicated {adjective} OTel resource attribute {}", quote(attribute))
        } else {
            seen.push(attribute);
            continue;
        };
        findings.push(Fault::wrong(section.place_of(field), format!("invalid '{field}': {what}")));
    }
}

fn check_strategy(section: &Section<'_>, name_scheme: NameScheme, findings: &mut Findings) {
    let strategy = section.text("translation_strategy", findings).unwrap_or("");
    let text = match strategy {
        "" | "UnderscoreEscapingWithSuffixes" | "UnderscoreEscapingWithoutSuffixes" => return,
        "NoTranslation" | "NoUTF8EscapingWithSuffixes" if name_scheme == NameScheme::Utf8 => {
            return;
        }
        "NoTranslation" | "NoUTF8EscapingWithSuffixes" => format!(
            "OTLP translation strategy {} is not allowed when UTF8 is disabled",
            quote(strategy)
        ),
        other => format!("unsupported OTLP translation strategy {}", quote(other)),
    };
    findings.push(Fault::wrong(section.place_of("translation_strategy"), text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse;

    #[test]
    fn strategies_say_how_names_are_made() {
        let naming = |strategy: &str| {
            let text = format!("translation_strategy: {strategy}");
            let node = parse(&text).expect("YAML");
            let mut findings = Findings::default();
            let settings = read_otlp(&node, NameScheme::Utf8, &mut findings);
            assert!(findings.faults.is_empty(), "{findings:?}");
            (settings.naming.escapes, settings.naming.has_suffixes)
        };
        assert_eq!(naming(""), (true, true));
        assert_eq!(naming("UnderscoreEscapingWithSuffixes"), (true, true));
        assert_eq!(naming("UnderscoreEscapingWithoutSuffixes"), (true, false));
        assert_eq!(naming("NoUTF8EscapingWithSuffixes"), (false, true));
        assert_eq!(naming("NoTranslation"), (false, false));
    }
}
