//! OpenAPI: what the HTTP API answers, as a document that tools read: `/api/v1/openapi.yaml`.
//!
//! Never: a path that is not served, which a test compares with `routes` and `bodies`.
//! Source: the OpenAPI specification 3.1, and 3.2 for streams of events.

use std::fmt::Write as _;

/// One path below `/api/v1`.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The path.
    pub path: &'static str,
    /// Its methods, in small letters.
    pub methods: &'static [&'static str],
    /// What it does.
    pub summary: &'static str,
    /// Its parameters; `!` behind a name says that it must be given.
    pub parameters: &'static [&'static str],
    /// What comes back when all is well.
    pub gives: Gives,
}

/// What an operation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// `data` of this type in the envelope.
    Data(&'static str),
    /// No content.
    Nothing,
    /// Bytes of this media type.
    Bytes(&'static str),
    /// Server-sent events; versions before 3.2 have no word for them.
    Events,
}

const fn operation(
    path: &'static str,
    methods: &'static [&'static str],
    summary: &'static str,
    parameters: &'static [&'static str],
    gives: Gives,
) -> Operation {
    Operation { path, methods, summary, parameters, gives }
}

const READ: &[&str] = &["get"];
const FORM: &[&str] = &["get", "post"];
const CHANGE: &[&str] = &["post", "put"];
const OBJECT: Gives = Gives::Data("object");
const LIST: Gives = Gives::Data("array");

