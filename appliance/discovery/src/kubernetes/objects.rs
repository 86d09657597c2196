//! Objects: what of Kubernetes's objects becomes labels; the rest is not read.
//!
//! Source: the API's v1 types. Two objects are equal when their labels would be.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// v1 Node
    Node,
    /// v1 Service
    Service,
    /// v1 Pod
    Pod,
    /// v1 Endpoints
    Endpoints,
    /// discovery.k8s.io/v1 EndpointSlice
    EndpointSlice,
    /// networking.k8s.io/v1 Ingress
    Ingress,
    /// v1 Namespace
    Namespace,
    /// apps/v1 ReplicaSet
    ReplicaSet,
    /// batch/v1 Job
    Job,
}

impl Kind {
    /// Those that a target may be made of, in the order of their metrics.
    pub const ROLES: [Kind; 6] =
        [Kind::Node, Kind::Service, Kind::Pod, Kind::Endpoints, Kind::EndpointSlice, Kind::Ingress];

    /// The role of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Kind> {
        Kind::ROLES.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name as a role.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Node => "node",
            Kind::Service => "service",
            Kind::Pod => "pod",
            Kind::Endpoints => "endpoints",
            Kind::EndpointSlice => "endpointslice",
            Kind::Ingress => "ingress",
            Kind::Namespace => "namespace",
            Kind::ReplicaSet => "replicaset",
            Kind::Job => "job",
        }
    }

    /// Where the API has those of `namespace`; "" is all.
    #[must_use]
    pub fn path(self, namespace: &str) -> String {
        let (group, plural) = match self {
            Kind::Node => ("/api/v1", "nodes"),
            Kind::Service => ("/api/v1", "services"),
            Kind::Pod => ("/api/v1", "pods"),
            Kind::Endpoints => ("/api/v1", "endpoints"),
            Kind::Namespace => ("/api/v1", "namespaces"),
            Kind::EndpointSlice => ("/apis/discovery.k8s.io/v1", "endpointslices"),
            Kind::Ingress => ("/apis/networking.k8s.io/v1", "ingresses"),
            Kind::ReplicaSet => ("/apis/apps/v1", "replicasets"),
            Kind::Job => ("/apis/batch/v1", "jobs"),
        };
        if namespace.is_empty() {
            format!("{group}/{plural}")
        } else {
            format!("{group}/namespaces/{namespace}/{plural}")
        }
    }
}

/// An object of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A node.
    Node(Box<Node>),
    /// A service.
    Service(Box<Service>),
    /// A pod.
    Pod(Box<Pod>),
    /// Endpoints.
    Endpoints(Box<Endpoints>),
    /// A slice of endpoints.
    EndpointSlice(Box<EndpointSlice>),
    /// An ingress.
    Ingress(Box<Ingress>),
    /// Of namespaces, sets and jobs only what they have in common counts.
    Bare(Box<Bare>),
}

impl Object {
    /// What it has in common with all.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Object::Node(object) => &object.metadata,
            Object::Service(object) => &object.metadata,
            Object::Pod(object) => &object.metadata,
            Object::Endpoints(object) => &object.metadata,
            Object::EndpointSlice(object) => &object.metadata,
            Object::Ingress(object) => &object.metadata,
            Object::Bare(object) => &object.metadata,
        }
    }
}

/// `null` counts as nothing written.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[expect(missing_docs, reason = "fields are named and explained by Kubernetes's API")]
        pub struct $name {
            $($(#[$attribute])* #[serde(deserialize_with = "nullable")] pub $field: $type,)*
        })*
    };
}

type Texts = BTreeMap<String, String>;

