//! Labels: what objects give to targets that are not of their kind, or of several.

use model::label_set::{Builder, LabelSet};

use crate::address::{join, sanitized};
use crate::group::ADDRESS;
use crate::kubernetes::objects::{
    Container, ContainerPort, Kind, Meta, Owner, Pod, Reference, Service,
};
use crate::kubernetes::store::{Store, named};

const PREFIX: &str = "__meta_kubernetes_";
const PRESENT: &str = "true";

/// `attach_metadata`: what is added to targets that are not of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// Labels of the node.
    pub node: bool,
    /// Labels of the namespace.
    pub namespace: bool,
    /// Name of the deployment.
    pub deployment: bool,
    /// Name of the job.
    pub job: bool,
    /// Name of the cron job.
    pub cronjob: bool,
}

/// What objects refer to, and what of it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// All objects.
    pub store: &'a Store,
    /// What is added.
    pub attach: Attach,
}

/// Labels under the common prefix.
#[derive(Clone, Default)]
pub(crate) struct Labels(pub(crate) Builder);

impl Labels {
    /// Sets a label under the common prefix.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.set(&format!("{PREFIX}{name}"), value);
    }

    /// Sets the address.
    pub(crate) fn address(&mut self, address: &str) {
        self.0.set(ADDRESS, address);
    }

    /// Name, labels and annotations of an object of `what`.
    pub(crate) fn object(&mut self, what: &str, meta: &Meta) {
        self.set(&format!("{what}_name"), &meta.name);
        self.texts(what, meta);
    }

    fn texts(&mut self, what: &str, meta: &Meta) {
        for (kind, texts) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
            for (name, value) in texts {
                let name = sanitized(name);
                self.set(&format!("{what}_{kind}_{name}"), value);
                self.set(&format!("{what}_{kind}present_{name}"), PRESENT);
            }
        }
    }

    /// The label set so far.
    pub(crate) fn build(&self) -> LabelSet {
        self.0.build()
    }
}

/// The labels that a service gives to its endpoints too.
pub(crate) fn add_service(labels: &mut Labels, service: &Service) {
    labels.set("namespace", &service.metadata.namespace);
    labels.object("service", &service.metadata);
}

/// Labels of the namespace, where they are wanted and known.
pub(crate) fn add_namespace(labels: &mut Labels, namespace: &str, context: Context<'_>) {
    if context.attach.namespace
        && let Some(found) = context.store.bare(Kind::Namespace, namespace)
    {
        labels.texts("namespace", &found.metadata);
    }
}

/// Labels of the node, where they are wanted and known.
pub(crate) fn add_node(labels: &mut Labels, name: Option<&str>, context: Context<'_>) {
    if context.attach.node
        && let Some(found) = name.and_then(|name| context.store.node(name))
    {
        labels.object("node", &found.metadata);
    }
}

fn controller(meta: &Meta) -> Option<&Owner> {
    meta.owner_references.iter().find(|owner| owner.controller)
}

