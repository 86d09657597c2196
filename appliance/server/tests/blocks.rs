//! Blocks in the real binary: what was compacted is answered as before, also after a kill.

#[path = "process/server.rs"]
#[allow(dead_code, reason = "this crate uses a part of it")]
mod server;

use rustix::process::Signal;

use crate::server::{Server, wait_for};

/// The value of a metric of the server itself.
fn metric(server: &Server, name: &str) -> Result<f64, String> {
    let (_, text) = server.get("/metrics")?;
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let is_wanted = series.split('{').next() == Some(name);
        value.parse::<f64>().ok().filter(|_| is_wanted)
    });
    Ok(values.sum())
}

#[track_caller]
fn wait_for_metric(server: &Server, name: &str, is_enough: impl Fn(f64) -> bool) {
    wait_for(name, || match metric(server, name) {
        Ok(value) if is_enough(value) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Seconds of the newest sample of `up`.
fn newest(server: &Server) -> f64 {
    server.wait_for_value("max(timestamp(up))", |time| 0.0 < time)
}

/// What is asked of a time range that is over.
fn answers(server: &Server, (from, to): (f64, f64)) -> Vec<String> {
    let range = format!("start={from}&end={to}");
    let paths = [
        format!(
            "/api/v1/query_range?query={{__name__=~\"up|process_.*|prometheus_.*\"}}&{range}&step=1"
        ),
        format!(
            "/api/v1/query_range?query=sum(rate(cresset_scrape_bytes_total[5s]))&{range}&step=1"
        ),
        format!("/api/v1/series?match[]={{__name__=~\".%2b\"}}&{range}"),
        format!("/api/v1/labels?{range}"),
        format!("/api/v1/label/__name__/values?{range}"),
        format!("/api/v1/label/job/values?match[]=up&{range}"),
    ];
    let ask = |path: &String| {
        let (status, body) = server.get(path).expect("an answer");
        assert_eq!(status, 200, "{path}: {body}");
        assert!(!body.contains("[]"), "{path}: {body}");
        body
    };
    paths.iter().map(ask).collect()
}

/// Fails with the place of the first difference.
#[track_caller]
fn check_same(found: &[String], expected: &[String]) {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        let pairs = found.bytes().zip(expected.bytes());
        let at = pairs.take_while(|(a, b)| a == b).count();
        let part = |text: &str| {
            text.get(at.saturating_sub(200)..text.len().min(at + 200)).map(str::to_owned)
        };
        assert!(found == expected, "answer {number}: {:?}, not {:?}", part(found), part(expected));
    }
}

/// A configuration that scrapes the server itself five times a second.
fn config(server: Option<&Server>, directory: &std::path::Path) -> String {
    let address = server.map_or("127.0.0.1:1".to_owned(), |server| server.address.to_string());
    let path = directory.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 200ms}}
scrape_configs:
  - {{job_name: self, static_configs: [{{targets: ['{address}']}}]}}
  - {{job_name: nobody, static_configs: [{{targets: ['127.0.0.1:1']}}]}}
"
    );
    std::fs::write(&path, text).expect("write the configuration");
    format!("--config.file={}", path.display())
}

#[test]
fn compacted_samples_are_answered_as_before_and_survive_a_kill() {
    let directory = tempfile::tempdir().expect("directory");
    let windows = "--storage.tsdb.min-block-duration=2s";
    let flags = [&*config(None, directory.path()), windows, "--web.enable-lifecycle"];
    let server = Server::start(directory.path(), &flags);
    config(Some(&server), directory.path());
    assert_eq!(server.request("POST", "/-/reload").expect("an answer").0, 200);
    server.wait_for_value("count(up == 1)", |count| count == 1.0);
    let from = newest(&server);
    server.wait_for_value("count_over_time(up{job=\"self\"}[10s])", |count| 30.0 <= count);
    let to = newest(&server) - 0.5;
    let before = answers(&server, (from, to));
    // Two windows further on, the windows of the range are in blocks.
    wait_for_metric(&server, "prometheus_tsdb_compactions_total", |count| 5.0 <= count);
    let done = metric(&server, "prometheus_tsdb_compactions_total").expect("metrics");
    wait_for_metric(&server, "prometheus_tsdb_compactions_total", |count| done + 3.0 <= count);
    check_same(&answers(&server, (from, to)), &before);
    server.end(Signal::KILL);
    let server = Server::start(directory.path(), &flags);
    assert!(metric(&server, "prometheus_tsdb_blocks_loaded").expect("metrics") > 0.0);
    check_same(&answers(&server, (from, to)), &before);
    assert_eq!(metric(&server, "prometheus_tsdb_compactions_failed_total"), Ok(0.0));
}

