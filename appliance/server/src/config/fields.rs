//! Fields: every field that the configuration file may have, what it means, whether it is done.
//!
//! The reference page docs/operating/configuration.md is written from these tables.

use crate::config::field::{Field, Support, Table, no, yes};

pub mod http;
pub mod discovery;

pub mod alerting;
pub mod clouds;
pub mod own;
pub mod remote;
pub mod rules;
pub mod scrape;
pub mod storage;
pub mod telemetry;

use crate::config::fields::alerting::{ALERTING, ALERTMANAGER};
use crate::config::fields::discovery::{
    ATTACH, CONSUL, DNS, DOCKER, DOCKERSWARM, FILE, HTTP_SD, KUBERNETES, NAMESPACES, NOMAD,
    PUPPETDB, SD_FILTER, SELECTOR, STATIC,
};
use crate::config::fields::http::{AUTHORIZATION, BASIC_AUTH, HEADER, OAUTH2, TLS_CONFIG};
use crate::config::fields::own::{CORES, CRESSET, LIMITS, OWNER_LIMIT, PACING, TIER};
use crate::config::fields::remote::{
    AZURE_AD, AZURE_IDENTITY, GOOGLE_IAM, METADATA, QUEUE, REMOTE_READ, REMOTE_WRITE, SIGV4,
};
use crate::config::fields::rules::{RULE, RULE_FILE, RULE_GROUP};
use crate::config::fields::scrape::{GLOBAL, RELABEL, RUNTIME, SCRAPE, SCRAPE_FILE};
use crate::config::fields::storage::{CHUNK_ENCODING, EXEMPLARS, RETENTION, STORAGE, TSDB};
use crate::config::fields::telemetry::{OTLP, TRACING};

const NO_RULES: &str = "remove it: rules are not evaluated yet";
const NO_REMOTE: &str = "remove it: samples are neither sent nor read elsewhere yet";

/// The whole file.
pub static TOP: Table = Table {
    title: "The file",
    type_name: "config.plain",
    doc: "",
    parts: &[&[
        yes("global", "global", "", "Defaults of all jobs."),
        Field {
            name: "runtime",
            form: "runtime",
            default: "",
            support: Support::Yes,
            doc: "Settings of Prometheus's runtime.",
        },
        yes("scrape_configs", "list of scrape config", "[]", "The jobs."),
        yes("storage", "storage", "", "How long samples are kept."),
        yes("cresset", "cresset", "", "Settings of this server that Prometheus does not have."),
        yes(
            "scrape_config_files",
            "list of glob",
            "[]",
            "Files of further jobs, as `scrape_configs`; relative paths start at the file.",
        ),
        no("rule_files", "list of glob", NO_RULES),
        no("alerting", "alerting", NO_RULES),
        no("remote_write", "list of remote write", NO_REMOTE),
        no("remote_read", "list of remote read", NO_REMOTE),
        no("tracing", "tracing", "remove it: traces are not sent"),
        yes("otlp", "otlp", "", "How received OTLP metrics become series."),
    ]],
};

/// Every section, in the order of the reference page.
pub static TABLES: &[&Table] = &[
    &TOP,
    &GLOBAL,
    &SCRAPE,
    &SCRAPE_FILE,
    &STATIC,
    &DNS,
    &FILE,
    &HTTP_SD,
    &CONSUL,
    &PUPPETDB,
    &NOMAD,
    &DOCKER,
    &DOCKERSWARM,
    &SD_FILTER,
    &KUBERNETES,
    &NAMESPACES,
    &SELECTOR,
    &ATTACH,
    &RELABEL,
    &BASIC_AUTH,
    &AUTHORIZATION,
    &OAUTH2,
    &TLS_CONFIG,
    &HEADER,
    &STORAGE,
    &EXEMPLARS,
    &TSDB,
    &RETENTION,
    &CHUNK_ENCODING,
    &RUNTIME,
    &ALERTING,
    &ALERTMANAGER,
    &REMOTE_WRITE,
    &QUEUE,
    &METADATA,
    &REMOTE_READ,
    &SIGV4,
    &AZURE_AD,
    &AZURE_IDENTITY,
    &GOOGLE_IAM,
    &TRACING,
    &OTLP,
    &RULE_FILE,
    &RULE_GROUP,
    &RULE,
    &CRESSET,
    &TIER,
    &LIMITS,
    &OWNER_LIMIT,
    &CORES,
    &PACING,
];