/// Every operation, in upstream's order.
pub const OPERATIONS: &[Operation] = &[
    operation(
        "/query",
        FORM,
        "Value of an expression at one time",
        &["query!", "time", "timeout", "limit", "lookback_delta", "stats"],
        OBJECT,
    ),
    operation(
        "/query_range",
        FORM,
        "Values of an expression at every step of a range",
        &["query!", "start!", "end!", "step!", "timeout", "limit", "lookback_delta", "stats"],
        OBJECT,
    ),
    operation(
        "/query_exemplars",
        FORM,
        "Exemplars of the series that an expression selects",
        &["query!", "start", "end"],
        LIST,
    ),
    operation("/format_query", FORM, "An expression laid out", &["query!"], Gives::Data("string")),
    operation("/parse_query", FORM, "Syntax tree of an expression", &["query!"], OBJECT),
    operation("/labels", FORM, "Names of labels", &["match[]", "start", "end", "limit"], LIST),
    operation(
        "/label/{name}/values",
        READ,
        "Values of a label",
        &["name!", "match[]", "start", "end", "limit"],
        LIST,
    ),
    operation("/series", FORM, "Label sets", &["match[]!", "start", "end", "limit"], LIST),
    operation(
        "/metadata",
        READ,
        "What is said of metric families",
        &["metric", "limit", "limit_per_metric"],
        OBJECT,
    ),
    operation("/scrape_pools", READ, "Names of jobs", &[], OBJECT),
    operation("/scrape_pools/config", READ, "A job as YAML", &["scrapePool!"], OBJECT),
    operation("/targets", READ, "Targets and their health", &["state", "scrapePool"], OBJECT),
    operation(
        "/targets/metadata",
        READ,
        "What targets say of metric families",
        &["match_target", "metric", "limit"],
        LIST,
    ),
    operation(
        "/targets/relabel_steps",
        READ,
        "What each rule of a job's relabelling makes of labels",
        &["scrapePool!", "labels!"],
        OBJECT,
    ),
    operation(
        "/rules",
        READ,
        "Groups of rules",
        &[
            "type",
            "rule_name[]",
            "rule_group[]",
            "file[]",
            "match[]",
            "exclude_alerts",
            "group_limit",
            "group_next_token",
        ],
        OBJECT,
    ),
    operation("/alerts", READ, "Active alerts", &[], OBJECT),
    operation("/alertmanagers", READ, "Alertmanagers", &[], OBJECT),
    operation("/status/config", READ, "The configuration in force", &[], OBJECT),
    operation("/status/runtimeinfo", READ, "What the process runs on", &[], OBJECT),
    operation("/status/buildinfo", READ, "Versions", &[], OBJECT),
    operation("/status/flags", READ, "Flags and their values", &[], OBJECT),
    operation("/status/tsdb", READ, "Cardinality of the head", &["limit"], OBJECT),
    operation("/status/tsdb/blocks", READ, "Blocks", &[], OBJECT),
    operation("/status/walreplay", READ, "Progress of the replay", &[], OBJECT),
    operation("/status/self_metrics", READ, "Own metrics", &["metric_name_pattern"], LIST),
    operation("/status/queries", READ, "Queries that wait, run or answer", &[], LIST),
    operation("/status/queries/{id}", &["delete"], "End a query", &["id!"], Gives::Nothing),
    operation(
        "/admin/tsdb/delete_series",
        CHANGE,
        "Delete samples",
        &["match[]!", "start", "end"],
        Gives::Nothing,
    ),
    operation(
        "/admin/tsdb/clean_tombstones",
        CHANGE,
        "Free the space of what is deleted",
        &[],
        Gives::Nothing,
    ),
    operation("/admin/tsdb/snapshot", CHANGE, "Copy the samples", &["skip_head"], OBJECT),
    operation(
        "/read",
        &["post"],
        "Remote read",
        &[],
        Gives::Bytes("application/x-streamed-protobuf"),
    ),
    operation("/write", &["post"], "Remote write", &[], Gives::Nothing),
    operation("/otlp/v1/metrics", &["post"], "OTLP metrics", &[], Gives::Nothing),
    operation("/import", CHANGE, "Store JSON lines", &["extra_label"], Gives::Nothing),
    operation("/import/csv", CHANGE, "Store columns", &["format!", "extra_label"], Gives::Nothing),
    operation(
        "/import/prometheus",
        CHANGE,
        "Store text or OpenMetrics",
        &["extra_label", "timestamp"],
        Gives::Nothing,
    ),
    operation(
        "/export",
        FORM,
        "Samples as JSON lines",
        &["match[]!", "start", "end", "max_rows_per_line"],
        Gives::Bytes("application/stream+json"),
    ),
    operation(
        "/export/csv",
        FORM,
        "Samples as columns",
        &["format!", "match[]!", "start", "end"],
        Gives::Bytes("text/csv"),
    ),
    operation(
        "/export/openmetrics",
        FORM,
        "Samples as OpenMetrics",
        &["match[]!", "start", "end"],
        Gives::Bytes("application/openmetrics-text"),
    ),
    operation("/notifications", READ, "What operators should know", &[], LIST),
    operation("/notifications/live", READ, "The same, as it changes", &[], Gives::Events),
    operation("/features", READ, "What is there and what is on", &[], OBJECT),
    operation("/openapi.yaml", READ, "This", &["openapi_version"], Gives::Bytes(YAML)),
];

const YAML: &str = "application/yaml";

/// The document of a server of this version below `prefix`; of version 3.2 of the specification
/// where it `has_streams`, else 3.1.
#[must_use]
pub fn document(has_streams: bool, version: &str, prefix: &str) -> String {
    let specification = if has_streams { "3.2.0" } else { "3.1.0" };
    let mut text = format!(
        "openapi: {specification}\ninfo:\n  title: Cresset, the HTTP API of Prometheus\n  \
         version: {version}\nservers:\n  - url: {prefix}/api/v1\npaths:\n"
    );
    for operation in OPERATIONS {
        if operation.gives == Gives::Events && !has_streams {
            continue;
        }
        let _ = writeln!(text, "  {}:", operation.path);
        for method in operation.methods {
            put_operation(&mut text, operation, method);
        }
    }
    text.push_str(COMPONENTS);
    text
}

