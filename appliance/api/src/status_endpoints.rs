//! Endpoints about the server: `status/*`, features, notifications, metrics, health, lifecycle.

use std::collections::BTreeMap;
use std::sync::Arc;

use exposition::metrics::Collected;
use model::regex::GoRegex;

use crate::answer::{Answer, Content};
use crate::backend::Phase;
use crate::call::{Call, Context};
use crate::failure::{Failure, Kind};
use crate::metrics_page::answer;
use crate::{openapi, self_metrics};

/// Version of Prometheus whose API this is; clients read features off it.
const PROMETHEUS_VERSION: &str = "3.14.0";

/// Rows of a table of `status/tsdb` unless `limit` says otherwise, and the most it can say.
const TSDB_ROWS: usize = 10;
const TSDB_ROWS_MAX: usize = 10_000;

fn build(context: &Context) -> BTreeMap<&'static str, String> {
    let own = format!("cresset-{}", context.backend.settings().version);
    BTreeMap::from([
        ("version", PROMETHEUS_VERSION.to_owned()),
        ("revision", own),
        ("branch", "cresset".to_owned()),
        ("buildUser", String::new()),
        ("buildDate", String::new()),
        ("goVersion", String::new()),
    ])
}

/// `/api/v1/status/buildinfo`
pub fn buildinfo(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Answer::json(&build(context))
}

/// `/version`
pub fn version(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    let text = serde_json::to_string(&build(context))
        .map_err(|error| Failure::new(Kind::Internal, error.to_string()))?;
    Ok(Answer::Text(crate::answer::Text {
        status: 200,
        content_type: "application/json",
        body: text,
    }))
}

/// `/api/v1/status/config`
pub fn config(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Answer::json(&BTreeMap::from([("yaml", context.backend.config_yaml())]))
}

/// `/api/v1/status/flags`
pub fn flags(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Answer::json(&BTreeMap::from_iter(context.backend.flags()))
}

/// `/api/v1/status/runtimeinfo`
pub fn runtimeinfo(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Answer::json(&context.backend.runtime())
}

/// `/api/v1/status/walreplay`
pub fn walreplay(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Answer::json(&context.backend.replay())
}

/// `/api/v1/status/tsdb`
pub fn tsdb(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let limit = match call.parameters.first("limit") {
        "" => TSDB_ROWS,
        text => match text.parse::<usize>() {
            Ok(rows @ 1..=TSDB_ROWS_MAX) => rows,
            Ok(rows) if TSDB_ROWS_MAX < rows => {
                return Err(Failure::bad_data(format!("limit must not exceed {TSDB_ROWS_MAX}")));
            }
            _ => return Err(Failure::bad_data("limit must be a positive number")),
        },
    };
    let status = context.backend.tsdb(limit);
    Answer::json(&status.map_err(|reason| Failure::new(Kind::Unavailable, reason))?)
}

/// `/api/v1/status/tsdb/blocks`
pub fn blocks(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    let blocks = context.backend.blocks();
    let blocks = blocks.map_err(|reason| Failure::new(Kind::Unavailable, reason))?;
    Answer::json(&BTreeMap::from([("blocks", blocks)]))
}

/// `/api/v1/status/self_metrics`
pub fn self_metrics(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let pattern = match call.parameters.first("metric_name_pattern") {
        "" => ".*",
        pattern => pattern,
    };
    let pattern = GoRegex::anchored(pattern)
        .map_err(|error| Failure::bad_data(format!("invalid metric_name_pattern: {error}")))?;
    Answer::json(&self_metrics::families(&own_metrics(context), |name| pattern.is_match(name)))
}

/// `/api/v1/features`
pub fn features(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Answer::json(&context.backend.features())
}

/// `/api/v1/notifications`
pub fn notifications(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    let notifications = Arc::clone(&context.backend.notifications().borrow());
    Answer::json(&*notifications)
}

