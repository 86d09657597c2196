//! Groups: what becomes of an object as targets, for each role.
//!
//! Source: Prometheus's `discovery/kubernetes`, a file a role there.

use model::label_set::LabelSet;

use crate::address::{join, sanitized};
use crate::group::Group;
use crate::kubernetes::labels::{
    Context, Labels, Pods, add_namespace, add_node, add_pod, add_service, containers, pod_of, truth,
};
use crate::kubernetes::objects::{
    Endpoint, EndpointSlice, Endpoints, Ingress, Kind, Meta, Node, Pod, Service, SlicePort,
};
use crate::kubernetes::store::named;

/// Label of a slice that names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Kinds of addresses of a node, the one that is used first.
const ADDRESS_KINDS: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// The group of the object of `kind` at `key`; one without targets when there is none.
#[must_use]
pub fn group(kind: Kind, key: &str, context: Context<'_>) -> Group {
    let source = match kind {
        Kind::Service => format!("svc/{key}"),
        other => format!("{}/{key}", other.name()),
    };
    let store = context.store;
    let found = match kind {
        Kind::Node => store.node(key).and_then(node),
        Kind::Service => store.service(key).map(|object| service(object, context)),
        Kind::Pod => store.pod(key).and_then(|object| pod(object, context)),
        Kind::Endpoints => store.endpoints(key).map(|object| endpoints(object, context)),
        Kind::EndpointSlice => store.slice(key).map(|object| slice(object, context)),
        Kind::Ingress => store.ingress(key).map(|object| ingress(object, context)),
        Kind::Namespace | Kind::ReplicaSet | Kind::Job => None,
    };
    match found {
        Some((labels, targets)) => Group { source, labels: labels.build(), targets },
        None => Group::gone(source),
    }
}

/// Labels of a group and its targets.
type Found = (Labels, Vec<LabelSet>);

