//! Requests against the router over a backend of values: statuses, headers and bodies.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use api::backend::Phase;
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::Request;
use tower::ServiceExt as _;

#[path = "fixed/backend.rs"]
mod fixed;

use fixed::{Fixed, check, check_on, failure, request, success};

#[test]
fn health_is_plain_text() {
    check("GET /-/healthy", "200 Prometheus Server is Healthy.\n");
    check("HEAD /-/ready", "200 ");
    check("POST /-/ready", "405 Method Not Allowed\n");
}

#[test]
fn nothing_is_answered_before_ready_but_health_and_progress() {
    let starting = || Fixed { phase: Phase::Starting, ..Fixed::default() };
    check_on(starting(), "GET /-/ready", "503 Service Unavailable");
    check_on(starting(), "OPTIONS /api/v1/query", "503 Service Unavailable");
    check_on(starting(), "GET /api/v1/notifications", &success("[]"));
    check_on(starting(), "GET /api/v1/query?query=up", "503 Service Unavailable");
    check_on(starting(), "GET /-/healthy", "200 Prometheus Server is Healthy.\n");
    let progress = success(r#"{"min":0,"max":7,"current":3}"#);
    check_on(starting(), "GET /api/v1/status/walreplay", &progress);
}

#[test]
fn paths_and_methods_are_refused_as_upstream_does() {
    check("GET /api/v1/nothing", "404 404 page not found\n");
    check("OPTIONS /api/v1/nothing", "204 ");
    check("OPTIONS /api/v1/query", "204 ");
    check("DELETE /api/v1/query", "405 Method Not Allowed\n");
    check("HEAD /api/v1/query", "405 ");
    check("POST /api/v1/targets", "405 Method Not Allowed\n");
    check("GET /-/reload", "405 Only POST or PUT requests allowed");
}

#[test]
fn lifecycle_needs_its_flag() {
    check("POST /-/reload", "403 Lifecycle API is not enabled.");
    let mut backend = Fixed::default();
    backend.settings.lifecycle = true;
    check_on(backend, "PUT /-/reload", "500 failed to reload config: line 3: no\n");
}

#[test]
fn admin_endpoints_need_their_flag_and_say_what_is_wrong() {
    let path = |rest: &str| format!("POST /api/v1/admin/tsdb/{rest}");
    for rest in ["delete_series", "clean_tombstones", "snapshot?skip_head=x"] {
        check(&path(rest), &failure(500, "unavailable", "admin APIs disabled"));
    }
    check("GET /api/v1/admin/tsdb/snapshot", "405 Method Not Allowed\n");
    let allowed = |rest: &str, expected: &str| {
        let mut backend = Fixed::default();
        backend.settings.admin = true;
        check_on(backend, &path(rest), expected);
    };
    allowed("delete_series", &failure(400, "bad_data", "no match[] parameter provided"));
    allowed("delete_series?match[]=up&start=5&end=7.5", "204 ");
    let everything = failure(500, "internal", "nothing from 5000 on");
    allowed("delete_series?match[]={}&start=5", &everything);
    allowed("clean_tombstones", "204 ");
    allowed("snapshot?skip_head=True", &success(r#"{"name":"skip-true"}"#));
    let text = "invalid parameter \"skip_head\": unable to parse boolean: strconv.ParseBool: \
                parsing \"x\": invalid syntax";
    allowed("snapshot?skip_head=x", &failure(400, "bad_data", text));
}

#[test]
fn parameters_of_queries_are_checked_in_order() {
    let bad = |name: &str, text: &str| {
        failure(400, "bad_data", &format!("invalid parameter \"{name}\": {text}"))
    };
    check(
        "GET /api/v1/query?query=up&time=x",
        &bad("time", "invalid time value for 'time': cannot parse \"x\" to a valid timestamp"),
    );
    check(
        "POST /api/v1/query query=up&timeout=x",
        &bad("timeout", "cannot parse \"x\" to a valid duration"),
    );
    check("GET /api/v1/query?query=up&limit=-1", &bad("limit", "limit must be non-negative"));
    check(
        "GET /api/v1/query?query=up&lookback_delta=y",
        &failure(
            400,
            "bad_data",
            "error parsing lookback delta duration: cannot parse \"y\" to a valid duration",
        ),
    );
    let range = "GET /api/v1/query_range?query=up";
    check(range, &bad("start", "cannot parse \"\" to a valid timestamp"));
    check(
        &format!("{range}&start=2&end=1&step=1"),
        &bad("end", "end timestamp must not be before start time"),
    );
    check(
        &format!("{range}&start=1&end=2&step=0"),
        &bad(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive \
             integer",
        ),
    );
    check(
        &format!("{range}&start=0&end=11001&step=1"),
        &failure(
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
             query resolution (?step=XX)",
        ),
    );
    check(
        "GET /api/v1/query?query=up&timeout=0",
        &failure(503, "timeout", "query timed out in query queue"),
    );
}

#[test]
fn queries_are_answered() {
    let vector =
        |result: &str| success(&format!(r#"{{"resultType":"vector","result":[{result}]}}"#));
    let a = r#"{"metric":{"__name__":"up","job":"a"},"value":[1700000000,"0.5"]}"#;
    let b = r#"{"metric":{"__name__":"up","job":"b"},"value":[1700000000,"0.5"]}"#;
    check("GET /api/v1/query?query=up%7Bjob%3D%22a%22%7D", &vector(a));
    check(
        "POST /api/v1/query query=sort_by_label(up,%22job%22)&time=1700000000",
        &failure(
            400,
            "bad_data",
            "invalid parameter \"query\": 1:1: parse error: function \"sort_by_label\" is not \
             enabled",
        ),
    );
    check("GET /api/v1/query?query=topk(0,up)", &vector(""));
    check("GET /api/v1/query?query=up%7Bjob%3D%22b%22%7D&limit=1", &vector(b));
    check(
        "GET /api/v1/query?query=1%2B1&time=5.5",
        &success(r#"{"resultType":"scalar","result":[5.500,"2"]}"#),
    );
    check(
        "GET /api/v1/query?query=up%7Bjob%3D%22a%22%7D%5B1m%5D",
        &success(concat!(
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":"#,
            r#"[[1699999990,"1"],[1699999995.500,"0.5"]]}]}"#
        )),
    );
    check(
        "GET /api/v1/query_range?query=sum(up)&start=1699999990&end=1700000000&step=5s",
        &success(concat!(
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1699999990,"2"],"#,
            r#"[1699999995,"2"],[1700000000,"1"]]}]}"#
        )),
    );
    let none = "unknown position: parse error: no expression found in input";
    let text = format!("invalid parameter \"query\": {none}");
    check("GET /api/v1/query", &failure(400, "bad_data", &text));
    check("GET /api/v1/format_query?query=sum(up)by(job)", &success(r#""sum by (job) (up)""#));
}

#[test]
fn queries_are_cut_and_warned_of() {
    let a = r#"{"metric":{"__name__":"up","job":"a"},"values":[[1700000000,"0.5"]]}"#;
    check(
        "GET /api/v1/query_range?query=up&start=1700000000&end=1700000000&step=1&limit=1",
        &format!(
            "200 {}{a}{}",
            r#"{"status":"success","data":{"resultType":"matrix","result":["#,
            r#"]},"warnings":["results truncated due to limit"]}"#
        ),
    );
}

#[test]
fn series_are_label_sets() {
    check(
        "GET /api/v1/series?match%5B%5D=up&match%5B%5D=%7Bjob%3D%22a%22%7D",
        &success(concat!(
            r#"[{"__name__":"http.status","job":"a"},{"__name__":"up","job":"a"},"#,
            r#"{"__name__":"up","job":"b"}]"#
        )),
    );
    check(
        "GET /api/v1/series?match%5B%5D=%7Bjob%3D~%22.*%22%7D",
        &failure(
            400,
            "bad_data",
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
        ),
    );
}

#[test]
fn a_full_queue_refuses() {
    let backend = Fixed { full: AtomicBool::new(true), ..Fixed::default() };
    check_on(
        backend,
        "GET /api/v1/query?query=up",
        &failure(503, "timeout", "query timed out in query queue: too many queries wait"),
    );
}

#[test]
fn bodies_are_bounded() {
    let form = "a=1&".repeat(api::router::FORM_BYTES_MAX / 4 + 1);
    check(
        &format!("POST /api/v1/query {form}"),
        &failure(400, "bad_data", "error parsing form values: length limit exceeded"),
    );
}

#[test]
fn labels_have_values_by_escaped_names() {
    check("GET /api/v1/label/job/values", &success(r#"["a","b"]"#));
    check("GET /api/v1/label/U__job/values", &success(r#"["a","b"]"#));
    check("GET /api/v1/label/none/values", &success("[]"));
    check(
        "GET /api/v1/label/%ff/values",
        &failure(400, "bad_data", "invalid label name: \"\u{fffd}\""),
    );
    check(
        "GET /api/v1/label/job/values?limit=1",
        r#"200 {"status":"success","data":["a"],"warnings":["results truncated due to limit"]}"#,
    );
    check(
        "GET /api/v1/labels",
        &failure(500, "unavailable", "storage is unavailable: shard 1 did not answer"),
    );
}

#[test]
fn series_need_a_selector() {
    check("GET /api/v1/series", &failure(400, "bad_data", "no match[] parameter provided"));
}

#[test]
fn targets_are_filtered_by_state_and_pool() {
    let active = concat!(
        r#"[{"discoveredLabels":{"__address__":"localhost:9090"},"labels":{"job":"a"},"#,
        r#""scrapePool":"a","scrapeUrl":"http://localhost:9090/metrics","#,
        r#""globalUrl":"http://host:9090/metrics","lastError":"","#,
        r#""lastScrape":"0001-01-01T00:00:00Z","lastScrapeDuration":0.25,"health":"unknown","#,
        r#""scrapeInterval":"15s","scrapeTimeout":"10s"}]"#
    );
    let dropped = r#"[{"discoveredLabels":{"__address__":"x"},"scrapePool":"b"}]"#;
    let data = |active: &str, dropped: &str, counts: &str| {
        let lists = format!(r#""activeTargets":{active},"droppedTargets":{dropped}"#);
        success(&format!(r#"{{{lists},"droppedTargetCounts":{counts}}}"#))
    };
    check("GET /api/v1/targets", &data(active, dropped, r#"{"b":1}"#));
    check("GET /api/v1/targets?state=active", &data(active, "[]", "{}"));
    check("GET /api/v1/targets?state=dropped", &data("[]", dropped, r#"{"b":1}"#));
    check("GET /api/v1/targets?scrapePool=a", &data(active, "[]", "{}"));
    check("GET /api/v1/scrape_pools", &success(r#"{"scrapePools":["a","b"]}"#));
    check("GET /api/v1/scrape_pools/config?scrapePool=a", &success(r#"{"yaml":"job_name: a\n"}"#));
}

#[test]
fn steps_of_relabelling_are_shown_rule_by_rule() {
    check(
        "GET /api/v1/targets/relabel_steps?scrapePool=a&labels=%7B%22b%22%3A%22c%22%7D",
        &success(
            &[
                r#"{"steps":[{"rule":{"action":"keep","replacement":"$1","separator":";"},"#,
                r#""output":{"b":"c"},"keep":true}]}"#,
            ]
            .concat(),
        ),
    );
}

#[test]
fn metadata_is_merged_over_targets_or_listed_by_target() {
    let (counter, gauge, other) = (
        r#"{"type":"counter","unit":"","help":"A."}"#,
        r#"{"type":"gauge","unit":"","help":"Another."}"#,
        r#""b":[{"type":"gauge","unit":"","help":"B."}]"#,
    );
    let pushed = r#""p":[{"type":"gauge","unit":"bytes","help":"Pushed."}]"#;
    let both = format!(r#"{{"a":[{counter},{gauge}],{other},{pushed}}}"#);
    check("GET /api/v1/metadata", &success(&both));
    check("GET /api/v1/metadata?metric=b", &success(&format!("{{{other}}}")));
    let one = format!(r#"{{"a":[{counter}]}}"#);
    check("GET /api/v1/metadata?limit=1&limit_per_metric=1", &success(&one));
    check(
        "GET /api/v1/targets/metadata?match_target=%7Bjob=%22y%22%7D",
        &success(
            r#"[{"target":{"job":"y"},"metric":"a","type":"gauge","help":"Another.","unit":""}]"#,
        ),
    );
    check(
        "GET /api/v1/targets/metadata?metric=b&limit=1",
        &success(r#"[{"target":{"job":"x"},"type":"gauge","help":"B.","unit":""}]"#),
    );
}

#[test]
fn exemplars_of_a_query_s_selectors_are_listed() {
    check(
        "GET /api/v1/query_exemplars?query=rate(a_bucket[5m])&start=1600096945&end=1600096946",
        &success(concat!(
            r#"[{"seriesLabels":{"__name__":"a_bucket","le":"1.0"},"exemplars":["#,
            r#"{"labels":{"trace_id":"t"},"value":"0.5","timestamp":1600096945.479},"#,
            r#"{"labels":{"trace_id":"t"},"value":"6","timestamp":1600096946}]}]"#,
        )),
    );
    check("GET /api/v1/query_exemplars?query=b", &success("[]"));
    check("GET /api/v1/query_exemplars?query=1", "204 ");
}

#[test]
fn statuses_are_json() {
    check("GET /api/v1/status/config", &success(r#"{"yaml":"global: {}\n"}"#));
    check("GET /api/v1/status/flags", &success(r#"{"config.file":"x.yml"}"#));
    check("GET /api/v1/rules", &success(r#"{"groups":[]}"#));
    check(
        "GET /api/v1/status/tsdb?limit=1",
        &success(concat!(
            r#"{"headStats":{"numSeries":3,"numLabelPairs":0,"chunkCount":0,"minTime":0,"#,
            r#""maxTime":0},"seriesCountByMetricName":[],"labelValueCountByLabelName":[],"#,
            r#""memoryInBytesByLabelName":[],"seriesCountByLabelValuePair":[]}"#
        )),
    );
    check(
        "GET /api/v1/status/tsdb?limit=0",
        &failure(400, "bad_data", "limit must be a positive number"),
    );
}

#[test]
fn blocks_features_and_own_metrics_are_json() {
    check(
        "GET /api/v1/status/tsdb/blocks",
        &success(concat!(
            r#"{"blocks":[{"ulid":"01KB0000000000000000000001","minTime":1,"maxTime":3,"#,
            r#""stats":{"numSamples":2,"numSeries":1},"compaction":{"level":1},"version":1}]}"#
        )),
    );
    check("GET /api/v1/features", &success(r#"{"api":{"admin":false}}"#));
    check(
        "GET /api/v1/status/self_metrics?metric_name_pattern=prometheus_re.*",
        &success(concat!(
            r#"[{"help":"Whether it is ready.","metric":[{"gauge":{"value":1.0}}],"#,
            r#""name":"prometheus_ready","type":"GAUGE"}]"#
        )),
    );
    let text = "invalid metric_name_pattern: error parsing regexp: missing argument to repetition \
                operator: `*`";
    check("GET /api/v1/status/self_metrics?metric_name_pattern=*", &failure(400, "bad_data", text));
}

#[test]
fn parameters_of_rules_are_checked_as_upstream_checks_them() {
    let bad = |name: &str, text: &str| {
        failure(400, "bad_data", &format!("invalid parameter \"{name}\": {text}"))
    };
    check("GET /api/v1/rules?type=alert&exclude_alerts=TRUE", &success(r#"{"groups":[]}"#));
    check("GET /api/v1/rules?type=x", &bad("type", "not supported value \"x\""));
    let text = "error converting exclude_alerts: strconv.ParseBool: parsing \"x\": invalid syntax";
    check("GET /api/v1/rules?exclude_alerts=x", &bad("exclude_alerts", text));
    let text = "group_limit needs to be present in order to paginate over the groups";
    check("GET /api/v1/rules?group_next_token=a", &bad("group_next_token", text));
    check(
        "GET /api/v1/rules?group_limit=0",
        &bad("group_limit", "group_limit needs to be greater than 0"),
    );
    let text = "invalid group_next_token 'a'. were rule groups changed?";
    check("GET /api/v1/rules?group_limit=1&group_next_token=a", &bad("group_next_token", text));
}

#[test]
fn the_openapi_document_names_every_path() {
    let served = api::routes::ROUTES.iter().map(|route| route.path);
    let served = served.chain(api::bodies::BODY_ROUTES.iter().map(|route| route.path));
    let served = served.chain(["/api/v1/notifications/live"]);
    let mut served: Vec<&str> = served.filter_map(|path| path.strip_prefix("/api/v1")).collect();
    let mut told: Vec<&str> =
        api::openapi::OPERATIONS.iter().map(|operation| operation.path).collect();
    served.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, served);
}

#[test]
fn notifications_are_told_as_they_change() {
    let notification = |text: &str| api::backend::Notification {
        text: text.to_owned(),
        date: "2026-12-01T00:00:00Z".to_owned(),
        active: true,
    };
    let backend = Fixed::default();
    let sender = backend.notifications.clone();
    sender.send_replace(Arc::new(vec![notification("a")]));
    let told = fixed::runtime().block_on(async {
        let router = api::router::router(Arc::new(backend));
        let ask = || router.clone().oneshot(request("GET /api/v1/notifications/live"));
        let answer = ask().await.expect("infallible");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let refused = ask().await.expect("infallible");
        assert_eq!(refused.status().as_u16(), 204, "one more than may subscribe");
        let mut body = answer.into_body();
        let mut next = async || {
            let frame = body.frame().await.expect("a frame").expect("infallible");
            String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
        };
        let first = next().await;
        sender.send_replace(Arc::new(vec![notification("b")]));
        [first, next().await, next().await].concat()
    });
    let event = |text: &str, active: bool| {
        let date = "2026-12-01T00:00:00Z";
        format!("data: {{\"text\":\"{text}\",\"date\":\"{date}\",\"active\":{active}}}\n\n")
    };
    assert_eq!(told, [event("a", true), event("a", false), event("b", true)].concat());
}

#[test]
fn metrics_are_text() {
    check(
        "GET /metrics/host",
        "200 # HELP node_load1 1m load average.\n# TYPE node_load1 gauge\nnode_load1 0.5\n",
    );
}

#[test]
fn requests_are_counted_by_handler_and_code() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
    let router = api::router::router(Arc::new(Fixed::default()));
    let body = runtime.block_on(async {
        for path in ["/api/v1/label/job/values", "/api/v1/label/a/values", "/-/healthy"] {
            let request = request(&format!("GET {path}"));
            router.clone().oneshot(request).await.expect("infallible");
        }
        let response = router.oneshot(request("GET /metrics")).await.expect("infallible");
        response.into_body().collect().await.expect("body").to_bytes()
    });
    let text = String::from_utf8(body.to_vec()).expect("text");
    for line in [
        "prometheus_http_requests_total{code=\"200\",handler=\"/-/healthy\"} 1\n",
        "prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/label/:name/values\"} 2\n",
        "prometheus_http_request_duration_seconds_count{handler=\"/-/healthy\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn headers_say_origin_and_coding() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
    let router = api::router::router(Arc::new(Fixed::default()));
    let ask = |path: &str| {
        let request = Request::get(path.to_owned())
            .header("origin", "http://grafana")
            .header("accept-encoding", "deflate, gzip;q=0.5");
        let request = request.body(Body::empty()).expect("request");
        runtime.block_on(router.clone().oneshot(request)).expect("infallible")
    };
    let answer = ask("/api/v1/query?query=up&time=x");
    let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().expect("text"));
    assert_eq!(header("access-control-allow-origin"), Some("*"));
    assert_eq!(header("content-encoding"), None, "too short to compress");
    assert_eq!(header("content-type"), Some("application/json"));
    let page = ask("/");
    assert_eq!(page.headers().get("content-encoding").map(|v| v.as_bytes()), Some(&b"deflate"[..]));
    assert_eq!(page.headers().get("access-control-allow-origin"), None);
}
