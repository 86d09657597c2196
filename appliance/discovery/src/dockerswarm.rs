//! Docker Swarm: the services, tasks or nodes of a swarm, by one of its managers.
//!
//! Source: Prometheus's `discovery/moby`; the engine's `/services`, `/tasks`, `/nodes` and
//! `/networks`.

use std::collections::{BTreeMap, HashMap};

use model::label_set::{Builder, LabelSet};
use serde::Deserialize;

use crate::address::join;
use crate::api::Api;
use crate::docker::{Engine, add_labels, merge, network_labels, truth};
use crate::group::{ADDRESS, Group};
use crate::outlet::Outlet;
use crate::refresh::{self, Refresh};

const PREFIX: &str = "__meta_dockerswarm_";
const PUBLISH_MODE: &str = "__meta_dockerswarm_task_port_publish_mode";

/// What becomes a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwarmRole {
    /// Each virtual address and port of a service.
    Services,
    /// Each address and port of a task.
    Tasks,
    /// Each node.
    Nodes,
}

impl SwarmRole {
    /// The role of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<SwarmRole> {
        match name {
            "services" => Some(SwarmRole::Services),
            "tasks" => Some(SwarmRole::Tasks),
            "nodes" => Some(SwarmRole::Nodes),
            _ => None,
        }
    }
}

/// One of `dockerswarm_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct SwarmOptions {
    /// Where and what.
    pub engine: Engine,
    /// `role`
    pub role: SwarmRole,
}

/// Asks every `refresh`; ends with its outlet.
pub async fn run(options: SwarmOptions, outlet: Outlet) {
    let (api, period) = (options.engine.api(), options.engine.refresh);
    refresh::run(Swarm { options, api }, period, outlet).await;
}