/// The labels that a pod gives to its targets and to endpoints that are this pod.
pub(crate) fn add_pod(labels: &mut Labels, pod: &Pod, context: Context<'_>) {
    let Pod { metadata, spec, status } = pod;
    let ready = status.conditions.iter().find(|condition| condition.r#type == "Ready");
    labels.set("pod_ip", &status.pod_ip);
    labels.set("pod_ready", &ready.map_or("unknown".to_owned(), |c| c.status.to_lowercase()));
    labels.set("pod_phase", &status.phase);
    labels.set("pod_node_name", &spec.node_name);
    labels.set("pod_host_ip", &status.host_ip);
    labels.set("pod_uid", &metadata.uid);
    labels.object("pod", metadata);
    let Some(owner) = controller(metadata) else { return };
    labels.set("pod_controller_kind", &owner.kind);
    labels.set("pod_controller_name", &owner.name);
    let key = named(&metadata.namespace, &owner.name);
    let above = |kind, wanted: &str| {
        let owner = controller(&context.store.bare(kind, &key)?.metadata)?;
        (owner.kind == wanted).then(|| owner.name.clone())
    };
    let attach = context.attach;
    match owner.kind.as_str() {
        "ReplicaSet" if attach.deployment => {
            let name = above(Kind::ReplicaSet, "Deployment").unwrap_or_default();
            labels.set("pod_deployment_name", &name);
        }
        "Job" => {
            if attach.job {
                labels.set("pod_job_name", &owner.name);
            }
            if attach.cronjob {
                let name = above(Kind::Job, "CronJob").unwrap_or_default();
                labels.set("pod_cronjob_name", &name);
            }
        }
        _ => {}
    }
}

/// All containers of a pod, and whether each is one that only prepares it.
pub(crate) fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let usual = pod.spec.containers.iter().map(|container| (container, false));
    usual.chain(pod.spec.init_containers.iter().map(|container| (container, true)))
}

/// A boolean as labels carry it.
pub(crate) fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The pod that an endpoint is.
pub(crate) fn pod_of<'a>(reference: Option<&Reference>, store: &'a Store) -> Option<&'a Pod> {
    let reference = reference.filter(|reference| reference.kind == "Pod")?;
    store.pod(&named(&reference.namespace, &reference.name))
}

/// A port of a container as labels.
fn add_container_port(
    target: &mut Labels,
    container: &Container,
    port: &ContainerPort,
    protocol: &str,
    is_init: bool,
) {
    target.set("pod_container_name", &container.name);
    target.set("pod_container_image", &container.image);
    target.set("pod_container_port_name", &port.name);
    target.set("pod_container_port_number", &port.container_port.to_string());
    target.set("pod_container_port_protocol", protocol);
    target.set("pod_container_init", truth(is_init));
}

/// The pods behind the endpoints of one object, and the ports of theirs that are endpoints.
#[derive(Default)]
pub(crate) struct Pods<'a> {
    seen: Vec<(&'a Pod, Vec<i32>)>,
}

impl<'a> Pods<'a> {
    /// Adds the labels of the pod behind a target, whose port may be one of a container's.
    /// `protocol` is shown in place of the container's where it is given.
    pub(crate) fn add(
        &mut self,
        target: &mut Labels,
        pod: &'a Pod,
        port: Option<i32>,
        protocol: Option<&str>,
        context: Context<'_>,
    ) {
        add_pod(target, pod, context);
        for (container, is_init) in containers(pod) {
            let own = container.ports.iter().find(|own| Some(own.container_port) == port);
            if let Some(own) = own {
                let protocol = protocol.unwrap_or(&own.protocol);
                add_container_port(target, container, own, protocol, is_init);
            }
        }
        let ports = match self.seen.iter_mut().find(|(seen, _)| std::ptr::eq(*seen, pod)) {
            Some((_, ports)) => ports,
            None => {
                self.seen.push((pod, Vec::new()));
                let last = self.seen.len() - 1;
                &mut self.seen[last].1
            }
        };
        ports.extend(port);
    }

    /// Targets for ports of containers that no endpoint names.
    pub(crate) fn rest(&self, context: Context<'_>) -> Vec<LabelSet> {
        let mut targets = Vec::new();
        for (pod, ports) in self.seen.iter().filter(|(pod, _)| !pod.status.pod_ip.is_empty()) {
            for (container, is_init) in containers(pod) {
                let unseen = |port: &&ContainerPort| !ports.contains(&port.container_port);
                for port in container.ports.iter().filter(unseen) {
                    let mut target = Labels::default();
                    target.address(&join(&pod.status.pod_ip, port.container_port));
                    add_container_port(&mut target, container, port, &port.protocol, is_init);
                    add_pod(&mut target, pod, context);
                    targets.push(target.build());
                }
            }
        }
        targets
    }
}
