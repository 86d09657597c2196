//! Remote: `remote_write` and `remote_read`, checked as upstream checks them.
//!
//! Source: `RemoteWriteConfig`, `QueueConfig` and `RemoteReadConfig` of Prometheus's
//! `config/config.go`.
//! Samples are neither sent nor read elsewhere yet, so that nothing is made of them; but what is
//! wrong with them is told.

use std::path::Path;

use model::label_name::quote;
use scrape::relabel::NameScheme;

use crate::config::fault::Fault;
use crate::config::fields::remote::{AZURE_AD, METADATA, QUEUE, REMOTE_READ, REMOTE_WRITE};
use crate::config::http_config;
use crate::config::relabel::rules;
use crate::config::section::{Findings, Section, scalar_text};
use crate::config::tree::{Kind, Node};
use crate::config::url::parts;

/// The messages that receivers of samples know.
const MESSAGES: [&str; 2] = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];

/// Headers that the sender sets itself.
const RESERVED: [&str; 17] = [
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Checks the items of `remote_write`.
pub fn check_write(
    items: &[Node],
    name_scheme: NameScheme,
    directory: &Path,
    findings: &mut Findings,
) {
    let mut names = Vec::new();
    for node in items {
        if is_absent(node, "empty or null remote write config section", findings) {
            continue;
        }
        let section = Section::open(node, &REMOTE_WRITE, findings);
        check_name(&section, "write", &mut names, findings);
        check_url(&section, "url for remote_write is empty", findings);
        let empty = "empty or null relabeling rule in remote write config";
        rules(&section, "write_relabel_configs", empty, name_scheme, findings);
        let authorization = "authorization header must be changed via the basic_auth, \
                             authorization, oauth2, sigv4, azuread or google_iam parameter";
        check_headers(&section, authorization, findings);
        check_message(&section, findings);
        section.duration_ms("remote_timeout", findings);
        http_config::read(&section, directory, findings);
        check_queue(&section, findings);
        if let Some(node) = section.get("metadata_config") {
            Section::open(node, &METADATA, findings).duration_ms("send_interval", findings);
        }
        check_one_authorization(&section, findings);
        check_azure(&section, findings);
    }
}

/// Checks the items of `remote_read`.
pub fn check_read(items: &[Node], directory: &Path, findings: &mut Findings) {
    let mut names = Vec::new();
    for node in items {
        if is_absent(node, "empty or null remote read config section", findings) {
            continue;
        }
        let section = Section::open(node, &REMOTE_READ, findings);
        check_name(&section, "read", &mut names, findings);
        check_url(&section, "url for remote_read is empty", findings);
        let authorization = "authorization header must be changed via the basic_auth, \
                             authorization, oauth2, sigv4, azuread or google_iam parameter";
        check_headers(&section, authorization, findings);
        section.duration_ms("remote_timeout", findings);
        http_config::read(&section, directory, findings);
    }
}

/// Refuses headers that are set by the sender, and Authorization in the words given.
pub fn check_headers(section: &Section<'_>, authorization: &str, findings: &mut Findings) {
    for (key, _) in section.map("headers", findings) {
        let name = scalar_text(key).unwrap_or("");
        let lower = name.to_ascii_lowercase();
        if lower == "authorization" {
            findings.push(Fault::wrong(key.place, authorization).secret());
        } else if RESERVED.contains(&lower.as_str()) {
            let text = format!("{name} is a reserved header. It must not be changed");
            findings.push(Fault::wrong(key.place, text));
        }
    }
}

fn is_absent(node: &Node, text: &str, findings: &mut Findings) -> bool {
    let absent = matches!(node.kind, Kind::Null);
    if absent {
        findings.push(Fault::wrong(node.place, text));
    }
    absent
}

fn check_name<'a>(
    section: &Section<'a>,
    what: &str,
    names: &mut Vec<&'a str>,
    findings: &mut Findings,
) {
    let Some(name) = section.text("name", findings).filter(|name| !name.is_empty()) else { return };
    if names.contains(&name) {
        let text = format!("found multiple remote {what} configs with job name {}", quote(name));
        findings.push(Fault::wrong(section.place_of("name"), text));
    }
    names.push(name);
}

