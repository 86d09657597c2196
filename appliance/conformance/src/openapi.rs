//! Suite `openapi`: every answer to a list of calls has the shape that Prometheus's own OpenAPI
//! document gives it, and every path of that document is called.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::{Process, Response};
use crate::pushed::{self, HEADERS, Series};
use crate::report::{Known, Report};
use crate::schema::validate;

/// Paths that are not served: the search API is a feature that is not done, and so is OTLP.
const LEFT_OUT: &[&str] = &["/search/", "/otlp/"];
/// Paths that upstream answers outside of its API's envelope, whatever its document says.
const PLAIN: &[&str] = &["/read", "/write", "/otlp/v1/metrics"];

/// A call: status, method, path below `/api/v1` and, behind a blank, a form.
type Call = (u16, &'static str, &'static str);

/// The calls, in order.
const CALLS: &[Call] = &[
    (200, "GET", "/query?query=up"),
    (200, "GET", "/query?query=up&time=2026-01-02T13:37:00Z&timeout=5s&lookback_delta=1m"),
    (200, "GET", "/query?query=1+1&time=1767361020.5&stats=true"),
    (200, "GET", "/query?query=\"text\""),
    (200, "GET", "/query?query=up[1m]"),
    (200, "GET", "/query?query=pushed_latency"),
    (200, "GET", "/query?query=pushed_latency[1h]"),
    (200, "GET", "/query?query={job=\"p\"}&limit=1&stats=all"),
    (200, "GET", "/query?query=rate(pushed_gauge[5m])&stats=some"),
    (200, "GET", "/query?query=nothing"),
    (200, "GET", "/query?query=-Inf"),
    (200, "POST", "/query query=sum(up)&limit=5"),
    (400, "GET", "/query"),
    (400, "GET", "/query?query=sum("),
    (400, "GET", "/query?query=up&time=x"),
    (400, "GET", "/query?query=up&timeout=x"),
    (400, "GET", "/query?query=up&limit=-1"),
    (400, "GET", "/query?query=up&lookback_delta=x"),
    (422, "GET", "/query?query={job=\"p\"}+on()+{job=\"p\"}"),
    (503, "GET", "/query?query=up&timeout=0"),
    (200, "GET", "/query_range?query=up&start=NOW-60&end=NOW&step=15"),
    (200, "GET", "/query_range?query=pushed_latency&start=NOW-60&end=NOW&step=15s&stats=all"),
    (200, "GET", "/query_range?query=rate(up[1m])&start=NOW-60&end=NOW&step=15&limit=1"),
    (200, "GET", "/query_range?query=1&start=NOW-60&end=NOW&step=15&stats=all"),
    (200, "POST", "/query_range query=up&start=NOW-60&end=NOW&step=15&lookback_delta=10s"),
    (400, "GET", "/query_range?query=up"),
    (400, "GET", "/query_range?query=up&start=2&end=1&step=1"),
    (400, "GET", "/query_range?query=up&start=1&end=2&step=0"),
    (400, "GET", "/query_range?query=up&start=0&end=11001&step=1"),
    (200, "GET", "/query_exemplars?query=pushed_total&start=NOW-600&end=NOW"),
    (200, "POST", "/query_exemplars query=rate(pushed_total[5m])"),
    (204, "GET", "/query_exemplars?query=1"),
    (400, "GET", "/query_exemplars?query=sum("),
    (400, "GET", "/query_exemplars?query=up&start=2&end=1"),
    (200, "GET", "/format_query?query=sum(up)by(job)"),
    (200, "POST", "/format_query query=up"),
    (400, "GET", "/format_query?query=sum("),
    (200, "GET", "/parse_query?query=sum(rate(up[5m]))by(job)/2"),
    (200, "POST", "/parse_query query=up"),
    (400, "GET", "/parse_query"),
    (200, "GET", "/labels"),
    (200, "GET", "/labels?match[]=up&match[]={job=\"p\"}&start=NOW-600&end=NOW&limit=1"),
    (200, "POST", "/labels match[]=up"),
    (400, "GET", "/labels?match[]={}"),
    (400, "GET", "/labels?limit=x"),
    (200, "GET", "/label/job/values?match[]=up&limit=1"),
    (200, "GET", "/label/none/values"),
    (200, "GET", "/label/U__job/values"),
    (400, "GET", "/label/job/values?start=x"),
    (200, "GET", "/series?match[]=up&match[]={job=\"p\"}&start=NOW-600&limit=1"),
    (200, "POST", "/series match[]=nothing"),
    (400, "GET", "/series"),
    (400, "GET", "/series?match[]={job=~\".*\"}"),
    (200, "GET", "/metadata"),
    (200, "GET", "/metadata?metric=pushed_total&limit=1&limit_per_metric=1"),
    (400, "GET", "/metadata?limit=x"),
    (200, "GET", "/scrape_pools"),
    (200, "GET", "/scrape_pools/config?scrapePool=self"),
    (400, "GET", "/scrape_pools/config"),
    (400, "GET", "/scrape_pools/config?scrapePool=none"),
    (200, "GET", "/targets"),
    (200, "GET", "/targets?state=dropped"),
    (200, "GET", "/targets?state=active&scrapePool=self"),
    (200, "GET", "/targets/metadata?limit=3"),
    (200, "GET", "/targets/metadata?metric=prometheus_ready&match_target={job=\"self\"}"),
    (400, "GET", "/targets/metadata?match_target=sum("),
    (200, "GET", "/targets/relabel_steps?scrapePool=gone&labels={\"__address__\":\"x\"}"),
    (400, "GET", "/targets/relabel_steps?scrapePool=gone"),
    (400, "GET", "/targets/relabel_steps?scrapePool=gone&labels=x"),
    (200, "GET", "/rules"),
    (200, "GET", "/rules?type=alert&rule_name[]=a&rule_group[]=b&file[]=c&exclude_alerts=true"),
    (200, "GET", "/rules?group_limit=5"),
    (400, "GET", "/rules?type=x"),
    (400, "GET", "/rules?group_next_token=x"),
    (200, "GET", "/alerts"),
    (200, "GET", "/alertmanagers"),
    (200, "GET", "/status/config"),
    (200, "GET", "/status/runtimeinfo"),
    (200, "GET", "/status/buildinfo"),
    (200, "GET", "/status/flags"),
    (200, "GET", "/status/tsdb?limit=5"),
    (400, "GET", "/status/tsdb?limit=0"),
    (400, "GET", "/status/tsdb?limit=10001"),
    (200, "GET", "/status/tsdb/blocks"),
    (200, "GET", "/status/walreplay"),
    (200, "GET", "/status/self_metrics"),
    (200, "GET", "/status/self_metrics?metric_name_pattern=prometheus_.*"),
    (400, "GET", "/status/self_metrics?metric_name_pattern=*"),
    (200, "GET", "/features"),
    (200, "GET", "/notifications"),
    (200, "POST", "/admin/tsdb/snapshot?skip_head=true"),
    (200, "PUT", "/admin/tsdb/snapshot"),
    (400, "POST", "/admin/tsdb/snapshot?skip_head=x"),
    (204, "POST", "/admin/tsdb/delete_series?match[]=nothing&start=1&end=2"),
    (204, "PUT", "/admin/tsdb/delete_series match[]=nothing"),
    (400, "POST", "/admin/tsdb/delete_series"),
    (204, "POST", "/admin/tsdb/clean_tombstones"),
    (204, "PUT", "/admin/tsdb/clean_tombstones"),
    (400, "POST", "/read"),
    (400, "POST", "/write"),
];

