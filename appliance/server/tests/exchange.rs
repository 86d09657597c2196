//! Samples that go from one server to another in bodies, and what Grafana asks for.
//!
//! A peer that is not installed is said aloud and counted.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::server::{Server, line_with, wait_for};

#[path = "process/server.rs"]
mod server;

const ON: &str = "--web.enable-remote-write-receiver";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Status and body of a request.
fn send(
    address: SocketAddr,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, String), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(text)?;
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).map_err(text)?;
    stream.write_all(body.as_bytes()).map_err(text)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(text)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or("no status")?, body.to_owned()))
}

/// Lines of JSON of a few series: whole and broken values, a day's times, labels with quotes.
fn lines(now_ms: i64) -> String {
    let mut lines = String::new();
    for number in 0..50 {
        let times: Vec<i64> = (0..100).map(|at| now_ms - 3_600_000 + at * 15_000).collect();
        let values: Vec<f64> = (0..100).map(|at| f64::from(number * 100 + at) / 4.0).collect();
        let metric = serde_json::json!({
            "__name__": "moved", "job": "m", "number": number.to_string(), "quoted": "a\"b\\c",
        });
        let line = serde_json::json!({"metric": metric, "values": values, "timestamps": times});
        lines.push_str(&format!("{line}\n"));
    }
    lines
}

/// The lines as a set, whatever their order and the order of their keys.
fn as_set(lines: &str) -> BTreeSet<String> {
    let read = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON");
    let numbers = |value: &Value| {
        let list = value.as_array().expect("a list").iter();
        list.map(|one| one.as_f64().expect("a number")).collect::<Vec<f64>>()
    };
    let shown = |line: Value| {
        format!(
            "{} {:?} {:?}",
            line["metric"],
            numbers(&line["values"]),
            numbers(&line["timestamps"])
        )
    };
    lines.lines().map(|line| shown(read(line))).collect()
}

fn exported(address: SocketAddr) -> Result<BTreeSet<String>, String> {
    let (status, body) = send(address, ("POST", "/api/v1/export"), &[FORM], "match[]=moved")?;
    if status == 200 { Ok(as_set(&body)) } else { Err(format!("{status} {body}")) }
}