objects! {
    /// What all objects have.
    Meta {
        name: String,
        namespace: String,
        uid: String,
        labels: Texts,
        annotations: Texts,
        owner_references: Vec<Owner>,
    }
    /// Which object made another.
    Owner { kind: String, name: String, controller: bool, }
    /// An object of which only the common part counts.
    Bare { metadata: Meta, }

    /// A node.
    Node { metadata: Meta, spec: NodeSpec, status: NodeStatus, }
    /// What a node should be.
    NodeSpec {
        #[serde(rename = "providerID")]
        provider_id: String,
    }
    /// What a node is.
    NodeStatus {
        addresses: Vec<NodeAddress>,
        conditions: Vec<Condition>,
        daemon_endpoints: DaemonEndpoints,
    }
    /// One address of a node.
    NodeAddress { r#type: String, address: String, }
    /// One condition of a node or pod.
    Condition { r#type: String, status: String, }
    /// Where a node's programs listen.
    DaemonEndpoints { kubelet_endpoint: DaemonEndpoint, }
    /// Where one of them listens.
    DaemonEndpoint {
        #[serde(rename = "Port")]
        port: u16,
    }

    /// A service.
    Service { metadata: Meta, spec: ServiceSpec, status: ServiceStatus, }
    /// What a service should be.
    ServiceSpec {
        ports: Vec<ServicePort>,
        r#type: String,
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
        external_name: String,
        #[serde(rename = "loadBalancerIP")]
        load_balancer_ip: String,
        ip_family_policy: String,
        ip_families: Vec<String>,
    }
    /// One port of a service.
    ServicePort { name: String, port: i32, protocol: String, }
    /// What a service is.
    ServiceStatus { load_balancer: LoadBalancer, }
    /// A load balancer.
    LoadBalancer { ingress: Vec<LoadBalancerIngress>, }
    /// One address of a load balancer.
    LoadBalancerIngress { ip: String, }

    /// A pod.
    Pod { metadata: Meta, spec: PodSpec, status: PodStatus, }
    /// What a pod should be.
    PodSpec { node_name: String, containers: Vec<Container>, init_containers: Vec<Container>, }
    /// One container of a pod.
    Container { name: String, image: String, ports: Vec<ContainerPort>, }
    /// One port of a container.
    ContainerPort { name: String, container_port: i32, protocol: String, }
    /// What a pod is.
    PodStatus {
        phase: String,
        conditions: Vec<Condition>,
        #[serde(rename = "hostIP")]
        host_ip: String,
        #[serde(rename = "podIP")]
        pod_ip: String,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
    }
    /// What a container is.
    ContainerStatus {
        name: String,
        #[serde(rename = "containerID")]
        container_id: String,
    }

    /// Endpoints of a service.
    Endpoints { metadata: Meta, subsets: Vec<Subset>, }
    /// Addresses with equal ports.
    Subset {
        addresses: Vec<EndpointAddress>,
        not_ready_addresses: Vec<EndpointAddress>,
        ports: Vec<EndpointPort>,
    }
    /// One address.
    EndpointAddress {
        ip: String,
        hostname: String,
        node_name: Option<String>,
        target_ref: Option<Reference>,
    }
    /// One port.
    EndpointPort { name: String, port: i32, protocol: String, }
    /// An object that another speaks of.
    Reference { kind: String, namespace: String, name: String, }

    /// A slice of the endpoints of a service.
    EndpointSlice {
        metadata: Meta,
        address_type: String,
        endpoints: Vec<Endpoint>,
        ports: Vec<SlicePort>,
    }
    /// One endpoint.
    Endpoint {
        addresses: Vec<String>,
        conditions: EndpointConditions,
        hostname: Option<String>,
        target_ref: Option<Reference>,
        node_name: Option<String>,
        zone: Option<String>,
        deprecated_topology: Texts,
    }
    /// What an endpoint is.
    EndpointConditions { ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>, }
    /// One port of a slice.
    SlicePort {
        name: Option<String>,
        protocol: Option<String>,
        port: Option<i32>,
        app_protocol: Option<String>,
    }

    /// An ingress.
    Ingress { metadata: Meta, spec: IngressSpec, }
    /// What an ingress should be.
    IngressSpec { ingress_class_name: String, tls: Vec<IngressTls>, rules: Vec<IngressRule>, }
    /// Hosts with TLS.
    IngressTls { hosts: Vec<String>, }
    /// A host and its paths.
    IngressRule { host: String, http: Option<IngressHttp>, }
    /// The paths of a host.
    IngressHttp { paths: Vec<IngressPath>, }
    /// One path.
    IngressPath { path: String, }
}
