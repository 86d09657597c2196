//! Real peers: Debian's Prometheus, vmagent and promtool write to, read from and ask the binary.
//!
//! A peer that is not installed is said aloud and counted.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use remote::protobuf_write::Writer;
use remote::snappy::{deflate, inflate};
use rustix::process::Signal;

use crate::server::{Server, line_with, request, wait_for};

#[path = "process/server.rs"]
mod server;

const ON: &str = "--web.enable-remote-write-receiver";

/// A program of the system; `None` where it is not installed, which is said.
fn installed(program: &str) -> Option<&str> {
    let found = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_err() {
        println!("skipped: {program} is not installed");
    }
    found.is_ok().then_some(program)
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

fn spawn(command: &mut Command) -> Peer {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Peer(command.spawn().expect("start the peer"))
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("an address")
}

/// The number in the answer to an instant query of `address`.
fn value(address: SocketAddr, query: &str) -> Result<f64, String> {
    let (status, body) = request(address, "GET", &format!("/api/v1/query?query={query}"))?;
    let json: serde_json::Value =
        serde_json::from_str(&body).map_err(|error| format!("{status} {body}: {error}"))?;
    let value = json["data"]["result"][0]["value"][1].as_str();
    value.and_then(|value| value.parse().ok()).ok_or(body)
}

#[track_caller]
fn wait_for_value(address: SocketAddr, query: &str, is_enough: impl Fn(f64) -> bool) -> f64 {
    wait_for(query, || match value(address, query) {
        Ok(value) if is_enough(value) => Ok(value),
        other => Err(format!("{other:?}")),
    })
}

fn prometheus(directory: &Path, address: SocketAddr, config: &str) -> Peer {
    let file = directory.join("peer.yml");
    std::fs::write(&file, config).expect("write the configuration");
    spawn(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("peer").display()))
            .arg(format!("--web.listen-address={address}")),
    )
}

/// Writes one sample to the server at `address`.
fn write_one(address: SocketAddr, name: &str, value: f64) {
    let mut request = Writer::default();
    request.message(1, |series| {
        series.message(1, |label| {
            label.text(1, "__name__");
            label.text(2, name);
        });
        series.message(2, |sample| {
            sample.double(1, value);
            sample.int64(2, machine::clock::now().wall.0);
        });
    });
    let (head, _) = post_bytes(address, "/api/v1/write", &deflate(request.bytes()));
    assert!(head.contains(" 204 "), "{head}");
}

/// It writes what it scrapes of itself to us, scrapes our federation page, and reads from us what
/// it has not; we scrape its federation page.
#[test]
fn prometheus_writes_reads_and_federates() {
    let Some(_) = installed("prometheus") else { return };
    let directory = tempfile::tempdir().expect("directory");
    let peer = free_address();
    let own = directory.path().join("own.yml");
    let config = format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, external_labels: {{site: x}}}}
scrape_configs:
  - job_name: federated
    honor_labels: true
    metrics_path: /federate
    params: {{'match[]': ['{{job=\"peer\"}}']}}
    static_configs: [{{targets: ['{peer}']}}]
"
    );
    std::fs::write(&own, config).expect("write the configuration");
    let file = format!("--config.file={}", own.display());
    let server = Server::start(directory.path(), &[ON, &file]);
    let ours = server.address;
    let config = format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: peer
    static_configs: [{{targets: ['{peer}']}}]
  - job_name: from-us
    honor_labels: true
    metrics_path: /federate
    params: {{'match[]': ['{{job=\"federated\"}}', 'up']}}
    static_configs: [{{targets: ['{ours}']}}]
remote_write: [{{url: 'http://{ours}/api/v1/write'}}]
remote_read: [{{url: 'http://{ours}/api/v1/read', read_recent: true}}]
"
    );
    let _peer = prometheus(directory.path(), peer, &config);
    // Written by it, and scraped from its page.
    wait_for_value(ours, "count(prometheus_build_info{job=\"peer\"})", |count| count == 1.0);
    wait_for_value(ours, "count(scrape_samples_scraped{job=\"peer\"})", |count| count == 1.0);
    wait_for_value(ours, "up{job=\"federated\",site=\"\"}", |up| up == 1.0);
    // Its own samples and what came here by remote write are the same, one for one.
    let until = wait_for("a minute that is over", || {
        let found = value(ours, "count_over_time(up{job=\"peer\",site=\"\"}[5m])")?;
        if found < 10.0 {
            return Err(format!("{found}"));
        }
        value(peer, "timestamp(up{job=\"peer\",site=\"\"})-1")
    });
    let counted =
        format!("count_over_time(prometheus_tsdb_head_series{{job=\"peer\"}}[5m])&time={until}");
    let theirs = value(peer, &counted).expect("an answer");
    wait_for_value(ours, &counted, |count| count == theirs);
    // It federates from us.
    wait_for_value(peer, "up{job=\"from-us\"}", |up| up == 1.0);
    wait_for_value(peer, "count(up{job=\"federated\",site=\"x\"})", |count| 1.0 <= count);
    // It reads from us what only we have.
    write_one(ours, "only_here", 7.0);
    wait_for_value(peer, "only_here", |value| value == 7.0);
    let _ = line_with(&server.lines, "ready");
    assert_eq!(server.end(Signal::TERM).code(), Some(0));
}

