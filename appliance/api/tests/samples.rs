//! Samples that come and go in bodies: import and export against the router over values.

use std::io::{Read as _, Write as _};

use api::inbound::Receivers;
use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Request;

#[path = "fixed/backend.rs"]
mod fixed;

use fixed::{Fixed, ask, check, check_on, failure, runtime, success};

const LINE: &str = r#"{"metric":{"__name__":"a"},"values":[1,2],"timestamps":[1000,2000]}"#;

#[test]
fn lines_are_stored_and_bad_ones_named() {
    check(&format!("POST /api/v1/import {LINE}\n\r\n{LINE}"), "204 ");
    check(
        &format!("POST /api/v1/import {LINE}\nx\n{LINE}\n"),
        "400 4 samples are stored; what else there was is not:\n\
         cannot be read: line 2: column 1: expected '{'\n",
    );
    check(
        "POST /api/v1/import/csv?format=1:metric:a,2:time:unix_s 5,1\n6,x\n",
        "400 1 samples are stored; what else there was is not:\n\
         cannot be read: line 2: column 2: \"x\" is no time\n",
    );
    check("POST /api/v1/import/csv 5", "400 no format parameter provided\n");
    check("POST /api/v1/import/prometheus?timestamp=5 a{b=\"c\"} 1\nd 2 1000", "204 ");
    check(
        "POST /api/v1/import/prometheus?timestamp=x a 1",
        "400 timestamp \"x\" is no count of milliseconds\n",
    );
    check(
        "POST /api/v1/import?extra_label=x a",
        "400 extra_label \"x\" is not of form name=value\n",
    );
    check("GET /api/v1/import", "405 Method Not Allowed\n");
    let off = Fixed { receivers: Receivers::default(), ..Fixed::default() };
    check_on(
        off,
        "POST /api/v1/import x",
        "404 import needs to be enabled with --web.enable-remote-write-receiver\n",
    );
}

#[test]
fn bodies_of_import_may_be_compressed_and_longer_than_memory_has_room() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..60_000 {
        writeln!(gzip, "{LINE}").expect("a vector takes it");
    }
    let send = |coding: &str, body: Vec<u8>| {
        let request = Request::post("/api/v1/import").header("content-encoding", coding);
        let request = request.body(Body::from(body)).expect("request");
        let (head, body) = runtime().block_on(ask(Fixed::default(), request));
        format!("{} {body}", head.status().as_u16())
    };
    let mut whole = gzip.finish().expect("a vector takes it");
    assert_eq!(send("gzip", whole.clone()), "204 ");
    whole.truncate(whole.len() / 2);
    let cut = send("gzip", whole);
    assert!(cut.starts_with("400 behind line "), "{cut}");
    assert!(cut.contains(" samples before it are stored"), "{cut}");
    // Each few bytes of it are 128 KiB.
    let bomb = zstd::encode_all(std::io::repeat(b'\n').take(256 << 20), 1).expect("it compresses");
    let refused = send("zstd", bomb);
    assert!(refused.contains("become more than 33554432 bytes"), "{refused}");
    let unknown = send("br", b"x".to_vec());
    let expected = "415 content encoding \"br\" is not read; gzip, deflate, zstd and none are\n";
    assert_eq!(unknown, expected);
}

#[test]
fn samples_are_exported_in_three_forms() {
    let selector = "match[]=up%7Bjob%3D%22a%22%7D";
    check(
        &format!("GET /api/v1/export?{selector}"),
        concat!(
            r#"200 {"metric":{"__name__":"up","job":"a"},"values":[1,0.5],"#,
            r#""timestamps":[1699999990000,1699999995500]}"#,
            "\n"
        ),
    );
    check(
        &format!("POST /api/v1/export {selector}&max_rows_per_line=1&end=1699999990"),
        concat!(
            r#"200 {"metric":{"__name__":"up","job":"a"},"values":[1],"#,
            r#""timestamps":[1699999990000]}"#,
            "\n"
        ),
    );
    check(
        &format!("GET /api/v1/export/csv?format=job,__value__,__timestamp__:rfc3339&{selector}"),
        "200 a,1,2023-11-14T22:13:10Z\na,0.5,2023-11-14T22:13:15.5Z\n",
    );
    check(
        &format!("GET /api/v1/export/openmetrics?{selector}"),
        "200 up{job=\"a\"} 1 1699999990.000\nup{job=\"a\"} 0.5 1699999995.500\n# EOF\n",
    );
    check("GET /api/v1/series?match[]=nothing", &success("[]"));
    check("GET /api/v1/export?match[]=nothing", "200 ");
    let none = failure(400, "bad_data", "no match[] parameter provided");
    check("GET /api/v1/export", &none);
    let none = failure(400, "bad_data", "no format parameter provided");
    check(&format!("GET /api/v1/export/csv?{selector}"), &none);
}

#[test]
fn an_answer_that_is_streamed_may_take_longer_than_a_query() {
    let mut backend = Fixed::default();
    backend.settings.query_timeout_ms = 0;
    check_on(
        backend,
        "GET /api/v1/export?match[]=held&end=5",
        concat!(r#"200 {"metric":{"__name__":"held"},"values":[1],"timestamps":[5000]}"#, "\n"),
    );
}
