//! Alerting: the section `alerting`, checked as upstream checks it.
//!
//! Source: `AlertingConfig` and `AlertmanagerConfig` of Prometheus's `config/config.go`.
//! Alerts are not sent yet, so that nothing is made of it; but what is wrong with it is told.

use std::path::Path;

use scrape::relabel::NameScheme;

use crate::config::fault::Fault;
use crate::config::fields::alerting::{ALERTING, ALERTMANAGER};
use crate::config::http_config;
use crate::config::job::static_targets;
use crate::config::relabel::rules;
use crate::config::section::{Findings, Section};
use crate::config::tree::{Kind, Node};

/// Checks the section at `node`.
pub fn check(node: &Node, name_scheme: NameScheme, directory: &Path, findings: &mut Findings) {
    let section = Section::open(node, &ALERTING, findings);
    let empty = "empty or null alert relabeling rule";
    rules(&section, "alert_relabel_configs", empty, name_scheme, findings);
    for node in section.list("alertmanagers", findings) {
        check_alertmanager(node, name_scheme, directory, findings);
    }
}

fn check_alertmanager(
    node: &Node,
    name_scheme: NameScheme,
    directory: &Path,
    findings: &mut Findings,
) {
    if matches!(node.kind, Kind::Null) {
        findings.push(Fault::wrong(node.place, "empty or null alertmanager section"));
        return;
    }
    let section = Section::open(node, &ALERTMANAGER, findings);
    http_config::read(&section, directory, findings);
    let headers = ["basic_auth", "authorization", "oauth2"];
    let has_header = headers.iter().any(|field| section.get(field).is_some());
    if has_header && section.get("sigv4").is_some() {
        let names = "basic_auth, authorization, oauth2, & sigv4";
        let text = format!("at most one of {names} must be configured");
        findings.push(Fault::wrong(section.place, text));
    }
    if let Some(version) = section.text("api_version", findings).filter(|text| *text != "v2") {
        let text = format!("expected Alertmanager api version to be one of [v2] but got {version}");
        findings.push(Fault::wrong(section.place_of("api_version"), text));
    }
    section.duration_ms("timeout", findings);
    let empty = "empty or null Alertmanager target relabeling rule";
    let of_targets = rules(&section, "relabel_configs", empty, name_scheme, findings);
    let empty = "empty or null Alertmanager alert relabeling rule";
    rules(&section, "alert_relabel_configs", empty, name_scheme, findings);
    static_targets(&section, of_targets.is_empty(), findings);
}