/// What upstream's document gets wrong.
pub const KNOWN: &[Known] = &[Known {
    report: "openapi",
    case: "GET /query?query=\"text\"",
    reason: "upstream writes the time of a string as a number, its document says text",
}];

/// Runs the suite.
///
/// # Errors
/// The document cannot be read, or the server does not start.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let path = directory.join("prometheus/openapi/openapi_3.2_golden.yaml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let document: Value = serde_saphyr::from_str(&text).context("parse the document")?;
    let process = Process::start(config, FLAGS)?;
    let now_ms = machine::clock::now().wall.0;
    fill(&process, now_ms)?;
    let mut report = Report::new("openapi");
    let mut called = BTreeSet::new();
    for (status, method, call) in CALLS {
        let call = at_times(call, now_ms / 1000);
        let (path, form) = call.split_once(' ').unwrap_or((&call, ""));
        let verdict = match operation(&document, method, path) {
            None => Err("the document has no such operation".to_owned()),
            Some((template, operation)) => {
                called.insert((template.to_owned(), method.to_ascii_lowercase()));
                let answer = ask(&process, method, path, form);
                answer.and_then(|answer| judge(&document, operation, template, *status, &answer))
            }
        };
        report.count(format!("{method} {call}"), verdict);
    }
    report.count("GET /notifications/live", live(&process));
    called.insert(("/notifications/live".to_owned(), "get".to_owned()));
    for (path, method) in operations(&document) {
        let is_called = called.contains(&(path.clone(), method.clone()));
        let is_left_out = LEFT_OUT.iter().chain(PLAIN).any(|prefix| path.starts_with(prefix));
        if !is_called && !is_left_out {
            report.count(format!("{method} {path}"), Err("is never called".to_owned()));
        }
    }
    report.count("document", own_document(&process, &document));
    Ok(vec![report])
}