fn check_url(section: &Section<'_>, absent: &str, findings: &mut Findings) {
    match section.text("url", findings).map(parts) {
        None => findings.push(Fault::wrong(section.place_of("url"), absent)),
        // A URL may hold a password: the line is not shown.
        Some(Err(_)) => {
            let fault = Fault::wrong(section.place_of("url"), "url is not a valid URL");
            findings.push(fault.secret());
        }
        Some(Ok(_)) => {}
    }
}

fn check_message(section: &Section<'_>, findings: &mut Findings) {
    let Some(message) = section.text("protobuf_message", findings) else { return };
    if !MESSAGES.contains(&message) {
        let text = format!(
            "invalid protobuf_message value: unknown type for remote write protobuf message \
             {message}, supported: {}",
            MESSAGES.join(", ")
        );
        findings.push(Fault::wrong(section.place_of("protobuf_message"), text));
    }
}

fn check_queue(section: &Section<'_>, findings: &mut Findings) {
    let Some(node) = section.get("queue_config") else { return };
    let queue = Section::open(node, &QUEUE, findings);
    let mut number = |name, default| queue.integer(name, findings).unwrap_or(default);
    let (most, fewest) = (number("max_shards", 50), number("min_shards", 1));
    let (samples, capacity) = (number("max_samples_per_send", 2000), number("capacity", 10_000));
    let mut duration = |name, default| queue.duration_ms(name, findings).unwrap_or(default);
    let (first, longest) = (duration("min_backoff", 30), duration("max_backoff", 5_000));
    duration("batch_send_deadline", 0);
    duration("sample_age_limit", 0);
    let rules = [
        (most < 1, "max_shards", "max_shards must be positive"),
        (fewest < 1, "min_shards", "min_shards must be positive"),
        (most < fewest, "min_shards", "min_shards must not be greater than max_shards"),
        (samples < 1, "max_samples_per_send", "max_samples_per_send must be positive"),
        (capacity < 1, "capacity", "capacity must be positive"),
        (longest < first, "max_backoff", "max_backoff must not be less than min_backoff"),
    ];
    for (is_broken, field, text) in rules {
        if is_broken {
            let text = format!("remote write queue {text}");
            findings.push(Fault::wrong(queue.place_of(field), text));
        }
    }
}

fn check_one_authorization(section: &Section<'_>, findings: &mut Findings) {
    let fields = ["basic_auth", "authorization", "oauth2", "sigv4", "azuread", "google_iam"];
    let given: Vec<&str> =
        fields.into_iter().filter(|field| section.get(field).is_some()).collect();
    if 1 < given.len() {
        let text = format!(
            "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must \
             be configured. Currently configured: [{}]",
            given.join(" ")
        );
        findings.push(Fault::wrong(section.place, text));
    }
}

fn check_azure(section: &Section<'_>, findings: &mut Findings) {
    let Some(node) = section.get("azuread") else { return };
    let azure = Section::open(node, &AZURE_AD, findings);
    let cloud = azure.text("cloud", findings).unwrap_or("");
    if !["", "AzurePublic", "AzureGovernment", "AzureChina"].contains(&cloud) {
        let text = "must provide a cloud in the Azure AD config";
        findings.push(Fault::wrong(azure.place_of("cloud"), text));
    }
    let ways = ["managed_identity", "workload_identity", "oauth", "sdk", "certificate"];
    let text = match ways.iter().filter(|way| azure.get(way).is_some()).count() {
        0 => {
            "must provide an Azure Managed Identity, Azure Workload Identity, Azure OAuth, Azure \
             Certificate or Azure SDK in the Azure AD config"
        }
        1 => return,
        _ => "cannot provide multiple authentication methods in the Azure AD config",
    };
    findings.push(Fault::wrong(azure.place, text));
}
