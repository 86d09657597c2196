//! Kubernetes: one of `kubernetes_sd_configs` as a mechanism, checked as upstream does.
//!
//! Source: `SDConfig.UnmarshalYAML` of Prometheus's `discovery/kubernetes`, and the grammar of
//! selectors in Kubernetes's `apimachinery`.

use std::path::Path;
use std::sync::Arc;

use discovery::kubernetes::KubernetesOptions;
use discovery::kubernetes::access::Server;
use discovery::kubernetes::labels::Attach;
use discovery::kubernetes::objects::Kind as Role;
use discovery::mechanism::Mechanism;
use model::label_name::quote;

use crate::config::fault::Fault;
use crate::config::fields::discovery::{ATTACH, NAMESPACES, SELECTOR};
use crate::config::http_config;
use crate::config::section::{Findings, Section};
use crate::config::url;

/// Fields that make the way to the server one's own.
const HTTP_FIELDS: [&str; 10] = [
    "basic_auth",
    "authorization",
    "oauth2",
    "bearer_token",
    "bearer_token_file",
    "tls_config",
    "http_headers",
    "proxy_url",
    "follow_redirects",
    "enable_http2",
];

/// Reads `section`; relative paths start at `directory`.
pub fn read(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Mechanism {
    check(section, findings);
    let mut text = |field| section.text(field, findings).unwrap_or("").to_owned();
    let (role, url, kubeconfig) = (text("role"), text("api_server"), text("kubeconfig_file"));
    if Role::find(&role).is_none() {
        let fault = if role.is_empty() {
            let roles = "pod, service, endpoints, endpointslice, node, ingress";
            format!("role missing (one of: {roles})")
        } else {
            format!("unknown Kubernetes SD role {}", quote(&role))
        };
        findings.push(Fault::wrong(section.place_of("role"), fault));
    }
    if !url.is_empty() && !kubeconfig.is_empty() {
        let fault = "cannot use 'kubeconfig_file' and 'api_server' simultaneously";
        findings.push(Fault::wrong(section.place, fault));
    }
    if let Err(fault) = url::parts(&url) {
        findings.push(Fault::wrong(section.place_of("api_server"), fault).secret());
    }
    let http = Arc::new(http_config::read(section, directory, findings));
    let server = match (url.as_str(), kubeconfig.as_str()) {
        ("", "") => Server::Pod,
        ("", file) => Server::Kubeconfig(directory.join(file)),
        (url, _) => Server::Url(url.to_owned(), http),
    };
    let (namespaces, own_namespace) = match section.get("namespaces") {
        Some(node) => {
            let namespaces = Section::open(node, &NAMESPACES, findings);
            let names = namespaces.texts("names", findings);
            (names, namespaces.boolean("own_namespace", findings).unwrap_or(false))
        }
        None => (Vec::new(), false),
    };
    let mut selectors = Vec::new();
    for node in section.list("selectors", findings) {
        let selector = Section::open(node, &SELECTOR, findings);
        let mut text = |field| selector.text(field, findings).unwrap_or("").to_owned();
        if let Some(role) = Role::find(&text("role")) {
            selectors.push((role, text("label"), text("field")));
        }
    }
    Mechanism::Kubernetes(Box::new(KubernetesOptions {
        server,
        role: Role::find(&role).unwrap_or(Role::Node),
        namespaces,
        own_namespace,
        selectors,
        attach: attach(section, findings),
    }))
}

fn attach(section: &Section<'_>, findings: &mut Findings) -> Attach {
    let Some(node) = section.get("attach_metadata") else { return Attach::default() };
    let attach = Section::open(node, &ATTACH, findings);
    let mut flag = |field| attach.boolean(field, findings).unwrap_or(false);
    Attach {
        node: flag("node"),
        namespace: flag("namespace"),
        deployment: flag("deployment"),
        job: flag("job"),
        cronjob: flag("cronjob"),
    }
}

/// Checks the relations of the fields of `section`.
fn check(section: &Section<'_>, findings: &mut Findings) {
    let text = |field| section.text(field, &mut Findings::default()).unwrap_or("");
    let has_server = section.get("api_server").is_some();
    let has_kubeconfig = !text("kubeconfig_file").is_empty();
    let is_default = |field: &&str| {
        let written = section.text(field, &mut Findings::default());
        ["follow_redirects", "enable_http2"].contains(field) && written == Some("true")
    };
    let is_own = |field: &&&str| section.get(field).is_some() && !is_default(field);
    let has_http = HTTP_FIELDS.iter().any(|field| is_own(&field));
    let own_namespace = section.get("namespaces").is_some_and(|node| {
        let namespaces = Section::open(node, &NAMESPACES, findings);
        namespaces.boolean("own_namespace", findings).unwrap_or(false)
    });
    let rules = [
        (
            has_kubeconfig && has_http,
            "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
        ),
        (
            !has_server && !has_kubeconfig && has_http,
            "to use custom HTTP client configuration please provide the 'api_server' URL \
             explicitly",
        ),
        (
            has_server && own_namespace,
            "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
        ),
        (
            has_kubeconfig && own_namespace,
            "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
        ),
    ];
    for (_, text) in rules.into_iter().filter(|(is_broken, _)| *is_broken) {
        findings.push(Fault::wrong(section.place, text));
    }
    check_selectors(section, text("role"), findings);
}

fn check_selectors(section: &Section<'_>, role: &str, findings: &mut Findings) {
    let allowed: &[&str] = match role {
        "pod" => &["pod", "node"],
        "service" => &["service"],
        "endpointslice" => &["pod", "service", "endpointslice"],
        "endpoints" => &["pod", "service", "endpoints"],
        "node" => &["node"],
        "ingress" => &["ingress"],
        _ => return,
    };
    let mut roles: Vec<String> = Vec::new();
    for node in section.list("selectors", findings) {
        let selector = Section::open(node, &SELECTOR, findings);
        let mut text = |field| selector.text(field, findings).unwrap_or("").to_owned();
        let (of, field, label) = (text("role"), text("field"), text("label"));
        if roles.contains(&of) {
            let text = format!("duplicated selector role: {of}");
            findings.push(Fault::wrong(node.place, text));
        }
        if !allowed.contains(&of.as_str()) {
            let text = format!("{role} role supports only {} selectors", allowed.join(", "));
            findings.push(Fault::wrong(node.place, text));
        }
        roles.push(of);
        for fault in [field_fault(&field), label_fault(&label)].into_iter().flatten() {
            findings.push(Fault::wrong(node.place, fault));
        }
    }
}

/// What is wrong with a selector of fields: terms of `=`, `==` or `!=`, with commas between them.
fn field_fault(selector: &str) -> Option<String> {
    let is_bad = |term: &&str| !term.is_empty() && !term.contains('=');
    let term = selector.split(',').find(is_bad)?;
    Some(format!("invalid selector: '{selector}'; can't understand '{term}'"))
}

/// What is wrong with a selector of labels, such as `a=b,!c,d in (e,f)`.
fn label_fault(selector: &str) -> Option<String> {
    let mut depth = 0;
    let terms = selector.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    let is_bad = |term: &&str| !term.is_empty() && !is_requirement(term);
    let term = terms.map(str::trim).find(is_bad)?;
    Some(format!("unable to parse requirement: found '{term}'"))
}

fn is_requirement(term: &str) -> bool {
    let is_key = |key: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let key = key.trim();
        !key.is_empty() && key.chars().all(plain)
    };
    let is_list = |list: &str| list.trim().starts_with('(') && list.trim().ends_with(')');
    if let Some(key) = term.strip_prefix('!') {
        return is_key(key);
    }
    for operator in ["!=", "==", "=", ">", "<"] {
        if let Some((key, value)) = term.split_once(operator) {
            return is_key(key) && (value.trim().is_empty() || is_key(value));
        }
    }
    for operator in [" notin ", " in "] {
        if let Some((key, list)) = term.split_once(operator) {
            return is_key(key) && is_list(list);
        }
    }
    is_key(term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_of_fields_are_terms() {
        assert_eq!(field_fault("a.b=c,d!=e,"), None);
        let fault = "invalid selector: 'a-b'; can't understand 'a-b'";
        assert_eq!(field_fault("a-b").as_deref(), Some(fault));
    }

    #[test]
    fn selectors_of_labels_are_requirements() {
        for good in ["", "a=b", "a==b,!c", "a in (b,c),d", "x/y notin (z)", "a!=", "n>1"] {
            assert_eq!(label_fault(good), None, "{good}");
        }
        for bad in ["a b", "a in b", "=a", "!"] {
            assert!(label_fault(bad).is_some(), "{bad}");
        }
    }
}
