//! HTTP: groups that a URL answers as JSON.
//!
//! Source: Prometheus's `discovery/http`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use scrape::http_options::HttpOptions;

use crate::api::{Api, check_json};
use crate::group::{Group, read_json};
use crate::metrics::Metrics;
use crate::outlet::Outlet;
use crate::refresh::{self, Refresh};

/// The URL that a target came from.
const URL: &str = "__meta_url";

/// One of `http_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSdOptions {
    /// What is asked.
    pub url: String,
    /// `refresh_interval`. Default 60 s.
    pub refresh: Duration,
    /// How it is reached.
    pub http: Arc<HttpOptions>,
}

/// Asks every `refresh`; ends with its outlet.
pub async fn run(options: HttpSdOptions, outlet: Outlet) {
    let HttpSdOptions { url, refresh, http } = options;
    let api = Api::new("", &http, refresh)
        .with_header("X-Prometheus-Refresh-Interval-Seconds", &refresh.as_secs_f64().to_string());
    let metrics = Arc::clone(&outlet.metrics);
    refresh::run(Lists { url, api, metrics }, refresh, outlet).await;
}

struct Lists {
    url: String,
    api: Api,
    metrics: Arc<Metrics>,
}

impl Refresh for Lists {
    async fn refresh(&mut self) -> Result<Vec<Group>, String> {
        let found = self.groups().await;
        if found.is_err() {
            self.metrics.http_failures.fetch_add(1, Ordering::Relaxed);
        }
        found
    }
}

impl Lists {
    async fn groups(&mut self) -> Result<Vec<Group>, String> {
        let url = self.url.as_str();
        let response = self.api.get(url).await?;
        check_json(&response)?;
        read_json(&response.body, &[(URL, url)], |at| format!("{url}:{at}"))
    }
}
