//! Groups of batch jobs: pushed as clients of Pushgateway push them, current until deleted.
//!
//! A client or peer that is not installed is said aloud and counted.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::server::{Server, line_with, wait_for};

#[path = "process/server.rs"]
mod server;

const ON: &str = "--web.enable-push-receiver";

/// Status and body of a request.
fn send(
    address: SocketAddr,
    (method, path): (&str, &str),
    content_type: &str,
    body: &[u8],
) -> Result<(u16, String), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(text)?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(text)?;
    stream.write_all(body).map_err(text)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(text)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or("no status")?, body.to_owned()))
}

/// A server that stores groups again every second.
fn start(directory: &Path) -> Server {
    let file = directory.join("c.yml");
    std::fs::write(&file, "global: {scrape_interval: 1s}\n").expect("written");
    Server::start(directory, &[ON, &format!("--config.file={}", file.display())])
}

const TEXT: &str = "text/plain; version=0.0.4";

#[track_caller]
fn put(server: &Server, method: &str, path: &str, body: &str, expected: u16) {
    let answer = send(server.address, (method, path), TEXT, body.as_bytes()).expect("an answer");
    assert_eq!(answer.0, expected, "{method} {path} {body:?}: {}", answer.1);
}

#[test]
fn the_last_value_stays_current_until_it_is_deleted() {
    let directory = tempfile::tempdir().expect("directory");
    let server = start(directory.path());
    let path = "/metrics/job/backup/instance/db1";
    let body = "# HELP done_total Backups.\n# TYPE done_total counter\ndone_total 3\nsize 5\n";
    put(&server, "PUT", path, body, 200);
    // It is there at once, and again and again with a new time.
    assert_eq!(server.values("done_total{job='backup',instance='db1'}"), Ok(vec![3.0]));
    let first = server.values("timestamp(size)").expect("a time")[0];
    server.wait_for_value("timestamp(size)", |at| first + 2.0 < at);
    server.wait_for_value("time() - push_time_seconds{job='backup'}", |age| 2.0 < age);
    // POST replaces families, PUT the group; what is no more ends at once.
    put(&server, "POST", path, "size 6\n", 200);
    assert_eq!(server.values("size + on(job) done_total"), Ok(vec![9.0]));
    put(&server, "PUT", path, "size 7\n", 200);
    assert_eq!(server.values("size"), Ok(vec![7.0]));
    assert_eq!(server.values("done_total"), Ok(vec![]));
    // A body that makes no sense as a group changes nothing, and is told.
    put(&server, "PUT", path, "size 8 1000\n", 400);
    assert_eq!(server.values("size"), Ok(vec![7.0]));
    assert_eq!(server.values("push_failure_time_seconds > 1e9").map(|found| found.len()), Ok(1));
    put(&server, "DELETE", path, "", 202);
    assert_eq!(server.values("size or push_time_seconds"), Ok(vec![]));
    let (_, metrics) = server.get("/metrics").expect("an answer");
    assert!(metrics.contains("\ncresset_pushed_groups 0\n"), "{metrics}");
    // What was answered is durable.
    server.end(Signal::KILL);
    let again = start(directory.path());
    line_with(&again.lines, "recovered");
    let held = again.values("count_over_time(size[10m])").expect("a count");
    assert!(held.len() == 1 && 5.0 <= held[0], "{held:?}");
}

#[test]
fn every_form_of_body_is_read() {
    let directory = tempfile::tempdir().expect("directory");
    let server = start(directory.path());
    let open = "# TYPE om counter\nom_total 4 # {t=\"x\"} 1\n# EOF\n";
    let media = "application/openmetrics-text; version=1.0.0";
    let sent = send(server.address, ("POST", "/metrics/job/o"), media, open.as_bytes());
    assert_eq!(sent.map(|(status, _)| status), Ok(200));
    // A family of one gauge: name, type GAUGE, a metric of value 2.5.
    let mut family = vec![0x0a, 2, b'p', b'b', 0x18, 1, 0x22, 11, 0x12, 9, 0x09];
    family.extend_from_slice(&2.5f64.to_le_bytes());
    family.insert(0, u8::try_from(family.len()).expect("short"));
    let media = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited";
    let sent = send(server.address, ("POST", "/metrics/job/o"), media, &family);
    assert_eq!(sent.map(|(status, _)| status), Ok(200));
    assert_eq!(server.values("om_total + pb"), Ok(vec![6.5]));
}

#[test]
fn the_receiver_is_off_unless_it_is_asked_for() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &["--web.enable-remote-write-receiver"]);
    let answer = send(server.address, ("PUT", "/metrics/job/a"), TEXT, b"a 1\n");
    let (status, body) = answer.expect("an answer");
    assert!(status == 404 && body.contains("--web.enable-push-receiver"), "{status} {body}");
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