/// Debian's vmagent scrapes and writes to us.
#[test]
fn vmagent_writes() {
    let Some(_) = installed("vmagent") else { return };
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[ON]);
    let ours = server.address;
    let peer = free_address();
    let file = directory.path().join("agent.yml");
    let config = format!(
        "global: {{scrape_interval: 500ms}}
scrape_configs:
  - job_name: agent
    static_configs: [{{targets: ['{peer}']}}]
"
    );
    std::fs::write(&file, config).expect("write the configuration");
    let _peer = spawn(
        Command::new("vmagent")
            .arg(format!("-promscrape.config={}", file.display()))
            // Several queues would send the samples of a series out of order.
            .arg("-remoteWrite.queues=1")
            .arg(format!("-remoteWrite.url=http://{ours}/api/v1/write"))
            .arg(format!("-remoteWrite.tmpDataPath={}", directory.path().join("agent").display()))
            .arg(format!("-httpListenAddr={peer}")),
    );
    wait_for_value(ours, "count_over_time(up{job=\"agent\"}[1m])", |count| 5.0 <= count);
    wait_for_value(ours, "sum(cresset_push_refused_total)", |count| count == 0.0);
}

#[test]
fn promtool_asks() {
    let Some(_) = installed("promtool") else { return };
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[]);
    let url = format!("http://{}", server.address);
    server.wait_for_value("count(up == 1)", |count| count == 2.0);
    let run = |arguments: &[&str]| {
        let output = Command::new("promtool").args(arguments).output().expect("run promtool");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text} {:?}", output.stderr);
        text
    };
    let text = run(&["query", "instant", &url, "up{job=\"host\"}"]);
    assert!(text.contains("job=\"host\"") && text.contains("=> 1 @"), "{text}");
    assert!(run(&["query", "range", &url, "up", "--step=1s"]).contains("=>"));
    assert!(run(&["query", "series", &url, "--match=up"]).contains("job"));
    assert!(run(&["query", "labels", &url, "job"]).contains("host"));
    let to = format!("--url={url}");
    // It evaluates a rule by our answers and makes blocks of them.
    server.wait_for_value("min(count_over_time(up[1m]))", |count| 3.0 <= count);
    let rules = directory.path().join("rules.yml");
    let rule = "groups: [{name: a, rules: [{record: 'ups', expr: 'sum(up)'}]}]\n";
    std::fs::write(&rules, rule).expect("write the rules");
    let made = directory.path().join("made");
    let now = machine::clock::now().wall.0 / 1000;
    let (start, end) = (format!("--start={}", now - 10), format!("--end={now}"));
    let (rules, into) = (rules.display().to_string(), format!("--output-dir={}", made.display()));
    let interval = "--eval-interval=1s";
    run(&["tsdb", "create-blocks-from", "rules", &to, &start, &end, &into, interval, &rules]);
    let list = run(&["tsdb", "list", &made.display().to_string()]);
    assert!(1 < list.lines().count(), "{list}");
}

/// Bytes of an answer that is no text.
fn post_bytes(address: SocketAddr, path: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("connect");
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: x\r\nContent-Encoding: snappy\r\n\
         Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("send");
    stream.write_all(body).expect("send");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("an answer");
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&response[..end]).into_owned(), response[end + 4..].to_vec())
}

#[test]
fn remote_reads_are_answered_in_both_forms() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[]);
    server.wait_for_value("count(up == 1)", |count| count == 2.0);
    let ask = |types: &[u64]| {
        let mut request = Writer::default();
        request.message(1, |query| {
            query.int64(1, 0);
            query.int64(2, i64::MAX);
            query.message(3, |matcher| {
                matcher.text(2, "__name__");
                matcher.text(3, "up");
            });
        });
        request.uint64s(2, types.iter().copied());
        post_bytes(server.address, "/api/v1/read", &deflate(request.bytes()))
    };
    let (head, body) = ask(&[]);
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_lowercase().contains("content-encoding: snappy"), "{head}");
    let body = inflate(&body, 1 << 20).expect("snappy");
    assert!(body.windows(4).any(|four| four == b"host"), "a label of a series");
    let (head, body) = ask(&[1, 0]);
    assert!(head.to_lowercase().contains("application/x-streamed-protobuf"), "{head}");
    let length = usize::from(body[0] & 0x7f) | usize::from(body[1]) << 7;
    let two = usize::from(0x80 <= body[0]) + 1;
    let length = if two == 1 { usize::from(body[0]) } else { length };
    let frame = &body[two + 4..two + 4 + length];
    assert_eq!(body[two..two + 4], crc32c::crc32c(frame).to_be_bytes());
    let (head, _) = post_bytes(server.address, "/api/v1/read", b"no snappy");
    assert!(head.contains(" 400 "), "{head}");
}