/// A peer that ends with the test.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // One that has ended already is no fault.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's VictoriaMetrics takes our export, and we take its.
#[test]
fn victoria_metrics_and_we_read_each_other() {
    let program = "victoria-metrics";
    let directory = tempfile::tempdir().expect("directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let peer = listener.local_addr().expect("an address");
    drop(listener);
    let started = Command::new(program)
        .arg(format!("-storageDataPath={}", directory.path().join("peer").display()))
        .arg(format!("-httpListenAddr={peer}"))
        .arg("-loggerLevel=ERROR")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else {
        println!("skipped: {program} is not installed");
        return;
    };
    let _peer = Peer(child);
    wait_for("the peer", || match send(peer, ("GET", "/health"), &[], "") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let server = Server::start(directory.path(), &[ON]);
    let lines = lines(machine::clock::now().wall.0);
    let (status, body) = send(peer, ("POST", "/api/v1/import"), &[], &lines).expect("sent");
    assert!(status == 204 || status == 200, "{status} {body}");
    let theirs = wait_for("the peer's export", || {
        send(peer, ("GET", "/internal/force_flush"), &[], "")?;
        let (_, body) = send(peer, ("POST", "/api/v1/export"), &[FORM], "match[]=moved")?;
        if as_set(&body) == as_set(&lines) { Ok(body) } else { Err(body) }
    });
    let (status, body) =
        send(server.address, ("POST", "/api/v1/import"), &[], &theirs).expect("sent");
    assert_eq!((status, body.as_str()), (204, ""));
    assert_eq!(exported(server.address).expect("an answer"), as_set(&lines));
    // And back, under another name.
    let ours = send(server.address, ("POST", "/api/v1/export"), &[FORM], "match[]=moved");
    let ours = ours.expect("an answer").1.replace("\"moved\"", "\"back\"");
    let (status, body) = send(peer, ("POST", "/api/v1/import"), &[], &ours).expect("sent");
    assert!(status == 204 || status == 200, "{status} {body}");
    wait_for("our export in the peer", || {
        send(peer, ("GET", "/internal/force_flush"), &[], "")?;
        let (_, body) = send(peer, ("POST", "/api/v1/export"), &[FORM], "match[]=back")?;
        let found = as_set(&body.replace("\"back\"", "\"moved\""));
        if found == as_set(&lines) { Ok(()) } else { Err(body) }
    });
}

/// What Grafana sends with every request.
const GRAFANA: &[(&str, &str)] = &[
    ("User-Agent", "Grafana/11.2.0"),
    ("X-Grafana-Org-Id", "1"),
    ("X-Datasource-Uid", "abc"),
    ("X-Dashboard-Uid", "def"),
    ("X-Panel-Id", "2"),
    ("X-Query-Group-Id", "0a1b"),
    ("Accept-Encoding", "identity"),
    FORM,
];

/// What Grafana's data source for Prometheus sends as it is saved and tested, draws a panel,
/// completes an expression and fills variables: method, path, form, and where the answer has
/// something.
const CALLS: &[(&str, &str, &str, &str)] = &[
    ("GET", "/api/v1/status/buildinfo", "", "/data/version"),
    ("POST", "/api/v1/query", "query=1%2B1&time=NOW", "/data/result/1"),
    ("POST", "/api/v1/query_range", "end=NOW&query=up&start=AGO&step=15", "/data/result/0/values"),
    (
        "POST",
        "/api/v1/query_range",
        "end=NOW&query=histogram_quantile%280.9%2Csum+by%28le%29%28rate%28a_bucket%5B1m%5D%29%29%29\
         &start=AGO&step=15",
        "/data/result",
    ),
    ("POST", "/api/v1/query", "query=ALERTS&time=NOW.123", "/data/result"),
    ("POST", "/api/v1/query_exemplars", "end=NOW&query=up&start=AGO", "/data"),
    ("GET", "/api/v1/metadata?limit=30000", "", "/data/node_load1/0/type"),
    ("GET", "/api/v1/metadata?metric=up", "", "/data"),
    ("GET", "/api/v1/label/__name__/values?end=NOW&start=AGO", "", "/data/0"),
    ("GET", "/api/v1/labels?end=NOW&start=AGO&match%5B%5D=up", "", "/data/0"),
    ("POST", "/api/v1/labels", "end=NOW&match%5B%5D=%7Bjob%3D%22host%22%7D&start=AGO", "/data/0"),
    ("GET", "/api/v1/label/job/values?end=NOW&match%5B%5D=up&start=AGO", "", "/data/0"),
    ("POST", "/api/v1/series", "end=NOW&match%5B%5D=up&start=AGO", "/data/0/job"),
    ("GET", "/api/v1/series?match%5B%5D=up&start=AGO&end=NOW", "", "/data/0/__name__"),
    ("GET", "/api/v1/rules", "", "/data/groups"),
    ("GET", "/api/v1/alerts", "", "/data/alerts"),
    ("POST", "/api/v1/parse_query", "query=sum%28up%29", "/data/type"),
];

#[test]
fn grafana_gets_what_it_asks_for() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[]);
    server.wait_for_value("count(up == 1)", |count| count == 2.0);
    // The second after the samples' own: its whole part lies before them.
    let now = machine::clock::now().wall.0 / 1000 + 1;
    let at_times =
        |text: &str| text.replace("NOW", &now.to_string()).replace("AGO", &(now - 600).to_string());
    for (method, path, form, pointer) in CALLS {
        let (path, form) = (at_times(path), at_times(form));
        let (status, body) =
            send(server.address, (method, &path), GRAFANA, &form).expect("an answer");
        assert_eq!(status, 200, "{method} {path} {form}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(answer["status"], "success", "{method} {path}");
        let found = answer.pointer(pointer);
        assert!(found.is_some_and(|found| !found.is_null()), "{method} {path} {form}: {body}");
    }
    let _ = line_with(&server.lines, "ready");
    assert_eq!(server.end(Signal::TERM).code(), Some(0));
}

/// Answers to exports are as long as what was stored: far more than sockets hold.
fn bulk(now_ms: i64) -> String {
    let mut lines = String::new();
    let times: Vec<i64> = (0..8000).map(|at| now_ms - 3_300_000 + at * 400).collect();
    for number in 0..50 {
        let values: Vec<i64> = (0..8000).map(|at| 1_000_000 + number * 8000 + at).collect();
        let metric = serde_json::json!({"__name__": "bulk", "number": number.to_string()});
        let line = serde_json::json!({"metric": metric, "values": values, "timestamps": times});
        lines.push_str(&format!("{line}\n"));
    }
    lines
}

/// Asks for an export and reads no more than its first byte.
fn slow_reader(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connect");
    let head = format!("GET /api/v1/export?match[]=bulk HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("ask");
    let mut first = [0];
    stream.read_exact(&mut first).expect("the answer begins");
    stream
}

/// Readers that do not read hold no more than their share of the query threads.
#[test]
fn slow_readers_of_exports_keep_no_query_waiting() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[ON, "--query.max-concurrency=4"]);
    let lines = bulk(machine::clock::now().wall.0);
    let imported = send(server.address, ("POST", "/api/v1/import"), &[], &lines);
    assert_eq!(imported.expect("an answer"), (204, String::new()));
    let slow = [slow_reader(server.address), slow_reader(server.address)];
    for path in ["/api/v1/export?match[]=bulk", "/federate?match[]=bulk"] {
        let (status, body) = send(server.address, ("GET", path), &[], "").expect("an answer");
        assert_eq!((status, body.contains("at once")), (503, true), "{body}");
    }
    assert_eq!(server.values("count(bulk)"), Ok(vec![50.0]));
    for mut stream in slow {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the whole answer");
        assert_eq!(answer.matches(r#"{"metric":"#).count(), 50);
        assert!(answer.ends_with("]}\n"));
    }
    let (status, body) = wait_for("a turn", || {
        let (status, body) = send(server.address, ("GET", "/federate?match[]=bulk"), &[], "")?;
        if status == 200 { Ok((status, body)) } else { Err(body) }
    });
    assert_eq!((status, body.matches("\nbulk{").count()), (200, 50), "{body}");
    let (_, metrics) = server.get("/metrics").expect("an answer");
    assert!(metrics.contains("\ncresset_http_streams_refused_total 2\n"), "{metrics}");
    assert!(metrics.contains("\ncresset_http_streams_max 2\n"), "{metrics}");
}