/// What both are asked: method, path and body.
const ASKED: &[(&str, &str, &str)] = &[
    ("PUT", "/metrics/job/a", "a 1\n"),
    ("POST", "/metrics/job/a", "a 1\nb 2\n"),
    ("POST", "/metrics/job/a", ""),
    ("PUT", "/metrics/job/a/instance/i/zone/z", "a 1\n"),
    ("PUT", "/metrics/job/a%20b", "a 1\n"),
    ("PUT", "/metrics/job@base64/YS9i/path@base64/L3Zhci90bXA", "a 1\n"),
    ("PUT", "/metrics/job/e/l@base64/=", "a 1\n"),
    ("PUT", "/metrics/job/a/l@base64/*", "a 1\n"),
    ("PUT", "/metrics/job@base64/=", "a 1\n"),
    ("PUT", "/metrics/job/a/b", "a 1\n"),
    ("PUT", "/metrics/job/a/__x/b", "a 1\n"),
    ("PUT", "/metrics/job/a/1x/b", "a 1\n"),
    ("PUT", "/metrics/job/a", "a{ 1\n"),
    ("PUT", "/metrics/job/t", "a 1 1000\n"),
    ("PUT", "/metrics/job/t", "a{job=\"x\"} 1\na 2\n"),
    ("PUT", "/metrics/job/t", "a{instance=\"x\",job=\"y\"} 1\n"),
    ("DELETE", "/metrics/job/t", ""),
    ("DELETE", "/metrics/job/none/x/y", ""),
    ("DELETE", "/metrics/job/a/b", ""),
];

#[test]
fn pushes_are_answered_as_pushgateway_answers_them() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let peer = Command::new("prometheus-pushgateway")
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(peer) = peer else {
        println!("skipped: prometheus-pushgateway is not installed");
        return;
    };
    let _peer = Peer(peer);
    wait_for("pushgateway", || match send(address, ("GET", "/-/ready"), TEXT, b"") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let directory = tempfile::tempdir().expect("directory");
    let server = start(directory.path());
    let mut differences = Vec::new();
    for (method, path, body) in ASKED {
        let ask = |address| send(address, (method, path), TEXT, body.as_bytes());
        let (ours, theirs) = (ask(server.address), ask(address));
        let status = |answer: &Result<(u16, String), String>| answer.as_ref().map(|a| a.0).ok();
        if status(&ours) != status(&theirs) {
            differences.push(format!("{method} {path} {body:?}: {ours:?}, theirs {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Where Debian's Python libraries lie: installed, or unpacked beside the programs.
fn python_path() -> String {
    let unpacked =
        |folder: PathBuf| folder.parent().map(|usr| usr.join("lib/python3/dist-packages"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).filter_map(unpacked).filter(|path| path.is_dir());
    std::env::join_paths(found).expect("paths").to_string_lossy().into_owned()
}

/// What operators' scripts do.
const SCRIPT: &str = r#"
import sys
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import push_to_gateway, pushadd_to_gateway, delete_from_gateway
at = sys.argv[1]
registry = CollectorRegistry()
Gauge('job_last_success_unixtime', 'Last success', registry=registry).set(1700000000)
Counter('rows', 'Rows', ['table'], registry=registry).labels('users').inc(7)
Histogram('took_seconds', 'Time', registry=registry).observe(0.3)
push_to_gateway(at, job='batch', registry=registry, grouping_key={'path': '/var/tmp', 'e': ''})
push_to_gateway(at, job='gone', registry=registry)
more = CollectorRegistry()
Gauge('more', 'More', registry=more).set(2)
pushadd_to_gateway(at, job='batch', registry=more, grouping_key={'path': '/var/tmp', 'e': ''})
delete_from_gateway(at, job='gone')
"#;

#[test]
fn python_client_pushes() {
    let directory = tempfile::tempdir().expect("directory");
    let server = start(directory.path());
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", python_path()).arg("-c");
    let probe = python.arg("import prometheus_client").output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        println!("skipped: python3-prometheus-client is not installed");
        return;
    }
    let ran = Command::new("python3")
        .env("PYTHONPATH", python_path())
        .args(["-c", SCRIPT, &server.address.to_string()])
        .output()
        .expect("python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let of = "{job='batch',path='/var/tmp'}";
    assert_eq!(server.values(&format!("rows_total{of}")), Ok(vec![7.0]));
    assert_eq!(
        server.values(&format!("more{of} + job_last_success_unixtime{of}")),
        Ok(vec![1_700_000_002.0])
    );
    assert_eq!(
        server.values(&format!("took_seconds_bucket{{le='0.5'}} and took_seconds_bucket{of}")),
        { Ok(vec![1.0]) }
    );
    assert_eq!(server.values("{job='gone'}"), Ok(vec![]));
}
