//! Features: what is there and what is on, as `/api/v1/features` tells it in upstream's groups.

use std::collections::BTreeMap;

use api::backend::Features;
use query::function;

use crate::flags::Flags;

/// What the HTTP API always has.
const API: &[&str] = &[
    "exclude_alerts",
    "label_values_match",
    "openapi_3.1",
    "openapi_3.2",
    "query_stats",
    "query_warnings",
    "time_range_labels",
    "time_range_series",
];
/// What the HTTP API has where a flag says so.
const API_FLAGS: &[(&str, &str)] = &[
    ("admin", "web.enable-admin-api"),
    ("lifecycle", "web.enable-lifecycle"),
    ("otlp_write_receiver", "web.enable-otlp-receiver"),
    ("remote_write_receiver", "web.enable-remote-write-receiver"),
];
/// Words of PromQL that always mean something.
const PROMQL: &[&str] = &[
    "at_modifier",
    "bool",
    "by",
    "duration_expr",
    "group_left",
    "group_right",
    "ignoring",
    "negative_offset",
    "offset",
    "on",
    "per_query_lookback_delta",
    "subqueries",
    "without",
];
/// Words of PromQL, and its engine's ways, that features switch on.
const PROMQL_FLAGS: &[(&str, &str)] = &[
    ("anchored", "promql-extended-range-selectors"),
    ("delayed_name_removal", "promql-delayed-name-removal"),
    ("fill", "promql-binop-fill-modifiers"),
    ("fill_left", "promql-binop-fill-modifiers"),
    ("fill_right", "promql-binop-fill-modifiers"),
    ("per_step_stats", "promql-per-step-stats"),
    ("smoothed", "promql-extended-range-selectors"),
    ("type_and_unit_labels", "type-and-unit-labels"),
    ("use_start_timestamps", "use-start-timestamps"),
];
const EXPERIMENTAL: &str = "promql-experimental-functions";
/// Operators and aggregations.
const OPERATORS: &[&str] = &[
    "!=",
    "!~",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "</",
    "<=",
    "==",
    "=~",
    ">",
    ">/",
    ">=",
    "@",
    "^",
    "and",
    "atan2",
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "max",
    "min",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "unless",
];
const EXPERIMENTAL_OPERATORS: &[&str] = &["limit_ratio", "limitk"];
/// What names targets.
const DISCOVERY: &[&str] = &[
    "consul",
    "dns",
    "docker",
    "dockerswarm",
    "file",
    "http",
    "kubernetes",
    "nomad",
    "puppetdb",
    "static",
];
const TSDB: &[&str] = &["exemplar_storage", "isolation", "native_histograms"];

type Group = BTreeMap<&'static str, bool>;

/// The features of a server with these flags.
#[must_use]
pub fn features(flags: &Flags) -> Features {
    let has = |name: &str| flags.features.iter().any(|feature| feature == name);
    let is_given =
        |flag: &str| flags.values.iter().any(|(name, value)| name == flag && value == "true");
    let api = API_FLAGS.iter().map(|(name, flag)| (*name, is_given(flag)));
    let promql = PROMQL_FLAGS.iter().map(|(name, feature)| (*name, has(feature)));
    let experimental = has(EXPERIMENTAL);
    let functions = function::all().iter();
    let operators = EXPERIMENTAL_OPERATORS.iter().map(|name| (*name, experimental));
    BTreeMap::from([
        ("api", on(API).chain(api).chain([("search", false)]).collect()),
        (
            "prometheus",
            Group::from([
                ("agent_mode", false),
                ("auto_reload_config", flags.auto_reload_ms.is_some()),
                ("server_mode", true),
            ]),
        ),
        ("promql", on(PROMQL).chain(promql).collect()),
        (
            "promql_functions",
            functions.map(|one| (one.name, !one.experimental || experimental)).collect(),
        ),
        ("promql_operators", on(OPERATORS).chain(operators).collect()),
        ("scrape", Group::from([("extra_scrape_metrics", true)])),
        ("service_discovery_providers", on(DISCOVERY).collect()),
        ("tsdb", on(TSDB).collect()),
    ])
}

fn on(names: &'static [&'static str]) -> impl Iterator<Item = (&'static str, bool)> {
    names.iter().map(|name| (*name, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Task, parse};

    #[track_caller]
    fn check(arguments: &[&str], group: &str, name: &str, expected: bool) {
        let arguments = ["cresset"].iter().chain(arguments).map(|text| (*text).to_owned());
        let Ok(Task::Run(flags)) = parse(arguments) else { panic!("flags of a server") };
        assert_eq!(features(&flags)[group][name], expected, "{group} {name}");
    }

    #[test]
    fn flags_and_features_switch_them() {
        check(&[], "api", "lifecycle", false);
        check(&["--web.enable-lifecycle"], "api", "lifecycle", true);
        check(&[], "promql_functions", "info", false);
        check(&[], "promql_functions", "rate", true);
        let experimental = "--enable-feature=promql-experimental-functions";
        check(&[experimental], "promql_functions", "info", true);
        check(&[experimental], "promql_operators", "limitk", true);
    }
}