/// `/api/v1/openapi.yaml`
pub fn openapi(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let settings = context.backend.settings();
    let has_streams = matches!(call.parameters.first("openapi_version"), "3.2" | "3.2.0");
    Ok(Answer::Text(crate::answer::Text {
        status: 200,
        content_type: "application/yaml; charset=utf-8",
        body: openapi::document(has_streams, settings.version, &settings.path_prefix),
    }))
}

/// `/api/v1/alertmanagers`: well-formed and empty.
pub fn alertmanagers(_context: &Context, _call: &Call) -> Result<Answer, Failure> {
    let json = "{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}";
    Ok(Content::Json(json.to_owned()).into())
}

/// `/metrics`
pub fn metrics(context: &Context, call: &Call) -> Result<Answer, Failure> {
    Ok(answer(&own_metrics(context), &call.accept))
}

fn own_metrics(context: &Context) -> Collected {
    let mut collected = Collected::default();
    context.backend.collect(&mut collected);
    context.requests.collect(&mut collected);
    context.receiver.collect(&mut collected);
    crate::read_endpoint::collect(&mut collected);
    context.subscribers.collect(&mut collected);
    context.pushed.collect(&mut collected);
    context.streams.collect(&mut collected);
    collected
}

/// `/metrics/host`
pub fn metrics_host(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let mut collected = Collected::default();
    context.backend.collect_host(&mut collected);
    Ok(answer(&collected, &call.accept))
}

/// `/-/healthy`
pub fn healthy(_context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Ok(Answer::text("Prometheus Server is Healthy.\n"))
}

/// `/-/ready`
pub fn ready(_context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Ok(Answer::text("Prometheus Server is Ready.\n"))
}

/// `/-/reload`
pub fn reload(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    if !context.backend.settings().lifecycle {
        return Ok(lifecycle_off());
    }
    Ok(match context.backend.reload() {
        Ok(()) => Answer::text(""),
        Err(reason) => Answer::status_text(500, format!("failed to reload config: {reason}\n")),
    })
}

/// `/-/quit`
pub fn quit(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    if !context.backend.settings().lifecycle {
        return Ok(lifecycle_off());
    }
    context.backend.quit();
    Ok(Answer::text("Requesting termination... Goodbye!"))
}

fn lifecycle_off() -> Answer {
    Answer::status_text(403, "Lifecycle API is not enabled.")
}

/// `/`: what is here, for whoever opens the address in a browser.
pub fn page(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    let settings = context.backend.settings();
    let state = match context.backend.phase() {
        Phase::Starting => "starting: the log is being replayed",
        Phase::Ready => "ready",
        Phase::Stopping => "stopping",
    };
    let title = escape_html(&settings.page_title);
    let body = PAGE
        .replace("{title}", &title)
        .replace("{version}", settings.version)
        .replace("{state}", state);
    Ok(Answer::Text(crate::answer::Text {
        status: 200,
        content_type: "text/html; charset=utf-8",
        body,
    }))
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const PAGE: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:44em;margin:3em auto;padding:0 1em}
input{font:inherit;width:100%;padding:.4em;box-sizing:border-box}</style>
<h1>{title}</h1>
<p>Cresset {version}, {state}. It scrapes, stores and answers PromQL over Prometheus's HTTP API.</p>
<form action=\"api/v1/query\"><label>A first query, answered as JSON:
<input name=\"query\" value=\"up\"></label></form>
<ul>
<li><a href=\"api/v1/query?query=up\">up</a>: which targets answer</li>
<li><a href=\"api/v1/query?query=rate(node_cpu_seconds_total%5B1m%5D)\"
>rate(node_cpu_seconds_total[1m])</a>: what this machine's processors do</li>
<li><a href=\"api/v1/targets\">targets</a>: what is scraped, and what failed</li>
<li><a href=\"api/v1/status/config\">configuration</a>,
<a href=\"api/v1/status/flags\">flags</a>, <a href=\"api/v1/status/tsdb\">storage</a></li>
<li><a href=\"metrics\">metrics of this server</a>,
<a href=\"metrics/host\">of this machine</a></li>
</ul>
<p>Grafana: add a data source of type Prometheus with this address.</p>
</html>
";
