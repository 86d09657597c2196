//! The real binary on the real kernel: it starts, scrapes, answers, reloads, ends, comes back.
//!
//! `CRESSET_TEST_IO` selects the way of I/O (`auto`, `ring`, `epoll`); default `auto`.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::server::{DEADLINE_MS, Server, command, line_with, request, wait_for};

#[path = "process/server.rs"]
mod server;

/// Writes a configuration whose job scrapes `address` five times a second.
fn write_config(directory: &Path, job: &str, address: &str) -> String {
    let path = directory.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: {job}
    static_configs: [{{targets: ['{address}']}}]
"
    );
    std::fs::write(&path, text).expect("write the configuration");
    format!("--config.file={}", path.display())
}

#[test]
fn the_embedded_default_scrapes_itself_and_its_machine() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[]);
    server.wait_for_value("count(up == 1)", |count| count == 2.0);
    server.wait_for_value("count(node_cpu_seconds_total)", |count| count >= 8.0);
    server.wait_for_value("sum(rate(cresset_scrape_bytes_total[1m]))", |rate| rate > 0.0);
    server.wait_for_value("prometheus_ready", |ready| ready == 1.0);
    let (status, body) = server.get("/api/v1/label/job/values").expect("an answer");
    assert_eq!((status, body.as_str()), (200, r#"{"status":"success","data":["cresset","host"]}"#));
    // As `curl -g` sends it.
    let (status, body) = server.get("/api/v1/query?query=up{job=\"host\"}").expect("an answer");
    assert!(status == 200 && body.contains(r#""job":"host""#), "{body}");
    let (status, body) = server.get("/api/v1/status/tsdb").expect("an answer");
    let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert!(status == 200 && json["data"]["headStats"]["numSeries"].as_u64() > Some(100), "{body}");
    assert_eq!(server.end(Signal::TERM).code(), Some(0));
}

/// Asks over a connection that is kept; the answer up to the end of its JSON.
fn ask_kept(stream: &mut std::net::TcpStream, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("send");
    let (mut answer, mut bytes) = (String::new(), [0; 4096]);
    while !answer.contains("]}}") {
        let count = stream.read(&mut bytes).expect("receive");
        assert_ne!(count, 0, "the connection is kept: {answer}");
        answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    answer
}

#[test]
fn its_own_scrape_waits_for_no_connection_of_others() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &["--web.max-connections=1"]);
    server.wait_for_value("count(up == 1)", |count| count == 2.0);
    // The one connection that there may be is this one from here on.
    let mut kept = std::net::TcpStream::connect(server.address).expect("connect");
    let timeout = Some(Duration::from_millis(DEADLINE_MS));
    kept.set_read_timeout(timeout).expect("a timeout");
    let scrapes = "/api/v1/query?query=sum(count_over_time(up%5B10m%5D))";
    let number = |answer: &str| -> f64 {
        let value = answer.rsplit('"').nth(1).and_then(|text| text.parse().ok());
        value.unwrap_or_else(|| panic!("no value in {answer}"))
    };
    let before = number(&ask_kept(&mut kept, scrapes));
    wait_for("further scrapes", || match number(&ask_kept(&mut kept, scrapes)) {
        now if before + 4.0 <= now => Ok(()),
        now => Err(format!("{now} after {before}")),
    });
    let least = ask_kept(&mut kept, "/api/v1/query?query=min(min_over_time(up%5B10m%5D))");
    assert_eq!(number(&least), 1.0, "{least}");
    drop(kept);
    let pages = "cresset_access_own_pages_total";
    server.wait_for_value(pages, |count| count >= 4.0);
}

#[test]
fn samples_survive_a_restart_and_a_kill() {
    let directory = tempfile::tempdir().expect("directory");
    // Nobody listens there: `up` is 0, five times a second, and that is enough to count.
    let config = write_config(directory.path(), "a", "127.0.0.1:1");
    let mut before = 0.0;
    for signal in [Signal::TERM, Signal::KILL, Signal::TERM] {
        let server = Server::start(directory.path(), &[&config]);
        let kept = "sum(count_over_time(up{job=\"a\"}[1h]))";
        // A sample is answered before it is durable; a kill may take the last commit's age.
        let margin = 2.0;
        server.wait_for_value(kept, |count| count >= before - margin);
        before = server.wait_for_value(kept, |count| count >= before + 5.0);
        let status = server.end(signal);
        if signal == Signal::TERM {
            assert_eq!(status.code(), Some(0));
        }
    }
}

#[test]
fn reload_takes_a_valid_configuration_whole_and_refuses_another_whole() {
    let directory = tempfile::tempdir().expect("directory");
    let config = write_config(directory.path(), "a", "127.0.0.1:1");
    let server = Server::start(directory.path(), &[&config, "--web.enable-lifecycle"]);
    let targets = || server.get("/api/v1/targets").expect("an answer").1;
    wait_for("job a", || {
        if targets().contains(r#""scrapePool":"a""#) { Ok(()) } else { Err(targets()) }
    });
    write_config(directory.path(), "b", "127.0.0.1:1");
    let (status, _) = server.request("POST", "/-/reload").expect("an answer");
    assert_eq!(status, 200);
    wait_for("job b", || {
        if targets().contains(r#""scrapePool":"b""#) { Ok(()) } else { Err(targets()) }
    });
    std::fs::write(directory.path().join("prometheus.yml"), "rule_files: [a]\nx: 1\n")
        .expect("write");
    let (status, body) = server.request("POST", "/-/reload").expect("an answer");
    assert!(status == 500 && body.contains(":2:1: field x not found"), "{status} {body}");
    assert!(targets().contains(r#""scrapePool":"b""#));
    let failed = "prometheus_config_last_reload_successful 0\n";
    assert!(server.get("/metrics").expect("metrics").1.contains(failed));
    write_config(directory.path(), "c", "127.0.0.1:1");
    server.signal(Signal::HUP);
    wait_for("job c", || {
        if targets().contains(r#""scrapePool":"c""#) { Ok(()) } else { Err(targets()) }
    });
    let succeeded = "prometheus_config_last_reload_successful 1\n";
    wait_for("success", || {
        let metrics = server.get("/metrics").expect("metrics").1;
        if metrics.contains(succeeded) { Ok(()) } else { Err(metrics) }
    });
    let (status, _) = server.request("POST", "/-/quit").expect("an answer");
    assert_eq!(status, 200);
    let mut server = server;
    let status = wait_for("exit", || match server.child.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(status.code(), Some(0));
}

/// Runs the binary to its end: its exit code and what it wrote to standard error.
fn refused(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(directory, arguments).output().expect("run the binary");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_configuration_that_does_not_hold_stops_the_start() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("bad.yml");
    std::fs::write(&path, "scrape_configs:\n- job_name: a\n  scrape_intervall: 1s\n")
        .expect("write");
    let flag = format!("--config.file={}", path.display());
    let (code, text) = refused(directory.path(), &[&flag]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("bad.yml:3:3: field scrape_intervall not found"), "{text}");
    assert!(!directory.path().join("data").exists(), "nothing was opened");
    let (code, text) = refused(directory.path(), &["--query.timeot=1s"]);
    assert!(code == Some(2) && text.contains("--query.timeout"), "{text}");
}

#[test]
fn files_are_checked_without_a_server() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("p.yml");
    for (text, code) in [("global: {}\n", 0), ("rule_files: [a]\n", 1)] {
        std::fs::write(&path, text).expect("write");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
        let output = command.args(["check", "config"]).arg(&path).output().expect("run");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}

#[test]
fn two_shards_are_one_store() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("p.yml");
    let addresses: Vec<String> = (1..=16).map(|port| format!("'127.0.0.1:{port}'")).collect();
    let addresses = addresses.join(", ");
    let text = format!(
        "cresset: {{shards: 2}}
global: {{scrape_interval: 200ms}}
scrape_configs:
  - job_name: a
    static_configs: [{{targets: [{addresses}]}}]
"
    );
    std::fs::write(&path, text).expect("write");
    let server = Server::start(directory.path(), &[&format!("--config.file={}", path.display())]);
    server.wait_for_value("count(up)", |count| count == 16.0);
    let (_, body) = server.get("/api/v1/label/instance/values").expect("an answer");
    assert_eq!(body.matches("127.0.0.1").count(), 16, "{body}");
    let (_, metrics) = server.get("/metrics").expect("metrics");
    assert!(metrics.contains("shard=\"1\""), "two shards run");
}

#[test]
fn systemd_is_told() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bind");
    socket.set_read_timeout(Some(Duration::from_millis(DEADLINE_MS))).expect("timeout");
    let wait = |wanted: &str| {
        wait_for(wanted, || {
            let mut bytes = [0; 1024];
            let count = socket.recv(&mut bytes).map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if text.lines().any(|line| line == wanted) { Ok(()) } else { Err(text) }
        });
    };
    let config = write_config(directory.path(), "a", "127.0.0.1:1");
    let mut command = command(directory.path(), &[&config]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000").env_remove("WATCHDOG_PID");
    let server = Server::spawn(&mut command);
    wait("READY=1");
    for _ in 0..3 {
        wait("WATCHDOG=1");
    }
    server.signal(Signal::HUP);
    wait("RELOADING=1");
    wait("READY=1");
    server.signal(Signal::TERM);
    wait("STOPPING=1");
    assert_eq!(server.end(Signal::CONT).code(), Some(0));
}

#[test]
fn a_directory_serves_one_process() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[]);
    let (code, text) = refused(directory.path(), &[]);
    assert!(code == Some(1) && text.contains("is in use by process"), "{text}");
    assert_eq!(server.end(Signal::INT).code(), Some(0));
}

/// A query that takes minutes: it sorts 600,000 numbers at each of 10,000 steps.
const LONG: &str = "/api/v1/query_range?start=0&end=1000&step=0.1\
                    &query=mad_over_time(vector(1)[10m:1ms])";
const EXPERIMENTAL: &str = "--enable-feature=promql-experimental-functions,unheard-of";

/// Waits until the query at `place` of the list is in `state`.
#[track_caller]
fn wait_for_query(server: &Server, place: usize, state: &str) -> serde_json::Value {
    wait_for(state, || {
        let (_, body) = server.get("/api/v1/status/queries")?;
        let json: serde_json::Value =
            serde_json::from_str(&body).map_err(|error| format!("{body}: {error}"))?;
        let query = &json["data"][place];
        if query["state"] == state { Ok(query.clone()) } else { Err(body) }
    })
}

#[test]
fn a_running_query_is_listed_and_killed() {
    let directory = tempfile::tempdir().expect("directory");
    let one = "--query.max-concurrency=1";
    let server = Server::start(directory.path(), &[EXPERIMENTAL, one]);
    let address = server.address;
    let asked = std::thread::spawn(move || request(address, "GET", LONG));
    let query = wait_for_query(&server, 0, "running");
    assert_eq!(query["query"], "mad_over_time(vector(1)[10m:1ms])");
    assert_eq!(query["client"], "127.0.0.1");
    wait_for("bytes that it holds", || match wait_for_query(&server, 0, "running")["memoryBytes"]
        .as_u64()
    {
        Some(bytes) if 0 < bytes => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let second = "/api/v1/query?query=vector(2)";
    let second = std::thread::spawn(move || request(address, "GET", second));
    assert_eq!(wait_for_query(&server, 1, "waiting")["query"], "vector(2)");
    let path = format!("/api/v1/status/queries/{}", query["id"]);
    assert_eq!(server.request("DELETE", &path).expect("an answer").0, 200);
    let (status, body) = asked.join().expect("no panic").expect("an answer");
    assert_eq!(second.join().expect("no panic").expect("an answer").0, 200);
    assert!(status == 499 && body.contains("query was canceled in"), "{status} {body}");
    wait_for("an empty list", || match server.get("/api/v1/status/queries")? {
        (200, body) if body.ends_with("\"data\":[]}") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let (_, metrics) = server.get("/metrics").expect("metrics");
    for line in [
        "cresset_query_killed_total 1\n",
        "prometheus_engine_queries 0\n",
        "prometheus_engine_queries_concurrent_max 1\n",
        "prometheus_engine_query_log_enabled 0\n",
        "prometheus_engine_query_duration_seconds_count{slice=\"inner_eval\"} 2\n",
        "# TYPE prometheus_engine_query_duration_seconds summary\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
}

#[test]
fn flags_bound_queries() {
    let directory = tempfile::tempdir().expect("directory");
    let config = write_config(directory.path(), "a", "127.0.0.1:1");
    let bounds =
        ["--query.timeout=300ms", "--query.max-samples=3000000", "--query.lookback-delta=30s"];
    let flags = [config.as_str(), EXPERIMENTAL, bounds[0], bounds[1], bounds[2]];
    let server = Server::start(directory.path(), &flags);
    server.wait_for_value("up", |up| up == 0.0);
    assert_eq!(server.values("up offset -20s").expect("an answer").len(), 1);
    assert_eq!(server.values("up offset -1m").expect("an answer").len(), 0);
    let (status, body) = server.get(LONG).expect("an answer");
    let late = "query timed out in expression evaluation";
    assert!(status == 503 && body.contains(late), "{status} {body}");
    let large = "/api/v1/query?query=count_over_time(vector(1)[1h:1ms])";
    let (status, body) = server.get(large).expect("an answer");
    let many = "query processing would load too many samples into memory in query execution";
    assert!(status == 422 && body.contains(many), "{status} {body}");
}

#[test]
fn features_are_told_before_anything_is_opened() {
    let directory = tempfile::tempdir().expect("directory");
    // The address is taken, so the process ends after what is asked here.
    let flags = ["--enable-feature=promql-duration-expr,use-start-timestamps", EXPERIMENTAL];
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = occupied.local_addr().expect("an address");
    let listen = format!("--web.listen-address={address}");
    let (code, text) = refused(directory.path(), &[flags[0], flags[1], &listen]);
    assert_eq!(code, Some(1), "{text}");
    for line in [
        "msg=\"this option for --enable-feature has no effect\" option=promql-duration-expr",
        "msg=\"a feature is enabled\" option=use-start-timestamps",
        "msg=\"unknown option for --enable-feature\" option=unheard-of",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_query_that_a_crash_cut_off_is_told_of() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &[EXPERIMENTAL]);
    server.values("vector(1)").expect("a query that ends");
    let address = server.address;
    // The kill cuts this connection off.
    std::thread::spawn(move || request(address, "GET", LONG));
    wait_for_query(&server, 0, "running");
    let file = directory.path().join("data/queries.active");
    wait_for("the query in the file", || {
        let text = std::fs::read(&file).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&text).replace('\0', "");
        if text.contains("mad_over_time") { Ok(()) } else { Err(text) }
    });
    server.signal(Signal::KILL);
    drop(server);
    let server = Server::start(directory.path(), &[]);
    let line = line_with(&server.lines, "did not finish in the last run");
    assert!(line.contains("WARN") && line.contains("mad_over_time"), "{line}");
    assert_eq!(server.end(Signal::TERM).code(), Some(0));
    let server = Server::start(directory.path(), &[]);
    let before: Vec<String> = server.lines.try_iter().collect();
    assert!(!before.iter().any(|line| line.contains("did not finish")), "{before:?}");
}

#[test]
fn queries_are_logged_to_a_file_that_a_reload_opens_anew() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("p.yml");
    std::fs::write(&path, "global: {query_log_file: q.log}\n").expect("write");
    let server = Server::start(directory.path(), &[&format!("--config.file={}", path.display())]);
    let log = directory.path().join("q.log");
    let logged = |query: &str| {
        server.values(query).expect("an answer");
        wait_for(query, || {
            let text = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
            let last = text.lines().last().ok_or("no line")?;
            let line: serde_json::Value =
                serde_json::from_str(last).map_err(|error| format!("{last}: {error}"))?;
            if line["params"]["query"] == query { Ok(line) } else { Err(text) }
        })
    };
    let line = logged("vector(1)");
    assert_eq!(line["httpRequest"]["clientIP"], "127.0.0.1");
    assert_eq!(line["httpRequest"]["path"], "/api/v1/query");
    assert!(line["stats"]["timings"]["execTotalTime"].is_number(), "{line}");
    std::fs::rename(&log, directory.path().join("moved.log")).expect("rename");
    server.signal(Signal::HUP);
    line_with(&server.lines, "configuration reloaded");
    logged("vector(2)");
    let (_, metrics) = server.get("/metrics").expect("metrics");
    assert!(metrics.contains("prometheus_engine_query_log_enabled 1\n"), "{metrics}");
    std::fs::write(&path, "global: {query_log_file: q.log/x}\n").expect("write");
    server.signal(Signal::HUP);
    line_with(&server.lines, "configuration refused");
    logged("vector(3)");
}

#[test]
fn targets_of_a_file_come_go_and_survive_a_broken_file() {
    let directory = tempfile::tempdir().expect("directory");
    let config = "global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
  - job_name: a
    keep_dropped_targets: 1
    file_sd_configs: [{files: ['targets/*.json']}]
    relabel_configs:
      - {source_labels: [rack], regex: x, action: drop}
      - {source_labels: [__meta_filepath], regex: '.*/([a-z.]+)', target_label: file}
";
    let path = directory.path().join("prometheus.yml");
    std::fs::write(&path, config).expect("write");
    let targets = directory.path().join("targets");
    std::fs::create_dir(&targets).expect("directory");
    let server = Server::start(directory.path(), &[&format!("--config.file={}", path.display())]);
    let write = |text: &str| std::fs::write(targets.join("t.json"), text).expect("write");
    let address = server.address;
    let rack =
        |rack: &str| format!(r#"{{"targets": ["{address}"], "labels": {{"rack": "{rack}"}}}}"#);
    write(&format!("[{}, {}, {}]", rack("1"), rack("2"), rack("x")));
    server.wait_for_value("sum(up{job='a', file='t.json'})", |up| (up - 2.0).abs() < 0.5);
    let (_, body) = server.get("/api/v1/targets").expect("an answer");
    assert!(body.contains(r#""droppedTargetCounts":{"a":1}"#), "{body}");
    write(&format!("[{}", rack("1")));
    let name = "prometheus_sd_file_read_errors_total";
    wait_for(name, || {
        let (_, body) = server.get("/metrics")?;
        let is_counted = body.lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"));
        if is_counted { Ok(()) } else { Err(name.to_owned()) }
    });
    assert_eq!(server.values("sum(up{job='a'})"), Ok(vec![2.0]), "a broken file keeps targets");
    write(&format!("[{}]", rack("2")));
    server.wait_for_value("count(up{job='a'})", |targets| (targets - 1.0).abs() < 0.5);
    let discovered = r#"prometheus_sd_discovered_targets{config="a",name="scrape"} 1"#;
    let (_, body) = server.get("/metrics").expect("metrics");
    assert!(body.lines().any(|line| line == discovered), "{body}");
    assert_eq!(server.end(Signal::TERM).code(), Some(0));
}
