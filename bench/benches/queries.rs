//! Queries over a day of 20,000 series at 15 seconds, read from real tiles: milliseconds and
//! nanoseconds a sample that was read.
//!
//! `cargo bench -p bench --bench queries [-- [NAME [RUNS [THREADS]]]]`: only queries whose name
//! contains NAME, each run so often, on so many threads.

#[path = "queries/crew.rs"]
mod crew;
#[path = "queries/fleet.rs"]
mod fleet;
#[path = "queries/source.rs"]
mod source;

use std::sync::Arc;
use std::time::Instant;

use model::time::TimestampMs;
use query::evaluate::{Answer, EngineOptions, LOOKBACK_MS_DEFAULT, Query, Unbounded, evaluate};
use query::value::Value;

use crew::Threads;
use source::Filled;

const TARGETS: usize = 20;
const ROWS: usize = 5_760;
const RUNS: usize = 5;

/// Name, range in seconds (0: instant), step in seconds, expression.
const QUERIES: &[(&str, i64, i64, &str)] = &[
    ("up_instant", 0, 0, "node_load1"),
    ("sum_rate_instant", 0, 0, "sum(rate(http_requests_total[5m]))"),
    ("sum_by_instant", 0, 0, "sum by (job, code) (rate(http_requests_total[5m]))"),
    ("hist_q_instant", 0, 0, HIST_Q),
    ("topk_instant", 0, 0, "topk(10, rate(http_requests_total[5m]))"),
    ("regex_instant", 0, 0, "sum by (pod) (rate(http_requests_total{pod=~\"api-.*\"}[5m]))"),
    ("count_by_name_instant", 0, 0, "count by (__name__) ({__name__=~\".+\"})"),
    (
        "max_over_1h_instant",
        0,
        0,
        "max by (job) (max_over_time(process_resident_memory_bytes[1h]))",
    ),
    ("all_rate_instant", 0, 0, "sum(rate(metric_total[5m]))"),
    ("sum_rate_1h_15s", 3_600, 15, "sum(rate(http_requests_total[5m]))"),
    ("sum_by_6h_30s", 21_600, 30, "sum by (job, code) (rate(http_requests_total[5m]))"),
    ("sum_by_pod_6h_30s", 21_600, 30, "sum by (pod, code) (rate(http_requests_total[5m]))"),
    ("hist_q_6h_30s", 21_600, 30, HIST_Q),
    ("topk_6h_60s", 21_600, 60, "topk(10, rate(http_requests_total[5m]))"),
    ("regex_6h_60s", 21_600, 60, "sum by (pod) (rate(http_requests_total{pod=~\"api-.*\"}[5m]))"),
    (
        "max_over_6h_60s",
        21_600,
        60,
        "max by (job) (max_over_time(process_resident_memory_bytes[1h]))",
    ),
    ("raw_gauge_6h_15s", 21_600, 15, "node_load1"),
    ("node_cpu_24h_60s", 86_400, 60, NODE_CPU),
    (
        "node_mem_24h_60s",
        86_400,
        60,
        "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    ),
    ("net_24h_60s", 86_400, 60, NET),
    ("http_24h_60s", 86_400, 60, "sum by (job, code) (rate(http_requests_total[5m]))"),
    ("hist_q_24h_60s", 86_400, 60, HIST_Q_BY),
    ("all_sum_rate_6h_30s", 21_600, 30, "sum by (job) (rate(metric_total[5m]))"),
    ("all_sum_6h_30s", 21_600, 30, "sum by (job) (metric_total)"),
    ("all_avg_over_6h_30s", 21_600, 30, "sum by (job) (avg_over_time(metric_total[5m]))"),
    ("avg_over_1h_6h_30s", 21_600, 30, "sum by (job) (avg_over_time(http_requests_total[1h]))"),
    ("sum_over_full_6h_30s", 21_600, 30, "sum(sum_over_time(metric_total{device=\"disk9\"}[1h]))"),
    ("all_max_over_6h_30s", 21_600, 30, "sum by (job) (max_over_time(metric_total[5m]))"),
    ("stddev_over_6h_30s", 21_600, 30, "sum(stddev_over_time(http_requests_total[1h]))"),
    ("quantile_over_6h_30s", 21_600, 30, "sum(quantile_over_time(0.9, http_requests_total[1h]))"),
    ("deriv_6h_30s", 21_600, 30, "sum(deriv(http_requests_total[1h]))"),
];

const HIST_Q: &str = "histogram_quantile(0.99, sum by (le) \
                      (rate(http_request_duration_seconds_bucket[5m])))";
const HIST_Q_BY: &str = "histogram_quantile(0.99, sum by (le, handler) \
                         (rate(http_request_duration_seconds_bucket[5m])))";
const NODE_CPU: &str =
    "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])))";
const NET: &str = "sum by (instance) (rate(node_network_receive_bytes_total{device!=\"lo\"}[5m]))";

fn main() {
    let mut wanted = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let part = wanted.next().unwrap_or_default();
    let runs = wanted.next().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let threads: usize = wanted.next().and_then(|threads| threads.parse().ok()).unwrap_or(1);
    let options = EngineOptions {
        samples_max: u64::MAX,
        crew: Arc::new(Threads::new(threads - 1)),
        ..EngineOptions::default()
    };
    let directory = tempfile::tempdir().expect("a directory for tiles");
    let start = clock();
    let filled = source::fill(TARGETS, ROWS, directory.path().to_owned());
    let samples = TARGETS * ROWS * fleet::SERIES;
    println!(
        "{samples} samples in {:.1} s, {:.2} B a sample",
        start.elapsed().as_secs_f64(),
        filled.file_bytes as f64 / samples as f64
    );
    println!(
        "{:24} {:>9} {:>9} {:>7} {:>9}",
        "query", "median ms", "least ms", "series", "ns/sample"
    );
    for (name, range_s, step_s, text) in QUERIES {
        if name.contains(&part) {
            let end = filled.end;
            let query = Query {
                text: (*text).to_owned(),
                start: TimestampMs(end.0 - range_s * 1_000),
                end,
                step_ms: step_s * 1_000,
                lookback_ms: LOOKBACK_MS_DEFAULT,
                options: options.clone(),
            };
            measure(&filled, name, &query, runs);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

fn measure(filled: &Filled, name: &str, query: &Query, runs: usize) {
    let mut spent = Vec::new();
    let mut last = None;
    for _ in 0..runs {
        let start = clock();
        let answer = evaluate(query, filled, &Unbounded);
        spent.push(start.elapsed().as_secs_f64() * 1e3);
        last = Some(answer.unwrap_or_else(|error| panic!("{name}: {error}")));
    }
    spent.sort_by(f64::total_cmp);
    let median = spent[runs / 2];
    let answer = last.expect("it ran");
    let read = answer.stats.samples_read.max(1);
    println!(
        "{name:24} {median:9.2} {:9.2} {:7} {:9.2}",
        spent[0],
        series_of(&answer),
        spent[0] * 1e6 / read as f64,
    );
}

fn series_of(answer: &Answer) -> usize {
    match &answer.value {
        Value::Vector(samples) => samples.len(),
        Value::Matrix(series) => series.len(),
        Value::Scalar(..) | Value::String(..) => 1,
    }
}
