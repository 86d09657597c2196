//! Consul: the instances of services, told by long polls of its catalog and health.
//!
//! Source: Prometheus's `discovery/consul`; Consul's `/v1/catalog/services` and
//! `/v1/health/service/NAME` with blocking queries.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use client::http::Response;
use model::label_set::{Builder, LabelSet};
use scrape::http_options::HttpOptions;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::address::{escaped, join, sanitized};
use crate::api::{Api, header, read};
use crate::group::{ADDRESS, Group};
use crate::metrics::observe;
use crate::outlet::Outlet;

/// Time that Consul may hold a question back, and what it may add to it by chance.
const HOLD: Duration = Duration::from_secs(120);
const HOLD_MORE: Duration = Duration::from_secs(15);
/// Pause after a failure: upstream's.
const RETRY: Duration = Duration::from_secs(15);
/// Services that are watched, a question of each held at Consul.
const SERVICES_MAX: usize = 10_000;

/// One of `consul_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsulOptions {
    /// `server`. Default `localhost:8500`.
    pub server: String,
    /// `path_prefix`
    pub path_prefix: String,
    /// `scheme`. Default "http".
    pub scheme: String,
    /// Sent as a header with each question; may be a secret.
    pub token: scrape::http_options::Secret,
    /// `datacenter`; "" is the agent's own.
    pub datacenter: String,
    /// `namespace`
    pub namespace: String,
    /// `partition`
    pub partition: String,
    /// `tag_separator`. Default ",".
    pub tag_separator: String,
    /// `allow_stale`. Default true.
    pub allow_stale: bool,
    /// `refresh_interval`: least time between two answers about one thing. Default 30 s.
    pub refresh: Duration,
    /// `services`; none is all.
    pub services: Vec<String>,
    /// `tags` that a service must have.
    pub tags: Vec<String>,
    /// `node_meta` that a node must have.
    pub node_meta: Vec<(String, String)>,
    /// `filter` of the catalog.
    pub filter: String,
    /// `health_filter`
    pub health_filter: String,
    /// How it is reached.
    pub http: Arc<HttpOptions>,
}

impl ConsulOptions {
    fn api(&self) -> Api {
        let within = HOLD + HOLD_MORE;
        let (scheme, address) =
            self.server.split_once("://").unwrap_or((&self.scheme, &self.server));
        let api = if scheme == "unix" {
            Api::at_socket(Path::new(address), within)
        } else {
            let prefix = self.path_prefix.trim_matches('/');
            let slash = if prefix.is_empty() { "" } else { "/" };
            Api::new(&format!("{scheme}://{address}{slash}{prefix}"), &self.http, within)
        };
        let token = &self.token.0;
        if token.is_empty() { api } else { api.with_header("X-Consul-Token", token) }
    }

    /// The part of each question that says where and how.
    fn query(&self, datacenter: &str, index: u64, filter: &str) -> String {
        let mut query = format!("?dc={}", escaped(datacenter));
        for (name, value) in [
            ("ns", &self.namespace),
            ("partition", &self.partition),
            ("filter", &filter.to_owned()),
        ] {
            if !value.is_empty() {
                query.push_str(&format!("&{name}={}", escaped(value)));
            }
        }
        for (name, value) in &self.node_meta {
            query.push_str(&format!("&node-meta={}", escaped(&format!("{name}:{value}"))));
        }
        if self.allow_stale {
            query.push_str("&stale=");
        }
        if index != 0 {
            query.push_str(&format!("&index={index}"));
        }
        query.push_str(&format!("&wait={}ms", HOLD.as_millis()));
        query
    }

    /// Whether a service of the catalog is wanted.
    fn wants(&self, name: &str, tags: &[String]) -> bool {
        let by_name = self.services.is_empty() || self.services.iter().any(|own| own == name);
        by_name && self.tags.iter().all(|tag| tags.contains(tag))
    }
}

/// Watches until its task ends.
pub async fn run(options: ConsulOptions, outlet: Outlet) {
    let mut consul =
        Consul { api: options.api(), options: Arc::new(options), outlet: Arc::new(outlet) };
    let datacenter = consul.datacenter().await;
    let options = Arc::clone(&consul.options);
    let by_catalog =
        options.services.is_empty() || !options.tags.is_empty() || !options.filter.is_empty();
    if by_catalog {
        consul.watch_catalog(datacenter).await;
        return;
    }
    // They end with this task.
    let mut watches = JoinSet::new();
    for name in options.services.iter().take(SERVICES_MAX) {
        watches.spawn(consul.service(name, &datacenter).watch());
    }
    while watches.join_next().await.is_some() {}
}

/// What it takes to ask.
struct Consul {
    options: Arc<ConsulOptions>,
    outlet: Arc<Outlet>,
    api: Api,
}

/// What Consul's agent says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Agent {
    config: BTreeMap<String, Value>,
}

