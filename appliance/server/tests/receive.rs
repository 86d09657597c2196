//! What others send: the real binary takes it, acknowledges what is durable, and answers for it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use remote::protobuf_write::Writer;
use remote::snappy::deflate;
use rustix::process::Signal;

use crate::server::{DEADLINE_MS, Server, line_with, request, wait_for};

#[path = "process/server.rs"]
mod server;

const ON: &str = "--web.enable-remote-write-receiver";
const V1: &[(&str, &str)] =
    &[("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
const V2: &[(&str, &str)] = &[
    ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("Content-Encoding", "snappy"),
];

/// Status, head and body of a request with a body.
fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(u16, String, String), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(text)?;
    stream.set_read_timeout(Some(Duration::from_millis(DEADLINE_MS))).map_err(text)?;
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).map_err(text)?;
    stream.write_all(body).map_err(text)?;
    let mut response = String::new();
    stream.read_to_string(&mut response).map_err(text)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or("no status")?, head.to_ascii_lowercase(), body.to_owned()))
}

/// Labels in order of name.
type Labels = Vec<(String, String)>;

/// One series of a request of the second version.
#[derive(Clone, Debug, Default)]
struct Series {
    labels: Labels,
    samples: Vec<(f64, i64)>,
    histograms: Vec<Writer>,
    exemplars: Vec<(Labels, f64, i64)>,
    metadata: Option<(u64, String, String)>,
}

fn pairs(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A request of the second version.
fn interned(series: &[Series]) -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut number = |text: &str| -> u64 {
        let at = symbols.iter().position(|symbol| symbol == text).unwrap_or_else(|| {
            symbols.push(text.to_owned());
            symbols.len() - 1
        });
        u64::try_from(at).expect("few")
    };
    let mut body = Writer::default();
    for one in series {
        let mut refs = |labels: &[(String, String)]| -> Vec<u64> {
            labels.iter().flat_map(|(name, value)| [number(name), number(value)]).collect()
        };
        let labels = refs(&one.labels);
        let exemplars: Vec<Vec<u64>> = one.exemplars.iter().map(|(l, ..)| refs(l)).collect();
        let texts = one.metadata.as_ref().map(|(_, help, unit)| (number(help), number(unit)));
        body.message(5, |message| {
            message.uint64s(1, labels);
            for (value, at_ms) in &one.samples {
                message.message(2, |sample| {
                    sample.double(1, *value);
                    sample.int64(2, *at_ms);
                });
            }
            one.histograms.iter().for_each(|histogram| message.put(3, histogram.bytes()));
            for (refs, (_, value, at_ms)) in exemplars.into_iter().zip(&one.exemplars) {
                message.message(4, |exemplar| {
                    exemplar.uint64s(1, refs);
                    exemplar.double(2, *value);
                    exemplar.int64(3, *at_ms);
                });
            }
            if let (Some((kind, ..)), Some((help, unit))) = (&one.metadata, texts) {
                message.message(5, |metadata| {
                    metadata.uint64(1, *kind);
                    metadata.uint64(3, help);
                    metadata.uint64(4, unit);
                });
            }
        });
    }
    let mut request = Writer::default();
    symbols.iter().for_each(|symbol| request.put(4, symbol.as_bytes()));
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body.bytes());
    deflate(&bytes)
}

/// A request of the first version: one sample a series.
fn plain(series: &[(Labels, f64, i64)]) -> Vec<u8> {
    let mut request = Writer::default();
    for (labels, value, at_ms) in series {
        request.message(1, |message| {
            for (name, text) in labels {
                message.message(1, |label| {
                    label.text(1, name);
                    label.text(2, text);
                });
            }
            message.message(2, |sample| {
                sample.double(1, *value);
                sample.int64(2, *at_ms);
            });
        });
    }
    deflate(request.bytes())
}

fn now_ms() -> i64 {
    machine::clock::now().wall.0
}

fn written(head: &str, what: &str) -> Option<u64> {
    let name = format!("x-prometheus-remote-write-{what}-written: ");
    head.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok())
}

