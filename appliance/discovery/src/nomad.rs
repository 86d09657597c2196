//! Nomad: the services that it knows.
//!
//! Source: Prometheus's `discovery/nomad`; Nomad's `/v1/services` and `/v1/service/NAME`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::label_set::LabelSet;
use scrape::http_options::HttpOptions;
use serde::Deserialize;

use crate::address::{escaped, join, surrounded};
use crate::api::Api;
use crate::group::{ADDRESS, Group};
use crate::metrics::Metrics;
use crate::outlet::Outlet;
use crate::refresh::{self, Refresh};

/// One of `nomad_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct NomadOptions {
    /// `allow_stale`. Default true.
    pub allow_stale: bool,
    /// `namespace`. Default "default"; `*` is all.
    pub namespace: String,
    /// `region`. Default "global".
    pub region: String,
    /// `server`. Default `http://localhost:4646`.
    pub server: String,
    /// `tag_separator`. Default ",".
    pub tag_separator: String,
    /// `refresh_interval`. Default 60 s.
    pub refresh: Duration,
    /// How it is reached.
    pub http: Arc<HttpOptions>,
}

/// Asks every `refresh`; ends with its outlet.
pub async fn run(options: NomadOptions, outlet: Outlet) {
    let api = Api::new(&options.server, &options.http, options.refresh);
    let (period, metrics) = (options.refresh, Arc::clone(&outlet.metrics));
    refresh::run(Services { options, api, metrics }, period, outlet).await;
}

struct Services {
    options: NomadOptions,
    api: Api,
    metrics: Arc<Metrics>,
}

/// Services of one namespace.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    services: Vec<Stub>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stub {
    service_name: String,
}

/// One instance of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Instance {
    #[serde(rename = "ID")]
    id: String,
    service_name: String,
    namespace: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    datacenter: String,
    tags: Option<Vec<String>>,
    address: String,
    port: u32,
}

impl Refresh for Services {
    async fn refresh(&mut self) -> Result<Vec<Group>, String> {
        let found = self.targets().await;
        if found.is_err() {
            self.metrics.nomad_failures.fetch_add(1, Ordering::Relaxed);
        }
        let targets = found?;
        Ok(vec![Group { source: "Nomad".to_owned(), labels: LabelSet::empty(), targets }])
    }
}

impl Services {
    async fn targets(&mut self) -> Result<Vec<LabelSet>, String> {
        let query = self.query();
        let listed: Vec<Listed> = self.api.json(&format!("/v1/services{query}")).await?;
        let stubs = listed.into_iter().flat_map(|listed| listed.services);
        // With all namespaces a name may be there more than once; its answer has all of them.
        let names: BTreeSet<String> = stubs.map(|stub| stub.service_name).collect();
        let mut targets = Vec::new();
        for name in names {
            let path = format!("/v1/service/{}{query}", escaped(&name));
            let instances: Result<Vec<Instance>, String> = self.api.json(&path).await;
            let instances =
                instances.map_err(|error| format!("failed to fetch services: {error}"))?;
            let separator = &self.options.tag_separator;
            targets.extend(instances.iter().map(|instance| labels(instance, separator)));
        }
        Ok(targets)
    }

    fn query(&self) -> String {
        let NomadOptions { namespace, region, .. } = &self.options;
        let mut query = format!("?namespace={}&region={}", escaped(namespace), escaped(region));
        if self.options.allow_stale {
            query.push_str("&stale=");
        }
        query
    }
}

fn labels(instance: &Instance, tag_separator: &str) -> LabelSet {
    let tags = surrounded(instance.tags.as_deref().unwrap_or(&[]), tag_separator);
    LabelSet::new([
        (ADDRESS, join(&instance.address, instance.port).as_str()),
        ("__meta_nomad_address", &instance.address),
        ("__meta_nomad_dc", &instance.datacenter),
        ("__meta_nomad_namespace", &instance.namespace),
        ("__meta_nomad_node_id", &instance.node_id),
        ("__meta_nomad_service", &instance.service_name),
        ("__meta_nomad_service_address", &instance.address),
        ("__meta_nomad_service_id", &instance.id),
        ("__meta_nomad_service_port", &instance.port.to_string()),
        ("__meta_nomad_tags", &tags),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_become_targets_with_upstreams_labels() {
        let text = r#"{"Address": "192.0.2.1", "AllocID": "d1", "Datacenter": "dc1",
            "ID": "_nomad-task-d1", "JobID": "j", "Namespace": "default", "NodeID": "n1",
            "Port": 24702, "ServiceName": "web", "Tags": ["a", "b"]}"#;
        let instance: Instance = serde_json::from_str(text).unwrap();
        assert_eq!(
            labels(&instance, ";").to_string().replace("__meta_nomad_", ""),
            "{__address__=\"192.0.2.1:24702\", address=\"192.0.2.1\", dc=\"dc1\", \
             namespace=\"default\", node_id=\"n1\", service=\"web\", \
             service_address=\"192.0.2.1\", service_id=\"_nomad-task-d1\", \
             service_port=\"24702\", tags=\";a;b;\"}"
        );
    }
}
