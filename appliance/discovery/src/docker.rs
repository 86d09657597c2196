//! Docker: the containers of one engine.
//!
//! Source: Prometheus's `discovery/moby/docker.go`; the engine's `/containers/json` and
//! `/networks`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::label_set::{Builder, LabelSet};
use scrape::http_options::HttpOptions;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::address::{escaped, join, sanitized};
use crate::api::Api;
use crate::group::{ADDRESS, Group};
use crate::outlet::Outlet;
use crate::refresh::{self, Refresh};

const PREFIX: &str = "__meta_docker_";

/// Where an engine is and what it is asked for: what `docker_sd_configs` and
/// `dockerswarm_sd_configs` have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    /// `unix://`, `tcp://`, `http://` or `https://`.
    pub host: String,
    /// Names and values of filters.
    pub filters: Vec<(String, Vec<String>)>,
    /// Port of targets that name none. Default 80.
    pub port: u16,
    /// `refresh_interval`. Default 60 s.
    pub refresh: Duration,
    /// How it is reached over http and https.
    pub http: Arc<HttpOptions>,
}

/// One of `docker_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct DockerOptions {
    /// Where and what.
    pub engine: Engine,
    /// Address of containers in the host's network. Default "localhost".
    pub host_networking_host: String,
    /// Whether only the first network of a container counts. Default true.
    pub match_first_network: bool,
}

impl Engine {
    /// The engine's API.
    #[must_use]
    pub fn api(&self) -> Api {
        if let Some(path) = self.host.strip_prefix("unix://") {
            return Api::at_socket(&PathBuf::from(path), self.refresh);
        }
        match self.host.strip_prefix("tcp://") {
            Some(address) => Api::new(&format!("http://{address}"), &Arc::default(), self.refresh),
            None => Api::new(&self.host, &self.http, self.refresh),
        }
    }

    /// The filters as the part of a URL.
    #[must_use]
    pub fn query(&self) -> String {
        if self.filters.is_empty() {
            return String::new();
        }
        let mut filters: Map<String, Value> = Map::new();
        for (name, values) in &self.filters {
            let of_name = filters.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(of_name) = of_name {
                of_name.extend(values.iter().map(|value| (value.clone(), Value::Bool(true))));
            }
        }
        format!("?filters={}", escaped(&Value::Object(filters).to_string()))
    }
}

/// A network of the engine.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Network {
    id: String,
    name: String,
    scope: String,
    internal: bool,
    ingress: bool,
    labels: Option<BTreeMap<String, String>>,
}

/// Labels of each network by its id, under `prefix`.
///
/// # Errors
/// The engine does not answer.
pub async fn network_labels(
    api: &mut Api,
    prefix: &str,
) -> Result<HashMap<String, LabelSet>, String> {
    let networks: Vec<Network> = api.json("/networks").await?;
    let labels = networks.into_iter().map(|network| {
        let mut labels = Builder::default();
        for (name, value) in [
            ("id", network.id.as_str()),
            ("name", &network.name),
            ("scope", &network.scope),
            ("internal", truth(network.internal)),
            ("ingress", truth(network.ingress)),
        ] {
            labels.set(&format!("{prefix}network_{name}"), value);
        }
        add_labels(&mut labels, &format!("{prefix}network_label_"), network.labels.as_ref());
        (network.id, labels.build())
    });
    Ok(labels.collect())
}

/// A boolean as labels carry it.
#[must_use]
pub fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Sets each of `own` under `prefix`.
pub fn add_labels(labels: &mut Builder, prefix: &str, own: Option<&BTreeMap<String, String>>) {
    for (name, value) in own.into_iter().flatten() {
        labels.set(&format!("{prefix}{}", sanitized(name)), value);
    }
}

/// Sets all of `more`.
pub fn merge(labels: &mut Builder, more: Option<&LabelSet>) {
    for (name, value) in more.into_iter().flat_map(LabelSet::iter) {
        labels.set(name, value);
    }
}

/// Asks every `refresh`; ends with its outlet.
pub async fn run(options: DockerOptions, outlet: Outlet) {
    let (api, period) = (options.engine.api(), options.engine.refresh);
    refresh::run(Containers { options, api }, period, outlet).await;
}