const FLAGS: &[&str] = &[
    "--web.enable-admin-api",
    "--web.enable-remote-write-receiver",
    "--enable-feature=promql-per-step-stats",
];

fn config(address: std::net::SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
cresset: {{kernel_collectors: []}}
scrape_configs:
  - job_name: self
    static_configs: [{{targets: ['{address}']}}]
  - job_name: gone
    static_configs: [{{targets: ['localhost:1']}}]
    relabel_configs:
      - {{source_labels: [job], regex: x, action: replace, target_label: y, replacement: z}}
      - {{regex: .*, source_labels: [__address__], action: drop}}
"
    )
}

/// The call with times in the place of their words.
fn at_times(call: &str, now: i64) -> String {
    let ago = |seconds: i64| (now - seconds).to_string();
    call.replace("NOW-600", &ago(600)).replace("NOW-60", &ago(60)).replace("NOW", &ago(0))
}

/// Pushes series of every kind, and waits until the server has scraped itself.
fn fill(process: &Process, now_ms: i64) -> Result<()> {
    let labels = |name: &str| pushed::labels(&[("__name__", name), ("job", "p")]);
    let series = [
        Series {
            labels: labels("pushed_gauge"),
            samples: vec![(1.0, now_ms - 30_000), (2.5, now_ms - 15_000)],
            ..Series::default()
        },
        Series {
            labels: labels("pushed_total"),
            samples: vec![(1.0, now_ms - 30_000), (f64::NAN, now_ms - 15_000)],
            exemplars: vec![(pushed::labels(&[("trace_id", "t")]), 1.0, now_ms - 20_500)],
            metadata: Some((1, "What was pushed.".to_owned(), String::new())),
            ..Series::default()
        },
        Series {
            labels: labels("pushed_latency"),
            histograms: vec![
                pushed::histogram(11, 5, &[1, 5], &[], now_ms - 20_000),
                pushed::histogram(13, 5, &[2, 6], &[], now_ms - 5000),
            ],
            ..Series::default()
        },
    ];
    let answer = process.ask("POST", "/api/v1/write", HEADERS, &pushed::request(&series))?;
    anyhow::ensure!(answer.status == 204, "push: {} {}", answer.status, answer.body);
    process.wait_for("scraped", |process| {
        Ok(process.get("/api/v1/query?query=up")?.body.contains("\"1\"]"))
    })
}