fn put_operation(text: &mut String, operation: &Operation, method: &str) {
    let Operation { path, summary, parameters, gives, .. } = operation;
    let _ = writeln!(text, "    {method}:\n      summary: {summary}");
    let is_form = method == "post" && operation.methods == FORM;
    if is_form {
        put_form(text, parameters);
    } else if !parameters.is_empty() {
        text.push_str("      parameters:\n");
        for (name, is_required) in parameters.iter().map(|name| required(name)) {
            let in_path = path.contains(&format!("{{{name}}}"));
            let place = if in_path { "path" } else { "query" };
            let _ = writeln!(
                text,
                "        - {{name: '{name}', in: {place}, required: {is_required}, schema: {}}}",
                schema(name)
            );
        }
    }
    text.push_str("      responses:\n");
    text.push_str(&match gives {
        Gives::Nothing => "        '204': {description: Done.}\n".to_owned(),
        Gives::Bytes(media) => content(media, "schema: {type: string}"),
        Gives::Events => content("text/event-stream", EVENT),
        Gives::Data(kind) => content(
            "application/json",
            &format!(
                "schema: {{type: object, required: [status, data], properties: {{status: {{const: \
                 success}}, data: {{type: {kind}}}, warnings: {TEXTS}, infos: {TEXTS}}}}}"
            ),
        ),
    });
    text.push_str("        default: {$ref: '#/components/responses/Failure'}\n");
}

const TEXTS: &str = "{type: array, items: {type: string}}";
const EVENT: &str = "itemSchema: {type: object, required: [data], properties: {data: {type: \
                     string, contentMediaType: application/json}}}";
const COMPONENTS: &str = "components:
  responses:
    Failure:
      description: No data, and why.
      content:
        application/json:
          schema:
            type: object
            required: [status, errorType, error]
            properties:
              status: {const: error}
              errorType:
                enum: [bad_data, execution, canceled, timeout, internal, unavailable, not_found]
              error: {type: string}
";

fn content(media: &str, schema: &str) -> String {
    format!(
        "        '200':\n          description: Done.\n          content:\n            \
         {media}:\n              {schema}\n"
    )
}

fn put_form(text: &mut String, parameters: &[&str]) {
    text.push_str(
        "      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema:
              type: object
              properties:
",
    );
    for (name, _) in parameters.iter().map(|name| required(name)) {
        let _ = writeln!(text, "                '{name}': {}", schema(name));
    }
    let names = parameters.iter().map(|name| required(name)).filter(|(_, is)| *is);
    let names: Vec<String> = names.map(|(name, _)| format!("'{name}'")).collect();
    if !names.is_empty() {
        let _ = writeln!(text, "              required: [{}]", names.join(", "));
    }
}

/// Name of a parameter, and whether it must be given.
fn required(written: &str) -> (&str, bool) {
    written.strip_suffix('!').map_or((written, false), |name| (name, true))
}

fn schema(name: &str) -> &'static str {
    match name {
        "limit" | "limit_per_metric" | "group_limit" => "{type: integer}",
        "time" | "start" | "end" => {
            "{description: Unix seconds or RFC 3339., type: [number, string]}"
        }
        "step" | "timeout" | "lookback_delta" => {
            "{description: Seconds or a duration as 1h30m., type: [number, string]}"
        }
        _ if name.ends_with("[]") => TEXTS,
        _ => "{type: string}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_its_version_and_where_it_answers() {
        let text = document(false, "0.1.0", "/prom");
        assert!(text.starts_with("openapi: 3.1.0\n"), "{text}");
        assert!(text.contains("  - url: /prom/api/v1\n"), "{text}");
        assert!(!text.contains("/notifications/live"), "{text}");
        let text = document(true, "0.1.0", "");
        assert!(text.starts_with("openapi: 3.2.0\n"), "{text}");
        assert!(text.contains("  /notifications/live:\n"), "{text}");
    }
}