impl Consul {
    /// The datacenter, asked for until it is known.
    async fn datacenter(&mut self) -> String {
        if !self.options.datacenter.is_empty() {
            return self.options.datacenter.clone();
        }
        let mut retries = pauses(RETRY);
        loop {
            retries.tick().await;
            let agent: Result<Agent, String> = self.api.json("/v1/agent/self").await;
            let found = agent.and_then(|agent| {
                let name = agent.config.get("Datacenter").and_then(Value::as_str);
                name.map(str::to_owned).ok_or_else(|| "no Config.Datacenter".to_owned())
            });
            match found {
                Ok(name) => return name,
                Err(reason) => self.failed("the datacenter", &reason),
            }
        }
    }

    fn failed(&self, what: &str, reason: &str) {
        self.outlet.metrics.consul_rpc_failures.fetch_add(1, Ordering::Relaxed);
        let job = &self.outlet.own.job;
        tracing::error!(job, what, reason, "Consul does not answer");
    }

    fn service(&self, name: &str, datacenter: &str) -> Service {
        let options = Arc::clone(&self.options);
        let consul = Consul { api: options.api(), options, outlet: Arc::clone(&self.outlet) };
        Service { consul, name: name.to_owned(), datacenter: datacenter.to_owned() }
    }

    /// Watches which services there are, and each that is wanted.
    async fn watch_catalog(mut self, datacenter: String) {
        let mut ticks = pauses(self.options.refresh);
        let mut retries = pauses(RETRY);
        // They end with this task.
        let mut watches = JoinSet::new();
        let mut watched: BTreeMap<String, AbortHandle> = BTreeMap::new();
        let mut index = 0;
        loop {
            ticks.tick().await;
            let query = self.options.query(&datacenter, index, &self.options.filter);
            let began = Instant::now();
            let answered = self.api.get(&format!("/v1/catalog/services{query}")).await;
            observe(&self.outlet.metrics.consul_catalog, began.elapsed());
            let services = answered.and_then(|response| {
                let services: BTreeMap<String, Option<Vec<String>>> = read(&response.body)?;
                Ok((services, next_index(index, &response)))
            });
            let services = match services {
                Ok((_, next)) if next == index && index != 0 => continue,
                Ok((services, next)) => {
                    index = next;
                    services
                }
                Err(reason) => {
                    self.failed("the catalog", &reason);
                    retries.reset();
                    retries.tick().await;
                    continue;
                }
            };
            let gone: Vec<String> =
                watched.keys().filter(|name| !services.contains_key(*name)).cloned().collect();
            for name in gone {
                if let Some(watch) = watched.remove(&name) {
                    watch.abort();
                }
                self.outlet.merge(vec![Group::gone(name)]).await;
            }
            for (name, tags) in &services {
                let is_new = !watched.contains_key(name);
                if !is_new || !self.options.wants(name, tags.as_deref().unwrap_or(&[])) {
                    continue;
                }
                if SERVICES_MAX <= watched.len() {
                    self.failed("a service", "more services than may be watched");
                    break;
                }
                let watch = watches.spawn(self.service(name, &datacenter).watch());
                watched.insert(name.clone(), watch);
            }
            // Those that were ended are taken out.
            while watches.try_join_next().is_some() {}
        }
    }
}

/// Ticks at least `period` apart, the first at once.
fn pauses(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The index of an answer; one that went back starts anew, as Consul asks for.
fn next_index(before: u64, response: &Response) -> u64 {
    let index = header(response, "X-Consul-Index").parse().unwrap_or(0);
    if index < before { 0 } else { index }
}

/// One service that is watched.
struct Service {
    consul: Consul,
    name: String,
    datacenter: String,
}

impl Service {
    async fn watch(mut self) {
        let options = Arc::clone(&self.consul.options);
        let mut ticks = pauses(options.refresh);
        let mut retries = pauses(RETRY);
        let mut index = 0;
        loop {
            ticks.tick().await;
            let mut query = options.query(&self.datacenter, index, &options.health_filter);
            for tag in &options.tags {
                query.push_str(&format!("&tag={}", escaped(tag)));
            }
            let path = format!("/v1/health/service/{}{query}", escaped(&self.name));
            let began = Instant::now();
            let answered = self.consul.api.get(&path).await;
            observe(&self.consul.outlet.metrics.consul_service, began.elapsed());
            let entries = answered.and_then(|response| {
                let entries: Vec<Entry> = read(&response.body)?;
                Ok((entries, next_index(index, &response)))
            });
            match entries {
                Ok((_, next)) if next == index && index != 0 => {}
                Ok((entries, next)) => {
                    index = next;
                    let group = self.group(&entries);
                    self.consul.outlet.merge(vec![group]).await;
                }
                Err(reason) => {
                    self.consul.failed(&self.name, &reason);
                    retries.reset();
                    retries.tick().await;
                }
            }
        }
    }

    fn group(&self, entries: &[Entry]) -> Group {
        let labels = LabelSet::new([
            ("__meta_consul_service", self.name.as_str()),
            ("__meta_consul_dc", &self.datacenter),
        ]);
        let separator = &self.consul.options.tag_separator;
        let targets = entries.iter().map(|entry| target(entry, separator)).collect();
        Group { source: self.name.clone(), labels, targets }
    }
}

/// An instance of a service, as Consul writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    node: Node,
    service: Instance,
    checks: Option<Vec<Check>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    node: String,
    address: String,
    meta: Option<BTreeMap<String, String>>,
    tagged_addresses: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Instance {
    #[serde(rename = "ID")]
    id: String,
    tags: Option<Vec<String>>,
    address: String,
    port: i64,
    meta: Option<BTreeMap<String, String>>,
    namespace: String,
    partition: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    #[serde(rename = "CheckID")]
    check_id: String,
    status: String,
}

/// The worst of the checks, as Consul's library sees it.
fn health(checks: &[Check]) -> &'static str {
    let mut worst = 0;
    for check in checks {
        let id = check.check_id.as_str();
        let severity = if id == "_node_maintenance" || id.starts_with("_service_maintenance:") {
            3
        } else {
            match check.status.as_str() {
                "passing" => 0,
                "warning" => 1,
                "critical" => 2,
                _ => return "",
            }
        };
        worst = worst.max(severity);
    }
    ["passing", "warning", "critical", "maintenance"][worst]
}