struct Containers {
    options: DockerOptions,
    api: Api,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Container {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    ports: Option<Vec<Port>>,
    labels: Option<BTreeMap<String, String>>,
    host_config: HostConfig,
    network_settings: Option<NetworkSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Port {
    #[serde(rename = "IP")]
    ip: Option<String>,
    private_port: u16,
    public_port: u16,
    r#type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Option<Endpoint>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "IPAddress")]
    ip_address: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: Option<String>,
}

impl Endpoint {
    fn address(&self) -> &str {
        let written = |address: &Option<String>| address.as_deref().is_some_and(|a| !a.is_empty());
        let six = self.global_ipv6_address.as_ref().filter(|_| !written(&self.ip_address));
        six.or(self.ip_address.as_ref()).map_or("", String::as_str)
    }
}

impl Refresh for Containers {
    async fn refresh(&mut self) -> Result<Vec<Group>, String> {
        let path = format!("/containers/json{}", self.options.engine.query());
        let listed: Result<Vec<Container>, String> = self.api.json(&path).await;
        let containers =
            listed.map_err(|error| format!("error while listing containers: {error}"))?;
        let networks = network_labels(&mut self.api, PREFIX).await;
        let networks =
            networks.map_err(|error| format!("error while computing network labels: {error}"))?;
        let targets = targets(&containers, &networks, &self.options);
        Ok(vec![Group { source: "Docker".to_owned(), labels: LabelSet::empty(), targets }])
    }
}

fn targets(
    containers: &[Container],
    networks: &HashMap<String, LabelSet>,
    options: &DockerOptions,
) -> Vec<LabelSet> {
    let by_id: HashMap<&str, &Container> =
        containers.iter().map(|container| (container.id.as_str(), container)).collect();
    let mut targets = Vec::new();
    for container in containers {
        let Some(labels) = own_labels(container) else { continue };
        let mut endpoints = endpoints(container, &by_id);
        if options.match_first_network {
            endpoints.truncate(1);
        }
        for endpoint in endpoints {
            let before = targets.len();
            for port in container.ports.iter().flatten().filter(|port| port.r#type == "tcp") {
                let labels = with_port(&labels, endpoint, port, networks);
                targets.push(labels.build());
            }
            if targets.len() != before {
                continue;
            }
            // Such as containers in the host's network, which expose nothing.
            let mut labels = labels.clone();
            labels.set("__meta_docker_network_ip", endpoint.address());
            merge(&mut labels, networks.get(&endpoint.network_id));
            let address = match container.host_config.network_mode.as_str() {
                "host" => options.host_networking_host.clone(),
                _ => join(endpoint.address(), options.engine.port),
            };
            targets.push(labels.set(ADDRESS, &address).build());
        }
    }
    targets
}

fn with_port(
    labels: &Builder,
    endpoint: &Endpoint,
    port: &Port,
    networks: &HashMap<String, LabelSet>,
) -> Builder {
    let mut labels = labels.clone();
    labels.set("__meta_docker_network_ip", endpoint.address());
    labels.set("__meta_docker_port_private", &port.private_port.to_string());
    if 0 < port.public_port {
        labels.set("__meta_docker_port_public", &port.public_port.to_string());
        labels.set("__meta_docker_port_public_ip", port.ip.as_deref().unwrap_or(""));
    }
    merge(&mut labels, networks.get(&endpoint.network_id));
    labels.set(ADDRESS, &join(endpoint.address(), port.private_port));
    labels
}

/// Labels of all targets of a container; `None` for one without a name.
fn own_labels(container: &Container) -> Option<Builder> {
    let name = container.names.iter().flatten().next()?;
    let mut labels = Builder::default();
    for (label, value) in [
        ("id", container.id.as_str()),
        ("name", name),
        ("network_mode", &container.host_config.network_mode),
        ("image", &container.image),
        ("image_id", &container.image_id),
    ] {
        labels.set(&format!("{PREFIX}container_{label}"), value);
    }
    add_labels(&mut labels, "__meta_docker_container_label_", container.labels.as_ref());
    Some(labels)
}

/// The networks of a container in order of name; one without its own has those of the container
/// whose network it shares.
fn endpoints<'a>(
    container: &'a Container,
    by_id: &HashMap<&str, &'a Container>,
) -> Vec<&'a Endpoint> {
    let mut at = container;
    // Containers that share each other's networks in a circle have none.
    let mut seen = BTreeSet::new();
    loop {
        let networks = at.network_settings.as_ref().and_then(|own| own.networks.as_ref());
        if let Some(networks) = networks.filter(|networks| !networks.is_empty()) {
            return networks.values().flatten().collect();
        }
        let shared = at.host_config.network_mode.strip_prefix("container:");
        match shared.and_then(|id| by_id.get(id)) {
            Some(next) if seen.insert(&next.id) => at = next,
            _ => return Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTAINERS: &str = r#"[
      {"Id": "c1", "Names": ["/web"], "Image": "nginx", "ImageID": "sha256:1",
       "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                 {"PrivatePort": 443, "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"}],
       "Labels": {"com.docker.compose.service": "web"}, "State": "running",
       "HostConfig": {"NetworkMode": "front"},
       "NetworkSettings": {"Networks": {
         "front": {"NetworkID": "n1", "IPAddress": "172.20.0.2", "GlobalIPv6Address": ""},
         "back": {"NetworkID": "n2", "IPAddress": "172.21.0.2"}}}},
      {"Id": "c2", "Names": ["/node"], "Image": "node", "ImageID": "sha256:2", "Ports": [],
       "Labels": {}, "HostConfig": {"NetworkMode": "host"},
       "NetworkSettings": {"Networks": {"host": {"NetworkID": "n3", "IPAddress": ""}}}},
      {"Id": "c3", "Names": ["/side"], "Image": "side", "ImageID": "sha256:3",
       "Ports": [{"PrivatePort": 9100, "Type": "tcp"}], "Labels": null,
       "HostConfig": {"NetworkMode": "container:c1"}, "NetworkSettings": {"Networks": {}}},
      {"Id": "c4", "Names": ["/six"], "Image": "six", "ImageID": "sha256:4",
       "Ports": [{"PrivatePort": 9, "Type": "tcp"}], "HostConfig": {"NetworkMode": "six"},
       "NetworkSettings": {"Networks": {
         "six": {"NetworkID": "n4", "IPAddress": "", "GlobalIPv6Address": "2001:db8::2"}}}},
      {"Id": "c5", "Names": ["/loop"], "HostConfig": {"NetworkMode": "container:c5"}},
      {"Id": "c6", "Names": [], "HostConfig": {"NetworkMode": "front"}}]"#;

    fn options(match_first_network: bool) -> DockerOptions {
        let engine = Engine {
            host: "unix:///var/run/docker.sock".to_owned(),
            filters: Vec::new(),
            port: 80,
            refresh: Duration::from_secs(60),
            http: Arc::default(),
        };
        let host_networking_host = "localhost".to_owned();
        DockerOptions { engine, host_networking_host, match_first_network }
    }

    #[test]
    fn each_port_of_a_container_is_a_target() {
        let containers: Vec<Container> = serde_json::from_str(CONTAINERS).unwrap();
        let network = LabelSet::new([("__meta_docker_network_name", "back")]);
        let networks = HashMap::from([("n2".to_owned(), network)]);
        let addresses = |first| {
            let targets = targets(&containers, &networks, &options(first));
            let addresses = targets.iter().map(|labels| labels.value(ADDRESS).to_owned());
            addresses.collect::<Vec<_>>().join(" ")
        };
        let rest = "localhost 172.21.0.2:9100";
        let first = format!("172.21.0.2:80 172.21.0.2:443 {rest} [2001:db8::2]:9");
        assert_eq!(addresses(true), first);
        let both = "172.21.0.2:80 172.21.0.2:443 172.20.0.2:80 172.20.0.2:443";
        assert_eq!(addresses(false), format!("{both} {rest} 172.20.0.2:9100 [2001:db8::2]:9"));
        let labels = &targets(&containers, &networks, &options(true))[0];
        assert_eq!(
            labels.to_string().replace("__meta_docker_", ""),
            "{__address__=\"172.21.0.2:80\", container_id=\"c1\", container_image=\"nginx\", \
             container_image_id=\"sha256:1\", \
             container_label_com_docker_compose_service=\"web\", container_name=\"/web\", \
             container_network_mode=\"front\", network_ip=\"172.21.0.2\", \
             network_name=\"back\", port_private=\"80\", port_public=\"8080\", \
             port_public_ip=\"0.0.0.0\"}"
        );
    }

    #[test]
    fn filters_are_sent_as_json() {
        let mut engine = options(true).engine;
        assert_eq!(engine.query(), "");
        engine.filters = vec![("status".to_owned(), vec!["running".to_owned()])];
        assert_eq!(engine.query(), "?filters=%7B%22status%22%3A%7B%22running%22%3Atrue%7D%7D");
    }
}