fn ask(process: &Process, method: &str, path: &str, form: &str) -> Result<Response, String> {
    let path = format!("/api/v1{}", encoded(path));
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let headers: &[_] = if form.is_empty() { &[] } else { &headers };
    let answer = process.ask(method, &path, headers, encoded(form).as_bytes());
    answer.map_err(|error| format!("{error:#}"))
}

/// Percent-encodes what a URL or a form cannot carry; `+` is a plus.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/?&=:,@()*!$'".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02x}"));
        }
    }
    encoded
}

fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, _)| (path.clone(), method.clone()))
    });
    all.collect()
}

/// The operation of a call, and its path as the document has it.
fn operation<'a>(document: &'a Value, method: &str, call: &str) -> Option<(&'a str, &'a Value)> {
    let path = call.split('?').next()?;
    let fits = |template: &str| match template.split_once("{name}") {
        None => template == path,
        Some((before, after)) => path.starts_with(before) && path.ends_with(after),
    };
    let (template, methods) =
        document["paths"].as_object()?.iter().find(|(template, _)| fits(template))?;
    Some((template, methods.get(method.to_ascii_lowercase())?))
}

fn judge(
    document: &Value,
    operation: &Value,
    template: &str,
    status: u16,
    answer: &Response,
) -> Result<(), String> {
    if answer.status != status {
        return Err(format!("expected {status}, found {} {}", answer.status, answer.body));
    }
    if PLAIN.contains(&template) {
        let is_plain = answer.content_type == "text/plain";
        return if is_plain { Ok(()) } else { Err(format!("is {:?}", answer.content_type)) };
    }
    if status == 204 {
        // Upstream answers what has no data so, also where its document says otherwise.
        let is_empty = answer.body.is_empty();
        return if is_empty { Ok(()) } else { Err(format!("has a body: {}", answer.body)) };
    }
    let responses = &operation["responses"];
    let expected = responses.get(status.to_string()).unwrap_or(&responses["default"]);
    let Some(content) = expected["content"].get(&answer.content_type) else {
        return Err(format!("{:?} is no type of its content", answer.content_type));
    };
    let body: Value = serde_json::from_str(&answer.body)
        .map_err(|error| format!("{error} in {}", answer.body))?;
    let fault = validate(document, &content["schema"], &body, "");
    fault.map_or(Ok(()), Err)
}

fn live(process: &Process) -> Result<(), String> {
    let head = process.head_of_stream("/api/v1/notifications/live");
    let head = head.map_err(|error| format!("{error:#}"))?;
    let found = (head.status, head.content_type.as_str());
    if found == (200, "text/event-stream") { Ok(()) } else { Err(format!("found {found:?}")) }
}

/// Our own document names every operation of upstream's, and each of its parameters.
fn own_document(process: &Process, document: &Value) -> Result<(), String> {
    let text = |error: anyhow::Error| format!("{error:#}");
    let answer = process.get("/api/v1/openapi.yaml?openapi_version=3.2").map_err(text)?;
    let own: Value = serde_saphyr::from_str(&answer.body).map_err(|error| error.to_string())?;
    let pointers = |document: &Value| -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (path, method) in operations(document) {
            if LEFT_OUT.iter().any(|prefix| path.starts_with(prefix)) {
                continue;
            }
            let operation = &document["paths"][&path][&method];
            found.insert(format!("{method} {path}"));
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names = parameters.filter_map(|parameter| parameter["name"].as_str());
            found.extend(names.map(|name| format!("{method} {path} {name}")));
        }
        found
    };
    let missing: Vec<String> = pointers(document).difference(&pointers(&own)).cloned().collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("misses {}", missing.join(", "))) }
}