fn node(node: &Node) -> Option<Found> {
    let mut labels = Labels::default();
    labels.set("node_provider_id", &node.spec.provider_id);
    for condition in &node.status.conditions {
        let name = sanitized(&condition.r#type.to_lowercase());
        labels.set(&format!("node_condition_{name}"), &condition.status.to_lowercase());
    }
    labels.object("node", &node.metadata);
    let addresses = &node.status.addresses;
    let of_kind = |kind: &str| addresses.iter().find(|address| address.r#type == kind);
    let host = ADDRESS_KINDS.iter().find_map(|kind| of_kind(kind))?;
    let mut target = Labels::default();
    target.address(&join(&host.address, node.status.daemon_endpoints.kubelet_endpoint.port));
    target.0.set("instance", &node.metadata.name);
    // Of several of a kind the first counts.
    for address in addresses.iter().rev() {
        let kind = sanitized(&address.r#type);
        target.set(&format!("node_address_{kind}"), &address.address);
    }
    Some((labels, vec![target.build()]))
}

fn service(service: &Service, context: Context<'_>) -> Found {
    let mut labels = Labels::default();
    add_service(&mut labels, service);
    let Service { metadata, spec, status } = service;
    add_namespace(&mut labels, &metadata.namespace, context);
    let balancers = status.load_balancer.ingress.iter().map(|ingress| ingress.ip.as_str());
    let balancers: Vec<&str> = balancers.filter(|ip| !ip.is_empty()).collect();
    let balancers = match balancers.as_slice() {
        [] => spec.load_balancer_ip.clone(),
        ips => ips.join(","),
    };
    let targets = spec.ports.iter().map(|port| {
        let mut target = Labels::default();
        let host = format!("{}.{}.svc", metadata.name, metadata.namespace);
        target.address(&join(&host, port.port));
        target.set("service_port_name", &port.name);
        target.set("service_port_number", &port.port.to_string());
        target.set("service_port_protocol", &port.protocol);
        target.set("service_type", &spec.r#type);
        if spec.r#type == "ExternalName" {
            target.set("service_external_name", &spec.external_name);
        } else {
            target.set("service_cluster_ip", &spec.cluster_ip);
        }
        if spec.r#type == "LoadBalancer" {
            target.set("service_loadbalancer_ip", &balancers);
        }
        target.build()
    });
    let targets = targets.collect();
    (labels, targets)
}

fn pod(pod: &Pod, context: Context<'_>) -> Option<Found> {
    let Pod { metadata, spec, status } = pod;
    // A pod that starts or was evicted has no address. One on a node that is not watched was
    // left out by the selector of nodes.
    let is_known = !context.attach.node || context.store.node(&spec.node_name).is_some();
    if status.pod_ip.is_empty() || !is_known {
        return None;
    }
    let mut labels = Labels::default();
    add_pod(&mut labels, pod, context);
    labels.set("namespace", &metadata.namespace);
    add_node(&mut labels, Some(&spec.node_name), context);
    add_namespace(&mut labels, &metadata.namespace, context);
    let mut targets = Vec::new();
    for (container, is_init) in containers(pod) {
        let statuses =
            if is_init { &status.init_container_statuses } else { &status.container_statuses };
        let id = statuses.iter().find(|status| status.name == container.name);
        let mut target = Labels::default();
        target.address(&status.pod_ip);
        target.set("pod_container_name", &container.name);
        target.set("pod_container_id", id.map_or("", |status| &status.container_id));
        target.set("pod_container_image", &container.image);
        target.set("pod_container_init", truth(is_init));
        if container.ports.is_empty() {
            targets.push(target.build());
        }
        for port in &container.ports {
            target.address(&join(&status.pod_ip, port.container_port));
            target.set("pod_container_port_number", &port.container_port.to_string());
            target.set("pod_container_port_name", &port.name);
            target.set("pod_container_port_protocol", &port.protocol);
            targets.push(target.build());
        }
    }
    Some((labels, targets))
}

fn endpoints(endpoints: &Endpoints, context: Context<'_>) -> Found {
    let Meta { namespace, name, .. } = &endpoints.metadata;
    let mut labels = Labels::default();
    labels.set("namespace", namespace);
    if let Some(service) = context.store.service(&named(namespace, name)) {
        add_service(&mut labels, service);
    }
    labels.object("endpoints", &endpoints.metadata);
    add_namespace(&mut labels, namespace, context);
    let (mut targets, mut pods) = (Vec::new(), Pods::default());
    for subset in &endpoints.subsets {
        let ready = subset.addresses.iter().map(|address| (address, true));
        let all = ready.chain(subset.not_ready_addresses.iter().map(|address| (address, false)));
        for port in &subset.ports {
            for (address, is_ready) in all.clone() {
                let mut target = Labels::default();
                target.address(&join(&address.ip, port.port));
                target.set("endpoint_port_name", &port.name);
                target.set("endpoint_port_protocol", &port.protocol);
                target.set("endpoint_ready", truth(is_ready));
                let reference = address.target_ref.as_ref();
                if let Some(reference) = reference {
                    target.set("endpoint_address_target_kind", &reference.kind);
                    target.set("endpoint_address_target_name", &reference.name);
                }
                target.set("endpoint_node_name", address.node_name.as_deref().unwrap_or(""));
                target.set("endpoint_hostname", &address.hostname);
                let by_reference = reference.filter(|reference| reference.kind == "Node");
                let node = address.node_name.as_deref();
                let node = node.or(by_reference.map(|reference| reference.name.as_str()));
                add_node(&mut target, node, context);
                if let Some(pod) = pod_of(reference, context.store) {
                    let protocol = Some(port.protocol.as_str());
                    pods.add(&mut target, pod, Some(port.port), protocol, context);
                }
                targets.push(target.build());
            }
        }
    }
    targets.extend(pods.rest(context));
    (labels, targets)
}

fn slice(slice: &EndpointSlice, context: Context<'_>) -> Found {
    let Meta { namespace, labels: own, .. } = &slice.metadata;
    let mut labels = Labels::default();
    labels.set("namespace", namespace);
    labels.set("endpointslice_address_type", &slice.address_type);
    labels.object("endpointslice", &slice.metadata);
    let service = own.get(SERVICE_NAME);
    let service = service.and_then(|name| context.store.service(&named(namespace, name)));
    if let Some(service) = service {
        add_service(&mut labels, service);
    }
    add_namespace(&mut labels, namespace, context);
    if service.is_some_and(|service| is_second_family(service, slice)) {
        return (labels, Vec::new());
    }
    let (mut targets, mut pods) = (Vec::new(), Pods::default());
    for endpoint in &slice.endpoints {
        for port in &slice.ports {
            for address in &endpoint.addresses {
                let mut target = slice_target(address, endpoint, port);
                let reference = endpoint.target_ref.as_ref();
                let node = match reference {
                    Some(reference) if reference.kind == "Node" => Some(reference.name.as_str()),
                    _ => endpoint.node_name.as_deref(),
                };
                add_node(&mut target, node, context);
                if let Some(pod) = pod_of(reference, context.store) {
                    pods.add(&mut target, pod, port.port, None, context);
                }
                targets.push(target.build());
            }
        }
    }
    targets.extend(pods.rest(context));
    (labels, targets)
}

/// Whether a slice repeats, for the second family of addresses, what another says for the first.
fn is_second_family(service: &Service, slice: &EndpointSlice) -> bool {
    let is_dual =
        matches!(service.spec.ip_family_policy.as_str(), "PreferDualStack" | "RequireDualStack");
    let first = service.spec.ip_families.first();
    is_dual && first.is_some_and(|first| *first != slice.address_type)
}

fn slice_target(address: &str, endpoint: &Endpoint, port: &SlicePort) -> Labels {
    let mut target = Labels::default();
    match port.port {
        Some(port) => target.address(&join(address, port)),
        None => target.address(address),
    }
    let number = port.port.map(|port| port.to_string());
    let conditions = &endpoint.conditions;
    let reference = endpoint.target_ref.as_ref();
    for (name, value) in [
        ("port_name", port.name.as_deref()),
        ("port_protocol", port.protocol.as_deref()),
        ("port", number.as_deref()),
        ("port_app_protocol", port.app_protocol.as_deref()),
        ("endpoint_conditions_ready", conditions.ready.map(truth)),
        ("endpoint_conditions_serving", conditions.serving.map(truth)),
        ("endpoint_conditions_terminating", conditions.terminating.map(truth)),
        ("endpoint_hostname", endpoint.hostname.as_deref()),
        ("endpoint_node_name", endpoint.node_name.as_deref()),
        ("endpoint_zone", endpoint.zone.as_deref()),
        ("address_target_kind", reference.map(|reference| reference.kind.as_str())),
        ("address_target_name", reference.map(|reference| reference.name.as_str())),
    ] {
        target.set(&format!("endpointslice_{name}"), value.unwrap_or(""));
    }
    for (name, value) in &endpoint.deprecated_topology {
        let name = sanitized(name);
        target.set(&format!("endpointslice_endpoint_topology_{name}"), value);
        target.set(&format!("endpointslice_endpoint_topology_present_{name}"), "true");
    }
    target
}

fn ingress(ingress: &Ingress, context: Context<'_>) -> Found {
    let Ingress { metadata, spec } = ingress;
    let mut labels = Labels::default();
    labels.set("namespace", &metadata.namespace);
    labels.set("ingress_class_name", &spec.ingress_class_name);
    labels.object("ingress", metadata);
    add_namespace(&mut labels, &metadata.namespace, context);
    let mut targets = Vec::new();
    for rule in &spec.rules {
        let mut secure = spec.tls.iter().flat_map(|tls| &tls.hosts);
        let scheme = if secure.any(|host| fits(host, &rule.host)) { "https" } else { "http" };
        let paths: Vec<&str> = match &rule.http {
            Some(http) => http.paths.iter().map(|path| path.path.as_str()).collect(),
            None => vec![""],
        };
        for path in paths {
            let mut target = Labels::default();
            target.address(&rule.host);
            target.set("ingress_scheme", scheme);
            target.set("ingress_host", &rule.host);
            target.set("ingress_path", if path.is_empty() { "/" } else { path });
            targets.push(target.build());
        }
    }
    (labels, targets)
}

/// Whether a host fits a pattern, whose first part may be `*`.
fn fits(pattern: &str, host: &str) -> bool {
    let rest = |text: &str| text.split_once('.').map(|(_, rest)| rest.to_owned());
    pattern == host || (pattern.starts_with("*.") && rest(pattern) == rest(host))
}
