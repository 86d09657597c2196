//! Traces that are sent, and OTLP that is received.

use crate::config::field::{Table, yes};

/// `tracing`
pub static TRACING: Table = Table {
    title: "tracing",
    type_name: "config.plain",
    doc: "Where traces of the server itself are sent.",
    parts: &[&[
        yes("client_type", "text", "grpc", "grpc or http."),
        yes("endpoint", "text", "", "Host and port of the receiver."),
        yes("sampling_fraction", "number", "0", "Part of requests that are traced."),
        yes("insecure", "boolean", "false", "Whether without TLS."),
        yes("headers", "labels", "{}", "Further headers by name."),
        yes("compression", "text", "", "gzip or nothing."),
        yes("timeout", "duration", "0s", "Time that a request may take."),
        yes("tls_config", "tls_config", "", "TLS."),
    ]],
};

/// `otlp`
pub static OTLP: Table = Table {
    title: "otlp",
    type_name: "config.plain",
    doc: "How received OTLP becomes series.",
    parts: &[&[
        yes("promote_resource_attributes", "list of attribute", "[]", "Those that become labels."),
        yes("promote_all_resource_attributes", "boolean", "false", "Whether all do."),
        yes("ignore_resource_attributes", "list of attribute", "[]", "Those of all that do not."),
        yes(
            "translation_strategy",
            "text",
            "UnderscoreEscapingWithSuffixes",
            "UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, \
             NoUTF8EscapingWithSuffixes or NoTranslation.",
        ),
        yes(
            "keep_identifying_resource_attributes",
            "boolean",
            "false",
            "Whether target_info has \
             them too.",
        ),
        yes(
            "convert_histograms_to_nhcb",
            "boolean",
            "false",
            "Whether explicit buckets become \
             native ones.",
        ),
        yes("promote_scope_metadata", "boolean", "false", "Whether scopes become labels."),
        yes(
            "label_name_underscore_sanitization",
            "boolean",
            "true",
            "Whether a label that \
             begins with `_` gets `key` before it.",
        ),
        yes(
            "label_name_preserve_multiple_underscores",
            "boolean",
            "true",
            "Whether several \
             underscores stay several.",
        ),
    ]],
};
