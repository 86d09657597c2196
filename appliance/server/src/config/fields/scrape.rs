//! Jobs and what they take from `global`.

use crate::config::field::{Field, Support, Table, yes};
use crate::config::fields::discovery::DISCOVERY;
use crate::config::fields::http::HTTP;

const LIMITS: &[Field] = &[
    yes("body_size_limit", "size", "0", "Most bytes of an answer, inflated; 0 is no limit."),
    yes("sample_limit", "count", "0", "Most samples after metric relabelling; 0 is no limit."),
    yes("label_limit", "count", "0", "Most labels of a series; 0 is no limit."),
    yes("label_name_length_limit", "count", "0", "Most bytes of a label name; 0 is no limit."),
    yes("label_value_length_limit", "count", "0", "Most bytes of a label value; 0 is no limit."),
    yes("target_limit", "count", "0", "Most targets of a job; over it all of them fail."),
    yes("keep_dropped_targets", "count", "0", "Dropped targets that are listed; 0 is all."),
];

const FORMATS: &[Field] = &[
    yes(
        "scrape_protocols",
        "list of format",
        "[OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0, PrometheusText0.0.4]",
        "Formats that targets are asked for, most wanted first. Where native histograms are \
         scraped, PrometheusProto is first by default.",
    ),
    yes("metric_name_validation_scheme", "utf8 or legacy", "utf8", "Which names are legal."),
    yes(
        "metric_name_escaping_scheme",
        "allow-utf-8, underscores, dots or values",
        "allow-utf-8; underscores where names are legacy",
        "What targets are asked to do with names that are not of the classic alphabet.",
    ),
    yes(
        "scrape_native_histograms",
        "boolean",
        "false",
        "Whether native histograms are scraped; else the classic ones beside them.",
    ),
    yes(
        "convert_classic_histograms_to_nhcb",
        "boolean",
        "false",
        "Whether classic histograms become native ones with custom buckets.",
    ),
    yes(
        "always_scrape_classic_histograms",
        "boolean",
        "false",
        "Whether classic histograms are kept also where there are native ones.",
    ),
    yes("extra_scrape_metrics", "boolean", "false", "Three more series about each scrape."),
    yes(
        "scrape_failure_log_file",
        "path",
        "",
        "File that every failed scrape is logged to, a line of JSON each; opened anew on reload.",
    ),
];

/// `global`
pub static GLOBAL: Table = Table {
    title: "global",
    type_name: "config.plain",
    doc: "Defaults of all jobs.",
    parts: &[
        &[
            yes("scrape_interval", "duration", "1m", "Time between scrapes of a target."),
            yes(
                "scrape_timeout",
                "duration",
                "10s",
                "Time a scrape may take; at most the interval.",
            ),
            yes("evaluation_interval", "duration", "1m", "Step of subqueries that name none."),
            yes(
                "external_labels",
                "labels",
                "{}",
                "Labels for the world outside. `${X}` is replaced by the environment.",
            ),
            Field {
                name: "rule_query_offset",
                form: "duration",
                default: "0s",
                support: Support::Notice(
                    "global.rule_query_offset has no effect: rules are not evaluated yet",
                ),
                doc: "",
            },
            yes(
                "query_log_file",
                "path",
                "",
                "File that every query is logged to, a line of JSON each; opened anew on reload.",
            ),
        ],
        FORMATS,
        LIMITS,
    ],
};

/// `runtime`
pub static RUNTIME: Table = Table {
    title: "runtime",
    type_name: "config.RuntimeConfig",
    doc: "Settings of Prometheus's runtime.",
    parts: &[&[Field {
        name: "gogc",
        form: "count",
        default: "75",
        support: Support::Notice("runtime.gogc has no effect: there is no garbage collector"),
        doc: "",
    }]],
};

/// One of `scrape_configs`
pub static SCRAPE: Table = Table {
    title: "scrape config",
    type_name: "config.ScrapeConfig",
    doc: "A job: targets that are scraped alike.",
    parts: &[
        &[
            yes("job_name", "text", "", "Name, once in the file; the `job` label of its series."),
            yes("scrape_interval", "duration", "global", "Time between scrapes of a target."),
            yes(
                "scrape_timeout",
                "duration",
                "global",
                "Time a scrape may take; at most the interval.",
            ),
            yes("metrics_path", "path", "/metrics", "Path of the metrics."),
            yes("scheme", "text", "http", "http or https."),
            yes("params", "map of list of text", "{}", "Parameters of the URL."),
            yes(
                "honor_labels",
                "boolean",
                "false",
                "Whether labels of the target's answer win over its own.",
            ),
            yes(
                "honor_timestamps",
                "boolean",
                "true",
                "Whether timestamps of the answer are kept.",
            ),
            yes(
                "track_timestamps_staleness",
                "boolean",
                "false",
                "Staleness markers for series with timestamps of their own.",
            ),
            yes("enable_compression", "boolean", "true", "Whether answers may come compressed."),
            yes(
                "fallback_scrape_protocol",
                "format",
                "",
                "The format of an answer without usable Content-Type.",
            ),
            yes("static_configs", "list of static config", "[]", "The targets."),
            yes("relabel_configs", "list of relabel config", "[]", "Rewrites and selects targets."),
            yes(
                "metric_relabel_configs",
                "list of relabel config",
                "[]",
                "Rewrites and selects series.",
            ),
            yes(
                "native_histogram_bucket_limit",
                "count",
                "0",
                "Most buckets of a native histogram; it is made coarser until they fit, and the \
                 scrape fails where that is not possible. 0 is no limit.",
            ),
            yes(
                "native_histogram_min_bucket_factor",
                "number",
                "0",
                "Least growth from one bucket of a native histogram to the next; finer ones are \
                 made coarser.",
            ),
        ],
        FORMATS,
        LIMITS,
        HTTP,
        DISCOVERY,
    ],
};

/// A file of `scrape_config_files`
pub static SCRAPE_FILE: Table = Table {
    title: "scrape config file",
    type_name: "config.ScrapeConfigs",
    doc: "A file that `scrape_config_files` names.",
    parts: &[&[yes("scrape_configs", "list of scrape config", "[]", "Further jobs.")]],
};

/// One of `relabel_configs`
pub static RELABEL: Table = Table {
    title: "relabel config",
    type_name: "relabel.plain",
    doc: "A rule that rewrites, keeps or drops a label set.",
    parts: &[&[
        yes("source_labels", "list of label name", "[]", "Labels whose values are joined."),
        yes("separator", "text", ";", "What is put between them."),
        yes("regex", "pattern", "(.*)", "Pattern over the whole of the joined values."),
        yes("modulus", "count", "0", "Divisor of hashmod."),
        yes("target_label", "label name", "", "Label that is written or compared."),
        yes("replacement", "text", "$1", "What is written."),
        yes(
            "action",
            "action",
            "replace",
            "replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, \
             labelkeep, lowercase or uppercase.",
        ),
    ]],
};
