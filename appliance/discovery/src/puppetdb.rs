//! PuppetDB: targets that a query over its resources names.
//!
//! Source: Prometheus's `discovery/puppetdb`; PuppetDB's `/pdb/query/v4`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exposition::number::format_shortest;
use model::label_set::{Builder, LabelSet};
use scrape::http_options::HttpOptions;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::address::{join, sanitized, surrounded};
use crate::api::{Api, check_json, read};
use crate::group::{ADDRESS, Group};
use crate::outlet::Outlet;
use crate::refresh::{self, Refresh};

const SEPARATOR: &str = ",";
/// Levels of parameters that become labels.
const DEPTH_MAX: usize = 16;

/// One of `puppetdb_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct PuppetDbOptions {
    /// The server.
    pub url: String,
    /// The query, in PQL.
    pub query: String,
    /// Whether parameters of resources become labels.
    pub include_parameters: bool,
    /// Port of targets. Default 80.
    pub port: u16,
    /// `refresh_interval`. Default 60 s.
    pub refresh: Duration,
    /// How it is reached.
    pub http: Arc<HttpOptions>,
}

/// Asks every `refresh`; ends with its outlet.
pub async fn run(options: PuppetDbOptions, outlet: Outlet) {
    let api = Api::new(&options.url, &options.http, options.refresh)
        .with_header("Accept", "application/json");
    let period = options.refresh;
    refresh::run(Resources { options, api }, period, outlet).await;
}

struct Resources {
    options: PuppetDbOptions,
    api: Api,
}

/// A resource as PuppetDB writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    certname: String,
    resource: String,
    r#type: String,
    title: String,
    exported: bool,
    tags: Vec<String>,
    file: Option<String>,
    environment: Option<String>,
    parameters: Option<Map<String, Value>>,
}

impl Refresh for Resources {
    async fn refresh(&mut self) -> Result<Vec<Group>, String> {
        let body = json!({ "query": self.options.query }).to_string();
        let response = self.api.post("/pdb/query/v4", Bytes::from(body)).await?;
        check_json(&response)?;
        let resources: Vec<Resource> = read(&response.body)?;
        let PuppetDbOptions { url, query, .. } = &self.options;
        Ok(vec![Group {
            source: format!("{}/pdb/query/v4?query={query}", url.trim_end_matches('/')),
            labels: LabelSet::empty(),
            targets: resources.iter().map(|resource| labels(resource, &self.options)).collect(),
        }])
    }
}

fn labels(resource: &Resource, options: &PuppetDbOptions) -> LabelSet {
    let mut labels = Builder::default();
    for (name, value) in [
        ("query", options.query.as_str()),
        ("certname", &resource.certname),
        ("resource", &resource.resource),
        ("type", &resource.r#type),
        ("title", &resource.title),
        ("exported", if resource.exported { "true" } else { "false" }),
        ("file", resource.file.as_deref().unwrap_or("")),
        ("environment", resource.environment.as_deref().unwrap_or("")),
        ("tags", &surrounded(&resource.tags, SEPARATOR)),
    ] {
        labels.set(&format!("__meta_puppetdb_{name}"), value);
    }
    labels.set(ADDRESS, &join(&resource.certname, options.port));
    if let Some(parameters) = resource.parameters.as_ref().filter(|_| options.include_parameters) {
        add_parameters(&mut labels, "__meta_puppetdb_parameter_", parameters, 0);
    }
    labels.build()
}

/// Parameters become labels by name; those inside others get both names.
fn add_parameters(
    labels: &mut Builder,
    prefix: &str,
    parameters: &Map<String, Value>,
    depth: usize,
) {
    for (name, value) in parameters {
        let label = format!("{prefix}{}", sanitized(name));
        match value {
            Value::Object(inner) if depth < DEPTH_MAX => {
                add_parameters(labels, &format!("{label}_"), inner, depth + 1);
            }
            Value::Array(items) => {
                let texts: Vec<String> = items.iter().map(text).collect();
                labels.set(&label, &texts.join(SEPARATOR));
            }
            other => {
                labels.set(&label, &text(other));
            }
        }
    }
}

/// A plain value as Go writes it; "" for another.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.as_f64().map(format_shortest).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_become_targets_with_upstreams_labels() {
        let body = r#"[{"certname": "edinburgh.example.com", "exported": false,
            "file": "/etc/puppet/site.pp", "line": 384, "environment": "prod",
            "resource": "49af83866dc5a1518968b68e58a25319107afe11", "tags": ["roles", "apache"],
            "title": "apache", "type": "Class", "parameters": {"port": 8080, "ssl": true,
            "names": ["a", 2, 1234567], "none": null, "vhost": {"a-b": "x"}}}]"#;
        let resources: Vec<Resource> = read(body.as_bytes()).unwrap();
        let mut options = PuppetDbOptions {
            url: "http://p/".to_owned(),
            query: "q".to_owned(),
            include_parameters: false,
            port: 80,
            refresh: Duration::from_secs(60),
            http: Arc::default(),
        };
        let plain = labels(&resources[0], &options).to_string();
        assert_eq!(
            plain.replace("__meta_puppetdb_", ""),
            "{__address__=\"edinburgh.example.com:80\", certname=\"edinburgh.example.com\", \
             environment=\"prod\", exported=\"false\", file=\"/etc/puppet/site.pp\", \
             query=\"q\", resource=\"49af83866dc5a1518968b68e58a25319107afe11\", \
             tags=\",roles,apache,\", title=\"apache\", type=\"Class\"}"
        );
        options.include_parameters = true;
        let all = labels(&resources[0], &options);
        let parameters = all.iter().filter(|(name, _)| name.contains("_parameter_"));
        let shown: Vec<String> =
            parameters.map(|(name, value)| format!("{}={value}", &name[26..])).collect();
        assert_eq!(shown.join(" "), "names=a,2,1.234567e+06 port=8080 ssl=true vhost_a_b=x");
    }
}