struct Swarm {
    options: SwarmOptions,
    api: Api,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    #[serde(rename = "ID")]
    id: String,
    spec: NodeSpec,
    description: NodeDescription,
    status: NodeStatus,
    manager_status: Option<Leadership>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeSpec {
    role: String,
    availability: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeDescription {
    hostname: String,
    platform: Platform,
    engine: NodeEngine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Platform {
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeEngine {
    engine_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeStatus {
    state: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Leadership {
    leader: bool,
    reachability: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    spec: ServiceSpec,
    endpoint: ServiceEndpoint,
    update_status: Option<State>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceSpec {
    name: String,
    labels: Option<BTreeMap<String, String>>,
    task_template: TaskSpec,
    mode: BTreeMap<String, Option<serde_json::Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskSpec {
    container_spec: Option<ContainerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    image: String,
    hostname: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceEndpoint {
    ports: Option<Vec<PortConfig>>,
    #[serde(rename = "VirtualIPs")]
    virtual_ips: Option<Vec<VirtualIp>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PortConfig {
    name: String,
    protocol: String,
    published_port: u32,
    publish_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VirtualIp {
    #[serde(rename = "NetworkID")]
    network_id: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Task {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    slot: i64,
    desired_state: String,
    spec: TaskSpec,
    status: TaskStatus,
    networks_attachments: Option<Vec<Attachment>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskStatus {
    state: String,
    container_status: Option<ContainerStatus>,
    port_status: PortStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    container_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PortStatus {
    ports: Option<Vec<PortConfig>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attachment {
    network: AttachedNetwork,
    addresses: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AttachedNetwork {
    #[serde(rename = "ID")]
    id: String,
}

/// Labels by id.
type ById = HashMap<String, LabelSet>;

impl Refresh for Swarm {
    async fn refresh(&mut self) -> Result<Vec<Group>, String> {
        let targets = match self.options.role {
            SwarmRole::Nodes => self.nodes().await,
            SwarmRole::Services => self.services().await,
            SwarmRole::Tasks => self.tasks().await,
        };
        let labels = LabelSet::empty();
        Ok(vec![Group { source: "DockerSwarm".to_owned(), labels, targets: targets? }])
    }
}

impl Swarm {
    async fn nodes(&mut self) -> Result<Vec<LabelSet>, String> {
        let path = format!("/nodes{}", self.options.engine.query());
        let nodes: Result<Vec<Node>, String> = self.api.json(&path).await;
        let nodes = nodes.map_err(|error| format!("error while listing swarm nodes: {error}"))?;
        let port = self.options.engine.port;
        Ok(nodes.iter().map(|node| node_target(node, port)).collect())
    }

    async fn services(&mut self) -> Result<Vec<LabelSet>, String> {
        let path = format!("/services{}", self.options.engine.query());
        let services: Result<Vec<Service>, String> = self.api.json(&path).await;
        let services =
            services.map_err(|error| format!("error while listing swarm services: {error}"))?;
        let networks = self.networks().await?;
        let port = self.options.engine.port;
        let targets = services.iter().map(|service| service_targets(service, &networks, port));
        Ok(targets.collect::<Result<Vec<_>, _>>()?.concat())
    }

    async fn tasks(&mut self) -> Result<Vec<LabelSet>, String> {
        let path = format!("/tasks{}", self.options.engine.query());
        let tasks: Result<Vec<Task>, String> = self.api.json(&path).await;
        let tasks = tasks.map_err(|error| format!("error while listing swarm tasks: {error}"))?;
        let services: Vec<Service> = self.api.json("/services").await?;
        let nodes: Vec<Node> = self.api.json("/nodes").await?;
        let context = Context {
            networks: self.networks().await?,
            services: services.into_iter().map(|service| (service.id.clone(), service)).collect(),
            nodes: nodes.into_iter().map(|node| (node.id.clone(), node)).collect(),
            port: self.options.engine.port,
        };
        let targets = tasks.iter().map(|task| task_targets(task, &context));
        Ok(targets.collect::<Result<Vec<_>, _>>()?.concat())
    }

    async fn networks(&mut self) -> Result<ById, String> {
        let networks = network_labels(&mut self.api, PREFIX).await;
        networks.map_err(|error| format!("error while computing swarm network labels: {error}"))
    }
}

/// What tasks refer to.
struct Context {
    networks: ById,
    services: HashMap<String, Service>,
    nodes: HashMap<String, Node>,
    port: u16,
}

fn set(labels: &mut Builder, pairs: &[(&str, &str)]) {
    for (name, value) in pairs {
        labels.set(&format!("{PREFIX}{name}"), value);
    }
}

/// The labels that a node gives to its tasks too.
fn add_node(labels: &mut Builder, node: &Node) {
    let Node { id, spec, description, status, .. } = node;
    set(
        labels,
        &[
            ("node_id", id),
            ("node_role", &spec.role),
            ("node_address", &status.addr),
            ("node_availability", &spec.availability),
            ("node_hostname", &description.hostname),
            ("node_platform_architecture", &description.platform.architecture),
            ("node_platform_os", &description.platform.os),
            ("node_status", &status.state),
        ],
    );
    add_labels(labels, "__meta_dockerswarm_node_label_", spec.labels.as_ref());
}

fn node_target(node: &Node, port: u16) -> LabelSet {
    let mut labels = Builder::default();
    add_node(&mut labels, node);
    set(&mut labels, &[("node_engine_version", &node.description.engine.engine_version)]);
    if let Some(manager) = &node.manager_status {
        set(
            &mut labels,
            &[
                ("node_manager_leader", truth(manager.leader)),
                ("node_manager_reachability", &manager.reachability),
                ("node_manager_address", &manager.addr),
            ],
        );
    }
    labels.set(ADDRESS, &join(&node.status.addr, port)).build()
}

/// The labels that a service gives to its tasks too.
fn add_service(labels: &mut Builder, service: &Service) {
    let has = |mode: &str| service.spec.mode.get(mode).is_some_and(Option::is_some);
    let mode = match (has("Global"), has("Replicated")) {
        (true, _) => "global",
        (_, true) => "replicated",
        _ => "",
    };
    set(
        labels,
        &[
            ("service_id", &service.id),
            ("service_name", &service.spec.name),
            ("service_mode", mode),
        ],
    );
    add_labels(labels, "__meta_dockerswarm_service_label_", service.spec.labels.as_ref());
}

fn service_targets(service: &Service, networks: &ById, port: u16) -> Result<Vec<LabelSet>, String> {
    let mut common = Builder::default();
    add_service(&mut common, service);
    if let Some(container) = &service.spec.task_template.container_spec {
        set(
            &mut common,
            &[
                ("service_task_container_hostname", &container.hostname),
                ("service_task_container_image", &container.image),
            ],
        );
    }
    if let Some(update) = &service.update_status {
        set(&mut common, &[("service_updating_status", &update.state)]);
    }
    let mut targets = Vec::new();
    for address in service.endpoint.virtual_ips.iter().flatten() {
        let host = without_mask(&address.addr)?;
        let before = targets.len();
        for own in tcp(&service.endpoint.ports) {
            let mut labels = common.clone();
            set(
                &mut labels,
                &[
                    ("service_endpoint_port_name", &own.name),
                    ("service_endpoint_port_publish_mode", &own.publish_mode),
                ],
            );
            merge(&mut labels, networks.get(&address.network_id));
            targets.push(labels.set(ADDRESS, &join(host, own.published_port)).build());
        }
        if targets.len() == before {
            let mut labels = common.clone();
            merge(&mut labels, networks.get(&address.network_id));
            targets.push(labels.set(ADDRESS, &join(host, port)).build());
        }
    }
    Ok(targets)
}

fn task_targets(task: &Task, context: &Context) -> Result<Vec<LabelSet>, String> {
    let mut common = Builder::default();
    set(
        &mut common,
        &[
            ("task_id", &task.id),
            ("task_desired_state", &task.desired_state),
            ("task_state", &task.status.state),
            ("task_slot", &task.slot.to_string()),
        ],
    );
    if let Some(status) = &task.status.container_status {
        set(&mut common, &[("task_container_id", &status.container_id)]);
    }
    if let Some(container) = &task.spec.container_spec {
        let prefix = "__meta_dockerswarm_container_label_";
        add_labels(&mut common, prefix, container.labels.as_ref());
    }
    let service = context.services.get(&task.service_id);
    if let Some(service) = service {
        add_service(&mut common, service);
    }
    if let Some(node) = context.nodes.get(&task.node_id) {
        add_node(&mut common, node);
    }
    let mut targets = Vec::new();
    for port in tcp(&task.status.port_status.ports) {
        let mut labels = common.clone();
        labels.set(PUBLISH_MODE, &port.publish_mode);
        let host = labels.value("__meta_dockerswarm_node_address").to_owned();
        targets.push(labels.set(ADDRESS, &join(&host, port.published_port)).build());
    }
    for attachment in task.networks_attachments.iter().flatten() {
        for address in attachment.addresses.iter().flatten() {
            let host = without_mask(address)?;
            let before = targets.len();
            let network = context.networks.get(&attachment.network.id);
            for port in service.into_iter().flat_map(|service| tcp(&service.endpoint.ports)) {
                let mut labels = common.clone();
                labels.set(PUBLISH_MODE, &port.publish_mode);
                merge(&mut labels, network);
                targets.push(labels.set(ADDRESS, &join(host, port.published_port)).build());
            }
            if targets.len() == before {
                let mut labels = common.clone();
                merge(&mut labels, network);
                targets.push(labels.set(ADDRESS, &join(host, context.port)).build());
            }
        }
    }
    Ok(targets)
}

fn tcp(ports: &Option<Vec<PortConfig>>) -> impl Iterator<Item = &PortConfig> {
    ports.iter().flatten().filter(|port| port.protocol == "tcp")
}

/// `10.0.0.2` of `10.0.0.2/24`.
fn without_mask(address: &str) -> Result<&str, String> {
    let split = address.split_once('/').map(|(host, _)| host);
    split.ok_or_else(|| format!("error while parsing address {address}: no network mask"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = r#"{"ID": "n1", "Spec": {"Role": "manager", "Availability": "active",
        "Labels": {"zone": "a"}}, "Description": {"Hostname": "h", "Platform":
        {"Architecture": "x86_64", "OS": "linux"}, "Engine": {"EngineVersion": "19.03"}},
        "Status": {"State": "ready", "Addr": "192.0.2.9"}, "ManagerStatus": {"Leader": true,
        "Reachability": "reachable", "Addr": "192.0.2.9:2377"}}"#;
    const SERVICE: &str = r#"{"ID": "s1", "Spec": {"Name": "web", "Labels": {"team": "x"},
        "TaskTemplate": {"ContainerSpec": {"Image": "nginx", "Hostname": "w"}},
        "Mode": {"Replicated": {"Replicas": 2}}},
        "Endpoint": {"Ports": [{"Name": "http", "Protocol": "tcp", "TargetPort": 80,
        "PublishedPort": 8080, "PublishMode": "ingress"}, {"Protocol": "udp"}],
        "VirtualIPs": [{"NetworkID": "net1", "Addr": "10.0.0.3/24"}]},
        "UpdateStatus": {"State": "completed"}}"#;
    const TASK: &str = r#"{"ID": "t1", "ServiceID": "s1", "NodeID": "n1", "Slot": 2,
        "DesiredState": "running", "Spec": {"ContainerSpec": {"Labels": {"c-l": "v"}}},
        "Status": {"State": "running", "ContainerStatus": {"ContainerID": "cid"},
        "PortStatus": {"Ports": [{"Protocol": "tcp", "PublishedPort": 9323,
        "PublishMode": "host"}]}},
        "NetworksAttachments": [{"Network": {"ID": "net1"}, "Addresses": ["10.0.0.7/24"]}]}"#;

    fn networks() -> ById {
        let labels = LabelSet::new([("__meta_dockerswarm_network_name", "net")]);
        HashMap::from([("net1".to_owned(), labels)])
    }

    #[track_caller]
    fn check(target: &LabelSet, expected: &str) {
        assert_eq!(target.to_string().replace(PREFIX, ""), format!("{{{expected}}}"));
    }

    const NODE_LABELS: &str = "node_address=\"192.0.2.9\", node_availability=\"active\", ";

    #[test]
    fn a_node_is_a_target() {
        let node = serde_json::from_str(NODE).unwrap();
        let expected = format!(
            "__address__=\"192.0.2.9:80\", {NODE_LABELS}node_engine_version=\"19.03\", \
             node_hostname=\"h\", node_id=\"n1\", node_label_zone=\"a\", \
             node_manager_address=\"192.0.2.9:2377\", node_manager_leader=\"true\", \
             node_manager_reachability=\"reachable\", node_platform_architecture=\"x86_64\", \
             node_platform_os=\"linux\", node_role=\"manager\", node_status=\"ready\""
        );
        check(&node_target(&node, 80), &expected);
    }

    #[test]
    fn each_port_of_a_service_is_a_target() {
        let service = serde_json::from_str(SERVICE).unwrap();
        let targets = service_targets(&service, &networks(), 80).unwrap();
        assert_eq!(targets.len(), 1);
        check(
            &targets[0],
            "__address__=\"10.0.0.3:8080\", network_name=\"net\", \
             service_endpoint_port_name=\"http\", \
             service_endpoint_port_publish_mode=\"ingress\", service_id=\"s1\", \
             service_label_team=\"x\", service_mode=\"replicated\", service_name=\"web\", \
             service_task_container_hostname=\"w\", service_task_container_image=\"nginx\", \
             service_updating_status=\"completed\"",
        );
        let bare = r#"{"ID": "s", "Endpoint":
            {"VirtualIPs": [{"NetworkID": "x", "Addr": "10.0.0.4/24"}]}}"#;
        let bare: Service = serde_json::from_str(bare).unwrap();
        let targets = service_targets(&bare, &networks(), 81).unwrap();
        check(&targets[0], "__address__=\"10.0.0.4:81\", service_id=\"s\"");
    }

    #[test]
    fn each_address_of_a_task_is_a_target() {
        let service: Service = serde_json::from_str(SERVICE).unwrap();
        let node: Node = serde_json::from_str(NODE).unwrap();
        let context = Context {
            networks: networks(),
            services: HashMap::from([("s1".to_owned(), service)]),
            nodes: HashMap::from([("n1".to_owned(), node)]),
            port: 80,
        };
        let task = serde_json::from_str(TASK).unwrap();
        let targets = task_targets(&task, &context).unwrap();
        let rest = format!(
            "{NODE_LABELS}node_hostname=\"h\", node_id=\"n1\", node_label_zone=\"a\", \
             node_platform_architecture=\"x86_64\", node_platform_os=\"linux\", \
             node_role=\"manager\", node_status=\"ready\", service_id=\"s1\", \
             service_label_team=\"x\", service_mode=\"replicated\", service_name=\"web\", \
             task_container_id=\"cid\", task_desired_state=\"running\", task_id=\"t1\", "
        );
        let tail = "task_slot=\"2\", task_state=\"running\"";
        let label = "container_label_c_l=\"v\"";
        check(
            &targets[0],
            &format!(
                "__address__=\"192.0.2.9:9323\", {label}, {rest}\
                 task_port_publish_mode=\"host\", {tail}"
            ),
        );
        check(
            &targets[1],
            &format!(
                "__address__=\"10.0.0.7:8080\", {label}, network_name=\"net\", {rest}\
                 task_port_publish_mode=\"ingress\", {tail}"
            ),
        );
    }
}