#[test]
fn deletion_survives_a_kill_and_a_snapshot_opens() {
    let directory = tempfile::tempdir().expect("directory");
    let config = config(None, directory.path());
    let windows = "--storage.tsdb.min-block-duration=2s";
    let server = Server::start(directory.path(), &[&config, windows]);
    let refused = server.request("POST", "/api/v1/admin/tsdb/snapshot").expect("an answer");
    assert!(refused.0 == 500 && refused.1.contains("admin APIs disabled"), "{refused:?}");
    server.end(Signal::TERM);
    let flags = [&*config, windows, "--web.enable-admin-api"];
    let server = Server::start(directory.path(), &flags);
    wait_for_metric(&server, "prometheus_tsdb_compactions_total", |count| 3.0 <= count);
    let until = newest(&server);
    let counts = |server: &Server, job: &str| {
        server.values(&format!("count_over_time(up{{job=\"{job}\"}}[1h] @ {until})"))
    };
    let (own, other) = (counts(&server, "self"), counts(&server, "nobody"));
    assert!(own.as_ref().is_ok_and(|own| own.len() == 1 && 5.0 <= own[0]), "{own:?}");
    let (status, body) =
        server.request("PUT", "/api/v1/admin/tsdb/snapshot?skip_head=false").expect("an answer");
    let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(status, 200, "{body}");
    let name = json["data"]["name"].as_str().expect("a name").to_owned();
    let path = "/api/v1/admin/tsdb/delete_series?match[]=up{job=\"nobody\"}";
    assert_eq!(server.request("POST", path).expect("an answer"), (204, String::new()));
    assert_eq!(counts(&server, "nobody"), Ok(Vec::new()));
    server.end(Signal::KILL);
    let server = Server::start(directory.path(), &flags);
    assert_eq!(counts(&server, "nobody"), Ok(Vec::new()), "the deletion was durable");
    assert_eq!(counts(&server, "self"), own);
    let clean = server.request("POST", "/api/v1/admin/tsdb/clean_tombstones").expect("an answer");
    assert_eq!(clean, (204, String::new()));
    wait_for_metric(&server, "cresset_storage_tombstones_in_blocks", |count| count == 0.0);
    assert_eq!((counts(&server, "nobody"), counts(&server, "self")), (Ok(Vec::new()), own.clone()));
    // The snapshot is what it was, beside the running server.
    let copy = tempfile::tempdir().expect("directory");
    let snapshot = directory.path().join("data/snapshots").join(name);
    std::fs::rename(snapshot, copy.path().join("data")).expect("move the snapshot");
    let snapshot = Server::start(copy.path(), &[&config, windows]);
    assert_eq!((counts(&snapshot, "nobody"), counts(&snapshot, "self")), (other, own));
}

#[test]
fn retention_and_limits_change_with_a_reload() {
    let directory = tempfile::tempdir().expect("directory");
    let flag = config(None, directory.path());
    let flags = [&*flag, "--web.enable-lifecycle", "--storage.tsdb.retention.size=1GB"];
    let server = Server::start(directory.path(), &flags);
    let limit = |name: &str| metric(&server, name).expect("metrics");
    assert_eq!(limit("prometheus_tsdb_retention_limit_bytes"), (1u64 << 30) as f64);
    let path = directory.path().join("prometheus.yml");
    let mut text = std::fs::read_to_string(&path).expect("read");
    text += "storage: {tsdb: {retention: {time: 2d, size: 5MB}}}\n";
    text += "cresset: {limits: {job: {series: 7}}}\n";
    text = text.replace("  - {job_name: nobody", "  - {job_name: other");
    std::fs::write(&path, text).expect("write");
    assert_eq!(server.request("POST", "/-/reload").expect("an answer").0, 200);
    assert_eq!(limit("prometheus_tsdb_retention_limit_bytes"), (5u64 << 20) as f64);
    assert_eq!(limit("prometheus_tsdb_retention_limit_seconds"), 172_800.0);
    let (_, body) = server.get("/api/v1/status/runtimeinfo").expect("an answer");
    assert!(body.contains("\"storageRetention\":\"2d or 5MiB\""), "{body}");
}
