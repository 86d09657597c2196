//! Kubernetes: what its discovery's configuration must hold besides the form of its fields.
//!
//! Source: `SDConfig.UnmarshalYAML` of Prometheus's `discovery/kubernetes`, and the grammar of
//! selectors in Kubernetes's `apimachinery`.

use crate::config::fault::Fault;
use crate::config::fields::clouds::{NAMESPACES, SELECTOR};
use crate::config::section::{Findings, Section};

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

/// Checks the relations of the fields of `section`.
pub fn check(section: &Section<'_>, findings: &mut Findings) {
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
