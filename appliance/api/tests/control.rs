//! Control of queries: the list, the kill, limits, stats and notes to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use api::backend::Backend as _;
use api::router::Peer;
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[path = "fixed/backend.rs"]
#[expect(dead_code, reason = "these tests use a part of it")]
mod fixed;

use fixed::{Fixed, check, check_on, failure, request, runtime};

/// Status and JSON of a request; null where the body is none.
async fn answer(router: &Router, request: Request<Body>) -> (u16, Value) {
    let response = router.clone().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// The only listed query, once its state is `state`.
async fn listed(router: &Router, state: &str) -> Value {
    loop {
        let (status, list) = answer(router, request("GET /api/v1/status/queries")).await;
        assert_eq!(status, 200);
        match &list["data"][0] {
            query if query["state"] == state => return query.clone(),
            _ => tokio::task::yield_now().await,
        }
    }
}

/// A backend whose series `held` is held, its router, and what releases it.
fn holding(fixed: Fixed) -> (Arc<Fixed>, Router, Arc<AtomicBool>) {
    let released = Arc::new(AtomicBool::new(false));
    let fixed = Arc::new(Fixed { released: Arc::clone(&released), ..fixed });
    let router = api::router::router(Arc::clone(&fixed) as Arc<dyn api::backend::Backend>);
    (fixed, router, released)
}

#[test]
fn a_query_is_listed_and_killed() {
    let (fixed, router, released) = holding(Fixed::default());
    runtime().block_on(async {
        let mut query = request("POST /api/v1/query query=held%20or%20up");
        let peer = Peer("192.0.2.7:4000".parse().expect("an address"));
        query.extensions_mut().insert(peer);
        let asked = tokio::spawn({
            let router = router.clone();
            async move { answer(&router, query).await }
        });
        let expected = json!({
            "id": 1,
            "query": "held or up",
            "state": "running",
            "handler": "/api/v1/query",
            "method": "POST",
            "client": "192.0.2.7",
            "startTime": "2023-11-14T22:13:20Z",
            "seconds": 0.0,
            "samples": 0,
            "samplesRead": 0,
        });
        let mut found = listed(&router, "running").await;
        // What it holds is the engine's business.
        let bytes = found.as_object_mut().expect("fields").remove("memoryBytes");
        assert!(bytes.is_some_and(|bytes| bytes.is_u64()));
        assert_eq!(found, expected);
        let (status, killed) = answer(&router, request("DELETE /api/v1/status/queries/1")).await;
        assert_eq!((status, &killed["data"]["state"]), (200, &json!("killed")));
        listed(&router, "killed").await;
        released.store(true, Ordering::Relaxed);
        let (status, body) = asked.await.expect("an answer");
        let error = json!({
            "status": "error",
            "errorType": "canceled",
            "error": "query was canceled in expression evaluation",
        });
        assert_eq!((status, body), (499, error));
        while !fixed.active().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(fixed.active().killed(), 1);
    });
}

#[test]
fn kills_name_a_query_that_is_there() {
    let none = "no query 7 waits, runs or answers";
    check("DELETE /api/v1/status/queries/7", &failure(404, "not_found", none));
    let wrong = r#""x" is no id of a query: take one of /api/v1/status/queries"#;
    check("DELETE /api/v1/status/queries/x", &failure(400, "bad_data", wrong));
    check("GET /api/v1/status/queries", r#"200 {"status":"success","data":[]}"#);
    check("GET /api/v1/status/queries/7", "405 Method Not Allowed\n");
}

#[test]
fn selectors_are_listed_as_queries_are() {
    let (_, router, released) = holding(Fixed::default());
    runtime().block_on(async {
        let line = "GET /api/v1/query?query=count_over_time(held[5m])&time=1700000000";
        let asked = tokio::spawn({
            let router = router.clone();
            async move { answer(&router, request(line)).await }
        });
        let found = listed(&router, "running").await;
        assert_eq!(found["query"], "count_over_time(held[5m])");
        assert_eq!(found["client"], "");
        released.store(true, Ordering::Relaxed);
        let (status, body) = asked.await.expect("an answer");
        assert_eq!((status, &body["data"]["result"][0]["value"][1]), (200, &json!("1")));
    });
}

#[test]
fn the_server_hears_of_each_query_once() {
    let (notes, heard) = channel();
    let fixed = || Fixed { notes: Some(notes.clone()), ..Fixed::default() };
    let ask = |line: &str| {
        let (_, router, released) = holding(fixed());
        released.store(true, Ordering::Relaxed);
        runtime().block_on(answer(&router, request(line))).0
    };
    let all = || heard.try_iter().collect::<Vec<String>>();
    let line = "GET /api/v1/query_range?query=count(up)&start=1699999990&end=1700000000&step=5";
    assert_eq!(ask(line), 200);
    let range = "finished count(up) by /api/v1/query_range of None: None, 6 samples, sorted true";
    assert_eq!(all(), ["began count(up)", "ended count(up)", range]);
    assert_eq!(ask("GET /api/v1/query?query=topk(NaN,up)"), 422);
    let failed = "finished topk(NaN,up) by /api/v1/query of None: Some(\"Parameter value is \
                  NaN\"), 0 samples, sorted false";
    assert_eq!(all(), ["began topk(NaN,up)", "ended topk(NaN,up)", failed]);
    assert_eq!(ask("GET /api/v1/query?query=up&timeout=0"), 503);
    let late = "finished up by /api/v1/query of None: Some(\"query timed out in query queue\"), \
                0 samples, sorted false";
    assert_eq!(all(), [late]);
    // What is no query, and what evaluates nothing, is not heard of.
    assert_eq!(ask("GET /api/v1/query?query=up%2B"), 400);
    assert_eq!(all(), ["began up+", "ended up+"]);
    assert_eq!(ask("GET /api/v1/format_query?query=up"), 200);
    assert_eq!(ask("GET /api/v1/series?match[]=up"), 200);
    assert_eq!(all(), Vec::<String>::new());
}

/// `data.stats` and the warnings of an instant query.
#[track_caller]
fn stats(per_step: bool, parameters: &str) -> (Value, Value) {
    let mut fixed = Fixed::default();
    fixed.engine.per_step_stats = per_step;
    let (_, router, _) = holding(fixed);
    let line = "GET /api/v1/query_range?query=up&start=1699999990&end=1700000000&step=5";
    let (status, body) =
        runtime().block_on(answer(&router, request(&format!("{line}{parameters}"))));
    assert_eq!(status, 200, "{body}");
    (body["data"]["stats"].clone(), body["warnings"].clone())
}

#[test]
fn stats_are_given_when_they_are_asked_for() {
    assert_eq!(stats(true, "").0, Value::Null);
    let timings = json!({
        "evalTotalTime": 0.0,
        "resultSortTime": 0.0,
        "queryPreparationTime": 0.0,
        "innerEvalTime": 0.0,
        "execQueueTime": 0.0,
        "execTotalTime": 0.0,
    });
    let samples = json!({"totalQueryableSamples": 6, "samplesRead": 6, "peakSamples": 6});
    let plain = |(stats, warnings): (Value, Value)| {
        let number = |value: &Value| value.as_f64();
        for (key, value) in timings.as_object().expect("fields") {
            assert_eq!(number(&stats["timings"][key]), number(value), "{key}");
        }
        assert_eq!(stats["samples"], samples);
        warnings
    };
    assert_eq!(plain(stats(true, "&stats=true")), Value::Null);
    // Steps are counted only where the server's feature is on.
    assert_eq!(plain(stats(false, "&stats=all")), Value::Null);
    let warning = "value \"x\" for parameter \"stats\" is deprecated and will be rejected in the \
                   next major release, use \"true\" or \"all\"";
    assert_eq!(plain(stats(true, "&stats=x")), json!([warning]));
    let (by_step, _) = stats(true, "&stats=all");
    let steps = &by_step["samples"]["totalQueryableSamplesPerStep"];
    let expected = json!([[1_699_999_990, 2], [1_699_999_995, 2], [1_700_000_000, 2]]);
    assert_eq!(steps, &expected);
}

#[test]
fn limits_are_refused_in_upstreams_words() {
    let mut fixed = Fixed::default();
    fixed.engine.samples_max = 1;
    let many = "query processing would load too many samples into memory in query execution";
    let many = failure(422, "execution", many);
    check_on(fixed, "GET /api/v1/query?query=up", &many);
    let late = failure(503, "timeout", "query timed out in query queue");
    check("GET /api/v1/query?query=up&timeout=0", &late);
    // A lookback of a second reaches neither sample.
    let none = r#"200 {"status":"success","data":{"resultType":"vector","result":[]}}"#;
    check("GET /api/v1/query?query=up&lookback_delta=1s", none);
    let wrong = "error parsing lookback delta duration: cannot parse \"x\" to a valid duration";
    check("GET /api/v1/query?query=up&lookback_delta=x", &failure(400, "bad_data", wrong));
}