/// What was pushed beside samples is answered.
#[track_caller]
fn check_beside(address: SocketAddr) {
    let check = |path: &str, part: &str| {
        let (status, body) = request(address, "GET", path).expect("an answer");
        assert!(status == 200 && body.contains(part), "{part:?} in {body}");
    };
    let exemplar = r#""exemplars":[{"labels":{"trace_id":"t"},"value":"1","#;
    check("/api/v1/query_exemplars?query=requests_total", exemplar);
    let metadata = r#""requests_total":[{"type":"counter","unit":"","help":"Requests."}]"#;
    check("/api/v1/metadata?metric=requests_total", metadata);
}

#[test]
fn both_versions_are_stored_and_survive_a_kill() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[ON]);
    let now = now_ms() - 60_000;
    let series: Vec<_> = (0..500)
        .map(|at| {
            let name = format!("pushed_{}", at % 50);
            let labels = [
                ("__name__", name.as_str()),
                ("instance", &format!("i{}", at / 50)),
                ("job", "p"),
                ("number", &at.to_string()),
            ];
            (pairs(&labels), f64::from(at), now)
        })
        .collect();
    let (status, head, _) =
        post(server.address, "/api/v1/write", V1, &plain(&series)).expect("sent");
    assert_eq!((status, written(&head, "samples")), (204, None));
    // The same again, and a part of it with more behind.
    let mut more = series[..100].to_vec();
    more.extend(series.iter().map(|(labels, value, at)| (labels.clone(), value + 1.0, at + 5000)));
    for _ in 0..2 {
        let (status, _, body) =
            post(server.address, "/api/v1/write", V1, &plain(&more)).expect("sent");
        assert_eq!((status, body.as_str()), (204, ""));
    }
    let mut histogram = Writer::default();
    histogram.uint64(1, 5);
    histogram.double(3, 2.5);
    histogram.message(11, |span| span.uint64(2, 2));
    histogram.sint64s(12, [3, -1]);
    histogram.int64(15, now);
    let rich = [
        Series {
            labels: pairs(&[("__name__", "requests_total"), ("job", "p")]),
            samples: vec![(1.0, now), (2.0, now + 1000)],
            exemplars: vec![(pairs(&[("trace_id", "t")]), 1.0, now)],
            metadata: Some((1, "Requests.".to_owned(), String::new())),
            ..Series::default()
        },
        Series {
            labels: pairs(&[("__name__", "latency"), ("job", "p"), ("of", "l")]),
            histograms: vec![histogram],
            ..Series::default()
        },
    ];
    let (status, head, body) =
        post(server.address, "/api/v1/write", V2, &interned(&rich)).expect("sent");
    assert_eq!((status, body.as_str()), (204, ""));
    let counts = ["samples", "histograms", "exemplars"].map(|what| written(&head, what));
    assert_eq!(counts, [Some(2), Some(1), Some(1)]);
    check_beside(server.address);
    server.end(Signal::KILL);
    for signal in [Signal::TERM, Signal::KILL] {
        let again = Server::start(directory.path(), &[ON]);
        line_with(&again.lines, "recovered");
        let count = "sum(count_over_time({job=\"p\"}[10m]))";
        again.wait_for_value(count, |count| count == 1003.0);
        again.wait_for_value("sum({__name__=~\"pushed_.*\"})", |sum| sum == 125_250.0);
        again.wait_for_value("histogram_count(latency)", |count| count == 5.0);
        again.end(signal);
    }
}