fn target(entry: &Entry, separator: &str) -> LabelSet {
    let Entry { node, service, checks } = entry;
    // Unlike other mechanisms', the text of no tags is two separators.
    let tags = service.tags.as_deref().unwrap_or(&[]).join(separator);
    let host = if service.address.is_empty() { &node.address } else { &service.address };
    let mut labels = Builder::default();
    for (name, value) in [
        ("address", node.address.as_str()),
        ("node", &node.node),
        ("namespace", &service.namespace),
        ("partition", &service.partition),
        ("tags", &format!("{separator}{tags}{separator}")),
        ("service_address", &service.address),
        ("service_port", &service.port.to_string()),
        ("service_id", &service.id),
        ("health", health(checks.as_deref().unwrap_or(&[]))),
    ] {
        labels.set(&format!("__meta_consul_{name}"), value);
    }
    for (kind, pairs) in [
        ("metadata", &node.meta),
        ("service_metadata", &service.meta),
        ("tagged_address", &node.tagged_addresses),
    ] {
        for (name, value) in pairs.iter().flatten() {
            labels.set(&format!("__meta_consul_{kind}_{}", sanitized(name)), value);
        }
    }
    labels.set(ADDRESS, &join(host, service.port)).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_become_targets_with_upstreams_labels() {
        let text = r#"{"Node": {"ID": "b78c2e48", "Node": "node1", "Address": "192.0.2.1",
            "Datacenter": "dc1", "TaggedAddresses": {"lan": "192.0.2.1", "wan": "198.51.100.1"},
            "Meta": {"rack-name": "2304"}}, "Service": {"ID": "web1", "Service": "web",
            "Tags": ["a", "b"], "Address": "", "Meta": {"version": "1"}, "Port": 3341,
            "Namespace": "default", "Partition": "p"},
            "Checks": [{"CheckID": "serfHealth", "Status": "passing"},
            {"CheckID": "service:web1", "Status": "warning"}]}"#;
        let entry: Entry = serde_json::from_str(text).unwrap();
        assert_eq!(
            target(&entry, ",").to_string().replace("__meta_consul_", ""),
            "{__address__=\"192.0.2.1:3341\", address=\"192.0.2.1\", health=\"warning\", \
             metadata_rack_name=\"2304\", namespace=\"default\", node=\"node1\", \
             partition=\"p\", service_id=\"web1\", service_metadata_version=\"1\", \
             service_port=\"3341\", tagged_address_lan=\"192.0.2.1\", \
             tagged_address_wan=\"198.51.100.1\", tags=\",a,b,\"}"
        );
        let bare = Entry {
            service: Instance { address: "::2".to_owned(), port: 1, ..Instance::default() },
            ..Entry::default()
        };
        let labels = target(&bare, ",");
        assert_eq!(labels.value(ADDRESS), "[::2]:1");
        assert_eq!(labels.value("__meta_consul_tags"), ",,");
        assert_eq!(labels.value("__meta_consul_health"), "passing");
    }

    #[test]
    fn the_worst_check_tells_the_health() {
        #[track_caller]
        fn check(checks: &[(&str, &str)], expected: &str) {
            let checks: Vec<Check> = checks
                .iter()
                .map(|(id, status)| Check { check_id: (*id).into(), status: (*status).into() })
                .collect();
            assert_eq!(health(&checks), expected);
        }
        check(&[("a", "passing"), ("b", "critical"), ("c", "warning")], "critical");
        check(&[("_node_maintenance", "critical"), ("a", "passing")], "maintenance");
        check(&[("_service_maintenance:x", "critical")], "maintenance");
        check(&[("a", "odd")], "");
        check(&[], "passing");
    }
}