#[test]
fn what_is_wrong_is_refused_and_the_rest_kept() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[ON]);
    let now = now_ms() - 60_000;
    let named = |name: &str| pairs(&[("__name__", name)]);
    let send = |series: &[Series]| {
        post(server.address, "/api/v1/write", V2, &interned(series)).expect("an answer")
    };
    let at = |name: &str, samples: &[(f64, i64)]| Series {
        labels: named(name),
        samples: samples.to_vec(),
        ..Series::default()
    };
    assert_eq!(send(&[at("a", &[(1.0, now)])]).0, 204);
    let nameless = Series { samples: vec![(1.0, now)], ..Series::default() };
    let (status, head, body) = send(&[
        at("a", &[(2.0, now)]),
        at("a", &[(2.0, now - 1000)]),
        nameless,
        at("ahead", &[(1.0, now + 3_600_000)]),
        at("b", &[(1.0, now)]),
    ]);
    assert_eq!((status, written(&head, "samples")), (400, Some(1)), "{body}");
    for part in [
        "duplicate sample for timestamp",
        "out of order sample for series {__name__=\"a\"}",
        "invalid metric name or labels, got {}",
        "out of bounds for series {__name__=\"ahead\"}",
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
    server.wait_for_value("b", |value| value == 1.0);
    server.wait_for_value("a", |value| value == 1.0);
    server.wait_for_value("prometheus_tsdb_out_of_order_samples_total", |count| count == 1.0);
    let broken = post(server.address, "/api/v1/write", V1, b"no snappy").expect("an answer");
    assert_eq!(broken.0, 400);
    let kinds: [&[(&str, &str)]; 4] = [
        &[("Content-Type", "application/json"), ("Content-Encoding", "snappy")],
        &[("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip")],
        &[("Content-Type", "application/x-protobuf;proto=x"), ("Content-Encoding", "snappy")],
        &[("Content-Type", "image/png")],
    ];
    for headers in kinds {
        assert_eq!(post(server.address, "/api/v1/write", headers, b"").expect("sent").0, 415);
    }
    assert_eq!(server.get("/api/v1/write").expect("an answer").0, 405);
    // It claims to be large, and is not read.
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(post(server.address, "/api/v1/write", V1, &bomb).expect("sent").0, 413);
}

#[test]
fn receivers_are_off_unless_they_are_asked_for() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[]);
    let (status, _, body) = post(server.address, "/api/v1/write", V1, b"").expect("an answer");
    assert_eq!(status, 404);
    assert!(body.contains("--web.enable-remote-write-receiver"), "{body}");
    drop(server);
    let only = "--web.remote-write-receiver.accepted-protobuf-messages=\
                io.prometheus.write.v2.Request";
    let server = Server::start(directory.path(), &[ON, only]);
    let (status, _, body) = post(server.address, "/api/v1/write", V1, b"").expect("an answer");
    assert_eq!(status, 415);
    assert!(body.contains("accepted [io.prometheus.write.v2.Request]"), "{body}");
}

/// Samples that come one series at a time, as an import does, and those with times of their own.
#[test]
fn samples_of_any_order_of_series_and_time_are_found() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[ON]);
    let begin = now_ms() - 3_600_000;
    for number in 0..20i64 {
        let samples: Vec<(f64, i64)> =
            (0..300i64).map(|at| (at as f64, begin + at * 1000 + number % 3)).collect();
        let series = Series {
            labels: pairs(&[("__name__", "imported"), ("number", &number.to_string())]),
            samples,
            ..Series::default()
        };
        let (status, _, body) =
            post(server.address, "/api/v1/write", V2, &interned(&[series])).expect("sent");
        assert_eq!((status, body.as_str()), (204, ""));
    }
    let count = "sum(count_over_time(imported[2h]))";
    server.wait_for_value(count, |count| count == 6000.0);
    server.end(Signal::KILL);
    let server = Server::start(directory.path(), &[ON]);
    server.wait_for_value(count, |count| count == 6000.0);
}

/// A server that receives, with this configuration.
fn configured(directory: &std::path::Path, text: &str) -> Server {
    let path = directory.join("prometheus.yml");
    std::fs::write(&path, text).expect("write the configuration");
    let file = format!("--config.file={}", path.display());
    Server::start(directory, &[ON, "--web.enable-lifecycle", &file])
}

#[test]
fn an_owner_may_have_its_whole_limit_in_one_shard_and_no_more() {
    let directory = tempfile::tempdir().expect("directory");
    let limits = "cresset: {limits: {job: {series: 40}}}\n";
    let server = configured(directory.path(), limits);
    let push = |job: &str, count: usize| {
        let now = now_ms();
        let one = |number: usize| {
            let number = number.to_string();
            (pairs(&[("__name__", "m"), ("instance", "i"), ("job", job), ("n", &number)]), 1.0, now)
        };
        let series: Vec<_> = (0..count).map(one).collect();
        post(server.address, "/api/v1/write", V1, &plain(&series)).expect("an answer").0
    };
    let count = |job: &str| server.values(&format!("count(m{{job=\"{job}\"}})"));
    // All series of an instance are in one shard, which is dealt more each time it wants it.
    wait_for("all that the job may have", || {
        push("a", 40);
        match count("a") {
            Ok(found) if found == [40.0] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(push("a", 50), 400);
    assert_eq!(push("b", 10), 204);
    assert_eq!((count("a"), count("b")), (Ok(vec![40.0]), Ok(vec![10.0])));
    let (_, metrics) = server.get("/metrics").expect("an answer");
    let refused = "cresset_storage_owner_limited_total{name=\"a\",owner=\"job\"} ";
    let refused = metrics.lines().find_map(|line| line.strip_prefix(refused));
    let refused = refused.and_then(|count| count.parse::<f64>().ok());
    assert!(refused.is_some_and(|count| 10.0 <= count), "{refused:?}");
}

#[test]
fn late_samples_are_taken_as_far_back_as_the_window_reaches() {
    let directory = tempfile::tempdir().expect("directory");
    let window =
        |window: &str| format!("storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n");
    let server = configured(directory.path(), &window("10m"));
    let now = now_ms();
    let push = |minutes: i64| {
        let labels = pairs(&[("__name__", "m"), ("job", "a")]);
        let series = [(labels, minutes as f64, now - minutes * 60_000)];
        let (status, _, body) =
            post(server.address, "/api/v1/write", V1, &plain(&series)).expect("an answer");
        (status, body)
    };
    assert_eq!(push(0).0, 204);
    assert_eq!(push(9).0, 204);
    let (status, body) = push(11);
    assert!(status == 400 && body.contains("too old sample"), "{status}: {body}");
    let sum = "sum_over_time(m[1h])";
    server.wait_for_value(sum, |sum| sum == 9.0);
    let reload = |text: &str| {
        std::fs::write(directory.path().join("prometheus.yml"), text).expect("write");
        assert_eq!(server.request("POST", "/-/reload").expect("an answer").0, 200);
    };
    reload(&window("30m"));
    assert_eq!(push(11).0, 204);
    reload(&window("0s"));
    let (status, body) = push(5);
    assert!(status == 400 && body.contains("out of order sample"), "{status}: {body}");
    server.wait_for_value(sum, |sum| sum == 20.0);
    server.end(Signal::KILL);
    let server = configured(directory.path(), &window("0s"));
    server.wait_for_value(sum, |sum| sum == 20.0);
}

/// The public cases of what a receiver must take and refuse.
mod cases {
    use std::path::PathBuf;

    use serde_json::Value;

    use super::*;

    /// Where they are, if `CRESSET_TESTDATA` says so.
    fn file() -> Option<PathBuf> {
        let directory = PathBuf::from(std::env::var_os("CRESSET_TESTDATA")?);
        Some(directory.join("prometheus-compliance/cases/remotewrite_receiver.json"))
    }

    fn labels(value: &Value) -> Labels {
        let object = value.as_object().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        object.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }

    /// What the suite sends, and what must be written of it.
    fn series(case: &Value, now: i64) -> (Series, [u64; 3]) {
        let mut series = Series { labels: labels(&case["labels"]), ..Series::default() };
        if series.labels.is_empty() {
            series.labels = pairs(&[("__name__", "combined")]);
        }
        let suite = case["suite"].as_str().unwrap_or("");
        let mut counts = [0; 3];
        if suite.starts_with("TestExemplar") {
            series.samples.push((1.0, now));
            series.exemplars.push((labels(&case["exemplarLabels"]), 1.0, now));
            counts = [1, 0, 1];
        } else if suite.starts_with("TestHistogram") {
            series.histograms.push(histogram(case, now));
            counts = [0, 1, 0];
        } else if suite.starts_with("TestMetadata") {
            let kinds =
                ["COUNTER", "GAUGE", "HISTOGRAM", "GAUGEHISTOGRAM", "SUMMARY", "INFO", "STATESET"];
            let kind = case["metricType"].as_str().unwrap_or("");
            let kind = kinds.iter().position(|name| kind.ends_with(&format!("_{name}")));
            let kind = kind.map_or(0, |at| u64::try_from(at).expect("few") + 1);
            let text = |name: &str| case[name].as_str().unwrap_or("").to_owned();
            series.metadata = Some((kind, text("help"), text("unit")));
            series.samples.push((1.0, now));
            counts = [1, 0, 0];
        } else if let Some(samples) = case["expectedParams"]["samples"].as_i64() {
            series.samples.extend((0..samples).map(|at| (1.0, now + at)));
            series.exemplars.push((pairs(&[("trace_id", "t")]), 1.0, now));
            counts = [u64::try_from(samples).expect("few"), 0, 1];
        } else {
            series.metadata = Some((1, "Help.".to_owned(), String::new()));
        }
        (series, counts)
    }

    fn histogram(case: &Value, now: i64) -> Writer {
        let is = |name: &str| case[name] == Value::Bool(true);
        let mut message = Writer::default();
        let mut count = 0;
        for (wanted, spans, deltas) in [("includePositive", 11, 12), ("includeNegative", 8, 9)] {
            if is(wanted) {
                message.message(spans, |span| span.uint64(2, 2));
                message.sint64s(deltas, [3, -1]);
                count += 5;
            }
        }
        if is("includeZero") {
            message.uint64(6, 2);
            message.double(5, 0.001);
            count += 2;
        }
        if is("useCustomBuckets") {
            message.sint64(4, -53);
            message.doubles(16, [0.5, 1.0]);
        }
        message.uint64(1, if is("badCount") { count + 7 } else { count });
        message.double(3, 1.5);
        message.int64(15, now);
        message
    }

    #[test]
    fn a_receiver_takes_and_refuses_what_the_public_suite_says() {
        let Some(text) = file().and_then(|file| std::fs::read_to_string(file).ok()) else {
            println!("skipped remotewrite_receiver: CRESSET_TESTDATA names no test data");
            return;
        };
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let cases = json["cases"].as_array().expect("cases");
        assert!(20 <= cases.len(), "{} cases", cases.len());
        let directory = tempfile::tempdir().expect("directory");
        let server = Server::start(directory.path(), &[ON]);
        for (at, case) in cases.iter().enumerate() {
            // Cases reuse names: each has a time of its own.
            let now = now_ms() - 60_000 + i64::try_from(at).expect("few") * 10;
            let (series, counts) = series(case, now);
            let body = interned(std::slice::from_ref(&series));
            let (status, head, text) =
                post(server.address, "/api/v1/write", V2, &body).expect("an answer");
            let found =
                ["samples", "histograms", "exemplars"].map(|what| written(&head, what).unwrap());
            let wants = ["success", "expectSuccess"].iter().any(|name| case[*name] == true)
                || case["expectedParams"]["success"] == true;
            let (expected, counts) = if wants { (204, counts) } else { (400, [0; 3]) };
            assert_eq!((status, found), (expected, counts), "{case}: {text}");
        }
        println!("{} cases of remotewrite_receiver passed", cases.len());
    }
}

/// OTLP metrics as JSON and protobuf become series by upstream's names.
#[test]
fn otlp_metrics_become_series() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &["--web.enable-otlp-receiver"]);
    let now_ns = machine::clock::now().wall.0 * 1_000_000;
    let json = format!(
        "{{\"resourceMetrics\": [{{\"resource\": {{\"attributes\": [{{\"key\": \"service.name\", \
         \"value\": {{\"stringValue\": \"shop\"}}}}, {{\"key\": \"host.name\", \"value\": \
         {{\"stringValue\": \"h\"}}}}]}}, \"scopeMetrics\": [{{\"metrics\": [{{\"name\": \
         \"http.requests\", \"unit\": \"1\", \"sum\": {{\"aggregationTemporality\": 2, \
         \"isMonotonic\": true, \"dataPoints\": [{{\"timeUnixNano\": \"{now_ns}\", \"asInt\": \
         \"7\"}}]}}}}]}}]}}]}}"
    );
    let send = |address: SocketAddr, kind: &str, body: &[u8]| {
        let headers = [("Content-Type", kind)];
        let answer = post(address, "/api/v1/otlp/v1/metrics", &headers, body);
        let (status, _, body) = answer.expect("an answer");
        (status, body)
    };
    let (status, body) = send(server.address, "application/json", json.as_bytes());
    assert_eq!((status, body.as_str()), (200, "{}"));
    assert_eq!(server.values("http_requests_total{job=\"shop\"}"), Ok(vec![7.0]));
    assert_eq!(server.values("target_info{host_name=\"h\"}"), Ok(vec![1.0]));
    let mut request = Writer::default();
    request.message(1, |resource| {
        resource.message(1, |inner| {
            inner.message(1, |attribute| {
                attribute.text(1, "service.name");
                attribute.message(2, |value| value.text(1, "shop"));
            });
        });
        resource.message(2, |scope| {
            scope.message(2, |metric| {
                metric.text(1, "queue.size");
                metric.message(5, |gauge| {
                    gauge.message(1, |point| {
                        // time_unix_nano and as_double are fixed64 on the wire.
                        point.double_always(3, f64::from_bits(now_ns.cast_unsigned()));
                        point.double_always(4, 2.5);
                    });
                });
            });
        });
    });
    let (status, _) = send(server.address, "application/x-protobuf", request.bytes());
    assert_eq!(status, 200);
    assert_eq!(server.values("queue_size{job=\"shop\"}"), Ok(vec![2.5]));
    let (status, body) = send(server.address, "text/plain", b"x");
    assert!(status == 400 && body.contains("unsupported content type"), "{status} {body}");
    let delta = json.replace("Temporality\": 2", "Temporality\": 1");
    let (status, body) = send(server.address, "application/json", delta.as_bytes());
    assert!(status == 400 && body.contains("invalid temporality"), "{status} {body}");
    let other = tempfile::tempdir().expect("directory");
    let off = Server::start(other.path(), &[]);
    assert_eq!(send(off.address, "application/json", b"{}").0, 404);
}

/// Writers, each of so many series, and readers of the load below.
const WRITERS: i64 = 64;
const READERS: usize = 64;
const WRITER_SERIES: i64 = 10;
/// Requests that are acknowledged before the kill.
const ACKNOWLEDGED: u64 = 2_000;

/// The request of a number of a writer: one sample of each of its series.
fn numbered(writer: i64, number: i64, base_ms: i64) -> Vec<u8> {
    let series: Vec<_> = (0..WRITER_SERIES)
        .map(|at| {
            let labels = [
                ("__name__", "load"),
                ("instance", &format!("w{writer}")),
                ("job", "load"),
                ("series", &at.to_string()),
            ];
            let value = number * WRITER_SERIES + at;
            (pairs(&labels), value as f64, base_ms + number * 10)
        })
        .collect();
    plain(&series)
}

/// Sends numbers until the server is gone; gives how many were acknowledged.
fn write_numbers(address: SocketAddr, writer: i64, base_ms: i64, all: &AtomicU64) -> i64 {
    let mut number = 0;
    loop {
        match post(address, "/api/v1/write", V1, &numbered(writer, number, base_ms)) {
            Ok((204, ..)) => {
                number += 1;
                all.fetch_add(1, Ordering::Relaxed);
            }
            Ok((503, ..)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(_) => return number,
        }
    }
}

/// Asks until the server is gone, which it may be when it is `over`; gives the answers.
fn read_until(over: &AtomicBool, address: SocketAddr, at: usize) -> u64 {
    let paths = [
        "/api/v1/query?query=count(load)",
        "/api/v1/query?query=sum(count_over_time(load[1h]))",
        "/api/v1/series?match[]=load{series=%220%22}",
        "/api/v1/label/instance/values",
    ];
    let mut answers = 0;
    while let Ok((status, body)) = request(address, "GET", paths[at % paths.len()]) {
        assert_eq!(status, 200, "{body}");
        answers += 1;
    }
    assert!(over.load(Ordering::Relaxed), "a reader was cut off");
    answers
}

/// Samples held of each writer, which its series agree about.
fn numbers_held(server: &Server) -> Result<Vec<i64>, String> {
    let by = |function: &str| {
        server.values(&format!("sort({function} by (instance) (count_over_time(load[1h])))"))
    };
    let (least, most) = (by("min")?, by("max")?);
    if least != most {
        return Err(format!("series of one request differ: {least:?}, {most:?}"));
    }
    let whole = |count: f64| count.to_string().parse().map_err(|_| format!("{count}"));
    least.into_iter().map(whole).collect()
}

#[test]
fn what_64_writers_were_told_is_stored_through_a_kill_while_64_read() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[ON]);
    let (address, base_ms) = (server.address, now_ms() - 1_800_000);
    let (all, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (acknowledged, read) = std::thread::scope(|scope| {
        let all = &all;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write_numbers(address, writer, base_ms, all)))
            .collect();
        let over = &over;
        let readers: Vec<_> =
            (0..READERS).map(|at| scope.spawn(move || read_until(over, address, at))).collect();
        wait_for("acknowledged requests", || {
            let done = all.load(Ordering::Relaxed);
            if ACKNOWLEDGED <= done { Ok(()) } else { Err(done.to_string()) }
        });
        over.store(true, Ordering::Relaxed);
        server.end(Signal::KILL);
        let join = |writer: std::thread::ScopedJoinHandle<'_, i64>| writer.join().expect("writer");
        let acknowledged: Vec<i64> = writers.into_iter().map(join).collect();
        let read: u64 = readers.into_iter().map(|reader| reader.join().expect("reader")).sum();
        (acknowledged, read)
    });
    assert!(u64::try_from(READERS).expect("few") <= read, "{read} answers");
    let again = Server::start(directory.path(), &[ON]);
    let held = numbers_held(&again).expect("counts");
    let mut told = acknowledged.clone();
    told.sort_unstable();
    assert_eq!(held.len(), told.len());
    // What was under way at the kill, one request a writer, may be there or not.
    let (least, most): (i64, i64) = (told.iter().sum(), told.iter().map(|count| count + 1).sum());
    let sum_held: i64 = held.iter().sum();
    let is_right = (least..=most).contains(&sum_held);
    assert!(is_right, "{sum_held} requests stored, {least} acknowledged");
    // Each sends again what it was not told of: now there is each number once.
    for (writer, number) in (0..WRITERS).zip(&acknowledged) {
        let sent = post(again.address, "/api/v1/write", V1, &numbered(writer, *number, base_ms));
        assert_eq!(sent.map(|answer| answer.0), Ok(204));
    }
    told.iter_mut().for_each(|count| *count += 1);
    assert_eq!(numbers_held(&again), Ok(told.clone()));
    // And with its value: the sum over numbers of ten consecutive values each.
    let numbers = told.iter().map(|count| count * WRITER_SERIES);
    let expected: i64 = numbers.map(|count| count * (count - 1) / 2).sum();
    let sum = again.values("sum(sum_over_time(load[1h]))").expect("a sum")[0];
    assert_eq!(sum.to_string(), expected.to_string());
    println!("{least} requests acknowledged, {} more were stored", sum_held - least);
}
